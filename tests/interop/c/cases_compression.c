/* Compression, chosen per call and per message. */
#include "cases.h"

/* A server that does not look would accept the false claim of a probe, and the rest would prove only that it can
 * decompress; the `_noprobe` cases ask for no more than that. */

/* A large call whose request says of itself whether it comes compressed. */
static spanwire_event claiming_call(spanwire_channel *channel, bool claim, spanwire_encoding encoding) {
  BoolValue expect = BOOL_VALUE_INIT;
  expect.value = claim;
  Payload payload = zeros(LARGE_REQUEST);
  SimpleRequest request = SIMPLE_REQUEST_INIT;
  request.expect_compressed = &expect;
  request.response_size = LARGE_RESPONSE;
  request.payload = &payload;
  spanwire_call_options options = call_options();
  options.compression = encoding;
  return unary(channel, TEST_SERVICE "UnaryCall", &request, &options);
}

void client_compressed_unary(const struct session *session) {
  spanwire_channel *channel = open_channel(session);
  spanwire_event probe = claiming_call(channel, true, SPANWIRE_ENCODING_IDENTITY);
  check_code(&probe.status, SPANWIRE_CODE_INVALID_ARGUMENT);
  spanwire_event_free(&probe);
  spanwire_channel_free(channel);
  client_compressed_unary_noprobe(session);
}

void client_compressed_unary_noprobe(const struct session *session) {
  spanwire_channel *channel = open_channel(session);
  spanwire_event compressed = claiming_call(channel, true, SPANWIRE_ENCODING_GZIP);
  check_large(&compressed);
  spanwire_event_free(&compressed);
  spanwire_event plain = claiming_call(channel, false, SPANWIRE_ENCODING_IDENTITY);
  check_large(&plain);
  spanwire_event_free(&plain);
  spanwire_channel_free(channel);
}

void server_compressed_unary(const struct session *session) {
  spanwire_channel *channel = open_channel(session);
  Payload payload = zeros(LARGE_REQUEST);
  for (int wanted = 1; wanted >= 0; wanted--) {
    BoolValue compressed = BOOL_VALUE_INIT;
    compressed.value = wanted;
    SimpleRequest request = SIMPLE_REQUEST_INIT;
    request.response_compressed = &compressed;
    request.response_size = LARGE_RESPONSE;
    request.payload = &payload;
    const spanwire_call_options options = call_options();
    spanwire_event done = unary(channel, TEST_SERVICE "UnaryCall", &request, &options);
    check_large(&done);
    const bool found = done.message.flags & SPANWIRE_BYTES_COMPRESSED;
    check(found == wanted, "response compressed: found %d, wanted %d", found, wanted);
    spanwire_event_free(&done);
  }
  spanwire_channel_free(channel);
}

static bool send_claim(struct stream *stream, bool claim, int size, uint32_t flags) {
  BoolValue expect = BOOL_VALUE_INIT;
  expect.value = claim;
  Payload payload = zeros(size);
  StreamingInputCallRequest request = INPUT_REQUEST_INIT;
  request.expect_compressed = &expect;
  request.payload = &payload;
  return stream_send(stream, &request, flags);
}

void client_compressed_streaming(const struct session *session) {
  spanwire_channel *channel = open_channel(session);
  const spanwire_call_options options = call_options();
  struct stream probe;
  stream_open(&probe, channel, TEST_SERVICE "StreamingInputCall", SPANWIRE_KIND_CLIENT_STREAMING, &options);
  /* Whether the call has ended by then is up to the server. */
  if (send_claim(&probe, true, 27182, 0)) stream_half_close(&probe);
  check_code(stream_status(&probe), SPANWIRE_CODE_INVALID_ARGUMENT);
  stream_close(&probe);
  spanwire_channel_free(channel);
  client_compressed_streaming_noprobe(session);
}

void client_compressed_streaming_noprobe(const struct session *session) {
  spanwire_channel *channel = open_channel(session);
  spanwire_call_options options = call_options();
  options.compression = SPANWIRE_ENCODING_GZIP;
  struct stream stream;
  stream_open(&stream, channel, TEST_SERVICE "StreamingInputCall", SPANWIRE_KIND_CLIENT_STREAMING, &options);
  check(send_claim(&stream, true, 27182, 0), "the call ended early: %s", stream_status(&stream)->message);
  check(send_claim(&stream, false, 45904, SPANWIRE_SEND_PLAIN), "the call ended early: %s",
        stream_status(&stream)->message);
  stream_half_close(&stream);
  expect_sum(&stream, 73086);
  stream_close(&stream);
  spanwire_channel_free(channel);
}

void server_compressed_streaming(const struct session *session) {
  enum { RESPONSES = 2 };
  static const int sizes[RESPONSES] = {31415, 92653};
  static const bool wanted[RESPONSES] = {true, false};
  BoolValue compressed[RESPONSES];
  ResponseParameters parameters[RESPONSES];
  ResponseParameters *all_parameters[RESPONSES];
  for (int index = 0; index < RESPONSES; index++) {
    compressed[index] = (BoolValue)BOOL_VALUE_INIT;
    compressed[index].value = wanted[index];
    parameters[index] = (ResponseParameters)GRPC__TESTING__RESPONSE_PARAMETERS__INIT;
    parameters[index].size = sizes[index];
    parameters[index].compressed = &compressed[index];
    all_parameters[index] = &parameters[index];
  }
  StreamingOutputCallRequest request = OUTPUT_REQUEST_INIT;
  request.n_response_parameters = RESPONSES;
  request.response_parameters = all_parameters;

  spanwire_channel *channel = open_channel(session);
  const spanwire_call_options options = call_options();
  struct stream stream;
  stream_open(&stream, channel, TEST_SERVICE "StreamingOutputCall", SPANWIRE_KIND_SERVER_STREAMING, &options);
  stream_send(&stream, &request, SPANWIRE_SEND_LAST);
  for (int index = 0; index < RESPONSES; index++) {
    expect_response(&stream, sizes[index]);
    const bool found = stream.current.flags & SPANWIRE_BYTES_COMPRESSED;
    check(found == wanted[index], "response %d compressed: found %d, wanted %d", index, found, wanted[index]);
  }
  expect_end(&stream);
  stream_close(&stream);
  spanwire_channel_free(channel);
}
