//! The one surface that every binding of another language stands on: operations go down as plain calls, events come up in
//! batches.
//!
//! ```text
//! operation (down)   client: connectivity_changed  unary  begin  send  half_close  grant  cancel     server: accept  headers  send  grant  respond  finish  cancel
//! event (up)         client: Headers  Messages  Writable  Done                 server: Request  Messages  Writable  Cancelled  ServerClosed
//! a call, client     begin (send* half_close) → [Headers Messages*] Done       a call, server   Request (Messages*) → [headers send*] finish
//! ```
//!
//! What a binding may rely on, each with a test in `core/tests/bridge`:
//!
//! 1. A unary call is one operation and one event, on both sides.
//! 2. Every call ends once: a client's with [`EventKind::Done`]; a server's with [`finish`](ServerCallRef::finish) (or
//!    `respond`, or `cancel`) that was accepted, or with [`EventKind::Cancelled`].
//! 3. Messages arrive as they are granted. Behind the credit one is looked at, to notice the end of the call, and HTTP/2's
//!    windows hold the rest back. A sender that is [`Room::Full`] waits for [`EventKind::Writable`].
//! 4. Cancelling is allowed from any thread, at any time, any number of times. Dropping the last handle of a call cancels it.
//! 5. Received bytes are counted by reference and may be kept; sent bytes are handed over.
//! 6. A handle used after its end gives an error: these are reference-counted, and [`handle::Table`] makes numbers of them
//!    that are checked.
//! 7. A status crosses with code, message, details, metadata, the number of attempts, and whether the request may have been
//!    sent.
//! 8. A panic ends the call it belongs to with INTERNAL; the engine goes on.
//! 9. In the child of a `fork` everything fails at once with [`OpError::Forked`]; new engines work. An engine that is shut
//!    down ends its calls.
//! 10. Options are plain data, and this crate alone knows the defaults.
//!
//! Operations neither wait nor call back, with the exceptions that say so ([`Server::listen`], [`Engine::shutdown`],
//! [`Queue::next`]). They may be made from any thread.

mod arguments;
mod call;
mod channel;
mod descriptor;
mod engine;
mod error;
mod event;
mod flow;
pub mod fork;
pub mod handle;
mod lane;
pub mod log;
mod mailbox;
mod methods;
mod options;
mod queue;
mod server;
mod server_call;
mod sync;
mod token;

pub use arguments::ArgumentValue;
pub use call::Call;
pub use channel::{Channel, Prepared, ReportTo};
pub use engine::{Engine, EngineOptions};
pub use error::OpError;
pub use event::{Attachment, Event, EventKind, Outcome, Received, Request};
pub use flow::{Outgoing, Room};
pub use lane::{begin_batch, end_batch, flush_batch, on_lane};
pub use methods::Methods;
pub use options::{
    CallOptions, CertificateOptions, ChannelOptions, JwtOptions, Limits, ServerOptions, TelemetryOptions,
    TlsOptions, WebOptions,
};
pub use queue::Queue;
pub use server::{Destination, Server};
pub use server_call::{Answer, Reporter, ServerCall, ServerCallRef};
pub use token::{TokenRequest, TokenSource};
