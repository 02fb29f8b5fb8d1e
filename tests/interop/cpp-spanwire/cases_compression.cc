// Compression, chosen per call and per message.
#include "cases.h"

// A server that does not look would accept the false claim of a probe, and the rest would prove only that it can
// decompress; the `_noprobe` cases ask for no more than that.

namespace {

SimpleRequest claiming(bool compressed) {
  SimpleRequest request = large_request();
  request.mutable_expect_compressed()->set_value(compressed);
  return request;
}

spanwire::buffer claiming(bool compressed, int size) {
  StreamingInputCallRequest request;
  request.mutable_expect_compressed()->set_value(compressed);
  request.set_allocated_payload(new_zeros(size));
  return request.SerializeAsString();
}

spanwire::call_options with_gzip() {
  spanwire::call_options options = within_limit();
  options.compression = spanwire::encoding::gzip;
  return options;
}

void check_large(const spanwire::response &response) {
  check_zeros(parse<SimpleResponse>(response.message).payload(), large_response_size);
}

}  // namespace

task<> client_compressed_unary(const session &session) {
  const spanwire::channel channel = session.channel();
  const std::string probe = claiming(true).SerializeAsString();
  const auto outcome = co_await channel.unary(TEST_SERVICE "UnaryCall", probe, within_limit());
  check_code(outcome.status(), code::invalid_argument);
  co_await client_compressed_unary_noprobe(session);
}

task<> client_compressed_unary_noprobe(const session &session) {
  const spanwire::channel channel = session.channel();
  check_large(co_await unary(channel, claiming(true), with_gzip()));
  check_large(co_await unary(channel, claiming(false)));
}

task<> server_compressed_unary(const session &session) {
  const spanwire::channel channel = session.channel();
  for (const bool wanted : {true, false}) {
    SimpleRequest request = large_request();
    request.mutable_response_compressed()->set_value(wanted);
    const spanwire::response response = co_await unary(channel, request);
    check_large(response);
    check(response.message.compressed() == wanted, "response compressed: not ", wanted);
  }
}

task<> client_compressed_streaming(const session &session) {
  const spanwire::channel channel = session.channel();
  spanwire::call probe = co_await channel.client_streaming(TEST_SERVICE "StreamingInputCall", within_limit());
  // Whether the call has ended by then is up to the server.
  static_cast<void>(co_await probe.send(claiming(true, 27'182)));
  check_code(co_await probe.finish(), code::invalid_argument);
  co_await client_compressed_streaming_noprobe(session);
}

task<> client_compressed_streaming_noprobe(const session &session) {
  const spanwire::channel channel = session.channel();
  spanwire::call call = co_await channel.client_streaming(TEST_SERVICE "StreamingInputCall", with_gzip());
  (co_await call.send(claiming(true, 27'182))).or_throw();
  (co_await call.send(claiming(false, 45'904).plain())).or_throw();
  co_await expect_sum(call, 73'086);
}

task<> server_compressed_streaming(const session &session) {
  struct wanted_response {
    int size;
    bool compressed;
  };
  static constexpr wanted_response wanted[] = {{31'415, true}, {92'653, false}};
  StreamingOutputCallRequest request;
  for (const auto &[size, compressed] : wanted) {
    auto &parameters = *request.add_response_parameters();
    parameters.set_size(size);
    parameters.mutable_compressed()->set_value(compressed);
  }
  const spanwire::channel channel = session.channel();
  spanwire::call call = co_await channel.server_streaming(TEST_SERVICE "StreamingOutputCall",
                                                          request.SerializeAsString(), within_limit());
  for (const auto &[size, compressed] : wanted) {
    check(co_await expect_response(call, size) == compressed, "response compressed: not ", compressed);
  }
  co_await expect_end(call);
}
