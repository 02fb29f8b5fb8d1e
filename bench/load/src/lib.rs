//! What the bench programs in Rust share, ours and the peers': flags, runtimes, the load of a client, the clock.
//!
//! One implementation for all of them, so that what differs in the numbers is the library under test.

mod drive;
mod flags;
mod latency;

pub use drive::{Worker, drive};
pub use flags::{ClientFlags, Mode, Runtime, ServerFlags};
pub use latency::Latencies;

/// Whatever made a program fail.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// The largest body that a server sends on request, in bytes.
pub const MAX_BODY_BYTES: u64 = 64 * 1024 * 1024;
