// Metadata there and back, and statuses other than OK.
#include "cases.h"

namespace {

constexpr char initial_value[] = "test_initial_metadata_value";
constexpr char trailing_value[] = "\xab\xab\xab";

// Fails unless the key is there once, with this value.
void check_echo(const spanwire::metadata &metadata, const char *key, std::string_view value) {
  check(metadata.find(key) == value, key, " did not come back as it was sent");
  check(!metadata.find(key, 1), key, " came back twice");
}

}  // namespace

task<> custom_metadata(const session &session) {
  const spanwire::channel channel = session.channel();
  spanwire::call_options options = within_limit();
  options.metadata = {{echo_initial, initial_value}, {echo_trailing, trailing_value}};

  const spanwire::response response = co_await unary(channel, large_request(), options);
  check_zeros(parse<SimpleResponse>(response.message).payload(), large_response_size);
  check_echo(response.headers, echo_initial, initial_value);
  check_echo(response.trailers, echo_trailing, trailing_value);

  spanwire::call call = co_await channel.bidi(TEST_SERVICE "FullDuplexCall", options);
  (co_await call.send(ping(large_request_size, large_response_size).SerializeAsString())).or_throw();
  call.half_close().or_throw();
  check_echo((co_await call.headers()).value_or_throw(), echo_initial, initial_value);
  co_await expect_response(call, large_response_size);
  const spanwire::status status = co_await expect_end(call);
  check_echo(status.trailers(), echo_trailing, trailing_value);
}

namespace {

// Asks for a status, which is UNKNOWN with a message.
template <class Request>
std::string asking_for(const char *message) {
  Request request;
  request.mutable_response_status()->set_code(static_cast<int>(code::unknown));
  request.mutable_response_status()->set_message(message);
  return request.SerializeAsString();
}

void check_unknown(const spanwire::status &status, const char *message) {
  check_code(status, code::unknown);
  check(status.message() == message, "status message: ", status.message());
}

task<> check_unary_status(const spanwire::channel &channel, const char *message) {
  const auto outcome =
      co_await channel.unary(TEST_SERVICE "UnaryCall", asking_for<SimpleRequest>(message), within_limit());
  check_unknown(outcome.status(), message);
}

task<> check_unimplemented(const session &session, const char *method) {
  const spanwire::channel channel = session.channel();
  const auto outcome = co_await channel.unary(method, "", within_limit());
  check_code(outcome.status(), code::unimplemented);
}

}  // namespace

task<> status_code_and_message(const session &session) {
  static constexpr char message[] = "test status message";
  const spanwire::channel channel = session.channel();
  co_await check_unary_status(channel, message);

  spanwire::call call = co_await channel.bidi(TEST_SERVICE "FullDuplexCall", within_limit());
  (co_await call.send(asking_for<StreamingOutputCallRequest>(message))).or_throw();
  check_unknown(co_await call.finish(), message);
}

task<> special_status_message(const session &session) {
  const spanwire::channel channel = session.channel();
  co_await check_unary_status(channel, "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n");
}

task<> unimplemented_method(const session &session) {
  co_await check_unimplemented(session, TEST_SERVICE "UnimplementedCall");
}

task<> unimplemented_service(const session &session) {
  co_await check_unimplemented(session, "/grpc.testing.UnimplementedService/UnimplementedCall");
}
