#include "cases.h"

#include <algorithm>

spanwire::channel session::channel() const {
  const std::string &host = command_line.text("server_host");
  const std::string &name = command_line.text("server_host_override");
  spanwire::channel_options options{.authority = name};
  if (command_line.is_true("use_tls")) {
    options.tls = {.ca_file = command_line.text("custom_ca_file"), .server_name = name};
  }
  const std::string quoted = host.find(':') == host.npos ? host : "[" + host + "]";
  spanwire::channel made(quoted + ":" + command_line.text("server_port"), options);
  made.status().or_throw();
  return made;
}

Payload *new_zeros(int size) {
  auto *payload = new Payload;
  payload->mutable_body()->assign(static_cast<size_t>(size), '\0');
  return payload;
}

SimpleRequest large_request() {
  SimpleRequest request;
  request.set_response_size(large_response_size);
  request.set_allocated_payload(new_zeros(large_request_size));
  return request;
}

StreamingOutputCallRequest ping(int request_size, int response_size) {
  StreamingOutputCallRequest request;
  request.add_response_parameters()->set_size(response_size);
  request.set_allocated_payload(new_zeros(request_size));
  return request;
}

void check_code(const spanwire::status &status, spanwire::code wanted) {
  check(status.code() == wanted, spanwire::code_name(wanted), " was due, the call has ", status.to_string());
}

void check_zeros(const Payload &payload, int size) {
  const std::string &body = payload.body();
  check(body.size() == static_cast<size_t>(size), "response payload bytes: ", body.size(), " instead of ", size);
  check(std::ranges::all_of(body, [](char byte) { return byte == '\0'; }), "a payload has bytes other than zero");
}

task<spanwire::response> unary(const spanwire::channel &channel, SimpleRequest request,
                               spanwire::call_options options) {
  auto outcome = co_await channel.unary(TEST_SERVICE "UnaryCall", request.SerializeAsString(), options);
  co_return std::move(outcome).value_or_throw();
}

task<> large_call(const spanwire::channel &channel) {
  const spanwire::response response = co_await unary(channel, large_request());
  check_zeros(parse<SimpleResponse>(response.message).payload(), large_response_size);
}

task<bool> expect_response(spanwire::call &call, int size) {
  const std::optional<spanwire::bytes> bytes = co_await call.next();
  if (!bytes) {
    const spanwire::status status = co_await call.finish();
    throw failed("the stream ended early: " + status.to_string());
  }
  check_zeros(parse<StreamingOutputCallResponse>(*bytes).payload(), size);
  co_return bytes->compressed();
}

task<spanwire::status> expect_end(spanwire::call &call) {
  check(!co_await call.next(), "a response came that nobody asked for");
  co_return (co_await call.finish()).or_throw();
}

task<> expect_sum(spanwire::call &call, int sum) {
  const spanwire::response response = (co_await call.response()).value_or_throw();
  const int found = parse<StreamingInputCallResponse>(response.message).aggregated_payload_size();
  check(found == sum, "aggregated_payload_size: ", found, " instead of ", sum);
}
