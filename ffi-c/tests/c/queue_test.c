/* The queue of events: every way to wait for it. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/epoll.h>

#include "peer.h"

static void empty_queue_answers_nothing_when_the_time_is_up(void) {
  spanwire_queue *queue = MADE(spanwire_queue_new());
  spanwire_event event;
  int64_t began = now_ms();
  CHECK_EQ(spanwire_queue_next(queue, &event, 1, 50), 0);
  CHECK(now_ms() - began >= 50);
  began = now_ms();
  CHECK_EQ(spanwire_queue_next(queue, &event, 1, 0), 0);
  CHECK(now_ms() - began < patience_ms());
  spanwire_queue_free(queue);
}

static void *wait_for_ever(void *queue) {
  spanwire_event event;
  return (void *)(intptr_t)spanwire_queue_next(queue, &event, 1, -1);
}

static void wake_ends_a_wait_in_another_thread(void) {
  spanwire_queue *queue = MADE(spanwire_queue_new());
  pthread_t thread;
  CHECK_EQ(pthread_create(&thread, NULL, wait_for_ever, queue), 0);
  TRY(spanwire_queue_wake(queue));
  void *answer = &answer;
  pthread_join(thread, &answer);
  CHECK(answer == NULL);
  spanwire_queue_free(queue);
}

static void wake_is_kept_for_the_next_wait(void) {
  spanwire_queue *queue = MADE(spanwire_queue_new());
  TRY(spanwire_queue_wake(queue));
  CHECK(wait_for_ever(queue) == NULL);
  /* It is used up: the next wait is a full one. */
  spanwire_event event;
  int64_t began = now_ms();
  CHECK_EQ(spanwire_queue_next(queue, &event, 1, 30), 0);
  CHECK(now_ms() - began >= 30);
  spanwire_queue_free(queue);
}

static void freeing_the_queue_ends_a_wait(void) {
  spanwire_queue *queue = MADE(spanwire_queue_new());
  pthread_t thread;
  CHECK_EQ(pthread_create(&thread, NULL, wait_for_ever, queue), 0);
  usleep(10000); /* Mostly it waits by now; the answer may be either when it has not begun. */
  spanwire_queue_free(queue);
  void *answer = NULL;
  pthread_join(thread, &answer);
  int32_t result = (int32_t)(intptr_t)answer;
  CHECK(result == SPANWIRE_SHUT_DOWN || result == SPANWIRE_INVALID_HANDLE);
}

static atomic_int signals;

static void on_signal(int number) {
  (void)number;
  atomic_fetch_add(&signals, 1);
}

static void signals_do_not_end_a_wait(void) {
  struct sigaction action = {.sa_handler = on_signal}; /* Without SA_RESTART. */
  CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
  spanwire_queue *queue = MADE(spanwire_queue_new());
  pthread_t thread;
  CHECK_EQ(pthread_create(&thread, NULL, wait_for_ever, queue), 0);
  for (int sent = 1; sent <= 20; sent++) {
    pthread_kill(thread, SIGUSR1);
    while (atomic_load(&signals) < sent) usleep(100);
    usleep(500);
  }
  CHECK_EQ(pthread_tryjoin_np(thread, NULL), EBUSY);
  TRY(spanwire_queue_wake(queue));
  void *answer = &answer;
  pthread_join(thread, &answer);
  CHECK(answer == NULL);
  spanwire_queue_free(queue);
}

static int polled(int descriptor, int timeout_ms) {
  struct pollfd pollfd = {.fd = descriptor, .events = POLLIN};
  return poll(&pollfd, 1, timeout_ms);
}

static void descriptor_is_readable_while_events_wait(void) {
  peer peer;
  peer_start(&peer, NULL, NULL);
  spanwire_channel *channel = MADE(spanwire_channel_new(NULL, peer.target, NULL));
  spanwire_queue *queue = MADE(spanwire_queue_new());
  int descriptor = TRY(spanwire_queue_descriptor(queue));
  CHECK_EQ(spanwire_queue_descriptor(queue), descriptor);
  CHECK_EQ(polled(descriptor, 0), 0);
  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < 2; i++) TRY(spanwire_call_unary(channel, UNARY, TEXT(""), NULL, queue, NULL, NULL));
    for (int left = 2; left > 0; left--) {
      CHECK_EQ(polled(descriptor, (int)patience_ms()), 1);
      spanwire_event event;
      CHECK_EQ(spanwire_queue_next(queue, &event, 1, 0), 1);
      spanwire_event_free(&event);
    }
    QUIET(queue);
    CHECK_EQ(polled(descriptor, 0), 0);
  }
  spanwire_channel_free(channel);
  spanwire_queue_free(queue);
  peer_stop(&peer);
}

static void descriptor_works_in_epoll_with_a_partial_drain(void) {
  enum { CALLS = 200 };
  peer peer;
  peer_start(&peer, NULL, NULL);
  spanwire_channel *channel = MADE(spanwire_channel_new(NULL, peer.target, NULL));
  spanwire_queue *queue = MADE(spanwire_queue_new());
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event interest = {.events = EPOLLIN, .data.ptr = queue};
  CHECK_EQ(epoll_ctl(epoll, EPOLL_CTL_ADD, TRY(spanwire_queue_descriptor(queue)), &interest), 0);
  for (int i = 0; i < CALLS; i++) TRY(spanwire_call_unary(channel, UNARY, TEXT("x"), NULL, queue, NULL, NULL));
  for (int done = 0; done < CALLS;) {
    struct epoll_event ready;
    CHECK_EQ(epoll_wait(epoll, &ready, 1, (int)patience_ms()), 1);
    CHECK(ready.data.ptr == queue);
    spanwire_event events[3];
    int32_t count = TRY(spanwire_queue_next(queue, events, COUNT_OF(events), 0));
    spanwire_events_free(events, (size_t)count);
    done += count;
  }
  QUIET(queue);
  close(epoll);
  spanwire_channel_free(channel);
  spanwire_queue_free(queue);
  peer_stop(&peer);
}

static void wake_makes_the_descriptor_readable(void) {
  spanwire_queue *queue = MADE(spanwire_queue_new());
  int descriptor = TRY(spanwire_queue_descriptor(queue));
  TRY(spanwire_queue_wake(queue));
  CHECK_EQ(polled(descriptor, (int)patience_ms()), 1);
  QUIET(queue);
  CHECK_EQ(polled(descriptor, 0), 0);
  spanwire_queue_free(queue);
}

/* What a push queue's callback has seen. */
typedef struct seen {
  sem_t each;
  pthread_t thread;
  size_t bytes;
} seen;

static void on_events(void *user_data, spanwire_event *events, size_t count) {
  seen *seen = user_data;
  for (size_t i = 0; i < count; i++) {
    CHECK_EQ(events[i].type, SPANWIRE_EVENT_DONE);
    CHECK_EQ(events[i].status.code, SPANWIRE_CODE_OK);
    CHECK(events[i].tag == seen);
    seen->bytes += events[i].message.len;
    seen->thread = pthread_self();
    sem_post(&seen->each);
  }
}

static void push_queue_calls_back_on_a_thread_of_its_own(void) {
  enum { CALLS = 300 };
  peer peer;
  peer_start(&peer, NULL, NULL);
  spanwire_channel *channel = MADE(spanwire_channel_new(NULL, peer.target, NULL));
  seen seen = {.bytes = 0};
  sem_init(&seen.each, 0, 0);
  spanwire_queue *queue = MADE(spanwire_queue_new_push(on_events, &seen));
  for (int i = 0; i < CALLS; i++) TRY(spanwire_call_unary(channel, UNARY, TEXT("abc"), NULL, queue, &seen, NULL));
  for (int i = 0; i < CALLS; i++) sem_wait(&seen.each);
  /* It waits for the callback that runs. */
  spanwire_queue_free(queue);
  CHECK_EQ(seen.bytes, 3 * CALLS);
  CHECK(!pthread_equal(seen.thread, pthread_self()));
  spanwire_channel_free(channel);
  sem_destroy(&seen.each);
  peer_stop(&peer);
}

/* Answers on the engine's thread; what waits is refused there. */
static void answer_here(void *user_data, spanwire_event *events, size_t count) {
  seen *seen = user_data;
  CHECK_EQ(count, 1);
  if (events->type != SPANWIRE_EVENT_REQUEST) return;
  seen->bytes += events->message.len;
  seen->thread = pthread_self();
  spanwire_buffer echo = {.data = events->message.data, .len = events->message.len};
  TRY(spanwire_server_call_respond(events->server_call, &echo, NULL));
  spanwire_server_call_free(events->server_call);
  spanwire_queue *other = MADE(spanwire_queue_new());
  spanwire_event event;
  REFUSED(spanwire_queue_next(other, &event, 1, -1), SPANWIRE_INVALID_ARGUMENT, "must not wait");
  spanwire_queue_free(other);
}

static void inline_queue_is_told_on_the_engines_thread(void) {
  enum { CALLS = 300 };
  seen served = {.bytes = 0}, seen = {.bytes = 0};
  sem_init(&seen.each, 0, 0);
  spanwire_queue *requests = MADE(spanwire_queue_new_inline(answer_here, &served));
  spanwire_server *server = MADE(spanwire_server_new(NULL, NULL));
  TRY(spanwire_server_method(server, UNARY, SPANWIRE_KIND_UNARY, requests, NULL, 0));
  TRY(spanwire_server_listen(server, "127.0.0.1:0"));
  char target[64];
  CHECK(spanwire_server_target(server, target, sizeof target) < sizeof target);
  spanwire_channel *channel = MADE(spanwire_channel_new(NULL, target, NULL));
  spanwire_queue *queue = MADE(spanwire_queue_new_inline(on_events, &seen));
  for (int i = 0; i < CALLS; i++) TRY(spanwire_call_unary(channel, UNARY, TEXT("abc"), NULL, queue, &seen, NULL));
  for (int i = 0; i < CALLS; i++) sem_wait(&seen.each);
  uint64_t events = 0, wakes = 1;
  TRY(spanwire_queue_stats(queue, &events, &wakes));
  CHECK_EQ(events, CALLS);
  CHECK_EQ(wakes, 0);
  /* It waits for callbacks that run. */
  spanwire_queue_free(queue);
  spanwire_server_free(server);
  spanwire_queue_free(requests);
  CHECK_EQ(seen.bytes, 3 * CALLS);
  CHECK_EQ(served.bytes, 3 * CALLS);
  CHECK(!pthread_equal(seen.thread, pthread_self()) && !pthread_equal(served.thread, pthread_self()));
  CHECK(spanwire_queue_new_inline(NULL, NULL) == NULL);
  spanwire_channel_free(channel);
  sem_destroy(&seen.each);
}

enum { DRAINERS = 4, PER_DRAINER = 500, ALL_CALLS = DRAINERS * PER_DRAINER };

typedef struct drain {
  spanwire_queue *queue;
  unsigned char seen[ALL_CALLS]; /* by the call's number; each is written by whoever took it */
} drain;

static void *take_until_woken(void *argument) {
  drain *drain = argument;
  intptr_t taken = 0;
  for (;;) {
    spanwire_event events[7];
    int32_t count = spanwire_queue_next(drain->queue, events, COUNT_OF(events), -1);
    if (count <= 0) return (void *)taken;
    for (int32_t i = 0; i < count; i++) {
      CHECK_EQ(events[i].status.code, SPANWIRE_CODE_OK);
      drain->seen[(uintptr_t)events[i].tag]++;
    }
    taken += count;
    spanwire_events_free(events, (size_t)count);
  }
}

static void several_threads_drain_one_queue(void) {
  static drain drain;
  memset(&drain, 0, sizeof drain);
  peer peer;
  peer_start(&peer, NULL, NULL);
  spanwire_channel *channel = MADE(spanwire_channel_new(NULL, peer.target, NULL));
  drain.queue = MADE(spanwire_queue_new());
  pthread_t threads[DRAINERS];
  for (int i = 0; i < DRAINERS; i++) pthread_create(&threads[i], NULL, take_until_woken, &drain);
  for (uintptr_t i = 0; i < ALL_CALLS; i++) {
    TRY(spanwire_call_unary(channel, UNARY, TEXT("x"), NULL, drain.queue, (void *)i, NULL));
  }
  uint64_t events = 0, wakes = 0;
  while (events < ALL_CALLS) {
    spanwire_queue_stats(drain.queue, &events, &wakes);
    usleep(1000);
  }
  intptr_t taken = 0;
  for (int i = 0; i < DRAINERS; i++) TRY(spanwire_queue_wake(drain.queue));
  for (int i = 0; i < DRAINERS; i++) {
    void *count = NULL;
    /* One that was busy takes another's wake as well when they coincide. */
    struct timespec soon;
    clock_gettime(CLOCK_REALTIME, &soon);
    soon.tv_sec += 1;
    while (pthread_timedjoin_np(threads[i], &count, &soon) != 0) {
      TRY(spanwire_queue_wake(drain.queue));
      soon.tv_sec += 1;
    }
    taken += (intptr_t)count;
  }
  CHECK_EQ(taken, ALL_CALLS);
  for (size_t i = 0; i < ALL_CALLS; i++) CHECK_EQ(drain.seen[i], 1);
  CHECK_EQ(events, ALL_CALLS);
  CHECK(wakes >= 1 && wakes <= events);
  spanwire_channel_free(channel);
  spanwire_queue_free(drain.queue);
  peer_stop(&peer);
}

static void batch_hands_over_together(void) {
  enum { CALLS = 50 };
  pair pair;
  pair_open(&pair, (pair_options){0});
  START(&pair, "warm up", NULL);
  spanwire_server_call *call = ACCEPTED(&pair);
  TRY(spanwire_server_call_respond(call, TEXT(""), NULL));
  spanwire_server_call_free(call);
  EXPECT_DONE(pair.queue, SPANWIRE_CODE_OK, "");

  spanwire_batch_begin();
  spanwire_batch_begin();
  for (int i = 0; i < CALLS; i++) START(&pair, "x", NULL);
  spanwire_batch_end();
  /* Nothing has left before the outermost end. */
  usleep(30000);
  QUIET(pair.requests);
  spanwire_batch_end();
  spanwire_server_call *calls[CALLS];
  for (int i = 0; i < CALLS; i++) calls[i] = ACCEPTED(&pair);
  spanwire_batch_begin();
  for (int i = 0; i < CALLS; i++) {
    TRY(spanwire_server_call_respond(calls[i], TEXT("y"), NULL));
    spanwire_server_call_free(calls[i]);
  }
  spanwire_batch_end();
  for (int i = 0; i < CALLS; i++) EXPECT_DONE(pair.queue, SPANWIRE_CODE_OK, "");
  spanwire_batch_end(); /* One too many does no harm. */
  pair_close(&pair);
}

static void capacity_bounds_what_one_call_takes(void) {
  pair pair;
  pair_open(&pair, (pair_options){0});
  for (int i = 0; i < 5; i++) START(&pair, "x", NULL);
  for (int i = 0; i < 5; i++) spanwire_server_call_free(ACCEPTED(&pair));
  spanwire_event events[8];
  REFUSED(spanwire_queue_next(pair.queue, events, 0, 0), SPANWIRE_INVALID_ARGUMENT, "capacity");
  REFUSED(spanwire_queue_next(pair.queue, NULL, 8, 0), SPANWIRE_INVALID_ARGUMENT, "events");
  size_t taken = 0;
  while (taken < 5) {
    int32_t count = TRY(spanwire_queue_next(pair.queue, events, 2, patience_ms()));
    CHECK(count >= 1 && count <= 2);
    for (int32_t i = 0; i < count; i++) CHECK_EQ(events[i].status.code, SPANWIRE_CODE_INTERNAL);
    spanwire_events_free(events, (size_t)count);
    spanwire_events_free(events, (size_t)count); /* Freed events are empty. */
    taken += (size_t)count;
  }
  QUIET(pair.queue);
  pair_close(&pair);
}

int main(int argc, char **argv) {
  static const test tests[] = {
      TEST(empty_queue_answers_nothing_when_the_time_is_up),
      TEST(wake_ends_a_wait_in_another_thread),
      TEST(wake_is_kept_for_the_next_wait),
      TEST(freeing_the_queue_ends_a_wait),
      TEST(signals_do_not_end_a_wait),
      TEST(descriptor_is_readable_while_events_wait),
      TEST(descriptor_works_in_epoll_with_a_partial_drain),
      TEST(wake_makes_the_descriptor_readable),
      TEST(push_queue_calls_back_on_a_thread_of_its_own),
      TEST(inline_queue_is_told_on_the_engines_thread),
      TEST(several_threads_drain_one_queue),
      TEST(batch_hands_over_together),
      TEST(capacity_bounds_what_one_call_takes),
  };
  return run_tests(tests, COUNT_OF(tests), argc, argv);
}
