/* Load reports of the backend. The official cases look at them where a balancer sees them; here they are read off
 * the wire: the trailer, and the stream of reports. */
#include <string.h>

#include "cases.h"

#define COST_INIT GRPC__TESTING__TEST_ORCA_REPORT__REQUEST_COST_ENTRY__INIT
#define UTILIZATION_INIT GRPC__TESTING__TEST_ORCA_REPORT__UTILIZATION_ENTRY__INIT
typedef Grpc__Testing__TestOrcaReport__RequestCostEntry CostEntry;
typedef Grpc__Testing__TestOrcaReport__UtilizationEntry UtilizationEntry;

static bool same_numbers(size_t count, NamedNumber **ours, size_t other_count, NamedNumber **others) {
  if (count != other_count) return false;
  for (size_t index = 0; index < count; index++) {
    if (strcmp(ours[index]->key, others[index]->key) != 0 || ours[index]->value != others[index]->value)
      return false;
  }
  return true;
}

static bool is_report(const LoadReport *found, const TestOrcaReport *sent) {
  LoadReport *wanted = load_report_new(sent);
  const bool same =
      found->cpu_utilization == wanted->cpu_utilization && found->mem_utilization == wanted->mem_utilization &&
      same_numbers(found->n_request_cost, found->request_cost, wanted->n_request_cost, wanted->request_cost) &&
      same_numbers(found->n_utilization, found->utilization, wanted->n_utilization, wanted->utilization);
  load_report_free(wanted);
  return same;
}

void orca_per_rpc(const struct session *session) {
  CostEntry cost = COST_INIT;
  cost.key = "cost";
  cost.value = 3456.32;
  CostEntry *costs[] = {&cost};
  UtilizationEntry utilization = UTILIZATION_INIT;
  utilization.key = "util";
  utilization.value = 0.30499;
  UtilizationEntry *utilizations[] = {&utilization};
  TestOrcaReport sent = GRPC__TESTING__TEST_ORCA_REPORT__INIT;
  sent.cpu_utilization = 0.8210;
  sent.memory_utilization = 0.5847;
  sent.n_request_cost = 1;
  sent.request_cost = costs;
  sent.n_utilization = 1;
  sent.utilization = utilizations;
  SimpleRequest request = SIMPLE_REQUEST_INIT;
  request.orca_per_query_report = &sent;

  spanwire_channel *channel = open_channel(session);
  const spanwire_call_options options = call_options();
  spanwire_event done = unary(channel, TEST_SERVICE "UnaryCall", &request, &options);
  check_code(&done.status, SPANWIRE_CODE_OK);
  spanwire_metadata_entry trailer;
  check(spanwire_metadata_find(done.status.trailers, REPORT_TRAILER, 0, &trailer), "the trailers have no report");
  LoadReport *found = interop__load_report__unpack(NULL, trailer.value_len, trailer.value);
  check(found != NULL && is_report(found, &sent), "the report came back with other numbers");
  load_report_free(found);
  spanwire_event_free(&done);
  spanwire_channel_free(channel);
}

/* Asks the server to report that load, and waits until it does; the streams' deadline is the limit. */
static void report_and_see(struct stream *call, struct stream *reports, double cpu, double memory, double util) {
  UtilizationEntry utilization = UTILIZATION_INIT;
  utilization.key = "util";
  utilization.value = util;
  UtilizationEntry *utilizations[] = {&utilization};
  TestOrcaReport sent = GRPC__TESTING__TEST_ORCA_REPORT__INIT;
  sent.cpu_utilization = cpu;
  sent.memory_utilization = memory;
  sent.n_utilization = 1;
  sent.utilization = utilizations;
  ResponseParameters parameters = GRPC__TESTING__RESPONSE_PARAMETERS__INIT;
  parameters.size = 1;
  ResponseParameters *all_parameters[] = {&parameters};
  StreamingOutputCallRequest request = OUTPUT_REQUEST_INIT;
  request.orca_oob_report = &sent;
  request.n_response_parameters = 1;
  request.response_parameters = all_parameters;
  stream_send(call, &request, 0);
  expect_response(call, 1);

  for (bool seen = false; !seen;) {
    const spanwire_bytes *bytes = stream_next(reports);
    check(bytes != NULL, "the report that was sent did not come back: %s", stream_status(reports)->message);
    LoadReport *found = message_unpack(&interop__load_report__descriptor, bytes);
    check(found != NULL, "the report cannot be read");
    seen = is_report(found, &sent);
    load_report_free(found);
  }
}

void orca_oob(const struct session *session) {
  spanwire_channel *channel = open_channel(session);
  const spanwire_call_options options = call_options();
  struct stream reports, call;
  stream_open(&reports, channel, STREAM_CORE_METRICS, SPANWIRE_KIND_SERVER_STREAMING, &options);
  Span interval = INTEROP__SPAN__INIT;
  interval.nanos = 100 * 1000 * 1000;
  LoadReportRequest request = INTEROP__LOAD_REPORT_REQUEST__INIT;
  request.report_interval = &interval;
  stream_send(&reports, &request, SPANWIRE_SEND_LAST);

  stream_open(&call, channel, TEST_SERVICE "FullDuplexCall", SPANWIRE_KIND_BIDI, &options);
  report_and_see(&call, &reports, 0.8210, 0.5847, 0.30499);
  report_and_see(&call, &reports, 0.29309, 0.2, 0.2039);
  stream_half_close(&call);
  expect_end(&call);
  stream_close(&call);
  stream_close(&reports);
  spanwire_channel_free(channel);
}
