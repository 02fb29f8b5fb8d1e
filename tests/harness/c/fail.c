#include "fail.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("FAIL: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  exit(EXIT_FAILURE);
}

void must(spanwire_result result, const char *what) {
  if (result < 0) fail("%s: %s", what, spanwire_last_error());
}

void *must_allocate(size_t size) {
  /* Some libraries answer null for no bytes at all. */
  void *memory = malloc(size > 0 ? size : 1);
  if (memory == NULL) fail("no memory for %zu bytes", size);
  return memory;
}

void *must_allocate_zeros(size_t size) {
  void *memory = calloc(1, size > 0 ? size : 1);
  if (memory == NULL) fail("no memory for %zu bytes", size);
  return memory;
}

char *must_copy(const char *text) {
  const size_t size = strlen(text) + 1;
  return memcpy(must_allocate(size), text, size);
}
