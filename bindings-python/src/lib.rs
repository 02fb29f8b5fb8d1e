//! The native module of the Python package `spanwire`: the bridge of the engine, in the types and idioms of Python.
//!
//! ```text
//! convert/   data: options, metadata, statuses, messages          types in, types out; no state
//! guard      panics become errors, and nothing else
//! engine     the one engine of the process; fork and exit
//! log        the engine's log, to `logging.getLogger("spanwire")`
//! aio/       event loops: queue, channel, calls, server, handlers
//! sync/      threads and greenlets: the blocking twins
//! cli        `python -m spanwire`
//! ```
//!
//! Two rules hold everywhere. No lane ever waits for the interpreter: what is Python's is made, called and dropped on
//! threads of Python only, and events wait in a queue until one of those takes them. And nothing here decides: defaults,
//! limits and tables are the engine's.

mod aio;
mod cli;
mod convert;
mod credit;
mod engine;
mod guard;
mod imported;
mod log;
mod opentelemetry;
mod parent;
mod stack;
mod sync;
mod token;

use pyo3::prelude::*;

/// Private: use the package `spanwire`.
#[pymodule]
mod _native {
    use pyo3::prelude::*;
    use pyo3::types::PyMapping;

    #[pymodule_export]
    use crate::aio::channel::Channel;
    #[pymodule_export]
    use crate::aio::context::Context;
    #[pymodule_export]
    use crate::aio::event_loop::Queue;
    #[pymodule_export]
    use crate::aio::server::Server;
    #[pymodule_export]
    use crate::aio::stream_call::{BidiCall, ClientStreamingCall, Feed, ServerStreamingCall, StreamCall};
    #[pymodule_export]
    use crate::aio::unary::UnaryCall;
    #[pymodule_export]
    use crate::cli::{cli, plugin};
    #[pymodule_export]
    use crate::convert::details::{decode_details, encode_details};
    #[pymodule_export]
    use crate::convert::identity::TlsIdentity;
    #[pymodule_export]
    use crate::convert::message::{Method, uncompressed};
    #[pymodule_export]
    use crate::convert::metadata::Metadata;
    #[pymodule_export]
    use crate::convert::methods::Methods;
    #[pymodule_export]
    use crate::convert::options::{Jwt, Tls};
    #[pymodule_export]
    use crate::engine::{after_fork_in_child, shutdown};
    #[pymodule_export]
    use crate::log::{set_log_level, stop_log, take_log_lines};
    #[pymodule_export]
    use crate::sync::bell::Bell;
    #[pymodule_export]
    use crate::sync::call::SyncCall;
    #[pymodule_export]
    use crate::sync::channel::SyncChannel;
    #[pymodule_export]
    use crate::sync::context::SyncContext;
    #[pymodule_export]
    use crate::sync::server::SyncServer;

    /// What PyO3 looks up with its first use, under a lock, is looked up here: a fork must not come upon it.
    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) {
        let _ = module.cast::<PyMapping>();
    }
}
