//! Accepting connections, and ending them.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use super::ServeError;
use super::built_in::Host;
use super::call::Dispatcher;
use super::edge::{Connection, Edge};
use super::router::Router;
use crate::engine::Spawner;
use crate::registry::next_id;
use crate::stats::{Calls, ServerCounters, ServerStats};
use crate::timer::after;
use crate::transport::custom::Incoming;
use crate::transport::http1::Terms;
use crate::transport::io::{Io, PeerAddr, RawIo, USER_TIMEOUT};
use crate::transport::listen::{self, AcceptBackoff, Address, Bound};
use crate::transport::server::{Lifetime, Shutdown, open};
use crate::transport::tls::ServerTlsConfig;
use crate::transport::{Http2, Peer, Version, inprocess, sniff};

/// Everything that a connection needs to know.
pub(crate) struct Settings {
    pub(crate) router: Arc<Router>,
    pub(crate) tls: Option<ServerTlsConfig>,
    pub(crate) edge: Option<Arc<dyn Edge>>,
    pub(crate) http2: Http2,
    pub(crate) lifetime: Lifetime,
    pub(crate) max_connections: usize,
    pub(crate) share_port: bool,
    pub(crate) drain_delay: Duration,
    pub(crate) host: Host,
}

/// A server that listens. [`BoundServer::run`] accepts.
#[derive(Debug)]
pub struct BoundServer {
    sockets: Vec<Socket>,
    local_addr: PeerAddr,
    address: String,
    acceptor: Acceptor,
    spawner: Spawner,
}

#[derive(Debug)]
enum Socket {
    Os(Bound),
    InProcess(inprocess::Listener),
    Incoming(Incoming),
}

/// Shuts a server down, from anywhere. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ServerHandle {
    shutdown: Shutdown,
    drain_delay: Duration,
    counters: Arc<ServerCounters>,
}

impl ServerHandle {
    /// What the server does now, and how often each limit was hit.
    #[must_use]
    pub fn stats(&self) -> ServerStats {
        self.counters.read()
    }

    /// Drains the server: its health service says NOT_SERVING; after
    /// [`drain_delay`](crate::ServerBuilder::drain_delay) it stops accepting, tells clients to go elsewhere (GOAWAY), and
    /// waits for running calls. When `grace` is over, whatever still runs is ended. Resolves when everything is gone,
    /// `grace` after the call at the latest, whatever the clients do. Another shutdown may shorten the first.
    pub async fn shutdown(&self, grace: Duration) {
        let end = after(Instant::now(), grace);
        let drain_at = after(self.shutdown.leave(), self.drain_delay).min(end);
        if drain_at > Instant::now() {
            // Another one may be in more of a hurry.
            let _ = timeout_at(drain_at, self.shutdown.drain.cancelled()).await;
        }
        self.shutdown.drain();
        self.shutdown.tracker.close();
        if timeout_at(end, self.shutdown.tracker.wait()).await.is_err() {
            tracing::debug!("grace is over: closing the connections that are left");
        }
        self.shutdown.kill();
        // Tasks see the kill at their next poll; none of them waits for a peer.
        let _ = timeout(KILL_TIME, self.shutdown.tracker.wait()).await;
    }
}

/// What a killed task may take to be scheduled once more.
const KILL_TIME: Duration = Duration::from_millis(500);

impl BoundServer {
    pub(crate) async fn bind(
        address: &str,
        settings: Settings,
        spawner: Spawner,
    ) -> Result<Self, ServeError> {
        let text = address.to_owned();
        let (sockets, local_addr) = match address.strip_prefix("inprocess:") {
            Some(name) => (vec![Socket::InProcess(inprocess::listen(name)?)], PeerAddr::InProcess),
            None => {
                let address =
                    Address::from_str(address).map_err(|error| ServeError::Address(error.to_string()))?;
                let lanes = if let Spawner::Engine(engine) = &spawner { engine.lanes() } else { 1 };
                let bound = listen::bind(&address, lanes, settings.share_port).await?;
                let local = bound.first().map_or(PeerAddr::InProcess, Bound::local_addr);
                (bound.into_iter().map(Socket::Os).collect(), local)
            }
        };
        // It is bound once.
        let _ = settings.host.counters.listens.set((next_id(), local_addr.clone()));
        Ok(BoundServer { sockets, local_addr, address: text, acceptor: Acceptor::new(settings), spawner })
    }

    pub(crate) fn with_incoming(incoming: Incoming, settings: Settings, spawner: Spawner) -> Self {
        let local_addr = PeerAddr::Custom;
        let address = local_addr.to_string();
        let sockets = vec![Socket::Incoming(incoming)];
        BoundServer { sockets, local_addr, address, acceptor: Acceptor::new(settings), spawner }
    }

    /// The address that it listens on, with the real port where port 0 was asked for.
    #[must_use]
    pub fn local_addr(&self) -> &PeerAddr {
        &self.local_addr
    }

    /// A target for channels in this process or on this machine, such as `127.0.0.1:50051` or `unix:/path`.
    /// Only where it listens: a server on streams of the caller has none, and this is the word `custom`.
    #[must_use]
    pub fn target(&self) -> String {
        match &self.local_addr {
            PeerAddr::Tcp(address) if address.ip().is_unspecified() && address.is_ipv4() => {
                format!("127.0.0.1:{}", address.port())
            }
            PeerAddr::Tcp(address) if address.ip().is_unspecified() => format!("[::1]:{}", address.port()),
            PeerAddr::Tcp(address) => address.to_string(),
            PeerAddr::Unix(_) | PeerAddr::InProcess | PeerAddr::Custom => self.address.clone(),
        }
    }

    /// The port, if it listens on TCP.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        match self.local_addr {
            PeerAddr::Tcp(address) => Some(address.port()),
            _ => None,
        }
    }

    /// The way to shut it down, and to ask how it does.
    #[must_use]
    pub fn handle(&self) -> ServerHandle {
        let Acceptor { shutdown, counters, settings, .. } = &self.acceptor;
        let drain_delay = settings.drain_delay;
        ServerHandle { shutdown: shutdown.clone(), drain_delay, counters: counters.clone() }
    }

    /// Accepts and serves until [`ServerHandle::shutdown`]. Dropping the future stops accepting; connections
    /// that exist go on.
    pub async fn run(self) {
        let BoundServer { sockets, acceptor, spawner, .. } = self;
        // Tracked as connections are: a server is gone only when its address is free.
        let tracker = &acceptor.shutdown.tracker;
        let accept = |(index, socket)| {
            let task = acceptor.clone().accept_loop(socket, spawner.clone());
            match &spawner {
                Spawner::Engine(engine) => tracker.spawn_on(task, engine.lane(index)),
                Spawner::Lane(engine, index) => tracker.spawn_on(task, engine.lane(*index)),
                Spawner::Current => tracker.spawn(task),
            }
        };
        let accepting: Vec<_> = sockets.into_iter().enumerate().map(accept).collect();
        let stop = StopOnDrop(acceptor.shutdown.clone());
        for task in accepting {
            // An error is its end, too.
            let _ = task.await;
        }
        drop(stop);
        acceptor.shutdown.tracker.close();
        acceptor.shutdown.tracker.wait().await;
    }
}

/// Dropping `run` must not leave an accept loop behind.
struct StopOnDrop(Shutdown);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.accept.cancel();
    }
}

#[derive(Clone)]
struct Acceptor {
    settings: Arc<Settings>,
    connections: Arc<Semaphore>,
    shutdown: Shutdown,
    counters: Arc<ServerCounters>,
}

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Acceptor")
            .field("free", &self.connections.available_permits())
            .finish_non_exhaustive()
    }
}

impl Acceptor {
    fn new(settings: Settings) -> Self {
        let permits = settings.max_connections.min(Semaphore::MAX_PERMITS);
        let Host { shutdown, counters, .. } = settings.host.clone();
        Acceptor {
            settings: Arc::new(settings),
            connections: Arc::new(Semaphore::new(permits)),
            shutdown,
            counters,
        }
    }

    /// One listening socket. Its connections stay on this runtime, so on an engine each lane serves what it
    /// accepted.
    async fn accept_loop(self, socket: Socket, spawner: Spawner) {
        tokio::select! {
            biased;
            () = self.shutdown.drain.cancelled() => {}
            () = self.shutdown.accept.cancelled() => {}
            () = self.accept_when_ready(socket, &spawner) => {}
        }
    }

    async fn accept_when_ready(&self, socket: Socket, spawner: &Spawner) {
        self.settings.router.guards.start(&self.counters.limits).await;
        self.accept_all(socket, spawner).await;
    }

    async fn accept_all(&self, socket: Socket, spawner: &Spawner) {
        match socket {
            Socket::Incoming(mut incoming) => {
                let mut backoff = AcceptBackoff::new();
                while let Some(accepted) = incoming.accept().await {
                    match accepted {
                        Ok(io) => {
                            backoff.on_success();
                            let Some(permit) = self.permit().await else { return };
                            // It was not accepted by a lane of its own: any of them may have it.
                            let lane = spawner.handle().unwrap_or_else(Handle::current);
                            self.spawn_connection(io, permit, &lane);
                        }
                        Err(error) => {
                            self.counters.limits.accept_errors.hit();
                            tokio::time::sleep(backoff.on_error(&error)).await;
                        }
                    }
                }
            }
            Socket::InProcess(mut listener) => {
                while let Some(io) = listener.accept().await {
                    let Some(permit) = self.permit().await else { return };
                    self.spawn_connection(io, permit, &Handle::current());
                }
            }
            Socket::Os(bound) => {
                let listener = match bound.into_listener() {
                    Ok(listener) => listener,
                    Err(error) => return tracing::error!(%error, "cannot accept connections"),
                };
                let mut backoff = AcceptBackoff::new();
                loop {
                    match listener.accept().await {
                        Ok((io, _)) => {
                            backoff.on_success();
                            // One that is above the limit waits here; the rest, in the system's queue.
                            let Some(permit) = self.permit().await else { return };
                            self.spawn_connection(io, permit, &Handle::current());
                        }
                        // Nothing that a connection does may end the loop: out of descriptors is a pause.
                        Err(error) => {
                            self.counters.limits.accept_errors.hit();
                            tokio::time::sleep(backoff.on_error(&error)).await;
                        }
                    }
                }
            }
        }
    }

    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = self.connections.clone().try_acquire_owned() {
            return Some(permit);
        }
        self.counters.limits.connection_waits.hit();
        self.connections.clone().acquire_owned().await.ok()
    }

    fn spawn_connection(&self, io: RawIo, permit: OwnedSemaphorePermit, runtime: &Handle) {
        let live = self.counters.connection();
        // A future holds room for all that it ever awaits at the same time, and connections are many: so what opens one
        // is in a box, and gone when it serves.
        let opening = Box::pin(self.clone().open(io, live.calls.clone()));
        let connection = async move {
            let _lives = (&permit, &live);
            let Some((connection, peer)) = opening.await else { return };
            if let Err(reason) = connection.await {
                tracing::debug!(peer = %peer.addr(), reason, "connection ended");
            }
        };
        self.shutdown.tracker.spawn_on(connection, runtime);
    }

    async fn open(self, raw: RawIo, calls: Arc<Calls>) -> Option<(Connection, Arc<Peer>)> {
        let peer = raw.peer_addr();
        match self.try_open(raw, &calls).await {
            Ok(opened) => opened,
            Err(reason) => {
                tracing::debug!(%peer, reason, "connection ended");
                None
            }
        }
    }

    async fn try_open(
        &self,
        raw: RawIo,
        calls: &Arc<Calls>,
    ) -> Result<Option<(Connection, Arc<Peer>)>, String> {
        let settings = &*self.settings;
        let deadline = after(Instant::now(), settings.lifetime.handshake_timeout);
        // Without it a vanished peer is noticed by the ping alone: worth having, not worth failing for. To the system a
        // client that takes nothing for a while is gone too, so it may not be less patient than we are.
        let patience = settings.lifetime.stall_timeout.map_or(Duration::ZERO, |stall| {
            let answer =
                settings.lifetime.keepalive.as_ref().map_or(USER_TIMEOUT, |keepalive| keepalive.timeout);
            stall.max(answer)
        });
        let _ = raw.set_user_timeout(patience);
        let io = match &settings.tls {
            None => Io::from(raw),
            Some(tls) => tokio::select! {
                biased;
                io = tokio::time::timeout_at(deadline, tls.handshake(raw)) => io
                    .map_err(|_| {
                        self.counters.limits.handshakes.hit();
                        "TLS handshake not done within handshake_timeout".to_owned()
                    })?
                    .map_err(|error| error.to_string())?,
                () = self.shutdown.newcomers_end() => return Ok(None),
            },
        };
        let peer = Arc::new(Peer::of(&io));
        calls.set_peer(&peer);
        let threads = Handle::current().runtime_flavor() != RuntimeFlavor::CurrentThread;
        let Settings { router, edge, http2, lifetime, .. } = settings;
        let dispatcher =
            Dispatcher { router: router.clone(), peer: peer.clone(), threads, edge: edge.clone() };
        let (io, version) = match edge {
            None => (io, Version::Http2),
            Some(_) => tokio::select! {
                biased;
                sniffed = timeout_at(deadline, sniff(io)) => sniffed
                    .map_err(|_| {
                        self.counters.limits.handshakes.hit();
                        "no request within handshake_timeout".to_owned()
                    })?
                    .map_err(|error| error.to_string())?,
                () = self.shutdown.newcomers_end() => return Ok(None),
            },
        };
        if let (Some(edge), Version::Http1) = (edge, version) {
            let terms = Terms {
                deadline,
                http2: http2.clone(),
                max_fields: router.limits.metadata.max_metadata_fields,
                lifetime: lifetime.clone(),
                shutdown: self.shutdown.clone(),
                calls: calls.clone(),
            };
            return Ok(Some((edge.serve(io, terms, dispatcher), peer)));
        }
        let opened = open(io, deadline, http2, lifetime, &self.shutdown, calls, dispatcher).await?;
        Ok(opened.map(|connection| (connection as Connection, peer)))
    }
}
