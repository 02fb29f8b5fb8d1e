#include "service.h"

#include <unistd.h>

#include <vector>

using grpc::testing::EchoStatus;
using grpc::testing::Payload;
using grpc::testing::SimpleRequest;
using grpc::testing::SimpleResponse;
using grpc::testing::StreamingInputCallRequest;
using grpc::testing::StreamingInputCallResponse;
using grpc::testing::StreamingOutputCallRequest;
using grpc::testing::StreamingOutputCallResponse;
using spanwire::code;
using std::chrono::milliseconds;

namespace {

// No response is larger, whatever the request says.
constexpr int max_response = 64 << 20;
// Load reports never come more often than this, whatever the client asks for.
constexpr milliseconds min_interval(100);

// Ends the call with a status.
[[noreturn]] void fail(code code, std::string_view message) { throw spanwire::error({code, message}); }

void echo_metadata(spanwire::context &context) {
  for (const auto &[key, value] : context.metadata()) {
    if (key == echo_initial) context.headers().append(key, value);
    if (key == echo_trailing) context.trailers().append(key, value);
  }
}

void fail_if_asked(const EchoStatus &wanted) {
  if (wanted.code() != 0) fail(static_cast<code>(wanted.code()), wanted.message());
}

// Fails a request that says of itself that it came compressed, or not, if that is not so.
template <class Request>
Request parse_claim(const spanwire::bytes &bytes) {
  auto request = parse<Request>(bytes);
  if (request.has_expect_compressed() && request.expect_compressed().value() != bytes.compressed()) {
    fail(code::invalid_argument, "the request did not come as expect_compressed says");
  }
  return request;
}

void fill_payload(grpc::testing::PayloadType type, int size, Payload &payload) {
  if (type != grpc::testing::COMPRESSABLE) fail(code::invalid_argument, "response_type is not COMPRESSABLE");
  if (size < 0 || size > max_response) fail(code::invalid_argument, "a response of that size cannot be made");
  payload.mutable_body()->assign(static_cast<size_t>(size), '\0');
}

}  // namespace

void interop_service::add_to(spanwire::server &server) {
  const auto must = [](const spanwire::status &status) { status.or_throw(); };
  must(server.unary(TEST_SERVICE "EmptyCall", [](bytes, context &) -> answer { co_return bytes(); }));
  must(server.unary(TEST_SERVICE "UnaryCall", std::bind_front(&interop_service::unary_call, this)));
  must(server.client_streaming(TEST_SERVICE "StreamingInputCall", [this](spanwire::reader &requests, context &) {
    return streaming_input_call(requests);
  }));
  must(server.server_streaming(TEST_SERVICE "StreamingOutputCall",
                               std::bind_front(&interop_service::streaming_output_call, this)));
  must(server.bidi(TEST_SERVICE "FullDuplexCall", std::bind_front(&interop_service::full_duplex_call, this)));
  must(server.bidi(TEST_SERVICE "HalfDuplexCall", std::bind_front(&interop_service::half_duplex_call, this)));
  must(server.server_streaming(STREAM_CORE_METRICS, [this](bytes request, spanwire::writer &reports, context &) {
    return stream_core_metrics(std::move(request), reports);
  }));
}

interop_service::answer interop_service::unary_call(bytes message, context &context) {
  const auto request = parse_claim<SimpleRequest>(message);
  echo_metadata(context);
  fail_if_asked(request.response_status());
  if (request.response_compressed().value()) context.compression(spanwire::encoding::gzip);
  if (request.has_orca_per_query_report()) {
    const interop::LoadReport report = to_load_report(request.orca_per_query_report());
    context.trailers().append(report_trailer, report.SerializeAsString());
  }
  SimpleResponse response;
  fill_payload(request.response_type(), request.response_size(), *response.mutable_payload());
  if (request.fill_server_id()) response.set_server_id("spanwire-cpp-" + std::to_string(getpid()));
  co_return response.SerializeAsString();
}

interop_service::answer interop_service::streaming_input_call(spanwire::reader &requests) {
  size_t sum = 0;
  while (const auto message = co_await requests.next()) {
    sum += parse_claim<StreamingInputCallRequest>(*message).payload().body().size();
  }
  StreamingInputCallResponse response;
  response.set_aggregated_payload_size(static_cast<int>(sum));
  co_return response.SerializeAsString();
}

interop_service::outcome interop_service::send_responses(const StreamingOutputCallRequest &request,
                                                         spanwire::writer &responses) {
  for (const auto &parameters : request.response_parameters()) {
    co_await loop_.sleep(std::chrono::microseconds(parameters.interval_us()));
    StreamingOutputCallResponse response;
    fill_payload(request.response_type(), parameters.size(), *response.mutable_payload());
    spanwire::buffer message = response.SerializeAsString();
    if (!parameters.compressed().value()) message = std::move(message).plain();
    if (auto sent = co_await responses.send(std::move(message)); !sent) co_return sent;
  }
  co_return {};
}

interop_service::outcome interop_service::streaming_output_call(bytes message, spanwire::writer &responses,
                                                                context &context) {
  const auto request = parse<StreamingOutputCallRequest>(message);
  echo_metadata(context);
  fail_if_asked(request.response_status());
  context.compression(spanwire::encoding::gzip);
  co_return co_await send_responses(request, responses);
}

spanwire::task<> interop_service::own_load(const context *owner) {
  while (load_owner_ != nullptr && load_owner_ != owner) co_await loop_.sleep(milliseconds(10));
  load_owner_ = owner;
}

interop_service::outcome interop_service::full_duplex_call(spanwire::reader &requests, spanwire::writer &responses,
                                                           context &context) {
  // However this ends.
  const std::shared_ptr<void> disown(nullptr, [this, &context](void *) {
    if (load_owner_ == &context) load_owner_ = nullptr;
  });
  echo_metadata(context);
  // Which responses are to be compressed shows only with each request; plain ones may mix with them.
  context.compression(spanwire::encoding::gzip);
  while (const auto message = co_await requests.next()) {
    const auto request = parse<StreamingOutputCallRequest>(*message);
    fail_if_asked(request.response_status());
    if (request.has_orca_oob_report()) {
      co_await own_load(&context);
      load_ = to_load_report(request.orca_oob_report());
    }
    if (auto sent = co_await send_responses(request, responses); !sent) co_return sent;
  }
  co_return requests.status();
}

interop_service::outcome interop_service::half_duplex_call(spanwire::reader &requests, spanwire::writer &responses,
                                                           context &context) {
  echo_metadata(context);
  context.compression(spanwire::encoding::gzip);
  std::vector<StreamingOutputCallRequest> kept;
  while (const auto message = co_await requests.next()) {
    kept.push_back(parse<StreamingOutputCallRequest>(*message));
  }
  for (const auto &request : kept) {
    if (auto sent = co_await send_responses(request, responses); !sent) co_return sent;
  }
  co_return requests.status();
}

interop_service::outcome interop_service::stream_core_metrics(bytes message, spanwire::writer &reports) {
  const auto wanted = parse<interop::LoadReportRequest>(message).report_interval();
  const milliseconds interval(wanted.seconds() * 1000 + wanted.nanos() / 1'000'000);
  for (;;) {
    if (auto sent = co_await reports.send(load_.SerializeAsString()); !sent) co_return sent;
    co_await loop_.sleep(std::max(interval, min_interval));
  }
}
