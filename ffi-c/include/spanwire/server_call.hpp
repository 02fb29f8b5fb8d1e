// What a server's handler sees of its call: context, reader and writer.
#pragma once

#include "call.hpp"

namespace spanwire {

namespace detail {

/// An answer as the C API takes it, borrowed.
struct lent_answer {
  std::vector<spanwire_metadata_entry> headers;
  std::vector<spanwire_metadata_entry> trailers;
  spanwire_answer raw{};

  lent_answer(const metadata &headers_from, const metadata &trailers_from, encoding compression)
      : headers(lend(headers_from)), trailers(lend(trailers_from)) {
    raw.size = sizeof raw;
    raw.headers = headers.data();
    raw.header_count = headers.size();
    raw.trailers = trailers.data();
    raw.trailer_count = trailers.size();
    raw.compression = static_cast<spanwire_encoding>(compression);
  }
  lent_answer(const lent_answer &) = delete;
  lent_answer &operator=(const lent_answer &) = delete;
};

/// A call that a server of this loop has taken in. Its handler's coroutine owns it; the loop knows it while it
/// lives.
struct server_call_state final : sink, call_scope, std::enable_shared_from_this<server_call_state> {
  server_call_handle handle;
  message_queue messages;
  credit window{default_credit};
  metadata headers;
  metadata trailers;
  encoding compression = encoding::standard;
  std::optional<metadata> request_metadata;
  bool half_closed = false;  // by the client
  bool headers_sent = false;
  bool full = false;
  bool answered = false;
  waiting reading;
  waiting writing;
  waiting watching;

  explicit server_call_state(spanwire_event &request) : handle(request.server_call), half_closed(request.end) {
    name = request.server_call;
    if (request.message.data != nullptr) messages.push(bytes(spanwire_bytes_take(&request.message)));
    spanwire_server_call_set_data(name, tag());
  }

  bool over() const noexcept { return cancelled || answered; }

  bool has(want what) const noexcept {
    switch (what) {
      case want::message:
        return over() || half_closed || !messages.empty();
      case want::writable:
        return over() || !full;
      default:
        return over();
    }
  }

  void on_event(spanwire_event &event) override {
    std::shared_ptr<server_call_state> self = shared_from_this();
    switch (event.type) {
      case SPANWIRE_EVENT_MESSAGES:
        messages.push(event);
        half_closed = half_closed || event.end;
        break;
      case SPANWIRE_EVENT_WRITABLE:
        full = false;
        break;
      case SPANWIRE_EVENT_CANCELLED:
        cancel();
        break;
      default:
        break;
    }
    wake_all();
  }

  /// Why nothing more can be read or sent; OK if it can.
  status standing() const {
    if (cancelled) return {code::cancelled, "the call was cancelled, or its deadline passed"};
    if (answered) return {code::failed_precondition, "the call was answered already"};
    return {};
  }

  std::optional<bytes> take() {
    if (over() || messages.empty()) return std::nullopt;
    std::optional<bytes> message(messages.pop());
    if (std::uint32_t granted = window.take(); granted != 0 && !half_closed)
      spanwire_server_call_grant(name, granted);
    return message;
  }

  status send_headers() {
    if (status now = standing(); !now.ok()) return now;
    if (headers_sent) return {code::failed_precondition, "the headers were sent already"};
    headers_sent = true;
    lent_answer answer(headers, {}, compression);
    return status::of_result(spanwire_server_call_headers(name, &answer.raw));
  }

  status send(buffer &message) {
    if (status now = standing(); !now.ok()) return now;
    if (!headers_sent && (!headers.empty() || compression != encoding::standard)) {
      if (status sent = send_headers(); !sent.ok()) return sent;
    }
    headers_sent = true;
    spanwire_buffer raw = message.take();
    spanwire_result result = spanwire_server_call_send(name, &raw);
    full = result == SPANWIRE_FULL;
    return status::of_result(result);
  }

  void answer(result<bytes> outcome) {
    if (!outcome.ok()) return answer(outcome.status());
    if (over()) return;
    lent_answer lent = last_words();
    buffer message(std::move(*outcome));
    spanwire_buffer raw = message.take();
    spanwire_result result = spanwire_server_call_respond(name, &raw, &lent.raw);
    if (result < 0) return fail(status::of_result(result));
    close();
  }

  void answer(const status &outcome) {
    if (over()) return;
    lent_answer lent = last_words();
    lent.raw.details = outcome.details().data();
    lent.raw.details_len = outcome.details().size();
    std::string message(outcome.message());
    auto code = static_cast<spanwire_code>(outcome.code());
    spanwire_result result = spanwire_server_call_finish(name, code, message.c_str(), &lent.raw);
    if (result < 0) return fail(status::of_result(result));
    close();
  }

 private:
  lent_answer last_words() const {
    static const metadata none;
    return {headers_sent ? none : headers, trailers, compression};
  }
  /// The answer itself cannot be sent: says so to the client, without what may be the cause.
  void fail(const status &why) {
    spanwire_server_call_finish(name, SPANWIRE_CODE_INTERNAL, std::string(why.message()).c_str(), nullptr);
    close();
  }
  void close() {
    answered = true;
    handle.reset();
    wake_all();
  }
  void wake_all() {
    wake(watching, *this);
    wake(reading, *this);
    wake(writing, *this);
  }
};

struct read_awaiter : wait_awaiter<server_call_state> {
  explicit read_awaiter(std::shared_ptr<server_call_state> of) noexcept
      : wait_awaiter(std::move(of), &server_call_state::reading, want::message) {}
  std::optional<bytes> await_resume() { return settle().ok() ? state().take() : std::nullopt; }
};

struct write_awaiter : wait_awaiter<server_call_state> {
  buffer message;
  write_awaiter(std::shared_ptr<server_call_state> of, buffer what) noexcept
      : wait_awaiter(std::move(of), &server_call_state::writing, want::writable), message(std::move(what)) {}
  status await_resume() {
    status settled = settle();
    return settled.ok() ? state().send(message) : settled;
  }
};

struct cancelled_awaiter : wait_awaiter<server_call_state> {
  explicit cancelled_awaiter(std::shared_ptr<server_call_state> of) noexcept
      : wait_awaiter(std::move(of), &server_call_state::watching, want::end) {}
  status await_resume() {
    status settled = settle();
    return settled.ok() ? state().standing() : settled;
  }
};

}  // namespace detail

/// What a handler knows of its call, and what it may say beside its answer. Valid while the handler runs; on the
/// loop's thread.
class context : public parent {
 public:
  /// For the library.
  explicit context(std::shared_ptr<detail::server_call_state> state) noexcept
      : parent(*state), state_(std::move(state)) {}

  /// The call of the C API, still owned by the library.
  spanwire_server_call *get() const noexcept { return state_->name; }
  /// "/package.Service/Method".
  std::string_view method() const {
    std::size_t length = 0;
    const char *name = spanwire_server_call_method(state_->name, &length);
    return name != nullptr ? std::string_view(name, length) : std::string_view();
  }
  /// What the client sent before its first message.
  const spanwire::metadata &metadata() const {
    if (!state_->request_metadata) state_->request_metadata.emplace(spanwire_server_call_metadata(state_->name));
    return *state_->request_metadata;
  }
  /// How long the client waits still; 0 when its deadline has passed, none if it has no deadline. Calls that are
  /// made with this context as their options.parent end with it.
  std::optional<milliseconds> time_remaining() const {
    std::int64_t left = spanwire_server_call_time_remaining_ms(state_->name);
    if (left == INT64_MAX) return std::nullopt;
    return milliseconds(std::max<std::int64_t>(left, 0));
  }
  /// The client's address.
  std::string peer() const {
    return detail::written(
        [this](char *text, std::size_t size) { return spanwire_server_call_peer(state_->name, text, size); });
  }
  /// Where in a trace the call is, as `traceparent` has it, for calls that are made without this context as their
  /// options.parent; empty without telemetry.
  std::string traceparent() const {
    return detail::written([this](char *text, std::size_t size) {
      return spanwire_server_call_traceparent(state_->name, text, size);
    });
  }
  /// The client's certificate in DER (`index` 0), or one of its chain; empty if there is none.
  std::span<const std::byte> peer_certificate(std::size_t index = 0) const {
    const std::uint8_t *der = nullptr;
    std::size_t size = spanwire_server_call_peer_certificate(state_->name, index, &der);
    return {reinterpret_cast<const std::byte *>(der), size};
  }

  /// The names of one kind in the client's certificate: none without one.
  std::vector<std::string> peer_names(name kind) const {
    std::vector<std::string> names;
    while (true) {
      std::string next = detail::written([&](char *text, std::size_t size) {
        return spanwire_server_call_peer_name(state_->name, static_cast<spanwire_name>(kind), names.size(), text,
                                              size);
      });
      if (next.empty()) return names;
      names.push_back(std::move(next));
    }
  }
  /// Who calls, as the token says; empty if no token was asked for.
  std::string subject() const {
    return detail::written(
        [this](char *text, std::size_t size) { return spanwire_server_call_subject(state_->name, text, size); });
  }
  /// What the caller's token says: the JSON object that was signed. Empty if no token was asked for.
  std::string claims() const {
    return detail::written(
        [this](char *text, std::size_t size) { return spanwire_server_call_claims(state_->name, text, size); });
  }

  /// Whether the client has cancelled the call, or its deadline has passed: no answer will reach it.
  bool cancelled() const noexcept { return state_->cancelled; }
  /// `co_await context.until_cancelled()`: waits for that, and gives CANCELLED.
  detail::cancelled_awaiter until_cancelled() const noexcept { return detail::cancelled_awaiter(state_); }
  /// Requests stop when the call is cancelled: for work that is no call.
  std::stop_token stop_token() const { return state_->token(); }

  /// What is sent before the first message, or with an early end; changes have no effect after that.
  spanwire::metadata &headers() const noexcept { return state_->headers; }
  /// What is sent behind the last message.
  spanwire::metadata &trailers() const noexcept { return state_->trailers; }
  /// How answers are compressed, if the client takes that; before the first one.
  void compression(encoding how) const noexcept { state_->compression = how; }
  /// Sends the headers now, without waiting for a message. FAILED_PRECONDITION if they were sent.
  status send_headers() const { return state_->send_headers(); }

 private:
  std::shared_ptr<detail::server_call_state> state_;
};

/// The messages of a client that streams. Valid while the handler runs; one coroutine at a time.
class reader {
 public:
  /// For the library.
  explicit reader(std::shared_ptr<detail::server_call_state> state) noexcept : state_(std::move(state)) {}
  reader(const reader &) = delete;
  reader &operator=(const reader &) = delete;

  /// `co_await reader.next()`: the next message as std::optional<bytes>; none when the client has sent its last or
  /// the call is cancelled, of which status() tells. Taking one lets the client send one more.
  detail::read_awaiter next() const noexcept { return detail::read_awaiter(state_); }
  /// After next() gave none: OK when the client has sent its last, CANCELLED when the call was cancelled.
  spanwire::status status() const { return state_->standing(); }

 private:
  std::shared_ptr<detail::server_call_state> state_;
};

/// The answers of a server that streams. Valid while the handler runs; one coroutine at a time.
class writer {
 public:
  /// For the library.
  explicit writer(std::shared_ptr<detail::server_call_state> state) noexcept : state_(std::move(state)) {}
  writer(const writer &) = delete;
  writer &operator=(const writer &) = delete;

  /// `co_await writer.send(message)`: sends one message, after waiting while the engine has enough of them. What is
  /// borrowed must live until then. CANCELLED when the call was cancelled.
  detail::write_awaiter send(buffer message) const noexcept { return {state_, std::move(message)}; }

 private:
  std::shared_ptr<detail::server_call_state> state_;
};

}  // namespace spanwire
