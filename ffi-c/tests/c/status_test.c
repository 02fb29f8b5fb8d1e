/* How a call ends: code, message, details, trailers, and what is known beside them. */
#include "pair.h"

/* A google.rpc.Status of code 5 and message "gone". */
static const unsigned char details[] = {0x08, 0x05, 0x12, 0x04, 'g', 'o', 'n', 'e'};

static void code_message_details_and_trailers_arrive(void) {
  pair pair;
  pair_open(&pair, (pair_options){0});
  for (spanwire_code code = SPANWIRE_CODE_CANCELLED; code <= SPANWIRE_CODE_UNAUTHENTICATED; code++) {
    START(&pair, "", NULL);
    spanwire_server_call *call = ACCEPTED(&pair);
    const spanwire_metadata_entry trailer = {"x-why", "because", 7};
    spanwire_answer answer = {.size = sizeof answer,
                              .trailers = &trailer,
                              .trailer_count = 1,
                              .details = details,
                              .details_len = sizeof details};
    TRY(spanwire_server_call_finish(call, code, "percent % and \xc3\xbcmlaut\n", &answer));
    REFUSED(spanwire_server_call_finish(call, code, "", NULL), SPANWIRE_OVER, "");
    spanwire_server_call_free(call);
    spanwire_event done = EVENT(pair.queue, DONE);
    CHECK_EQ(done.status.code, code);
    CHECK_TEXT(done.status.message, "percent % and \xc3\xbcmlaut\n");
    CHECK_EQ(done.status.message_len, strlen(done.status.message));
    CHECK_EQ(done.status.details_len, sizeof details);
    CHECK(memcmp(done.status.details, details, sizeof details) == 0);
    CHECK_EQ(done.status.sent, SPANWIRE_SENT_ANSWERED);
    CHECK(done.message.data == NULL);
    spanwire_metadata_entry entry;
    CHECK(spanwire_metadata_find(done.status.trailers, "x-why", 0, &entry));
    CHECK_BYTES(entry.value, entry.value_len, "because");
    spanwire_event_free(&done);
  }
  pair_close(&pair);
}

static void stream_keeps_its_messages_before_an_error(void) {
  pair pair;
  pair_open(&pair, (pair_options){0});
  spanwire_call *call = stream_of(&pair, BIDI, SPANWIRE_KIND_BIDI, 4);
  spanwire_server_call *served = ACCEPTED(&pair);
  TRY(spanwire_server_call_send(served, TEXT("one")));
  TRY(spanwire_server_call_finish(served, SPANWIRE_CODE_ABORTED, "enough", NULL));
  spanwire_server_call_free(served);
  PASS(pair.queue, HEADERS);
  spanwire_event event = EVENT(pair.queue, MESSAGES);
  CHECK_BYTES(event.messages[0].data, event.messages[0].len, "one");
  spanwire_event_free(&event);
  EXPECT_DONE(pair.queue, SPANWIRE_CODE_ABORTED, "enough");
  REFUSED(spanwire_call_send(call, TEXT("late")), SPANWIRE_OVER, "");
  REFUSED(spanwire_call_half_close(call), SPANWIRE_OVER, "");
  spanwire_call_free(call);
  pair_close(&pair);
}

static void freeing_an_unanswered_call_fails_it(void) {
  pair pair;
  pair_open(&pair, (pair_options){0});
  START(&pair, "", NULL);
  spanwire_server_call_free(ACCEPTED(&pair));
  EXPECT_DONE(pair.queue, SPANWIRE_CODE_INTERNAL, "");
  pair_close(&pair);
}

static void numbers_that_are_no_code_are_unknown(void) {
  pair pair;
  pair_open(&pair, (pair_options){0});
  START(&pair, "", NULL);
  spanwire_server_call *call = ACCEPTED(&pair);
  TRY(spanwire_server_call_finish(call, 17, "not a code", NULL));
  spanwire_server_call_free(call);
  EXPECT_DONE(pair.queue, SPANWIRE_CODE_UNKNOWN, "not a code");
  START(&pair, "", NULL);
  call = ACCEPTED(&pair);
  REFUSED(spanwire_server_call_finish(call, SPANWIRE_CODE_OK, "\xff\xfe", NULL), SPANWIRE_INVALID_ARGUMENT,
          "UTF-8");
  /* A unary call cannot be OK without its one message. */
  TRY(spanwire_server_call_finish(call, SPANWIRE_CODE_OK, "", NULL));
  spanwire_server_call_free(call);
  EXPECT_DONE(pair.queue, SPANWIRE_CODE_UNIMPLEMENTED, "");
  pair_close(&pair);
}

static void unreachable_server_is_unavailable_and_not_sent(void) {
  char target[64];
  snprintf(target, sizeof target, "127.0.0.1:%d", closed_port());
  spanwire_channel *channel = MADE(spanwire_channel_new(NULL, target, NULL));
  spanwire_queue *queue = MADE(spanwire_queue_new());
  TRY(spanwire_call_unary(channel, UNARY, TEXT(""), NULL, queue, NULL, NULL));
  spanwire_event done = EVENT(queue, DONE);
  CHECK_EQ(done.status.code, SPANWIRE_CODE_UNAVAILABLE);
  CHECK_EQ(done.status.sent, SPANWIRE_SENT_NOT_SENT);
  CHECK_HAS(done.status.message, target);
  CHECK_EQ(spanwire_metadata_count(done.metadata), 0);
  CHECK_EQ(spanwire_metadata_count(done.status.trailers), 0);
  spanwire_event_free(&done);
  spanwire_channel_free(channel);
  spanwire_queue_free(queue);
}

static void wait_for_ready_waits_for_a_server(void) {
  char target[64];
  snprintf(target, sizeof target, "127.0.0.1:%d", closed_port());
  spanwire_channel_options options = {.size = sizeof options, .backoff_first_ms = 20, .backoff_longest_ms = 50};
  spanwire_channel *channel = MADE(spanwire_channel_new(NULL, target, &options));
  spanwire_queue *queue = MADE(spanwire_queue_new());
  spanwire_queue *requests = MADE(spanwire_queue_new());
  spanwire_call_options call_options = {.size = sizeof call_options, .wait_for_ready = true};
  TRY(spanwire_call_unary(channel, UNARY, TEXT(""), &call_options, queue, NULL, NULL));
  spanwire_event event;
  CHECK_EQ(spanwire_queue_next(queue, &event, 1, 50), 0);
  spanwire_server *server = server_with_methods(NULL, requests, 1);
  TRY(spanwire_server_listen(server, target));
  event = EVENT(requests, REQUEST);
  TRY(spanwire_server_call_respond(event.server_call, TEXT(""), NULL));
  spanwire_server_call_free(event.server_call);
  spanwire_event_free(&event);
  EXPECT_DONE(queue, SPANWIRE_CODE_OK, "");
  spanwire_channel_free(channel);
  spanwire_server_free(server);
  spanwire_queue_free(queue);
  spanwire_queue_free(requests);
}

static void codes_have_their_names(void) {
  CHECK_TEXT(spanwire_code_name(SPANWIRE_CODE_OK), "OK");
  CHECK_TEXT(spanwire_code_name(SPANWIRE_CODE_DEADLINE_EXCEEDED), "DEADLINE_EXCEEDED");
  CHECK_TEXT(spanwire_code_name(SPANWIRE_CODE_UNAUTHENTICATED), "UNAUTHENTICATED");
  CHECK(spanwire_code_name(-1) != NULL);
  CHECK(spanwire_code_name(17) != NULL);
}

int main(int argc, char **argv) {
  static const test tests[] = {
      TEST(code_message_details_and_trailers_arrive),
      TEST(stream_keeps_its_messages_before_an_error),
      TEST(freeing_an_unanswered_call_fails_it),
      TEST(numbers_that_are_no_code_are_unknown),
      TEST(unreachable_server_is_unavailable_and_not_sent),
      TEST(wait_for_ready_waits_for_a_server),
      TEST(codes_have_their_names),
  };
  return run_tests(tests, COUNT_OF(tests), argc, argv);
}
