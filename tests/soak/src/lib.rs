//! Calls that end badly, by the ten thousand: cancelled at any point, cut off with their connection, given up by
//! either side. Afterwards nothing may be left of them: no memory, no descriptor, no task, no handler, no window.
//!
//! Client and server are two processes of the same program, so that each has its memory to itself. The work is done
//! in rounds that are all alike; after each, both processes are at rest and are counted ([`census`]). What the
//! rounds add up to is judged at the end ([`verdict`]).

pub mod census;
pub mod relay;
pub mod rounds;
pub mod server;
pub mod verdict;
pub mod work;
