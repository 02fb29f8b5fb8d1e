/* Compression: by channel, call and answer, left out for single messages, and seen by the receiver. */
#include "pair.h"

static const char *words(void) {
  static char text[5000];
  if (text[0] == 0) {
    for (size_t i = 0; i + 8 < sizeof text; i += 7) memcpy(text + i, "again, ", 7);
  }
  return text;
}

static void check_message(const spanwire_bytes *message, bool compressed) {
  CHECK_EQ(message->len, strlen(words()));
  CHECK(memcmp(message->data, words(), message->len) == 0);
  CHECK_EQ((message->flags & SPANWIRE_BYTES_COMPRESSED) != 0, compressed);
}

static const spanwire_encoding encodings[] = {SPANWIRE_ENCODING_GZIP, SPANWIRE_ENCODING_DEFLATE,
                                              SPANWIRE_ENCODING_ZSTD};

static void unary(pair *pair, spanwire_encoding of_call, spanwire_encoding of_answer, bool there, bool back) {
  spanwire_call_options options = {.size = sizeof options, .compression = of_call};
  TRY(spanwire_call_unary(pair->channel, UNARY, TEXT(words()), &options, pair->queue, NULL, NULL));
  spanwire_event event = EVENT(pair->requests, REQUEST);
  check_message(&event.message, there);
  spanwire_answer answer = {.size = sizeof answer, .compression = of_answer};
  TRY(spanwire_server_call_respond(event.server_call, TEXT(words()), &answer));
  spanwire_server_call_free(event.server_call);
  spanwire_event_free(&event);
  event = EVENT(pair->queue, DONE);
  CHECK_EQ(event.status.code, SPANWIRE_CODE_OK);
  check_message(&event.message, back);
  spanwire_event_free(&event);
}

static void each_encoding_works_in_both_directions(void) {
  pair pair;
  pair_open(&pair, (pair_options){0});
  unary(&pair, SPANWIRE_ENCODING_DEFAULT, SPANWIRE_ENCODING_DEFAULT, false, false);
  for (size_t i = 0; i < COUNT_OF(encodings); i++) {
    unary(&pair, encodings[i], SPANWIRE_ENCODING_DEFAULT, true, false);
    unary(&pair, SPANWIRE_ENCODING_DEFAULT, encodings[i], false, true);
    unary(&pair, encodings[i], encodings[i], true, true);
  }
  pair_close(&pair);
}

static void channel_has_an_encoding_that_calls_may_turn_off(void) {
  spanwire_channel_options channel = {.size = sizeof channel, .compression = SPANWIRE_ENCODING_ZSTD};
  pair pair;
  pair_open(&pair, (pair_options){.channel = &channel});
  unary(&pair, SPANWIRE_ENCODING_DEFAULT, SPANWIRE_ENCODING_DEFAULT, true, false);
  unary(&pair, SPANWIRE_ENCODING_IDENTITY, SPANWIRE_ENCODING_IDENTITY, false, false);
  unary(&pair, SPANWIRE_ENCODING_GZIP, SPANWIRE_ENCODING_DEFAULT, true, false);
  pair_close(&pair);
}

static void single_messages_are_left_plain(void) {
  pair pair;
  pair_open(&pair, (pair_options){0});
  spanwire_call_options options = {.size = sizeof options, .compression = SPANWIRE_ENCODING_GZIP, .credit = 8};
  spanwire_call *call = NULL;
  TRY(spanwire_call_start(pair.channel, BIDI, SPANWIRE_KIND_BIDI, &options, pair.queue, NULL, &call));
  spanwire_server_call *served = ACCEPTED(&pair);
  spanwire_answer answer = {.size = sizeof answer, .compression = SPANWIRE_ENCODING_DEFLATE};
  TRY(spanwire_server_call_headers(served, &answer));
  PASS(pair.queue, HEADERS);
  for (uint32_t plain = 0; plain < 3; plain++) {
    spanwire_buffer message = text_of(words());
    message.flags = plain == 1 ? SPANWIRE_SEND_PLAIN : 0;
    TRY(spanwire_call_send(call, &message));
    spanwire_event event = EVENT(pair.requests, MESSAGES);
    check_message(&event.messages[0], plain != 1);
    spanwire_event_free(&event);
    TRY(spanwire_server_call_send(served, &message));
    event = EVENT(pair.queue, MESSAGES);
    check_message(&event.messages[0], plain != 1);
    spanwire_event_free(&event);
  }
  TRY(spanwire_server_call_finish(served, SPANWIRE_CODE_OK, "", NULL));
  spanwire_server_call_free(served);
  EXPECT_DONE(pair.queue, SPANWIRE_CODE_OK, "");
  spanwire_call_free(call);
  pair_close(&pair);
}

static void unknown_encodings_and_flags_are_refused(void) {
  pair pair;
  pair_open(&pair, (pair_options){0});
  spanwire_channel_options channel = {.size = sizeof channel, .compression = 99};
  CHECK(spanwire_channel_new(NULL, pair.target, &channel) == NULL);
  CHECK_HAS(spanwire_last_error(), "compression");
  spanwire_call_options options = {.size = sizeof options, .compression = -1};
  REFUSED(spanwire_call_unary(pair.channel, UNARY, TEXT(""), &options, pair.queue, NULL, NULL),
          SPANWIRE_INVALID_ARGUMENT, "compression");
  spanwire_buffer flags = {.data = "", .flags = 1u << 30};
  REFUSED(spanwire_call_unary(pair.channel, UNARY, &flags, NULL, pair.queue, NULL, NULL), SPANWIRE_INVALID_ARGUMENT,
          "flags");
  START(&pair, "", NULL);
  spanwire_server_call *served = ACCEPTED(&pair);
  spanwire_answer answer = {.size = sizeof answer, .compression = 77};
  REFUSED(spanwire_server_call_respond(served, TEXT(""), &answer), SPANWIRE_INVALID_ARGUMENT, "compression");
  spanwire_server_call_free(served);
  EXPECT_DONE(pair.queue, SPANWIRE_CODE_INTERNAL, "");
  pair_close(&pair);
}

int main(int argc, char **argv) {
  static const test tests[] = {
      TEST(each_encoding_works_in_both_directions),
      TEST(channel_has_an_encoding_that_calls_may_turn_off),
      TEST(single_messages_are_left_plain),
      TEST(unknown_encodings_and_flags_are_refused),
  };
  return run_tests(tests, COUNT_OF(tests), argc, argv);
}
