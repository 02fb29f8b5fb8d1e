#include "cases.h"

const int REQUEST_SIZES[STREAM_LENGTH] = {27182, 8, 1828, 45904};
const int RESPONSE_SIZES[STREAM_LENGTH] = {31415, 9, 2653, 58979};

spanwire_channel *open_channel(const struct session *session) {
  const spanwire_tls_options tls = {
      .size = sizeof tls, .ca_file = session->ca_file, .server_name = session->server_name};
  const spanwire_channel_options options = {
      .size = sizeof options, .tls = session->use_tls ? &tls : NULL, .authority = session->server_name};
  spanwire_channel *channel = spanwire_channel_new(NULL, session->target, &options);
  check(channel != NULL, "%s: %s", session->target, spanwire_last_error());
  return channel;
}

spanwire_call_options call_options(void) {
  return (spanwire_call_options){.size = sizeof(spanwire_call_options), .timeout_ms = CALL_LIMIT_MS};
}

Payload zeros(int size) {
  static uint8_t bytes[LARGE_REQUEST];
  Payload payload = GRPC__TESTING__PAYLOAD__INIT;
  payload.body.data = bytes;
  payload.body.len = (size_t)size;
  return payload;
}

void check_zeros(const Payload *payload, int size) {
  const size_t found = payload == NULL ? 0 : payload->body.len;
  check(found == (size_t)size, "response payload bytes: found %zu, wanted %d", found, size);
  for (size_t index = 0; index < found; index++) {
    check(payload->body.data[index] == 0, "the response payload has bytes other than zero");
  }
}

spanwire_event unary(spanwire_channel *channel, const char *method, const void *request,
                     const spanwire_call_options *options) {
  const spanwire_buffer buffer = message_pack(request, 0);
  spanwire_event done = {0};
  must(spanwire_call_unary_blocking(channel, method, &buffer, options, &done), method);
  return done;
}

SimpleResponse *response_of(const spanwire_event *done) {
  check_code(&done->status, SPANWIRE_CODE_OK);
  SimpleResponse *response = message_unpack(&grpc__testing__simple_response__descriptor, &done->message);
  check(response != NULL, "the response cannot be read");
  return response;
}

void check_large(const spanwire_event *done) {
  SimpleResponse *response = response_of(done);
  check_zeros(response->payload, LARGE_RESPONSE);
  message_free(response);
}

void check_code(const spanwire_status *status, spanwire_code code) {
  check(status->code == code, "%s was due, the call has %s: %s", spanwire_code_name(code),
        spanwire_code_name(status->code), status->message);
}

void expect_response(struct stream *stream, int size) {
  const spanwire_bytes *bytes = stream_next(stream);
  check(bytes != NULL, "the stream ended early: %s", stream_status(stream)->message);
  StreamingOutputCallResponse *response =
      message_unpack(&grpc__testing__streaming_output_call_response__descriptor, bytes);
  check(response != NULL, "the response cannot be read");
  check_zeros(response->payload, size);
  message_free(response);
}

void expect_end(struct stream *stream) {
  check(stream_next(stream) == NULL, "a response came that nobody asked for");
  check_code(stream_status(stream), SPANWIRE_CODE_OK);
}

void expect_sum(struct stream *stream, int sum) {
  const spanwire_bytes *bytes = stream_next(stream);
  check(bytes != NULL, "the call failed: %s", stream_status(stream)->message);
  StreamingInputCallResponse *response =
      message_unpack(&grpc__testing__streaming_input_call_response__descriptor, bytes);
  check(response != NULL, "the response cannot be read");
  check(response->aggregated_payload_size == sum, "aggregated_payload_size: found %d, wanted %d",
        response->aggregated_payload_size, sum);
  message_free(response);
  expect_end(stream);
}

void send_ping(struct stream *stream, int request_size, int response_size) {
  ResponseParameters parameters = GRPC__TESTING__RESPONSE_PARAMETERS__INIT;
  parameters.size = response_size;
  ResponseParameters *all_parameters[] = {&parameters};
  Payload payload = zeros(request_size);
  StreamingOutputCallRequest request = OUTPUT_REQUEST_INIT;
  request.n_response_parameters = 1;
  request.response_parameters = all_parameters;
  request.payload = &payload;
  check(stream_send(stream, &request, 0), "the stream ended early: %s", stream_status(stream)->message);
}
