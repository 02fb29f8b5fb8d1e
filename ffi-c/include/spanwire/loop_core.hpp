// The inside of spanwire::loop: what runs on it, and who is told what arrives. Include <spanwire.hpp> instead.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "task.hpp"

namespace spanwire::detail {

/// A place in a list; leaves it when it ends.
struct list_link {
  list_link *previous = nullptr;
  list_link *next = nullptr;

  list_link() noexcept = default;
  list_link(const list_link &) = delete;
  list_link &operator=(const list_link &) = delete;
  ~list_link() { unlink(); }

  void link(list_link &head) noexcept {
    next = head.next;
    previous = &head;
    if (next != nullptr) next->previous = this;
    head.next = this;
  }
  void unlink() noexcept {
    if (previous != nullptr) previous->next = next;
    if (next != nullptr) next->previous = previous;
    previous = next = nullptr;
  }
};

/// Is told of events.
struct sink : list_link {
  virtual ~sink() = default;
  virtual void on_event(spanwire_event &event) = 0;
  /// The loop ends, no event follows. May destroy itself; resumes nobody.
  virtual void on_loop_end() noexcept {}

  /// What the C API calls the tag.
  void *tag() noexcept { return this; }
  static sink &of_tag(void *tag) noexcept { return *static_cast<sink *>(tag); }
};

/// The coroutine at the bottom of a spawned task. It belongs to its loop, and destroys itself when it ends.
struct root {
  struct promise_type : promise_base, list_link {
    root get_return_object() noexcept { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
    std::suspend_never final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
  };
  std::coroutine_handle<promise_type> coroutine;
};

struct loop_core : std::enable_shared_from_this<loop_core> {
  using clock = std::chrono::steady_clock;
  static constexpr std::size_t events_at_once = 64;

  queue_handle queue{spanwire_queue_new()};
  std::atomic<std::thread::id> runner;
  std::atomic<bool> stopping{false};
  std::mutex lock;
  std::vector<std::function<void()>> inbox;  // guarded by `lock`: what other threads want to be run here
  std::exception_ptr escaped;                // from work that nobody waits for
  list_link roots;
  list_link sinks;                                                    // calls of clients
  std::unordered_map<std::uintptr_t, std::shared_ptr<sink>> sources;  // by tag: methods of servers, and shutdowns
  std::uintptr_t last_source = 0;
  std::multimap<clock::time_point, std::coroutine_handle<>> timers;  // who sleeps until when
  std::array<spanwire_event, events_at_once> events{};

  loop_core() = default;
  loop_core(const loop_core &) = delete;
  loop_core &operator=(const loop_core &) = delete;

  /// Ends everything that is left, in an order in which nobody is resumed and nothing is used after its end.
  void close() noexcept {
    inbox.clear();
    while (roots.next != nullptr) {
      auto &promise = *static_cast<root::promise_type *>(roots.next);
      std::coroutine_handle<root::promise_type>::from_promise(promise).destroy();
    }
    while (sinks.next != nullptr) {
      auto &left = *static_cast<sink *>(sinks.next);
      left.unlink();
      left.on_loop_end();
    }
    sources.clear();
    queue.reset();
  }

  /// Takes a coroutine over and runs it to where it first waits.
  void adopt(root fresh) {
    root::promise_type &promise = fresh.coroutine.promise();
    promise.loop = this;
    promise.link(roots);
    fresh.coroutine.resume();
  }

  /// From any thread: has `work` run by the thread of the loop.
  void post(std::function<void()> work) {
    {
      std::lock_guard guard(lock);
      inbox.push_back(std::move(work));
    }
    spanwire_queue_wake(queue.get());
  }

  /// Makes a tag for a source of events and keeps the source.
  void *add_source(std::shared_ptr<sink> source) {
    sources.emplace(++last_source, std::move(source));
    return reinterpret_cast<void *>(last_source);
  }

  /// How long until the next timer is due, at most `timeout_ms` if that is not negative; negative: for ever.
  std::int64_t wait_ms(std::int64_t timeout_ms) const {
    if (timers.empty()) return timeout_ms;
    auto left = std::chrono::ceil<std::chrono::milliseconds>(timers.begin()->first - clock::now()).count();
    left = std::max<std::int64_t>(left, 0);
    return timeout_ms < 0 ? left : std::min<std::int64_t>(left, timeout_ms);
  }

  /// Waits up to `timeout_ms` (negative: for ever) and handles what came. How much, or a negative result.
  std::int32_t step(std::int64_t timeout_ms) {
    run_inbox();
    std::int32_t count = spanwire_queue_next(queue.get(), events.data(), events.size(), wait_ms(timeout_ms));
    if (count < 0) return count;
    spanwire_batch_begin();
    for (std::int32_t index = 0; index < count; ++index) dispatch(events[static_cast<std::size_t>(index)]);
    std::int32_t due = run_timers();
    spanwire_batch_end();
    spanwire_events_free(events.data(), static_cast<std::size_t>(count));
    run_inbox();
    rethrow_escaped();
    return count + due;
  }

 private:
  void run_inbox() {
    std::vector<std::function<void()>> now;
    {
      std::lock_guard guard(lock);
      now.swap(inbox);
    }
    for (std::function<void()> &work : now) {
#if defined(__cpp_exceptions)
      try {
        work();
      } catch (...) {
        escaped = std::current_exception();
      }
#else
      work();
#endif
    }
  }

  std::int32_t run_timers() {
    if (timers.empty()) return 0;
    std::int32_t due = 0;
    for (clock::time_point now = clock::now(); !timers.empty() && timers.begin()->first <= now; ++due) {
      // It leaves the list as it goes on.
      timers.begin()->second.resume();
    }
    return due;
  }

  void rethrow_escaped() {
#if defined(__cpp_exceptions)
    if (escaped) std::rethrow_exception(std::exchange(escaped, nullptr));
#endif
  }

  void dispatch(spanwire_event &event) {
    switch (event.type) {
      case SPANWIRE_EVENT_NONE:
        break;
      case SPANWIRE_EVENT_REQUEST:
      case SPANWIRE_EVENT_SERVER_CLOSED:
        dispatch_to_source(event);
        break;
      default:
        if (event.server_call == nullptr) {
          sink::of_tag(event.tag).on_event(event);
        } else if (void *call = spanwire_server_call_data(event.server_call); call != nullptr) {
          sink::of_tag(call).on_event(event);
        }
    }
  }

  void dispatch_to_source(spanwire_event &event) {
    auto found = sources.find(reinterpret_cast<std::uintptr_t>(event.tag));
    if (found != sources.end()) {
      std::shared_ptr<sink> source = found->second;
      source->on_event(event);
    } else if (event.server_call != nullptr) {
      spanwire_server_call_free(event.server_call);
    }
  }
};

/// The right to drive a loop: one thread at a time has it, and not twice.
class turn {
 public:
  explicit turn(loop_core &core) noexcept : core_(core) {
    std::thread::id nobody;
    mine_ = core.runner.compare_exchange_strong(nobody, std::this_thread::get_id());
  }
  turn(const turn &) = delete;
  turn &operator=(const turn &) = delete;
  ~turn() {
    if (mine_) core_.runner.store(std::thread::id());
  }
  explicit operator bool() const noexcept { return mine_; }

 private:
  loop_core &core_;
  bool mine_;
};

/// What a spawned task leaves for who waits for it. An exception that nobody took goes to the loop.
template <class T>
struct job_state {
  std::weak_ptr<loop_core> core;
  std::optional<std::conditional_t<std::is_void_v<T>, bool, T>> value;
  std::exception_ptr thrown;
  bool ended = false;
  std::coroutine_handle<> waiter;

  explicit job_state(std::weak_ptr<loop_core> of) noexcept : core(std::move(of)) {}
  job_state(const job_state &) = delete;
  job_state &operator=(const job_state &) = delete;
  ~job_state() {
    if (!thrown) return;
    if (std::shared_ptr<loop_core> loop = core.lock(); loop != nullptr) loop->escaped = std::move(thrown);
  }

  T take() {
#if defined(__cpp_exceptions)
    if (thrown) std::rethrow_exception(std::exchange(thrown, nullptr));
#endif
    if constexpr (!std::is_void_v<T>) return std::move(*value);
  }
};

template <class T>
root run_job(task<T> work, std::shared_ptr<job_state<T>> state) {
#if defined(__cpp_exceptions)
  try {
#endif
    if constexpr (std::is_void_v<T>) {
      co_await work;
    } else {
      state->value.emplace(co_await work);
    }
#if defined(__cpp_exceptions)
  } catch (...) {
    state->thrown = std::current_exception();
  }
#endif
  state->ended = true;
  if (std::coroutine_handle<> waiter = std::exchange(state->waiter, nullptr)) waiter.resume();
}

}  // namespace spanwire::detail
