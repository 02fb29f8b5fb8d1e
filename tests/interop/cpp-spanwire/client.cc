// Runs one official interop case against a server: exit code 0 pass, 1 fail, 77 not offered.
#include <iostream>

#include "cases.h"

namespace {

constexpr int not_offered_exit = 77;

const std::map<std::string_view, test_case *> cases = {
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

std::string_view why_not(std::string_view name) {
  if (name == "cacheable_unary") return "calls never go as GET, so no HTTP cache can answer them";
  if (name == "max_concurrent_streams_connection_scaling") return "a channel opens one connection per address";
  return "unknown case";
}

int run(const flags &flags) {
  const std::string &name = flags.text("test_case");
  const auto found = cases.find(name);
  if (found == cases.end()) {
    std::cerr << name << ": not offered: " << why_not(name) << '\n';
    return not_offered_exit;
  }
  spanwire::loop loop;
  const session session{flags, loop};
  loop.run(found->second(session));
  std::cout << name << ": pass\n";
  return 0;
}

}  // namespace

int main(int argc, char **argv) {
  try {
    return run(flags(argc, argv,
                     {{"server_host", "127.0.0.1"},
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
                      {"soak_request_size", std::to_string(large_request_size)},
                      {"soak_response_size", std::to_string(large_response_size)},
                      {"soak_num_threads", "1"}}));
  } catch (const std::exception &failure) {
    std::cerr << "FAIL: " << failure.what() << '\n';
    return 1;
  }
}
