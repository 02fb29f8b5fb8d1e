//! How a call ended: a code, a message, details and metadata, and their form in trailers.
//!
//! Sources: `doc/PROTOCOL-HTTP2.md` ("Status", "HTTP2 Transport Mapping", "Errors"),
//! `doc/http-grpc-status-mapping.md` and `doc/statuscodes.md` of grpc/grpc.

use std::fmt;
use std::sync::LazyLock;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderValue};

use crate::metadata::{self, Metadata};
use crate::{Code, header, reset};

pub use crate::percent::{percent_decode, percent_encode};

/// The outcome of a call.
///
/// It is one pointer wide, and a plain OK has nothing on the heap, so results that carry it stay small.
#[derive(Clone, Default)]
#[must_use = "a status is the outcome of a call"]
pub struct Status(Option<Box<Inner>>);

#[derive(Clone)]
struct Inner {
    code: Code,
    message: String,
    details: Bytes,
    metadata: Metadata,
    sent: Sent,
    attempts: u32,
    peer: Option<String>,
}

/// Whether the request can have had an effect: what a caller needs to know before it tries again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sent {
    /// The request cannot have reached a handler: it never left, or the server refused it unprocessed.
    NotSent,
    /// The request may have been processed; nobody can tell.
    MaybeSent,
    /// The server answered: response headers or a status came from it.
    Answered,
}

static NO_METADATA: LazyLock<Metadata> = LazyLock::new(Metadata::new);

macro_rules! constructors {
    ($($name:ident $variant:ident,)*) => {
        /// One constructor for each code but OK; [`Code`] says when to use which.
        impl Status {
            $(
                #[doc = concat!("[`Code::", stringify!($variant), "`] with a message.")]
                pub fn $name(message: impl Into<String>) -> Status {
                    Status::new(Code::$variant, message)
                }
            )*
        }
    };
}

constructors! {
    cancelled Cancelled,
    unknown Unknown,
    invalid_argument InvalidArgument,
    deadline_exceeded DeadlineExceeded,
    not_found NotFound,
    already_exists AlreadyExists,
    permission_denied PermissionDenied,
    resource_exhausted ResourceExhausted,
    failed_precondition FailedPrecondition,
    aborted Aborted,
    out_of_range OutOfRange,
    unimplemented Unimplemented,
    internal Internal,
    unavailable Unavailable,
    data_loss DataLoss,
    unauthenticated Unauthenticated,
}

impl Status {
    /// A status with a message for people. [`sent`](Self::sent) is [`Sent::MaybeSent`] until someone
    /// knows better.
    pub fn new(code: Code, message: impl Into<String>) -> Status {
        let message = message.into();
        if code == Code::Ok && message.is_empty() {
            return Status::ok();
        }
        Status(Some(Box::new(Inner { code, message, sent: Sent::MaybeSent, ..Inner::default() })))
    }

    /// Success. Does not allocate.
    pub const fn ok() -> Status {
        Status(None)
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.as_ref().map_or(Code::Ok, |inner| inner.code)
    }

    /// Whether the code is [`Code::Ok`].
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.code() == Code::Ok
    }

    /// The message, decoded; empty if there is none.
    #[must_use]
    pub fn message(&self) -> &str {
        self.0.as_ref().map_or("", |inner| &inner.message)
    }

    /// The bytes of a `google.rpc.Status` message (`grpc-status-details-bin`), unread; empty if there
    /// are none. The code inside is not compared with [`code`](Self::code).
    #[must_use]
    pub fn details(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |inner| &inner.details)
    }

    /// The custom metadata of the trailers.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        self.0.as_ref().map_or(&NO_METADATA, |inner| &inner.metadata)
    }

    /// The custom metadata of the trailers, to change it.
    pub fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.inner().metadata
    }

    /// Whether the request can have had an effect.
    #[must_use]
    pub fn sent(&self) -> Sent {
        self.0.as_ref().map_or(Sent::Answered, |inner| inner.sent)
    }

    /// How many attempts the call took; 1 unless a retry was made.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.0.as_ref().map_or(1, |inner| inner.attempts)
    }

    /// The address of the server that the last attempt went to, if it is known.
    #[must_use]
    pub fn peer(&self) -> Option<&str> {
        self.0.as_ref()?.peer.as_deref()
    }

    /// Sets the details: the bytes of a `google.rpc.Status` message.
    pub fn with_details(mut self, details: Bytes) -> Status {
        if details != self.details() {
            self.inner().details = details;
        }
        self
    }

    /// Sets the custom metadata of the trailers.
    pub fn with_metadata(mut self, metadata: Metadata) -> Status {
        if !metadata.is_empty() || self.0.is_some() {
            self.inner().metadata = metadata;
        }
        self
    }

    /// Sets whether the request can have had an effect.
    pub fn with_sent(mut self, sent: Sent) -> Status {
        if sent != self.sent() {
            self.inner().sent = sent;
        }
        self
    }

    /// Sets how many attempts the call took.
    pub fn with_attempts(mut self, attempts: u32) -> Status {
        if attempts != self.attempts() {
            self.inner().attempts = attempts;
        }
        self
    }

    /// Sets the address of the server.
    pub fn with_peer(mut self, peer: String) -> Status {
        self.inner().peer = Some(peer);
        self
    }

    /// Writes the status into a block of trailers: `grpc-status`, `grpc-message` unless it is empty,
    /// `grpc-status-details-bin` unless it is empty, and the custom metadata without reserved names.
    pub fn write_trailers(&self, trailers: &mut HeaderMap) {
        let code = &header::STATUS_TEXT[self.code() as usize];
        trailers.insert(header::GRPC_STATUS.clone(), code.clone());
        let Some(inner) = &self.0 else { return };
        if !inner.message.is_empty()
            // Percent-coded text is printable ASCII, which is always a header value.
            && let Ok(message) = HeaderValue::from_str(&percent_encode(&inner.message))
        {
            trailers.insert(header::GRPC_MESSAGE.clone(), message);
        }
        if !inner.details.is_empty()
            && let Some(details) = metadata::encode_base64(&inner.details)
        {
            trailers.insert(header::GRPC_STATUS_DETAILS.clone(), details);
        }
        if !inner.metadata.is_empty() {
            metadata::append_unreserved(trailers, inner.metadata.as_headers().clone());
        }
    }

    /// Reads a status out of trailers, or of the headers of a Trailers-Only response. `None` if there is
    /// no `grpc-status`. What is left of the block becomes [`metadata`](Self::metadata).
    ///
    /// Nothing in a block can make this fail: a `grpc-status` that is not a code becomes UNKNOWN with
    /// the raw value in the message, a bad escape in `grpc-message` stays as it is, and details that
    /// are not base64 are dropped. [`sent`](Self::sent) is [`Sent::Answered`].
    #[must_use]
    pub fn from_trailers(mut trailers: HeaderMap) -> Option<Status> {
        let raw = trailers.remove(&header::GRPC_STATUS)?;
        let message = trailers.remove(&header::GRPC_MESSAGE);
        let details = trailers.remove(&header::GRPC_STATUS_DETAILS);
        metadata::strip_reserved(&mut trailers);
        if raw == "0" && message.is_none() && details.is_none() && trailers.is_empty() {
            return Some(Status::ok());
        }
        let mut message = message.map_or_else(String::new, |coded| percent_decode(coded.as_bytes()));
        let code = parse_code(raw.as_bytes()).unwrap_or_else(|| {
            let separator = if message.is_empty() { "" } else { ": " };
            let raw = raw.as_bytes().escape_ascii();
            message = format!("server sent the unknown grpc-status \"{raw}\"{separator}{message}");
            Code::Unknown
        });
        let details = details.and_then(|text| metadata::decode_base64(text.as_bytes())).unwrap_or_default();
        let status = Status::new(code, message).with_sent(Sent::Answered);
        Some(status.with_details(details).with_metadata(Metadata::from_headers(trailers)))
    }

    /// The status of an HTTP response that has no `grpc-status`
    /// (`doc/http-grpc-status-mapping.md`). 200 is UNKNOWN like all that the table does not name.
    pub fn from_http(http_status: u16) -> Status {
        let code = match http_status {
            400 | 431 => Code::Internal,
            401 => Code::Unauthenticated,
            403 => Code::PermissionDenied,
            404 => Code::Unimplemented,
            429 | 502 | 503 | 504 => Code::Unavailable,
            _ => Code::Unknown,
        };
        Status::new(code, format!("server answered HTTP {http_status}, not gRPC")).with_sent(Sent::Answered)
    }

    /// The status of a stream that the server reset with this HTTP/2 error code
    /// (`doc/PROTOCOL-HTTP2.md`, "Errors"). REFUSED_STREAM alone proves that nothing was processed.
    pub fn from_reset(h2_reason: u32) -> Status {
        let (name, code) = reset::describe(h2_reason);
        let sent = if h2_reason == reset::REFUSED_STREAM { Sent::NotSent } else { Sent::MaybeSent };
        Status::new(code, format!("stream reset by the server: {name} ({h2_reason:#x})")).with_sent(sent)
    }

    /// Whether it is OK and has nothing else to tell. What is not plain may be, too, if it was something else before.
    pub(crate) fn is_plain_ok(&self) -> bool {
        self.0.is_none()
    }

    fn inner(&mut self) -> &mut Inner {
        self.0.get_or_insert_default()
    }
}

impl Default for Inner {
    fn default() -> Self {
        Inner {
            code: Code::Ok,
            message: String::new(),
            details: Bytes::new(),
            metadata: Metadata::new(),
            sent: Sent::Answered,
            attempts: 1,
            peer: None,
        }
    }
}

/// A status is decimal without a leading zero; anything else is not a code.
fn parse_code(text: &[u8]) -> Option<Code> {
    match text {
        [digit @ b'0'..=b'9'] => Code::from_u32(u32::from(digit - b'0')),
        [b'1', digit @ b'0'..=b'9'] => Code::from_u32(10 + u32::from(digit - b'0')),
        _ => None,
    }
}

/// `RESOURCE_EXHAUSTED: message`, or the name alone when there is no message.
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code().name())?;
        if self.message().is_empty() { Ok(()) } else { write!(f, ": {}", self.message()) }
    }
}

/// Leaves out what is empty.
impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Status");
        out.field("code", &self.code()).field("message", &self.message());
        if !self.details().is_empty() {
            out.field("details", &Bytes::copy_from_slice(self.details()));
        }
        if !self.metadata().is_empty() {
            out.field("metadata", self.metadata());
        }
        out.field("sent", &self.sent());
        if self.attempts() != 1 {
            out.field("attempts", &self.attempts());
        }
        if let Some(peer) = self.peer() {
            out.field("peer", &peer);
        }
        out.finish()
    }
}

impl From<metadata::MetadataError> for Status {
    /// INTERNAL: code that sets metadata which cannot be sent is at fault, not the peer.
    fn from(error: metadata::MetadataError) -> Status {
        Status::internal(error.to_string())
    }
}

impl std::error::Error for Status {}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
