/* Flow: never more messages than were granted, and senders learn when to wait. */
#include "pair.h"

/* Sends until the stream is full; the number of messages that were taken. */
static size_t fill(spanwire_result (*send)(void *, const spanwire_buffer *), void *call, size_t size) {
  char *data = calloc(1, size);
  size_t sent = 0;
  for (;;) {
    spanwire_result result = TRY(send(call, &(spanwire_buffer){.data = data, .len = size}));
    sent++;
    if (result == SPANWIRE_FULL) break;
    CHECK(sent < 100000);
  }
  free(data);
  return sent;
}

static spanwire_result client_send(void *call, const spanwire_buffer *buffer) {
  return spanwire_call_send(call, buffer);
}

static spanwire_result server_send(void *call, const spanwire_buffer *buffer) {
  return spanwire_server_call_send(call, buffer);
}

/* Takes `wanted` messages, however many come in one event; the client's last grant is `credit`. */
static void take(spanwire_queue *queue, size_t wanted, size_t most_at_once) {
  for (size_t taken = 0; taken < wanted;) {
    spanwire_event event = EVENT(queue, MESSAGES);
    CHECK(event.message_count >= 1 && event.message_count <= most_at_once);
    taken += event.message_count;
    CHECK(taken <= wanted);
    spanwire_event_free(&event);
  }
}

static void client_gets_no_more_than_it_grants(void) {
  pair pair;
  pair_open(&pair, (pair_options){0});
  spanwire_call *call = stream_of(&pair, BIDI, SPANWIRE_KIND_BIDI, 2);
  spanwire_server_call *served = ACCEPTED(&pair);
  for (int i = 0; i < 10; i++) TRY(spanwire_server_call_send(served, TEXT("x")));
  PASS(pair.queue, HEADERS);
  take(pair.queue, 2, 2);
  spanwire_event event;
  CHECK_EQ(spanwire_queue_next(pair.queue, &event, 1, 50), 0);
  TRY(spanwire_call_grant(call, 1));
  take(pair.queue, 1, 1);
  CHECK_EQ(spanwire_queue_next(pair.queue, &event, 1, 50), 0);
  TRY(spanwire_call_grant(call, 3));
  TRY(spanwire_call_grant(call, 3));
  take(pair.queue, 6, 6);
  CHECK_EQ(spanwire_queue_next(pair.queue, &event, 1, 50), 0);
  TRY(spanwire_server_call_finish(served, SPANWIRE_CODE_OK, "", NULL));
  spanwire_server_call_free(served);
  TRY(spanwire_call_grant(call, 1));
  take(pair.queue, 1, 1);
  EXPECT_DONE(pair.queue, SPANWIRE_CODE_OK, "");
  spanwire_call_free(call);
  pair_close(&pair);
}

static void server_gets_no_more_than_it_grants(void) {
  pair pair;
  pair_open(&pair, (pair_options){.credit = 2});
  spanwire_call *call = stream_of(&pair, CLIENT_STREAMING, SPANWIRE_KIND_CLIENT_STREAMING, 1);
  for (int i = 0; i < 5; i++) TRY(spanwire_call_send(call, TEXT("x")));
  TRY(spanwire_call_half_close(call));
  spanwire_event request = EVENT(pair.requests, REQUEST);
  spanwire_server_call *served = request.server_call;
  /* A message that comes with the request has used its credit. */
  size_t taken = request.message.data != NULL;
  spanwire_event_free(&request);
  take(pair.requests, 2 - taken, 2);
  spanwire_event event;
  CHECK_EQ(spanwire_queue_next(pair.requests, &event, 1, 50), 0);
  TRY(spanwire_server_call_grant(served, 100));
  bool end = false;
  for (taken = 2; !end;) {
    event = EVENT(pair.requests, MESSAGES);
    taken += event.message_count;
    end = event.end;
    spanwire_event_free(&event);
  }
  CHECK_EQ(taken, 5);
  TRY(spanwire_server_call_respond(served, TEXT(""), NULL));
  spanwire_server_call_free(served);
  PASS(pair.queue, HEADERS);
  PASS(pair.queue, MESSAGES);
  EXPECT_DONE(pair.queue, SPANWIRE_CODE_OK, "");
  spanwire_call_free(call);
  pair_close(&pair);
}

enum { PIECE = 16 * 1024 };

/* What may be on its way to a reader that takes nothing: the largest windows of both sides and what is queued. */
enum { MOST_UNREAD = 8 * 1024 * 1024 };

static void server_stops_when_the_client_grants_nothing(void) {
  pair pair;
  pair_open(&pair, (pair_options){0});
  spanwire_call *call = stream_of(&pair, BIDI, SPANWIRE_KIND_BIDI, 1);
  spanwire_server_call *served = ACCEPTED(&pair);
  size_t sent = fill(server_send, served, PIECE);
  /* It may go on while the windows fill up, and then no more. */
  spanwire_event event;
  while (spanwire_queue_next(pair.requests, &event, 1, 200) == 1) {
    CHECK_EQ(event.type, SPANWIRE_EVENT_WRITABLE);
    spanwire_event_free(&event);
    sent += fill(server_send, served, PIECE);
    CHECK(sent * PIECE < MOST_UNREAD);
  }
  TRY(spanwire_server_call_finish(served, SPANWIRE_CODE_OK, "", NULL));
  spanwire_server_call_free(served);
  PASS(pair.queue, HEADERS);
  take(pair.queue, 1, 1);
  TRY(spanwire_call_grant(call, (uint32_t)sent));
  take(pair.queue, sent - 1, sent);
  EXPECT_DONE(pair.queue, SPANWIRE_CODE_OK, "");
  spanwire_call_free(call);
  pair_close(&pair);
}

static void client_stops_when_the_server_grants_nothing(void) {
  pair pair;
  pair_open(&pair, (pair_options){.credit = 1});
  spanwire_call *call = stream_of(&pair, CLIENT_STREAMING, SPANWIRE_KIND_CLIENT_STREAMING, 1);
  size_t sent = fill(client_send, call, PIECE);
  spanwire_event event;
  while (spanwire_queue_next(pair.queue, &event, 1, 200) == 1) {
    CHECK_EQ(event.type, SPANWIRE_EVENT_WRITABLE);
    CHECK(event.call == call);
    spanwire_event_free(&event);
    sent += fill(client_send, call, PIECE);
    CHECK(sent * PIECE < MOST_UNREAD);
  }
  TRY(spanwire_call_half_close(call));
  spanwire_event request = EVENT(pair.requests, REQUEST);
  size_t taken = request.message.data != NULL;
  spanwire_server_call *served = request.server_call;
  spanwire_event_free(&request);
  for (bool end = false; !end;) {
    TRY(spanwire_server_call_grant(served, 8));
    event = EVENT(pair.requests, MESSAGES);
    taken += event.message_count;
    end = event.end;
    spanwire_event_free(&event);
  }
  CHECK_EQ(taken, sent);
  TRY(spanwire_server_call_respond(served, TEXT(""), NULL));
  spanwire_server_call_free(served);
  /* It may have become writable meanwhile. */
  do {
    spanwire_event_free(&event);
    CHECK_EQ(spanwire_queue_next(pair.queue, &event, 1, patience_ms()), 1);
  } while (event.type == SPANWIRE_EVENT_WRITABLE);
  CHECK_EQ(event.type, SPANWIRE_EVENT_HEADERS);
  spanwire_event_free(&event);
  PASS(pair.queue, MESSAGES);
  EXPECT_DONE(pair.queue, SPANWIRE_CODE_OK, "");
  spanwire_call_free(call);
  pair_close(&pair);
}

static void writable_comes_once_for_each_full(void) {
  pair pair;
  pair_open(&pair, (pair_options){.address = "inprocess:writable"});
  spanwire_call *call = stream_of(&pair, BIDI, SPANWIRE_KIND_BIDI, 100000);
  spanwire_server_call *served = ACCEPTED(&pair);
  TRY(spanwire_server_call_headers(served, NULL));
  PASS(pair.queue, HEADERS);
  for (int round = 0; round < 5; round++) {
    size_t left = fill(server_send, served, PIECE);
    PASS(pair.requests, WRITABLE);
    take(pair.queue, left, left);
    QUIET(pair.requests);
  }
  TRY(spanwire_server_call_finish(served, SPANWIRE_CODE_OK, "", NULL));
  spanwire_server_call_free(served);
  EXPECT_DONE(pair.queue, SPANWIRE_CODE_OK, "");
  spanwire_call_free(call);
  pair_close(&pair);
}

static void empty_messages_fill_a_call_too(void) {
  pair pair;
  pair_open(&pair, (pair_options){0});
  spanwire_call *call = stream_of(&pair, BIDI, SPANWIRE_KIND_BIDI, 1);
  spanwire_server_call *served = ACCEPTED(&pair);
  size_t sent = 0;
  /* Handed over together, so that nothing leaves meanwhile. */
  spanwire_batch_begin();
  while (TRY(spanwire_server_call_send(served, TEXT(""))) == SPANWIRE_DONE) CHECK(++sent < 10000);
  REFUSED(spanwire_server_call_send(served, TEXT("")), SPANWIRE_BLOCKED, "writable");
  spanwire_batch_end();
  spanwire_call_free(call);
  spanwire_server_call_free(served);
  spanwire_event event = {0};
  while (event.type != SPANWIRE_EVENT_DONE) {
    spanwire_event_free(&event);
    CHECK_EQ(spanwire_queue_next(pair.queue, &event, 1, patience_ms()), 1);
  }
  spanwire_event_free(&event);
  pair_close(&pair);
}

static void other_calls_pass_a_stream_that_nobody_reads(void) {
  pair pair;
  pair_open(&pair, (pair_options){0});
  spanwire_call *call = stream_of(&pair, BIDI, SPANWIRE_KIND_BIDI, 1);
  spanwire_server_call *stuck = ACCEPTED(&pair);
  fill(server_send, stuck, PIECE);
  PASS(pair.queue, HEADERS);
  PASS(pair.queue, MESSAGES);
  for (int i = 0; i < 20; i++) {
    START(&pair, "x", &pair);
    spanwire_event event = {0};
    while (event.type != SPANWIRE_EVENT_REQUEST) {
      CHECK_EQ(spanwire_queue_next(pair.requests, &event, 1, patience_ms()), 1);
      if (event.type == SPANWIRE_EVENT_WRITABLE) fill(server_send, stuck, PIECE);
      if (event.type == SPANWIRE_EVENT_REQUEST) {
        TRY(spanwire_server_call_respond(event.server_call, TEXT(""), NULL));
        spanwire_server_call_free(event.server_call);
        spanwire_event_free(&event);
        break;
      }
      spanwire_event_free(&event);
    }
    EXPECT_DONE(pair.queue, SPANWIRE_CODE_OK, "");
  }
  spanwire_call_free(call);
  EXPECT_DONE(pair.queue, SPANWIRE_CODE_CANCELLED, "");
  spanwire_event event = {0};
  while (event.type != SPANWIRE_EVENT_CANCELLED) {
    CHECK_EQ(spanwire_queue_next(pair.requests, &event, 1, patience_ms()), 1);
    spanwire_event_type type = event.type;
    spanwire_event_free(&event);
    event.type = type;
  }
  spanwire_server_call_free(stuck);
  pair_close(&pair);
}

int main(int argc, char **argv) {
  static const test tests[] = {
      TEST(client_gets_no_more_than_it_grants),          TEST(server_gets_no_more_than_it_grants),
      TEST(server_stops_when_the_client_grants_nothing), TEST(client_stops_when_the_server_grants_nothing),
      TEST(writable_comes_once_for_each_full),           TEST(empty_messages_fill_a_call_too),
      TEST(other_calls_pass_a_stream_that_nobody_reads),
  };
  return run_tests(tests, COUNT_OF(tests), argc, argv);
}
