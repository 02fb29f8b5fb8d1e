// Serves the official interop services until SIGTERM or Ctrl-C.
#include <iostream>

#include "flags.h"
#include "service.h"
#include "until_signal.h"

namespace {

constexpr std::chrono::seconds grace(1);

spanwire::server_options options_of(const flags &flags) {
  // The official programs listen on all addresses, which is not the default here.
  spanwire::server_options options{.address = flags.text("bind_address") + ":" + flags.text("port")};
  if (flags.is_true("use_tls")) {
    options.tls = {.certificate_file = flags.text("tls_cert_file"), .key_file = flags.text("tls_key_file")};
  }
  return options;
}

void serve(const flags &flags) {
  until_signal signal;
  spanwire::loop loop;
  interop_service service(loop);
  spanwire::server server(options_of(flags));
  service.add_to(server);
  server.start(loop).or_throw();
  std::cout << "listening on port " << server.port() << std::endl;

  signal.watch(loop);
  loop.run().or_throw();
  server.shutdown_blocking(grace).or_throw();
}

}  // namespace

int main(int argc, char **argv) {
  try {
    serve(flags(argc, argv,
                {{"port", ""},
                 {"bind_address", "127.0.0.1"},
                 {"use_tls", "false"},
                 {"tls_cert_file", ""},
                 {"tls_key_file", ""}}));
  } catch (const std::exception &failure) {
    std::cerr << failure.what() << '\n';
    return 1;
  }
}
