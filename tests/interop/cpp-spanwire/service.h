// The features that the official documents list for servers.
#pragma once

#include "testing.h"

// grpc.testing.TestService, and the stream of load reports. Everything runs on one loop.
class interop_service {
 public:
  // `loop` is the one that the server is started on.
  explicit interop_service(spanwire::loop &loop) : loop_(loop) {}
  // Adds the methods; the service must live as long as the server.
  void add_to(spanwire::server &server);

 private:
  using bytes = spanwire::bytes;
  using context = spanwire::context;
  using answer = spanwire::task<spanwire::result<bytes>>;
  using outcome = spanwire::task<spanwire::status>;

  answer unary_call(bytes request, context &context);
  answer streaming_input_call(spanwire::reader &requests);
  outcome streaming_output_call(bytes request, spanwire::writer &responses, context &context);
  outcome full_duplex_call(spanwire::reader &requests, spanwire::writer &responses, context &context);
  outcome half_duplex_call(spanwire::reader &requests, spanwire::writer &responses, context &context);
  outcome stream_core_metrics(bytes request, spanwire::writer &reports);

  outcome send_responses(const grpc::testing::StreamingOutputCallRequest &request, spanwire::writer &responses);
  // Waits until no other call sets the load.
  spanwire::task<> own_load(const context *owner);

  spanwire::loop &loop_;
  interop::LoadReport load_;
  // The call that sets the load, so that two of them do not mix their reports.
  const context *load_owner_ = nullptr;
};
