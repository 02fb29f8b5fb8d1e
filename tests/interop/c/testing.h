/* What the interop client and server share: names of grpc.testing and of ORCA. */
#ifndef INTEROP_TESTING_H
#define INTEROP_TESTING_H

#include "grpc/testing/empty.pb-c.h"
#include "grpc/testing/messages.pb-c.h"
#include "load_report.pb-c.h"

#define TEST_SERVICE "/grpc.testing.TestService/"
#define STREAM_CORE_METRICS "/xds.service.orca.v3.OpenRcaService/StreamCoreMetrics"

/* Metadata that a server sends back, in its leading metadata and in its trailers. */
#define ECHO_INITIAL "x-grpc-test-echo-initial"
#define ECHO_TRAILING "x-grpc-test-echo-trailing-bin"
/* The trailer that carries the load report of one call. */
#define REPORT_TRAILER "endpoint-load-metrics-bin"

/* protoc-c puts the package into every name. */
typedef Grpc__Testing__BoolValue BoolValue;
typedef Grpc__Testing__EchoStatus EchoStatus;
typedef Grpc__Testing__Empty Empty;
typedef Grpc__Testing__Payload Payload;
typedef Grpc__Testing__ResponseParameters ResponseParameters;
typedef Grpc__Testing__SimpleRequest SimpleRequest;
typedef Grpc__Testing__SimpleResponse SimpleResponse;
typedef Grpc__Testing__StreamingInputCallRequest StreamingInputCallRequest;
typedef Grpc__Testing__StreamingInputCallResponse StreamingInputCallResponse;
typedef Grpc__Testing__StreamingOutputCallRequest StreamingOutputCallRequest;
typedef Grpc__Testing__StreamingOutputCallResponse StreamingOutputCallResponse;
typedef Grpc__Testing__TestOrcaReport TestOrcaReport;
typedef Interop__LoadReport LoadReport;
typedef Interop__LoadReportRequest LoadReportRequest;
typedef Interop__NamedNumber NamedNumber;
typedef Interop__Span Span;

/* A load report in the shape in which it travels. Free it with load_report_free. */
LoadReport *load_report_new(const TestOrcaReport *report);
void load_report_free(LoadReport *report);

#endif
