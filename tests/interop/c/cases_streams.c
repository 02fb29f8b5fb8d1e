/* The three kinds of streams, and calls that the client ends. */
#include "cases.h"

static void open_stream(struct stream *stream, spanwire_channel *channel, const char *method, spanwire_kind kind) {
  const spanwire_call_options options = call_options();
  stream_open(stream, channel, method, kind, &options);
}

void client_streaming(const struct session *session) {
  spanwire_channel *channel = open_channel(session);
  struct stream stream;
  open_stream(&stream, channel, TEST_SERVICE "StreamingInputCall", SPANWIRE_KIND_CLIENT_STREAMING);
  for (int index = 0; index < STREAM_LENGTH; index++) {
    Payload payload = zeros(REQUEST_SIZES[index]);
    StreamingInputCallRequest request = INPUT_REQUEST_INIT;
    request.payload = &payload;
    check(stream_send(&stream, &request, 0), "the call ended early: %s", stream_status(&stream)->message);
  }
  stream_half_close(&stream);
  expect_sum(&stream, 74922);
  stream_close(&stream);
  spanwire_channel_free(channel);
}

void server_streaming(const struct session *session) {
  ResponseParameters parameters[STREAM_LENGTH];
  ResponseParameters *all_parameters[STREAM_LENGTH];
  for (int index = 0; index < STREAM_LENGTH; index++) {
    parameters[index] = (ResponseParameters)GRPC__TESTING__RESPONSE_PARAMETERS__INIT;
    parameters[index].size = RESPONSE_SIZES[index];
    all_parameters[index] = &parameters[index];
  }
  StreamingOutputCallRequest request = OUTPUT_REQUEST_INIT;
  request.n_response_parameters = STREAM_LENGTH;
  request.response_parameters = all_parameters;

  spanwire_channel *channel = open_channel(session);
  struct stream stream;
  open_stream(&stream, channel, TEST_SERVICE "StreamingOutputCall", SPANWIRE_KIND_SERVER_STREAMING);
  stream_send(&stream, &request, SPANWIRE_SEND_LAST);
  for (int index = 0; index < STREAM_LENGTH; index++) expect_response(&stream, RESPONSE_SIZES[index]);
  expect_end(&stream);
  stream_close(&stream);
  spanwire_channel_free(channel);
}

void ping_pong(const struct session *session) {
  spanwire_channel *channel = open_channel(session);
  struct stream stream;
  open_stream(&stream, channel, TEST_SERVICE "FullDuplexCall", SPANWIRE_KIND_BIDI);
  for (int index = 0; index < STREAM_LENGTH; index++) {
    send_ping(&stream, REQUEST_SIZES[index], RESPONSE_SIZES[index]);
    expect_response(&stream, RESPONSE_SIZES[index]);
  }
  stream_half_close(&stream);
  expect_end(&stream);
  stream_close(&stream);
  spanwire_channel_free(channel);
}

void empty_stream(const struct session *session) {
  spanwire_channel *channel = open_channel(session);
  struct stream stream;
  open_stream(&stream, channel, TEST_SERVICE "FullDuplexCall", SPANWIRE_KIND_BIDI);
  stream_half_close(&stream);
  expect_end(&stream);
  stream_close(&stream);
  spanwire_channel_free(channel);
}

static void cancel(struct stream *stream) {
  must(spanwire_call_cancel(stream->call), "cancelling");
  check(stream_next(stream) == NULL, "a response came that nobody asked for");
  check_code(stream_status(stream), SPANWIRE_CODE_CANCELLED);
}

void cancel_after_begin(const struct session *session) {
  spanwire_channel *channel = open_channel(session);
  struct stream stream;
  open_stream(&stream, channel, TEST_SERVICE "StreamingInputCall", SPANWIRE_KIND_CLIENT_STREAMING);
  cancel(&stream);
  stream_close(&stream);
  spanwire_channel_free(channel);
}

void cancel_after_first_response(const struct session *session) {
  spanwire_channel *channel = open_channel(session);
  struct stream stream;
  open_stream(&stream, channel, TEST_SERVICE "FullDuplexCall", SPANWIRE_KIND_BIDI);
  send_ping(&stream, REQUEST_SIZES[0], RESPONSE_SIZES[0]);
  expect_response(&stream, RESPONSE_SIZES[0]);
  cancel(&stream);
  stream_close(&stream);
  spanwire_channel_free(channel);
}

void timeout_on_sleeping_server(const struct session *session) {
  spanwire_channel *channel = open_channel(session);
  spanwire_call_options options = call_options();
  options.timeout_ms = 1;
  struct stream stream;
  stream_open(&stream, channel, TEST_SERVICE "FullDuplexCall", SPANWIRE_KIND_BIDI, &options);
  Payload payload = zeros(REQUEST_SIZES[0]);
  StreamingOutputCallRequest request = OUTPUT_REQUEST_INIT;
  request.payload = &payload;
  /* The millisecond may be over already; the status is the same. */
  stream_send(&stream, &request, 0);
  check_code(stream_status(&stream), SPANWIRE_CODE_DEADLINE_EXCEEDED);
  stream_close(&stream);
  spanwire_channel_free(channel);
}
