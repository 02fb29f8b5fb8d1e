//! Middleware: one interceptor shape for both sides and all four kinds of methods.
//!
//! An interceptor is an async function `(call, next) -> reply`. It sees the metadata, each message and the
//! status, may change any of them, may answer without calling `next`, and runs in the order it was added: the
//! first added is the outermost.
//!
//! ```
//! use spanwire::middleware::{Call, Next, Reply};
//! use spanwire::Status;
//!
//! async fn require_key(call: Call, next: Next) -> Result<Reply, Status> {
//!     if call.metadata.get("x-api-key") != Some("open sesame") {
//!         return Err(Status::unauthenticated("x-api-key is missing or wrong"));
//!     }
//!     next.run(call).await
//! }
//!
//! let server = spanwire::Server::builder().interceptor(require_key);
//! ```

mod messages;
mod only;
mod slot;
mod tower;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::Extensions;
use tokio::time::Instant;

pub(crate) use messages::Source;
pub use messages::{Item, Messages};
pub use only::{BadMethods, Only, only};
pub(crate) use slot::{SlotSender, slot};
pub use tower::{LayerInterceptor, NextService};

use crate::{Metadata, Method, Peer, Status};

/// A boxed future, as interceptors and handlers return it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Which side of the call an interceptor runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// In the caller.
    Client,
    /// In the server.
    Server,
}

/// A call on its way to the peer (client) or to its handler (server).
#[derive(Debug)]
pub struct Call {
    /// Which side this is.
    pub side: Side,
    /// The method; on a server's fallback its kind is [`Kind::Bidi`](crate::Kind), the most general.
    pub method: Method,
    /// The request's metadata.
    pub metadata: Metadata,
    /// When the call must have ended, if there is a limit.
    pub deadline: Option<Instant>,
    /// The client, on a server; `None` on a client, whose server is not chosen yet.
    pub peer: Option<Arc<Peer>>,
    /// The request messages.
    pub messages: Messages,
    /// Values that interceptors and the handler pass to each other.
    pub extensions: Extensions,
}

impl Call {
    /// A call as a client makes it; send it with [`Channel::call`](crate::Channel::call).
    #[must_use]
    pub fn new(method: Method, messages: Messages) -> Self {
        Call {
            side: Side::Client,
            method,
            metadata: Metadata::new(),
            deadline: None,
            peer: None,
            messages,
            extensions: Extensions::new(),
        }
    }

    /// The time left until the deadline, if there is one.
    #[must_use]
    pub fn time_remaining(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }
}

/// What comes back: the response's metadata, its messages, and at their end the status with the trailers.
#[derive(Debug)]
pub struct Reply {
    /// The response's leading metadata.
    pub headers: Metadata,
    /// The response messages; their end carries the status.
    pub messages: Messages,
}

impl Reply {
    /// A reply with `messages` and no leading metadata.
    #[must_use]
    pub fn new(messages: Messages) -> Self {
        Reply { headers: Metadata::new(), messages }
    }
}

/// See the [module](self). Implemented for every `async fn(Call, Next) -> Result<Reply, Status>`.
pub trait Interceptor: Send + Sync + 'static {
    /// Handles one call; `next.run(call)` hands it on.
    fn intercept(&self, call: Call, next: Next) -> BoxFuture<'static, Result<Reply, Status>>;
}

impl<F, Fut> Interceptor for F
where
    F: Fn(Call, Next) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Reply, Status>> + Send + 'static,
{
    fn intercept(&self, call: Call, next: Next) -> BoxFuture<'static, Result<Reply, Status>> {
        Box::pin(self(call, next))
    }
}

/// The interceptors of a channel or server, outermost first.
#[derive(Clone, Default)]
pub(crate) struct Interceptors(Option<Arc<[Arc<dyn Interceptor>]>>);

impl Interceptors {
    pub(crate) fn new(list: Vec<Arc<dyn Interceptor>>) -> Self {
        Interceptors(if list.is_empty() { None } else { Some(list.into()) })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Runs `call` through all of them and into `end`.
    pub(crate) fn run(
        &self,
        call: Call,
        end: impl FnOnce(Call) -> BoxFuture<'static, Result<Reply, Status>> + Send + 'static,
    ) -> BoxFuture<'static, Result<Reply, Status>> {
        Next { rest: self.clone(), index: 0, end: Box::new(end) }.run(call)
    }
}

impl fmt::Debug for Interceptors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Interceptors({})", self.0.as_ref().map_or(0, |list| list.len()))
    }
}

/// The rest of the chain. It can run once: retries belong to the engine.
pub struct Next {
    rest: Interceptors,
    index: usize,
    #[allow(clippy::type_complexity, reason = "named once, here")]
    end: Box<dyn FnOnce(Call) -> BoxFuture<'static, Result<Reply, Status>> + Send>,
}

impl Next {
    /// Hands the call on; the reply arrives when the response's metadata do (or the call fails).
    pub fn run(mut self, call: Call) -> BoxFuture<'static, Result<Reply, Status>> {
        let interceptor = self.rest.0.as_ref().and_then(|list| list.get(self.index)).cloned();
        match interceptor {
            Some(interceptor) => {
                self.index += 1;
                interceptor.intercept(call, self)
            }
            None => (self.end)(call),
        }
    }
}

impl fmt::Debug for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Next").field("index", &self.index).finish_non_exhaustive()
    }
}
