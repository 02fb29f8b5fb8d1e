// The services that come with the engine: health, reflection, channelz; and the delay of a shutdown.
#include <thread>

#include "harness.hpp"

using namespace std::chrono_literals;
using spanwire::bytes;
using spanwire::task;

namespace {

// The statuses as messages have them, in their field 1.
constexpr std::string_view serving = "\x08\x01", not_serving = "\x08\x02";

std::string named(std::string_view service) {
  return "\x0a" + std::string(1, char(service.size())) + std::string(service);
}

}  // namespace

TEST(health_is_what_was_set) {
  spanwire::loop loop;
  spanwire::server server({.address = "127.0.0.1:0", .health = true});
  CHECK_OK(server.set_health("s", true));
  CHECK_OK(server.start(loop));
  spanwire::channel channel(server.target());
  auto check = [&](const std::string &request) {
    auto answer = channel.unary_blocking("/grpc.health.v1.Health/Check", request, {.timeout = 10s});
    CHECK_OK(answer);
    return std::string(answer->message.view());
  };
  CHECK(check("") == serving);
  CHECK(check(named("s")) == serving);
  CHECK_OK(server.set_health("s", false));
  CHECK_OK(server.set_health("", false));
  CHECK(check("") == not_serving);
  CHECK(check(named("s")) == not_serving);
  auto unknown = channel.unary_blocking("/grpc.health.v1.Health/Check", named("t"));
  CHECK_CODE(not_found, unknown.status());
  CHECK_OK(server.shutdown_blocking(10s));
}

TEST(a_shutdown_goes_on_serving_for_the_delay) {
  spanwire::loop loop;
  spanwire::server server({.address = "127.0.0.1:0", .drain_delay = 200ms, .health = true});
  CHECK_OK(server.start(loop));
  spanwire::channel channel(server.target());
  spanwire::blocking_call states = channel.server_streaming_blocking("/grpc.health.v1.Health/Watch", "");
  CHECK(states.next()->view() == serving);
  auto began = std::chrono::steady_clock::now();
  std::thread shutdown([&] { CHECK_OK(server.shutdown_blocking(60s)); });
  CHECK(states.next()->view() == not_serving);
  CHECK(!states.next());
  CHECK_CODE(unavailable, states.finish());
  shutdown.join();
  CHECK(std::chrono::steady_clock::now() - began >= 200ms);
}

TEST(services_are_there_only_if_they_are_asked_for) {
  const char *methods[] = {"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
                           "/grpc.channelz.v1.Channelz/GetServers"};
  for (bool asked : {false, true}) {
    spanwire::loop loop;
    spanwire::server_options options{.address = "127.0.0.1:0", .channelz = asked};
    if (asked) options.reflection = "";
    spanwire::server server(options);
    CHECK(server.set_health("", true).code() == spanwire::code::invalid_argument);
    CHECK_OK(server.start(loop));
    spanwire::channel channel(server.target());
    for (const char *method : methods) {
      auto answer = channel.unary_blocking(method, "");
      CHECK((answer ? spanwire::code::ok : answer.status().code()) ==
            (asked ? spanwire::code::ok : spanwire::code::unimplemented));
    }
    CHECK_OK(server.shutdown_blocking(10s));
  }
}

RUN_TESTS()
