/* The cases of the client, and what they share. */
#ifndef INTEROP_CASES_H
#define INTEROP_CASES_H

#include <spanwire.h>
#include <stdbool.h>

#include "fail.h"
#include "message.h"
#include "stream.h"
#include "testing.h"

/* No call of a case takes longer, unless the case is about time. */
#define CALL_LIMIT_MS 20000

/* Payload bytes. */
#define LARGE_REQUEST 271828
#define LARGE_RESPONSE 314159
#define STREAM_LENGTH 4
extern const int REQUEST_SIZES[STREAM_LENGTH];
extern const int RESPONSE_SIZES[STREAM_LENGTH];

/* The command line of the client. */
struct soak {
  long iterations;
  long max_failures;
  long per_iteration_limit_ms;
  long overall_limit_seconds;
  long min_time_between_ms;
  long request_size;
  long response_size;
  long workers;
};
struct session {
  char target[256];
  const char *server_name; /* null: the host */
  bool use_tls;
  const char *ca_file; /* null: the system's */
  struct soak soak;
};

/* A new channel to the server under test. Channels share no connection. */
spanwire_channel *open_channel(const struct session *session);

/* A call within the limit of time. */
spanwire_call_options call_options(void);

/* Fails the case with a text as printf's unless the condition holds. */
#define check(condition, ...)            \
  do {                                   \
    if (!(condition)) fail(__VA_ARGS__); \
  } while (0)

/* A payload of that many zero bytes, LARGE_REQUEST at most. */
Payload zeros(int size);

/* Fails unless the payload has that many bytes, all of them zero. */
void check_zeros(const Payload *payload, int size);

/* Makes a unary call and waits for its end. Free the event. */
spanwire_event unary(spanwire_channel *channel, const char *method, const void *request,
                     const spanwire_call_options *options);

/* The response to UnaryCall; the call must have succeeded. Free it with message_free. */
SimpleResponse *response_of(const spanwire_event *done);

/* Fails unless the call succeeded with a large response. */
void check_large(const spanwire_event *done);
/* Fails unless the call ended with this code. */
void check_code(const spanwire_status *status, spanwire_code code);

/* The next response of a stream, which must have that many payload bytes. */
void expect_response(struct stream *stream, int size);
/* Fails unless no message follows and the status is OK. */
void expect_end(struct stream *stream);
/* The response of StreamingInputCall, which must have that sum, and the end. */
void expect_sum(struct stream *stream, int sum);

/* A request for one response, on FullDuplexCall. */
void send_ping(struct stream *stream, int request_size, int response_size);

#define SIMPLE_REQUEST_INIT GRPC__TESTING__SIMPLE_REQUEST__INIT
#define OUTPUT_REQUEST_INIT GRPC__TESTING__STREAMING_OUTPUT_CALL_REQUEST__INIT
#define INPUT_REQUEST_INIT GRPC__TESTING__STREAMING_INPUT_CALL_REQUEST__INIT
#define BOOL_VALUE_INIT GRPC__TESTING__BOOL_VALUE__INIT

typedef void run_case(const struct session *session);
run_case empty_unary, large_unary, pick_first_unary;
run_case client_compressed_unary, client_compressed_unary_noprobe, server_compressed_unary;
run_case client_compressed_streaming, client_compressed_streaming_noprobe, server_compressed_streaming;
run_case client_streaming, server_streaming, ping_pong, empty_stream;
run_case custom_metadata;
run_case status_code_and_message, special_status_message, unimplemented_method, unimplemented_service;
run_case cancel_after_begin, cancel_after_first_response, timeout_on_sleeping_server;
run_case rpc_soak, channel_soak;
run_case orca_per_rpc, orca_oob;
run_case goaway, reset, max_streams;

#endif
