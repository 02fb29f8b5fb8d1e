//! A hostile client, and the proof that it harms nobody but itself.
//!
//! A server runs in a process of its own, on one thread, so that everyone shares it. A *victim* makes honest calls on a
//! connection of its own, one after the other, while the attack goes on beside it. What is judged:
//!
//! - the server reacts as [SECURITY.md](../../../SECURITY.md) promises,
//! - every call of the victim succeeds, and none is more than 50 ms late,
//! - the server's memory grows by 32 MB at most, and is back to 8 MB two seconds after the attack.
//!
//! `cargo test -p spanwire-attack --test attacks -- --seconds 5 rapid` attacks for longer, with some only.

pub mod connection;
pub mod honest;
pub mod judge;
pub mod play;
pub mod process;
pub mod scenario;
pub mod scenarios;
pub mod target;
pub mod tls;
pub mod victim;
