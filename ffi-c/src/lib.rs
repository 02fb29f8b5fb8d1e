//! The C ABI: `core::bridge`, one to one, as functions that C can call. `include/spanwire.h` is made of this crate.
//!
//! Every exported function stops panics (`boundary.rs`), takes handles that are checked (`tables.rs`) and says in its
//! documentation who owns what. All behaviour is the engine's.

#![allow(non_camel_case_types, reason = "the names of C")]
#![allow(clippy::missing_safety_doc, reason = "functions without pointers are safe for C to call")]

mod boundary;
mod bytes;
mod call;
mod channel;
mod engine;
mod event;
mod hook;
mod metadata;
mod options;
mod queue;
mod server;
mod server_call;
mod tables;
mod token;
mod types;

pub use bytes::*;
pub use call::*;
pub use channel::*;
pub use engine::*;
pub use event::*;
pub use hook::*;
pub use metadata::*;
pub use options::*;
pub use queue::*;
pub use server::*;
pub use server_call::*;
pub use token::*;
pub use types::*;
