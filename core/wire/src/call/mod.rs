//! One call as a state machine, for each side. No I/O, no clock: the transport feeds in what HTTP/2
//! brings and takes events out.
//!
//! A call on the wire (`doc/PROTOCOL-HTTP2.md` of grpc/grpc):
//!
//! ```text
//! request  = HEADERS message* END_STREAM
//! response = HEADERS message* HEADERS(trailers, END_STREAM)
//!          | HEADERS(trailers, END_STREAM)                      "Trailers-Only"
//! either   = … RST_STREAM                                       at any point
//! ```
//!
//! What comes out of the machines:
//!
//! ```text
//! ClientCall: Headers? Message* Done                            exactly one Done, nothing behind it
//! ServerCall: Message* HalfClosed Failed?  |  Message* Failed
//! ```
//!
//! [`RequestHead`], [`accept_request`], [`response_head`], [`trailers_only`] and [`trailers`] make and
//! check the header blocks.

mod client;
mod request;
mod response;
mod server;

pub use client::{ClientCall, ClientEvent, ResponseKind};
pub use request::{Accepted, Limits, Refusal, RequestHead, accept_request};
pub use response::{response_head, trailers, trailers_only};
pub use server::{RequestKind, ServerCall, ServerEvent};
