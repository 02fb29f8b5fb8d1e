// Options of engines, channels, calls and servers. Every default is the engine's: 0 stands for it, and a negative
// number turns off what can be off. docs/limits.md has the numbers.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <variant>
#include <vector>

#include "status.hpp"

namespace spanwire {

class loop;

/// How messages are compressed.
enum class encoding : std::int32_t {
  /// What the channel says; on a server none.
  standard = SPANWIRE_ENCODING_DEFAULT,
  /// Not at all.
  identity = SPANWIRE_ENCODING_IDENTITY,
  /// gzip.
  gzip = SPANWIRE_ENCODING_GZIP,
  /// deflate, with the framing of zlib.
  deflate = SPANWIRE_ENCODING_DEFLATE,
  /// Zstandard.
  zstd = SPANWIRE_ENCODING_ZSTD,
};

/// A kind of name in a client's certificate.
enum class name : std::int32_t {
  /// A DNS name.
  dns = SPANWIRE_NAME_DNS,
  /// A mail address.
  email = SPANWIRE_NAME_EMAIL,
  /// An IP address.
  ip = SPANWIRE_NAME_IP,
  /// The SPIFFE ID; there is one at most.
  spiffe_id = SPANWIRE_NAME_SPIFFE_ID,
  /// The subject in the form of RFC 4514; there is one at most.
  subject = SPANWIRE_NAME_SUBJECT,
  /// A URI.
  uri = SPANWIRE_NAME_URI,
};

/// Durations of this library.
using milliseconds = std::chrono::milliseconds;

/// A number of a channel or a server, named as in docs/limits.md.
struct stat {
  /// Lives as long as the process.
  std::string_view name;
  std::uint64_t value = 0;
};

/// The state of a channel's connection.
enum class connectivity : std::int32_t {
  /// There is none; the next call makes one.
  idle = SPANWIRE_CONNECTIVITY_IDLE,
  /// One is being made.
  connecting = SPANWIRE_CONNECTIVITY_CONNECTING,
  /// There is one.
  ready = SPANWIRE_CONNECTIVITY_READY,
  /// An attempt failed; the next one follows by itself after a pause.
  transient_failure = SPANWIRE_CONNECTIVITY_TRANSIENT_FAILURE,
  /// There is no channel.
  none = -1,
};

/// Threads of the engine, of your own; without one everything runs on the process's default engine, which has one
/// thread. Channels and servers must be made from it while it lives; destroying it ends their calls. Any thread.
class engine {
 public:
  /// An engine with this many threads.
  explicit engine(std::uint32_t lanes) {
    spanwire_engine_options options{};
    options.size = sizeof options;
    options.lanes = lanes;
    handle_.reset(spanwire_engine_new(&options));
    if (!handle_) status_ = {code::unavailable, spanwire_last_error()};
  }

  /// OK, or why it could not be made.
  const spanwire::status &status() const noexcept { return status_; }
  /// The engine of the C API; null if there is none.
  spanwire_engine *get() const noexcept { return handle_.get(); }

 private:
  engine_handle handle_;
  spanwire::status status_;
};

/// A certificate with its chain, and its key: files, or the texts themselves.
struct certificate {
  std::string certificate_file = {}, certificate_pem = {};
  std::string key_file = {}, key_pem = {};
};

/// Certificates and trust. Files and texts are PEM; an empty text means that it is not given.
struct tls_options {
  /// Whom to trust: a file, or the text itself. On a server: who may sign certificates of clients.
  std::string ca_file = {}, ca_pem = {};
  /// Our certificate with its chain. Required on a server.
  std::string certificate_file = {}, certificate_pem = {};
  /// The key of our certificate.
  std::string key_file = {}, key_pem = {};
  /// Client: also trust the system's roots; without any ca it does so anyway.
  bool system_roots = false;
  /// Client: the name to expect in the server's certificate, instead of the target's host.
  std::string server_name = {};
  /// Client: accept whatever certificate the server has. Dangerous: anybody can be the server then.
  bool danger_accept_any_certificate = false;
  /// Server with a ca: clients may come without a certificate. Otherwise a ca means mutual TLS.
  bool client_certificate_optional = false;
  /// Server: further certificates. A client that asks for a name (SNI) gets the first that is for it.
  std::vector<certificate> more_certificates = {};
};

/// How much of what costs a peer nothing is taken before its connection ends: on both sides. See docs/limits.md.
struct flood_limits {
  /// Resets of calls that were not answered: at once, and a second.
  std::int64_t resets_burst = 0, resets_per_second = 0;
  /// Server: calls beyond max_concurrent_streams that a client may open before it knows of that.
  std::int64_t max_early_refusals = 0;
  /// SETTINGS frames: at once, and a second; and the entries of one.
  std::int64_t settings_burst = 0, settings_per_second = 0, max_settings_entries = 0;
  /// Frames that do nothing: at once, and a second.
  std::int64_t control_frames_burst = 0, control_frames_per_second = 0;
  /// CONTINUATION frames in one header block.
  std::int64_t max_continuations = 0;
  /// Acknowledgements that may wait before nothing more is read.
  std::int64_t max_pending_acks = 0;
  /// What unread small DATA frames may add up to.
  std::int64_t small_data_budget = 0;
};

/// Sizes that channels and servers bound alike, in bytes.
struct size_limits {
  /// The largest message to take, decompressed, and to send, before it is compressed.
  std::int64_t max_recv_message_bytes = 0, max_send_message_bytes = 0;
  /// The largest metadata to take, as HTTP/2 counts them, and how many pairs.
  std::int64_t max_metadata_bytes = 0, max_metadata_fields = 0;
  /// What a stream may have under way to us unread, at first, and how far that may grow.
  std::int64_t stream_window_bytes = 0, max_stream_window_bytes = 0;
  /// The same for all streams of a connection.
  std::int64_t connection_window_bytes = 0;
  /// What a stream may have queued before its sender waits.
  std::int64_t send_buffer_bytes = 0;
};

/// A channel argument of gRPC's C core.
struct channel_argument {
  /// Such as "grpc.keepalive_time_ms".
  std::string name;
  /// A number (0 and 1 for false and true), or a text.
  std::variant<std::int64_t, std::string> value;
};

/// Telemetry: what calls do is recorded, and sent to a collector of OpenTelemetry (docs/observability.md). Channels
/// and servers of an engine that say the same share one.
struct telemetry_options {
  /// Where it is sent, such as "http://collector:4317"; an empty text is nowhere, and without one the environment
  /// says.
  std::optional<std::string> endpoint = {};
  /// Whose it is, and what else tells the process from others, as "key=value,key=value"; by default as the
  /// environment says.
  std::string service_name = {}, resource_attributes = {};
  /// Whether calls are counted, and how often that is sent; every minute by default.
  bool metrics = true;
  milliseconds metrics_interval{0};
  /// Whether traces are recorded and handed on, and how many of those that begin here are recorded: up to 1, which
  /// is the default; negative for none.
  bool traces = true;
  double trace_ratio = 0;
  /// In which forms they are handed on: "tracecontext" by default, "grpc-trace-bin", or both with a comma.
  std::string propagators = {};
  /// Which calls of a server are logged: "off" by default, "errors" or "all".
  std::string access_log = {};
};

/// Options of a channel.
struct channel_options {
  /// TLS; plaintext without it.
  std::optional<tls_options> tls = {};
  /// The :authority of calls; without it the target's.
  std::string authority = {};
  /// Put before the engine's own user agent.
  std::string user_agent = {};
  /// How requests are compressed, unless a call says otherwise.
  encoding compression = encoding::standard;
  /// How long one attempt to connect may take.
  milliseconds connect_timeout{0};
  /// The pause after the first failed attempt, and the longest one.
  milliseconds backoff_first{0}, backoff_longest{0};
  /// The silence after which the server is pinged, off by default, and how long its answer may take.
  milliseconds keepalive_interval{0}, keepalive_timeout{0};
  /// Also ping while there are no calls.
  bool keepalive_without_calls = false;
  /// Sizes.
  size_limits limits = {};
  /// What the server may do.
  flood_limits flood = {};
  /// Which of a service's addresses calls go to: pick_first (empty), round_robin, least_request or
  /// weighted_round_robin. Goes before what the service config says.
  std::string load_balancing = {};
  /// The service config: JSON in the form of gRPC's ServiceConfig. A mistake is told by its place.
  std::string service_config = {};
  /// Sent with every call as `authorization: Bearer ...`, over TLS alone; or the file that it is read from, again
  /// and again.
  std::string bearer_token = {}, bearer_token_file = {};
  /// How long a name that the system resolves holds, and how long nobody may call before the connections are closed
  /// (negative: for ever).
  milliseconds name_ttl{0}, idle_timeout{0};
  /// Channel arguments of gRPC's C core, by their names there; they win over what is above. docs/channel.md lists
  /// them.
  std::vector<channel_argument> arguments = {};
  /// Asked for the bearer token as it is due; answered by spanwire_token_answer or spanwire_token_refuse. It may be
  /// called until the channel is gone and its last call has ended.
  spanwire_token_callback token_source = nullptr;
  void *token_source_data = nullptr;
  /// The URL of an HTTP proxy, or an empty text for none; by default as the environment says.
  std::optional<std::string> proxy = {};
  /// Whether calls are made again, and servers asked for their health, as the service config says.
  bool retries = true, health_checks = true;
  /// The most connections to one address that a service config gets; 0 is the default.
  std::int64_t max_connections_per_subchannel = 0;
  /// Who finds the addresses of the target's name: system (empty), or direct: DNS servers are asked, which say how
  /// long a name holds.
  std::string dns_resolver = {};
  /// Whether DNS is asked for the target's service config too.
  bool service_config_from_dns = false;
  /// Records what the channel's calls do; nothing without it.
  std::optional<telemetry_options> telemetry = {};
};

/// How many messages of a stream may arrive before the first is taken, unless a call says otherwise; as they are
/// taken, the sender may send as many more.
inline constexpr std::uint32_t default_credit = 16;

namespace detail {

struct parent_access;

/// A call that a server received, as calls that are made for it see it.
struct call_scope {
  spanwire_server_call *name = nullptr;
  bool cancelled = false;
  std::optional<std::stop_source> stop;

  std::stop_token token() {
    if (!stop) {
      stop.emplace();
      if (cancelled) stop->request_stop();
    }
    return stop->get_token();
  }
  void cancel() {
    cancelled = true;
    if (stop) stop->request_stop();
  }
};

}  // namespace detail

/// What a call can be made for: the context of a handler.
class parent {
 public:
  parent(const parent &) = delete;
  parent &operator=(const parent &) = delete;

 protected:
  explicit parent(detail::call_scope &scope) noexcept : scope_(scope) {}
  ~parent() = default;

 private:
  friend struct detail::parent_access;
  detail::call_scope &scope_;
};

/// Options of one call. What it holds may be written in braces where it is used: `{.timeout = 1s}`.
struct call_options {
  /// How long the call may take, everything included; none without it. 0 or less has passed already.
  std::optional<milliseconds> timeout = {};
  /// Sent before the first message.
  spanwire::metadata metadata = {};
  /// How this call's requests are compressed.
  encoding compression = encoding::standard;
  /// Wait for a connection instead of failing while there is none.
  bool wait_for_ready = false;
  /// The largest message to take, and to send.
  std::int64_t max_recv_message_bytes = 0, max_send_message_bytes = 0;
  /// Streams: how many messages may arrive before the first is taken; at least 1.
  std::uint32_t credit = default_credit;
  /// Cancels the call when stop is requested, from any thread.
  detail::part<std::stop_token> stop = {};
  /// In a handler of a server: its context, if the call is made for the one that is handled. Then it has that one's
  /// deadline, if its own is not earlier, and is cancelled with it.
  const spanwire::parent *parent = nullptr;
  /// Who resumes the caller. Needed only where the awaiting coroutine is not a spanwire::task, which knows its
  /// loop.
  class loop *loop = nullptr;
};

namespace detail {

/// How calls see what they are made for.
struct parent_access {
  static call_scope &scope(const parent &of) noexcept { return of.scope_; }
};

/// All numbers that a function of the C API writes.
template <class Read, class Handle>
std::vector<stat> stats_of(Read read, Handle *handle) {
  std::vector<spanwire_stat> raw(read(handle, nullptr, 0));
  raw.resize(std::min(raw.size(), read(handle, raw.data(), raw.size())));
  std::vector<stat> stats;
  for (const spanwire_stat &each : raw) stats.push_back({each.name, each.value});
  return stats;
}

/// A timeout as the C API takes it: 0 would be none.
inline std::int64_t timeout_ms(milliseconds timeout) noexcept { return timeout.count() > 0 ? timeout.count() : -1; }

/// TLS options as the C API takes them, borrowed.
struct lent_tls {
  spanwire_tls_options raw{};

  explicit lent_tls(const std::optional<tls_options> &from) {
    if (!from) return;
    raw.size = sizeof raw;
    raw.ca_file = or_null(from->ca_file);
    raw.certificate_file = or_null(from->certificate_file);
    raw.key_file = or_null(from->key_file);
    lend(from->ca_pem, raw.ca_pem, raw.ca_pem_len);
    lend(from->certificate_pem, raw.certificate_pem, raw.certificate_pem_len);
    lend(from->key_pem, raw.key_pem, raw.key_pem_len);
    raw.system_roots = from->system_roots;
    raw.server_name = or_null(from->server_name);
    raw.danger_accept_any_certificate = from->danger_accept_any_certificate;
    raw.client_certificate_optional = from->client_certificate_optional;
    for (const certificate &each : from->more_certificates) {
      spanwire_certificate &more = more_.emplace_back();
      more.certificate_file = or_null(each.certificate_file);
      more.key_file = or_null(each.key_file);
      lend(each.certificate_pem, more.certificate_pem, more.certificate_pem_len);
      lend(each.key_pem, more.key_pem, more.key_pem_len);
    }
    raw.more_certificates = more_.data();
    raw.more_certificate_count = more_.size();
  }
  lent_tls(const lent_tls &) = delete;
  lent_tls &operator=(const lent_tls &) = delete;

  const spanwire_tls_options *get() const noexcept { return raw.size != 0 ? &raw : nullptr; }

 private:
  static void lend(const std::string &text, const void *&data, std::size_t &size) {
    data = or_null(text);
    size = text.size();
  }

  std::vector<spanwire_certificate> more_;
};

/// Options of telemetry as the C API takes them, borrowed.
struct lent_telemetry {
  spanwire_telemetry_options raw{};

  explicit lent_telemetry(const std::optional<telemetry_options> &from) {
    if (!from) return;
    raw.size = sizeof raw;
    raw.endpoint = from->endpoint ? from->endpoint->c_str() : nullptr;
    raw.service_name = or_null(from->service_name);
    raw.resource_attributes = or_null(from->resource_attributes);
    raw.propagators = or_null(from->propagators);
    raw.access_log = or_null(from->access_log);
    raw.metrics_interval_ms = from->metrics_interval.count();
    raw.trace_ratio = from->trace_ratio;
    raw.metrics_off = !from->metrics;
    raw.traces_off = !from->traces;
  }
  lent_telemetry(const lent_telemetry &) = delete;
  lent_telemetry &operator=(const lent_telemetry &) = delete;

  const spanwire_telemetry_options *get() const noexcept { return raw.size != 0 ? &raw : nullptr; }
};

/// Options of a call as the C API takes them, borrowed.
struct lent_call_options {
  std::vector<spanwire_metadata_entry> entries;
  spanwire_call_options raw{};

  explicit lent_call_options(const call_options &from) : entries(lend(from.metadata)) {
    raw.size = sizeof raw;
    if (from.timeout) raw.timeout_ms = timeout_ms(*from.timeout);
    raw.metadata = entries.data();
    raw.metadata_count = entries.size();
    raw.compression = static_cast<spanwire_encoding>(from.compression);
    raw.wait_for_ready = from.wait_for_ready;
    raw.max_recv_message_bytes = from.max_recv_message_bytes;
    raw.max_send_message_bytes = from.max_send_message_bytes;
    raw.credit = std::max<std::uint32_t>(from.credit, 1);
    if (from.parent != nullptr) raw.parent = parent_access::scope(*from.parent).name;
  }
  lent_call_options(const lent_call_options &) = delete;
  lent_call_options &operator=(const lent_call_options &) = delete;
};

/// Copies what channels and servers of the C API have alike.
template <class Raw>
void set_limits(Raw &raw, const size_limits &sizes, const flood_limits &flood) noexcept {
  raw.max_recv_message_bytes = sizes.max_recv_message_bytes;
  raw.max_send_message_bytes = sizes.max_send_message_bytes;
  raw.max_metadata_bytes = sizes.max_metadata_bytes;
  raw.max_metadata_fields = sizes.max_metadata_fields;
  raw.stream_window_bytes = sizes.stream_window_bytes;
  raw.max_stream_window_bytes = sizes.max_stream_window_bytes;
  raw.connection_window_bytes = sizes.connection_window_bytes;
  raw.send_buffer_bytes = sizes.send_buffer_bytes;
  raw.flood_resets_burst = flood.resets_burst;
  raw.flood_resets_per_second = flood.resets_per_second;
  raw.flood_settings_burst = flood.settings_burst;
  raw.flood_settings_per_second = flood.settings_per_second;
  raw.flood_max_settings_entries = flood.max_settings_entries;
  raw.flood_control_frames_burst = flood.control_frames_burst;
  raw.flood_control_frames_per_second = flood.control_frames_per_second;
  raw.flood_max_continuations = flood.max_continuations;
  raw.flood_max_pending_acks = flood.max_pending_acks;
  raw.flood_small_data_budget = flood.small_data_budget;
}

/// A channel of the C API; null if it could not be made.
inline spanwire_channel *make_channel(spanwire_engine *engine, const char *target, const channel_options &from) {
  lent_tls tls(from.tls);
  lent_telemetry telemetry(from.telemetry);
  spanwire_channel_options raw{};
  raw.size = sizeof raw;
  raw.tls = tls.get();
  raw.authority = or_null(from.authority);
  raw.user_agent = or_null(from.user_agent);
  raw.compression = static_cast<spanwire_encoding>(from.compression);
  raw.connect_timeout_ms = from.connect_timeout.count();
  raw.backoff_first_ms = from.backoff_first.count();
  raw.backoff_longest_ms = from.backoff_longest.count();
  raw.keepalive_interval_ms = from.keepalive_interval.count();
  raw.keepalive_timeout_ms = from.keepalive_timeout.count();
  raw.keepalive_without_calls = from.keepalive_without_calls;
  raw.load_balancing = or_null(from.load_balancing);
  raw.service_config = or_null(from.service_config);
  raw.bearer_token = or_null(from.bearer_token);
  raw.bearer_token_file = or_null(from.bearer_token_file);
  raw.name_ttl_ms = from.name_ttl.count();
  raw.idle_timeout_ms = from.idle_timeout.count();
  set_limits(raw, from.limits, from.flood);
  std::vector<spanwire_channel_argument> arguments;
  for (const auto &[name, value] : from.arguments) {
    const auto *text = std::get_if<std::string>(&value);
    const auto *number = std::get_if<std::int64_t>(&value);
    arguments.push_back({name.c_str(), text != nullptr ? text->c_str() : nullptr, number != nullptr ? *number : 0});
  }
  raw.arguments = arguments.data();
  raw.argument_count = arguments.size();
  raw.token_source = from.token_source;
  raw.token_source_data = from.token_source_data;
  raw.proxy = from.proxy ? from.proxy->c_str() : nullptr;
  raw.retries_off = !from.retries;
  raw.health_checks_off = !from.health_checks;
  raw.max_connections_per_subchannel = from.max_connections_per_subchannel;
  raw.dns_resolver = or_null(from.dns_resolver);
  raw.service_config_from_dns = from.service_config_from_dns;
  raw.telemetry = telemetry.get();
  return spanwire_channel_new(engine, target, &raw);
}

}  // namespace detail

}  // namespace spanwire
