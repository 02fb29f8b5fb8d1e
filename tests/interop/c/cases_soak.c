/* Many large calls within time and failure budgets. */
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "cases.h"

/* One of the workers that share the iterations, and what it has done by its end. */
struct worker {
  const struct session *session;
  spanwire_channel *shared_channel; /* null: a new channel for each call */
  int64_t overall_end_ms;
  long iterations;
  long done;
  long failures;
};

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void sleep_until(int64_t end_ms) {
  const int64_t left = end_ms - now_ms();
  if (left <= 0) return;
  const struct timespec pause = {.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000};
  nanosleep(&pause, NULL);
}

/* Whether the response came in time and is right. */
static bool one_call(spanwire_channel *channel, const struct soak *soak, int64_t started_ms) {
  Payload payload = zeros((int)soak->request_size);
  SimpleRequest request = SIMPLE_REQUEST_INIT;
  request.response_size = (int)soak->response_size;
  request.payload = &payload;
  const spanwire_call_options options = call_options();
  spanwire_event done = unary(channel, TEST_SERVICE "UnaryCall", &request, &options);
  const int64_t took = now_ms() - started_ms;
  bool good = done.status.code == SPANWIRE_CODE_OK;
  if (!good) {
    fprintf(stderr, "%s: %s\n", spanwire_code_name(done.status.code), done.status.message);
  } else {
    SimpleResponse *response = response_of(&done);
    check_zeros(response->payload, (int)soak->response_size);
    message_free(response);
    good = took <= soak->per_iteration_limit_ms;
    if (!good) fprintf(stderr, "a call took %lld ms\n", (long long)took);
  }
  spanwire_event_free(&done);
  return good;
}

static void *work(void *argument) {
  struct worker *worker = argument;
  const struct soak *soak = &worker->session->soak;
  for (; worker->done < worker->iterations; worker->done++) {
    const int64_t started = now_ms();
    if (started > worker->overall_end_ms) break;
    spanwire_channel *channel = worker->shared_channel;
    if (channel == NULL) channel = open_channel(worker->session);
    if (!one_call(channel, soak, started)) worker->failures++;
    if (worker->shared_channel == NULL) spanwire_channel_free(channel);
    sleep_until(started + soak->min_time_between_ms);
  }
  return NULL;
}

static void soak_with(const struct session *session, spanwire_channel *shared_channel) {
  enum { MOST_WORKERS = 64 };
  const struct soak *soak = &session->soak;
  check(soak->request_size <= LARGE_REQUEST, "--soak_request_size is at most %d", LARGE_REQUEST);
  check(soak->workers >= 1 && soak->workers <= MOST_WORKERS, "--soak_num_threads is 1 to %d", MOST_WORKERS);
  struct worker workers[MOST_WORKERS];
  pthread_t threads[MOST_WORKERS];
  for (long index = 0; index < soak->workers; index++) {
    workers[index] = (struct worker){.session = session,
                                     .shared_channel = shared_channel,
                                     .overall_end_ms = now_ms() + soak->overall_limit_seconds * 1000,
                                     .iterations = soak->iterations / soak->workers};
    check(pthread_create(&threads[index], NULL, work, &workers[index]) == 0, "no thread");
  }
  long due = 0, done = 0, failures = 0;
  for (long index = 0; index < soak->workers; index++) {
    pthread_join(threads[index], NULL);
    due += workers[index].iterations;
    done += workers[index].done;
    failures += workers[index].failures;
  }
  printf("%ld calls, %ld failures\n", done, failures);
  check(done == due, "%ld of %ld calls were made within the overall time", done, due);
  check(failures <= soak->max_failures, "%ld calls failed or were too slow", failures);
}

void rpc_soak(const struct session *session) {
  spanwire_channel *channel = open_channel(session);
  soak_with(session, channel);
  spanwire_channel_free(channel);
}

void channel_soak(const struct session *session) { soak_with(session, NULL); }
