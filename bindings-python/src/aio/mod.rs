//! Calls of event loops.
//!
//! ```text
//! lane ─► bridge::Queue ─► descriptor ─► the loop ─► Queue.drain ─► table: what the event belongs to ─► its waiters
//!                                                                                           └──► a handler's task
//! ```
//!
//! Each loop has one [`Queue`](event_loop::Queue), for all its calls and servers. What an event belongs to is a number in the
//! bridge, and an entry of the queue's [`table`] here. A waiter is a future of the loop's own, which is only ever told
//! "look again": results and errors are made where they are awaited.

pub(crate) mod awaiting;
pub(crate) mod channel;
pub(crate) mod context;
pub(crate) mod event_loop;
pub(crate) mod handling;
pub(crate) mod server;
pub(crate) mod stream;
pub(crate) mod stream_call;
mod table;
pub(crate) mod unary;
mod waiters;
