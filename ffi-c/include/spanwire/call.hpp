// A client's streaming call on a loop.
#pragma once

#include "loop.hpp"
#include "stream_state.hpp"

namespace spanwire {

namespace detail {

/// A coroutine that waits for something of a call; at most one per direction.
struct waiting {
  want what = want::nothing;
  std::coroutine_handle<> who;
};

struct call_access;

/// Resumes who waits, if what it waits for is there.
template <class State>
void wake(waiting &place, const State &state) {
  if (place.who && state.has(place.what)) std::exchange(place.who, nullptr).resume();
}

/// A call of a loop. The loop holds it until its DONE has come, whatever becomes of the object that the user has.
struct call_state final : sink, std::enable_shared_from_this<call_state> {
  stream_state stream;
  std::shared_ptr<call_state> kept;
  waiting reading;
  waiting writing;

  bool has(want what) const noexcept { return stream.has(what); }

  void begin(loop_core &core, spanwire_channel *channel, const char *method, spanwire_kind kind,
             const call_options &options, buffer *request) {
    stream.start(channel, method, kind, options, request, core.queue.get(), tag());
    if (stream.name == nullptr) return;
    link(core.sinks);
    kept = shared_from_this();
  }
  void on_event(spanwire_event &event) override {
    std::shared_ptr<call_state> self = shared_from_this();
    if (stream.apply(event)) {
      unlink();
      kept.reset();
    }
    wake(reading, *this);
    wake(writing, *this);
  }
  void on_loop_end() noexcept override {
    stream.finish({code::cancelled, "the loop of this call was destroyed"});
    kept.reset();
  }
};

/// Waits for something of a call. Destroying it while it waits is fine: then nobody is resumed.
template <class State>
class wait_awaiter {
 public:
  wait_awaiter(const wait_awaiter &) = delete;
  wait_awaiter &operator=(const wait_awaiter &) = delete;
  ~wait_awaiter() {
    if (suspended_) place().who = nullptr;
  }
  bool await_ready() noexcept {
    if (state_ == nullptr || state_->has(what_)) return true;
    busy_ = busy();
    return busy_;
  }
  void await_suspend(std::coroutine_handle<> caller) noexcept {
    if (state_ == nullptr) return;
    place() = {what_, caller};
    suspended_ = true;
  }

 protected:
  wait_awaiter(std::shared_ptr<State> state, waiting State::*place, want what) noexcept
      : state_(std::move(state)), place_(place), what_(what) {}

  /// After the wait: OK, or why it could not be waited.
  status settle() noexcept {
    suspended_ = false;
    if (state_ == nullptr) return no_call();
    if (busy_) return {code::failed_precondition, "another coroutine waits for this call already"};
    return {};
  }
  /// Whether there is nothing to wait for, or somebody else waits.
  bool busy() const noexcept { return state_ == nullptr || place().who; }
  State &state() const noexcept { return *state_; }

 private:
  waiting &place() const noexcept { return (*state_).*place_; }

  std::shared_ptr<State> state_;
  waiting State::*place_;
  want what_;
  bool suspended_ = false;
  bool busy_ = false;
};

struct next_awaiter : wait_awaiter<call_state> {
  explicit next_awaiter(std::shared_ptr<call_state> of) noexcept
      : wait_awaiter(std::move(of), &call_state::reading, want::message) {}
  std::optional<bytes> await_resume() { return settle().ok() ? state().stream.take() : std::nullopt; }
};

struct send_awaiter : wait_awaiter<call_state> {
  buffer message;
  send_awaiter(std::shared_ptr<call_state> of, buffer what) noexcept
      : wait_awaiter(std::move(of), &call_state::writing, want::writable), message(std::move(what)) {}
  status await_resume() {
    status settled = settle();
    return settled.ok() ? state().stream.send(message) : settled;
  }
};

struct headers_awaiter : wait_awaiter<call_state> {
  explicit headers_awaiter(std::shared_ptr<call_state> of) noexcept
      : wait_awaiter(std::move(of), &call_state::reading, want::headers) {}
  result<metadata> await_resume() {
    if (status settled = settle(); !settled.ok()) return settled;
    return state().stream.leading();
  }
};

/// Waits for the end, and lets it come: what is sent is over then, and messages are dropped.
struct end_awaiter : wait_awaiter<call_state> {
  end_awaiter(std::shared_ptr<call_state> of, bool keep_first) noexcept
      : wait_awaiter(std::move(of), &call_state::reading, want::end), keep_first_(keep_first) {}
  bool await_ready() {
    if (!busy()) state().stream.let_end(keep_first_);
    return wait_awaiter::await_ready();
  }

 private:
  bool keep_first_;
};

struct finish_awaiter : end_awaiter {
  explicit finish_awaiter(std::shared_ptr<call_state> of) noexcept : end_awaiter(std::move(of), false) {}
  status await_resume() {
    status settled = settle();
    return settled.ok() ? state().stream.outcome() : settled;
  }
};

struct response_awaiter : end_awaiter {
  explicit response_awaiter(std::shared_ptr<call_state> of) noexcept : end_awaiter(std::move(of), true) {}
  result<response> await_resume() {
    if (status settled = settle(); !settled.ok()) return settled;
    return state().stream.answer();
  }
};

}  // namespace detail

/// A streaming call of a client, on the loop that it was started on: use it on the thread that drives the loop. One
/// coroutine may read and another may write at the same time, not two of a kind (the second gets
/// FAILED_PRECONDITION).
///
/// A call whose start failed is no special case: it is one that has ended. Destroying a call that has not ended
/// cancels it. Move-only; a moved-from one answers FAILED_PRECONDITION.
class call {
 public:
  /// No call.
  call() noexcept = default;
  call(call &&other) noexcept = default;
  call &operator=(call other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~call() {
    if (state_ != nullptr) state_->stream.handle.reset();
  }

  /// `co_await call.next()`: the next message as std::optional<bytes>; none at the end, of which finish() has the
  /// status. Taking one lets the sender send one more.
  detail::next_awaiter next() const noexcept { return detail::next_awaiter(state_); }

  /// `co_await call.send(message)`: sends one message, after waiting while the engine has enough of them. What is
  /// borrowed must live until then. Gives a status; after the end of the call that of the call.
  detail::send_awaiter send(buffer message) const noexcept { return {state_, std::move(message)}; }

  /// Sends no more. More than once is fine. After the end of the call its status.
  status half_close() const { return state_ != nullptr ? state_->stream.half_close() : detail::no_call(); }

  /// `co_await call.finish()`: sends no more, drops messages that were not read, waits for the end and gives its
  /// status, with trailers. Of a server that never ends, cancel() first.
  detail::finish_awaiter finish() const { return detail::finish_awaiter(state_); }

  /// `co_await call.response()`: for client streaming; sends no more and waits for the one answer, a
  /// result<response>.
  detail::response_awaiter response() const { return detail::response_awaiter(state_); }

  /// `co_await call.headers()`: what the server sent before its first message, a result<metadata>: empty if it sent
  /// none, and the call's status if that failed before. Can be asked for more than once.
  detail::headers_awaiter headers() const noexcept { return detail::headers_awaiter(state_); }

  /// Cancels the call: who waits for it gets CANCELLED, soon. Any thread, any number of times.
  void cancel() const noexcept {
    if (state_ != nullptr && state_->stream.name != nullptr) spanwire_call_cancel(state_->stream.name);
  }

 private:
  friend struct detail::call_access;
  explicit call(std::shared_ptr<detail::call_state> state) noexcept : state_(std::move(state)) {}

  std::shared_ptr<detail::call_state> state_;
};

namespace detail {

/// How channels make calls.
struct call_access {
  static call make(std::shared_ptr<call_state> state) noexcept { return call(std::move(state)); }
};

}  // namespace detail

}  // namespace spanwire
