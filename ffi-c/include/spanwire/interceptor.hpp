// Hooks that see every call of a channel or server.
#pragma once

#include <functional>

#include "bytes.hpp"
#include "options.hpp"

namespace spanwire {

/// A call that is about to be made, while a start hook looks at it.
class draft {
 public:
  /// For the library.
  explicit draft(spanwire_draft *raw) noexcept : raw_(raw) {}

  /// "/package.Service/Method", borrowed.
  std::string_view method() const { return spanwire_draft_method(raw_); }
  /// Adds a pair to what is sent; INVALID_ARGUMENT if HTTP/2 cannot carry it.
  status append_metadata(zstring key, std::string_view value) const {
    spanwire_metadata_entry entry{key.c_str(), value.data(), value.size()};
    return status::of_result(spanwire_draft_append_metadata(raw_, &entry));
  }
  /// Gives the call another deadline; 0 or less has passed already.
  status set_timeout(milliseconds timeout) const {
    return status::of_result(spanwire_draft_set_timeout_ms(raw_, detail::timeout_ms(timeout)));
  }

 private:
  spanwire_draft *raw_;
};

/// An event of a call before the program sees it, while an event hook looks at it.
class seen_event {
 public:
  /// For the library.
  explicit seen_event(spanwire_event *raw) noexcept : raw_(raw) {}

  /// One of SPANWIRE_EVENT_.
  spanwire_event_type type() const noexcept { return raw_->type; }
  /// The event of the C API, which the hook may change as spanwire.h allows.
  spanwire_event &raw() const noexcept { return *raw_; }
  /// How the call ended, of SPANWIRE_EVENT_DONE.
  spanwire::status status() const { return spanwire::status::of(*raw_); }
  /// Server: what the client sent. Client: headers, of SPANWIRE_EVENT_HEADERS and of the DONE of a unary call.
  spanwire::metadata metadata() const {
    if (raw_->server_call == nullptr) return spanwire::metadata(raw_->metadata);
    return spanwire::metadata(spanwire_server_call_metadata(raw_->server_call));
  }
  /// Server: the method that is called.
  std::string_view method() const {
    std::size_t length = 0;
    const char *name = spanwire_server_call_method(raw_->server_call, &length);
    return name != nullptr ? std::string_view(name, length) : std::string_view();
  }
  /// Server, for SPANWIRE_EVENT_REQUEST: ends the call with `status`; no handler sees it.
  spanwire::status refuse(const spanwire::status &status) const {
    std::string message(status.message());
    spanwire_answer answer{};
    answer.size = sizeof answer;
    answer.details = status.details().data();
    answer.details_len = status.details().size();
    spanwire_result result = spanwire_server_call_finish(
        raw_->server_call, static_cast<spanwire_code>(status.code()), message.c_str(), &answer);
    raw_->type = SPANWIRE_EVENT_NONE;
    return spanwire::status::of_result(result);
  }

 private:
  spanwire_event *raw_;
};

/// Hooks for every call of a channel or a server. They run on the thread that makes the call (start), or that
/// drives its loop or waits for it (event), several at once if there are several such threads. What they throw is
/// an INTERNAL of the call (start), or ignored (event).
struct interceptor {
  /// Client: before a call starts. A status that is not OK ends the call with it, and nothing is sent.
  std::function<status(draft &)> start = {};
  /// Client and server: every event before the program sees it.
  std::function<void(seen_event &)> event = {};
  /// The methods whose calls they are for: "/package.Service/Method", or all of a service, "/package.Service/*";
  /// all if there are none.
  std::vector<std::string> only = {};
};

namespace detail {

inline spanwire_code start_hook(void *user_data, spanwire_draft *raw) noexcept {
  const auto &hooks = *static_cast<interceptor *>(user_data);
  if (!hooks.start) return SPANWIRE_CODE_OK;
  draft call(raw);
  status verdict;
#if defined(__cpp_exceptions)
  try {
    verdict = hooks.start(call);
  } catch (const error &thrown) {
    verdict = thrown.status();
  } catch (...) {
    verdict = {code::internal, "an interceptor threw an exception"};
  }
#else
  verdict = hooks.start(call);
#endif
  if (!verdict.ok()) spanwire_draft_set_message(raw, std::string(verdict.message()).c_str());
  return static_cast<spanwire_code>(verdict.code());
}

inline void event_hook(void *user_data, spanwire_event *raw) noexcept {
  const auto &hooks = *static_cast<interceptor *>(user_data);
  if (!hooks.event) return;
  seen_event event(raw);
#if defined(__cpp_exceptions)
  try {
    hooks.event(event);
  } catch (...) {
  }
#else
  hooks.event(event);
#endif
}

/// Hands the hooks over to the C API by `add`, which releases them, unless it refuses.
template <class Add>
status add_hooks(interceptor hooks, Add add) {
  auto owned = std::make_unique<interceptor>(std::move(hooks));
  spanwire_interceptor raw{};
  raw.size = sizeof raw;
  raw.user_data = owned.get();
  raw.start = start_hook;
  raw.event = event_hook;
  raw.release = [](void *user_data) { delete static_cast<interceptor *>(user_data); };
  std::vector<const char *> only;
  for (const std::string &methods : owned->only) only.push_back(methods.c_str());
  raw.only = only.data();
  raw.only_count = only.size();
  spanwire_result result = add(&raw);
  if (result >= 0) static_cast<void>(owned.release());
  return status::of_result(result);
}

}  // namespace detail

}  // namespace spanwire
