/* What belongs to the library as a whole: version, log, last error. */
#include <pthread.h>
#include <stdatomic.h>

#include "pair.h"

static void versions_are_those_of_the_header(void) {
  CHECK_EQ(spanwire_abi_version(), SPANWIRE_ABI_VERSION);
  int major = -1, minor = -1, patch = -1;
  CHECK_EQ(sscanf(spanwire_version(), "%d.%d.%d", &major, &minor, &patch), 3);
  CHECK(major >= 0 && minor >= 0 && patch >= 0);
}

static void *fail_differently(void *unused) {
  (void)unused;
  CHECK_TEXT(spanwire_last_error(), "");
  CHECK(spanwire_channel_new(NULL, "unknown://elsewhere", NULL) == NULL);
  CHECK_HAS(spanwire_last_error(), "unknown://elsewhere");
  return NULL;
}

static void last_error_is_the_threads_own(void) {
  CHECK(spanwire_channel_new(NULL, "unknown://here", NULL) == NULL);
  CHECK_HAS(spanwire_last_error(), "unknown://here");
  pthread_t thread;
  pthread_create(&thread, NULL, fail_differently, NULL);
  pthread_join(thread, NULL);
  CHECK_HAS(spanwire_last_error(), "unknown://here");
  /* What is done leaves it alone. */
  spanwire_queue_free(MADE(spanwire_queue_new()));
  CHECK_HAS(spanwire_last_error(), "unknown://here");
}

static void wrappers_fail_in_their_own_words(void) {
  CHECK_EQ(spanwire_fail(SPANWIRE_INVALID_ARGUMENT, "the order has no lines"), SPANWIRE_INVALID_ARGUMENT);
  CHECK_TEXT(spanwire_last_error(), "the order has no lines");
  CHECK(spanwire_fail(SPANWIRE_SYSTEM, NULL) < 0);
  CHECK(spanwire_last_error() != NULL);
}

static atomic_int lines, wrong;

static void on_log(void *user_data, int32_t level, const char *target, const char *text) {
  if (user_data != &lines || level < 1 || level > 5 || target == NULL || strlen(text) == 0) wrong++;
  lines++;
}

static void make_something_to_log(void) {
  spanwire_queue *queue = MADE(spanwire_queue_new());
  spanwire_channel *channel = MADE(spanwire_channel_new(NULL, "unix:/nowhere/at/all.sock", NULL));
  TRY(spanwire_call_unary(channel, UNARY, TEXT(""), NULL, queue, NULL, NULL));
  EXPECT_DONE(queue, SPANWIRE_CODE_UNAVAILABLE, "");
  spanwire_channel_free(channel);
  spanwire_queue_free(queue);
}

static void log_is_silent_until_asked_for(void) {
  /* What the library wrote by itself would be seen here. */
  FILE *file = tmpfile();
  int saved[2] = {dup(STDOUT_FILENO), dup(STDERR_FILENO)};
  fflush(stdout);
  dup2(fileno(file), STDOUT_FILENO);
  dup2(fileno(file), STDERR_FILENO);
  make_something_to_log();
  fflush(stdout);
  dup2(saved[0], STDOUT_FILENO);
  dup2(saved[1], STDERR_FILENO);
  close(saved[0]);
  close(saved[1]);
  CHECK_EQ(fseek(file, 0, SEEK_END), 0);
  CHECK_EQ(ftell(file), 0);
  fclose(file);

  TRY(spanwire_log_set(5, on_log, &lines));
  make_something_to_log();
  CHECK(lines > 0);
  CHECK_EQ(wrong, 0);
  TRY(spanwire_log_set(0, NULL, NULL));
  int before = lines;
  make_something_to_log();
  CHECK_EQ(lines, before);
  REFUSED(spanwire_log_set(6, on_log, NULL), SPANWIRE_INVALID_ARGUMENT, "level");
  REFUSED(spanwire_log_set(-1, on_log, NULL), SPANWIRE_INVALID_ARGUMENT, "level");
}

static void handles_are_counted(void) {
  size_t before = spanwire_handle_count();
  spanwire_queue *queue = MADE(spanwire_queue_new());
  spanwire_channel *channel = MADE(spanwire_channel_new(NULL, "127.0.0.1:1", NULL));
  CHECK_EQ(spanwire_handle_count(), before + 2);
  spanwire_queue_free(queue);
  spanwire_channel_free(channel);
  CHECK_EQ(spanwire_handle_count(), before);
}

int main(int argc, char **argv) {
  static const test tests[] = {
      TEST(versions_are_those_of_the_header),
      TEST(last_error_is_the_threads_own),
      TEST(wrappers_fail_in_their_own_words),
      TEST(log_is_silent_until_asked_for),
      TEST(handles_are_counted),
  };
  return run_tests(tests, COUNT_OF(tests), argc, argv);
}
