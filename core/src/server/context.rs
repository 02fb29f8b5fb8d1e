//! What a handler knows of its call, and what it may say besides messages.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use http::{Extensions, HeaderMap};
use spanwire_wire::metadata::{MetadataError, strip_reserved};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::jwt::Claims;
use super::responder::CallShared;
use crate::transport::Peer;
use crate::{Encoding, Metadata, Method, Status, TlsIdentity, TraceContext};

/// The circumstances of a call, given to its handler.
///
/// It belongs to the handler alone. When the client cancels or the deadline passes, the handler's future is
/// dropped; work that was handed to other tasks learns of it through [`Context::cancellation`].
#[derive(Debug)]
pub struct Context {
    shared: Arc<CallShared>,
    /// Made when there are some: most calls have none.
    trailers: Option<Box<Metadata>>,
    request_compressed: bool,
}

/// What is known of a call when it begins, and does not change.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) method: Method,
    pub(crate) metadata: RequestMetadata,
    pub(crate) deadline: Option<Instant>,
    pub(crate) extensions: Extensions,
}

impl Facts {
    pub(crate) fn claims(&self) -> Option<&Claims> {
        self.extensions.get::<Arc<Claims>>().map(Arc::as_ref)
    }
}

/// The metadata of a request, cleaned of what is gRPC's own when it is asked for: many handlers never ask.
#[derive(Debug)]
pub(crate) struct RequestMetadata {
    received: Mutex<HeaderMap>,
    clean: OnceLock<Metadata>,
}

impl RequestMetadata {
    /// The header block of a request, as it came.
    pub(crate) fn received(headers: HeaderMap) -> Self {
        RequestMetadata { received: Mutex::new(headers), clean: OnceLock::new() }
    }

    pub(crate) fn get(&self) -> &Metadata {
        self.clean.get_or_init(|| {
            let mut received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
            cleaned(std::mem::take(&mut received))
        })
    }

    /// For whoever hands it on: the context has none then.
    pub(crate) fn take(&self) -> Metadata {
        let mut received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        cleaned(std::mem::take(&mut received))
    }
}

impl From<Metadata> for RequestMetadata {
    /// Metadata that are clean already.
    fn from(metadata: Metadata) -> Self {
        RequestMetadata { received: Mutex::default(), clean: OnceLock::from(metadata) }
    }
}

fn cleaned(mut headers: HeaderMap) -> Metadata {
    strip_reserved(&mut headers);
    Metadata::from_headers(headers)
}

impl Context {
    pub(crate) fn new(shared: Arc<CallShared>) -> Self {
        Context { shared, trailers: None, request_compressed: false }
    }

    /// The method that was called.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.shared.facts.method
    }

    /// The request's metadata, without the entries that are gRPC's own.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        self.shared.facts.metadata.get()
    }

    /// When the client stops waiting. Calls made inside the handler inherit it.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.shared.facts.deadline
    }

    /// The time left until the deadline.
    #[must_use]
    pub fn time_remaining(&self) -> Option<Duration> {
        self.deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// The other end of the connection.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.shared.peer
    }

    /// The client's certificates, if it proved to own some.
    #[must_use]
    pub fn tls_identity(&self) -> Option<&TlsIdentity> {
        self.shared.peer.tls_identity()
    }

    /// What the caller's token said, on servers with [`jwt`](crate::ServerBuilder::jwt).
    #[must_use]
    pub fn claims(&self) -> Option<&Claims> {
        self.shared.facts.claims()
    }

    /// Where in a trace the call is; `None` without [telemetry](crate::telemetry). Calls made inside the handler are put
    /// there by themselves, and those of tasks that the handler starts with their own `trace`.
    #[must_use]
    pub fn trace(&self) -> Option<&TraceContext> {
        self.shared.trace()
    }

    /// Whether the request message came compressed, for methods with one request. With many, ask
    /// [`Streaming::last_compressed`](crate::Streaming::last_compressed). `false` behind interceptors, which
    /// see messages decompressed.
    #[must_use]
    pub fn request_compressed(&self) -> bool {
        self.request_compressed
    }

    pub(crate) fn set_request_compressed(&mut self, compressed: bool) {
        self.request_compressed = compressed;
    }

    /// Values that interceptors left for the handler.
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        &self.shared.facts.extensions
    }

    /// Appends an ASCII entry to the response's leading metadata, which go out with the first message.
    ///
    /// # Errors
    /// The key or the value is not allowed in gRPC, or the metadata were sent already.
    pub fn append_header(&mut self, key: &str, value: &str) -> Result<(), Status> {
        self.with_headers(|headers| headers.append(key, value))
    }

    /// Appends a binary entry (its key ends in `-bin`) to the response's leading metadata.
    ///
    /// # Errors
    /// As [`Context::append_header`].
    pub fn append_header_bin(&mut self, key: &str, value: impl AsRef<[u8]>) -> Result<(), Status> {
        self.with_headers(|headers| headers.append_bin(key, value))
    }

    /// Adds entries that are checked already to the response's leading metadata.
    pub(crate) fn extend_headers(&mut self, metadata: Metadata) -> Result<(), Status> {
        if metadata.is_empty() {
            return Ok(());
        }
        self.with_headers(|headers| {
            headers.extend(metadata);
            Ok(())
        })
    }

    fn with_headers(
        &self,
        change: impl FnOnce(&mut Metadata) -> Result<(), MetadataError>,
    ) -> Result<(), Status> {
        let mut responder = self.shared.lock();
        if responder.head_sent() {
            return Err(Status::internal("the response's metadata were sent already: use trailers_mut"));
        }
        change(&mut responder.headers).map_err(|error| Status::internal(error.to_string()))
    }

    /// Sends the response's leading metadata now. After that a failure can no longer be retried by the client.
    ///
    /// # Errors
    /// CANCELLED: the client is gone.
    pub fn send_headers(&mut self) -> Result<(), Status> {
        self.shared.lock().send_head().map_err(|_| Status::cancelled("the client is gone"))
    }

    /// The metadata that will follow the last message.
    pub fn trailers_mut(&mut self) -> &mut Metadata {
        self.trailers.get_or_insert_default()
    }

    /// Compresses the responses with `encoding` if the client can read it. Call it before the first message.
    pub fn set_compression(&mut self, encoding: Encoding) {
        self.shared.set_encoding(encoding);
    }

    /// A token that fires when the client cancels, its deadline passes or the connection is lost.
    #[must_use]
    pub fn cancellation(&self) -> CancellationToken {
        self.shared.cancellation()
    }

    /// Resolves when the call is cancelled; for `select!` in tasks that outlive the handler.
    pub async fn cancelled(&self) {
        self.shared.cancellation().cancelled_owned().await;
    }

    pub(crate) fn shared(&self) -> &Arc<CallShared> {
        &self.shared
    }

    /// Takes the trailers into the call's final status.
    pub(crate) fn into_status(self, status: Status) -> Status {
        let Some(trailers) = self.trailers.filter(|trailers| !trailers.is_empty()) else { return status };
        let mut metadata = status.metadata().clone();
        metadata.extend(*trailers);
        status.with_metadata(metadata)
    }
}
