/* Telemetry: where a handled call is in its trace, and options that cannot be used. What is sent is tested in Rust.
 */
#include "pair.h"

#define CALLER "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
/* The version and the trace of it, without the span. */
#define TRACE_LEN 36

static const spanwire_telemetry_options nowhere = {.size = sizeof nowhere, .endpoint = ""};

static void handled_call_is_in_the_trace_of_its_caller(void) {
  spanwire_server_options server = {.size = sizeof server, .telemetry = &nowhere};
  spanwire_channel_options channel = {.size = sizeof channel, .telemetry = &nowhere};
  pair pair;
  pair_open(&pair, (pair_options){.server = &server, .channel = &channel});
  spanwire_metadata_entry caller = {.key = "traceparent", .value = CALLER, .value_len = strlen(CALLER)};
  spanwire_call_options outer = {.size = sizeof outer, .metadata = &caller, .metadata_count = 1};
  TRY(spanwire_call_unary(pair.channel, UNARY, TEXT("outer"), &outer, pair.queue, NULL, NULL));
  spanwire_server_call *handled = ACCEPTED(&pair);
  char seen[64];
  CHECK_EQ(spanwire_server_call_traceparent(handled, seen, sizeof seen), strlen(CALLER));
  CHECK(strncmp(seen, CALLER, TRACE_LEN) == 0);
  CHECK(strcmp(seen, CALLER) != 0);
  spanwire_call_options inner = {.size = sizeof inner, .parent = handled};
  TRY(spanwire_call_unary(pair.channel, UNARY, TEXT("inner"), &inner, pair.queue, NULL, NULL));
  spanwire_server_call *nested = ACCEPTED(&pair);
  char nested_seen[64];
  CHECK_EQ(spanwire_server_call_traceparent(nested, nested_seen, sizeof nested_seen), strlen(CALLER));
  CHECK(strncmp(nested_seen, CALLER, TRACE_LEN) == 0);
  CHECK(strcmp(nested_seen, seen) != 0);
  TRY(spanwire_server_call_respond(nested, TEXT(""), NULL));
  TRY(spanwire_server_call_respond(handled, TEXT(""), NULL));
  spanwire_server_call_free(nested);
  spanwire_server_call_free(handled);
  for (int i = 0; i < 2; i++) EXPECT_DONE(pair.queue, SPANWIRE_CODE_OK, "");
  pair_close(&pair);
}

static void no_telemetry_is_no_trace(void) {
  pair pair;
  pair_open(&pair, (pair_options){0});
  START(&pair, "", NULL);
  spanwire_server_call *call = ACCEPTED(&pair);
  CHECK_EQ(spanwire_server_call_traceparent(call, NULL, 0), 0);
  TRY(spanwire_server_call_respond(call, TEXT(""), NULL));
  spanwire_server_call_free(call);
  EXPECT_DONE(pair.queue, SPANWIRE_CODE_OK, "");
  CHECK_EQ(spanwire_server_call_traceparent(call, NULL, 0), 0);
  pair_close(&pair);
}

static void options_that_make_no_sense_are_named(void) {
  static const struct {
    spanwire_telemetry_options options;
    const char *named;
  } wrong[] = {
      {{.size = sizeof nowhere, .endpoint = "http://"}, "telemetry: endpoint"},
      {{.size = sizeof nowhere, .endpoint = "", .trace_ratio = 2}, "telemetry: trace_ratio"},
      {{.size = sizeof nowhere, .endpoint = "", .propagators = "b3"}, "telemetry: propagators"},
      {{.size = sizeof nowhere, .endpoint = "", .access_log = "some"}, "telemetry: access_log"},
      {{.size = sizeof nowhere, .endpoint = "", .metrics_interval_ms = -1}, "metrics_interval_ms"},
      {{.size = sizeof nowhere, .endpoint = "", .resource_attributes = "zone"}, "telemetry: resource_attributes"},
      {{.size = 1}, "spanwire_telemetry_options.size"},
  };
  for (size_t i = 0; i < COUNT_OF(wrong); i++) {
    spanwire_channel_options channel = {.size = sizeof channel, .telemetry = &wrong[i].options};
    CHECK(spanwire_channel_new(NULL, "127.0.0.1:1", &channel) == NULL);
    CHECK_HAS(spanwire_last_error(), wrong[i].named);
    spanwire_server_options server = {.size = sizeof server, .telemetry = &wrong[i].options};
    CHECK(spanwire_server_new(NULL, &server) == NULL);
    CHECK_HAS(spanwire_last_error(), wrong[i].named);
  }
}

int main(int argc, char **argv) {
  static const test tests[] = {
      TEST(handled_call_is_in_the_trace_of_its_caller),
      TEST(no_telemetry_is_no_trace),
      TEST(options_that_make_no_sense_are_named),
  };
  return run_tests(tests, COUNT_OF(tests), argc, argv);
}
