// Channels: where calls of a client begin.
#pragma once

#include "blocking_call.hpp"
#include "call.hpp"
#include "interceptor.hpp"

namespace spanwire {

namespace detail {

/// The outcome of a call with one answer, of its DONE event.
inline result<response> outcome_of(spanwire_event &done) {
  if (done.status.code != SPANWIRE_CODE_OK) return status::of(done);
  return response{bytes(spanwire_bytes_take(&done.message)), metadata(done.metadata),
                  metadata(done.status.trailers), done.status.attempts,
                  written([&](char *text, std::size_t size) { return spanwire_event_peer(&done, text, size); })};
}

/// A unary call of a loop, which holds it until its DONE has come.
struct unary_state final : sink {
  call_handle handle;
  std::optional<result<response>> outcome;
  std::coroutine_handle<> waiter;
  std::shared_ptr<unary_state> kept;
  stop_watch watch;

  void on_event(spanwire_event &event) override {
    if (event.type != SPANWIRE_EVENT_DONE) return;
    std::shared_ptr<unary_state> self = std::exchange(kept, nullptr);
    unlink();
    watch.reset();
    handle.reset();
    if (waiter) {
      outcome.emplace(outcome_of(event));
      std::exchange(waiter, nullptr).resume();
    }
  }
  void on_loop_end() noexcept override {
    handle.reset();
    kept.reset();
  }
};

/// Where an operation on a loop is to be told its end; null if nobody knows a loop.
template <class Promise>
loop_core *core_for(const call_options &options, std::coroutine_handle<Promise> caller) noexcept {
  return options.loop != nullptr ? loop_access::core(*options.loop).get() : loop_of(caller);
}

inline status no_loop() {
  return {code::failed_precondition,
          "no loop: await this in a spanwire::task that runs on one, or set options.loop"};
}

/// A channel as its calls see it.
struct lent_channel {
  spanwire_channel *raw;
  const status *made;

  /// Why there is none.
  status missing() const {
    return made->ok() ? status(code::failed_precondition, "this channel was moved from, or never made") : *made;
  }
};

class [[nodiscard]] unary_awaiter {
 public:
  unary_awaiter(lent_channel channel, const char *method, buffer request, call_options options) noexcept
      : channel_(channel), method_(method), request_(std::move(request)), options_(std::move(options)) {}
  unary_awaiter(const unary_awaiter &) = delete;
  unary_awaiter &operator=(const unary_awaiter &) = delete;
  ~unary_awaiter() {
    if (state_ == nullptr || state_->outcome) return;
    state_->waiter = nullptr;
    state_->watch.reset();
    state_->handle.reset();
  }

  bool await_ready() const noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> caller) {
    return start(core_for(options_, caller), caller);
  }
  result<response> await_resume() { return std::move(*state_->outcome); }

 private:
  bool start(loop_core *core, std::coroutine_handle<> caller) {
    state_ = std::make_shared<unary_state>();
    if (core == nullptr) return fail(no_loop());
    if (channel_.raw == nullptr) return fail(channel_.missing());
    lent_call_options lent(options_);
    spanwire_buffer raw = request_.take();
    spanwire_call *started = nullptr;
    spanwire_result result =
        spanwire_call_unary(channel_.raw, method_, &raw, &lent.raw, core->queue.get(), state_->tag(), &started);
    if (result < 0) return fail(status::of_result(result));
    state_->handle.reset(started);
    state_->waiter = caller;
    state_->kept = state_;
    state_->link(core->sinks);
    state_->watch.watch(options_, started);
    return true;
  }
  bool fail(status why) {
    state_->outcome.emplace(std::move(why));
    return false;
  }

  lent_channel channel_;
  const char *method_;
  buffer request_;
  call_options options_;
  std::shared_ptr<unary_state> state_;
};

/// The state that a wait for one has found, of its DONE event.
inline result<connectivity> state_of(spanwire_event &done) {
  if (done.status.code != SPANWIRE_CODE_OK) return status::of(done);
  return static_cast<connectivity>(static_cast<const unsigned char *>(done.message.data)[0]);
}

/// A wait for another state, of a loop.
struct watch_state final : sink {
  call_handle handle;
  std::optional<result<connectivity>> outcome;
  std::coroutine_handle<> waiter;
  std::shared_ptr<watch_state> kept;
  stop_watch watch;

  void on_event(spanwire_event &event) override {
    std::shared_ptr<watch_state> self = std::exchange(kept, nullptr);
    unlink();
    watch.reset();
    handle.reset();
    if (waiter) {
      outcome.emplace(state_of(event));
      std::exchange(waiter, nullptr).resume();
    }
  }
  void on_loop_end() noexcept override {
    handle.reset();
    kept.reset();
  }
};

class [[nodiscard]] watch_awaiter {
 public:
  watch_awaiter(lent_channel channel, connectivity known, call_options options) noexcept
      : channel_(channel), known_(known), options_(std::move(options)) {}
  watch_awaiter(const watch_awaiter &) = delete;
  watch_awaiter &operator=(const watch_awaiter &) = delete;
  ~watch_awaiter() {
    if (state_ == nullptr || state_->outcome) return;
    state_->waiter = nullptr;
    state_->watch.reset();
    state_->handle.reset();
  }

  bool await_ready() const noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> caller) {
    return start(core_for(options_, caller), caller);
  }
  result<connectivity> await_resume() { return std::move(*state_->outcome); }

 private:
  bool start(loop_core *core, std::coroutine_handle<> caller) {
    state_ = std::make_shared<watch_state>();
    if (core == nullptr) return fail(no_loop());
    if (channel_.raw == nullptr) return fail(channel_.missing());
    lent_call_options lent(options_);
    spanwire_call *started = nullptr;
    spanwire_result result =
        spanwire_channel_connectivity_changed(channel_.raw, static_cast<spanwire_connectivity>(known_),
                                              lent.raw.timeout_ms, core->queue.get(), state_->tag(), &started);
    if (result < 0) return fail(status::of_result(result));
    state_->handle.reset(started);
    state_->waiter = caller;
    state_->kept = state_;
    state_->link(core->sinks);
    state_->watch.watch(options_, started);
    return true;
  }
  bool fail(status why) {
    state_->outcome.emplace(std::move(why));
    return false;
  }

  lent_channel channel_;
  connectivity known_;
  call_options options_;
  std::shared_ptr<watch_state> state_;
};

class [[nodiscard]] start_awaiter {
 public:
  start_awaiter(lent_channel channel, const char *method, spanwire_kind kind, std::optional<buffer> request,
                call_options options) noexcept
      : channel_(channel),
        method_(method),
        kind_(kind),
        request_(std::move(request)),
        options_(std::move(options)) {}
  start_awaiter(const start_awaiter &) = delete;
  start_awaiter &operator=(const start_awaiter &) = delete;

  bool await_ready() const noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> caller) {
    start(core_for(options_, caller));
    return false;
  }
  call await_resume() noexcept { return call_access::make(std::move(state_)); }

 private:
  void start(loop_core *core) {
    state_ = std::make_shared<call_state>();
    if (core == nullptr) {
      state_->stream.end = no_loop();
    } else if (channel_.raw == nullptr) {
      state_->stream.end = channel_.missing();
    } else {
      state_->begin(*core, channel_.raw, method_, kind_, options_, request_ ? &*request_ : nullptr);
    }
  }

  lent_channel channel_;
  const char *method_;
  spanwire_kind kind_;
  std::optional<buffer> request_;
  call_options options_;
  std::shared_ptr<call_state> state_;
};

}  // namespace detail

/// Where calls begin: a target, and a connection to it that is made and made again as needed. All functions but
/// assignment and destruction are for any thread, at the same time; coroutines of several loops may share one.
/// Destroying it lets running calls go on. Move-only; a moved-from one answers FAILED_PRECONDITION.
///
/// The functions without `_blocking` give awaitables, which begin the call when they are awaited: by a task that
/// runs on a loop, or with options.loop. What a buffer borrows must live until then. Those with `_blocking` use no
/// loop and wait on the calling thread; in a handler or task they would stop the whole loop.
class channel {
 public:
  /// No channel.
  channel() noexcept = default;
  /// A channel to `target`, for example "dns:///orders:443", "127.0.0.1:50051" or "unix:/run/orders". It connects
  /// when it is first used. Without an engine it uses the process's default one. Options or a target that make no
  /// sense give a channel whose status() says so, and whose calls fail with it.
  explicit channel(zstring target, const channel_options &options = {}, const engine *engine = nullptr)
      : handle_(detail::make_channel(engine != nullptr ? engine->get() : nullptr, target.c_str(), options)) {
    if (!handle_) status_ = {code::invalid_argument, spanwire_last_error()};
  }

  /// OK, or why it could not be made.
  const spanwire::status &status() const noexcept { return status_; }
  /// The channel of the C API; null if there is none.
  spanwire_channel *get() const noexcept { return handle_.get(); }

  /// `co_await channel.unary(...)`: one request, one answer: a result<response>. Destroying the waiting coroutine
  /// cancels the call.
  detail::unary_awaiter unary(zstring method, buffer request, call_options options = {}) const {
    return {lent(), method.c_str(), std::move(request), std::move(options)};
  }
  /// `co_await channel.server_streaming(...)`: sends the request and gives a spanwire::call to read answers from.
  detail::start_awaiter server_streaming(zstring method, buffer request, call_options options = {}) const {
    return {lent(), method.c_str(), SPANWIRE_KIND_SERVER_STREAMING, std::move(request), std::move(options)};
  }
  /// `co_await channel.client_streaming(...)`: gives a spanwire::call to send with; call::response() has the
  /// answer.
  detail::start_awaiter client_streaming(zstring method, call_options options = {}) const {
    return {lent(), method.c_str(), SPANWIRE_KIND_CLIENT_STREAMING, std::nullopt, std::move(options)};
  }
  /// `co_await channel.bidi(...)`: gives a spanwire::call to send and read with.
  detail::start_awaiter bidi(zstring method, call_options options = {}) const {
    return {lent(), method.c_str(), SPANWIRE_KIND_BIDI, std::nullopt, std::move(options)};
  }

  /// One request, one answer, on the calling thread.
  result<response> unary_blocking(zstring method, buffer request, const call_options &options = {}) const {
    if (!handle_) return lent().missing();
    if (options.stop->stop_possible()) return stoppable_unary(method, std::move(request), options);
    detail::lent_call_options lent_options(options);
    spanwire_buffer raw = request.take();
    event done;
    spanwire_result result =
        spanwire_call_unary_blocking(get(), method.c_str(), &raw, &lent_options.raw, done.fill());
    if (result < 0) return spanwire::status::of_result(result);
    return detail::outcome_of(done.get());
  }
  /// Sends the request; the answers are read from the call.
  blocking_call server_streaming_blocking(zstring method, buffer request, const call_options &options = {}) const {
    return begin_blocking(method, SPANWIRE_KIND_SERVER_STREAMING, &request, options);
  }
  /// A call to send with; blocking_call::response() has the answer.
  blocking_call client_streaming_blocking(zstring method, const call_options &options = {}) const {
    return begin_blocking(method, SPANWIRE_KIND_CLIENT_STREAMING, nullptr, options);
  }
  /// A call to send and read with.
  blocking_call bidi_blocking(zstring method, const call_options &options = {}) const {
    return begin_blocking(method, SPANWIRE_KIND_BIDI, nullptr, options);
  }

  /// The state of the connection.
  spanwire::connectivity connectivity() const noexcept {
    std::int32_t state = spanwire_channel_connectivity(get());
    return state < 0 ? spanwire::connectivity::none : static_cast<spanwire::connectivity>(state);
  }
  /// `co_await channel.connectivity_changed(known)`: the state as soon as it is another than `known`: a
  /// result<connectivity>. States that last only a moment may be missed. Of the options the timeout, the stop token
  /// and the loop count. Destroying the channel ends it with CANCELLED.
  detail::watch_awaiter connectivity_changed(spanwire::connectivity known, call_options options = {}) const {
    return {lent(), known, std::move(options)};
  }
  /// The same on the calling thread.
  result<spanwire::connectivity> connectivity_changed_blocking(spanwire::connectivity known,
                                                               const call_options &options = {}) const {
    if (!handle_) return lent().missing();
    detail::lent_call_options lent_options(options);
    queue_handle queue(spanwire_queue_new());
    spanwire_call *started = nullptr;
    spanwire_result result =
        spanwire_channel_connectivity_changed(get(), static_cast<spanwire_connectivity>(known),
                                              lent_options.raw.timeout_ms, queue.get(), nullptr, &started);
    if (result < 0) return spanwire::status::of_result(result);
    call_handle handle(started);
    std::stop_callback watch(*options.stop, detail::canceller{started});
    for (event done;;) {
      std::int32_t count = spanwire_queue_next(queue.get(), done.fill(), 1, -1);
      if (count < 0) return spanwire::status::of_result(count);
      if (count == 1) return detail::state_of(done.get());
    }
  }
  /// The channel's numbers: connections, calls, and how often each limit was hit.
  std::vector<stat> stats() const { return detail::stats_of(spanwire_channel_stats, get()); }
  /// Connects without a call.
  spanwire::status connect() const { return spanwire::status::of_result(spanwire_channel_connect(get())); }
  /// The machine's network is another one: the target's name is resolved again at once.
  spanwire::status network_changed() const {
    return spanwire::status::of_result(spanwire_channel_network_changed(get()));
  }
  /// Adds hooks for all calls that begin later; the first one added sees a call first.
  spanwire::status intercept(interceptor hooks) {
    return detail::add_hooks(std::move(hooks), [this](const spanwire_interceptor *raw) {
      return spanwire_channel_intercept(get(), raw);
    });
  }

 private:
  detail::lent_channel lent() const noexcept { return {get(), &status_}; }

  blocking_call begin_blocking(zstring method, spanwire_kind kind, buffer *request,
                               const call_options &options) const {
    auto state = std::make_shared<detail::blocking_state>();
    if (handle_) {
      state->stream.start(get(), method.c_str(), kind, options, request, state->queue.get(), nullptr);
    } else {
      state->stream.end = lent().missing();
    }
    return detail::blocking_access::make(std::move(state));
  }

  /// As unary_blocking, with a handle that a stop can cancel.
  result<response> stoppable_unary(zstring method, buffer request, const call_options &options) const {
    detail::lent_call_options lent_options(options);
    spanwire_buffer raw = request.take();
    queue_handle queue(spanwire_queue_new());
    spanwire_call *started = nullptr;
    spanwire_result result =
        spanwire_call_unary(get(), method.c_str(), &raw, &lent_options.raw, queue.get(), nullptr, &started);
    if (result < 0) return spanwire::status::of_result(result);
    call_handle handle(started);
    std::stop_callback watch(*options.stop, detail::canceller{started});
    for (event done;;) {
      std::int32_t count = spanwire_queue_next(queue.get(), done.fill(), 1, -1);
      if (count < 0) return spanwire::status::of_result(count);
      if (count == 1 && done->type == SPANWIRE_EVENT_DONE) return detail::outcome_of(done.get());
    }
  }

  channel_handle handle_;
  spanwire::status status_;
};

}  // namespace spanwire
