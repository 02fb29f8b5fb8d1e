/* Checks, and a runner that bounds the time of each test. A check that fails ends the process at once: what follows
 * would only say the same again, and the program's remaining threads need no farewell. */
#ifndef SPANWIRE_TESTS_HARNESS_H
#define SPANWIRE_TESTS_HARNESS_H

#include <inttypes.h>
#include <signal.h>
#include <spanwire.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef struct test {
  const char *name;
  void (*run)(void);
} test;

#define TEST(function) \
  { #function, function }
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#define CHECK(condition)                                            \
  do {                                                              \
    if (!(condition)) check_failed(__FILE__, __LINE__, #condition); \
  } while (0)
#define CHECK_EQ(actual, expected) check_eq(__FILE__, __LINE__, #actual, (long long)(actual), (long long)(expected))
#define CHECK_TEXT(actual, expected) check_text(__FILE__, __LINE__, #actual, (actual), (expected))
#define CHECK_HAS(text, part) check_has(__FILE__, __LINE__, #text, (text), (part))
#define CHECK_BYTES(data, len, text) check_bytes(__FILE__, __LINE__, #data, (data), (len), (text), strlen(text))
/* The result of an operation that must be done. */
#define TRY(operation) check_done(__FILE__, __LINE__, #operation, (operation))
/* A handle that must have been made. */
#define MADE(handle) check_made(__FILE__, __LINE__, #handle, (handle))
/* The result of an operation that must be refused, with a text that has `part`. */
#define REFUSED(operation, result, part) \
  check_refused(__FILE__, __LINE__, #operation, (operation), (result), (part))

/* How much slower than usual this run may be: valgrind is. */
static inline int64_t slowness(void) {
  const char *text = getenv("SPANWIRE_TEST_SLOWNESS");
  return text != NULL ? atoi(text) : 1;
}

/* Longer than anything here takes on a busy machine. */
static inline int64_t patience_ms(void) { return 20000 * slowness(); }

static inline void check_failed(const char *file, int line, const char *what) {
  fprintf(stderr, "%s:%d: %s\n", file, line, what);
  fflush(stderr);
  _exit(1);
}

static inline void check_eq(const char *file, int line, const char *what, long long actual, long long expected) {
  if (actual == expected) return;
  fprintf(stderr, "%s:%d: %s is %lld, not %lld (last error: %s)\n", file, line, what, actual, expected,
          spanwire_last_error());
  _exit(1);
}

static inline void check_text(const char *file, int line, const char *what, const char *actual,
                              const char *expected) {
  if (actual != NULL && strcmp(actual, expected) == 0) return;
  fprintf(stderr, "%s:%d: %s is \"%s\", not \"%s\"\n", file, line, what, actual ? actual : "(null)", expected);
  _exit(1);
}

static inline void check_has(const char *file, int line, const char *what, const char *text, const char *part) {
  if (text != NULL && strstr(text, part) != NULL) return;
  fprintf(stderr, "%s:%d: %s is \"%s\", which does not have \"%s\"\n", file, line, what, text ? text : "(null)",
          part);
  _exit(1);
}

static inline void check_bytes(const char *file, int line, const char *what, const void *data, size_t len,
                               const char *expected, size_t expected_len) {
  if (len == expected_len && (len == 0 || memcmp(data, expected, len) == 0)) return;
  fprintf(stderr, "%s:%d: %s has %zu bytes \"%.*s\", not %zu \"%s\"\n", file, line, what, len, (int)len,
          data ? (const char *)data : "", expected_len, expected);
  _exit(1);
}

static inline int32_t check_done(const char *file, int line, const char *what, int32_t result) {
  if (result >= 0) return result;
  fprintf(stderr, "%s:%d: %s answers %d: %s\n", file, line, what, result, spanwire_last_error());
  _exit(1);
}

static inline void *check_made(const char *file, int line, const char *what, void *handle) {
  if (handle != NULL) return handle;
  fprintf(stderr, "%s:%d: %s is null: %s\n", file, line, what, spanwire_last_error());
  _exit(1);
}

static inline void check_refused(const char *file, int line, const char *what, int32_t result, int32_t expected,
                                 const char *part) {
  check_eq(file, line, what, result, expected);
  check_has(file, line, what, spanwire_last_error(), part);
}

/* Milliseconds of a clock that only goes forward. */
static inline int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static inline void time_is_up(int number) {
  (void)number;
  static const char text[] = "the test takes too long\n";
  if (write(STDERR_FILENO, text, sizeof text - 1) < 0) _exit(2);
  _exit(124);
}

/* Runs the tests whose name contains the first argument; all without one. Each must leave as many handles as it
 * found. */
static inline int run_tests(const test *tests, size_t count, int argc, char **argv) {
  signal(SIGALRM, time_is_up);
  size_t run = 0;
  for (size_t i = 0; i < count; i++) {
    if (argc > 1 && strstr(tests[i].name, argv[1]) == NULL) continue;
    size_t handles = spanwire_handle_count();
    int64_t began = now_ms();
    alarm((unsigned)(2 * patience_ms() / 1000));
    printf("%s ... ", tests[i].name);
    fflush(stdout);
    tests[i].run();
    if (spanwire_handle_count() != handles) {
      fprintf(stderr, "%s leaves %zu handles\n", tests[i].name, spanwire_handle_count() - handles);
      return 1;
    }
    printf("ok (%" PRId64 " ms)\n", now_ms() - began);
    run++;
  }
  alarm(0);
  if (run == 0) fprintf(stderr, "no test is called like that\n");
  return run == 0;
}

#endif
