// Calls with messages of a library instead of bytes: what generated code stands on. Include it beside
// <spanwire.hpp>.
#pragma once

#include <climits>
#include <concepts>

#include "channel.hpp"
#include "server.hpp"

namespace spanwire {

/// A message that encodes and decodes itself, as those of libprotobuf do, lite ones included.
template <class T>
concept message = std::default_initializable<T> && std::movable<T> &&
    requires(T into, const T &from, std::string *text) {
  { from.SerializeToString(text) } -> std::convertible_to<bool>;
  { into.ParseFromArray(text->data(), 0) } -> std::convertible_to<bool>;
  std::string(from.GetTypeName());
};

/// The encoded message. INTERNAL if it cannot be encoded.
template <message T>
result<std::string> encode(const T &from) {
  std::string text;
  if (from.SerializeToString(&text)) return text;
  return status(code::internal, "cannot encode " + std::string(from.GetTypeName()) +
                                    ": a required field is missing, or it has 2 GiB or more");
}

/// The message in `data`. INTERNAL if it cannot be decoded, in the words of the engine.
template <message T>
result<T> decode(const bytes &data) {
  T into;
  if (data.size() <= INT_MAX && into.ParseFromArray(data.data(), static_cast<int>(data.size()))) return into;
  return status(code::internal, "cannot decode " + std::string(into.GetTypeName()) + ": malformed message");
}

namespace detail {

/// An awaitable whose outcome goes through a function.
template <class Inner, class Map>
struct [[nodiscard]] mapped {
  Inner inner;
  Map map;

  bool await_ready() { return inner.await_ready(); }
  template <class Promise>
  auto await_suspend(std::coroutine_handle<Promise> caller) {
    return inner.await_suspend(caller);
  }
  auto await_resume() { return map(inner.await_resume()); }
};

/// What `make` gives goes through `map`: at once, or when it is awaited.
template <class Make, class Map>
auto then(Make make, Map map) {
  if constexpr (requires { make().await_ready(); }) {
    return mapped<decltype(make()), Map>{make(), std::move(map)};
  } else {
    return map(make());
  }
}

/// Sends a message with whatever has a send(); `nobody` gives one whose send() does nothing. Nothing is sent if
/// there is a failure already.
template <class To, class Nobody, message T>
auto send_to(const To &to, Nobody nobody, const T &from, const status &failure) {
  result<std::string> text = failure.ok() ? encode(from) : result<std::string>(failure);
  return then(
      [&] {
        if (text) return to.send(buffer(std::move(*text)));
        return nobody().send(buffer());
      },
      [failure = text.status()](status sent) { return failure.ok() ? sent : failure; });
}

/// Reads messages from whatever has a next(), until one cannot be decoded.
template <message T>
class decoder {
 public:
  /// Why no more can be read; OK if only the sender has ended.
  const status &failure() const noexcept { return failure_; }

  /// `give_up` is called once, when a message cannot be decoded.
  template <class From, class GiveUp>
  auto next(const From &from, GiveUp give_up) {
    return then([&from] { return from.next(); },
                [this, give_up](std::optional<bytes> data) -> std::optional<T> {
                  if (!data || !failure_.ok()) return std::nullopt;
                  result<T> message = decode<T>(*data);
                  if (message) return std::move(*message);
                  failure_ = message.status();
                  give_up();
                  return std::nullopt;
                });
  }

 private:
  status failure_;
};

/// In place of a type of messages, where there is none.
struct none {};

}  // namespace detail

/// A streaming call of a client with messages; see spanwire::call and spanwire::blocking_call, of which it is one.
/// With the latter nothing is awaited. It must stay where it is while it is awaited.
///
/// A message that cannot be encoded is not sent (INTERNAL), and the call goes on. One that cannot be decoded ends
/// it with INTERNAL.
template <class Call, class Request, class Response, bool Many>
class typed_call {
 public:
  /// No call.
  typed_call() noexcept = default;
  /// For generated code: a call whose messages are of these types.
  explicit typed_call(Call call) noexcept : call_(std::move(call)) {}
  /// A call that could not be started.
  explicit typed_call(status failed) noexcept : failed_(std::move(failed)) {}

  /// `co_await call.next()`: the next message as std::optional; none at the end, of which finish() has the status.
  auto next() requires Many {
    return decoder_.next(call_, [this] { call_.cancel(); });
  }
  /// The messages that are to come: `for (auto &message : call.messages())`. finish() has the status afterwards.
  generator<Response> messages() requires(Many &&std::same_as<Call, blocking_call>) {
    while (std::optional<Response> message = next()) co_yield *message;
  }

  /// `co_await call.send(message)`: sends one message, after waiting while the engine has enough of them. Gives a
  /// status; after the end of the call that of the call.
  auto send(const Request &message) const requires(!std::same_as<Request, detail::none>) {
    return detail::send_to(
        call_, [] { return Call(); }, message, failed_);
  }
  /// Sends no more. More than once is fine.
  status half_close() const requires(!std::same_as<Request, detail::none>) { return call_.half_close(); }

  /// `co_await call.response()`: sends no more and waits for the one answer, a result.
  auto response() const requires(!Many) {
    return detail::then([this] { return call_.response(); },
                        [this](result<spanwire::response> answer) -> result<Response> {
                          if (!failed_.ok()) return failed_;
                          if (!answer) return answer.status();
                          return decode<Response>(answer->message);
                        });
  }
  /// `co_await call.finish()`: sends no more, drops what was not read, waits for the end and gives its status.
  auto finish() const {
    return detail::then([this] { return call_.finish(); },
                        [this](status ended) {
                          if (!failed_.ok()) return failed_;
                          if constexpr (Many) {
                            if (!decoder_.failure().ok()) return decoder_.failure();
                          }
                          return ended;
                        });
  }
  /// `co_await call.headers()`: what the server sent before its first message, as a result<metadata>.
  auto headers() const { return call_.headers(); }
  /// Cancels the call. Any thread, any number of times.
  void cancel() const noexcept { call_.cancel(); }

 private:
  Call call_;
  status failed_;
  [[no_unique_address]] std::conditional_t<Many, detail::decoder<Response>, detail::none> decoder_;
};

/// One request, many answers.
template <message Response>
using server_streaming_call = typed_call<call, detail::none, Response, true>;
/// Many requests, one answer.
template <message Request, message Response>
using client_streaming_call = typed_call<call, Request, Response, false>;
/// Many requests, many answers.
template <message Request, message Response>
using bidi_call = typed_call<call, Request, Response, true>;
/// The same, on the calling thread.
template <message Response>
using blocking_server_streaming_call = typed_call<blocking_call, detail::none, Response, true>;
template <message Request, message Response>
using blocking_client_streaming_call = typed_call<blocking_call, Request, Response, false>;
template <message Request, message Response>
using blocking_bidi_call = typed_call<blocking_call, Request, Response, true>;

/// The messages of a client that streams; see reader. One that cannot be decoded fails the call with INTERNAL,
/// whatever its handler answers.
template <message T>
class reader_of {
 public:
  /// For generated code.
  explicit reader_of(const reader &from) noexcept : from_(&from) {}
  reader_of(const reader_of &) = delete;
  reader_of &operator=(const reader_of &) = delete;

  /// `co_await requests.next()`: the next message as std::optional; none when the client has sent its last, or
  /// there is a status().
  auto next() {
    return decoder_.next(*from_, [] {});
  }
  /// After next() gave none: OK when the client has sent its last, otherwise why nothing more can be read.
  spanwire::status status() const { return failure().ok() ? from_->status() : failure(); }
  /// Why a message could not be decoded; OK otherwise.
  const spanwire::status &failure() const noexcept { return decoder_.failure(); }

 private:
  const reader *from_;
  detail::decoder<T> decoder_;
};

/// The answers of a server that streams; see writer.
template <message T>
class writer_of {
 public:
  /// For generated code.
  explicit writer_of(const writer &to) noexcept : to_(&to) {}
  writer_of(const writer_of &) = delete;
  writer_of &operator=(const writer_of &) = delete;

  /// `co_await answers.send(message)`: sends one message, after waiting while the engine has enough of them. Gives
  /// a status: CANCELLED when the call was cancelled, INTERNAL if the message cannot be encoded.
  auto send(const T &message) const {
    return detail::send_to(
        *to_, [] { return writer(nullptr); }, message, status());
  }

 private:
  const writer *to_;
};

}  // namespace spanwire

#include "typed_methods.hpp"
