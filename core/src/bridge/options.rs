//! Options as plain data: what every host hands over in the same words.
//!
//! Numbers are 64-bit everywhere. **0 is the default**, which this crate knows and no binding does; a **negative** number
//! turns off what can be off, and is an error elsewhere. Units are in the names. The limits are explained in
//! `docs/limits.md`.

use std::time::Duration;

use tokio::time::Instant;

use super::OpError;
use super::server_call::ServerCallRef;
use super::token::TokenSource;
use crate::channel;
use crate::channel::backoff::BackoffConfig;
use crate::server::rate_limits;
use crate::telemetry::{Telemetry, TelemetryBuilder, TelemetryError};
use crate::transport::watch::PingPolicy;
use crate::{
    ChannelBuilder, ClientTls, Encoding, FloodLimits, Jwt, Keepalive, Metadata, Proxy, Rate, ServerBuilder,
    ServerTls, Web,
};

/// Of a channel.
#[derive(Clone, Debug, Default)]
pub struct ChannelOptions {
    /// TLS; plaintext without.
    pub tls: Option<TlsOptions>,
    /// What the server sees as `:authority`; by default the target's host and port.
    pub authority: Option<String>,
    /// Put in front of the engine's own `user-agent`.
    pub user_agent: Option<String>,
    /// Compresses the requests of calls that do not say otherwise.
    pub compression: Option<Encoding>,
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
    /// Ping also while there are no calls.
    pub keepalive_without_calls: bool,
    /// Which of a service's addresses calls go to: `pick_first` by default, `round_robin`, `least_request` or
    /// `weighted_round_robin`. Goes before what the service config says.
    pub load_balancing: Option<String>,
    /// The service config: JSON, see [`ChannelBuilder::service_config`].
    pub service_config: Option<String>,
    /// Sent with every call as `authorization: Bearer …`; over TLS alone.
    pub bearer_token: Option<String>,
    /// The same from a file that is read again as its token ends.
    pub bearer_token_file: Option<String>,
    /// The same, asked for as its token ends.
    pub bearer_token_source: Option<TokenSource>,
    /// How long a name that the system resolves holds.
    pub name_ttl_ms: i64,
    /// How long nobody may call before the connections are closed; negative for ever.
    pub idle_timeout_ms: i64,
    /// The URL of an HTTP proxy, or an empty text for none; by default as the environment says.
    pub proxy: Option<String>,
    /// Calls are not made again by the service config's policies.
    pub retries_off: bool,
    /// Servers are not asked for their health, whatever the service config says.
    pub health_checks_off: bool,
    /// The most connections to one address that a service config gets.
    pub max_connections_per_subchannel: i64,
    /// Who finds the addresses of the target's name: `system` by default, or `direct`.
    pub dns_resolver: Option<String>,
    /// DNS is asked for the target's service config too.
    pub service_config_from_dns: bool,
    /// What its calls do is recorded; nothing without.
    pub telemetry: Option<TelemetryOptions>,
    /// Limits of both sides.
    pub limits: Limits,
}

/// Of a server.
#[derive(Clone, Debug, Default)]
pub struct ServerOptions {
    /// TLS; plaintext without.
    pub tls: Option<TlsOptions>,
    /// Requests wait until [`Server::accept`](super::Server::accept) asks for them.
    pub manual_accept: bool,
    /// Silence after which a client is pinged; negative never pings.
    pub keepalive_interval_ms: i64,
    /// How long it may take to answer a ping.
    pub keepalive_timeout_ms: i64,
    /// How often clients may ping.
    pub keepalive_min_interval_ms: i64,
    /// Clients may ping also while they have no calls.
    pub keepalive_permit_without_calls: bool,
    /// Age at which connections are told to go.
    pub max_connection_age_ms: i64,
    /// What calls get to finish then; for ever by default.
    pub max_connection_age_grace_ms: i64,
    /// Ends connections that had no call for this long.
    pub max_connection_idle_ms: i64,
    /// Longest for TLS and HTTP/2 of a new connection.
    pub handshake_timeout_ms: i64,
    /// How long a client may take nothing of an answer; negative for ever.
    pub stall_timeout_ms: i64,
    /// Other processes may listen on the same port, if they say so too.
    pub share_port: bool,
    /// How long a shutdown goes on serving after the health service has begun to say NOT_SERVING; a part of its grace.
    pub drain_delay_ms: i64,
    /// Serves `grpc.health.v1.Health`; [`Server::set_health`](super::Server::set_health) says what it tells.
    pub health: bool,
    /// Serves reflection, of what this encoded `google.protobuf.FileDescriptorSet` describes; it may be empty.
    pub reflection: Option<Vec<u8>>,
    /// Serves `grpc.channelz.v1.Channelz`, which tells of all channels and servers that are made from then on.
    pub channelz: bool,
    /// Connections at once.
    pub max_connections: i64,
    /// Calls that one connection may have open at once.
    pub max_concurrent_streams: i64,
    /// What one connection may hold of request messages that are not whole yet.
    pub max_unfinished_request_bytes: i64,
    /// Which bearer tokens are accepted; calls need none without.
    pub jwt: Option<JwtOptions>,
    /// Who may call what, as JSON; see [`ServerBuilder::authorization_policy`]. Everybody may everything without.
    pub authorization_policy: Option<String>,
    /// The same from a file that is read again when it changes. The text wins.
    pub authorization_policy_file: Option<String>,
    /// Calls that may run at once, over all connections.
    pub max_running_calls: i64,
    /// How often methods may be called, as JSON:
    /// `[{"burst": 20, "perSecond": 10, "methods": ["/shop.v1.Orders/*"], "forEachClient": true}]`.
    pub rate_limits: Option<String>,
    /// What its calls do is recorded; nothing without.
    pub telemetry: Option<TelemetryOptions>,
    /// Browsers may call by gRPC-Web; they may not without.
    pub web: Option<WebOptions>,
    /// Limits of both sides.
    pub limits: Limits,
}

/// Of gRPC-Web: which pages may call, and what their browsers are told. See [`Web`].
#[derive(Clone, Debug, Default)]
pub struct WebOptions {
    /// Whose pages may call, such as `https://shop.example`; `*` lets all pages call. Without any, no page may.
    pub origins: Vec<String>,
    /// Pages may send cookies and client certificates along; not together with the origin `*`.
    pub allow_credentials: bool,
    /// Metadata that pages may send, besides what gRPC-Web needs.
    pub allow_headers: Vec<String>,
    /// Metadata of the response that pages may read, besides gRPC's own.
    pub expose_headers: Vec<String>,
    /// How long a browser may remember that a page may call; negative: it asks every time.
    pub max_age_ms: i64,
}

/// Of the bearer tokens that a server accepts. See [`Jwt`].
#[derive(Clone, Debug, Default)]
pub struct JwtOptions {
    /// The keys of the issuers: the file of a JSON Web Key Set, read again when it changes.
    pub jwks_file: Option<String>,
    /// Whose tokens are good (`iss`); at least one.
    pub issuers: Vec<String>,
    /// Whom they must be for (`aud`): one of these, or nobody if there are none.
    pub audiences: Vec<String>,
    /// How they may be signed; all that is known without.
    pub algorithms: Vec<String>,
    /// How far the clocks of the issuers may be from ours; negative for not at all.
    pub clock_skew_ms: i64,
    /// What they must say besides.
    pub required_claims: Vec<String>,
    /// They are taken from connections without TLS too.
    pub danger_accept_plaintext: bool,
    /// The keys from a URL, instead of the file: `https`, or `http` on this machine.
    pub jwks_url: Option<String>,
    /// How long they are used without asking for newer ones.
    pub jwks_refresh_interval_ms: i64,
    /// The authorities to trust for that URL, instead of the system's: a file.
    pub jwks_ca_file: Option<String>,
    /// They are taken from `http` URLs of other machines too.
    pub danger_jwks_over_plaintext: bool,
    /// Methods whose calls need no token: `/package.Service/Method`, or `/package.Service/*`.
    pub unauthenticated_methods: Vec<String>,
}

/// Of telemetry: see [`crate::TelemetryBuilder`](crate::telemetry::TelemetryBuilder). Channels and servers of an engine that
/// say the same share one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TelemetryOptions {
    /// Where it is sent, such as `http://collector:4317`; by default as the environment says, and nowhere if it is empty.
    pub endpoint: Option<String>,
    /// Whose it is; by default as the environment says.
    pub service_name: Option<String>,
    /// What else tells the process from others: `key=value,key=value`; by default as the environment says.
    pub resource_attributes: Option<String>,
    /// Calls are not counted.
    pub metrics_off: bool,
    /// How often metrics are sent.
    pub metrics_interval_ms: i64,
    /// Traces are neither recorded nor handed on.
    pub traces_off: bool,
    /// How many of the traces that begin here are recorded, up to 1, which is the default; negative: none.
    pub trace_ratio: f64,
    /// In which forms traces are handed on: `tracecontext` by default, `grpc-trace-bin`, or both with a comma.
    pub propagators: Option<String>,
    /// Which calls of a server are logged: `off` by default, `errors` or `all`.
    pub access_log: Option<String>,
}

/// What both sides limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// Largest message to accept, after decompression.
    pub max_recv_message_bytes: i64,
    /// Largest message to send, before compression.
    pub max_send_message_bytes: i64,
    /// Largest metadata to accept, as HTTP/2 counts them.
    pub max_metadata_bytes: i64,
    /// Most metadata entries to accept.
    pub max_metadata_fields: i64,
    /// What a stream may have under way to us, at first.
    pub stream_window_bytes: i64,
    /// How far that may grow.
    pub max_stream_window_bytes: i64,
    /// What all streams of a connection may have under way to us.
    pub connection_window_bytes: i64,
    /// What one stream may have queued for sending.
    pub send_buffer_bytes: i64,
    /// Resets of unanswered calls: at once; negative for any number. The same in the next ones.
    pub flood_resets_burst: i64,
    /// And a second.
    pub flood_resets_per_second: i64,
    /// Calls that may be refused at the beginning, before the peer knows the limit.
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
}

/// Of TLS, on either side. Certificates and keys are PEM, given as bytes or as paths of files; bytes win.
#[derive(Clone, Debug, Default)]
pub struct TlsOptions {
    /// Whom to trust: on a client the servers' authority, on a server that of clients (mutual TLS).
    pub ca_pem: Option<Vec<u8>>,
    /// The same, as a file.
    pub ca_file: Option<String>,
    /// Our certificate chain: a server's always, a client's for mutual TLS.
    pub certificate_pem: Option<Vec<u8>>,
    /// The same, as a file.
    pub certificate_file: Option<String>,
    /// The key of our certificate.
    pub key_pem: Option<Vec<u8>>,
    /// The same, as a file.
    pub key_file: Option<String>,
    /// Client: trust the system's roots beside a CA that is given. Without one they are trusted anyway.
    pub system_roots: bool,
    /// Client: the name that the server must prove, instead of the target's host.
    pub server_name: Option<String>,
    /// Client: accept whatever certificate there is. For tests.
    pub danger_accept_any_certificate: bool,
    /// Server, with a CA: clients may come without a certificate.
    pub client_certificate_optional: bool,
    /// Server: further certificates. A client that asks for a name (SNI) gets the first that is for it.
    pub more_certificates: Vec<CertificateOptions>,
}

/// A certificate chain and its key, each as PEM bytes or as the path of a file; bytes win.
#[derive(Clone, Debug, Default)]
pub struct CertificateOptions {
    /// The chain.
    pub certificate_pem: Option<Vec<u8>>,
    /// The same, as a file.
    pub certificate_file: Option<String>,
    /// The key.
    pub key_pem: Option<Vec<u8>>,
    /// The same, as a file.
    pub key_file: Option<String>,
}

/// Of one call.
#[derive(Clone, Debug, Default)]
pub struct CallOptions {
    /// Longest that the call may take; 0 without a limit, negative: over already.
    pub timeout_ms: i64,
    /// The request's metadata.
    pub metadata: Metadata,
    /// Compresses the request messages; by default as the channel says.
    pub compression: Option<Encoding>,
    /// Wait while no connection can be made, instead of failing with UNAVAILABLE.
    pub wait_for_ready: bool,
    /// Largest message to accept; by default as the channel says.
    pub max_recv_message_bytes: i64,
    /// Largest message to send; by default as the channel says.
    pub max_send_message_bytes: i64,
    /// Streams: messages that may arrive before more are granted.
    pub credit: u32,
}

/// Sets on a builder every number that is not the default, by the name that both have.
macro_rules! set {
    ($builder:expr, $($name:ident = $value:expr),+ $(,)?) => {{
        let mut builder = $builder;
        $(if let Some(value) = number(stringify!($name), $value)? {
            builder = builder.$name(value);
        })+
        builder
    }};
}

/// The limits of both sides, on either builder.
macro_rules! set_limits {
    ($builder:expr, $limits:expr) => {
        set!(
            $builder,
            max_recv_message_bytes = $limits.max_recv_message_bytes,
            max_send_message_bytes = $limits.max_send_message_bytes,
            max_metadata_bytes = $limits.max_metadata_bytes,
            max_metadata_fields = $limits.max_metadata_fields,
            stream_window_bytes = $limits.stream_window_bytes,
            max_stream_window_bytes = $limits.max_stream_window_bytes,
            connection_window_bytes = $limits.connection_window_bytes,
            send_buffer_bytes = $limits.send_buffer_bytes,
        )
    };
}

impl ChannelOptions {
    pub(crate) fn apply(&self, mut builder: ChannelBuilder) -> Result<ChannelBuilder, OpError> {
        if let Some(tls) = &self.tls {
            builder = builder.tls(tls.client()?);
        }
        if let Some(authority) = &self.authority {
            builder = builder.authority(authority);
        }
        if let Some(user_agent) = &self.user_agent {
            builder = builder.user_agent(user_agent);
        }
        if let Some(encoding) = self.compression {
            builder = builder.compress(encoding);
        }
        if let Some(timeout) = time("connect_timeout_ms", self.connect_timeout_ms)? {
            builder = builder.connect_timeout(timeout);
        }
        let backoff = BackoffConfig::default();
        builder = builder.backoff(
            time("backoff_first_ms", self.backoff_first_ms)?.unwrap_or(backoff.initial),
            time("backoff_longest_ms", self.backoff_longest_ms)?.unwrap_or(backoff.max),
        );
        if let Some(interval) = positive_time(self.keepalive_interval_ms) {
            let keepalive = Keepalive::new(interval);
            builder = builder.keepalive(Keepalive {
                timeout: time("keepalive_timeout_ms", self.keepalive_timeout_ms)?
                    .unwrap_or(keepalive.timeout),
                permit_without_calls: self.keepalive_without_calls,
                ..keepalive
            });
        }
        if let Some(name) = &self.load_balancing {
            let named =
                name.parse().map_err(|error| OpError::Argument(format!("load_balancing: {error}")))?;
            builder = builder.load_balancing(named);
        }
        if let Some(json) = &self.service_config {
            builder = builder.service_config(json);
        }
        if let Some(source) = self.bearer_token_source.clone() {
            builder = builder.bearer_token_source(move || source.ask());
        }
        if let Some(path) = &self.bearer_token_file {
            builder = builder.bearer_token_file(path);
        }
        if let Some(token) = &self.bearer_token {
            builder = builder.bearer_token(token);
        }
        if let Some(ttl) = time("name_ttl_ms", self.name_ttl_ms)? {
            builder = builder.name_ttl(ttl);
        }
        if self.idle_timeout_ms != 0 {
            builder = builder.idle_timeout(positive_time(self.idle_timeout_ms));
        }
        if let Some(url) = &self.proxy {
            builder = builder.proxy(if url.is_empty() { Proxy::Off } else { Proxy::Url(url.clone()) });
        }
        if let Some(name) = &self.dns_resolver {
            let named = name.parse().map_err(|error| OpError::Argument(format!("dns_resolver: {error}")))?;
            builder = builder.dns_resolver(named);
        }
        builder = builder.service_config_from_dns(self.service_config_from_dns);
        builder = set!(builder, max_connections_per_subchannel = self.max_connections_per_subchannel,);
        builder = builder.retries(!self.retries_off).health_checks(!self.health_checks_off);
        let builder = set_limits!(builder, self.limits);
        Ok(builder.flood_limits(self.limits.floods(FloodLimits::client_default())?))
    }
}

impl ServerOptions {
    pub(crate) fn apply(&self, mut builder: ServerBuilder) -> Result<ServerBuilder, OpError> {
        if let Some(tls) = &self.tls {
            builder = builder.tls(tls.server()?);
        }
        if let Some(jwt) = &self.jwt {
            builder = builder.jwt(jwt.jwt()?);
        }
        if let Some(policy) = &self.authorization_policy {
            builder = builder.authorization_policy(policy);
        } else if let Some(file) = &self.authorization_policy_file {
            builder = builder.authorization_policy_file(file);
        }
        if let Some(web) = &self.web {
            builder = builder.web(web.web());
        }
        if let Some(json) = &self.rate_limits {
            let limits = rate_limits::read(json).map_err(OpError::Argument)?;
            builder = builder.rate_limits(limits);
        }
        let keepalive = Keepalive::server_default();
        builder = builder.keepalive((self.keepalive_interval_ms >= 0).then_some(Keepalive {
            interval: positive_time(self.keepalive_interval_ms).unwrap_or(keepalive.interval),
            timeout: time("keepalive_timeout_ms", self.keepalive_timeout_ms)?.unwrap_or(keepalive.timeout),
            ..keepalive
        }));
        let min_interval = time("keepalive_min_interval_ms", self.keepalive_min_interval_ms)?;
        builder = builder.keepalive_enforcement(
            min_interval.unwrap_or(PingPolicy::server_default().min_interval),
            self.keepalive_permit_without_calls,
        );
        if let Some(age) = positive_time(self.max_connection_age_ms) {
            builder = builder.max_connection_age(age, positive_time(self.max_connection_age_grace_ms));
        }
        if let Some(idle) = positive_time(self.max_connection_idle_ms) {
            builder = builder.max_connection_idle(idle);
        }
        if let Some(timeout) = time("handshake_timeout_ms", self.handshake_timeout_ms)? {
            builder = builder.handshake_timeout(timeout);
        }
        if self.stall_timeout_ms != 0 {
            builder = builder.stall_timeout(positive_time(self.stall_timeout_ms));
        }
        if let Some(delay) = time("drain_delay_ms", self.drain_delay_ms)? {
            builder = builder.drain_delay(delay);
        }
        if let Some(set) = &self.reflection {
            builder = builder.reflection([set.clone()]);
        }
        if self.channelz {
            builder = builder.channelz();
        }
        let builder = set!(
            set_limits!(builder.share_port(self.share_port), self.limits),
            max_connections = self.max_connections,
            max_concurrent_streams = self.max_concurrent_streams,
            max_unfinished_request_bytes = self.max_unfinished_request_bytes,
            max_running_calls = self.max_running_calls,
        );
        Ok(builder.flood_limits(self.limits.floods(FloodLimits::server_default())?))
    }
}

impl WebOptions {
    fn web(&self) -> Web {
        let web = Web::new()
            .origins(&self.origins)
            .allow_credentials(self.allow_credentials)
            .allow_headers(&self.allow_headers)
            .expose_headers(&self.expose_headers);
        match self.max_age_ms {
            0 => web,
            age => web.max_age(positive_time(age).unwrap_or_default()),
        }
    }
}

impl JwtOptions {
    fn jwt(&self) -> Result<Jwt, OpError> {
        let keys = match (&self.jwks_file, &self.jwks_url) {
            (Some(file), None) => Jwt::from_jwks_file(file),
            (None, Some(url)) => Jwt::from_jwks_url(url),
            _ => {
                let problem = "jwt: whose keys? it needs a file of them, or a URL, and not both";
                return Err(OpError::Argument(problem.to_owned()));
            }
        };
        let mut jwt = keys
            .danger_jwks_over_plaintext(self.danger_jwks_over_plaintext)
            .unauthenticated_methods(&self.unauthenticated_methods)
            .issuers(&self.issuers)
            .audiences(&self.audiences)
            .algorithms(&self.algorithms)
            .required_claims(&self.required_claims)
            .danger_accept_plaintext(self.danger_accept_plaintext);
        if self.clock_skew_ms != 0 {
            jwt = jwt.clock_skew(positive_time(self.clock_skew_ms).unwrap_or_default());
        }
        if let Some(interval) = time("jwks_refresh_interval_ms", self.jwks_refresh_interval_ms)? {
            jwt = jwt.jwks_refresh_interval(interval);
        }
        if let Some(file) = &self.jwks_ca_file {
            jwt = jwt.jwks_ca_file(file);
        }
        Ok(jwt)
    }
}

impl TelemetryOptions {
    pub(crate) fn builder(&self) -> Result<TelemetryBuilder, OpError> {
        let mut builder = Telemetry::builder().metrics(!self.metrics_off).traces(!self.traces_off);
        if let Some(endpoint) = &self.endpoint {
            builder = builder.endpoint(endpoint);
        }
        if let Some(name) = &self.service_name {
            builder = builder.service_name(name);
        }
        if let Some(attributes) = &self.resource_attributes {
            builder = builder.resource_attributes(attributes);
        }
        if let Some(interval) = time("metrics_interval_ms", self.metrics_interval_ms)? {
            builder = builder.metrics_interval(interval);
        }
        if self.trace_ratio != 0.0 {
            // What is no number stays one, and is refused.
            builder = builder.trace_ratio(if self.trace_ratio < 0.0 { 0.0 } else { self.trace_ratio });
        }
        if let Some(names) = &self.propagators {
            let propagators = names.split(',').map(|name| name.trim().parse());
            builder = builder.propagators(propagators.collect::<Result<Vec<_>, _>>()?);
        }
        if let Some(log) = &self.access_log {
            builder = builder.access_log(log.parse()?);
        }
        Ok(builder)
    }
}

impl From<TelemetryError> for OpError {
    fn from(error: TelemetryError) -> Self {
        OpError::Argument(format!("telemetry: {error}"))
    }
}

impl Limits {
    fn floods(&self, default: FloodLimits) -> Result<FloodLimits, OpError> {
        let rate = |name, burst, per_second, default: Rate| {
            let burst = number(name, burst)?.unwrap_or(default.burst);
            Ok::<_, OpError>(Rate {
                burst,
                per_second: number(name, per_second)?.unwrap_or(default.per_second),
            })
        };
        let resets = default.resets.unwrap_or(Rate::new(u32::MAX, u32::MAX));
        let some_resets =
            self.flood_resets_burst > 0 || (self.flood_resets_burst == 0 && default.resets.is_some());
        let resets = some_resets
            .then(|| rate("flood_resets", self.flood_resets_burst, self.flood_resets_per_second, resets))
            .transpose()?;
        Ok(FloodLimits {
            resets,
            max_early_refusals: number("flood_max_early_refusals", self.flood_max_early_refusals)?
                .unwrap_or(default.max_early_refusals),
            settings: rate(
                "flood_settings",
                self.flood_settings_burst,
                self.flood_settings_per_second,
                default.settings,
            )?,
            max_settings_entries: number("flood_max_settings_entries", self.flood_max_settings_entries)?
                .unwrap_or(default.max_settings_entries),
            control_frames: rate(
                "flood_control_frames",
                self.flood_control_frames_burst,
                self.flood_control_frames_per_second,
                default.control_frames,
            )?,
            max_continuations: number("flood_max_continuations", self.flood_max_continuations)?
                .unwrap_or(default.max_continuations),
            max_pending_acks: number("flood_max_pending_acks", self.flood_max_pending_acks)?
                .unwrap_or(default.max_pending_acks),
            small_data_budget: number("flood_small_data_budget", self.flood_small_data_budget)?
                .unwrap_or(default.small_data_budget),
        })
    }
}

impl TlsOptions {
    fn client(&self) -> Result<ClientTls, OpError> {
        let mut tls = ClientTls::new();
        match (&self.ca_pem, &self.ca_file) {
            (Some(pem), _) => tls = tls.with_ca_pem(pem.clone()),
            (None, Some(file)) => tls = tls.with_ca_file(file),
            (None, None) => {}
        }
        if self.system_roots {
            tls = tls.with_system_roots();
        }
        match (&self.certificate_pem, &self.key_pem, &self.certificate_file, &self.key_file) {
            (Some(certificate), Some(key), ..) => {
                tls = tls.with_identity_pem(certificate.clone(), key.clone())
            }
            (None, None, Some(certificate), Some(key)) => tls = tls.with_identity_files(certificate, key),
            (None, None, None, None) => {}
            _ => return Err(half_an_identity()),
        }
        if let Some(name) = &self.server_name {
            tls = tls.server_name(name);
        }
        if self.danger_accept_any_certificate {
            tls = tls.danger_accept_any_certificate();
        }
        Ok(tls)
    }

    fn server(&self) -> Result<ServerTls, OpError> {
        let tls = match (&self.certificate_pem, &self.key_pem, &self.certificate_file, &self.key_file) {
            (Some(certificate), Some(key), ..) => ServerTls::from_pem(certificate.clone(), key.clone()),
            (None, None, Some(certificate), Some(key)) => ServerTls::from_files(certificate, key),
            (None, None, None, None) => {
                return Err(OpError::Argument("tls: a server needs a certificate and its key".to_owned()));
            }
            _ => return Err(half_an_identity()),
        };
        let tls = self.more_certificates.iter().try_fold(tls, |tls, more| {
            match (&more.certificate_pem, &more.key_pem, &more.certificate_file, &more.key_file) {
                (Some(certificate), Some(key), ..) => Ok(tls.and_pem(certificate.clone(), key.clone())),
                (None, None, Some(certificate), Some(key)) => Ok(tls.and_files(certificate, key)),
                _ => Err(half_an_identity()),
            }
        })?;
        let tls = match (&self.ca_pem, &self.ca_file) {
            (Some(pem), _) => tls.client_ca_pem(pem.clone()),
            (None, Some(file)) => tls.client_ca_file(file),
            (None, None) => return Ok(tls),
        };
        Ok(tls.require_client_auth(!self.client_certificate_optional))
    }
}

fn half_an_identity() -> OpError {
    OpError::Argument("tls: certificate and key belong together: both as PEM, or both as files".to_owned())
}

impl CallOptions {
    /// The engine's form of them, and the deadline that the timeout means now, for a call that is made for `parent`.
    pub(crate) fn resolve(self, parent: Option<&ServerCallRef>) -> Result<channel::CallOptions, OpError> {
        let own = match self.timeout_ms {
            0 => None,
            ms => Instant::now().checked_add(positive_time(ms).unwrap_or_default()),
        };
        Ok(channel::CallOptions {
            deadline: own.into_iter().chain(parent.and_then(ServerCallRef::deadline_at)).min(),
            trace: parent.and_then(ServerCallRef::trace).cloned(),
            metadata: self.metadata,
            encoding: self.compression,
            max_recv_bytes: number("max_recv_message_bytes", self.max_recv_message_bytes)?,
            max_send_bytes: number("max_send_message_bytes", self.max_send_message_bytes)?,
            // Not to wait is what calls do that nothing was said of.
            wait_for_ready: self.wait_for_ready.then_some(true),
            ..channel::CallOptions::default()
        })
    }
}

/// `None` for 0, the default.
fn number<T: TryFrom<i64>>(name: &str, value: i64) -> Result<Option<T>, OpError> {
    match value {
        0 => Ok(None),
        i64::MIN..0 => {
            Err(OpError::Argument(format!("{name}: {value} cannot be used: it cannot be turned off")))
        }
        _ => T::try_from(value)
            .map(Some)
            .map_err(|_| OpError::Argument(format!("{name}: {value} cannot be used: it is too large"))),
    }
}

fn time(name: &str, ms: i64) -> Result<Option<Duration>, OpError> {
    Ok(number(name, ms)?.map(Duration::from_millis))
}

/// `None` for what is turned off.
fn positive_time(ms: i64) -> Option<Duration> {
    u64::try_from(ms).ok().filter(|ms| *ms > 0).map(Duration::from_millis)
}
