// Many large calls within time and failure budgets, on threads and without a loop.
#include <atomic>
#include <iostream>
#include <thread>
#include <vector>

#include "cases.h"

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

struct budgets {
  explicit budgets(const flags &from)
      : iterations(from.number("soak_iterations")),
        max_failures(from.number("soak_max_failures")),
        workers(std::max(1, from.number("soak_num_threads"))),
        request_size(from.number("soak_request_size")),
        response_size(from.number("soak_response_size")),
        per_call(from.number("soak_per_iteration_max_acceptable_latency_ms")),
        between(from.number("soak_min_time_ms_between_rpcs")),
        end(steady_clock::now() + std::chrono::seconds(from.number("soak_overall_timeout_seconds"))) {}

  int iterations, max_failures, workers, request_size, response_size;
  milliseconds per_call, between;
  steady_clock::time_point end;
};

// Throws unless the response came in time and is right.
void call_once(const spanwire::channel &channel, const budgets &budgets) {
  const auto began = steady_clock::now();
  SimpleRequest request;
  request.set_response_size(budgets.response_size);
  request.set_allocated_payload(new_zeros(budgets.request_size));
  const spanwire::response response =
      channel.unary_blocking(TEST_SERVICE "UnaryCall", request.SerializeAsString(), within_limit())
          .value_or_throw();
  check_zeros(parse<SimpleResponse>(response.message).payload(), budgets.response_size);
  const auto took = std::chrono::duration_cast<milliseconds>(steady_clock::now() - began);
  check(took <= budgets.per_call, "it took ", took.count(), " ms");
}

// `shared` is null if each call is to have a channel of its own.
void soak(const session &session, const spanwire::channel *shared) {
  const budgets budgets(session.command_line);
  const int each = budgets.iterations / budgets.workers;
  std::atomic<int> done = 0, failures = 0;
  const auto work = [&] {
    for (int iteration = 0; iteration < each && steady_clock::now() < budgets.end; iteration++) {
      const auto next = steady_clock::now() + budgets.between;
      try {
        if (shared != nullptr) {
          call_once(*shared, budgets);
        } else {
          call_once(session.channel(), budgets);
        }
      } catch (const std::exception &failure) {
        failures++;
        std::cerr << "call " << iteration << ": " << failure.what() << '\n';
      }
      done++;
      std::this_thread::sleep_until(next);
    }
  };
  {
    std::vector<std::jthread> workers;
    for (int worker = 0; worker < budgets.workers; worker++) workers.emplace_back(work);
  }
  std::cout << done << " calls, " << failures << " failures\n";
  check(done == each * budgets.workers, done, " calls were made within the overall time");
  check(failures <= budgets.max_failures, failures, " calls failed or were too slow");
}

}  // namespace

task<> rpc_soak(const session &session) {
  const spanwire::channel channel = session.channel();
  soak(session, &channel);
  co_return;
}

task<> channel_soak(const session &session) {
  soak(session, nullptr);
  co_return;
}
