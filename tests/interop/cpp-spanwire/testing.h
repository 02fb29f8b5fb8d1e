// What the interop client and server share: names of grpc.testing and of ORCA.
#pragma once

#include <spanwire.hpp>
#include <stdexcept>

#include "grpc/testing/empty.pb.h"
#include "grpc/testing/messages.pb.h"
#include "load_report.pb.h"

#define TEST_SERVICE "/grpc.testing.TestService/"
#define STREAM_CORE_METRICS "/xds.service.orca.v3.OpenRcaService/StreamCoreMetrics"

// Metadata that a server sends back, in its leading metadata and in its trailers.
inline constexpr char echo_initial[] = "x-grpc-test-echo-initial";
inline constexpr char echo_trailing[] = "x-grpc-test-echo-trailing-bin";
// The trailer that carries the load report of one call.
inline constexpr char report_trailer[] = "endpoint-load-metrics-bin";

// The message in these bytes; throws if there is none.
template <class Message>
Message parse(std::string_view bytes) {
  Message message;
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    throw spanwire::error({spanwire::code::internal, "the message cannot be read"});
  }
  return message;
}
template <class Message>
Message parse(const spanwire::bytes &bytes) {
  return parse<Message>(bytes.view());
}

// A load report in the shape in which it travels.
inline interop::LoadReport to_load_report(const grpc::testing::TestOrcaReport &report) {
  interop::LoadReport made;
  made.set_cpu_utilization(report.cpu_utilization());
  made.set_mem_utilization(report.memory_utilization());
  for (const auto &[key, value] : report.request_cost()) {
    interop::NamedNumber &number = *made.add_request_cost();
    number.set_key(key);
    number.set_value(value);
  }
  for (const auto &[key, value] : report.utilization()) {
    interop::NamedNumber &number = *made.add_utilization();
    number.set_key(key);
    number.set_value(value);
  }
  return made;
}
