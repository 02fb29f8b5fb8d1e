// The service that the tests call, and a pair of a server and a channel for it.
#pragma once

#include "harness.hpp"

namespace service {

using spanwire::bytes;
using spanwire::context;
using spanwire::reader;
using spanwire::result;
using spanwire::status;
using spanwire::task;
using spanwire::writer;

inline std::string text(const bytes &message) { return std::string(message.view()); }

/// The request, and as metadata what came as metadata: keys with "x-" as headers, and again as trailers.
inline task<result<bytes>> echo(bytes request, context &context) {
  for (const auto &[key, value] : context.metadata()) {
    if (!key.starts_with("x-")) continue;
    context.headers().append(key, value);
    context.trailers().append(key, value);
  }
  co_return request;
}

/// "3" is answered with "0", "1", "2".
inline task<status> count(bytes request, writer &answers, context &) {
  int last = std::atoi(text(request).c_str());
  for (int each = 0; each < last; ++each) {
    if (status sent = co_await answers.send(std::to_string(each)); !sent) co_return sent;
  }
  co_return {};
}

/// All requests in one.
inline task<result<bytes>> join(reader &requests, context &) {
  std::string all;
  while (auto request = co_await requests.next()) all += request->view();
  if (!requests.status()) co_return requests.status();
  co_return all;
}

/// Every request as it comes.
inline task<status> chat(reader &requests, writer &answers, context &) {
  while (auto request = co_await requests.next()) {
    if (status sent = co_await answers.send(*request); !sent) co_return sent;
  }
  co_return requests.status();
}

/// Ends with the code that the request names, with details and trailers.
inline task<result<bytes>> refuse(bytes request, context &context) {
  context.trailers().append("x-why", "asked for");
  co_return status(static_cast<spanwire::code>(std::atoi(text(request).c_str())), "as you wish",
                   bytes::copy("\x08\x05"));
}

inline void add_to(spanwire::server &server) {
  CHECK_OK(server.unary("/test.Test/Echo", echo));
  CHECK_OK(server.server_streaming("/test.Test/Count", count));
  CHECK_OK(server.client_streaming("/test.Test/Join", join));
  CHECK_OK(server.bidi("/test.Test/Chat", chat));
  CHECK_OK(server.unary("/test.Test/Refuse", refuse));
}

/// A server with this service and a channel to it, on one loop. Add methods before start().
struct pair {
  spanwire::loop loop;
  spanwire::server server;
  spanwire::channel channel;

  explicit pair(spanwire::server_options options = {}) : server(with_address(std::move(options))) {
    CHECK_OK(server.status());
    add_to(server);
  }
  void start(const spanwire::channel_options &options = {}) {
    CHECK_OK(server.start(loop));
    channel = spanwire::channel(server.target(), options);
    CHECK_OK(channel.status());
  }
  /// Runs a test's coroutine to its end, then everything that it left.
  void run(task<> work) {
    loop.run(std::move(work));
    CHECK_OK(server.shutdown_blocking(10s));
  }

 private:
  static spanwire::server_options with_address(spanwire::server_options options) {
    options.address = "127.0.0.1:0";
    return options;
  }
};

}  // namespace service
