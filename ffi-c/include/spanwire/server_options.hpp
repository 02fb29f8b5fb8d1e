// Options of servers. Every default is the engine's: 0 stands for it, and a negative number turns off what can be
// off.
#pragma once

#include "options.hpp"

namespace spanwire {

/// Which bearer tokens (JWT) a server accepts.
struct jwt_options {
  /// The keys of the issuers: the file of a JSON Web Key Set, read again when it changes.
  std::string jwks_file = {};
  /// Whose tokens are good (`iss`); at least one.
  std::vector<std::string> issuers = {};
  /// Whom they must be for (`aud`): one of these, or nobody if there are none.
  std::vector<std::string> audiences = {};
  /// How they may be signed, such as "ES256"; any algorithm of public keys that is known if there are none.
  std::vector<std::string> algorithms = {};
  /// How far the clocks of the issuers may be from ours; negative for not at all.
  milliseconds clock_skew{0};
  /// What they must say besides.
  std::vector<std::string> required_claims = {};
  /// They are taken from connections without TLS too, where others may read them.
  bool danger_accept_plaintext = false;
  /// The keys from a URL, instead of the file: "https://...", or "http://..." on this machine. They are fetched
  /// when the server starts, and again and again after that.
  std::string jwks_url = {};
  /// The authorities to trust for that URL, instead of the system's: a PEM file.
  std::string jwks_ca_file = {};
  /// How long the keys of the URL are used without asking for newer ones.
  milliseconds jwks_refresh_interval{0};
  /// Methods whose calls need no token, such as "/grpc.health.v1.Health/*": "/package.Service/Method", or all of a
  /// service.
  std::vector<std::string> unauthenticated_methods = {};
  /// Keys are taken from "http" URLs of other machines too: who can change them on the way decides whose tokens are
  /// good.
  bool danger_jwks_over_plaintext = false;
};

/// Which pages may call by gRPC-Web, and what their browsers are told.
struct web_options {
  /// Whose pages may call, such as "https://shop.example"; "*" lets all pages call. Without any, no page may.
  std::vector<std::string> origins = {};
  /// Pages may send cookies and client certificates along; not together with the origin "*".
  bool allow_credentials = false;
  /// Metadata that pages may send, besides what gRPC-Web needs.
  std::vector<std::string> allow_headers = {};
  /// Metadata of the response that pages may read, besides gRPC's own. Trailers can be read in any case.
  std::vector<std::string> expose_headers = {};
  /// How long a browser may remember that a page may call, 2 h by default; negative: it asks every time.
  milliseconds max_age{0};
};

/// Options of a server.
struct server_options {
  /// Where to listen, for example "0.0.0.0:50051", "127.0.0.1:0" for any free port, or "unix:/run/orders".
  std::string address = {};
  /// TLS; plaintext without it.
  std::optional<tls_options> tls = {};
  /// Which bearer tokens are accepted; without it calls need none.
  std::optional<jwt_options> jwt = {};
  /// Who may call what: JSON in the form of gRFC A43, or the file that it is in, which is read again when it
  /// changes.
  std::string authorization_policy = {}, authorization_policy_file = {};
  /// Requests wait until server::accept() lets them through.
  bool manual_accept = false;
  /// The silence after which a client is pinged, and how long its answer may take.
  milliseconds keepalive_interval{0}, keepalive_timeout{0};
  /// How often clients may ping, and whether also while they have no calls.
  milliseconds keepalive_min_interval{0};
  bool keepalive_permit_without_calls = false;
  /// The age at which connections are told to go, off by default, and what their calls get to end then.
  milliseconds max_connection_age{0}, max_connection_age_grace{0};
  /// How long a connection may have no call; off by default.
  milliseconds max_connection_idle{0};
  /// How long TLS and HTTP/2 of a new connection may take.
  milliseconds handshake_timeout{0};
  /// How long a client may take nothing of an answer.
  milliseconds stall_timeout{0};
  /// Calls that may run at once, over all connections; those beyond are UNAVAILABLE at once. No limit by default.
  std::int64_t max_running_calls = 0;
  /// How often methods may be called, as JSON, such as
  /// `[{"burst": 20, "perSecond": 10, "methods": ["/shop.v1.Orders/*"], "forEachClient": true}]`.
  std::string rate_limits = {};
  /// Connections at once, and calls of one at once.
  std::int64_t max_connections = 0, max_concurrent_streams = 0;
  /// What one connection may hold of request messages that are not whole yet.
  std::int64_t max_unfinished_request_bytes = 0;
  /// How long a shutdown goes on serving after the health service has begun to say NOT_SERVING; a part of its
  /// grace.
  milliseconds drain_delay{0};
  /// Serves grpc.health.v1.Health, which tells what server::set_health() has said.
  bool health = false;
  /// Serves reflection, of what this encoded google.protobuf.FileDescriptorSet describes; it may be empty. For
  /// libprotobuf <spanwire/describe.hpp> makes it.
  std::optional<std::string> reflection = {};
  /// Serves grpc.channelz.v1.Channelz, which tells of all channels and servers that are made from then on.
  bool channelz = false;
  /// Sizes.
  size_limits limits = {};
  /// What clients may do.
  flood_limits flood = {};
  /// Records what the server's calls do; nothing without it.
  std::optional<telemetry_options> telemetry = {};
  /// Browsers may call by gRPC-Web, on the same port; without it they may not.
  std::optional<web_options> web = {};
};

namespace detail {

/// Lends texts to the C API; `kept` must live as long.
inline void lend(const std::vector<std::string> &from, std::vector<const char *> &kept, const char *const *&texts,
                 std::size_t &count) {
  for (const std::string &text : from) kept.push_back(text.c_str());
  texts = kept.data();
  count = kept.size();
}

/// Options of tokens as the C API takes them, borrowed.
struct lent_jwt {
  spanwire_jwt_options raw{};

  explicit lent_jwt(const std::optional<jwt_options> &from) {
    if (!from) return;
    raw.size = sizeof raw;
    raw.jwks_file = or_null(from->jwks_file);
    lend(from->issuers, issuers_, raw.issuers, raw.issuer_count);
    lend(from->audiences, audiences_, raw.audiences, raw.audience_count);
    lend(from->algorithms, algorithms_, raw.algorithms, raw.algorithm_count);
    lend(from->required_claims, required_claims_, raw.required_claims, raw.required_claim_count);
    raw.clock_skew_ms = from->clock_skew.count();
    raw.danger_accept_plaintext = from->danger_accept_plaintext;
    raw.jwks_url = or_null(from->jwks_url);
    raw.jwks_ca_file = or_null(from->jwks_ca_file);
    raw.jwks_refresh_interval_ms = from->jwks_refresh_interval.count();
    lend(from->unauthenticated_methods, unauthenticated_methods_, raw.unauthenticated_methods,
         raw.unauthenticated_method_count);
    raw.danger_jwks_over_plaintext = from->danger_jwks_over_plaintext;
  }
  lent_jwt(const lent_jwt &) = delete;
  lent_jwt &operator=(const lent_jwt &) = delete;

  const spanwire_jwt_options *get() const noexcept { return raw.size != 0 ? &raw : nullptr; }

 private:
  std::vector<const char *> issuers_, audiences_, algorithms_, required_claims_, unauthenticated_methods_;
};

/// Options of gRPC-Web as the C API takes them, borrowed.
struct lent_web {
  spanwire_web_options raw{};

  explicit lent_web(const std::optional<web_options> &from) {
    if (!from) return;
    raw.size = sizeof raw;
    lend(from->origins, origins_, raw.origins, raw.origin_count);
    lend(from->allow_headers, allow_headers_, raw.allow_headers, raw.allow_header_count);
    lend(from->expose_headers, expose_headers_, raw.expose_headers, raw.expose_header_count);
    raw.max_age_ms = from->max_age.count();
    raw.allow_credentials = from->allow_credentials;
  }
  lent_web(const lent_web &) = delete;
  lent_web &operator=(const lent_web &) = delete;

  const spanwire_web_options *get() const noexcept { return raw.size != 0 ? &raw : nullptr; }

 private:
  std::vector<const char *> origins_, allow_headers_, expose_headers_;
};

/// A server of the C API; null if it could not be made.
inline spanwire_server *make_server(spanwire_engine *engine, const server_options &from) {
  lent_tls tls(from.tls);
  lent_jwt jwt(from.jwt);
  lent_telemetry telemetry(from.telemetry);
  lent_web web(from.web);
  spanwire_server_options raw{};
  raw.size = sizeof raw;
  raw.tls = tls.get();
  raw.jwt = jwt.get();
  raw.web = web.get();
  raw.authorization_policy = or_null(from.authorization_policy);
  raw.authorization_policy_file = or_null(from.authorization_policy_file);
  raw.max_running_calls = from.max_running_calls;
  raw.rate_limits = or_null(from.rate_limits);
  raw.manual_accept = from.manual_accept;
  raw.keepalive_permit_without_calls = from.keepalive_permit_without_calls;
  raw.keepalive_interval_ms = from.keepalive_interval.count();
  raw.keepalive_timeout_ms = from.keepalive_timeout.count();
  raw.keepalive_min_interval_ms = from.keepalive_min_interval.count();
  raw.max_connection_age_ms = from.max_connection_age.count();
  raw.max_connection_age_grace_ms = from.max_connection_age_grace.count();
  raw.max_connection_idle_ms = from.max_connection_idle.count();
  raw.handshake_timeout_ms = from.handshake_timeout.count();
  raw.stall_timeout_ms = from.stall_timeout.count();
  raw.max_connections = from.max_connections;
  raw.max_concurrent_streams = from.max_concurrent_streams;
  raw.max_unfinished_request_bytes = from.max_unfinished_request_bytes;
  raw.drain_delay_ms = from.drain_delay.count();
  raw.health = from.health;
  raw.channelz = from.channelz;
  if (from.reflection) {
    raw.reflection = from.reflection->data();
    raw.reflection_len = from.reflection->size();
  }
  raw.telemetry = telemetry.get();
  raw.flood_max_early_refusals = from.flood.max_early_refusals;
  set_limits(raw, from.limits, from.flood);
  return spanwire_server_new(engine, &raw);
}

}  // namespace detail

}  // namespace spanwire
