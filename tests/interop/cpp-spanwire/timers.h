// Pauses of coroutines, for a program that drives its loop by run_one().
#pragma once

#include <chrono>
#include <coroutine>
#include <map>
#include <optional>

class timers {
  using clock = std::chrono::steady_clock;
  using waiting = std::multimap<clock::time_point, std::coroutine_handle<>>;

  struct pause {
    waiting &all;
    clock::time_point end;
    std::optional<waiting::iterator> place = {};

    ~pause() { await_resume(); }
    bool await_ready() const { return end <= clock::now(); }
    void await_suspend(std::coroutine_handle<> who) { place = all.emplace(end, who); }
    void await_resume() {
      if (place) all.erase(*place);
      place.reset();
    }
  };

 public:
  // `co_await timers.sleep(duration)`.
  pause sleep(clock::duration duration) { return {waiting_, clock::now() + duration}; }

  // Resumes all whose pause is over, and says how long the next one has to wait.
  std::optional<std::chrono::milliseconds> run() {
    while (!waiting_.empty() && waiting_.begin()->first <= clock::now()) {
      // It leaves the map as it goes on.
      waiting_.begin()->second.resume();
    }
    if (waiting_.empty()) return std::nullopt;
    return std::chrono::ceil<std::chrono::milliseconds>(waiting_.begin()->first - clock::now());
  }

 private:
  waiting waiting_;
};
