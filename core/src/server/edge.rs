//! The edge of a server: where clients that do not speak gRPC itself are let in.
//!
//! It is behind a pointer that one method of the builder brings, so that programs without it are linked without it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::call::Dispatcher;
use crate::transport::http1::Terms;
use crate::transport::io::Io;
use crate::transport::limits::BadOption;
use crate::transport::server::Incoming;

/// A connection, until it ends.
pub(crate) type Connection = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// What a server does with those that come otherwise.
pub(crate) trait Edge: Send + Sync + 'static {
    /// Serves a connection of HTTP/1.1.
    fn serve(&self, io: Io, terms: Terms, dispatcher: Dispatcher) -> Connection;

    /// Looks at a request that is none of gRPC.
    fn admit(&self, incoming: Incoming) -> Admitted;
}

/// Makes it when the server binds.
pub(crate) type MakeEdge = Box<dyn FnOnce() -> Result<Arc<dyn Edge>, BadOption> + Send>;

/// What became of a request.
pub(crate) enum Admitted {
    /// It is a call of gRPC now.
    Call(Incoming),
    /// It is answered.
    Answered,
    /// It is as it was.
    Refused(Incoming),
}
