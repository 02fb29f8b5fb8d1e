//! The gRPC wire protocol as pure functions and small state machines.
//!
//! Nothing in this crate opens a socket, reads a clock or needs a runtime: bytes, header blocks and
//! the fact that a deadline has passed are handed in, events and header blocks are taken out. That is
//! what lets every rule of the protocol be tested in microseconds.
//!
//! | module | what it holds | specification |
//! |---|---|---|
//! | [`code`] | the seventeen status codes | `doc/statuscodes.md` |
//! | [`metadata`] | custom metadata over an `http::HeaderMap` | `doc/PROTOCOL-HTTP2.md` |
//! | [`status`] | a call's outcome, to and from trailers | `PROTOCOL-HTTP2.md`, `http-grpc-status-mapping.md` |
//! | [`timeout`] | the `grpc-timeout` header | `PROTOCOL-HTTP2.md` |
//! | [`encoding`] | message compression | `doc/compression.md` |
//! | [`frame`] | the five-byte message prefix | `PROTOCOL-HTTP2.md` |
//! | [`outgoing`] | a message on its way out | `PROTOCOL-HTTP2.md` |
//! | [`content_type`] | which content types are gRPC | `PROTOCOL-HTTP2.md` |
//! | [`web`] | gRPC-Web's content types, trailers and base64 | `doc/PROTOCOL-WEB.md` |
//! | [`call`] | one call as a state machine, for each side | all of the above |
//!
//! Documents named `doc/…` are those of the public `grpc/grpc` repository. Where its implementations
//! differ from one another, a page in `docs/decisions` says which way this crate goes and why.
#![forbid(unsafe_code)]

pub mod call;
pub mod code;
pub mod content_type;
pub mod encoding;
pub mod frame;
pub mod metadata;
pub mod outgoing;
pub mod status;
pub mod timeout;
pub mod web;

mod header;
mod percent;
pub mod reset;

pub use code::Code;
pub use encoding::{Encoding, EncodingSet};
pub use metadata::{Metadata, MetadataError};
pub use status::{Sent, Status};
