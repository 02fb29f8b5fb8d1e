//! Servers of a host.

use std::future::Future;
use std::sync::mpsc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::event::{Attachment, Event, EventKind};
use super::lane::{on_lane, tell};
use super::options::ServerOptions;
use super::queue::Queue;
use super::server_call::{self, Gate, To};
use super::sync::Mutex;
use super::{Engine, OpError};
use crate::server::Handler;
use crate::{BoundServer, Health, Kind, Method, ServerBuilder, ServerHandle, ServerStats};

/// A server of a host: methods whose calls become events. Dropping it ends it at once.
#[derive(Debug)]
pub struct Server {
    engine: Engine,
    options: ServerOptions,
    routes: Mutex<Routes>,
    gate: Arc<Gate>,
    health: Health,
    listening: OnceLock<Listening>,
}

/// What was told to the server so far.
#[derive(Debug, Default)]
struct Routes {
    methods: Vec<(Method, Handler)>,
    others: Option<Handler>,
    /// It listens, or is about to.
    closed: bool,
}

#[derive(Debug)]
struct Listening {
    handle: ServerHandle,
    target: String,
    port: Option<u16>,
}

/// Where the calls of a method go.
#[derive(Clone, Debug)]
pub struct Destination {
    /// The queue of their events.
    pub queue: Queue,
    /// What the host wants to see in them.
    pub tag: usize,
    /// Request messages of a stream that may arrive before more are granted.
    pub credit: u32,
    /// What the binding wants to find in them.
    pub attachment: Option<Attachment>,
}

impl Server {
    /// A server that does not listen yet.
    ///
    /// # Errors
    /// [`OpError::Argument`]: an option that cannot be used. What only shows when it listens is told there.
    pub fn new(engine: &Engine, options: &ServerOptions) -> Result<Self, OpError> {
        engine.check()?;
        engine.lane(0).check()?;
        // What is wrong is said now, not when it listens.
        drop(options.apply(crate::Server::builder())?);
        options.telemetry.as_ref().map(|options| engine.telemetry(options)).transpose()?;
        let gate = if options.manual_accept { Gate::Counted(Semaphore::new(0)) } else { Gate::Open };
        Ok(Server {
            engine: engine.clone(),
            options: options.clone(),
            routes: Mutex::default(),
            gate: Arc::new(gate),
            health: Health::new(),
            listening: OnceLock::new(),
        })
    }

    /// Has calls of `method` (`/package.Service/Method`) told to `to`. Before [`Server::listen`].
    ///
    /// # Errors
    /// [`OpError::Argument`]: the path has not that form, or was told before. [`OpError::Over`]: it listens already.
    pub fn method(&self, method: &str, kind: Kind, to: &Destination) -> Result<(), OpError> {
        let valid = Method::parsed(method, kind);
        if valid.service().is_empty() || valid.name().is_empty() || valid.to_http().is_err() {
            return Err(OpError::Argument(format!("{method:?} is not of the form /package.Service/Method")));
        }
        let to = self.to(to);
        let handler = match kind {
            Kind::Unary => {
                let waits = !to.to.queue.takes();
                Handler::raw_unary(waits, move |message, context| server_call::unary(&to, message, context))
            }
            _ => Handler::raw_stream(kind, move |requests, replies, context| {
                Box::pin(server_call::stream(to.clone(), kind.one_request(), requests, replies, context))
            }),
        };
        self.add(|routes| {
            if routes.methods.iter().any(|(known, _)| known.path() == method) {
                return Err(OpError::Argument(format!("{method} was registered before")));
            }
            routes.methods.push((valid, handler));
            Ok(())
        })
    }

    /// Has calls of all other methods told to `to`, as bidirectional ones: for proxies. Without it they are UNIMPLEMENTED.
    ///
    /// # Errors
    /// [`OpError::Over`]: it listens already.
    pub fn fallback(&self, to: &Destination) -> Result<(), OpError> {
        let to = self.to(to);
        let handler = Handler::raw_stream(Kind::Bidi, move |requests, replies, context| {
            Box::pin(server_call::stream(to.clone(), false, requests, replies, context))
        });
        self.add(|routes| {
            routes.others = Some(handler);
            Ok(())
        })
    }

    fn to(&self, to: &Destination) -> Arc<To> {
        Arc::new(To { to: to.clone(), gate: self.gate.clone() })
    }

    fn add(&self, change: impl FnOnce(&mut Routes) -> Result<(), OpError>) -> Result<(), OpError> {
        self.engine.check()?;
        let mut routes = self.routes.lock();
        if routes.closed { Err(LISTENS) } else { change(&mut routes) }
    }

    fn builder(&self) -> Result<ServerBuilder, OpError> {
        let mut routes = self.routes.lock();
        if std::mem::replace(&mut routes.closed, true) {
            return Err(LISTENS);
        }
        let mut builder = self.options.apply(crate::Server::builder())?.engine(self.engine.core());
        if self.options.health {
            builder = builder.health(&self.health);
        }
        if let Some(options) = &self.options.telemetry {
            builder = builder.telemetry(&self.engine.telemetry(options)?);
        }
        let builder = routes
            .methods
            .iter()
            .fold(builder, |builder, (method, handler)| builder.method(method.clone(), handler.clone()));
        Ok(match &routes.others {
            Some(handler) => builder.other_methods(handler.clone()),
            None => builder,
        })
    }

    /// Says whether a service can be called: SERVING, or NOT_SERVING. The empty name is the server as a whole, which serves
    /// until it is said that it does not; of the others nothing is known before. In a shutdown none serves, whatever is said.
    ///
    /// # Errors
    /// [`OpError::Argument`]: the server was made without the option `health`. [`OpError::Forked`].
    pub fn set_health(&self, service: &str, serving: bool) -> Result<(), OpError> {
        self.engine.check()?;
        if !self.options.health {
            return Err(OpError::Argument("health: the server was made without this option".to_owned()));
        }
        self.health.set(service, serving);
        Ok(())
    }

    /// Listens on `address` (`host:port`, `[::]:port`, `unix:/path`, `inprocess:name`) and serves from then on. Waits for
    /// the address, which takes time only if it is a name.
    ///
    /// # Errors
    /// [`OpError::System`]: the address cannot be had. [`OpError::Argument`]: it is malformed, or options or certificates
    /// cannot be used. [`OpError::Over`]: it listens already. After the
    /// others it may be tried again, with another address.
    pub fn listen(&self, address: &str) -> Result<(), OpError> {
        self.engine.check()?;
        if on_lane() {
            return Err(OpError::Argument("a waker must not wait: listen on another thread".to_owned()));
        }
        let builder = self.builder()?;
        let bound = self.bind(builder, address).inspect_err(|_| self.routes.lock().closed = false)?;
        let listening = Listening { handle: bound.handle(), target: bound.target(), port: bound.port() };
        self.spawn(BoundServer::run(bound))?;
        // Only one gets here: the routes are closed.
        let _ = self.listening.set(listening);
        Ok(())
    }

    fn bind(&self, builder: ServerBuilder, address: &str) -> Result<BoundServer, OpError> {
        let (sender, receiver) = mpsc::channel();
        let address = address.to_owned();
        self.spawn(async move {
            // Nobody waits any more only if the host's thread is gone.
            let _ = sender.send(builder.bind(&address).await);
        })?;
        receiver.recv().map_err(|_| OpError::ENGINE_DOWN)?.map_err(serve_error)
    }

    /// The port, if it listens on TCP.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.listening.get()?.port
    }

    /// A target for channels on this machine; empty until it listens.
    #[must_use]
    pub fn target(&self) -> &str {
        self.listening.get().map_or("", |listening| &listening.target)
    }

    /// Lets so many requests more through, with `manual_accept`. Without that option it does nothing.
    ///
    /// # Errors
    /// [`OpError::Forked`].
    pub fn accept(&self, requests: u32) -> Result<(), OpError> {
        self.engine.check()?;
        if let Gate::Counted(permits) = &*self.gate {
            let room = Semaphore::MAX_PERMITS - permits.available_permits();
            permits.add_permits(room.min(requests as usize));
        }
        Ok(())
    }

    /// Drains the server: its health service says NOT_SERVING; after `drain_delay_ms` it stops accepting, tells clients to go
    /// elsewhere, and waits for running calls. What is left after `grace` is ended. Then [`EventKind::ServerClosed`] comes to `queue` with `tag`, `grace` and half a second later at the latest.
    ///
    /// # Errors
    /// [`OpError::Over`]: it does not listen. [`OpError::ShutDown`], [`OpError::Forked`].
    pub fn shutdown(&self, grace: Duration, queue: &Queue, tag: usize) -> Result<(), OpError> {
        self.engine.check()?;
        queue.check_open()?;
        let handle = self.listening.get().ok_or(NOT_LISTENING)?.handle.clone();
        let lane = self.engine.lane(0);
        lane.check()?;
        // Told also if the engine ends meanwhile; so it is made when nothing can be refused any more.
        let closed = Closed { queue: queue.clone(), tag };
        drop(lane.handle().spawn(async move {
            let _closed = closed;
            handle.shutdown(grace).await;
        }));
        Ok(())
    }

    /// What the server does now, and how often each limit was hit.
    ///
    /// # Errors
    /// [`OpError::Forked`]; [`OpError::Over`]: it does not listen.
    pub fn stats(&self) -> Result<ServerStats, OpError> {
        self.engine.check()?;
        Ok(self.listening.get().ok_or(NOT_LISTENING)?.handle.stats())
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> Result<(), OpError> {
        let lane = self.engine.lane(0);
        lane.check()?;
        drop(lane.handle().spawn(task));
        Ok(())
    }
}

const LISTENS: OpError = OpError::Over("the server listens already");
const NOT_LISTENING: OpError = OpError::Over("the server does not listen");

fn serve_error(error: crate::ServeError) -> OpError {
    match error {
        crate::ServeError::Address(_)
        | crate::ServeError::Tls(_)
        | crate::ServeError::Security { .. }
        | crate::ServeError::Setting { .. } => OpError::Argument(error.to_string()),
        other => OpError::System(other.to_string()),
    }
}

/// Says that a shutdown is complete, however it ended.
struct Closed {
    queue: Queue,
    tag: usize,
}

impl Drop for Closed {
    fn drop(&mut self) {
        tell(&self.queue, Event::of_operation(self.tag, 0, None, EventKind::ServerClosed));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(listening) = self.listening.get()
            && self.engine.check().is_ok()
        {
            let handle = listening.handle.clone();
            // An error means that the engine has ended, and the server with it.
            let _ = self.spawn(async move { handle.shutdown(Duration::ZERO).await });
        }
    }
}
