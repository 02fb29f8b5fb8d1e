//! The addon of the npm package `spanwire`: the bridge of the engine, in Node-API.
//!
//! ```text
//! environment   what one JavaScript environment (the main thread, a worker) has: channels, calls, servers
//! protocol      the numbers and the layout of the records that cross in both directions
//! submit        operations down: one call for all that a turn of the event loop asked for
//! drain         events up: one call for all that happened since
//! call          calls of both sides, and what waits behind a full one
//! compile       `.proto` files to descriptors, without any environment
//! bell          how the event loop is woken, and when it is kept alive
//! convert/      options, metadata, details, errors: types in, types out
//! ```
//!
//! Two rules hold everywhere. No lane ever runs JavaScript or waits for it: events wait in a queue until the thread of the
//! environment takes them. And nothing here decides: defaults, limits and tables are the engine's.
// Exports are called by Node alone: checked as a test, nothing uses them.
#![cfg_attr(test, allow(dead_code))]

mod bell;
mod call;
mod compile;
mod convert;
mod drain;
mod engine;
mod environment;
mod log;
mod methods;
mod protocol;
mod server;
mod submit;
mod token;
