/* Cancelling, by either side, at every point of a call's life. */
#include <pthread.h>

#include "peer.h"

static void client_cancels_before_headers(void) {
  pair pair;
  pair_open(&pair, (pair_options){0});
  spanwire_call *call = NULL;
  TRY(spanwire_call_unary(pair.channel, UNARY, TEXT(""), NULL, pair.queue, NULL, &call));
  spanwire_server_call *served = ACCEPTED(&pair);
  for (int i = 0; i < 3; i++) TRY(spanwire_call_cancel(call));
  spanwire_event done = EVENT(pair.queue, DONE);
  CHECK_EQ(done.status.code, SPANWIRE_CODE_CANCELLED);
  CHECK_EQ(done.status.sent, SPANWIRE_SENT_MAYBE_SENT);
  spanwire_event_free(&done);
  TRY(spanwire_call_cancel(call)); /* Also when it is over. */
  spanwire_call_free(call);
  PASS(pair.requests, CANCELLED);
  REFUSED(spanwire_server_call_finish(served, SPANWIRE_CODE_OK, "", NULL), SPANWIRE_OVER, "");
  REFUSED(spanwire_server_call_cancel(served), SPANWIRE_OVER, "over");
  spanwire_server_call_free(served);
  QUIET(pair.queue);
  QUIET(pair.requests);
  pair_close(&pair);
}

static void client_cancels_in_the_middle_of_a_stream(void) {
  pair pair;
  pair_open(&pair, (pair_options){0});
  spanwire_call *call = stream_of(&pair, BIDI, SPANWIRE_KIND_BIDI, 4);
  spanwire_server_call *served = ACCEPTED(&pair);
  TRY(spanwire_server_call_send(served, TEXT("x")));
  PASS(pair.queue, HEADERS);
  PASS(pair.queue, MESSAGES);
  TRY(spanwire_call_cancel(call));
  EXPECT_DONE(pair.queue, SPANWIRE_CODE_CANCELLED, "");
  REFUSED(spanwire_call_send(call, TEXT("late")), SPANWIRE_OVER, "");
  PASS(pair.requests, CANCELLED);
  REFUSED(spanwire_server_call_send(served, TEXT("late")), SPANWIRE_OVER, "");
  spanwire_server_call_free(served);
  spanwire_call_free(call);
  pair_close(&pair);
}

static void freeing_a_running_call_cancels_it(void) {
  pair pair;
  pair_open(&pair, (pair_options){0});
  spanwire_call *call = stream_of(&pair, BIDI, SPANWIRE_KIND_BIDI, 4);
  spanwire_server_call *served = ACCEPTED(&pair);
  spanwire_call_free(call);
  spanwire_event done = EVENT(pair.queue, DONE);
  CHECK_EQ(done.status.code, SPANWIRE_CODE_CANCELLED);
  CHECK(done.call == NULL);
  spanwire_event_free(&done);
  PASS(pair.requests, CANCELLED);
  spanwire_server_call_free(served);
  pair_close(&pair);
}

static void call_is_cancelled_before_it_has_a_connection(void) {
  spanwire_queue *queue = MADE(spanwire_queue_new());
  spanwire_channel *channel = MADE(spanwire_channel_new(NULL, "unix:/nowhere/at/all.sock", NULL));
  spanwire_call_options options = {.size = sizeof options, .wait_for_ready = true};
  spanwire_call *call = NULL;
  TRY(spanwire_call_unary(channel, UNARY, TEXT(""), &options, queue, NULL, &call));
  TRY(spanwire_call_cancel(call));
  spanwire_event done = EVENT(queue, DONE);
  CHECK_EQ(done.status.code, SPANWIRE_CODE_CANCELLED);
  CHECK(done.status.sent != SPANWIRE_SENT_ANSWERED);
  spanwire_event_free(&done);
  spanwire_call_free(call);
  spanwire_channel_free(channel);
  spanwire_queue_free(queue);
}

static void server_cancels_before_and_after_headers(void) {
  pair pair;
  pair_open(&pair, (pair_options){0});
  for (int with_headers = 0; with_headers < 2; with_headers++) {
    spanwire_call *call = stream_of(&pair, BIDI, SPANWIRE_KIND_BIDI, 4);
    spanwire_server_call *served = ACCEPTED(&pair);
    if (with_headers) {
      TRY(spanwire_server_call_headers(served, NULL));
      PASS(pair.queue, HEADERS);
    }
    TRY(spanwire_server_call_cancel(served));
    REFUSED(spanwire_server_call_cancel(served), SPANWIRE_OVER, "");
    REFUSED(spanwire_server_call_finish(served, SPANWIRE_CODE_OK, "", NULL), SPANWIRE_OVER, "");
    spanwire_server_call_free(served);
    EXPECT_DONE(pair.queue, SPANWIRE_CODE_CANCELLED, "");
    spanwire_call_free(call);
  }
  QUIET(pair.requests);
  pair_close(&pair);
}

enum { CALLS = 300 };

static void *cancel_all(void *calls) {
  for (int i = 0; i < CALLS; i++) spanwire_call_cancel(((spanwire_call **)calls)[i]);
  return NULL;
}

static void another_thread_may_cancel(void) {
  peer peer;
  peer_start(&peer, NULL, NULL);
  spanwire_channel *channel = MADE(spanwire_channel_new(NULL, peer.target, NULL));
  spanwire_queue *queue = MADE(spanwire_queue_new());
  static spanwire_call *calls[CALLS];
  unsigned char seen[CALLS] = {0};
  for (uintptr_t i = 0; i < CALLS; i++) {
    TRY(spanwire_call_unary(channel, UNARY, TEXT("x"), NULL, queue, (void *)i, &calls[i]));
  }
  pthread_t threads[2];
  for (int i = 0; i < 2; i++) pthread_create(&threads[i], NULL, cancel_all, calls);
  for (int done = 0; done < CALLS; done++) {
    spanwire_event event = EVENT(queue, DONE);
    CHECK(event.status.code == SPANWIRE_CODE_OK || event.status.code == SPANWIRE_CODE_CANCELLED);
    seen[(uintptr_t)event.tag]++;
    spanwire_event_free(&event);
  }
  for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
  for (int i = 0; i < CALLS; i++) {
    CHECK_EQ(seen[i], 1);
    spanwire_call_free(calls[i]);
  }
  QUIET(queue);
  spanwire_channel_free(channel);
  spanwire_queue_free(queue);
  peer_stop(&peer);
}

static void *free_all(void *calls) {
  for (int i = 0; i < CALLS; i++) spanwire_call_free(((spanwire_call **)calls)[i]);
  return NULL;
}

static void cancelling_and_freeing_race_without_harm(void) {
  pair pair;
  pair_open(&pair, (pair_options){.address = "inprocess:race"});
  static spanwire_call *calls[CALLS];
  for (int i = 0; i < CALLS; i++) calls[i] = stream_of(&pair, BIDI, SPANWIRE_KIND_BIDI, 1);
  pthread_t canceller, freer;
  pthread_create(&canceller, NULL, cancel_all, calls);
  pthread_create(&freer, NULL, free_all, calls);
  for (int i = 0; i < CALLS; i++) EXPECT_DONE(pair.queue, SPANWIRE_CODE_CANCELLED, "");
  pthread_join(canceller, NULL);
  pthread_join(freer, NULL);
  spanwire_event event;
  while (spanwire_queue_next(pair.requests, &event, 1, 100) == 1) {
    if (event.type == SPANWIRE_EVENT_REQUEST) spanwire_server_call_free(event.server_call);
    spanwire_event_free(&event);
  }
  pair_close(&pair);
}

int main(int argc, char **argv) {
  static const test tests[] = {
      TEST(client_cancels_before_headers),
      TEST(client_cancels_in_the_middle_of_a_stream),
      TEST(freeing_a_running_call_cancels_it),
      TEST(call_is_cancelled_before_it_has_a_connection),
      TEST(server_cancels_before_and_after_headers),
      TEST(another_thread_may_cancel),
      TEST(cancelling_and_freeing_race_without_harm),
  };
  return run_tests(tests, COUNT_OF(tests), argc, argv);
}
