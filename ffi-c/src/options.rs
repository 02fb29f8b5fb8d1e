//! Options as C structs: one to one those of the bridge, which alone knows what they mean and what the defaults are.

use std::ffi::{c_char, c_void};

use spanwire::Encoding;
use spanwire::bridge::{
    ArgumentValue, CallOptions, CertificateOptions, ChannelOptions, JwtOptions, Limits, ServerOptions,
    TelemetryOptions, TlsOptions, WebOptions,
};

use crate::boundary::{Refused, optional_text, sized, slice};
use crate::metadata::{metadata, spanwire_metadata_entry};
use crate::token::{self, spanwire_token_callback};
use crate::types::*;

/// A certificate chain and its key: PEM, from memory or from files; memory wins. All is copied.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct spanwire_certificate {
    /// The chain, as a file.
    pub certificate_file: *const c_char,
    /// The key, as a file.
    pub key_file: *const c_char,
    /// The chain, in memory.
    pub certificate_pem: *const c_void,
    /// Its length in bytes.
    pub certificate_pem_len: usize,
    /// The key, in memory.
    pub key_pem: *const c_void,
    /// Its length in bytes.
    pub key_pem_len: usize,
}

/// TLS, on either side. Certificates and keys are PEM, from memory or from files; memory wins. All is copied.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct spanwire_tls_options {
    /// `sizeof(spanwire_tls_options)`.
    pub size: usize,
    /// Whom to trust, as a file: on a channel the servers' authority, on a server that of clients (mutual TLS).
    pub ca_file: *const c_char,
    /// Our certificate chain, as a file: a server's always, a channel's for mutual TLS.
    pub certificate_file: *const c_char,
    /// The key of our certificate, as a file.
    pub key_file: *const c_char,
    /// As `ca_file`, in memory.
    pub ca_pem: *const c_void,
    /// Its length in bytes.
    pub ca_pem_len: usize,
    /// As `certificate_file`, in memory.
    pub certificate_pem: *const c_void,
    /// Its length in bytes.
    pub certificate_pem_len: usize,
    /// As `key_file`, in memory.
    pub key_pem: *const c_void,
    /// Its length in bytes.
    pub key_pem_len: usize,
    /// Channel: the name that the server must prove, instead of the target's host.
    pub server_name: *const c_char,
    /// Channel: trust the system's roots beside a CA that is given. Without one they are trusted anyway.
    pub system_roots: bool,
    /// Channel: accept whatever certificate there is. For tests only.
    pub danger_accept_any_certificate: bool,
    /// Server with a CA: clients may come without a certificate.
    pub client_certificate_optional: bool,
    /// Server: further certificates. A client that asks for a name (SNI) gets the first that is for it, else the one above.
    pub more_certificates: *const spanwire_certificate,
    /// How many.
    pub more_certificate_count: usize,
}

/// Telemetry: what the calls of a channel or a server do is recorded, and sent to a collector of OpenTelemetry
/// (`docs/observability.md`). Channels and servers of an engine that say the same share one. All is copied.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct spanwire_telemetry_options {
    /// `sizeof(spanwire_telemetry_options)`.
    pub size: usize,
    /// Where it is sent, such as "http://collector:4317"; null as the environment says, an empty text nowhere.
    pub endpoint: *const c_char,
    /// Whose it is; null as the environment says.
    pub service_name: *const c_char,
    /// What else tells the process from others: "key=value,key=value"; null as the environment says.
    pub resource_attributes: *const c_char,
    /// In which forms traces are handed on: "tracecontext" (null), "grpc-trace-bin", or both with a comma.
    pub propagators: *const c_char,
    /// Which calls of a server are logged: "off" (null), "errors" or "all".
    pub access_log: *const c_char,
    /// How often metrics are sent; every minute by default.
    pub metrics_interval_ms: i64,
    /// How many of the traces that begin here are recorded, up to 1, which is the default; negative: none.
    pub trace_ratio: f64,
    /// Calls are not counted.
    pub metrics_off: bool,
    /// Traces are neither recorded nor handed on.
    pub traces_off: bool,
}

/// A channel argument of gRPC's C core, by its name there.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct spanwire_channel_argument {
    /// Such as "grpc.keepalive_time_ms". Ends in NUL.
    pub name: *const c_char,
    /// The value, if it is a text; ends in NUL. Null: it is `number`.
    pub text: *const c_char,
    /// The value, if it is a number; 0 and 1 for false and true.
    pub number: i64,
}

/// Options of a channel. Zeros are the defaults; numbers that can be off are off when negative. `docs/limits.md` explains the
/// limits. All is copied.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct spanwire_channel_options {
    /// `sizeof(spanwire_channel_options)`.
    pub size: usize,
    /// TLS; null is plaintext.
    pub tls: *const spanwire_tls_options,
    /// What the server sees as `:authority`; by default the host and port of the target.
    pub authority: *const c_char,
    /// Put in front of the engine's own `user-agent`.
    pub user_agent: *const c_char,
    /// Compresses the requests of calls that do not say otherwise.
    pub compression: spanwire_encoding,
    /// Ping also while there are no calls.
    pub keepalive_without_calls: bool,
    /// Longest that one connection attempt may take.
    pub connect_timeout_ms: i64,
    /// The pause after the first failed attempt.
    pub backoff_first_ms: i64,
    /// The longest pause.
    pub backoff_longest_ms: i64,
    /// Silence after which the server is pinged; off by default.
    pub keepalive_interval_ms: i64,
    /// How long it may take to answer a ping.
    pub keepalive_timeout_ms: i64,
    /// Largest message to accept, in bytes after decompression.
    pub max_recv_message_bytes: i64,
    /// Largest message to send, in bytes before compression.
    pub max_send_message_bytes: i64,
    /// Largest response metadata to accept, in bytes as HTTP/2 counts them.
    pub max_metadata_bytes: i64,
    /// Most metadata entries to accept.
    pub max_metadata_fields: i64,
    /// What a stream may have under way to us before it is read, at first.
    pub stream_window_bytes: i64,
    /// How far that may grow.
    pub max_stream_window_bytes: i64,
    /// What all streams of a connection may have under way to us.
    pub connection_window_bytes: i64,
    /// What one stream may have queued for sending.
    pub send_buffer_bytes: i64,
    /// Resets of unanswered calls that the server may send at once; any number by default.
    pub flood_resets_burst: i64,
    /// And a second.
    pub flood_resets_per_second: i64,
    /// SETTINGS frames at once.
    pub flood_settings_burst: i64,
    /// And a second.
    pub flood_settings_per_second: i64,
    /// Entries in one SETTINGS frame.
    pub flood_max_settings_entries: i64,
    /// Frames that do nothing, at once.
    pub flood_control_frames_burst: i64,
    /// And a second.
    pub flood_control_frames_per_second: i64,
    /// CONTINUATION frames in one header block.
    pub flood_max_continuations: i64,
    /// Acknowledgements that may wait before nothing more is read.
    pub flood_max_pending_acks: i64,
    /// What unread small DATA frames may add up to.
    pub flood_small_data_budget: i64,
    /// Which of a service's addresses calls go to: `pick_first` (null), `round_robin`, `least_request` or
    /// `weighted_round_robin`. Goes before what the service config says.
    pub load_balancing: *const c_char,
    /// The service config: JSON in the form of gRPC's `ServiceConfig`, with `methodConfig` (timeouts, retries),
    /// `retryThrottling` and `loadBalancingConfig`. A mistake is told by its place.
    pub service_config: *const c_char,
    /// Sent with every call that has no `authorization` of its own, as `authorization: Bearer …`. Over TLS alone, or to a server
    /// on this machine that is no TCP port.
    pub bearer_token: *const c_char,
    /// The same from a file, which is read again as its token ends. The token itself wins.
    pub bearer_token_file: *const c_char,
    /// How long a name that the system resolves holds. By default 30 s where calls are spread; else until a connection is
    /// lost.
    pub name_ttl_ms: i64,
    /// How long nobody may call before the connections are closed, until the next call; negative: for ever.
    pub idle_timeout_ms: i64,
    /// Channel arguments of gRPC's C core: each sets the option above that it means, or one that has no field of its own
    /// (`docs/channel.md` lists them), and wins over it. An unknown one is an error that says which one is close.
    pub arguments: *const spanwire_channel_argument,
    /// How many there are.
    pub argument_count: usize,
    /// Asked for the bearer token: with the first call, and shortly before the last token ends, while calls wait. A token or a
    /// file above wins over it. It may be called until the channel is freed and its last call has ended.
    pub token_source: spanwire_token_callback,
    /// What it gets.
    pub token_source_data: *mut c_void,
    /// The URL of an HTTP proxy, or an empty text for none; null as the environment says.
    pub proxy: *const c_char,
    /// Calls are not made again by the service config's policies.
    pub retries_off: bool,
    /// Servers are not asked for their health, whatever the service config says.
    pub health_checks_off: bool,
    /// The most connections to one address that a service config gets.
    pub max_connections_per_subchannel: i64,
    /// Who finds the addresses of the target's name: `system` (null), or `direct`: DNS servers are asked, which say how long a
    /// name holds.
    pub dns_resolver: *const c_char,
    /// DNS is asked for the target's service config too: text records of `_grpc_config.<name>`.
    pub service_config_from_dns: bool,
    /// Telemetry; null is none.
    pub telemetry: *const spanwire_telemetry_options,
}

/// Which bearer tokens (JWT) a server accepts. Lists are arrays of texts that end in NUL. All is copied.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct spanwire_jwt_options {
    /// `sizeof(spanwire_jwt_options)`.
    pub size: usize,
    /// The keys of the issuers: the file of a JSON Web Key Set, read again when it changes.
    pub jwks_file: *const c_char,
    /// Whose tokens are good (`iss`); at least one.
    pub issuers: *const *const c_char,
    /// How many.
    pub issuer_count: usize,
    /// Whom they must be for (`aud`): one of these, or nobody if there are none.
    pub audiences: *const *const c_char,
    /// How many.
    pub audience_count: usize,
    /// How they may be signed, such as "ES256"; any algorithm of public keys that is known if there are none.
    pub algorithms: *const *const c_char,
    /// How many.
    pub algorithm_count: usize,
    /// What they must say besides.
    pub required_claims: *const *const c_char,
    /// How many.
    pub required_claim_count: usize,
    /// How far the clocks of the issuers may be from ours, 60 s by default; negative for not at all.
    pub clock_skew_ms: i64,
    /// They are taken from connections without TLS too, where others may read them.
    pub danger_accept_plaintext: bool,
    /// The keys from a URL, instead of the file: "https://...", or "http://..." on this machine. They are fetched when the
    /// server listens, and again and again after that.
    pub jwks_url: *const c_char,
    /// The authorities to trust for that URL, instead of the system's: a PEM file.
    pub jwks_ca_file: *const c_char,
    /// How long the keys of the URL are used without asking for newer ones, 5 minutes by default.
    pub jwks_refresh_interval_ms: i64,
    /// Methods whose calls need no token, such as "/grpc.health.v1.Health/*": "/package.Service/Method", or all of a
    /// service.
    pub unauthenticated_methods: *const *const c_char,
    /// How many.
    pub unauthenticated_method_count: usize,
    /// Keys are taken from "http" URLs of other machines too: who can change them on the way decides whose tokens are good.
    pub danger_jwks_over_plaintext: bool,
}

/// Which pages may call by gRPC-Web, and what their browsers are told. Lists are arrays of texts that end in NUL. All is
/// copied.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct spanwire_web_options {
    /// `sizeof(spanwire_web_options)`.
    pub size: usize,
    /// Whose pages may call, such as `https://shop.example`; `*` lets all pages call. Without any, no page may.
    pub origins: *const *const c_char,
    /// How many.
    pub origin_count: usize,
    /// Metadata that pages may send, besides what gRPC-Web needs.
    pub allow_headers: *const *const c_char,
    /// How many.
    pub allow_header_count: usize,
    /// Metadata of the response that pages may read, besides gRPC's own. Trailers can be read in any case.
    pub expose_headers: *const *const c_char,
    /// How many.
    pub expose_header_count: usize,
    /// How long a browser may remember that a page may call, 2 h by default; negative: it asks every time.
    pub max_age_ms: i64,
    /// Pages may send cookies and client certificates along; not together with the origin "*".
    pub allow_credentials: bool,
}

/// Options of a server. Zeros are the defaults; numbers that can be off are off when negative. `docs/limits.md` explains the
/// limits. All is copied.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct spanwire_server_options {
    /// `sizeof(spanwire_server_options)`.
    pub size: usize,
    /// TLS; null is plaintext.
    pub tls: *const spanwire_tls_options,
    /// Requests wait until `spanwire_server_accept` asks for them.
    pub manual_accept: bool,
    /// Clients may ping also while they have no calls.
    pub keepalive_permit_without_calls: bool,
    /// Silence after which a client is pinged; negative never pings.
    pub keepalive_interval_ms: i64,
    /// How long it may take to answer a ping.
    pub keepalive_timeout_ms: i64,
    /// How often clients may ping.
    pub keepalive_min_interval_ms: i64,
    /// Age at which connections are told to go (±10 %); off by default.
    pub max_connection_age_ms: i64,
    /// What their calls get to finish then; for ever by default.
    pub max_connection_age_grace_ms: i64,
    /// Ends connections that had no call for this long; off by default.
    pub max_connection_idle_ms: i64,
    /// Longest for TLS and HTTP/2 of a new connection.
    pub handshake_timeout_ms: i64,
    /// How long a client may take nothing of an answer; negative for ever.
    pub stall_timeout_ms: i64,
    /// Connections at once.
    pub max_connections: i64,
    /// Calls that one connection may have open at once.
    pub max_concurrent_streams: i64,
    /// What one connection may hold of request messages that are not whole yet.
    pub max_unfinished_request_bytes: i64,
    /// Largest request message, in bytes after decompression.
    pub max_recv_message_bytes: i64,
    /// Largest response message, in bytes before compression.
    pub max_send_message_bytes: i64,
    /// Largest request metadata, in bytes as HTTP/2 counts them.
    pub max_metadata_bytes: i64,
    /// Most metadata entries of a request.
    pub max_metadata_fields: i64,
    /// What a stream may have under way to us before it is read, at first.
    pub stream_window_bytes: i64,
    /// How far that may grow.
    pub max_stream_window_bytes: i64,
    /// What all streams of a connection may have under way to us.
    pub connection_window_bytes: i64,
    /// What one stream may have queued for sending.
    pub send_buffer_bytes: i64,
    /// Resets of unanswered calls at once; negative for any number.
    pub flood_resets_burst: i64,
    /// And a second.
    pub flood_resets_per_second: i64,
    /// Calls beyond `max_concurrent_streams` that a client may open before it knows of that.
    pub flood_max_early_refusals: i64,
    /// SETTINGS frames at once.
    pub flood_settings_burst: i64,
    /// And a second.
    pub flood_settings_per_second: i64,
    /// Entries in one SETTINGS frame.
    pub flood_max_settings_entries: i64,
    /// Frames that do nothing, at once.
    pub flood_control_frames_burst: i64,
    /// And a second.
    pub flood_control_frames_per_second: i64,
    /// CONTINUATION frames in one header block.
    pub flood_max_continuations: i64,
    /// Acknowledgements that may wait before nothing more is read.
    pub flood_max_pending_acks: i64,
    /// What unread small DATA frames may add up to.
    pub flood_small_data_budget: i64,
    /// How long a shutdown goes on serving after the health service has begun to say NOT_SERVING, so that balancers notice;
    /// a part of its grace.
    pub drain_delay_ms: i64,
    /// Serves reflection, of what this describes: an encoded `google.protobuf.FileDescriptorSet`, which may have no files.
    /// Null: there is no reflection.
    pub reflection: *const c_void,
    /// Its length in bytes.
    pub reflection_len: usize,
    /// Serves `grpc.health.v1.Health`, which tells what `spanwire_server_set_health` has said.
    pub health: bool,
    /// Serves `grpc.channelz.v1.Channelz`, which tells of all channels and servers that are made from then on.
    pub channelz: bool,
    /// Which bearer tokens are accepted; null: calls need none.
    pub jwt: *const spanwire_jwt_options,
    /// Who may call what: JSON in the form of gRFC A43; null: everybody may everything. A mistake is told by its place when the
    /// server listens.
    pub authorization_policy: *const c_char,
    /// The same from a file, which is read again when it changes. The text wins.
    pub authorization_policy_file: *const c_char,
    /// Calls that may run at once, over all connections; those beyond are UNAVAILABLE at once. No limit by default.
    pub max_running_calls: i64,
    /// How often methods may be called, as JSON, such as
    /// `[{"burst": 20, "perSecond": 10, "methods": ["/shop.v1.Orders/*"], "forEachClient": true}]`.
    pub rate_limits: *const c_char,
    /// Telemetry; null is none.
    pub telemetry: *const spanwire_telemetry_options,
    /// Browsers may call by gRPC-Web, on the same port; null: they may not.
    pub web: *const spanwire_web_options,
}

/// Options of one call. Zeros are the defaults. All is copied.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct spanwire_call_options {
    /// `sizeof(spanwire_call_options)`.
    pub size: usize,
    /// Longest that the call may take, from now; 0 without a limit, negative: it has passed already.
    pub timeout_ms: i64,
    /// The request's metadata.
    pub metadata: *const spanwire_metadata_entry,
    /// How many entries.
    pub metadata_count: usize,
    /// Compresses the request messages; by default as the channel says.
    pub compression: spanwire_encoding,
    /// Wait while no connection can be made, instead of failing with UNAVAILABLE. Give it a timeout too.
    pub wait_for_ready: bool,
    /// Streams: messages that may arrive before `spanwire_call_grant`. The only response of a method that has one needs none.
    pub credit: u32,
    /// Largest message to accept; by default as the channel says.
    pub max_recv_message_bytes: i64,
    /// Largest message to send; by default as the channel says.
    pub max_send_message_bytes: i64,
    /// The call that is being handled and that this one is made for, or null: it ends no later than that.
    pub parent: *const spanwire_server_call,
}

macro_rules! zeros {
    ($($name:ident),+) => {$(
        impl Default for $name {
            fn default() -> Self {
                // SAFETY: null pointers, false and zeros are valid in all of its fields.
                unsafe { std::mem::zeroed() }
            }
        }
    )+};
}

zeros!(
    spanwire_tls_options,
    spanwire_channel_options,
    spanwire_jwt_options,
    spanwire_server_options,
    spanwire_call_options,
    spanwire_telemetry_options,
    spanwire_web_options
);

/// The limits that both sides have, field by field.
macro_rules! limits {
    ($from:ident, $early_refusals:expr) => {
        Limits {
            max_recv_message_bytes: $from.max_recv_message_bytes,
            max_send_message_bytes: $from.max_send_message_bytes,
            max_metadata_bytes: $from.max_metadata_bytes,
            max_metadata_fields: $from.max_metadata_fields,
            stream_window_bytes: $from.stream_window_bytes,
            max_stream_window_bytes: $from.max_stream_window_bytes,
            connection_window_bytes: $from.connection_window_bytes,
            send_buffer_bytes: $from.send_buffer_bytes,
            flood_resets_burst: $from.flood_resets_burst,
            flood_resets_per_second: $from.flood_resets_per_second,
            flood_max_early_refusals: $early_refusals,
            flood_settings_burst: $from.flood_settings_burst,
            flood_settings_per_second: $from.flood_settings_per_second,
            flood_max_settings_entries: $from.flood_max_settings_entries,
            flood_control_frames_burst: $from.flood_control_frames_burst,
            flood_control_frames_per_second: $from.flood_control_frames_per_second,
            flood_max_continuations: $from.flood_max_continuations,
            flood_max_pending_acks: $from.flood_max_pending_acks,
            flood_small_data_budget: $from.flood_small_data_budget,
        }
    };
}

/// # Safety
/// `options` is null, or as the documentation of its fields asks.
pub(crate) unsafe fn channel(options: *const spanwire_channel_options) -> Result<ChannelOptions, Refused> {
    // SAFETY: the caller's promise, for all that is read below.
    unsafe {
        let options = sized(options, "spanwire_channel_options")?;
        let mut known = ChannelOptions {
            tls: tls(options.tls)?,
            authority: owned(options.authority, "authority")?,
            user_agent: owned(options.user_agent, "user_agent")?,
            compression: encoding(options.compression)?,
            connect_timeout_ms: options.connect_timeout_ms,
            backoff_first_ms: options.backoff_first_ms,
            backoff_longest_ms: options.backoff_longest_ms,
            keepalive_interval_ms: options.keepalive_interval_ms,
            keepalive_timeout_ms: options.keepalive_timeout_ms,
            keepalive_without_calls: options.keepalive_without_calls,
            load_balancing: owned(options.load_balancing, "load_balancing")?,
            service_config: owned(options.service_config, "service_config")?,
            bearer_token: owned(options.bearer_token, "bearer_token")?,
            bearer_token_file: owned(options.bearer_token_file, "bearer_token_file")?,
            bearer_token_source: token::source(options.token_source, options.token_source_data),
            name_ttl_ms: options.name_ttl_ms,
            idle_timeout_ms: options.idle_timeout_ms,
            proxy: owned(options.proxy, "proxy")?,
            retries_off: options.retries_off,
            telemetry: telemetry(options.telemetry)?,
            health_checks_off: options.health_checks_off,
            max_connections_per_subchannel: options.max_connections_per_subchannel,
            dns_resolver: owned(options.dns_resolver, "dns_resolver")?,
            service_config_from_dns: options.service_config_from_dns,
            limits: limits!(options, 0),
        };
        set_arguments(&mut known, options.arguments, options.argument_count)?;
        Ok(known)
    }
}

/// # Safety
/// `arguments` is null, or `count` of them can be read there, whose texts are null or end in NUL.
unsafe fn set_arguments(
    options: &mut ChannelOptions,
    arguments: *const spanwire_channel_argument,
    count: usize,
) -> Result<(), Refused> {
    // SAFETY: the caller's promise.
    for argument in unsafe { array(arguments, count, "arguments") }? {
        // SAFETY: the caller's promise.
        let (name, text) = unsafe {
            (optional_text(argument.name, "argument.name")?, owned(argument.text, "argument.text")?)
        };
        let value = text.map_or(ArgumentValue::Number(argument.number), ArgumentValue::Text);
        options.set_argument(name.unwrap_or_default(), value)?;
    }
    Ok(())
}

/// # Safety
/// As [`channel`].
pub(crate) unsafe fn server(options: *const spanwire_server_options) -> Result<ServerOptions, Refused> {
    // SAFETY: the caller's promise, for all that is read below.
    unsafe {
        let options = sized(options, "spanwire_server_options")?;
        Ok(ServerOptions {
            tls: tls(options.tls)?,
            manual_accept: options.manual_accept,
            keepalive_interval_ms: options.keepalive_interval_ms,
            keepalive_timeout_ms: options.keepalive_timeout_ms,
            keepalive_min_interval_ms: options.keepalive_min_interval_ms,
            keepalive_permit_without_calls: options.keepalive_permit_without_calls,
            max_connection_age_ms: options.max_connection_age_ms,
            max_connection_age_grace_ms: options.max_connection_age_grace_ms,
            max_connection_idle_ms: options.max_connection_idle_ms,
            handshake_timeout_ms: options.handshake_timeout_ms,
            stall_timeout_ms: options.stall_timeout_ms,
            max_connections: options.max_connections,
            max_concurrent_streams: options.max_concurrent_streams,
            max_unfinished_request_bytes: options.max_unfinished_request_bytes,
            drain_delay_ms: options.drain_delay_ms,
            reflection: memory(options.reflection, options.reflection_len, "reflection")?,
            health: options.health,
            channelz: options.channelz,
            jwt: jwt(options.jwt)?,
            authorization_policy: owned(options.authorization_policy, "authorization_policy")?,
            authorization_policy_file: owned(options.authorization_policy_file, "authorization_policy_file")?,
            max_running_calls: options.max_running_calls,
            rate_limits: owned(options.rate_limits, "rate_limits")?,
            telemetry: telemetry(options.telemetry)?,
            web: web(options.web)?,
            limits: limits!(options, options.flood_max_early_refusals),
            ..ServerOptions::default()
        })
    }
}

/// # Safety
/// As [`channel`].
unsafe fn telemetry(options: *const spanwire_telemetry_options) -> Result<Option<TelemetryOptions>, Refused> {
    if options.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's promise, for all that is read below.
    unsafe {
        let options = sized(options, "spanwire_telemetry_options")?;
        Ok(Some(TelemetryOptions {
            endpoint: owned(options.endpoint, "endpoint")?,
            service_name: owned(options.service_name, "service_name")?,
            resource_attributes: owned(options.resource_attributes, "resource_attributes")?,
            metrics_off: options.metrics_off,
            metrics_interval_ms: options.metrics_interval_ms,
            traces_off: options.traces_off,
            trace_ratio: options.trace_ratio,
            propagators: owned(options.propagators, "propagators")?,
            access_log: owned(options.access_log, "access_log")?,
        }))
    }
}

/// # Safety
/// As [`channel`].
unsafe fn tls(options: *const spanwire_tls_options) -> Result<Option<TlsOptions>, Refused> {
    if options.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's promise, for all that is read below.
    unsafe {
        let options = sized(options, "spanwire_tls_options")?;
        Ok(Some(TlsOptions {
            ca_pem: memory(options.ca_pem, options.ca_pem_len, "ca_pem")?,
            ca_file: owned(options.ca_file, "ca_file")?,
            certificate_pem: memory(options.certificate_pem, options.certificate_pem_len, "certificate_pem")?,
            certificate_file: owned(options.certificate_file, "certificate_file")?,
            key_pem: memory(options.key_pem, options.key_pem_len, "key_pem")?,
            key_file: owned(options.key_file, "key_file")?,
            system_roots: options.system_roots,
            server_name: owned(options.server_name, "server_name")?,
            danger_accept_any_certificate: options.danger_accept_any_certificate,
            client_certificate_optional: options.client_certificate_optional,
            more_certificates: certificates(options.more_certificates, options.more_certificate_count)?,
        }))
    }
}

/// # Safety
/// `list` is null, or `count` of them can be read there, whose fields are as their documentation says.
unsafe fn certificates(
    list: *const spanwire_certificate,
    count: usize,
) -> Result<Vec<CertificateOptions>, Refused> {
    let certificate = |one: &spanwire_certificate| {
        // SAFETY: the caller's promise.
        unsafe {
            Ok(CertificateOptions {
                certificate_pem: memory(one.certificate_pem, one.certificate_pem_len, "certificate_pem")?,
                certificate_file: owned(one.certificate_file, "certificate_file")?,
                key_pem: memory(one.key_pem, one.key_pem_len, "key_pem")?,
                key_file: owned(one.key_file, "key_file")?,
            })
        }
    };
    // SAFETY: the caller's promise.
    unsafe { array(list, count, "more_certificates") }?.iter().map(certificate).collect()
}

/// # Safety
/// `list` is null, or `count` of what it points to can be read there while the result lives.
unsafe fn array<'a, T>(list: *const T, count: usize, what: &str) -> Result<&'a [T], Refused> {
    if count == 0 {
        return Ok(&[]);
    }
    if list.is_null() || count > isize::MAX.unsigned_abs() / size_of::<T>() {
        return Err(Refused::argument(format!("{what} is null or too long, but its count is {count}")));
    }
    // SAFETY: not null, not too long, and the caller promises the rest.
    Ok(unsafe { std::slice::from_raw_parts(list, count) })
}

/// # Safety
/// As [`channel`].
unsafe fn jwt(options: *const spanwire_jwt_options) -> Result<Option<JwtOptions>, Refused> {
    if options.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's promise, for all that is read below.
    unsafe {
        let options = sized(options, "spanwire_jwt_options")?;
        Ok(Some(JwtOptions {
            jwks_file: owned(options.jwks_file, "jwks_file")?,
            issuers: texts(options.issuers, options.issuer_count, "issuers")?,
            audiences: texts(options.audiences, options.audience_count, "audiences")?,
            algorithms: texts(options.algorithms, options.algorithm_count, "algorithms")?,
            clock_skew_ms: options.clock_skew_ms,
            required_claims: texts(options.required_claims, options.required_claim_count, "required_claims")?,
            danger_accept_plaintext: options.danger_accept_plaintext,
            jwks_url: owned(options.jwks_url, "jwks_url")?,
            jwks_ca_file: owned(options.jwks_ca_file, "jwks_ca_file")?,
            jwks_refresh_interval_ms: options.jwks_refresh_interval_ms,
            unauthenticated_methods: texts(
                options.unauthenticated_methods,
                options.unauthenticated_method_count,
                "unauthenticated_methods",
            )?,
            danger_jwks_over_plaintext: options.danger_jwks_over_plaintext,
        }))
    }
}

/// # Safety
/// As [`channel`].
unsafe fn web(options: *const spanwire_web_options) -> Result<Option<WebOptions>, Refused> {
    if options.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's promise, for all that is read below.
    unsafe {
        let options = sized(options, "spanwire_web_options")?;
        Ok(Some(WebOptions {
            origins: texts(options.origins, options.origin_count, "origins")?,
            allow_credentials: options.allow_credentials,
            allow_headers: texts(options.allow_headers, options.allow_header_count, "allow_headers")?,
            expose_headers: texts(options.expose_headers, options.expose_header_count, "expose_headers")?,
            max_age_ms: options.max_age_ms,
        }))
    }
}

/// # Safety
/// `list` is null, or `count` pointers can be read there, each of which is null or a string that ends in NUL.
pub(crate) unsafe fn texts(
    list: *const *const c_char,
    count: usize,
    what: &str,
) -> Result<Vec<String>, Refused> {
    // SAFETY: the caller's promise.
    let list = unsafe { array(list, count, what) }?;
    // SAFETY: the caller's promise.
    list.iter().map(|text| Ok(unsafe { owned(*text, what) }?.unwrap_or_default())).collect()
}

/// The options of a call, and the call that it is made for.
///
/// # Safety
/// As [`channel`].
pub(crate) unsafe fn call(
    options: *const spanwire_call_options,
) -> Result<(CallOptions, *const spanwire_server_call), Refused> {
    if options.is_null() {
        return Ok((CallOptions::default(), std::ptr::null()));
    }
    // SAFETY: the caller's promise, for all that is read below.
    unsafe {
        let options = sized(options, "spanwire_call_options")?;
        let call = CallOptions {
            timeout_ms: options.timeout_ms,
            metadata: metadata(options.metadata, options.metadata_count, "metadata")?,
            compression: encoding(options.compression)?,
            wait_for_ready: options.wait_for_ready,
            max_recv_message_bytes: options.max_recv_message_bytes,
            max_send_message_bytes: options.max_send_message_bytes,
            credit: options.credit,
        };
        Ok((call, options.parent))
    }
}

pub(crate) fn encoding(encoding: spanwire_encoding) -> Result<Option<Encoding>, Refused> {
    Ok(match encoding {
        SPANWIRE_ENCODING_DEFAULT => None,
        SPANWIRE_ENCODING_IDENTITY => Some(Encoding::Identity),
        SPANWIRE_ENCODING_GZIP => Some(Encoding::Gzip),
        SPANWIRE_ENCODING_DEFLATE => Some(Encoding::Deflate),
        SPANWIRE_ENCODING_ZSTD => Some(Encoding::Zstd),
        _ => return Err(Refused::argument(format!("compression: {encoding} is no SPANWIRE_ENCODING_…"))),
    })
}

/// # Safety
/// `text` is null, or a string that ends in NUL.
unsafe fn owned(text: *const c_char, what: &str) -> Result<Option<String>, Refused> {
    // SAFETY: the caller's promise.
    Ok(unsafe { optional_text(text, what) }?.map(str::to_owned))
}

/// # Safety
/// `data` is null, or `len` bytes can be read there.
unsafe fn memory(data: *const c_void, len: usize, what: &str) -> Result<Option<Vec<u8>>, Refused> {
    if data.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's promise.
    Ok(Some(unsafe { slice(data.cast(), len, what) }?.to_vec()))
}
