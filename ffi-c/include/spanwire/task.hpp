// Coroutines: `task` for asynchronous work, `generator` for synchronous sequences.
#pragma once

#include <atomic>
#include <coroutine>
#include <exception>
#include <iterator>
#include <memory>
#include <optional>
#include <type_traits>

#include "status.hpp"

namespace spanwire {

namespace detail {

struct loop_core;

/// What every coroutine of ours knows: who waits for it, and the loop that it runs on.
struct promise_base {
  loop_core *loop = nullptr;
  std::coroutine_handle<> continuation;
  // Set by whoever comes first: the one that started the coroutine and leaves, or its end.
  std::atomic<bool> met{false};
  std::exception_ptr thrown;

  std::suspend_always initial_suspend() const noexcept { return {}; }
  void unhandled_exception() noexcept {
#if defined(__cpp_exceptions)
    thrown = std::current_exception();
#endif
  }
  void rethrow() const {
#if defined(__cpp_exceptions)
    if (thrown) std::rethrow_exception(thrown);
#endif
  }
};

/// Resumes who waits, by symmetric transfer: chains of coroutines do not deepen the stack. One that ended while it
/// was being started returns to its starter, which goes on by itself; so loops over tasks that never wait do not
/// deepen it either, whatever the compiler does with tail calls.
struct final_awaiter {
  bool await_ready() const noexcept { return false; }
  template <class Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> ended) const noexcept {
    promise_base &promise = ended.promise();
    if (promise.met.exchange(true, std::memory_order_acq_rel)) return promise.continuation;
    return std::noop_coroutine();
  }
  void await_resume() const noexcept {}
};

/// The loop that a coroutine runs on; null for coroutines of other libraries.
template <class Promise>
loop_core *loop_of(std::coroutine_handle<Promise> coroutine) noexcept {
  if constexpr (std::is_base_of_v<promise_base, Promise>) return coroutine.promise().loop;
  return nullptr;
}

template <class T>
struct task_promise_base : promise_base {
  std::optional<T> value;
  template <class From = T>
  requires std::convertible_to<From, T>
  void return_value(From &&from) { value.emplace(std::forward<From>(from)); }
  T take() {
    rethrow();
    return std::move(*value);
  }
};

template <>
struct task_promise_base<void> : promise_base {
  void return_void() const noexcept {}
  void take() const { rethrow(); }
};

template <class T>
struct settled;

}  // namespace detail

/// Work that a coroutine does, with its outcome. Lazy: it begins when it is awaited, by `co_await`, loop::run or
/// loop::spawn, once. An exception that leaves it comes out of the `co_await`. Destroying a task that has not ended
/// destroys what it holds, which cancels its calls. Move-only.
///
/// A coroutine's parameters are kept by value only if they are declared so: a reference must live until the task
/// ends.
template <class T = void>
class [[nodiscard]] task {
 public:
  /// What the compiler needs; not for use.
  struct promise_type : detail::task_promise_base<T> {
    task get_return_object() noexcept { return task(std::coroutine_handle<promise_type>::from_promise(*this)); }
    detail::final_awaiter final_suspend() const noexcept { return {}; }
  };

  /// No work: awaiting it gives FAILED_PRECONDITION if T can hold a status, and ends the program otherwise.
  task() noexcept = default;
  task(task &&other) noexcept : coroutine_(std::exchange(other.coroutine_, nullptr)) {}
  task &operator=(task other) noexcept {
    std::swap(coroutine_, other.coroutine_);
    return *this;
  }
  ~task() {
    if (coroutine_) coroutine_.destroy();
  }

  /// Whether there is work, begun or not.
  explicit operator bool() const noexcept { return static_cast<bool>(coroutine_); }

  /// Begins the work and waits for its outcome.
  auto operator co_await() noexcept { return awaiter{coroutine_}; }

 private:
  template <class>
  friend struct detail::settled;

  struct awaiter {
    std::coroutine_handle<promise_type> work;

    bool await_ready() const noexcept { return !work || work.done(); }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> caller) const {
      promise_type &promise = work.promise();
      promise.continuation = caller;
      promise.loop = detail::loop_of(caller);
      work.resume();
      return !promise.met.exchange(true, std::memory_order_acq_rel);
    }
    T await_resume() const {
      if (!work) return detail::refuse<T>({code::failed_precondition, "this task was moved from"});
      return work.promise().take();
    }
  };

  explicit task(std::coroutine_handle<promise_type> coroutine) noexcept : coroutine_(coroutine) {}

  std::coroutine_handle<promise_type> coroutine_;
};

/// A sequence that a coroutine yields while somebody iterates, on the thread that does: an input range. An
/// exception that leaves the coroutine comes out of the iteration. Move-only; one pass.
template <class T>
class [[nodiscard]] generator {
 public:
  /// What the compiler needs; not for use.
  struct promise_type : detail::promise_base {
    T *current = nullptr;

    generator get_return_object() noexcept {
      return generator(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    std::suspend_always final_suspend() const noexcept { return {}; }
    std::suspend_always yield_value(T &value) noexcept {
      current = &value;
      return {};
    }
    std::suspend_always yield_value(T &&value) noexcept { return yield_value(value); }
    void return_void() const noexcept {}
    void await_transform() = delete;
  };

  /// Where the iteration is; equal to std::default_sentinel at the end.
  class iterator {
   public:
    using iterator_concept = std::input_iterator_tag;
    using difference_type = std::ptrdiff_t;
    using value_type = T;

    iterator() noexcept = default;
    explicit iterator(std::coroutine_handle<promise_type> from) noexcept : coroutine_(from) {}
    T &operator*() const noexcept { return *coroutine_.promise().current; }
    T *operator->() const noexcept { return coroutine_.promise().current; }
    iterator &operator++() {
      advance(coroutine_);
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const iterator &at, std::default_sentinel_t) noexcept {
      return !at.coroutine_ || at.coroutine_.done();
    }

   private:
    std::coroutine_handle<promise_type> coroutine_;
  };

  /// An empty sequence.
  generator() noexcept = default;
  generator(generator &&other) noexcept : coroutine_(std::exchange(other.coroutine_, nullptr)) {}
  generator &operator=(generator other) noexcept {
    std::swap(coroutine_, other.coroutine_);
    return *this;
  }
  ~generator() {
    if (coroutine_) coroutine_.destroy();
  }

  /// Runs to the first value.
  iterator begin() {
    if (coroutine_ && !coroutine_.done()) advance(coroutine_);
    return iterator(coroutine_);
  }
  std::default_sentinel_t end() const noexcept { return std::default_sentinel; }

 private:
  explicit generator(std::coroutine_handle<promise_type> coroutine) noexcept : coroutine_(coroutine) {}

  static void advance(std::coroutine_handle<promise_type> coroutine) {
    coroutine.resume();
    if (coroutine.done()) coroutine.promise().rethrow();
  }

  std::coroutine_handle<promise_type> coroutine_;
};

}  // namespace spanwire
