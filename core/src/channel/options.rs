//! What a caller may set for one call, and what a channel sets for all of its calls.

use std::time::Duration;

use spanwire_wire::encoding::Encoding;
use tokio::time::Instant;

use crate::{Metadata, Status, TraceContext, deadline};

/// Per-call settings, gathered by the call builders.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallOptions {
    pub(crate) timeout: Option<Duration>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) metadata: Metadata,
    pub(crate) encoding: Option<Encoding>,
    pub(crate) max_recv_bytes: Option<usize>,
    pub(crate) max_send_bytes: Option<usize>,
    pub(crate) wait_for_ready: Option<bool>,
    /// For which call of a trace it is made.
    pub(crate) trace: Option<TraceContext>,
    /// The first mistake made while building; it is reported when the call is awaited.
    pub(crate) mistake: Option<Status>,
}

impl CallOptions {
    pub(crate) fn note(&mut self, result: Result<(), spanwire_wire::metadata::MetadataError>) {
        if let (Err(error), None) = (result, &self.mistake) {
            self.mistake = Some(Status::invalid_argument(error.to_string()));
        }
    }

    /// When the call must have ended: the earliest of its own limits and those of the call that is being
    /// handled around it.
    pub(crate) fn effective_deadline(&self) -> Option<Instant> {
        let own = self.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        [own, self.deadline, deadline::current()].into_iter().flatten().min()
    }
}

/// The setters that every call builder has.
macro_rules! call_options {
    () => {
        /// Ends the call with DEADLINE_EXCEEDED this long after it is awaited, whatever the peer does. The
        /// server learns the time that is left. A call made inside a handler never outlives the deadline of
        /// the call that is handled.
        pub fn timeout(mut self, timeout: std::time::Duration) -> Self {
            self.options.timeout = Some(timeout);
            self
        }

        /// Like [`timeout`](Self::timeout), as a point in time.
        pub fn deadline(mut self, deadline: impl Into<tokio::time::Instant>) -> Self {
            self.options.deadline = Some(deadline.into());
            self
        }

        /// Adds an ASCII entry to the request's metadata. A key or value that gRPC does not allow makes the
        /// call fail with INVALID_ARGUMENT when it is awaited.
        pub fn metadata(mut self, key: &str, value: &str) -> Self {
            let result = self.options.metadata.append(key, value);
            self.options.note(result);
            self
        }

        /// Adds a binary entry to the request's metadata; its key ends in `-bin`.
        pub fn metadata_bin(mut self, key: &str, value: impl AsRef<[u8]>) -> Self {
            let result = self.options.metadata.append_bin(key, value);
            self.options.note(result);
            self
        }

        /// Adds all of `metadata` to the request's metadata.
        pub fn with_metadata(mut self, metadata: $crate::Metadata) -> Self {
            self.options.metadata.extend(metadata);
            self
        }

        /// Puts the call behind another one in its trace: with [telemetry](crate::telemetry), it is recorded and handed on
        /// as made for that one. A call made inside a handler is put behind the handled one by itself.
        pub fn trace(mut self, context: $crate::TraceContext) -> Self {
            self.options.trace = Some(context);
            self
        }

        /// Compresses the request messages. The server refuses an encoding that it does not know with
        /// UNIMPLEMENTED.
        pub fn compress(mut self, encoding: $crate::Encoding) -> Self {
            self.options.encoding = Some(encoding);
            self
        }

        /// Largest message to accept, in bytes after decompression; RESOURCE_EXHAUSTED above it.
        pub fn max_recv_message_bytes(mut self, bytes: usize) -> Self {
            self.options.max_recv_bytes = Some(bytes);
            self
        }

        /// Largest message to send, in bytes before compression; RESOURCE_EXHAUSTED above it.
        pub fn max_send_message_bytes(mut self, bytes: usize) -> Self {
            self.options.max_send_bytes = Some(bytes);
            self
        }

        /// Whether the call waits while no connection can be made, instead of failing with UNAVAILABLE. Give
        /// it a timeout too.
        pub fn wait_for_ready(mut self, wait: bool) -> Self {
            self.options.wait_for_ready = Some(wait);
            self
        }
    };
}
pub(crate) use call_options;
