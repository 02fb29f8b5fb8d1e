//! The official gRPC interop programs, on Spanwire.
//!
//! The cases and what they assert are described in grpc/grpc's `doc/interop-test-descriptions.md` and
//! `doc/http2-interop-test-descriptions.md`; the flags are the official ones. See `tests/interop/run.py`
//! for who is run against whom.

pub mod cases;
pub mod flags;
pub mod orca;
pub mod outcome;
pub mod server;
pub mod session;

/// The messages and services of `grpc.testing`.
#[allow(missing_docs)]
pub mod testing {
    spanwire::include_proto!("grpc.testing");
}

/// The metadata key whose value a server echoes in its leading metadata.
pub const ECHO_INITIAL: &str = "x-grpc-test-echo-initial";
/// The metadata key whose value a server echoes in its trailers.
pub const ECHO_TRAILING: &str = "x-grpc-test-echo-trailing-bin";

/// The exit code of a client for a case that it does not offer.
pub const NOT_OFFERED_EXIT: u8 = 77;

/// A payload of `size` zero bytes.
#[must_use]
pub fn zeros(size: usize) -> Option<testing::Payload> {
    Some(testing::Payload { body: vec![0; size], ..testing::Payload::default() })
}
