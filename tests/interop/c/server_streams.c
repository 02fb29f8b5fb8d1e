/* The methods with streams. */
#include <stdlib.h>
#include <string.h>

#include "server.h"

/* ---- StreamingInputCall: adds up what comes ---- */

struct sum {
  struct call call;
  int64_t bytes;
};

/* Whether the request was taken in; otherwise the call is answered. */
static bool add(struct sum *sum, const spanwire_bytes *bytes) {
  StreamingInputCallRequest *request =
      message_unpack(&grpc__testing__streaming_input_call_request__descriptor, bytes);
  if (request == NULL) {
    finish(sum->call.handle, SPANWIRE_CODE_INTERNAL, "the request cannot be read", NULL);
    return false;
  }
  const bool good = claim_holds(sum->call.handle, request->expect_compressed, bytes);
  if (request->payload != NULL) sum->bytes += (int64_t)request->payload->body.len;
  message_free(request);
  return good;
}

static void answer_sum(struct sum *sum) {
  StreamingInputCallResponse response = GRPC__TESTING__STREAMING_INPUT_CALL_RESPONSE__INIT;
  response.aggregated_payload_size = (int32_t)sum->bytes;
  respond(sum->call.handle, &response, NULL);
}

static void take_input(struct call *call, spanwire_event *event) {
  struct sum *sum = (struct sum *)call;
  if (event->message.data != NULL) call->over = !add(sum, &event->message);
  for (size_t index = 0; index < event->message_count && !call->over; index++) {
    call->over = !add(sum, &event->messages[index]);
  }
  if (call->over) return;
  spanwire_server_call_grant(call->handle, (uint32_t)event->message_count);
  if (event->end) {
    answer_sum(sum);
    call->over = true;
  }
}

void streaming_input_call(spanwire_event *event) {
  struct sum *sum = must_allocate_zeros(sizeof *sum);
  sum->call.on_event = take_input;
  call_keep(&sum->call, event);
  take_input(&sum->call, event);
}

/* ---- the methods that answer with streams ---- */

/* A request that is not yet answered in full. */
struct pending {
  StreamingOutputCallRequest *request;
  size_t next_response;
  struct pending *next;
};

struct output {
  struct call call;
  struct pending *first;
  struct pending **last;
  bool keeps_all;  /* answers nothing before the last request has come */
  bool end;        /* no request follows */
  bool begun;      /* headers have gone out */
  bool full;       /* no message goes out before the call is writable */
  bool pause_over; /* the next response has waited as long as it shall */
};

/* The call that sets the load, so that two of them do not mix their reports; others wait for its end. */
static struct output *load_owner;

static bool sets_load(struct output *output, const TestOrcaReport *report) {
  if (load_owner != NULL && load_owner != output) {
    output->call.wake_at_ms = now_ms() + 10;
    return false;
  }
  load_owner = output;
  load_set(report);
  return true;
}

/* Headers go out with the first message, so that an early error has none. */
static void begin(struct output *output) {
  struct echo echo;
  echo_metadata(output->call.handle, &echo);
  /* Which responses are to be compressed shows only with each request; plain ones may mix with them. */
  echo.answer.compression = SPANWIRE_ENCODING_GZIP;
  spanwire_server_call_headers(output->call.handle, &echo.answer);
  output->begun = true;
}

static void end(struct output *output) {
  struct echo echo;
  echo_metadata(output->call.handle, &echo);
  finish(output->call.handle, SPANWIRE_CODE_OK, "", &echo.answer);
  output->call.over = true;
}

/* Whether the response was sent. If not, its time has not come, or the call is over. */
static bool send_response(struct output *output, int kind, const ResponseParameters *parameters) {
  if (parameters->interval_us > 0 && !output->pause_over) {
    output->pause_over = true;
    output->call.wake_at_ms = now_ms() + (parameters->interval_us + 999) / 1000;
    return false;
  }
  Payload payload;
  output->call.over = !make_payload(output->call.handle, kind, parameters->size, &payload);
  if (output->call.over) return false;
  if (!output->begun) begin(output);
  StreamingOutputCallResponse response = GRPC__TESTING__STREAMING_OUTPUT_CALL_RESPONSE__INIT;
  response.payload = &payload;
  const bool compressed = parameters->compressed != NULL && parameters->compressed->value;
  const spanwire_buffer buffer = message_pack(&response, compressed ? 0 : SPANWIRE_SEND_PLAIN);
  free(payload.body.data);
  /* When it is over, CANCELLED follows. */
  output->full = spanwire_server_call_send(output->call.handle, &buffer) == SPANWIRE_FULL;
  output->pause_over = false;
  return true;
}

/* Whether the request was answered in full; if not, something has to happen first, or the call is over. */
static bool answer(struct output *output, struct pending *pending) {
  const StreamingOutputCallRequest *request = pending->request;
  if (pending->next_response == 0) {
    struct echo echo;
    echo_metadata(output->call.handle, &echo);
    output->call.over = failed_as_asked(output->call.handle, request->response_status, &echo.answer);
    if (output->call.over) return false;
    if (request->orca_oob_report != NULL && !sets_load(output, request->orca_oob_report)) return false;
  }
  while (pending->next_response < request->n_response_parameters) {
    if (output->full) return false;
    const ResponseParameters *parameters = request->response_parameters[pending->next_response];
    if (!send_response(output, request->response_type, parameters)) return false;
    pending->next_response++;
  }
  return true;
}

static void drop_first(struct output *output) {
  struct pending *pending = output->first;
  output->first = pending->next;
  if (output->first == NULL) output->last = &output->first;
  message_free(pending->request);
  free(pending);
}

/* Goes as far as it can. */
static void advance(struct call *call) {
  struct output *output = (struct output *)call;
  if (output->keeps_all && !output->end) return;
  while (output->first != NULL && !call->over) {
    if (!answer(output, output->first)) return;
    drop_first(output);
    if (!output->keeps_all) spanwire_server_call_grant(call->handle, 1);
  }
  if (output->end && !call->over) end(output);
}

static void append(struct output *output, const spanwire_bytes *bytes) {
  StreamingOutputCallRequest *request =
      message_unpack(&grpc__testing__streaming_output_call_request__descriptor, bytes);
  if (request == NULL) {
    finish(output->call.handle, SPANWIRE_CODE_INTERNAL, "the request cannot be read", NULL);
    output->call.over = true;
    return;
  }
  struct pending *pending = must_allocate_zeros(sizeof *pending);
  pending->request = request;
  *output->last = pending;
  output->last = &pending->next;
}

static void on_event(struct call *call, spanwire_event *event) {
  struct output *output = (struct output *)call;
  if (event->type == SPANWIRE_EVENT_WRITABLE) output->full = false;
  if (event->message.data != NULL) append(output, &event->message);
  for (size_t index = 0; index < event->message_count; index++) append(output, &event->messages[index]);
  if (output->keeps_all) spanwire_server_call_grant(call->handle, (uint32_t)event->message_count);
  output->end = output->end || event->end;
  if (!call->over) advance(call);
}

static void release(struct call *call) {
  struct output *output = (struct output *)call;
  while (output->first != NULL) drop_first(output);
  if (load_owner == output) load_owner = NULL;
}

static void keep_output(spanwire_event *event, bool keeps_all) {
  struct output *output = must_allocate_zeros(sizeof *output);
  output->call.on_event = on_event;
  output->call.on_time = advance;
  output->call.release = release;
  output->last = &output->first;
  output->keeps_all = keeps_all;
  call_keep(&output->call, event);
  on_event(&output->call, event);
}

void streaming_output_call(spanwire_event *event) { keep_output(event, false); }
void full_duplex_call(spanwire_event *event) { keep_output(event, false); }
void half_duplex_call(spanwire_event *event) { keep_output(event, true); }
