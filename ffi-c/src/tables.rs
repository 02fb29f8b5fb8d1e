//! Where handles lead. All of it begins anew in the child of a fork: a lock may have been held in the parent.

use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, Once, OnceLock};

use spanwire::bridge::handle::Table;
use spanwire::bridge::{self, EngineOptions, OpError, fork};

use crate::boundary::{Refused, find};
use crate::call::CallEntry;
use crate::channel::ChannelEntry;
use crate::queue::QueueEntry;
use crate::server::ServerEntry;
use crate::types::{kind, spanwire_engine};

pub(crate) struct Tables {
    pub(crate) engines: Table<bridge::Engine>,
    pub(crate) queues: Table<Arc<QueueEntry>>,
    pub(crate) channels: Table<Arc<ChannelEntry>>,
    pub(crate) calls: Table<Arc<CallEntry>>,
    pub(crate) servers: Table<Arc<ServerEntry>>,
    pub(crate) server_calls: Table<bridge::ServerCallRef>,
    pub(crate) token_requests: Table<bridge::TokenRequest>,
    /// For programs that make none of their own.
    engine: OnceLock<Result<bridge::Engine, OpError>>,
}

static TABLES: AtomicPtr<Tables> = AtomicPtr::new(std::ptr::null_mut());

impl Tables {
    fn new() -> Self {
        let epoch = fork::generation();
        Tables {
            engines: Table::new(epoch, kind::ENGINE),
            queues: Table::new(epoch, kind::QUEUE),
            channels: Table::new(epoch, kind::CHANNEL),
            calls: Table::new(epoch, kind::CALL),
            servers: Table::new(epoch, kind::SERVER),
            server_calls: Table::new(epoch, kind::SERVER_CALL),
            token_requests: Table::new(epoch, kind::TOKEN_REQUEST),
            engine: OnceLock::new(),
        }
    }
}

/// The tables of this process.
pub(crate) fn tables() -> &'static Tables {
    let tables = TABLES.load(Ordering::Acquire);
    // SAFETY: what is stored there was leaked, so it lives for ever.
    if let Some(tables) = unsafe { tables.as_ref() } {
        return tables;
    }
    first()
}

#[cold]
fn first() -> &'static Tables {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        TABLES.store(Box::into_raw(Box::new(Tables::new())), Ordering::Release);
        #[cfg(unix)]
        // SAFETY: the handler only adds to an atomic, and allocates, which the C library makes safe in a child.
        unsafe {
            libc::pthread_atfork(None, None, Some(in_child));
        }
    });
    // SAFETY: stored above, by this thread or another one, and never taken away.
    unsafe { &*TABLES.load(Ordering::Acquire) }
}

/// The child's first breath. What the parent had stays where it is, untouched.
#[cfg(unix)]
extern "C" fn in_child() {
    fork::in_child();
    TABLES.store(Box::into_raw(Box::new(Tables::new())), Ordering::Release);
}

/// The engine of a handle; null is the default one.
pub(crate) fn engine(handle: *const spanwire_engine) -> Result<bridge::Engine, Refused> {
    if !handle.is_null() {
        return find(&tables().engines, handle, "engine");
    }
    let engine = tables().engine.get_or_init(|| bridge::Engine::new(&options(0)));
    Ok(engine.clone()?)
}

/// What engines of C programs are made with.
pub(crate) fn options(lanes: usize) -> EngineOptions {
    // To others, too, who writes C is one of those who write C++.
    EngineOptions { lanes, on_thread_start: Some(block_signals), client_language: Some("c++") }
}

/// Signals are for the program's own threads. SIGPIPE above all: by default it ends a process that writes to a connection
/// whose peer is gone. The disposition of signals is left alone.
pub(crate) fn block_signals() {
    #[cfg(unix)]
    // SAFETY: the set is made before it is used, and only this thread's mask changes.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut set);
        // A fault of this thread's own must not be held back.
        for signal in [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGABRT, libc::SIGTRAP]
        {
            libc::sigdelset(&raw mut set, signal);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
    }
}
