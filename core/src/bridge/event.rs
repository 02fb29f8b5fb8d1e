//! What the engine tells a host.

use std::any::Any;
use std::sync::Arc;

use bytes::Bytes;

use super::server_call::{Reporter, Undelivered};
use crate::{Metadata, PeerAddr, Status};

/// Whatever a binding wants to find again in the events of its calls.
pub type Attachment = Arc<dyn Any + Send + Sync>;

/// Something that happened to a call or a server.
#[derive(Debug)]
pub struct Event {
    pub(crate) source: Source,
    /// What happened.
    pub kind: EventKind,
}

/// Whom an event belongs to.
#[derive(Debug)]
pub(crate) enum Source {
    /// What the host gave the operation, and the handle that it keeps for it.
    Operation { tag: usize, handle: u64, attachment: Option<Attachment> },
    /// A call that a server received.
    ServerCall(Reporter),
}

/// See [`Event`].
#[derive(Debug)]
#[non_exhaustive]
pub enum EventKind {
    /// Client: the leading metadata of a stream arrived.
    Headers(Metadata),
    /// Both sides: messages of a stream, no more than were granted. On a server `end` says that the client sends no more.
    Messages {
        /// In the order in which they were sent.
        messages: Vec<Received>,
        /// No more follow; there may be none here.
        end: bool,
    },
    /// Both sides: a send that answered [`Room::Full`](super::Room::Full) has room again.
    Writable,
    /// Client: the call is over. One for each call, and its last event.
    Done(Outcome),
    /// Server: a call begins.
    Request(Request),
    /// Server: the call was cancelled, or its deadline passed, before it was answered. Its last event.
    Cancelled,
    /// Server: a shutdown is complete.
    ServerClosed,
}

/// A message that arrived.
#[derive(Clone, Debug)]
pub struct Received {
    /// The message, decompressed. Counted by reference: keeping it keeps what it was read into.
    pub bytes: Bytes,
    /// Whether it came compressed.
    pub compressed: bool,
}

/// How a client's call ended. It is moved from thread to thread, and so kept small.
#[derive(Debug)]
pub struct Outcome {
    /// The status; its metadata are the trailers, and it knows the attempts of a call that failed and whether the request
    /// may have been sent.
    pub status: Status,
    /// Unary calls: the leading metadata, if there are any. Streams tell them when they arrive.
    pub headers: Option<Box<Metadata>>,
    /// Unary calls: the answer, if the status is OK.
    pub message: Option<Received>,
    /// The server that answered, if one did.
    pub peer: Option<PeerAddr>,
    /// How many attempts were begun.
    pub attempts: u32,
}

/// A call that a server received.
#[derive(Debug)]
pub struct Request {
    pub(crate) call: Undelivered,
    /// Kinds with one request: that request.
    pub message: Option<Received>,
    /// The client sends no more.
    pub end: bool,
}

impl Outcome {
    pub(crate) fn failed(status: Status) -> Self {
        let attempts = status.attempts();
        Outcome { status, headers: None, message: None, peer: None, attempts }
    }
}

impl Event {
    pub(crate) fn of_operation(
        tag: usize,
        handle: u64,
        attachment: Option<Attachment>,
        kind: EventKind,
    ) -> Self {
        Event { source: Source::Operation { tag, handle, attachment }, kind }
    }

    /// What the binding attached to the operation or the method.
    #[must_use]
    pub fn attachment(&self) -> Option<&Attachment> {
        match &self.source {
            Source::Operation { attachment, .. } => attachment.as_ref(),
            Source::ServerCall(call) => call.attachment(),
        }
    }

    /// What the host gave the operation that this comes from; of a server's call, what it gave the method.
    #[must_use]
    pub fn tag(&self) -> usize {
        match &self.source {
            Source::Operation { tag, .. } => *tag,
            Source::ServerCall(call) => call.tag(),
        }
    }

    /// The number by which the host knows the client's call; 0 if it keeps none.
    #[must_use]
    pub fn call_handle(&self) -> u64 {
        match &self.source {
            Source::Operation { handle, .. } => *handle,
            Source::ServerCall(_) => 0,
        }
    }

    /// The call that a server received. [`Request::take_call`] gives it to the host, once.
    #[must_use]
    pub fn server_call(&self) -> Option<&Reporter> {
        match &self.source {
            Source::ServerCall(call) => Some(call),
            Source::Operation { .. } => None,
        }
    }
}
