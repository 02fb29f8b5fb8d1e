/* The four kinds of calls, on both sides, over every kind of address. */
#include "pair.h"

static void unary(pair *pair) {
  int tag = 0;
  spanwire_call *call = NULL;
  spanwire_call_options options = {.size = sizeof options};
  TRY(spanwire_call_unary(pair->channel, UNARY, TEXT("ask"), &options, pair->queue, &tag, &call));
  spanwire_event request = EVENT(pair->requests, REQUEST);
  CHECK_TEXT(request.tag, UNARY);
  CHECK_BYTES(request.message.data, request.message.len, "ask");
  CHECK(request.end);
  size_t len = 0;
  CHECK_TEXT(spanwire_server_call_method(request.server_call, &len), UNARY);
  CHECK_EQ(len, strlen(UNARY));
  CHECK_EQ(spanwire_server_call_time_remaining_ms(request.server_call), INT64_MAX);
  TRY(spanwire_server_call_respond(request.server_call, TEXT("answer"), NULL));
  spanwire_server_call_free(request.server_call);
  spanwire_event_free(&request);

  spanwire_event done = EVENT(pair->queue, DONE);
  CHECK(done.tag == &tag);
  CHECK(done.call == call);
  CHECK_EQ(done.status.code, SPANWIRE_CODE_OK);
  CHECK_TEXT(done.status.message, "");
  CHECK_EQ(done.status.sent, SPANWIRE_SENT_ANSWERED);
  CHECK_EQ(done.status.attempts, 1);
  CHECK_BYTES(done.message.data, done.message.len, "answer");
  spanwire_event_free(&done);
  CHECK_EQ(done.type, SPANWIRE_EVENT_NONE);
  spanwire_call_free(call);
}

static void server_streaming(pair *pair) {
  spanwire_call *call = stream_of(pair, SERVER_STREAMING, SPANWIRE_KIND_SERVER_STREAMING, 8);
  TRY(spanwire_call_send(call, TEXT("watch")));
  spanwire_event request = EVENT(pair->requests, REQUEST);
  CHECK_BYTES(request.message.data, request.message.len, "watch");
  CHECK(request.end);
  spanwire_server_call *served = request.server_call;
  spanwire_event_free(&request);
  TRY(spanwire_server_call_send(served, TEXT("one")));
  TRY(spanwire_server_call_send(served, TEXT("two")));
  TRY(spanwire_server_call_finish(served, SPANWIRE_CODE_OK, NULL, NULL));
  spanwire_server_call_free(served);

  PASS(pair->queue, HEADERS);
  char text[16] = "";
  for (size_t seen = 0; seen < 2;) {
    spanwire_event event = EVENT(pair->queue, MESSAGES);
    for (size_t i = 0; i < event.message_count; i++) {
      strncat(text, (const char *)event.messages[i].data, event.messages[i].len);
    }
    seen += event.message_count;
    spanwire_event_free(&event);
  }
  CHECK_TEXT(text, "onetwo");
  EXPECT_DONE(pair->queue, SPANWIRE_CODE_OK, "");
  spanwire_call_free(call);
}

/* Takes what a client sends until it ends, as text. */
static void receive_all(pair *pair, char *text, bool end) {
  while (!end) {
    spanwire_event event = EVENT(pair->requests, MESSAGES);
    for (size_t i = 0; i < event.message_count; i++) {
      strncat(text, (const char *)event.messages[i].data, event.messages[i].len);
    }
    end = event.end;
    spanwire_event_free(&event);
  }
}

static void client_streaming(pair *pair) {
  spanwire_call *call = stream_of(pair, CLIENT_STREAMING, SPANWIRE_KIND_CLIENT_STREAMING, 1);
  TRY(spanwire_call_send(call, TEXT("a")));
  TRY(spanwire_call_send(call, TEXT("")));
  spanwire_buffer last = text_of("b");
  last.flags = SPANWIRE_SEND_LAST;
  TRY(spanwire_call_send(call, &last));
  REFUSED(spanwire_call_send(call, TEXT("late")), SPANWIRE_OVER, "half");

  spanwire_event request = EVENT(pair->requests, REQUEST);
  char text[16] = "";
  if (request.message.data != NULL) strncat(text, (const char *)request.message.data, request.message.len);
  receive_all(pair, text, request.end);
  CHECK_TEXT(text, "ab");
  TRY(spanwire_server_call_respond(request.server_call, TEXT("sum"), NULL));
  spanwire_server_call_free(request.server_call);
  spanwire_event_free(&request);

  PASS(pair->queue, HEADERS);
  spanwire_event answer = EVENT(pair->queue, MESSAGES);
  CHECK_EQ(answer.message_count, 1);
  CHECK_BYTES(answer.messages[0].data, answer.messages[0].len, "sum");
  spanwire_event_free(&answer);
  EXPECT_DONE(pair->queue, SPANWIRE_CODE_OK, "");
  spanwire_call_free(call);
}

static void bidi(pair *pair) {
  spanwire_call *call = stream_of(pair, BIDI, SPANWIRE_KIND_BIDI, 8);
  spanwire_event request = EVENT(pair->requests, REQUEST);
  CHECK(request.message.data == NULL);
  CHECK(!request.end);
  spanwire_server_call *served = request.server_call;
  spanwire_event_free(&request);
  TRY(spanwire_server_call_headers(served, NULL));
  PASS(pair->queue, HEADERS);

  const char *lines[] = {"ping", "pong", "end"};
  for (size_t i = 0; i < COUNT_OF(lines); i++) {
    TRY(spanwire_call_send(call, TEXT(lines[i])));
    spanwire_event heard = EVENT(pair->requests, MESSAGES);
    CHECK_EQ(heard.message_count, 1);
    CHECK(heard.server_call == served);
    CHECK_BYTES(heard.messages[0].data, heard.messages[0].len, lines[i]);
    TRY(spanwire_server_call_send(
        served, &(spanwire_buffer){.data = heard.messages[0].data, .len = heard.messages[0].len}));
    spanwire_event_free(&heard);
    heard = EVENT(pair->queue, MESSAGES);
    CHECK(heard.call == call);
    CHECK_BYTES(heard.messages[0].data, heard.messages[0].len, lines[i]);
    spanwire_event_free(&heard);
  }
  TRY(spanwire_call_half_close(call));
  REFUSED(spanwire_call_send(call, TEXT("late")), SPANWIRE_OVER, "half");
  spanwire_event end = EVENT(pair->requests, MESSAGES);
  CHECK(end.end);
  CHECK_EQ(end.message_count, 0);
  spanwire_event_free(&end);
  TRY(spanwire_server_call_finish(served, SPANWIRE_CODE_OK, "", NULL));
  REFUSED(spanwire_server_call_send(served, TEXT("late")), SPANWIRE_OVER, "");
  spanwire_server_call_free(served);
  EXPECT_DONE(pair->queue, SPANWIRE_CODE_OK, "");
  spanwire_call_free(call);
}

static void every_kind_at(const char *address, const char *scheme) {
  pair pair;
  pair_open(&pair, (pair_options){.address = address});
  CHECK_HAS(pair.target, scheme);
  unary(&pair);
  server_streaming(&pair);
  client_streaming(&pair);
  bidi(&pair);
  QUIET(pair.queue);
  QUIET(pair.requests);
  pair_close(&pair);
}

static void every_kind_over_tcp(void) { every_kind_at("127.0.0.1:0", "127.0.0.1:"); }

static void every_kind_over_a_unix_socket(void) {
  char address[64];
  snprintf(address, sizeof address, "unix:/tmp/spanwire-kinds-%d.sock", (int)getpid());
  every_kind_at(address, "unix:");
}

static void every_kind_in_process(void) { every_kind_at("inprocess:kinds", "inprocess:kinds"); }

static void messages_of_any_size_arrive_whole(void) {
  static const size_t sizes[] = {0, 1, 4095, 16384, 65536, 1000003, 4 * 1024 * 1024};
  pair pair;
  pair_open(&pair, (pair_options){0});
  for (size_t i = 0; i < COUNT_OF(sizes); i++) {
    size_t size = sizes[i];
    uint8_t *data = malloc(size + 1);
    for (size_t at = 0; at < size; at++) data[at] = (uint8_t)(at * 31 + at / 251);
    spanwire_buffer buffer = {.data = data, .len = size};
    TRY(spanwire_call_unary(pair.channel, UNARY, &buffer, NULL, pair.queue, NULL, NULL));
    spanwire_event request = EVENT(pair.requests, REQUEST);
    CHECK_EQ(request.message.len, size);
    CHECK(request.message.data != NULL);
    TRY(spanwire_server_call_respond(request.server_call,
                                     &(spanwire_buffer){.data = request.message.data, .len = size}, NULL));
    spanwire_server_call_free(request.server_call);
    spanwire_event_free(&request);
    spanwire_event done = EVENT(pair.queue, DONE);
    CHECK_EQ(done.status.code, SPANWIRE_CODE_OK);
    CHECK_EQ(done.message.len, size);
    CHECK(memcmp(done.message.data, data, size) == 0);
    spanwire_event_free(&done);
    free(data);
  }
  pair_close(&pair);
}

static void unary_client_without_a_handle_has_none_in_its_event(void) {
  pair pair;
  pair_open(&pair, (pair_options){0});
  START(&pair, "x", &pair);
  spanwire_server_call *call = ACCEPTED(&pair);
  TRY(spanwire_server_call_respond(call, TEXT(""), NULL));
  spanwire_server_call_free(call);
  spanwire_event done = EVENT(pair.queue, DONE);
  CHECK(done.call == NULL);
  CHECK(done.tag == &pair);
  CHECK(done.message.data != NULL);
  CHECK_EQ(done.message.len, 0);
  char peer[256];
  size_t len = spanwire_event_peer(&done, peer, sizeof peer);
  CHECK_EQ(len, strlen(peer));
  CHECK_HAS(peer, "127.0.0.1:");
  CHECK_EQ(spanwire_event_peer(&done, NULL, 0), len);
  char cut[4];
  CHECK_EQ(spanwire_event_peer(&done, cut, sizeof cut), len);
  CHECK_TEXT(cut, "ipv");
  spanwire_event_free(&done);
  pair_close(&pair);
}

static void method_that_the_server_lacks_is_unimplemented(void) {
  pair pair;
  pair_open(&pair, (pair_options){0});
  TRY(spanwire_call_unary(pair.channel, "/test.Service/None", TEXT(""), NULL, pair.queue, NULL, NULL));
  EXPECT_DONE(pair.queue, SPANWIRE_CODE_UNIMPLEMENTED, "service test.Service has no method None");
  pair_close(&pair);
}

static void kinds_with_one_request_take_one_send(void) {
  pair pair;
  pair_open(&pair, (pair_options){0});
  spanwire_call *call = stream_of(&pair, SERVER_STREAMING, SPANWIRE_KIND_SERVER_STREAMING, 1);
  TRY(spanwire_call_send(call, TEXT("first")));
  REFUSED(spanwire_call_send(call, TEXT("second")), SPANWIRE_OVER, "");
  spanwire_server_call_free(ACCEPTED(&pair));
  EXPECT_DONE(pair.queue, SPANWIRE_CODE_INTERNAL, "");
  spanwire_call_free(call);
  pair_close(&pair);
}

static void unary_as_a_stream_has_the_same_answer(void) {
  pair pair;
  pair_open(&pair, (pair_options){0});
  spanwire_call *call = stream_of(&pair, UNARY, SPANWIRE_KIND_UNARY, 1);
  TRY(spanwire_call_send(call, TEXT("ask")));
  spanwire_server_call *served = ACCEPTED(&pair);
  TRY(spanwire_server_call_respond(served, TEXT("answer"), NULL));
  spanwire_server_call_free(served);
  PASS(pair.queue, HEADERS);
  spanwire_event event = EVENT(pair.queue, MESSAGES);
  CHECK_BYTES(event.messages[0].data, event.messages[0].len, "answer");
  spanwire_event_free(&event);
  EXPECT_DONE(pair.queue, SPANWIRE_CODE_OK, "");
  spanwire_call_free(call);
  pair_close(&pair);
}

int main(int argc, char **argv) {
  static const test tests[] = {
      TEST(every_kind_over_tcp),
      TEST(every_kind_over_a_unix_socket),
      TEST(every_kind_in_process),
      TEST(messages_of_any_size_arrive_whole),
      TEST(unary_client_without_a_handle_has_none_in_its_event),
      TEST(method_that_the_server_lacks_is_unimplemented),
      TEST(kinds_with_one_request_take_one_send),
      TEST(unary_as_a_stream_has_the_same_answer),
  };
  return run_tests(tests, COUNT_OF(tests), argc, argv);
}
