// Servers: methods, and the coroutines that answer them.
#pragma once

#include "interceptor.hpp"
#include "server_call.hpp"
#include "server_options.hpp"

namespace spanwire {

/// Answers a method with one request and one answer.
using unary_handler = std::function<task<result<bytes>>(bytes request, context &context)>;
/// Answers a method with one request and many answers; the status ends the call.
using server_streaming_handler = std::function<task<status>(bytes request, writer &answers, context &context)>;
/// Answers a method with many requests and one answer.
using client_streaming_handler = std::function<task<result<bytes>>(reader &requests, context &context)>;
/// Answers a method with many requests and many answers; the status ends the call.
using bidi_handler = std::function<task<status>(reader &requests, writer &answers, context &context)>;

namespace detail {

/// What a handler's exception tells the client. Only a spanwire::error was meant for it.
inline status status_of(const std::exception_ptr &thrown) {
#if defined(__cpp_exceptions)
  try {
    std::rethrow_exception(thrown);
  } catch (const error &meant) {
    if (!meant.status().ok()) return meant.status();
  } catch (...) {
  }
#endif
  static_cast<void>(thrown);
  return {code::internal, "the handler threw an exception"};
}

/// A handler's task, or what was thrown instead of one. Awaiting it throws nothing.
template <class T>
struct settled {
  task<T> work;
  std::exception_ptr thrown;

  template <class Handler, class... Arguments>
  explicit settled(const Handler &handler, Arguments &&...arguments) {
#if defined(__cpp_exceptions)
    try {
      work = handler(std::forward<Arguments>(arguments)...);
    } catch (...) {
      thrown = std::current_exception();
    }
#else
    work = handler(std::forward<Arguments>(arguments)...);
#endif
  }

  auto operator co_await() noexcept {
    struct awaiter : task<T>::awaiter {
      std::exception_ptr thrown;
      T await_resume() const {
        if (thrown) return T(status_of(thrown));
        if (this->work && this->work.promise().thrown) return T(status_of(this->work.promise().thrown));
        return task<T>::awaiter::await_resume();
      }
    };
    return awaiter{{work.coroutine_}, thrown};
  }
};

using shared_call = std::shared_ptr<server_call_state>;

inline status no_request(const server_call_state &call) {
  return call.over() ? call.standing() : status(code::internal, "the client sent no request");
}

/// A method of a server: makes a coroutine of each request. Coroutines keep it alive.
template <class Handler>
struct method_source final : sink, std::enable_shared_from_this<method_source<Handler>> {
  using self = std::shared_ptr<method_source>;

  Handler handler;
  loop_core *core = nullptr;

  explicit method_source(Handler from) : handler(std::move(from)) {}

  void on_event(spanwire_event &event) override {
    auto call = std::make_shared<server_call_state>(event);
    core->adopt(serve(this->shared_from_this(), std::move(call)));
  }

  static root serve(self source, shared_call call) {
    context told(call);
    if constexpr (std::is_same_v<Handler, unary_handler>) {
      std::optional<bytes> request = co_await read_awaiter(call);
      if (!request) {
        call->answer(no_request(*call));
      } else {
        call->answer(co_await settled<result<bytes>>(source->handler, std::move(*request), told));
      }
    } else if constexpr (std::is_same_v<Handler, server_streaming_handler>) {
      writer answers(call);
      std::optional<bytes> request = co_await read_awaiter(call);
      if (!request) {
        call->answer(no_request(*call));
      } else {
        call->answer(co_await settled<status>(source->handler, std::move(*request), answers, told));
      }
    } else if constexpr (std::is_same_v<Handler, client_streaming_handler>) {
      reader requests(call);
      call->answer(co_await settled<result<bytes>>(source->handler, requests, told));
    } else {
      reader requests(call);
      writer answers(call);
      call->answer(co_await settled<status>(source->handler, requests, answers, told));
    }
  }
};

/// The end of a shutdown.
struct closed_state final : sink {
  bool closed = false;
  std::coroutine_handle<> waiter;

  void on_event(spanwire_event &) override {
    closed = true;
    if (waiter) std::exchange(waiter, nullptr).resume();
  }
};

/// Begins a shutdown whose end comes to `core`.
inline status begin_shutdown(spanwire_server *server, milliseconds grace, loop_core &core,
                             const std::shared_ptr<closed_state> &state) {
  void *tag = core.add_source(state);
  spanwire_result result = spanwire_server_shutdown(server, grace.count(), core.queue.get(), tag);
  if (result < 0) core.sources.erase(reinterpret_cast<std::uintptr_t>(tag));
  return status::of_result(result);
}

class [[nodiscard]] shutdown_awaiter {
 public:
  shutdown_awaiter(spanwire_server *server, milliseconds grace) noexcept : server_(server), grace_(grace) {}
  shutdown_awaiter(const shutdown_awaiter &) = delete;
  shutdown_awaiter &operator=(const shutdown_awaiter &) = delete;
  ~shutdown_awaiter() { state_->waiter = nullptr; }

  bool await_ready() const noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> caller) {
    loop_core *core = loop_of(caller);
    if (core == nullptr) {
      outcome_ = {code::failed_precondition, "no loop: await this in a spanwire::task that runs on one"};
    } else {
      outcome_ = begin_shutdown(server_, grace_, *core, state_);
    }
    if (outcome_.ok()) state_->waiter = caller;
    return outcome_.ok();
  }
  status await_resume() const { return outcome_; }

 private:
  spanwire_server *server_;
  milliseconds grace_;
  std::shared_ptr<closed_state> state_ = std::make_shared<closed_state>();
  status outcome_;
};

}  // namespace detail

/// A server. Methods are added, then start() binds it and serves: its handlers are coroutines of a loop, so they
/// run on the thread that drives that loop and begin when the loop learns of the request. A handler that throws
/// fails its call alone: with the status of a spanwire::error, with INTERNAL otherwise.
///
/// Move-only; a moved-from one answers FAILED_PRECONDITION. Destroying it ends all calls at once; handlers that
/// still run find their calls cancelled. Functions are for one thread at a time, destruction included.
class server {
 public:
  /// No server.
  server() noexcept = default;
  /// A server that listens when it is started. Without an engine it uses the process's default one. Options that
  /// make no sense give one whose status() says so.
  explicit server(server_options options, const engine *engine = nullptr)
      : handle_(detail::make_server(engine != nullptr ? engine->get() : nullptr, options)),
        address_(std::move(options.address)) {
    if (!handle_) status_ = {code::invalid_argument, spanwire_last_error()};
  }
  server(server &&) noexcept = default;
  server &operator=(server other) noexcept {
    std::swap(handle_, other.handle_);
    std::swap(address_, other.address_);
    std::swap(status_, other.status_);
    std::swap(methods_, other.methods_);
    std::swap(core_, other.core_);
    std::swap(tags_, other.tags_);
    std::swap(bound_, other.bound_);
    return *this;
  }
  ~server() {
    handle_.reset();
    if (std::shared_ptr<detail::loop_core> core = core_.lock(); core != nullptr && !tags_.empty())
      forget_sources(core);
  }

  /// OK, or why it could not be made.
  const spanwire::status &status() const noexcept { return status_; }
  /// The server of the C API; null if there is none.
  spanwire_server *get() const noexcept { return handle_.get(); }

  /// Adds a method, before start(). `method` is "/package.Service/Method". The handler is kept as long as the
  /// server and its calls, so a lambda that is a coroutine may use what it captured.
  spanwire::status unary(zstring method, unary_handler handler) {
    return add(method, SPANWIRE_KIND_UNARY, std::move(handler));
  }
  /// As unary().
  spanwire::status server_streaming(zstring method, server_streaming_handler handler) {
    return add(method, SPANWIRE_KIND_SERVER_STREAMING, std::move(handler));
  }
  /// As unary().
  spanwire::status client_streaming(zstring method, client_streaming_handler handler) {
    return add(method, SPANWIRE_KIND_CLIENT_STREAMING, std::move(handler));
  }
  /// As unary().
  spanwire::status bidi(zstring method, bidi_handler handler) {
    return add(method, SPANWIRE_KIND_BIDI, std::move(handler));
  }
  /// Answers every other method; context::method() says which. Without it they are UNIMPLEMENTED.
  spanwire::status fallback(bidi_handler handler) { return add("", SPANWIRE_KIND_BIDI, std::move(handler)); }
  /// Adds hooks for all calls, before start().
  spanwire::status intercept(interceptor hooks) {
    return detail::add_hooks(std::move(hooks), [this](const spanwire_interceptor *raw) {
      return spanwire_server_intercept(get(), raw);
    });
  }

  /// Listens on the address of the options and serves; handlers run on `loop`. Returns when it is bound:
  /// UNAVAILABLE if the address cannot be had, after which it may be tried again. Nothing is answered while nobody
  /// drives the loop.
  spanwire::status start(loop &loop) { return start(loop, address_); }
  /// The same on another address than the options have.
  spanwire::status start(loop &loop, zstring address) {
    if (!handle_) return missing();
    if (spanwire::status bound = bind(detail::loop_access::core(loop)); !bound.ok()) return bound;
    return spanwire::status::of_result(spanwire_server_listen(get(), address.c_str()));
  }
  /// Says whether a service can be called: SERVING, or NOT_SERVING; only with server_options::health. The empty
  /// name is the server as a whole, which serves until it is said that it does not; of the others nothing is known
  /// before.
  spanwire::status set_health(zstring service, bool serving) {
    return spanwire::status::of_result(spanwire_server_set_health(get(), service.c_str(), serving));
  }
  /// Lets so many more requests through; only with server_options::manual_accept.
  spanwire::status accept(std::uint32_t requests) {
    return spanwire::status::of_result(spanwire_server_accept(get(), requests));
  }
  /// The port that it listens on; negative if there is none. Useful with port 0 in the address.
  int port() const noexcept { return spanwire_server_port(get()); }
  /// The address as a channel takes it for its target.
  std::string target() const {
    return detail::written(
        [this](char *text, std::size_t size) { return spanwire_server_target(get(), text, size); });
  }

  /// The server's numbers: connections, calls, and how often each limit was hit; none before start().
  std::vector<stat> stats() const { return detail::stats_of(spanwire_server_stats, get()); }

  /// `co_await server.shutdown(grace)`: says NOT_SERVING, takes no more calls after drain_delay, lets those that
  /// run end for up to `grace`, then cancels what is left. OK when all of it is over.
  detail::shutdown_awaiter shutdown(milliseconds grace) const noexcept { return {get(), grace}; }

  /// The same on the calling thread. If nobody drives the server's loop, it is driven meanwhile; a handler of that
  /// loop must not call it (FAILED_PRECONDITION).
  spanwire::status shutdown_blocking(milliseconds grace) {
    std::shared_ptr<detail::loop_core> core = core_.lock();
    if (core == nullptr) return shutdown_alone(grace);
    if (core->runner.load() == std::this_thread::get_id()) {
      return {code::failed_precondition, "a handler cannot wait for its own end: use co_await server.shutdown()"};
    }
    detail::turn turn(*core);
    if (!turn) return shutdown_alone(grace);
    auto end = std::make_shared<detail::closed_state>();
    spanwire::status begun = detail::begin_shutdown(get(), grace, *core, end);
    while (begun.ok() && !end->closed) begun = spanwire::status::of_result(core->step(-1));
    return begun;
  }

 private:
  /// Has the loop told of calls of all methods; once.
  spanwire::status bind(const std::shared_ptr<detail::loop_core> &core) {
    if (std::exchange(bound_, true)) {
      if (core_.lock() == core) return {};
      return {code::failed_precondition, "this server runs on another loop"};
    }
    core_ = core;
    for (const added_method &each : methods_) {
      void *tag = each.bind(core.get());
      tags_.push_back(tag);
      spanwire_queue *queue = core->queue.get();
      spanwire_result result = each.name.empty() ? spanwire_server_fallback(get(), queue, tag, default_credit)
                                                 : spanwire_server_method(get(), each.name.c_str(), each.kind,
                                                                          queue, tag, default_credit);
      if (result < 0) return spanwire::status::of_result(result);
    }
    return {};
  }

  struct added_method {
    std::string name;
    spanwire_kind kind;
    std::function<void *(detail::loop_core *)> bind;  // has a loop keep the handler, and gives the tag
  };

  template <class Handler>
  spanwire::status add(zstring name, spanwire_kind kind, Handler handler) {
    if (!handle_) return missing();
    if (bound_) return {code::failed_precondition, "methods are added before start()"};
    auto source = std::make_shared<detail::method_source<Handler>>(std::move(handler));
    methods_.push_back({name.c_str(), kind, [source](detail::loop_core *core) {
                          source->core = core;
                          return core->add_source(source);
                        }});
    return {};
  }

  spanwire::status missing() const {
    if (!status_.ok()) return status_;
    return {code::failed_precondition, "this server was moved from, or never made"};
  }

  spanwire::status shutdown_alone(milliseconds grace) {
    return spanwire::status::of_result(spanwire_server_shutdown_blocking(get(), grace.count()));
  }

  /// On the loop's thread, which may be another one than this.
  void forget_sources(const std::shared_ptr<detail::loop_core> &core) {
    core->post([core = core.get(), tags = std::move(tags_)] {
      for (void *tag : tags) core->sources.erase(reinterpret_cast<std::uintptr_t>(tag));
    });
  }

  server_handle handle_;
  std::string address_;
  spanwire::status status_;
  std::vector<added_method> methods_;
  std::weak_ptr<detail::loop_core> core_;
  std::vector<void *> tags_;
  bool bound_ = false;
};

}  // namespace spanwire
