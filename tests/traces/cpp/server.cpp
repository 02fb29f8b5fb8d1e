// Hands calls on to the next server of the chain: server ENDPOINT PROPAGATORS NEXT. Prints its target.
#include <iostream>
#include <spanwire.hpp>

using spanwire::bytes;
using spanwire::result;
using spanwire::task;

int main(int argc, char **argv) {
  if (argc != 4) return 1;
  const spanwire::telemetry_options telemetry{.endpoint = argv[1], .service_name = "cpp", .propagators = argv[2]};
  spanwire::channel channel(argv[3], {.telemetry = telemetry});
  spanwire::loop loop;
  spanwire::server server({.address = "127.0.0.1:0", .telemetry = telemetry});
  spanwire::status added = server.unary(
      "/test.Chain/Call", [&channel](bytes request, spanwire::context &context) -> task<result<bytes>> {
        auto answer = co_await channel.unary("/test.Chain/Call", std::string(request.view()), {.parent = &context});
        if (!answer) co_return answer.status();
        co_return std::move(answer->message);
      });
  if (spanwire::status started = added ? server.start(loop) : added; !started) {
    std::cerr << started.message() << '\n';
    return 1;
  }
  std::cout << server.target() << std::endl;
  loop.run();
}
