//! Clients and servers of the engine over a network in memory, in virtual time.
//!
//! ```text
//! seed ─► Random ─► scenario: who calls what, when, and what goes wrong
//!              └──► Network: latency, pieces, small buffers, loss ─► Trace (a hash of everything that happened)
//! calls ─► Ledger: what the clients were told ═ what the handlers did?
//! ```
//!
//! One thread, one runtime with a paused clock: time jumps to the next timer whenever every task waits. Nothing else
//! decides what happens, so a seed repeats its run to the byte. [`seeds`] runs a scenario with many of them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod calls;
mod ledger;
mod network;
mod random;
mod runner;
mod service;
mod stream;
mod trace;

pub use calls::{Plan, call};
pub use ledger::{Ledger, Outcome};
pub use network::{Network, Weather};
pub use random::Random;
pub use runner::{Sim, replay, seeds};
pub use service::Work;
pub use stream::{Fate, SimStream};
pub use trace::Trace;

/// So many milliseconds.
#[must_use]
pub const fn ms(milliseconds: u64) -> std::time::Duration {
    std::time::Duration::from_millis(milliseconds)
}
