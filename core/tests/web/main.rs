//! gRPC-Web, as bytes on the wire: a server of the public API, and clients that are no more than a byte stream.

#![allow(unreachable_pub, clippy::unwrap_used, reason = "a test fails by panicking")]

mod client;
mod cors;
mod http1;
mod http2;
mod limits;
#[path = "../support/mod.rs"]
mod support;
