// One request, one response.
//
//   build/greeter server 127.0.0.1:50051
//   build/greeter client 127.0.0.1:50051 Ada
#include <string_view>
#include <vector>

#include "common.hpp"
#include "greeter/v1/greeter.spanwire.hpp"

using namespace std::chrono_literals;
using greeter::v1::Greeting;
using greeter::v1::GreetRequest;

class Polite final : public greeter::v1::GreeterService {
  spanwire::task<spanwire::result<Greeting>> Greet(GreetRequest request, spanwire::context &context) override {
    if (request.name().empty()) {
      co_return spanwire::status(spanwire::code::invalid_argument, "name is empty: whom shall I greet?");
    }
    std::cout << "greeting " << request.name() << " at " << context.peer() << std::endl;
    Greeting greeting;
    greeting.set_text("Hello, " + request.name() + "!");
    co_return greeting;
  }
};

int server(const char *address) {
  Polite polite;
  spanwire::loop loop;
  spanwire::server server({.address = address});
  if (spanwire::status added = polite.register_with(server); !added) return outcome(added);
  return serve(server, loop);
}

int client(const char *target, const char *name) {
  spanwire::channel channel(target);
  greeter::v1::GreeterClient greeter(channel);
  GreetRequest request;
  request.set_name(name);
  // The server may still be starting: wait for it, but not for ever.
  auto greeting = greeter.GreetBlocking(request, {.timeout = 10s, .wait_for_ready = true});
  if (greeting) std::cout << greeting->text() << '\n';
  return outcome(greeting.status());
}

int main(int argc, char **argv) {
  std::vector<std::string_view> arguments(argv + 1, argv + argc);
  if (arguments.size() == 2 && arguments[0] == "server") return server(argv[2]);
  if (arguments.size() == 3 && arguments[0] == "client") return client(argv[2], argv[3]);
  std::cerr << "usage: greeter server ADDRESS | client TARGET NAME\n";
  return 1;
}
