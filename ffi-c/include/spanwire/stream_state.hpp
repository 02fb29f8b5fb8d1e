// What is known about one streaming call of a client; the same for calls on a loop and for blocking ones.
#pragma once

#include <vector>

#include "bytes.hpp"
#include "options.hpp"

namespace spanwire {

/// The outcome of a call with one answer.
struct response {
  /// The answer.
  bytes message = {};
  /// What came before it.
  spanwire::metadata headers = {};
  /// What came behind it.
  spanwire::metadata trailers = {};
  /// How many times the engine tried.
  std::uint32_t attempts = 0;
  /// The address of the server.
  std::string peer = {};
};

namespace detail {

/// Messages that arrived and were not taken, oldest first.
class message_queue {
 public:
  bool empty() const noexcept { return taken_ == messages_.size(); }
  void push(spanwire_event &event) {
    for (std::size_t index = 0; index < event.message_count; ++index) {
      messages_.emplace_back(spanwire_bytes_take(&event.messages[index]));
    }
  }
  void push(bytes message) { messages_.push_back(std::move(message)); }
  bytes pop() {
    bytes first = std::move(messages_[taken_++]);
    if (empty()) clear();
    return first;
  }
  std::size_t clear() noexcept {
    std::size_t dropped = messages_.size() - taken_;
    messages_.clear();
    taken_ = 0;
    return dropped;
  }

 private:
  std::vector<bytes> messages_;
  std::size_t taken_ = 0;
};

/// Counts the messages that were taken, and when to let the sender go on: in halves of the window, not one by one.
class credit {
 public:
  explicit credit(std::uint32_t window) noexcept : window_(window) {}
  /// One was taken: how many to grant now.
  std::uint32_t take() noexcept {
    if (2 * ++taken_ < window_) return 0;
    return std::exchange(taken_, 0);
  }

 private:
  std::uint32_t window_;
  std::uint32_t taken_ = 0;
};

/// Cancels a call when stop is requested. Handles are checked by the C API, so one that was freed meanwhile is
/// harmless.
struct canceller {
  spanwire_call *call;
  void operator()() const noexcept { spanwire_call_cancel(call); }
};

/// Cancels a call when its options say so.
class stop_watch {
 public:
  void watch(const call_options &options, spanwire_call *call) {
    if (options.stop->stop_possible()) asked_.emplace(*options.stop, canceller{call});
    if (options.parent != nullptr)
      inherited_.emplace(parent_access::scope(*options.parent).token(), canceller{call});
  }
  void reset() noexcept {
    asked_.reset();
    inherited_.reset();
  }

 private:
  std::optional<std::stop_callback<canceller>> asked_;
  std::optional<std::stop_callback<canceller>> inherited_;
};

/// What a call answers that was moved from, or never made.
inline status no_call() { return {code::failed_precondition, "this call was moved from"}; }

/// What a coroutine or thread waits for.
enum class want { nothing, headers, message, end, writable };

/// A client's streaming call, as its events tell it.
struct stream_state {
  call_handle handle;
  spanwire_call *name =
      nullptr;  // the handle as cancel() uses it, from any thread: it never changes after the start
  message_queue messages;
  credit window{default_credit};
  metadata headers;
  bool headers_came = false;
  bool full = false;
  bool half_closed = false;
  bool only_first = false;  // keep the first message and drop the rest
  bool discarding = false;  // drop all messages
  std::optional<status> end;
  stop_watch watch;

  /// Begins the call; `request`, if there is one, is all that it sends.
  void start(spanwire_channel *channel, const char *method, spanwire_kind kind, const call_options &options,
             buffer *request, spanwire_queue *queue, void *tag) {
    lent_call_options lent(options);
    spanwire_call *started = nullptr;
    spanwire_result result = spanwire_call_start(channel, method, kind, &lent.raw, queue, tag, &started);
    if (result < 0) {
      end = status::of_result(result);
      return;
    }
    handle.reset(started);
    name = started;
    window = credit(lent.raw.credit);
    if (request != nullptr) send_last(*request);
    watch.watch(options, name);
  }

  bool has(want what) const noexcept {
    if (end) return true;
    switch (what) {
      case want::headers:
        return headers_came;
      case want::message:
        return !messages.empty();
      case want::writable:
        return !full;
      default:
        return false;
    }
  }

  /// Takes out of an event what it tells. True for the last one.
  bool apply(spanwire_event &event) {
    switch (event.type) {
      case SPANWIRE_EVENT_HEADERS:
        headers = metadata(event.metadata);
        headers_came = true;
        break;
      case SPANWIRE_EVENT_MESSAGES:
        take_messages(event);
        break;
      case SPANWIRE_EVENT_WRITABLE:
        full = false;
        break;
      case SPANWIRE_EVENT_DONE:
        finish(status::of(event));
        if (event.message.data != nullptr) messages.push(bytes(spanwire_bytes_take(&event.message)));
        return true;
      default:
        break;
    }
    return false;
  }

  void finish(status with) {
    if (!end) end = std::move(with);
    watch.reset();
    handle.reset();
  }

  /// The next message, if one is there; lets the sender go on.
  std::optional<bytes> take() {
    if (messages.empty()) return std::nullopt;
    std::optional<bytes> message(messages.pop());
    grant(window.take());
    return message;
  }

  /// Sends now; the caller has waited for want::writable.
  status send(buffer &message) {
    if (end) return after_end();
    if (!name) return no_call();
    spanwire_buffer raw = message.take();
    spanwire_result result = spanwire_call_send(handle.get(), &raw);
    // The engine knows of the end before its DONE is here. Like all that is under way then, the message is lost;
    // the next one waits for DONE and has its status.
    bool ends = result == SPANWIRE_OVER && !half_closed;
    full = result == SPANWIRE_FULL || ends;
    return ends ? status() : status::of_result(result);
  }

  status half_close() {
    if (end) return after_end();
    if (!name) return no_call();
    if (half_closed) return {};
    half_closed = true;
    // Of a call whose DONE is on its way there is nothing left to close.
    spanwire_result result = spanwire_call_half_close(handle.get());
    return result == SPANWIRE_OVER ? status() : status::of_result(result);
  }

  /// Before waiting for the end only: sends no more and keeps no messages, or the first one.
  void let_end(bool keep_first) {
    only_first = keep_first;
    discarding = !keep_first;
    if (!end && name != nullptr && !half_closed) static_cast<void>(half_close());
    if (discarding) grant(messages.clear());
  }

  /// What came before the first message; once want::headers is there.
  result<metadata> leading() const {
    if (!headers_came && !outcome().ok()) return outcome();
    return headers;
  }

  /// How it ended; only then.
  status outcome() const { return end ? *end : no_call(); }

  /// The one answer of a call that has ended.
  result<response> answer() {
    if (!outcome().ok()) return outcome();
    if (messages.empty()) return status(code::internal, "the answer was taken before, or there was none");
    return response{messages.pop(), std::move(headers), end->trailers(), end->attempts(), std::string(end->peer())};
  }

 private:
  void send_last(buffer &request) {
    spanwire_buffer raw = request.take(SPANWIRE_SEND_LAST);
    half_closed = true;
    if (spanwire_result result = spanwire_call_send(handle.get(), &raw); result < 0)
      finish(status::of_result(result));
  }

  void take_messages(spanwire_event &event) {
    if (!discarding && !(only_first && !messages.empty())) {
      messages.push(event);
    } else {
      grant(event.message_count);
    }
  }

  void grant(std::size_t count) {
    if (!end && count != 0) spanwire_call_grant(handle.get(), static_cast<std::uint32_t>(count));
  }

  status after_end() const {
    return end->ok() ? status(code::failed_precondition, "the call has ended with OK already") : *end;
  }
};

}  // namespace detail

}  // namespace spanwire
