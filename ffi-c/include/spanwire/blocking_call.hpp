// A client's streaming call without a loop.
#pragma once

#include <array>

#include "stream_state.hpp"
#include "task.hpp"

namespace spanwire {

namespace detail {

struct blocking_state {
  static constexpr std::size_t events_at_once = 8;

  queue_handle queue{spanwire_queue_new()};
  stream_state stream;  // behind the queue, so that it ends first

  /// Waits on this thread until `what` is there, or the call has ended.
  void wait(want what) {
    std::array<spanwire_event, events_at_once> events{};
    while (!stream.has(what)) {
      std::int32_t count = spanwire_queue_next(queue.get(), events.data(), events.size(), -1);
      if (count < 0) return stream.finish(status::of_result(count));
      for (std::int32_t index = 0; index < count; ++index) stream.apply(events[static_cast<std::size_t>(index)]);
      spanwire_events_free(events.data(), static_cast<std::size_t>(count));
    }
  }
};

struct blocking_access;

}  // namespace detail

/// A streaming call of a client, whose functions wait on the calling thread. One thread at a time, except cancel().
/// A call whose start failed is one that has ended. Destroying a call that has not ended cancels it. Move-only; a
/// moved-from one answers FAILED_PRECONDITION.
class blocking_call {
 public:
  /// No call.
  blocking_call() noexcept = default;
  blocking_call(blocking_call &&other) noexcept = default;
  blocking_call &operator=(blocking_call other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~blocking_call() {
    if (state_ != nullptr) state_->stream.handle.reset();
  }

  /// Waits for the next message; none at the end, of which finish() has the status.
  std::optional<bytes> next() const { return next_of(state_.get()); }

  /// The messages that are to come, one after the other: `for (auto &message : call.messages())`. finish() has the
  /// status afterwards.
  generator<bytes> messages() const { return messages_of(state_); }

  /// Sends one message, after waiting while the engine has enough of them. After the end of the call its status.
  status send(buffer message) const {
    if (state_ == nullptr) return detail::no_call();
    state_->wait(detail::want::writable);
    return state_->stream.send(message);
  }

  /// Sends no more. More than once is fine. After the end of the call its status.
  status half_close() const { return state_ != nullptr ? state_->stream.half_close() : detail::no_call(); }

  /// Sends no more, drops messages that were not read, and waits for the end: its status, with trailers.
  status finish() const {
    if (state_ == nullptr) return detail::no_call();
    state_->stream.let_end(false);
    state_->wait(detail::want::end);
    return state_->stream.outcome();
  }

  /// For client streaming: sends no more and waits for the one answer.
  result<spanwire::response> response() const {
    if (state_ == nullptr) return detail::no_call();
    state_->stream.let_end(true);
    state_->wait(detail::want::end);
    return state_->stream.answer();
  }

  /// Waits for what the server sends before its first message: empty if it sent none, and the call's status if that
  /// failed before.
  result<metadata> headers() const {
    if (state_ == nullptr) return detail::no_call();
    state_->wait(detail::want::headers);
    return state_->stream.leading();
  }

  /// Cancels the call: who waits for it gets CANCELLED, soon. Any thread, any number of times.
  void cancel() const noexcept {
    if (state_ != nullptr && state_->stream.name != nullptr) spanwire_call_cancel(state_->stream.name);
  }

 private:
  friend struct detail::blocking_access;
  explicit blocking_call(std::shared_ptr<detail::blocking_state> state) noexcept : state_(std::move(state)) {}

  static std::optional<bytes> next_of(detail::blocking_state *state) {
    if (state == nullptr) return std::nullopt;
    state->wait(detail::want::message);
    return state->stream.take();
  }
  static generator<bytes> messages_of(std::shared_ptr<detail::blocking_state> state) {
    while (std::optional<bytes> message = next_of(state.get())) co_yield *message;
  }

  std::shared_ptr<detail::blocking_state> state_;
};

namespace detail {

/// How channels make calls.
struct blocking_access {
  static blocking_call make(std::shared_ptr<blocking_state> state) noexcept {
    return blocking_call(std::move(state));
  }
};

}  // namespace detail

}  // namespace spanwire
