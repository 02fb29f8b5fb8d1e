//! What calls tell to whoever watches them.
//!
//! ```text
//! channel ── begin ──► CallWatch ── attempt ──► StreamWatch ─ sent, received ─ ended
//!                          └─ ended
//! server  ── begin ─────────────────────────► StreamWatch ─ sent, received ─ ended
//! ```
//!
//! Traits, which telemetry implements: a program that asks for none is linked without it, and its calls pay one look at an
//! empty place for each of these words.

mod context;

use std::fmt::Debug;
use std::sync::Arc;

use http::HeaderMap;
use tokio::time::Instant;

pub(crate) use context::{TRACE_BIN, TRACEPARENT, TRACESTATE, current, scope};
pub use context::{TraceContext, TraceContextError};

use crate::stats::ChannelCounters;
use crate::transport::Peer;
use crate::{Method, Status};

/// Makes whoever watches the calls of a channel.
pub(crate) trait Watcher: Debug + Send + Sync {
    /// For a channel to `target`, which is in its canonical form. What the channel counts itself can be read in `counters`.
    fn channel(&self, target: &str, counters: &Arc<ChannelCounters>) -> Arc<dyn ChannelWatch>;
}

/// Watches the calls of one channel.
pub(crate) trait ChannelWatch: Debug + Send + Sync {
    /// A call begins. `headers` are the request's metadata, `parent` is the call that it is made for.
    fn begin(&self, method: &Method, headers: &HeaderMap, parent: Option<TraceContext>)
    -> Arc<dyn CallWatch>;
}

/// Watches one call of a client, with all of its attempts.
pub(crate) trait CallWatch: Debug + Send + Sync {
    /// An attempt begins, before a connection for it is chosen; `previous` were made because of a policy.
    fn attempt(&self, why: Why, previous: u32) -> Arc<dyn StreamWatch>;

    /// The call has ended. What comes later is ignored; one that is dropped without was cancelled.
    fn ended(&self, status: &Status);
}

/// Why an attempt is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Why {
    #[default]
    First,
    /// A policy has it made again.
    Retry,
    /// Nobody has seen the last one.
    Unseen,
    /// A policy has several made at once.
    Hedge,
}

/// Watches the calls of one server.
pub(crate) trait ServerWatch: Debug + Send + Sync {
    /// For the calls of a method; `None`: of all that the server has no method for.
    fn route(&self, method: Option<&Method>) -> Arc<dyn RouteWatch>;
}

/// Watches the calls of one method of a server.
pub(crate) trait RouteWatch: Debug + Send + Sync {
    /// The headers of a call have come, which was `now`.
    fn begin(&self, path: &str, headers: &HeaderMap, peer: &Arc<Peer>, now: Instant) -> Arc<dyn StreamWatch>;
}

/// Watches one attempt of a client, or one call of a server.
pub(crate) trait StreamWatch: Debug + Send + Sync {
    /// A part of a message, or all of it, is on its way.
    fn sent(&self, part: SentPart);

    /// A message has come.
    fn received(&self, message: ReceivedMessage);

    /// In which trace it is, if there are traces.
    fn trace(&self) -> Option<&TraceContext>;

    /// Puts the trace into a request's headers.
    fn inject(&self, headers: &mut HeaderMap);

    /// It has ended. What comes later is ignored; one that is dropped without was cancelled.
    fn ended(&self, status: &Status);
}

/// Some bytes of a message, the first ones with its prefix.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SentPart {
    pub(crate) bytes: usize,
    /// The first of the bytes: where a message begins it says whether that is compressed.
    pub(crate) first: u8,
    /// They are the last ones of the message.
    pub(crate) whole: bool,
}

/// See [`StreamWatch::received`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReceivedMessage {
    /// Without the prefix.
    pub(crate) wire_bytes: usize,
    /// After it was decompressed, if it was compressed.
    pub(crate) decompressed_bytes: Option<usize>,
}
