/* Serves the official interop services until SIGTERM or Ctrl-C. */
#include "server.h"

#include <stdio.h>

#include "flags.h"

static struct method METHODS[] = {
    {TEST_SERVICE "EmptyCall", SPANWIRE_KIND_UNARY, 0, empty_call},
    {TEST_SERVICE "UnaryCall", SPANWIRE_KIND_UNARY, 0, unary_call},
    {TEST_SERVICE "StreamingInputCall", SPANWIRE_KIND_CLIENT_STREAMING, 8, streaming_input_call},
    {TEST_SERVICE "StreamingOutputCall", SPANWIRE_KIND_SERVER_STREAMING, 0, streaming_output_call},
    {TEST_SERVICE "FullDuplexCall", SPANWIRE_KIND_BIDI, 8, full_duplex_call},
    {TEST_SERVICE "HalfDuplexCall", SPANWIRE_KIND_BIDI, 8, half_duplex_call},
    {STREAM_CORE_METRICS, SPANWIRE_KIND_SERVER_STREAMING, 0, stream_core_metrics},
};

static struct flag FLAGS[] = {
    {"port", ""},
    /* The official programs listen on all addresses, which is not the default here. */
    {"bind_address", "127.0.0.1"},
    {"use_tls", "false"},
    {"tls_cert_file", ""},
    {"tls_key_file", ""},
};
enum { FLAG_COUNT = sizeof FLAGS / sizeof *FLAGS };

int main(int argc, char **argv) {
  flags_parse(FLAGS, FLAG_COUNT, argc, argv);
  char address[256];
  snprintf(address, sizeof address, "%s:%ld", flag_text(FLAGS, FLAG_COUNT, "bind_address"),
           flag_number(FLAGS, FLAG_COUNT, "port"));
  const spanwire_tls_options tls = {.size = sizeof tls,
                                    .certificate_file = flag_text(FLAGS, FLAG_COUNT, "tls_cert_file"),
                                    .key_file = flag_text(FLAGS, FLAG_COUNT, "tls_key_file")};
  const bool use_tls = flag_is_true(FLAGS, FLAG_COUNT, "use_tls");
  const spanwire_server_options options = {.size = sizeof options, .tls = use_tls ? &tls : NULL};
  serve(&options, address, METHODS, sizeof METHODS / sizeof *METHODS);
  load_forget();
  return 0;
}
