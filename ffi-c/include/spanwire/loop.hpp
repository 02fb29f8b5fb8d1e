// The event loop that coroutines of this library run on.
#pragma once

#include <chrono>

#include "loop_core.hpp"

namespace spanwire {

namespace detail {
struct loop_access;

class [[nodiscard]] sleep_awaiter {
 public:
  sleep_awaiter(loop_core &core, loop_core::clock::time_point end) noexcept : core_(core), end_(end) {}
  sleep_awaiter(const sleep_awaiter &) = delete;
  sleep_awaiter &operator=(const sleep_awaiter &) = delete;
  ~sleep_awaiter() { await_resume(); }
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> caller) { place_ = core_.timers.emplace(end_, caller); }
  void await_resume() noexcept {
    if (place_) core_.timers.erase(*place_);
    place_.reset();
  }

 private:
  loop_core &core_;
  loop_core::clock::time_point end_;
  std::optional<std::multimap<loop_core::clock::time_point, std::coroutine_handle<>>::iterator> place_;
};
}  // namespace detail

/// A spawned task: wait for it with `co_await`, on its loop, or drop it: then it goes on by itself, and an
/// exception that leaves it comes out of the function that drives the loop. Move-only.
template <class T>
class job {
 public:
  /// Nothing to wait for.
  job() noexcept = default;

  /// Whether the task has ended.
  bool ended() const noexcept { return !state_ || state_->ended; }

  /// Waits for the end and gives the outcome, once; an exception of the task comes out here.
  auto operator co_await() noexcept {
    struct awaiter {
      std::shared_ptr<detail::job_state<T>> state;
      bool waiting = false;

      explicit awaiter(std::shared_ptr<detail::job_state<T>> of) noexcept : state(std::move(of)) {}
      awaiter(const awaiter &) = delete;
      awaiter &operator=(const awaiter &) = delete;
      ~awaiter() {
        if (waiting) state->waiter = nullptr;
      }
      bool await_ready() const noexcept { return !state || state->ended || state->waiter; }
      void await_suspend(std::coroutine_handle<> caller) noexcept {
        state->waiter = caller;
        waiting = true;
      }
      T await_resume() {
        waiting = false;
        if (!state) return detail::refuse<T>({code::failed_precondition, "this job was moved from"});
        if (!state->ended) return detail::refuse<T>({code::failed_precondition, "this job is waited for already"});
        return state->take();
      }
    };
    return awaiter(state_);
  }

 private:
  friend class loop;
  explicit job(std::shared_ptr<detail::job_state<T>> state) noexcept : state_(std::move(state)) {}

  std::shared_ptr<detail::job_state<T>> state_;
};

/// Runs coroutines and tells them what arrives: one queue of the C API, driven by one thread at a time. Everything
/// that runs on it, handlers of servers included, runs on the thread that drives it, so nothing there needs a lock;
/// whatever blocks there stops all of it. Use one loop per thread to use several threads.
///
/// All functions are for the driving thread (or any single thread while nobody drives it), except where they say
/// that any thread may call them. Not movable: calls refer to it. Destroying it, which its own coroutines must not
/// do, destroys the tasks that have not ended and cancels their calls; calls and servers that outlive it answer
/// CANCELLED.
class loop {
 public:
  /// A loop of its own. If the system has no descriptors left, it is not ok().
  loop() = default;
  loop(const loop &) = delete;
  loop &operator=(const loop &) = delete;
  ~loop() {
    if (core_->runner.load() != std::thread::id()) detail::misuse("a loop was destroyed while it ran");
    core_->close();
  }

  /// Whether it could be made.
  bool ok() const noexcept { return static_cast<bool>(core_->queue); }

  /// Drives the loop on this thread until stop() is called. Returns at once if it is driven already, also by the
  /// caller. Throws what escaped from a task that nobody waits for; it may be called again then.
  status run() {
    detail::turn turn(*core_);
    if (!turn) return taken();
    while (!core_->stopping.exchange(false)) {
      if (std::int32_t count = core_->step(-1); count < 0) return status::of_result(count);
    }
    return {};
  }

  /// Drives the loop until `work` has ended and gives its outcome; stop() does not end it before. If it cannot be
  /// driven, a T that holds a status says so, and with any other T the program ends.
  template <class T>
  T run(task<T> work) {
    detail::turn turn(*core_);
    if (!turn) return detail::refuse<T>(taken());
    job<T> mine = spawn(std::move(work));
    while (!mine.ended()) {
      if (std::int32_t count = core_->step(-1); count < 0) return detail::refuse<T>(status::of_result(count));
    }
    return mine.state_->take();
  }

  /// Waits up to `timeout` for events (without one: for ever), handles those that are there and timers that are
  /// due, and returns how many they were: 0 when the time is up, when another thread called stop() or post(), or
  /// when it is driven already.
  std::size_t run_one(std::optional<std::chrono::milliseconds> timeout = {}) {
    detail::turn turn(*core_);
    if (!turn) return 0;
    std::int64_t wait_ms = !timeout ? -1 : std::max<std::int64_t>(timeout->count(), 0);
    return static_cast<std::size_t>(std::max(core_->step(wait_ms), 0));
  }

  /// Handles what is there without waiting: what a foreign event loop calls when descriptor() is readable.
  std::size_t poll() { return run_one(std::chrono::milliseconds(0)); }

  /// A descriptor that is readable while there is something for poll() to do (level-triggered). Only watch it.
  /// Negative if there is none.
  int descriptor() const noexcept { return spanwire_queue_descriptor(core_->queue.get()); }

  /// How long a foreign event loop may wait at most before it calls poll(), for the sake of sleep(); nothing: for
  /// ever.
  std::optional<std::chrono::milliseconds> due_in() const {
    std::int64_t wait_ms = core_->wait_ms(-1);
    if (wait_ms < 0) return std::nullopt;
    return std::chrono::milliseconds(wait_ms);
  }

  /// `co_await loop.sleep(duration)`: goes on when so much time has passed.
  detail::sleep_awaiter sleep(std::chrono::nanoseconds duration) noexcept {
    return sleep_until(std::chrono::steady_clock::now() + duration);
  }
  /// `co_await loop.sleep_until(time)`.
  detail::sleep_awaiter sleep_until(std::chrono::steady_clock::time_point time) noexcept { return {*core_, time}; }

  /// Makes run() return soon, or the next one if none runs. Any thread.
  void stop() {
    core_->stopping.store(true);
    spanwire_queue_wake(core_->queue.get());
  }

  /// Begins `work` on this loop: it has run to where it first waits when this returns.
  template <class T>
  job<T> spawn(task<T> work) {
    auto state = std::make_shared<detail::job_state<T>>(core_);
    core_->adopt(detail::run_job<T>(std::move(work), state));
    return job<T>(std::move(state));
  }

  /// Has `work` run by the driving thread. Any thread. What it throws comes out of the function that drives the
  /// loop.
  void post(std::function<void()> work) { core_->post(std::move(work)); }

  /// `co_await loop.schedule()`: goes on on the driving thread. For a coroutine of this loop that awaited something
  /// which resumed it on another thread; any thread.
  auto schedule() noexcept {
    struct awaiter {
      detail::loop_core &core;
      bool await_ready() const noexcept { return false; }
      void await_suspend(std::coroutine_handle<> caller) const {
        core.post([caller] { caller.resume(); });
      }
      void await_resume() const noexcept {}
    };
    return awaiter{*core_};
  }

 private:
  friend struct detail::loop_access;

  static status taken() { return {code::failed_precondition, "this loop is being driven already"}; }

  std::shared_ptr<detail::loop_core> core_ = std::make_shared<detail::loop_core>();
};

namespace detail {

/// How the other headers see the inside of a loop.
struct loop_access {
  static const std::shared_ptr<loop_core> &core(loop &of) noexcept { return of.core_; }
};

}  // namespace detail

}  // namespace spanwire
