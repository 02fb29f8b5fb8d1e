/* Metadata there and back, and statuses other than OK. */
#include <string.h>

#include "cases.h"

#define INITIAL_VALUE "test_initial_metadata_value"
#define TRAILING_VALUE "\xab\xab\xab"

static const spanwire_metadata_entry ECHOED[] = {
    {.key = ECHO_INITIAL, .value = INITIAL_VALUE, .value_len = sizeof INITIAL_VALUE - 1},
    {.key = ECHO_TRAILING, .value = TRAILING_VALUE, .value_len = sizeof TRAILING_VALUE - 1},
};

/* Fails unless the key is there once, with the value that was sent. */
static void check_echo(const spanwire_metadata *metadata, const spanwire_metadata_entry *sent) {
  spanwire_metadata_entry found;
  check(spanwire_metadata_find(metadata, sent->key, 0, &found), "%s is missing", sent->key);
  check(found.value_len == sent->value_len && memcmp(found.value, sent->value, sent->value_len) == 0,
        "%s came back with another value", sent->key);
  check(!spanwire_metadata_find(metadata, sent->key, 1, &found), "%s came back twice", sent->key);
}

void custom_metadata(const struct session *session) {
  spanwire_channel *channel = open_channel(session);
  spanwire_call_options options = call_options();
  options.metadata = ECHOED;
  options.metadata_count = 2;

  Payload payload = zeros(LARGE_REQUEST);
  SimpleRequest request = SIMPLE_REQUEST_INIT;
  request.response_size = LARGE_RESPONSE;
  request.payload = &payload;
  spanwire_event done = unary(channel, TEST_SERVICE "UnaryCall", &request, &options);
  check_large(&done);
  check_echo(done.metadata, &ECHOED[0]);
  check_echo(done.status.trailers, &ECHOED[1]);
  spanwire_event_free(&done);

  struct stream stream;
  stream_open(&stream, channel, TEST_SERVICE "FullDuplexCall", SPANWIRE_KIND_BIDI, &options);
  send_ping(&stream, LARGE_REQUEST, LARGE_RESPONSE);
  stream_half_close(&stream);
  check_echo(stream_headers(&stream), &ECHOED[0]);
  expect_response(&stream, LARGE_RESPONSE);
  expect_end(&stream);
  check_echo(stream_status(&stream)->trailers, &ECHOED[1]);
  stream_close(&stream);
  spanwire_channel_free(channel);
}

/* The status that the server is asked to end the call with. */
static EchoStatus unknown(const char *message) {
  EchoStatus status = GRPC__TESTING__ECHO_STATUS__INIT;
  status.code = SPANWIRE_CODE_UNKNOWN;
  status.message = (char *)message; /* only read from */
  return status;
}

static void check_unknown(const spanwire_status *status, const char *message) {
  check_code(status, SPANWIRE_CODE_UNKNOWN);
  check(strcmp(status->message, message) == 0, "status message: found %s, wanted %s", status->message, message);
}

static void check_unary_status(spanwire_channel *channel, const char *message) {
  EchoStatus wanted = unknown(message);
  SimpleRequest request = SIMPLE_REQUEST_INIT;
  request.response_status = &wanted;
  const spanwire_call_options options = call_options();
  spanwire_event done = unary(channel, TEST_SERVICE "UnaryCall", &request, &options);
  check_unknown(&done.status, message);
  spanwire_event_free(&done);
}

void status_code_and_message(const struct session *session) {
  static const char message[] = "test status message";
  spanwire_channel *channel = open_channel(session);
  check_unary_status(channel, message);

  EchoStatus wanted = unknown(message);
  StreamingOutputCallRequest request = OUTPUT_REQUEST_INIT;
  request.response_status = &wanted;
  const spanwire_call_options options = call_options();
  struct stream stream;
  stream_open(&stream, channel, TEST_SERVICE "FullDuplexCall", SPANWIRE_KIND_BIDI, &options);
  stream_send(&stream, &request, SPANWIRE_SEND_LAST);
  check(stream_next(&stream) == NULL, "a response came that nobody asked for");
  check_unknown(stream_status(&stream), message);
  stream_close(&stream);
  spanwire_channel_free(channel);
}

void special_status_message(const struct session *session) {
  spanwire_channel *channel = open_channel(session);
  check_unary_status(channel, "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n");
  spanwire_channel_free(channel);
}

static void check_unimplemented(const struct session *session, const char *method) {
  spanwire_channel *channel = open_channel(session);
  const Empty request = GRPC__TESTING__EMPTY__INIT;
  const spanwire_call_options options = call_options();
  spanwire_event done = unary(channel, method, &request, &options);
  check_code(&done.status, SPANWIRE_CODE_UNIMPLEMENTED);
  spanwire_event_free(&done);
  spanwire_channel_free(channel);
}

void unimplemented_method(const struct session *session) {
  check_unimplemented(session, TEST_SERVICE "UnimplementedCall");
}

void unimplemented_service(const struct session *session) {
  check_unimplemented(session, "/grpc.testing.UnimplementedService/UnimplementedCall");
}
