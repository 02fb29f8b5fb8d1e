/* Runs one official interop case against a server: exit code 0 pass, 1 fail, 77 not offered. */
#include <stdio.h>
#include <string.h>

#include "cases.h"
#include "flags.h"

#define NOT_OFFERED_EXIT 77

#define TEXT_OF(value) #value
#define TEXT(value) TEXT_OF(value)

static const struct {
  const char *name;
  run_case *run;
} CASES[] = {
    {"empty_unary", empty_unary},
    {"large_unary", large_unary},
    {"ping", large_unary},
    {"data_frame_padding", large_unary},
    {"no_df_padding_sanity_test", large_unary},
    {"pick_first_unary", pick_first_unary},
    {"client_compressed_unary", client_compressed_unary},
    {"client_compressed_unary_noprobe", client_compressed_unary_noprobe},
    {"server_compressed_unary", server_compressed_unary},
    {"client_compressed_streaming", client_compressed_streaming},
    {"client_compressed_streaming_noprobe", client_compressed_streaming_noprobe},
    {"server_compressed_streaming", server_compressed_streaming},
    {"client_streaming", client_streaming},
    {"server_streaming", server_streaming},
    {"ping_pong", ping_pong},
    {"empty_stream", empty_stream},
    {"custom_metadata", custom_metadata},
    {"status_code_and_message", status_code_and_message},
    {"special_status_message", special_status_message},
    {"unimplemented_method", unimplemented_method},
    {"unimplemented_service", unimplemented_service},
    {"cancel_after_begin", cancel_after_begin},
    {"cancel_after_first_response", cancel_after_first_response},
    {"timeout_on_sleeping_server", timeout_on_sleeping_server},
    {"rpc_soak", rpc_soak},
    {"channel_soak", channel_soak},
    {"orca_per_rpc", orca_per_rpc},
    {"orca_oob", orca_oob},
    {"goaway", goaway},
    {"rst_after_header", reset},
    {"rst_during_data", reset},
    {"rst_after_data", reset},
    {"max_streams", max_streams},
};

static const char *why_not(const char *name) {
  if (strcmp(name, "cacheable_unary") == 0) return "calls never go as GET, so no HTTP cache can answer them";
  if (strcmp(name, "max_concurrent_streams_connection_scaling") == 0)
    return "a channel opens one connection per address";
  return "unknown case";
}

static struct flag FLAGS[] = {
    {"server_host", "127.0.0.1"},
    {"server_port", ""},
    {"server_host_override", ""},
    {"test_case", ""},
    {"use_tls", "false"},
    {"custom_ca_file", ""},
    {"soak_iterations", "10"},
    {"soak_max_failures", "0"},
    {"soak_per_iteration_max_acceptable_latency_ms", "1000"},
    {"soak_overall_timeout_seconds", "10"},
    {"soak_min_time_ms_between_rpcs", "0"},
    {"soak_request_size", TEXT(LARGE_REQUEST)},
    {"soak_response_size", TEXT(LARGE_RESPONSE)},
    {"soak_num_threads", "1"},
};
enum { FLAG_COUNT = sizeof FLAGS / sizeof *FLAGS };

static const char *text(const char *name) { return flag_text(FLAGS, FLAG_COUNT, name); }
static const char *text_or_null(const char *name) { return text(name)[0] == '\0' ? NULL : text(name); }
static long number(const char *name) { return flag_number(FLAGS, FLAG_COUNT, name); }

static struct session session_of_flags(void) {
  struct session session = {
      .server_name = text_or_null("server_host_override"),
      .use_tls = flag_is_true(FLAGS, FLAG_COUNT, "use_tls"),
      .ca_file = text_or_null("custom_ca_file"),
      .soak =
          {
              .iterations = number("soak_iterations"),
              .max_failures = number("soak_max_failures"),
              .per_iteration_limit_ms = number("soak_per_iteration_max_acceptable_latency_ms"),
              .overall_limit_seconds = number("soak_overall_timeout_seconds"),
              .min_time_between_ms = number("soak_min_time_ms_between_rpcs"),
              .request_size = number("soak_request_size"),
              .response_size = number("soak_response_size"),
              .workers = number("soak_num_threads"),
          },
  };
  const char *host = text("server_host");
  const bool is_ipv6 = strchr(host, ':') != NULL;
  snprintf(session.target, sizeof session.target, is_ipv6 ? "[%s]:%ld" : "%s:%ld", host, number("server_port"));
  return session;
}

int main(int argc, char **argv) {
  flags_parse(FLAGS, FLAG_COUNT, argc, argv);
  const struct session session = session_of_flags();
  const char *name = text("test_case");
  for (size_t index = 0; index < sizeof CASES / sizeof *CASES; index++) {
    if (strcmp(CASES[index].name, name) != 0) continue;
    /* A check that does not hold ends the program. */
    CASES[index].run(&session);
    check(spanwire_handle_count() == 0, "%zu handles were not freed", spanwire_handle_count());
    printf("%s: pass\n", name);
    return 0;
  }
  fprintf(stderr, "%s: not offered: %s\n", name, why_not(name));
  return NOT_OFFERED_EXIT;
}
