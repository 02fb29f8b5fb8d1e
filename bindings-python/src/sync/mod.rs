//! The blocking API: threads that wait for the engine, or greenlets whose hub does.
//!
//! ```text
//! client   channel ─ call ─► inbox ◄─ router (lane)            one inbox for each call
//! server   pool: work ◄─ router (lane) ─► inboxes of streams   threads take work, and hand in answers with the next
//! ```

pub(crate) mod bell;
pub(crate) mod call;
pub(crate) mod channel;
pub(crate) mod context;
pub(crate) mod inbox;
pub(crate) mod pool;
pub(crate) mod server;
pub(crate) mod wait;
