//! Servers: from a listening socket to handlers.

mod authorization;
mod built_in;
mod call;
mod context;
mod edge;
mod guard;
mod handler;
mod intercept;
mod jwt;
mod pace;
pub(crate) mod rate_limits;
mod receive;
mod responder;
mod router;
mod serve;
mod shedding;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_core::Stream;
use spanwire_wire::call::Limits;
use tokio::io::{AsyncRead, AsyncWrite};

pub(crate) use built_in::{BuiltIn, Host};
pub(crate) use call::Dispatcher;
pub use context::Context;
use edge::MakeEdge;
pub(crate) use edge::{Admitted, Connection, Edge};
use guard::{Guard, Guards, MakeGuard, Stage};
pub(crate) use handler::UnaryAnswer;
pub use handler::{Fallback, Handler, Service};
pub use jwt::{Claims, Jwt};
pub use rate_limits::RateLimit;
pub(crate) use receive::ServerReceive;
pub(crate) use responder::CallShared;
#[cfg(test)]
pub(crate) use router::UNFINISHED_MESSAGES;
use router::{CallLimits, Router, Routes};
pub use serve::{BoundServer, ServerHandle};

use crate::engine::Spawner;
use crate::middleware::{Interceptor, Interceptors, LayerInterceptor, NextService};
use crate::observe::ServerWatch;
use crate::stats::SERVERS;
use crate::transport::custom::Incoming;
use crate::transport::limits::{self, BadOption, FloodLimits};
use crate::transport::server::Lifetime;
use crate::transport::watch::PingPolicy;
use crate::transport::{Http2, Keepalive, ServerTls, TlsError};
use crate::{Engine, Method};

/// Readers of what comes from outside, for fuzzing.
#[doc(hidden)]
pub mod testing {
    pub use super::authorization::read_policy;
    pub use super::jwt::check_token;
}

/// A gRPC server; see [`Server::builder`].
///
/// ```no_run
/// # use spanwire::{Server, server::{Handler, Service}};
/// # struct Greeter; impl Service for Greeter {
/// #   fn name(&self) -> &'static str { "demo.Greeter" }
/// #   fn methods(&self) -> Vec<(&'static str, Handler)> { Vec::new() } }
/// # async fn example() -> Result<(), spanwire::ServeError> {
/// let server = Server::builder().service(Greeter).bind("127.0.0.1:0").await?;
/// println!("listening on {}", server.local_addr());
/// let handle = server.handle();
/// let running = tokio::spawn(server.run());
/// // Later: let running calls finish, but for no longer than ten seconds.
/// handle.shutdown(std::time::Duration::from_secs(10)).await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Server(());

/// Why a server could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address is malformed.
    #[error("{0}")]
    Address(String),
    /// The address cannot be listened on.
    #[error("{0}")]
    Bind(#[from] std::io::Error),
    /// The TLS settings do not work.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// What is to protect the server cannot be used.
    #[error("{setting}: {problem}")]
    Security {
        /// The name of the option.
        setting: &'static str,
        /// What is wrong with it, and where.
        problem: String,
    },
    /// An option has a value that makes no sense.
    #[error("{setting}: {value} cannot be used: {reason}")]
    Setting {
        /// The name of the option.
        setting: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl From<BadOption> for ServeError {
    fn from(BadOption { setting, value, reason }: BadOption) -> Self {
        ServeError::Setting { setting, value, reason }
    }
}

/// The default of [`ServerBuilder::stall_timeout`].
pub(crate) const STALL_TIMEOUT: Duration = Duration::from_secs(60);

/// The default of [`ServerBuilder::handshake_timeout`].
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(20);

/// The default of [`ServerBuilder::max_connections`].
pub(crate) const MAX_CONNECTIONS: usize = 10_000;

/// The default of [`ServerBuilder::max_recv_message_bytes`].
pub(crate) const MAX_RECV_MESSAGE_BYTES: usize = 4 * 1024 * 1024;

impl Server {
    /// Starts the settings of a server.
    pub fn builder() -> ServerBuilder {
        ServerBuilder {
            services: Vec::new(),
            methods: Vec::new(),
            fallback: None,
            other_methods: None,
            interceptors: Vec::new(),
            guards: Vec::new(),
            tls: None,
            http2: Http2 { floods: FloodLimits::server_default(), ..Http2::default() },
            limits: CallLimits {
                metadata: Limits::default(),
                max_recv_bytes: MAX_RECV_MESSAGE_BYTES,
                max_unfinished_bytes: None,
                max_send_bytes: u32::MAX as usize,
                stall_timeout: Some(STALL_TIMEOUT),
            },
            lifetime: Lifetime {
                handshake_timeout: HANDSHAKE_TIMEOUT,
                keepalive: Some(Keepalive::server_default()),
                max_age: None,
                max_age_grace: None,
                max_idle: None,
                pings: PingPolicy::server_default(),
                stall_timeout: Some(STALL_TIMEOUT),
            },
            max_connections: MAX_CONNECTIONS,
            share_port: false,
            drain_delay: Duration::ZERO,
            built_in: Vec::new(),
            edge: None,
            watch: None,
            spawner: Spawner::Current,
        }
    }
}

/// Settings of a [`Server`].
#[must_use = "a builder does nothing until `serve` or `bind`"]
pub struct ServerBuilder {
    services: Vec<Box<dyn Service>>,
    methods: Vec<(Method, Handler)>,
    fallback: Option<Arc<dyn Fallback>>,
    other_methods: Option<Handler>,
    interceptors: Vec<Arc<dyn Interceptor>>,
    guards: Vec<(Stage, MakeGuard)>,
    tls: Option<ServerTls>,
    http2: Http2,
    limits: CallLimits,
    lifetime: Lifetime,
    max_connections: usize,
    share_port: bool,
    drain_delay: Duration,
    built_in: Vec<BuiltIn>,
    edge: Option<MakeEdge>,
    watch: Option<Arc<dyn ServerWatch>>,
    spawner: Spawner,
}

impl ServerBuilder {
    /// Adds a service. One with the same name replaces the methods that both have.
    pub fn service(mut self, service: impl Service) -> Self {
        self.services.push(Box::new(service));
        self
    }

    /// Adds one method, for programs that learn only when they run what they serve.
    pub(crate) fn method(mut self, method: Method, handler: Handler) -> Self {
        self.methods.push((method, handler));
        self
    }

    /// Adds a service of the engine itself.
    pub(crate) fn built_in(mut self, built_in: BuiltIn) -> Self {
        self.built_in.push(built_in);
        self
    }

    /// Like a fallback, with messages that flow by themselves.
    pub(crate) fn other_methods(mut self, handler: Handler) -> Self {
        self.other_methods = Some(handler);
        self
    }

    /// Lets others in than those who speak gRPC; `make` runs when the server binds.
    pub(crate) fn edge(mut self, make: MakeEdge) -> Self {
        self.edge = Some(make);
        self
    }

    /// Has all calls told to `watch`.
    pub(crate) fn watch(mut self, watch: Arc<dyn ServerWatch>) -> Self {
        self.watch = Some(watch);
        self
    }

    /// Handles calls to methods that no service has, instead of answering UNIMPLEMENTED. For a proxy:
    /// `.fallback(move |call| channel.call(call))`.
    pub fn fallback(mut self, fallback: impl Fallback) -> Self {
        self.fallback = Some(Arc::new(fallback));
        self
    }

    /// Adds an interceptor; the first added is the outermost.
    pub fn interceptor(mut self, interceptor: impl Interceptor) -> Self {
        self.interceptors.push(Arc::new(interceptor));
        self
    }

    /// Adds a check of every request's head; `make` runs when the server binds.
    pub(crate) fn guard(
        mut self,
        stage: Stage,
        make: impl FnOnce() -> Result<Box<dyn Guard>, ServeError> + Send + 'static,
    ) -> Self {
        self.guards.push((stage, Box::new(make)));
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

    /// Speaks TLS. Without it the server is plaintext.
    pub fn tls(mut self, tls: ServerTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Largest request message, in bytes after decompression; 4 MiB by default. Above it:
    /// RESOURCE_EXHAUSTED.
    pub fn max_recv_message_bytes(mut self, bytes: usize) -> Self {
        self.limits.max_recv_bytes = bytes;
        self
    }

    /// What one connection may hold of request messages that are not whole yet, in bytes; by default 64 times
    /// `max_recv_message_bytes`, which is 256 MiB. The call that goes beyond gets RESOURCE_EXHAUSTED.
    pub fn max_unfinished_request_bytes(mut self, bytes: usize) -> Self {
        self.limits.max_unfinished_bytes = Some(bytes);
        self
    }

    /// Largest response message, in bytes before compression; no limit by default but the protocol's 4 GiB.
    pub fn max_send_message_bytes(mut self, bytes: usize) -> Self {
        self.limits.max_send_bytes = bytes;
        self
    }

    /// How long a client may keep a call waiting without room for a single byte of its answer; then the stream
    /// is reset with ENHANCE_YOUR_CALM. 60 s by default, so that silent clients cannot hold memory; `None` for
    /// clients that pause longer between messages.
    pub fn stall_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.limits.stall_timeout = timeout;
        self.lifetime.stall_timeout = timeout;
        self
    }

    /// Largest request metadata, in bytes as HTTP/2 counts them (name + value + 32 each); 16 KiB by default.
    /// Above it that call gets RESOURCE_EXHAUSTED; the connection stays.
    pub fn max_metadata_bytes(mut self, bytes: u32) -> Self {
        self.limits.metadata.max_metadata_bytes = bytes as usize;
        self.http2.max_metadata_bytes = bytes;
        self
    }

    /// Most metadata entries of a request; 128 by default.
    pub fn max_metadata_fields(mut self, fields: usize) -> Self {
        self.limits.metadata.max_metadata_fields = fields;
        self
    }

    /// Calls that one connection may have open at once; 256 by default. Clients queue the rest.
    pub fn max_concurrent_streams(mut self, streams: u32) -> Self {
        self.http2.max_concurrent_streams = streams;
        self
    }

    /// What a stream may have under way to us before its handler asks for more, at first; 512 KiB by
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

    /// How much of what costs a client nothing it may send: resets, SETTINGS and the like.
    pub fn flood_limits(mut self, limits: FloodLimits) -> Self {
        self.http2.floods = limits;
        self
    }

    /// Connections at once; 10 000 by default. Further ones wait in the operating system's queue.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections;
        self
    }

    /// Lets other processes listen on the same port, if they say so too: for servers that fork, or that are replaced while
    /// they run. Linux spreads connections over them, other Unix systems prefer one. Without it a port that is in use is an
    /// error.
    pub fn share_port(mut self, share: bool) -> Self {
        self.share_port = share;
        self
    }

    /// How long a [shutdown](ServerHandle::shutdown) goes on serving after the health service has begun to say NOT_SERVING,
    /// so that balancers notice and send no more calls; 0 by default. It is a part of the shutdown's grace.
    pub fn drain_delay(mut self, delay: Duration) -> Self {
        self.drain_delay = delay;
        self
    }

    /// Longest for TLS, HTTP/2 preface and SETTINGS of a new connection together; 20 s by default.
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.lifetime.handshake_timeout = timeout;
        self
    }

    /// Pings clients that were silent for a while; by default after 2 h, with 20 s to answer. `None` never
    /// pings.
    pub fn keepalive(mut self, keepalive: Option<Keepalive>) -> Self {
        self.lifetime.keepalive = keepalive;
        self
    }

    /// How often clients may ping: not below `min_interval` (5 min by default), and without calls only if
    /// `permit_without_calls` (else not below 2 h). After two pings too many the connection is closed with
    /// GOAWAY `too_many_pings` (gRFC A8).
    pub fn keepalive_enforcement(mut self, min_interval: Duration, permit_without_calls: bool) -> Self {
        self.lifetime.pings.min_interval = min_interval;
        self.lifetime.pings.permit_without_calls = permit_without_calls;
        self
    }

    /// Ends connections of this age (±10 %): they take no new calls, and running ones get `grace` (for ever
    /// without) to finish. Off by default (gRFC A9).
    pub fn max_connection_age(mut self, age: Duration, grace: Option<Duration>) -> Self {
        self.lifetime.max_age = Some(age);
        self.lifetime.max_age_grace = grace;
        self
    }

    /// Ends connections that had no call for this long. Off by default (gRFC A9).
    pub fn max_connection_idle(mut self, idle: Duration) -> Self {
        self.lifetime.max_idle = Some(idle);
        self
    }

    /// Runs on the lanes of `engine`, each with its own listening socket where the system can share a port,
    /// instead of in the caller's tokio runtime.
    pub fn engine(mut self, engine: &Engine) -> Self {
        self.spawner = Spawner::Engine(engine.clone());
        self
    }

    /// Listens on `address` (`host:port`, `[::]:port`, `unix:/path`, `inprocess:name`) without accepting yet.
    ///
    /// # Errors
    /// The address is malformed or taken, an option makes no sense, or the TLS settings do not work.
    pub async fn bind(self, address: &str) -> Result<BoundServer, ServeError> {
        let (settings, spawner) = self.settings()?;
        BoundServer::bind(address, settings, spawner).await
    }

    /// Takes its connections from `incoming`, each a byte stream that is accepted or made elsewhere: behind a proxy
    /// protocol, from something that is no socket, or in memory. Everything that holds for sockets holds for them too:
    /// TLS, limits, shutdown; on an engine they are spread over the lanes. An error of `incoming` is a pause at most;
    /// when it ends, [`BoundServer::run`] ends with the last connection.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use futures_util::stream;
    /// use spanwire::{Channel, Kind, Method, Raw, Server};
    /// use tokio::sync::mpsc;
    ///
    /// let (sender, receiver) = mpsc::channel(1);
    /// let incoming = stream::unfold(receiver, async |mut receiver| {
    ///     Some((Ok(receiver.recv().await?), receiver))
    /// });
    /// let server = Server::builder().bind_incoming(incoming)?;
    /// tokio::spawn(server.run());
    ///
    /// let channel = Channel::builder("memory")
    ///     .connector(move || {
    ///         let sender = sender.clone();
    ///         async move {
    ///             let (ours, theirs) = tokio::io::duplex(64 * 1024);
    ///             sender.send(theirs).await.map_err(std::io::Error::other)?;
    ///             Ok(ours)
    ///         }
    ///     })
    ///     .build()?;
    /// let answer = channel.unary::<Raw, Raw>(&Method::new("/no.Service/Method", Kind::Unary), Raw::default());
    /// assert_eq!(answer.await.unwrap_err().code(), spanwire::Code::Unimplemented);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// An option makes no sense, or the TLS settings do not work.
    pub fn bind_incoming<S, T>(self, incoming: S) -> Result<BoundServer, ServeError>
    where
        S: Stream<Item = io::Result<T>> + Send + 'static,
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (settings, spawner) = self.settings()?;
        Ok(BoundServer::with_incoming(Incoming::new(incoming), settings, spawner))
    }

    fn settings(self) -> Result<(serve::Settings, Spawner), ServeError> {
        self.check()?;
        let edge = self.edge.map(|make| make()).transpose()?;
        let tls = self.tls.as_ref().map(|tls| tls.build(edge.is_some())).transpose()?;
        let interceptors = Interceptors::new(self.interceptors);
        let host = Host::default();
        SERVERS.add(&host.counters);
        let mut services = self.services;
        for make in self.built_in {
            services.extend(make(&host)?);
        }
        let routes = Routes {
            services: &services,
            methods: self.methods,
            fallback: self.fallback,
            other_methods: self.other_methods,
            watch: self.watch.as_ref(),
        };
        let guards = Guards::new(self.guards)?;
        let router = Router::new(routes, guards, interceptors, self.limits);
        host.set_services(router.services());
        let settings = serve::Settings {
            router: Arc::new(router),
            tls,
            edge,
            http2: self.http2,
            lifetime: self.lifetime,
            max_connections: self.max_connections,
            share_port: self.share_port,
            drain_delay: self.drain_delay,
            host,
        };
        Ok((settings, self.spawner))
    }

    fn check(&self) -> Result<(), BadOption> {
        let lifetime = &self.lifetime;
        self.http2.check()?;
        limits::at_least_one("max_metadata_fields", self.limits.metadata.max_metadata_fields)?;
        let unfinished = self.limits.max_unfinished_bytes();
        limits::check(
            unfinished >= self.limits.max_recv_bytes,
            "max_unfinished_request_bytes",
            &unfinished,
            "it is below max_recv_message_bytes: no such message could arrive",
        )?;
        limits::at_least_one("max_connections", self.max_connections)?;
        limits::some_time("handshake_timeout", Some(lifetime.handshake_timeout))?;
        limits::some_time("stall_timeout", lifetime.stall_timeout)?;
        limits::some_time("max_connection_age", lifetime.max_age)?;
        limits::some_time("max_connection_idle", lifetime.max_idle)?;
        lifetime.keepalive.as_ref().map_or(Ok(()), Keepalive::check)
    }

    /// Binds and runs until `signal` resolves, then [shuts down](ServerHandle::shutdown) within `grace`.
    ///
    /// ```no_run
    /// # async fn example(builder: spanwire::ServerBuilder) -> Result<(), spanwire::ServeError> {
    /// let ten_seconds = std::time::Duration::from_secs(10);
    /// builder.serve_until("0.0.0.0:50051", async { drop(tokio::signal::ctrl_c().await) }, ten_seconds).await
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`ServerBuilder::bind`].
    pub async fn serve_until(
        self,
        address: &str,
        signal: impl Future<Output = ()>,
        grace: Duration,
    ) -> Result<(), ServeError> {
        let server = self.bind(address).await?;
        let handle = server.handle();
        // Beside each other: for the delay of a drain it goes on accepting.
        let shutdown = async {
            signal.await;
            handle.shutdown(grace).await;
        };
        tokio::select! {
            biased;
            () = server.run() => {}
            () = shutdown => {}
        }
        Ok(())
    }

    /// Binds and runs until the process ends (or, with [`ServerBuilder::bind`], until a shutdown).
    ///
    /// # Errors
    /// As [`ServerBuilder::bind`].
    pub async fn serve(self, address: &str) -> Result<(), ServeError> {
        self.bind(address).await?.run().await;
        Ok(())
    }
}

impl fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let services: Vec<_> = self.services.iter().map(|service| service.name()).collect();
        f.debug_struct("ServerBuilder").field("services", &services).finish_non_exhaustive()
    }
}
