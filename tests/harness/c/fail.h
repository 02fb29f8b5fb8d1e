/* Ending a program that cannot go on. */
#ifndef HARNESS_FAIL_H
#define HARNESS_FAIL_H

#include <spanwire.h>
#include <stddef.h>

/* Prints why, as printf, and ends the program with exit code 1. */
#if defined(__GNUC__)
__attribute__((format(printf, 1, 2)))
#endif
_Noreturn void
fail(const char *format, ...);

/* Fails with the library's words unless the result says that something was done; `what` says what. */
void must(spanwire_result result, const char *what);

/* As malloc, calloc and strdup, but they fail when there is no memory. */
void *must_allocate(size_t size);
void *must_allocate_zeros(size_t size);
char *must_copy(const char *text);

#endif
