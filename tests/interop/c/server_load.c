/* Backend load reports (ORCA, gRFC A51) on a stream of their own. */
#include <stdlib.h>

#include "server.h"

/* Never more often than this, whatever the client asks for. */
#define MIN_INTERVAL_MS 100

/* The load that is reported; null: nobody has set one. */
static LoadReport *current;

void load_forget(void) {
  if (current != NULL) load_report_free(current);
  current = NULL;
}

void load_set(const TestOrcaReport *report) {
  load_forget();
  current = load_report_new(report);
}

struct reports {
  struct call call;
  int64_t interval_ms;
  bool full;
};

static void on_time(struct call *call) {
  struct reports *reports = (struct reports *)call;
  call->wake_at_ms = now_ms() + reports->interval_ms;
  /* Who takes no reports gets none: the next one is newer. */
  if (reports->full) return;
  const LoadReport idle = INTEROP__LOAD_REPORT__INIT;
  const spanwire_buffer report = message_pack(current != NULL ? current : &idle, 0);
  reports->full = spanwire_server_call_send(call->handle, &report) == SPANWIRE_FULL;
}

static void on_event(struct call *call, spanwire_event *event) {
  if (event->type == SPANWIRE_EVENT_WRITABLE) ((struct reports *)call)->full = false;
}

void stream_core_metrics(spanwire_event *event) {
  LoadReportRequest *request = message_unpack(&interop__load_report_request__descriptor, &event->message);
  if (request == NULL) {
    finish(event->server_call, SPANWIRE_CODE_INTERNAL, "the request cannot be read", NULL);
    return;
  }
  const Span *wanted = request->report_interval;
  const int64_t interval = wanted == NULL ? 0 : wanted->seconds * 1000 + wanted->nanos / 1000000;
  message_free(request);
  struct reports *reports = must_allocate_zeros(sizeof *reports);
  reports->interval_ms = interval > MIN_INTERVAL_MS ? interval : MIN_INTERVAL_MS;
  reports->call.on_event = on_event;
  reports->call.on_time = on_time;
  call_keep(&reports->call, event);
  on_time(&reports->call);
}
