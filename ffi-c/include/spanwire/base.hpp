// What every other header of the C++ wrapper needs. Include <spanwire.hpp> instead.
#pragma once

#include <spanwire.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

namespace spanwire {

/// Text that ends with a NUL byte: what names of methods, targets and keys are passed as. It borrows: whatever it
/// was made from must live as long as it is used.
class zstring {
 public:
  /// Borrows a literal or another C string; null is the empty text.
  zstring(const char *text) noexcept : text_(text != nullptr ? text : "") {}
  /// Borrows a string.
  zstring(const std::string &text) noexcept : text_(text.c_str()) {}

  /// The text; never null.
  const char *c_str() const noexcept { return text_; }

 private:
  const char *text_;
};

/// Owns one handle of the C API and frees it. Move-only. An empty one holds null, which every function of the C API
/// answers with SPANWIRE_INVALID_HANDLE; that is what a moved-from object of this library does.
template <class T, void (*Free)(T *)>
class unique_handle {
 public:
  /// Holds nothing.
  unique_handle() noexcept = default;
  /// Takes the handle over.
  explicit unique_handle(T *handle) noexcept : handle_(handle) {}
  unique_handle(unique_handle &&other) noexcept : handle_(other.release()) {}
  unique_handle &operator=(unique_handle &&other) noexcept {
    reset(other.release());
    return *this;
  }
  unique_handle(const unique_handle &) = delete;
  unique_handle &operator=(const unique_handle &) = delete;
  ~unique_handle() { reset(); }

  /// The handle, still owned; null if there is none.
  T *get() const noexcept { return handle_; }
  /// Gives the handle away: the caller frees it.
  T *release() noexcept { return std::exchange(handle_, nullptr); }
  /// Frees what it holds and takes `handle` over.
  void reset(T *handle = nullptr) noexcept {
    if (T *old = std::exchange(handle_, handle); old != nullptr) Free(old);
  }
  /// Whether it holds a handle.
  explicit operator bool() const noexcept { return handle_ != nullptr; }

 private:
  T *handle_ = nullptr;
};

/// An engine of the C API, owned.
using engine_handle = unique_handle<spanwire_engine, spanwire_engine_free>;
/// An event queue of the C API, owned.
using queue_handle = unique_handle<spanwire_queue, spanwire_queue_free>;
/// A channel of the C API, owned.
using channel_handle = unique_handle<spanwire_channel, spanwire_channel_free>;
/// A client's call of the C API, owned; freeing it cancels the call.
using call_handle = unique_handle<spanwire_call, spanwire_call_free>;
/// A server of the C API, owned.
using server_handle = unique_handle<spanwire_server, spanwire_server_free>;
/// A server's call of the C API, owned; freeing it unanswered fails the call with INTERNAL.
using server_call_handle = unique_handle<spanwire_server_call, spanwire_server_call_free>;

/// An event of the C API, owned: what was not taken out of it is released at the end. For programs that drain a
/// queue_handle by themselves; a spanwire::loop does it for you.
class event {
 public:
  /// Holds nothing: its type is SPANWIRE_EVENT_NONE.
  event() noexcept : raw_{} {}
  event(const event &) = delete;
  event &operator=(const event &) = delete;
  ~event() { spanwire_event_free(&raw_); }

  /// Where a function of the C API may put an event; releases what was there.
  spanwire_event *fill() noexcept {
    spanwire_event_free(&raw_);
    return &raw_;
  }
  /// The event itself.
  spanwire_event &get() noexcept { return raw_; }
  spanwire_event *operator->() noexcept { return &raw_; }

 private:
  spanwire_event raw_;
};

namespace detail {

/// Ends the program with a sentence: for what a type forbids, such as the value of a failed result. Never
/// undefined.
[[noreturn]] inline void misuse(const char *what, const char *why = "") {
  std::fprintf(stderr, "spanwire: %s%s%s\n", what, *why != '\0' ? ": " : "", why);
  std::abort();
}

/// Null for an empty text: how the C API says that an option was not given.
inline const char *or_null(const std::string &text) noexcept { return text.empty() ? nullptr : text.c_str(); }

/// A text of the C API's snprintf-like functions.
template <class Write>
std::string written(Write write) {
  char place[64];
  std::size_t length = write(place, sizeof place);
  if (length < sizeof place) return std::string(place, length);
  std::string text(length, '\0');
  write(text.data(), length + 1);
  return text;
}

/// A part of an aggregate that may be written in braces inside a `co_await` expression. There GCC (12 at least)
/// makes each part elsewhere, copies its bytes into the aggregate and destroys both. So this remembers where it was
/// made: a copy of its bytes lends its value for as long as the original lives, which is long enough, but owns
/// nothing.
template <class T>
class part {
 public:
  part() : value_() {}
  part(T value) : value_(std::move(value)) {}
  part(const part &other) : value_(other.value_) {}
  part(part &&other) : value_(other.take()) {}
  part &operator=(part other) {
    value_ = std::move(other.value_);
    return *this;
  }
  ~part() {
    if (genuine()) value_.~T();
  }

  const T &operator*() const noexcept { return value_; }
  T &operator*() noexcept { return value_; }
  const T *operator->() const noexcept { return &value_; }
  T *operator->() noexcept { return &value_; }

 private:
  bool genuine() const noexcept { return place_ == this; }
  T take() {
    if (genuine()) return std::move(value_);
    return value_;
  }

  union {
    T value_;
  };
  const part *place_ = this;
};

}  // namespace detail

}  // namespace spanwire
