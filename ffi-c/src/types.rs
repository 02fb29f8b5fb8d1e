//! The numbers of the ABI. They are written out and never change.

/// What a function answers. Not negative: it is done. Negative: nothing was done, and `spanwire_last_error()` says why.
pub type spanwire_result = i32;
/// Done.
pub const SPANWIRE_DONE: i32 = 0;
/// Done, but the next send has to wait for `SPANWIRE_EVENT_WRITABLE`.
pub const SPANWIRE_FULL: i32 = 1;
/// The handle is null, was freed, or is one of another kind.
pub const SPANWIRE_INVALID_HANDLE: i32 = -1;
/// An argument or option cannot be used.
pub const SPANWIRE_INVALID_ARGUMENT: i32 = -2;
/// The call has ended, is half-closed, or was answered; the server listens already, or does not.
pub const SPANWIRE_OVER: i32 = -3;
/// It was made before `fork()`, and this is the child.
pub const SPANWIRE_FORKED: i32 = -4;
/// The engine or the queue was freed.
pub const SPANWIRE_SHUT_DOWN: i32 = -5;
/// The operating system refused: threads, descriptors, addresses.
pub const SPANWIRE_SYSTEM: i32 = -6;
/// A fault in the engine, stopped at the boundary. Please report it.
pub const SPANWIRE_PANIC: i32 = -7;
/// The message was not taken: `SPANWIRE_FULL` was answered before, and `SPANWIRE_EVENT_WRITABLE` has not come.
pub const SPANWIRE_BLOCKED: i32 = -8;

/// A status code of gRPC (`doc/statuscodes.md` of grpc/grpc).
pub type spanwire_code = i32;
/// The call succeeded.
pub const SPANWIRE_CODE_OK: i32 = 0;
/// The call was cancelled, usually by the caller.
pub const SPANWIRE_CODE_CANCELLED: i32 = 1;
/// An error of which nothing better is known.
pub const SPANWIRE_CODE_UNKNOWN: i32 = 2;
/// The request is wrong whatever the state of the system.
pub const SPANWIRE_CODE_INVALID_ARGUMENT: i32 = 3;
/// The deadline passed before the call was over.
pub const SPANWIRE_CODE_DEADLINE_EXCEEDED: i32 = 4;
/// What was asked for does not exist.
pub const SPANWIRE_CODE_NOT_FOUND: i32 = 5;
/// What was to be made exists already.
pub const SPANWIRE_CODE_ALREADY_EXISTS: i32 = 6;
/// The caller is known and may not do this.
pub const SPANWIRE_CODE_PERMISSION_DENIED: i32 = 7;
/// A quota or a limit is used up.
pub const SPANWIRE_CODE_RESOURCE_EXHAUSTED: i32 = 8;
/// The system is not in the state that the call needs.
pub const SPANWIRE_CODE_FAILED_PRECONDITION: i32 = 9;
/// The call lost a race, such as a transaction abort.
pub const SPANWIRE_CODE_ABORTED: i32 = 10;
/// The request goes beyond a valid range.
pub const SPANWIRE_CODE_OUT_OF_RANGE: i32 = 11;
/// The server has no such method, or does not support what was asked.
pub const SPANWIRE_CODE_UNIMPLEMENTED: i32 = 12;
/// Something is broken that should not be.
pub const SPANWIRE_CODE_INTERNAL: i32 = 13;
/// The service cannot be reached now; trying again may help.
pub const SPANWIRE_CODE_UNAVAILABLE: i32 = 14;
/// Data are lost for good.
pub const SPANWIRE_CODE_DATA_LOSS: i32 = 15;
/// The caller is not known.
pub const SPANWIRE_CODE_UNAUTHENTICATED: i32 = 16;

/// The kind of a method.
pub type spanwire_kind = i32;
/// One request, one response.
pub const SPANWIRE_KIND_UNARY: i32 = 0;
/// One request, any number of responses.
pub const SPANWIRE_KIND_SERVER_STREAMING: i32 = 1;
/// Any number of requests, one response.
pub const SPANWIRE_KIND_CLIENT_STREAMING: i32 = 2;
/// Any number of messages each way, independently.
pub const SPANWIRE_KIND_BIDI: i32 = 3;

/// How messages are compressed.
pub type spanwire_encoding = i32;
/// A call: as its channel says. A channel or a server: not at all.
pub const SPANWIRE_ENCODING_DEFAULT: i32 = 0;
/// Not at all.
pub const SPANWIRE_ENCODING_IDENTITY: i32 = 1;
/// gzip.
pub const SPANWIRE_ENCODING_GZIP: i32 = 2;
/// deflate, with zlib's framing.
pub const SPANWIRE_ENCODING_DEFLATE: i32 = 3;
/// Zstandard.
pub const SPANWIRE_ENCODING_ZSTD: i32 = 4;

/// Whether a request can have had an effect: what a program needs to know before it tries again.
pub type spanwire_sent = i32;
/// It cannot have reached a handler.
pub const SPANWIRE_SENT_NOT_SENT: i32 = 0;
/// Nobody can tell.
pub const SPANWIRE_SENT_MAYBE_SENT: i32 = 1;
/// The server answered.
pub const SPANWIRE_SENT_ANSWERED: i32 = 2;

/// The state of a channel's connection.
pub type spanwire_connectivity = i32;
/// There is none; the next call makes one.
pub const SPANWIRE_CONNECTIVITY_IDLE: i32 = 0;
/// One is being made.
pub const SPANWIRE_CONNECTIVITY_CONNECTING: i32 = 1;
/// There is one.
pub const SPANWIRE_CONNECTIVITY_READY: i32 = 2;
/// An attempt failed; the next one follows by itself after a pause.
pub const SPANWIRE_CONNECTIVITY_TRANSIENT_FAILURE: i32 = 3;

/// A kind of name in a client's certificate.
pub type spanwire_name = i32;
/// A DNS name.
pub const SPANWIRE_NAME_DNS: i32 = 0;
/// A mail address.
pub const SPANWIRE_NAME_EMAIL: i32 = 1;
/// An IP address.
pub const SPANWIRE_NAME_IP: i32 = 2;
/// The SPIFFE ID; there is one at most.
pub const SPANWIRE_NAME_SPIFFE_ID: i32 = 3;
/// The subject in the form of RFC 4514, such as `CN=ada,O=Shop`; there is one at most.
pub const SPANWIRE_NAME_SUBJECT: i32 = 4;
/// A URI.
pub const SPANWIRE_NAME_URI: i32 = 5;

/// How talkative the log is.
pub type spanwire_log_level = i32;
/// Silent: the default.
pub const SPANWIRE_LOG_OFF: i32 = 0;
/// What a program should not have done, and faults.
pub const SPANWIRE_LOG_ERROR: i32 = 1;
/// What may be wrong.
pub const SPANWIRE_LOG_WARN: i32 = 2;
/// What happens seldom.
pub const SPANWIRE_LOG_INFO: i32 = 3;
/// Why connections end, and attempts fail.
pub const SPANWIRE_LOG_DEBUG: i32 = 4;
/// Everything.
pub const SPANWIRE_LOG_TRACE: i32 = 5;

/// An engine: threads that connections live on. Null where one is asked for is the default engine of the process.
pub struct spanwire_engine {
    _private: [u8; 0],
}

/// A queue of events.
pub struct spanwire_queue {
    _private: [u8; 0],
}

/// A client's way to a service.
pub struct spanwire_channel {
    _private: [u8; 0],
}

/// A call that this program made.
pub struct spanwire_call {
    _private: [u8; 0],
}

/// A server.
pub struct spanwire_server {
    _private: [u8; 0],
}

/// A call that a server received.
pub struct spanwire_server_call {
    _private: [u8; 0],
}

/// A bearer token that is wanted.
pub struct spanwire_token_request {
    _private: [u8; 0],
}

/// The kinds of handles, which are part of each. Numbers are never used again.
pub(crate) mod kind {
    pub(crate) const ENGINE: u8 = 1;
    pub(crate) const QUEUE: u8 = 2;
    pub(crate) const CHANNEL: u8 = 3;
    pub(crate) const CALL: u8 = 4;
    pub(crate) const SERVER: u8 = 5;
    pub(crate) const SERVER_CALL: u8 = 6;
    pub(crate) const TOKEN_REQUEST: u8 = 7;
}
