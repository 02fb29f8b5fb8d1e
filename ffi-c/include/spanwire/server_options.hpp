// Options of servers. Every default is the engine's: 0 stands for it, and a negative number turns off what can be
// off.
#pragma once

#include "options.hpp"

namespace spanwire {

/// Options of a server.
struct server_options {
  /// Where to listen, for example "0.0.0.0:50051", "127.0.0.1:0" for any free port, or "unix:/run/orders".
  std::string address = {};
  /// TLS; plaintext without it.
  std::optional<tls_options> tls = {};
  /// The largest message to take.
  std::int64_t max_recv_message_bytes = 0;
};

namespace detail {

/// A server of the C API; null if it could not be made.
inline spanwire_server *make_server(spanwire_engine *engine, const server_options &from) {
  lent_tls tls(from.tls);
  spanwire_server_options raw{};
  raw.size = sizeof raw;
  raw.tls = tls.get();
  raw.max_recv_message_bytes = from.max_recv_message_bytes;
  return spanwire_server_new(engine, &raw);
}

}  // namespace detail

}  // namespace spanwire
