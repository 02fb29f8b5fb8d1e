//! Channels: from a target to calls.

mod address;
pub(crate) mod backoff;
pub mod balance;
pub(crate) mod call;
mod calls;
mod config;
mod configured;
mod connect;
mod connections;
mod control;
mod credentials;
mod dns;
mod generic;
mod health;
mod hedge;
mod hedge_plan;
mod load;
mod load_balancing;
mod mail;
mod options;
mod outgoing;
mod proxy;
mod resolver;
mod retry;
mod side;
pub(crate) mod stream;
mod subchannel;
pub(crate) mod target;
pub(crate) mod unary;

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use http::uri::{Authority, Scheme};
use spanwire_wire::call::{Limits, RequestTemplate};
use spanwire_wire::encoding::{Encoding, EncodingSet};
use tokio::io::{AsyncRead, AsyncWrite};

pub use address::{Address, Endpoint};
use backoff::BackoffConfig;
pub(crate) use calls::open;
pub use calls::{
    BidiCall, ClientStream, ClientStreamingCall, Duplex, Response, ServerStreamingCall, UnaryCall,
};
pub use config::ServiceConfigError;
use configured::{Configured, Rules};
use connect::Connector;
use control::Keeping;
pub(crate) use control::{CHANNELS, Control};
pub use credentials::Token;
use credentials::{Credentials, Source};
pub(crate) use dns::testing as dns_testing;
pub use dns::{DnsResolver, UnknownDnsResolver};
pub use load_balancing::{LoadBalancing, UnknownLoadBalancing};
use mail::Mail;
pub(crate) use options::CallOptions;
pub use proxy::Proxy;
use resolver::Naming;
pub use resolver::{Resolution, Resolver};
use side::SideCalls;
pub use subchannel::Connectivity;
use subchannel::{Attempt, Means};
use target::Target;
pub use target::TargetError;

use crate::engine::Spawner;
use crate::message::Message;
use crate::middleware::{BoxFuture, Call, Interceptor, Interceptors, LayerInterceptor, NextService, Reply};
use crate::observe::{ChannelWatch, Watcher};
use crate::stats::{ChannelCounters, ChannelStats};
use crate::transport::custom::Dial;
use crate::transport::limits::{self, BadOption};
use crate::transport::{ClientTls, FloodLimits, Http2, Keepalive, TlsError};
use crate::{Engine, Method, Status};

/// A service, as far as the caller is concerned: its name, and the connections to the servers behind it. Cheap to clone;
/// clones share the connections.
///
/// It is lazy: the first call resolves the name and connects.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use spanwire::{Channel, Kind, Method, Raw};
///
/// let channel = Channel::new("dns:///localhost:50051")?;
/// let method = Method::new("/demo.Echo/Echo", Kind::Unary);
/// let answer: Raw = channel.unary(&method, Raw::from("hello")).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Channel {
    inner: Arc<Inner>,
}

struct Inner {
    control: Arc<Control>,
    target: Target,
    template: RequestTemplate,
    defaults: Defaults,
    credentials: Option<Arc<Credentials>>,
    limits: Limits,
    interceptors: Interceptors,
    watch: Option<Arc<dyn ChannelWatch>>,
    spawner: Spawner,
}

/// The most connections to one address that a service config gets (gRFC A105).
pub(crate) const MAX_CONNECTIONS_PER_SUBCHANNEL: usize = 10;

/// What holds for calls that do not say otherwise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Defaults {
    pub(crate) max_recv_bytes: usize,
    pub(crate) max_send_bytes: usize,
    pub(crate) encoding: Option<Encoding>,
}

impl Default for Defaults {
    fn default() -> Self {
        Defaults { max_recv_bytes: 4 * 1024 * 1024, max_send_bytes: u32::MAX as usize, encoding: None }
    }
}

/// Why a channel could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// The target is not one.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The TLS settings do not work.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The service config cannot be used; the text says where it is wrong.
    #[error(transparent)]
    ServiceConfig(#[from] ServiceConfigError),
    /// A setting has a value that cannot be sent.
    #[error("{setting}: {value} cannot be used: {reason}")]
    Setting {
        /// The name of the setting.
        setting: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl From<BadOption> for ChannelError {
    fn from(BadOption { setting, value, reason }: BadOption) -> Self {
        ChannelError::Setting { setting, value, reason }
    }
}

impl Channel {
    /// A channel in plaintext, with default settings. See [`Channel::builder`] for the forms of `target`.
    ///
    /// # Errors
    /// The target is malformed; the text says how.
    pub fn new(target: &str) -> Result<Self, ChannelError> {
        Channel::builder(target).build()
    }

    /// Starts a channel to `target`: `host:port`, `dns:///host:port`, `ipv4:1.2.3.4:50051`,
    /// `ipv6:[::1]:50051`, `unix:/path`, `unix-abstract:name`, `inprocess:name`.
    pub fn builder(target: &str) -> ChannelBuilder {
        ChannelBuilder {
            target: target.to_owned(),
            resolver: None,
            name_ttl: None,
            dns: dns::Asking::default(),
            rules: Rules::default(),
            service_config: None,
            bearer_token: None,
            idle_timeout: Some(Duration::from_secs(30 * 60)),
            dial: None,
            proxy: Proxy::default(),
            tls: None,
            authority: None,
            user_agent: None,
            keepalive: None,
            connect_timeout: Duration::from_secs(20),
            backoff: BackoffConfig::default(),
            defaults: Defaults::default(),
            limits: Limits::default(),
            http2: Http2::default(),
            interceptors: Vec::new(),
            watcher: None,
            spawner: Spawner::Current,
        }
    }

    /// Calls a unary method.
    pub fn unary<Req: Message, Resp: Message>(&self, method: &Method, request: Req) -> UnaryCall<Req, Resp> {
        UnaryCall::new(self.clone(), method.clone(), request)
    }

    /// Calls a server-streaming method.
    pub fn server_streaming<Req: Message, Resp: Message>(
        &self,
        method: &Method,
        request: Req,
    ) -> ServerStreamingCall<Req, Resp> {
        ServerStreamingCall::new(self.clone(), method.clone(), request)
    }

    /// Calls a client-streaming method.
    pub fn client_streaming<Req: Message, Resp: Message>(
        &self,
        method: &Method,
    ) -> ClientStreamingCall<Req, Resp> {
        ClientStreamingCall::new(self.clone(), method.clone())
    }

    /// Calls a bidirectional method.
    pub fn bidi<Req: Message, Resp: Message>(&self, method: &Method) -> BidiCall<Req, Resp> {
        BidiCall::new(self.clone(), method.clone())
    }

    /// Makes a call in the general form: plain messages and any kind. This is what a proxy's fallback hands
    /// its calls to.
    pub fn call(&self, call: Call) -> BoxFuture<'static, Result<Reply, Status>> {
        let channel = self.clone();
        let call = Call { side: crate::middleware::Side::Client, peer: None, ..call };
        let deadline = call.deadline;
        let chain = self.inner.interceptors.run(call, move |call| {
            Box::pin(generic::transport(channel, call, options::CallOptions::default()))
        });
        if self.inner.interceptors.is_empty() { chain } else { generic::within(deadline, chain) }
    }

    /// The state of the connections.
    #[must_use]
    pub fn connectivity(&self) -> Connectivity {
        self.inner.control.connectivity()
    }

    /// Waits until the state of the connections is another than `known`, and gives it. States that last only a moment may
    /// be missed.
    pub async fn connectivity_changed(&self, known: Connectivity) -> Connectivity {
        let mut states = self.inner.control.watch();
        // It ends with the channel, which this has a clone of.
        states.wait_for(|state| *state != known).await.map_or(known, |state| *state)
    }

    /// Says that the machine's network is another one: the name is resolved again at once, instead of when a connection is
    /// found to be lost.
    pub fn on_network_changed(&self) {
        self.inner.control.refresh();
    }

    /// What the channel did so far, and how often each limit was hit.
    #[must_use]
    pub fn stats(&self) -> ChannelStats {
        self.inner.control.stats()
    }

    /// Connects now, instead of with the first call.
    pub fn connect(&self) {
        self.inner.control.want();
    }

    /// The state of the connections, for those who must not keep them.
    pub(crate) fn states(&self) -> tokio::sync::watch::Receiver<Connectivity> {
        self.inner.control.watch()
    }

    pub(crate) fn control(&self) -> &Arc<Control> {
        &self.inner.control
    }

    pub(crate) fn template(&self) -> &RequestTemplate {
        &self.inner.template
    }

    pub(crate) fn defaults(&self) -> Defaults {
        self.inner.defaults
    }

    /// The service config in force.
    pub(crate) fn configured(&self) -> arc_swap::Guard<Arc<Configured>> {
        self.inner.control.configured()
    }

    /// Waits until it is known what holds for a call with these options. Almost never: see [`Control::settle`].
    pub(crate) async fn settle(&self, options: &mut options::CallOptions) {
        if self.configured().settled || options.mistake.is_some() {
            return;
        }
        // The time that is waited counts.
        options.deadline = options.effective_deadline();
        options.timeout = None;
        Box::pin(self.inner.control.settle(options.deadline)).await;
    }

    /// The tokens for retries, if there are any.
    pub(crate) fn throttle(&self) -> Option<Arc<retry::Throttle>> {
        self.configured().throttle.clone()
    }

    pub(crate) fn credentials(&self) -> Option<&Credentials> {
        self.inner.credentials.as_deref()
    }

    pub(crate) fn limits(&self) -> Limits {
        self.inner.limits
    }

    pub(crate) fn spawner(&self) -> &Spawner {
        &self.inner.spawner
    }

    pub(crate) fn watch(&self) -> Option<&Arc<dyn ChannelWatch>> {
        self.inner.watch.as_ref()
    }

    pub(crate) fn interceptors(&self) -> &Interceptors {
        &self.inner.interceptors
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("target", &self.inner.target.to_string())
            .field("connectivity", &self.connectivity())
            .finish_non_exhaustive()
    }
}

/// Settings of a [`Channel`].
#[must_use = "a builder does nothing until `build`"]
pub struct ChannelBuilder {
    target: String,
    resolver: Option<Arc<dyn Resolver>>,
    name_ttl: Option<Duration>,
    dns: dns::Asking,
    rules: Rules,
    service_config: Option<String>,
    bearer_token: Option<Source>,
    idle_timeout: Option<Duration>,
    dial: Option<Dial>,
    proxy: Proxy,
    tls: Option<ClientTls>,
    authority: Option<String>,
    user_agent: Option<String>,
    keepalive: Option<Keepalive>,
    connect_timeout: Duration,
    backoff: BackoffConfig,
    defaults: Defaults,
    limits: Limits,
    http2: Http2,
    interceptors: Vec<Arc<dyn Interceptor>>,
    watcher: Option<Arc<dyn Watcher>>,
    spawner: Spawner,
}

impl ChannelBuilder {
    /// Speaks TLS. Without it the channel is plaintext.
    pub fn tls(mut self, tls: ClientTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// What the server sees as `:authority`; by default the host and port of the target.
    pub fn authority(mut self, authority: impl Into<String>) -> Self {
        self.authority = Some(authority.into());
        self
    }

    /// Put in front of the engine's own `user-agent`.
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.user_agent = Some(user_agent.into());
        self
    }

    /// Asks `resolver` for addresses, instead of what the target says. The target still names the authority and the host
    /// of TLS; its scheme and address are not looked at.
    pub fn resolver(mut self, resolver: impl Resolver) -> Self {
        self.resolver = Some(Arc::new(resolver));
        self
    }

    /// How long a name that the system resolves holds, at least 1 s. Then it is resolved again, so that servers that were
    /// added are found although none was lost. By default 30 s, and for `pick_first`, which would not move to them, until a connection is lost.
    pub fn name_ttl(mut self, ttl: Duration) -> Self {
        self.name_ttl = Some(ttl);
        self
    }

    /// Which of a service's addresses are connected, and which of them a call gets; the first that answers by default.
    /// Goes before what the service config says.
    pub fn load_balancing(mut self, load_balancing: LoadBalancing) -> Self {
        self.rules.load_balancing = Some(load_balancing);
        self
    }

    /// What the service's owner says about calling it, as JSON in the form of gRPC's `ServiceConfig`:
    /// `loadBalancingConfig`, `methodConfig` (`timeout`, `waitForReady`, the largest messages, `retryPolicy`,
    /// `hedgingPolicy`) and `retryThrottling`. Without one nothing is retried but what certainly nobody worked on.
    ///
    /// ```
    /// # fn example() -> Result<(), spanwire::ChannelError> {
    /// let channel = spanwire::Channel::builder("dns:///orders:443")
    ///     .service_config(
    ///         r#"{"methodConfig": [{
    ///             "name": [{"service": "orders.Orders"}],
    ///             "retryPolicy": {
    ///                 "maxAttempts": 3, "initialBackoff": "0.1s", "maxBackoff": "1s", "backoffMultiplier": 2,
    ///                 "retryableStatusCodes": ["UNAVAILABLE"]
    ///             }
    ///         }]}"#,
    ///     )
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn service_config(mut self, json: impl Into<String>) -> Self {
        self.service_config = Some(json.into());
        self
    }

    /// Whether servers are asked for their health where the service config has a `healthCheckConfig`; `true` by default.
    pub fn health_checks(mut self, check: bool) -> Self {
        self.rules.health_checks = check;
        self
    }

    /// The most connections to one address that a service config's `connectionScaling` gets; 10 by default. Without such a
    /// config there is one.
    pub fn max_connections_per_subchannel(mut self, connections: usize) -> Self {
        self.rules.max_connections_per_subchannel = connections;
        self
    }

    /// Whether calls are made again, or hedged, as the service config says; by default they are. What certainly no server
    /// worked on is made again all the same.
    pub fn retries(mut self, retries: bool) -> Self {
        self.rules.retries = retries;
        self
    }

    /// Sends `authorization: Bearer <token>` with every call that has no `authorization` of its own. Only over TLS, or to a
    /// server on this machine that is no TCP port; of several settings the last one counts.
    pub fn bearer_token(mut self, token: impl Into<String>) -> Self {
        self.bearer_token = Some(Source::Fixed(token.into()));
        self
    }

    /// Like [`bearer_token`](Self::bearer_token), with a token from a file that is read again: shortly before the end that a
    /// JWT names, and otherwise once a minute (gRFC A97). While it cannot be read, calls fail with UNAVAILABLE.
    pub fn bearer_token_file(mut self, path: impl Into<std::path::PathBuf>) -> Self {
        self.bearer_token = Some(Source::File(path.into()));
        self
    }

    /// Like [`bearer_token`](Self::bearer_token), with a token that is asked for: with the first call, and shortly before the
    /// last one ends. One call asks, others wait for it. A failure is the status of the calls of the next second.
    pub fn bearer_token_source<F, Fut>(mut self, ask: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Token, Status>> + Send + 'static,
    {
        self.bearer_token = Some(Source::asked(ask));
        self
    }

    /// How long there may be no call before the connections are closed, until the next one: 30 minutes by default, `None`
    /// never. They may stay for up to twice as long.
    pub fn idle_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.idle_timeout = timeout.into();
        self
    }

    /// Pings the server when nothing was read for a while; off by default. On Linux the same timeout also
    /// bounds how long sent bytes may stay unacknowledged (gRFC A18).
    pub fn keepalive(mut self, keepalive: Keepalive) -> Self {
        self.keepalive = Some(keepalive);
        self
    }

    /// Longest that one connection attempt may take, TLS and HTTP/2 included; 20 s by default.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// The pause after the first failed attempt and the longest one: 1 s and 120 s by default. Each pause is
    /// 1.6 times the one before, ±20 %.
    pub fn backoff(mut self, first: Duration, longest: Duration) -> Self {
        self.backoff.initial = first;
        self.backoff.max = longest;
        self
    }

    /// Largest message to accept, in bytes after decompression; 4 MiB by default.
    pub fn max_recv_message_bytes(mut self, bytes: usize) -> Self {
        self.defaults.max_recv_bytes = bytes;
        self
    }

    /// Largest message to send, in bytes before compression; no limit by default but the protocol's 4 GiB.
    pub fn max_send_message_bytes(mut self, bytes: usize) -> Self {
        self.defaults.max_send_bytes = bytes;
        self
    }

    /// Largest response metadata to accept, in bytes as HTTP/2 counts them; 16 KiB by default.
    pub fn max_metadata_bytes(mut self, bytes: u32) -> Self {
        self.limits.max_metadata_bytes = bytes as usize;
        self.http2.max_metadata_bytes = bytes;
        self
    }

    /// Most metadata entries of a response's headers or trailers; 128 by default.
    pub fn max_metadata_fields(mut self, fields: usize) -> Self {
        self.limits.max_metadata_fields = fields;
        self
    }

    /// What a stream may have under way to us before its reader asks for more, at first; 512 KiB by
    /// default. It grows with the measured bandwidth-delay product up to `max_stream_window_bytes`.
    pub fn stream_window_bytes(mut self, bytes: u32) -> Self {
        self.http2.stream_window = bytes;
        self
    }

    /// How far the window of a stream may grow; 1 MiB by default.
    pub fn max_stream_window_bytes(mut self, bytes: u32) -> Self {
        self.http2.max_stream_window = bytes;
        self
    }

    /// What all streams of a connection together may have under way to us; 2 MiB by default, and four times the
    /// grown window of a stream if that is more, so that one unread stream does not stop the others.
    pub fn connection_window_bytes(mut self, bytes: u32) -> Self {
        self.http2.connection_window = bytes;
        self
    }

    /// What one stream may have queued for sending before its sender waits; 64 KiB by default.
    pub fn send_buffer_bytes(mut self, bytes: usize) -> Self {
        self.http2.send_buffer = bytes;
        self
    }

    /// How much of what costs a server nothing it may send: SETTINGS and the like.
    pub fn flood_limits(mut self, limits: FloodLimits) -> Self {
        self.http2.floods = limits;
        self
    }

    /// Compresses the requests of calls that do not say otherwise.
    pub fn compress(mut self, encoding: Encoding) -> Self {
        self.defaults.encoding = Some(encoding);
        self
    }

    /// Adds an interceptor; the first added is the outermost.
    pub fn interceptor(mut self, interceptor: impl Interceptor) -> Self {
        self.interceptors.push(Arc::new(interceptor));
        self
    }

    /// Mounts a tower layer as an interceptor.
    pub fn layer<L>(self, layer: L) -> Self
    where
        L: tower_layer::Layer<NextService>,
        LayerInterceptor<L::Service>: Interceptor,
    {
        self.interceptor(LayerInterceptor::new(&layer))
    }

    /// Runs where `spawner` says.
    pub(crate) fn spawner(mut self, spawner: Spawner) -> Self {
        self.spawner = spawner;
        self
    }

    /// Has all calls told to what `watcher` makes for the channel.
    pub(crate) fn watcher(mut self, watcher: Arc<dyn Watcher>) -> Self {
        self.watcher = Some(watcher);
        self
    }

    /// Whether connections go through an HTTP proxy; as the environment says by default.
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.proxy = proxy;
        self
    }

    /// Runs connections on byte streams that `connector` makes, instead of connecting to the target: through a proxy,
    /// over something that is no socket, or in memory. It is asked once for each attempt; an error is a failed attempt
    /// (UNAVAILABLE, then backoff), and an attempt that takes longer than the connect timeout is dropped. The target
    /// still names the authority and the host of TLS, which runs on top of the stream.
    ///
    /// ```
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use spanwire::Channel;
    /// use tokio::net::TcpStream;
    ///
    /// let channel = Channel::builder("orders.test:443")
    ///     .connector(|| async { TcpStream::connect("127.0.0.1:50051").await })
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn connector<F, Fut, T>(mut self, connector: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = io::Result<T>> + Send + 'static,
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        self.dial = Some(Dial::new(connector));
        self
    }

    /// Runs the connection on the lanes of `engine` instead of the caller's tokio runtime.
    pub fn engine(mut self, engine: &Engine) -> Self {
        self.spawner = Spawner::Engine(engine.clone());
        self
    }

    /// Runs the connection, and whatever its calls start by themselves, on one lane.
    pub(crate) fn lane(mut self, engine: &Engine, index: usize) -> Self {
        self.spawner = Spawner::Lane(engine.clone(), index);
        self
    }

    fn check(&self) -> Result<(), BadOption> {
        self.http2.check()?;
        limits::at_least_one("max_metadata_fields", self.limits.max_metadata_fields)?;
        limits::at_least_one("max_connections_per_subchannel", self.rules.max_connections_per_subchannel)?;
        limits::some_time("connect_timeout", Some(self.connect_timeout))?;
        limits::some_time("name_ttl", self.name_ttl)?;
        limits::some_time("idle_timeout", self.idle_timeout)?;
        let BackoffConfig { initial, max, .. } = self.backoff;
        limits::some_time("backoff", Some(initial))?;
        limits::check(
            initial <= max,
            "backoff",
            &(initial, max),
            "the first pause is longer than the longest",
        )?;
        self.keepalive.as_ref().map_or(Ok(()), Keepalive::check)
    }

    /// Makes the channel. Nothing is connected yet.
    ///
    /// # Errors
    /// A malformed target or setting, or TLS settings that do not work.
    pub fn build(self) -> Result<Channel, ChannelError> {
        self.check()?;
        let target = Target::parse(&self.target)?;
        let asks_dns = self.dns.naming(&target, self.name_ttl)?;
        let service_config = self.service_config.as_deref().map(|json| self.rules.read(json));
        let service_config = service_config.transpose()?.unwrap_or_default();
        let authority = self.authority.unwrap_or_else(|| target.authority().to_owned());
        let authority = Authority::try_from(authority.as_str()).map_err(|_| ChannelError::Setting {
            setting: "authority",
            value: authority,
            reason: "it is not of the form host or host:port",
        })?;
        let user_agent = match self.user_agent {
            Some(prefix) => format!("{prefix} {USER_AGENT}"),
            None => USER_AGENT.to_owned(),
        };
        let user_agent = HeaderValue::try_from(&user_agent).map_err(|_| ChannelError::Setting {
            setting: "user_agent",
            value: user_agent,
            reason: "it has characters that a header cannot carry",
        })?;
        let tls = self.tls.map(|tls| tls.build()).transpose()?;
        if self.bearer_token.is_some() && tls.is_none() && !target.is_local() {
            return Err(ChannelError::Setting {
                setting: "bearer_token",
                value: "a token".to_owned(),
                reason: "without TLS everybody on the way could read it",
            });
        }
        let scheme = if tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
        let backoff = BackoffConfig { min_connect_timeout: self.connect_timeout, ..self.backoff };
        let tunnel = match &target.endpoint {
            target::Endpoint::Dns { host, port, .. } if self.dial.is_none() && self.resolver.is_none() => {
                self.proxy.tunnel(host, *port, |name| std::env::var(name).ok())?
            }
            _ => None,
        };
        let config_from_resolver =
            self.dial.is_none() && (self.resolver.is_some() || asks_dns.is_some() && tunnel.is_none());
        let naming = match (self.resolver, &tunnel) {
            _ if self.dial.is_some() => Naming::Fixed(vec![Address::Connector.into()]),
            (Some(resolver), _) => Naming::Asked(resolver),
            (None, Some(tunnel)) => Naming::Asked(tunnel.resolver()),
            (None, None) => asks_dns.unwrap_or_else(|| Naming::of(&target)),
        };
        let keeping = Keeping {
            naming,
            name_ttl: self.name_ttl,
            rules: self.rules,
            service_config,
            config_from_resolver,
            idle_timeout: self.idle_timeout,
        };
        let connector = Connector {
            target: target.to_string(),
            host: target.host().to_owned(),
            dial: self.dial,
            tunnel,
            tls,
            http2: self.http2,
            connect_timeout: self.connect_timeout,
            keepalive: std::sync::Mutex::new(self.keepalive),
            counters: Arc::new(ChannelCounters::default()),
        };
        let template = RequestTemplate::new(scheme, authority, EncodingSet::all(), user_agent);
        let credentials = self.bearer_token.map(Credentials::new);
        let means = Means {
            attempt: Attempt::run,
            connector,
            backoff,
            spawner: self.spawner.clone(),
            mail: Mail::default(),
            side_calls: SideCalls {
                template: template.clone(),
                credentials: credentials.clone(),
                limits: self.limits,
            },
        };
        let watch =
            self.watcher.map(|watcher| watcher.channel(&target.canonical(), &means.connector.counters));
        let inner = Inner {
            control: Control::new(means, keeping),
            spawner: self.spawner,
            target,
            template,
            defaults: self.defaults,
            credentials,
            limits: self.limits,
            interceptors: Interceptors::new(self.interceptors),
            watch,
        };
        Ok(Channel { inner: Arc::new(inner) })
    }
}

impl fmt::Debug for ChannelBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelBuilder").field("target", &self.target).finish_non_exhaustive()
    }
}

/// `grpc-<language>-<variant>/<version>`, as the specification recommends.
const USER_AGENT: &str = concat!("grpc-rust-spanwire/", env!("CARGO_PKG_VERSION"));
