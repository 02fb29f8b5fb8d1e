// The cases of the client, and what they share.
#pragma once

#include <map>
#include <sstream>

#include "flags.h"
#include "testing.h"

using grpc::testing::Payload;
using grpc::testing::SimpleRequest;
using grpc::testing::SimpleResponse;
using grpc::testing::StreamingInputCallRequest;
using grpc::testing::StreamingInputCallResponse;
using grpc::testing::StreamingOutputCallRequest;
using grpc::testing::StreamingOutputCallResponse;
using spanwire::code;
using spanwire::task;

// Payload bytes.
inline constexpr int large_request_size = 271'828;
inline constexpr int large_response_size = 314'159;
inline constexpr int request_sizes[] = {27'182, 8, 1'828, 45'904};
inline constexpr int response_sizes[] = {31'415, 9, 2'653, 58'979};

// An assertion that does not hold; the text says which.
struct failed : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Fails the case unless the condition holds; the parts make the text.
template <class... Parts>
void check(bool condition, const Parts &...parts) {
  if (condition) return;
  std::ostringstream text;
  (text << ... << parts);
  throw failed(text.str());
}

struct session {
  const flags &command_line;
  spanwire::loop &loop;

  // A new channel to the server under test. Channels share no connection.
  spanwire::channel channel() const;
};

// No call of a case takes longer, unless the case is about time.
inline spanwire::call_options within_limit() { return {.timeout = std::chrono::seconds(20)}; }

// A payload of that many zero bytes, to put into a request.
Payload *new_zeros(int size);
SimpleRequest large_request();
// A request for one response, on FullDuplexCall.
StreamingOutputCallRequest ping(int request_size, int response_size);

void check_code(const spanwire::status &status, spanwire::code wanted);
// Fails unless the payload has that many bytes, all of them zero.
void check_zeros(const Payload &payload, int size);

// A call of UnaryCall, which must succeed.
task<spanwire::response> unary(const spanwire::channel &channel, SimpleRequest request,
                               spanwire::call_options options = within_limit());
// Makes a large call and looks at its response.
task<> large_call(const spanwire::channel &channel);
// The next response of a stream, which must have that many payload bytes. Whether it came compressed.
task<bool> expect_response(spanwire::call &call, int size);
// Fails unless no message follows and the status is OK, which it returns.
task<spanwire::status> expect_end(spanwire::call &call);
// The response of StreamingInputCall, which must have that sum.
task<> expect_sum(spanwire::call &call, int sum);

using test_case = task<>(const session &);
test_case empty_unary, large_unary, pick_first_unary, goaway, reset, max_streams;
test_case client_compressed_unary, client_compressed_unary_noprobe, server_compressed_unary;
test_case client_compressed_streaming, client_compressed_streaming_noprobe, server_compressed_streaming;
test_case client_streaming, server_streaming, ping_pong, empty_stream;
test_case custom_metadata;
test_case status_code_and_message, special_status_message, unimplemented_method, unimplemented_service;
test_case cancel_after_begin, cancel_after_first_response, timeout_on_sleeping_server;
test_case orca_per_rpc, orca_oob;
test_case rpc_soak, channel_soak;
