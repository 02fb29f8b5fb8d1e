#include "bench.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

_Noreturn void fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  exit(EXIT_FAILURE);
}

void must(spanwire_result result, const char *what) {
  if (result < 0) fail("%s: %s", what, spanwire_last_error());
}

uint64_t number(const char *text) {
  char *end = NULL;
  errno = 0;
  const unsigned long long found = strtoull(text, &end, 10);
  if (end == text || *end != '\0' || errno != 0) fail("%s is not a number", text);
  return found;
}

enum { BODY = 1, COUNT = 2, SIZE_BYTES = 3, VARINT = 0, LENGTH_DELIMITED = 2 };

static uint64_t read_varint(const uint8_t **at, const uint8_t *end) {
  uint64_t value = 0;
  for (unsigned shift = 0; *at < end && shift < 64; shift += 7) {
    const uint8_t byte = *(*at)++;
    value |= (uint64_t)(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  fail("a message is cut off");
}

struct block block_decode(const spanwire_bytes *bytes) {
  struct block block = {0};
  const uint8_t *at = bytes->data, *end = at + bytes->len;
  while (at < end) {
    const uint64_t key = read_varint(&at, end);
    const uint64_t value = read_varint(&at, end);
    if (key == (BODY << 3 | LENGTH_DELIMITED) && value <= (size_t)(end - at)) {
      block.body_len = (size_t)value;
      at += value;
    } else if (key == (COUNT << 3 | VARINT)) {
      block.count = value;
    } else if (key == (SIZE_BYTES << 3 | VARINT)) {
      block.size_bytes = value;
    } else {
      fail("a message is no block");
    }
  }
  return block;
}

static uint8_t *write_field(uint8_t *at, unsigned field, unsigned type, uint64_t value) {
  if (value == 0) return at;
  *at++ = (uint8_t)(field << 3 | type);
  for (; value >= 0x80; value >>= 7) *at++ = (uint8_t)(value | 0x80);
  *at++ = (uint8_t)value;
  return at;
}

uint8_t *block_encode(const struct block *block, size_t *len) {
  /* Three keys of one byte, and three numbers of ten at most. */
  uint8_t *data = calloc(1, block->body_len + 33);
  if (data == NULL) fail("no memory");
  uint8_t *at = write_field(data, BODY, LENGTH_DELIMITED, block->body_len) + block->body_len;
  at = write_field(at, COUNT, VARINT, block->count);
  at = write_field(at, SIZE_BYTES, VARINT, block->size_bytes);
  *len = (size_t)(at - data);
  return data;
}

static void keep(void *context) { (void)context; }

spanwire_buffer buffer_of(const uint8_t *data, size_t len) {
  return (spanwire_buffer){.data = data, .len = len, .release = len > COPIED_BYTES ? keep : NULL};
}

spanwire_buffer buffer_of_arrived(spanwire_bytes *bytes) {
  if (bytes->len > COPIED_BYTES) return spanwire_bytes_buffer(bytes, 0);
  return (spanwire_buffer){.data = bytes->data, .len = bytes->len};
}
