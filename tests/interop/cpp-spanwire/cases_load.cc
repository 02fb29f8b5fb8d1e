// Load reports of the backend. The official cases look at them where a balancer sees them; here they are read off
// the wire: the trailer, and the stream of reports.
#include "cases.h"

namespace {

grpc::testing::TestOrcaReport report(double cpu, double memory, double utilization) {
  grpc::testing::TestOrcaReport made;
  made.set_cpu_utilization(cpu);
  made.set_memory_utilization(memory);
  (*made.mutable_utilization())["util"] = utilization;
  return made;
}

bool is_report(const interop::LoadReport &found, const grpc::testing::TestOrcaReport &sent) {
  return found.SerializeAsString() == to_load_report(sent).SerializeAsString();
}

}  // namespace

task<> orca_per_rpc(const session &session) {
  SimpleRequest request;
  *request.mutable_orca_per_query_report() = report(0.8210, 0.5847, 0.30499);
  (*request.mutable_orca_per_query_report()->mutable_request_cost())["cost"] = 3456.32;
  const spanwire::channel channel = session.channel();
  const spanwire::response response = co_await unary(channel, request);
  const auto found = response.trailers.find(report_trailer);
  check(found.has_value(), "the trailers have no report");
  check(is_report(parse<interop::LoadReport>(*found), request.orca_per_query_report()),
        "the report came back with other numbers");
}

task<> orca_oob(const session &session) {
  const spanwire::channel channel = session.channel();
  interop::LoadReportRequest interval;
  interval.mutable_report_interval()->set_nanos(100'000'000);
  spanwire::call reports =
      co_await channel.server_streaming(STREAM_CORE_METRICS, interval.SerializeAsString(), within_limit());
  spanwire::call call = co_await channel.bidi(TEST_SERVICE "FullDuplexCall", within_limit());
  for (const auto &sent : {report(0.8210, 0.5847, 0.30499), report(0.29309, 0.2, 0.2039)}) {
    StreamingOutputCallRequest request;
    *request.mutable_orca_oob_report() = sent;
    request.add_response_parameters()->set_size(1);
    (co_await call.send(request.SerializeAsString())).or_throw();
    co_await expect_response(call, 1);
    // The streams' deadline is the limit.
    for (bool seen = false; !seen;) {
      const std::optional<spanwire::bytes> bytes = co_await reports.next();
      check(bytes.has_value(), "the report that was sent did not come back");
      seen = is_report(parse<interop::LoadReport>(*bytes), sent);
    }
  }
  call.half_close().or_throw();
  co_await expect_end(call);
}
