#include "testing.h"

#include <stdlib.h>

#include "fail.h"

static NamedNumber *named_number(const char *key, double value) {
  NamedNumber *number = must_allocate(sizeof *number);
  interop__named_number__init(number);
  number->key = must_copy(key);
  number->value = value;
  return number;
}

LoadReport *load_report_new(const TestOrcaReport *report) {
  LoadReport *made = must_allocate(sizeof *made);
  interop__load_report__init(made);
  made->cpu_utilization = report->cpu_utilization;
  made->mem_utilization = report->memory_utilization;
  made->n_request_cost = report->n_request_cost;
  made->request_cost = must_allocate(report->n_request_cost * sizeof *made->request_cost);
  for (size_t index = 0; index < report->n_request_cost; index++) {
    made->request_cost[index] = named_number(report->request_cost[index]->key, report->request_cost[index]->value);
  }
  made->n_utilization = report->n_utilization;
  made->utilization = must_allocate(report->n_utilization * sizeof *made->utilization);
  for (size_t index = 0; index < report->n_utilization; index++) {
    made->utilization[index] = named_number(report->utilization[index]->key, report->utilization[index]->value);
  }
  return made;
}

/* All of it came from malloc, as what protobuf-c decodes does. */
void load_report_free(LoadReport *report) { interop__load_report__free_unpacked(report, NULL); }
