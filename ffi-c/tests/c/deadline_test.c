/* Deadlines: kept by the client, told to the server, and kept by the server as well. */
#include "pair.h"

static void client_gives_up_at_its_deadline(void) {
  pair pair;
  pair_open(&pair, (pair_options){0});
  spanwire_call_options options = {.size = sizeof options, .timeout_ms = 300 * slowness()};
  int64_t began = now_ms();
  TRY(spanwire_call_unary(pair.channel, UNARY, TEXT(""), &options, pair.queue, NULL, NULL));
  spanwire_server_call *call = ACCEPTED(&pair);
  int64_t left = spanwire_server_call_time_remaining_ms(call);
  CHECK(left <= 300 * slowness());
  EXPECT_DONE(pair.queue, SPANWIRE_CODE_DEADLINE_EXCEEDED, "");
  CHECK(now_ms() - began >= 300 * slowness());
  /* The server is told. */
  spanwire_event cancelled = EVENT(pair.requests, CANCELLED);
  CHECK(cancelled.server_call == call);
  spanwire_event_free(&cancelled);
  CHECK(spanwire_server_call_time_remaining_ms(call) < 300 * slowness());
  REFUSED(spanwire_server_call_respond(call, TEXT(""), NULL), SPANWIRE_OVER, "");
  spanwire_server_call_free(call);
  QUIET(pair.requests);
  pair_close(&pair);
}

static void stream_ends_at_its_deadline(void) {
  pair pair;
  pair_open(&pair, (pair_options){0});
  spanwire_call *call = NULL;
  spanwire_call_options options = {.size = sizeof options, .timeout_ms = 300 * slowness(), .credit = 1};
  TRY(spanwire_call_start(pair.channel, BIDI, SPANWIRE_KIND_BIDI, &options, pair.queue, NULL, &call));
  spanwire_server_call *served = ACCEPTED(&pair);
  TRY(spanwire_server_call_send(served, TEXT("in time")));
  PASS(pair.queue, HEADERS);
  PASS(pair.queue, MESSAGES);
  EXPECT_DONE(pair.queue, SPANWIRE_CODE_DEADLINE_EXCEEDED, "");
  PASS(pair.requests, CANCELLED);
  spanwire_server_call_free(served);
  spanwire_call_free(call);
  pair_close(&pair);
}

static void server_learns_the_time_that_is_left(void) {
  pair pair;
  pair_open(&pair, (pair_options){0});
  spanwire_call_options options = {.size = sizeof options, .timeout_ms = 3600000};
  TRY(spanwire_call_unary(pair.channel, UNARY, TEXT(""), &options, pair.queue, NULL, NULL));
  spanwire_server_call *call = ACCEPTED(&pair);
  int64_t left = spanwire_server_call_time_remaining_ms(call);
  CHECK(left > 3600000 - patience_ms() && left <= 3600000);
  TRY(spanwire_server_call_respond(call, TEXT(""), NULL));
  spanwire_server_call_free(call);
  EXPECT_DONE(pair.queue, SPANWIRE_CODE_OK, "");
  pair_close(&pair);
}

static void deadline_that_has_passed_ends_the_call_at_once(void) {
  pair pair;
  pair_open(&pair, (pair_options){0});
  spanwire_call_options options = {.size = sizeof options, .timeout_ms = -1};
  TRY(spanwire_call_unary(pair.channel, UNARY, TEXT(""), &options, pair.queue, NULL, NULL));
  spanwire_event done = EVENT(pair.queue, DONE);
  CHECK_EQ(done.status.code, SPANWIRE_CODE_DEADLINE_EXCEEDED);
  CHECK_EQ(done.status.sent, SPANWIRE_SENT_NOT_SENT);
  spanwire_event_free(&done);
  memset(&done, 0, sizeof done);
  TRY(spanwire_call_unary_blocking(pair.channel, UNARY, TEXT(""), &options, &done));
  CHECK_EQ(done.type, SPANWIRE_EVENT_DONE);
  CHECK_EQ(done.status.code, SPANWIRE_CODE_DEADLINE_EXCEEDED);
  spanwire_event_free(&done);
  spanwire_call *call = NULL;
  TRY(spanwire_call_start(pair.channel, BIDI, SPANWIRE_KIND_BIDI, &options, pair.queue, NULL, &call));
  EXPECT_DONE(pair.queue, SPANWIRE_CODE_DEADLINE_EXCEEDED, "");
  spanwire_call_free(call);
  QUIET(pair.requests);
  pair_close(&pair);
}

static void call_ends_no_later_than_its_parent(void) {
  pair pair;
  pair_open(&pair, (pair_options){0});
  spanwire_call_options outer = {.size = sizeof outer, .timeout_ms = 300 * slowness()};
  TRY(spanwire_call_unary(pair.channel, UNARY, TEXT("outer"), &outer, pair.queue, &outer, NULL));
  spanwire_server_call *handled = ACCEPTED(&pair);
  spanwire_call_options inner = {.size = sizeof inner, .timeout_ms = 3600000, .parent = handled};
  TRY(spanwire_call_unary(pair.channel, UNARY, TEXT("inner"), &inner, pair.queue, &inner, NULL));
  spanwire_server_call *nested = ACCEPTED(&pair);
  CHECK(spanwire_server_call_time_remaining_ms(nested) <= 300 * slowness());
  for (int i = 0; i < 2; i++) EXPECT_DONE(pair.queue, SPANWIRE_CODE_DEADLINE_EXCEEDED, "");
  for (int i = 0; i < 2; i++) PASS(pair.requests, CANCELLED);
  spanwire_server_call_free(nested);
  spanwire_server_call_free(handled);
  /* A parent that was freed is refused, not forgotten. */
  REFUSED(spanwire_call_unary(pair.channel, UNARY, TEXT(""), &inner, pair.queue, NULL, NULL),
          SPANWIRE_INVALID_HANDLE, "");
  pair_close(&pair);
}

static void deadline_covers_the_wait_for_a_server(void) {
  spanwire_queue *queue = MADE(spanwire_queue_new());
  spanwire_channel *channel = MADE(spanwire_channel_new(NULL, "unix:/nowhere/at/all.sock", NULL));
  spanwire_call_options options = {.size = sizeof options, .timeout_ms = 50, .wait_for_ready = true};
  TRY(spanwire_call_unary(channel, UNARY, TEXT(""), &options, queue, NULL, NULL));
  spanwire_event done = EVENT(queue, DONE);
  CHECK_EQ(done.status.code, SPANWIRE_CODE_DEADLINE_EXCEEDED);
  CHECK_EQ(done.status.sent, SPANWIRE_SENT_NOT_SENT);
  spanwire_event_free(&done);
  spanwire_channel_free(channel);
  spanwire_queue_free(queue);
}

int main(int argc, char **argv) {
  static const test tests[] = {
      TEST(client_gives_up_at_its_deadline),     TEST(stream_ends_at_its_deadline),
      TEST(server_learns_the_time_that_is_left), TEST(deadline_that_has_passed_ends_the_call_at_once),
      TEST(call_ends_no_later_than_its_parent),  TEST(deadline_covers_the_wait_for_a_server),
  };
  return run_tests(tests, COUNT_OF(tests), argc, argv);
}
