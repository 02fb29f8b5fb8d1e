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
//!
//! # Example: a unary response
//!
//! ```
//! use spanwire_wire::call::{ClientCall, ClientEvent, ResponseKind, response_head, trailers};
//! use spanwire_wire::{Encoding, EncodingSet, Metadata, Status, frame};
//!
//! let mut call = ClientCall::new(ResponseKind::One, 4 << 20, EncodingSet::all());
//!
//! // What a server sends, fed in as it would come off the stream.
//! let head = response_head(Encoding::Identity, EncodingSet::all(), Metadata::new());
//! call.on_headers(head.status().as_u16(), head.into_parts().0.headers, false);
//! call.on_data(frame::frame(b"an order", false)?.freeze());
//! assert!(matches!(call.poll_event(), Some(ClientEvent::Headers(_))));
//! assert!(call.poll_event().is_none(), "the message waits for its status");
//!
//! call.on_trailers(trailers(&Status::ok()));
//! assert!(matches!(call.poll_event(), Some(ClientEvent::Message(message)) if message == "an order"));
//! assert!(matches!(call.poll_event(), Some(ClientEvent::Done(status)) if status.is_ok()));
//! # Ok::<(), Status>(())
//! ```

mod client;
mod request;
mod response;
mod server;

pub use client::{ClientCall, ClientEvent, Exceeded, ResponseKind};
pub use request::{Accepted, Excess, Limits, Refusal, RequestHead, RequestTemplate, accept_request};
pub use response::{response_head, trailers, trailers_only};
pub use server::{RequestKind, ServerCall, ServerEvent};
