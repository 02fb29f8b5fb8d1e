// How a call or an operation ended, and values that may be missing because of it.
#pragma once

#include <concepts>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

#include "metadata.hpp"

namespace spanwire {

/// The status codes of gRPC.
enum class code : std::int32_t {
  /// The call succeeded.
  ok = 0,
  /// The call was cancelled, usually by the caller.
  cancelled = 1,
  /// An error of which nothing better is known.
  unknown = 2,
  /// The request is wrong whatever the state of the system.
  invalid_argument = 3,
  /// The deadline passed before the call was over.
  deadline_exceeded = 4,
  /// What was asked for does not exist.
  not_found = 5,
  /// What was to be made exists already.
  already_exists = 6,
  /// The caller is known and may not do this.
  permission_denied = 7,
  /// A quota or a limit is used up.
  resource_exhausted = 8,
  /// The system is not in the state that the call needs.
  failed_precondition = 9,
  /// The call lost a race, such as a transaction abort.
  aborted = 10,
  /// The request goes beyond a valid range.
  out_of_range = 11,
  /// The server has no such method, or does not support what was asked.
  unimplemented = 12,
  /// Something is broken that should not be.
  internal = 13,
  /// The service cannot be reached now; trying again may help.
  unavailable = 14,
  /// Data are lost for good.
  data_loss = 15,
  /// The caller is not known.
  unauthenticated = 16,
};

/// The code as gRPC writes it, for example "NOT_FOUND".
inline std::string_view code_name(code value) { return spanwire_code_name(static_cast<spanwire_code>(value)); }

/// Whether a request may have reached the server's application: what to know before trying again.
enum class sent : std::int32_t {
  /// No server saw it.
  not_sent = SPANWIRE_SENT_NOT_SENT,
  /// It is not known.
  maybe_sent = SPANWIRE_SENT_MAYBE_SENT,
  /// A server answered.
  answered = SPANWIRE_SENT_ANSWERED,
};

/// How a call ended, or why an operation could not be done. OK unless made otherwise. Copies share what they hold
/// and may be used on different threads.
class status {
 public:
  /// OK.
  status() noexcept = default;
  /// A code with a message for people (UTF-8) and, if the receiver understands them, details (an encoded
  /// google.rpc.Status).
  status(spanwire::code code, std::string_view message, std::span<const std::byte> details = {}) : code_(code) {
    if (code == spanwire::code::ok && details.empty()) return;
    auto made = std::make_shared<content>();
    made->message = message;
    made->details.assign(reinterpret_cast<const char *>(details.data()), details.size());
    content_ = std::move(made);
  }
  /// What a call ended with, of a DONE event.
  static status of(const spanwire_event &done) {
    const spanwire_status &from = done.status;
    status made;
    made.code_ = static_cast<spanwire::code>(from.code);
    made.sent_ = static_cast<spanwire::sent>(from.sent);
    made.attempts_ = from.attempts;
    auto more = std::make_shared<content>();
    more->message.assign(from.message != nullptr ? from.message : "", from.message_len);
    more->details.assign(reinterpret_cast<const char *>(from.details), from.details_len);
    more->trailers = spanwire::metadata(from.trailers);
    more->peer =
        detail::written([&](char *text, std::size_t size) { return spanwire_event_peer(&done, text, size); });
    made.content_ = std::move(more);
    return made;
  }
  /// What a function of the C API answered, with spanwire_last_error() of this thread; OK for results >= 0.
  static status of_result(spanwire_result result);

  /// Whether the code is OK.
  bool ok() const noexcept { return code_ == spanwire::code::ok; }
  explicit operator bool() const noexcept { return ok(); }
  /// The code.
  spanwire::code code() const noexcept { return code_; }
  /// For people; borrowed, may be empty.
  std::string_view message() const noexcept { return content_ ? std::string_view(content_->message) : ""; }
  /// An encoded google.rpc.Status, if the server sent one; borrowed.
  std::span<const std::byte> details() const noexcept {
    if (!content_) return {};
    return {reinterpret_cast<const std::byte *>(content_->details.data()), content_->details.size()};
  }
  /// What the server sent behind its last message; empty if this is no end of a call.
  const spanwire::metadata &trailers() const noexcept {
    static const spanwire::metadata none;
    return content_ ? content_->trailers : none;
  }
  /// Whether the request may have reached a server's application.
  spanwire::sent sent() const noexcept { return sent_; }
  /// How many times the engine tried; 0 if this is no end of a call.
  std::uint32_t attempts() const noexcept { return attempts_; }
  /// The address of the server; empty if there was none.
  std::string_view peer() const noexcept { return content_ ? std::string_view(content_->peer) : ""; }

  /// Code and message in one line, for logs.
  std::string to_string() const {
    std::string text(code_name(code_));
    if (!message().empty()) text.append(": ").append(message());
    return text;
  }

#if defined(__cpp_exceptions)
  /// Throws spanwire::error unless it is OK. Returns itself.
  const status &or_throw() const;
#endif

 private:
  struct content {
    std::string message;
    std::string details;
    spanwire::metadata trailers;
    std::string peer;
  };

  spanwire::code code_ = spanwire::code::ok;
  spanwire::sent sent_ = spanwire::sent::not_sent;
  std::uint32_t attempts_ = 0;
  std::shared_ptr<const content> content_;
};

inline status status::of_result(spanwire_result result) {
  if (result >= 0) return {};
  spanwire::code code = spanwire::code::internal;
  switch (result) {
    case SPANWIRE_INVALID_ARGUMENT:
      code = spanwire::code::invalid_argument;
      break;
    case SPANWIRE_INVALID_HANDLE:
    case SPANWIRE_OVER:
    case SPANWIRE_BLOCKED:
    case SPANWIRE_FORKED:
      code = spanwire::code::failed_precondition;
      break;
    case SPANWIRE_SHUT_DOWN:
    case SPANWIRE_SYSTEM:
      code = spanwire::code::unavailable;
      break;
    default:
      break;
  }
  return {code, spanwire_last_error()};
}

/// The status of a call as an exception, for programs that prefer them. Thrown only by functions with "throw" in
/// their name, and by nothing else here. A handler of a server may throw it to end its call with that status.
class error : public std::runtime_error {
 public:
  /// An exception for a status that is not OK.
  explicit error(spanwire::status status) : std::runtime_error(status.to_string()), status_(std::move(status)) {}
  /// The status.
  const spanwire::status &status() const noexcept { return status_; }

 private:
  spanwire::status status_;
};

#if defined(__cpp_exceptions)
inline const status &status::or_throw() const {
  if (!ok()) throw error(*this);
  return *this;
}
#endif

/// A value, or the status that says why there is none. Nothing here throws, except value_or_throw().
template <class T>
class [[nodiscard]] result {
 public:
  /// A value.
  result(T value) : value_(std::move(value)) {}
  /// A value, from what converts to one: a std::string where bytes are due, for example.
  template <class From>
  requires(std::convertible_to<From, T> && !std::convertible_to<From, spanwire::status> &&
           !std::same_as<std::remove_cvref_t<From>, T> && !std::same_as<std::remove_cvref_t<From>, result>)
      result(From &&from)
      : value_(std::forward<From>(from)) {}
  /// No value; a status that is OK becomes INTERNAL, since a result has one or the other.
  result(spanwire::status status) : status_(std::move(status)) {
    if (status_.ok()) status_ = {spanwire::code::internal, "a result without a value needs a status other than OK"};
  }

  /// Whether there is a value.
  bool ok() const noexcept { return value_.has_value(); }
  explicit operator bool() const noexcept { return ok(); }
  /// OK if there is a value, otherwise why there is none.
  const spanwire::status &status() const noexcept { return status_; }

  /// The value. Without one the program ends with the status on stderr: look first.
  T &value() & { return *checked(); }
  const T &value() const & { return *checked(); }
  T &&value() && { return std::move(*checked()); }
  T &operator*() & { return *checked(); }
  const T &operator*() const & { return *checked(); }
  T &&operator*() && { return std::move(*checked()); }
  T *operator->() { return &*checked(); }
  const T *operator->() const { return &*checked(); }
  /// The value, or `other`.
  T value_or(T other) && { return ok() ? std::move(*value_) : std::move(other); }

#if defined(__cpp_exceptions)
  /// The value; throws spanwire::error without one.
  T value_or_throw() && {
    status_.or_throw();
    return std::move(*value_);
  }
  const T &value_or_throw() const & {
    status_.or_throw();
    return *value_;
  }
#endif

 private:
  std::optional<T> &checked() {
    if (!value_) detail::misuse("the value of a failed result was asked for", status_.to_string().c_str());
    return value_;
  }
  const std::optional<T> &checked() const { return const_cast<result *>(this)->checked(); }

  std::optional<T> value_;
  spanwire::status status_;
};

namespace detail {

/// What a function answers that cannot do its work: the status if its type can hold one; otherwise the program
/// ends.
template <class T>
T refuse(status why) {
  if constexpr (std::is_constructible_v<T, status>) {
    return T(std::move(why));
  } else if constexpr (std::is_void_v<T>) {
    return;
  } else {
    misuse("a value that cannot be", why.to_string().c_str());
  }
}

}  // namespace detail

}  // namespace spanwire
