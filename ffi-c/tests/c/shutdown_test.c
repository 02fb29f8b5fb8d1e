/* Ending servers and channels: with grace, at once, and with calls that still run; and accepting by hand. */
#include "pair.h"

static void shutdown_waits_for_running_calls(void) {
  pair pair;
  pair_open(&pair, (pair_options){0});
  START(&pair, "", NULL);
  spanwire_server_call *call = ACCEPTED(&pair);
  TRY(spanwire_server_shutdown(pair.server, 600000, pair.requests, &pair));
  spanwire_event event;
  CHECK_EQ(spanwire_queue_next(pair.requests, &event, 1, 50), 0);
  /* New calls find nobody. */
  spanwire_channel *late = MADE(spanwire_channel_new(NULL, pair.target, NULL));
  TRY(spanwire_call_unary(late, UNARY, TEXT(""), NULL, pair.queue, late, NULL));
  event = EVENT(pair.queue, DONE);
  CHECK(event.tag == late);
  CHECK_EQ(event.status.code, SPANWIRE_CODE_UNAVAILABLE);
  spanwire_event_free(&event);
  spanwire_channel_free(late);

  TRY(spanwire_server_call_respond(call, TEXT("in time"), NULL));
  spanwire_server_call_free(call);
  event = EVENT(pair.queue, DONE);
  CHECK_EQ(event.status.code, SPANWIRE_CODE_OK);
  CHECK_BYTES(event.message.data, event.message.len, "in time");
  spanwire_event_free(&event);
  event = EVENT(pair.requests, SERVER_CLOSED);
  CHECK(event.tag == &pair);
  spanwire_event_free(&event);
  pair_close(&pair);
}

static void grace_is_bounded(void) {
  pair pair;
  pair_open(&pair, (pair_options){0});
  spanwire_call *call = stream_of(&pair, BIDI, SPANWIRE_KIND_BIDI, 1);
  spanwire_server_call *served = ACCEPTED(&pair);
  int64_t began = now_ms();
  TRY(spanwire_server_shutdown(pair.server, 100, pair.requests, NULL));
  spanwire_event event = EVENT(pair.requests, CANCELLED);
  CHECK(event.server_call == served);
  CHECK(now_ms() - began >= 100);
  spanwire_event_free(&event);
  spanwire_server_call_free(served);
  PASS(pair.requests, SERVER_CLOSED);
  EXPECT_DONE(pair.queue, SPANWIRE_CODE_UNAVAILABLE, "");
  spanwire_call_free(call);
  pair_close(&pair);
}

static void blocking_shutdown_returns_when_it_is_over(void) {
  pair pair;
  pair_open(&pair, (pair_options){0});
  TRY(spanwire_server_shutdown_blocking(pair.server, 1000));
  TRY(spanwire_server_shutdown_blocking(pair.server, 1000)); /* It is over already. */
  TRY(spanwire_server_shutdown(pair.server, 0, pair.requests, NULL));
  PASS(pair.requests, SERVER_CLOSED);
  pair_close(&pair);
}

static void freeing_a_server_ends_its_calls(void) {
  pair pair;
  pair_open(&pair, (pair_options){0});
  START(&pair, "", NULL);
  spanwire_server_call *call = ACCEPTED(&pair);
  spanwire_server_free(pair.server);
  EXPECT_DONE(pair.queue, SPANWIRE_CODE_UNAVAILABLE, "");
  CHECK(spanwire_server_call_respond(call, TEXT(""), NULL) < 0);
  spanwire_server_call_free(call);
  spanwire_event event;
  while (spanwire_queue_next(pair.requests, &event, 1, 50) == 1) {
    CHECK_EQ(event.type, SPANWIRE_EVENT_CANCELLED);
    spanwire_event_free(&event);
  }
  pair_close(&pair); /* The second free of the server does nothing. */
}

static void calls_outlive_their_channel(void) {
  pair pair;
  pair_open(&pair, (pair_options){0});
  START(&pair, "", NULL);
  spanwire_server_call *call = ACCEPTED(&pair);
  spanwire_channel_free(pair.channel);
  TRY(spanwire_server_call_respond(call, TEXT("still"), NULL));
  spanwire_server_call_free(call);
  spanwire_event done = EVENT(pair.queue, DONE);
  CHECK_EQ(done.status.code, SPANWIRE_CODE_OK);
  spanwire_event_free(&done);
  pair_close(&pair);
}

static void server_that_is_gone_ends_running_calls(void) {
  pair pair;
  pair_open(&pair, (pair_options){0});
  spanwire_call *call = stream_of(&pair, BIDI, SPANWIRE_KIND_BIDI, 1);
  spanwire_server_call *served = ACCEPTED(&pair);
  TRY(spanwire_server_call_headers(served, NULL));
  PASS(pair.queue, HEADERS);
  TRY(spanwire_server_shutdown_blocking(pair.server, 0));
  spanwire_event done = EVENT(pair.queue, DONE);
  CHECK_EQ(done.status.code, SPANWIRE_CODE_UNAVAILABLE);
  CHECK_EQ(done.status.sent, SPANWIRE_SENT_ANSWERED);
  spanwire_event_free(&done);
  spanwire_server_call_free(served);
  spanwire_call_free(call);
  pair_close(&pair);
}

static void manual_server_takes_what_it_accepts(void) {
  spanwire_server_options options = {.size = sizeof options, .manual_accept = true};
  pair pair;
  pair_open(&pair, (pair_options){.server = &options});
  for (int i = 0; i < 5; i++) START(&pair, "", NULL);
  spanwire_event event;
  CHECK_EQ(spanwire_queue_next(pair.requests, &event, 1, 100), 0);
  TRY(spanwire_server_accept(pair.server, 2));
  spanwire_server_call *calls[5];
  for (int i = 0; i < 2; i++) calls[i] = ACCEPTED(&pair);
  CHECK_EQ(spanwire_queue_next(pair.requests, &event, 1, 50), 0);
  TRY(spanwire_server_accept(pair.server, 2));
  TRY(spanwire_server_accept(pair.server, 2));
  for (int i = 2; i < 5; i++) calls[i] = ACCEPTED(&pair);
  for (int i = 0; i < 5; i++) {
    TRY(spanwire_server_call_respond(calls[i], TEXT(""), NULL));
    spanwire_server_call_free(calls[i]);
    EXPECT_DONE(pair.queue, SPANWIRE_CODE_OK, "");
  }
  /* One is left over for the next request. */
  START(&pair, "", NULL);
  spanwire_server_call_free(ACCEPTED(&pair));
  EXPECT_DONE(pair.queue, SPANWIRE_CODE_INTERNAL, "");
  START(&pair, "", NULL);
  CHECK_EQ(spanwire_queue_next(pair.requests, &event, 1, 50), 0);
  spanwire_server_free(pair.server);
  EXPECT_DONE(pair.queue, SPANWIRE_CODE_UNAVAILABLE, "");
  pair_close(&pair);
}

static void accept_does_nothing_to_other_servers(void) {
  pair pair;
  pair_open(&pair, (pair_options){0});
  TRY(spanwire_server_accept(pair.server, 0));
  START(&pair, "", NULL);
  spanwire_server_call_free(ACCEPTED(&pair));
  EXPECT_DONE(pair.queue, SPANWIRE_CODE_INTERNAL, "");
  pair_close(&pair);
}

static void mistakes_of_setting_up_are_named(void) {
  spanwire_queue *queue = MADE(spanwire_queue_new());
  spanwire_server *server = MADE(spanwire_server_new(NULL, NULL));
  TRY(spanwire_server_method(server, UNARY, SPANWIRE_KIND_UNARY, queue, NULL, 1));
  REFUSED(spanwire_server_method(server, "no slash", SPANWIRE_KIND_UNARY, queue, NULL, 1),
          SPANWIRE_INVALID_ARGUMENT, "no slash");
  REFUSED(spanwire_server_method(server, BIDI, 9, queue, NULL, 1), SPANWIRE_INVALID_ARGUMENT, "kind");
  REFUSED(spanwire_server_listen(server, NULL), SPANWIRE_INVALID_ARGUMENT, "address");
  CHECK(spanwire_server_listen(server, "nonsense") < 0);
  CHECK_HAS(spanwire_last_error(), "nonsense");
  CHECK_EQ(spanwire_server_port(server), 0);
  spanwire_server_free(server);

  server = MADE(spanwire_server_new(NULL, NULL));
  TRY(spanwire_server_listen(server, "127.0.0.1:0"));
  CHECK(spanwire_server_port(server) > 0);
  CHECK(spanwire_server_method(server, BIDI, SPANWIRE_KIND_BIDI, queue, NULL, 1) < 0);
  CHECK_HAS(spanwire_last_error(), "listen");

  /* Somebody else's port. */
  char taken[64];
  snprintf(taken, sizeof taken, "127.0.0.1:%d", spanwire_server_port(server));
  spanwire_server *second = MADE(spanwire_server_new(NULL, NULL));
  REFUSED(spanwire_server_listen(second, taken), SPANWIRE_SYSTEM, taken);
  spanwire_server_free(second);
  spanwire_server_free(server);
  spanwire_queue_free(queue);
}

int main(int argc, char **argv) {
  static const test tests[] = {
      TEST(shutdown_waits_for_running_calls),
      TEST(grace_is_bounded),
      TEST(blocking_shutdown_returns_when_it_is_over),
      TEST(freeing_a_server_ends_its_calls),
      TEST(calls_outlive_their_channel),
      TEST(server_that_is_gone_ends_running_calls),
      TEST(manual_server_takes_what_it_accepts),
      TEST(accept_does_nothing_to_other_servers),
      TEST(mistakes_of_setting_up_are_named),
  };
  return run_tests(tests, COUNT_OF(tests), argc, argv);
}
