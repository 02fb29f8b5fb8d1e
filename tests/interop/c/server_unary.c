/* The unary methods, and what they share with the streams. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "server.h"

/* No response is larger, whatever the request says. */
#define MAX_RESPONSE (64 * 1024 * 1024)

static size_t copy_entries(const spanwire_metadata *metadata, const char *key, spanwire_metadata_entry *entries,
                           size_t capacity) {
  size_t count = 0;
  while (count < capacity && spanwire_metadata_find(metadata, key, count, &entries[count])) count++;
  return count;
}

void echo_metadata(spanwire_server_call *handle, struct echo *echo) {
  const spanwire_metadata *metadata = spanwire_server_call_metadata(handle);
  echo->answer = (spanwire_answer){
      .size = sizeof echo->answer,
      .headers = echo->initial,
      .header_count = copy_entries(metadata, ECHO_INITIAL, echo->initial, 4),
      .trailers = echo->trailing,
      .trailer_count = copy_entries(metadata, ECHO_TRAILING, echo->trailing, 4),
  };
}

bool claim_holds(spanwire_server_call *handle, const BoolValue *claim, const spanwire_bytes *request) {
  const bool compressed = request->flags & SPANWIRE_BYTES_COMPRESSED;
  if (claim == NULL || claim->value == compressed) return true;
  finish(handle, SPANWIRE_CODE_INVALID_ARGUMENT, "the request did not come as expect_compressed says", NULL);
  return false;
}

bool failed_as_asked(spanwire_server_call *handle, const EchoStatus *wanted, const spanwire_answer *answer) {
  if (wanted == NULL || wanted->code == SPANWIRE_CODE_OK) return false;
  finish(handle, wanted->code, wanted->message, answer);
  return true;
}

bool make_payload(spanwire_server_call *handle, int kind, int size, Payload *payload) {
  if (kind != GRPC__TESTING__PAYLOAD_TYPE__COMPRESSABLE) {
    finish(handle, SPANWIRE_CODE_INVALID_ARGUMENT, "response_type is not COMPRESSABLE", NULL);
    return false;
  }
  if (size < 0 || size > MAX_RESPONSE) {
    finish(handle, SPANWIRE_CODE_INVALID_ARGUMENT, "a response of that size cannot be made", NULL);
    return false;
  }
  grpc__testing__payload__init(payload);
  payload->body.len = (size_t)size;
  payload->body.data = must_allocate_zeros((size_t)size);
  return true;
}

void empty_call(spanwire_event *event) {
  const Empty response = GRPC__TESTING__EMPTY__INIT;
  respond(event->server_call, &response, NULL);
}

/* Answers with a payload, when nothing speaks against it. */
static void respond_with_payload(spanwire_server_call *handle, const SimpleRequest *request,
                                 const spanwire_answer *answer) {
  Payload payload;
  if (!make_payload(handle, request->response_type, request->response_size, &payload)) return;
  char server_id[64];
  snprintf(server_id, sizeof server_id, "spanwire-c-%ld", (long)getpid());
  SimpleResponse response = GRPC__TESTING__SIMPLE_RESPONSE__INIT;
  response.payload = &payload;
  if (request->fill_server_id) response.server_id = server_id;
  respond(handle, &response, answer);
  free(payload.body.data);
}

static void answer_request(spanwire_server_call *handle, const SimpleRequest *request) {
  struct echo echo;
  echo_metadata(handle, &echo);
  if (failed_as_asked(handle, request->response_status, &echo.answer)) return;
  if (request->response_compressed != NULL && request->response_compressed->value) {
    echo.answer.compression = SPANWIRE_ENCODING_GZIP;
  }
  if (request->orca_per_query_report == NULL) {
    respond_with_payload(handle, request, &echo.answer);
    return;
  }
  /* The report takes the place of the echo: no case asks for both. */
  LoadReport *report = load_report_new(request->orca_per_query_report);
  const spanwire_buffer packed = message_pack(report, 0);
  echo.trailing[0] =
      (spanwire_metadata_entry){.key = REPORT_TRAILER, .value = packed.data, .value_len = packed.len};
  echo.answer.trailer_count = 1;
  respond_with_payload(handle, request, &echo.answer);
  packed.release(packed.context);
  load_report_free(report);
}

void unary_call(spanwire_event *event) {
  SimpleRequest *request = message_unpack(&grpc__testing__simple_request__descriptor, &event->message);
  if (request == NULL) {
    finish(event->server_call, SPANWIRE_CODE_INTERNAL, "the request cannot be read", NULL);
  } else if (claim_holds(event->server_call, request->expect_compressed, &event->message)) {
    answer_request(event->server_call, request);
  }
  message_free(request);
}
