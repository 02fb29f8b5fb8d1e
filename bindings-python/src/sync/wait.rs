//! How a thread waits: without the GIL, awake for Ctrl-C, and never back into an interpreter that ends.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use pyo3::exceptions::PyBlockingIOError;
use pyo3::prelude::*;
use spanwire::bridge::{flush_batch, fork};

use super::inbox::{Inbox, State};
use crate::convert::status::op_error;

/// How long the main thread waits before it looks for signals again.
const SLICE: Duration = Duration::from_millis(50);

/// How long the end of the process waits for threads that are on their way back into the interpreter.
const PATIENCE: Duration = Duration::from_millis(500);

static EXITING: AtomicBool = AtomicBool::new(false);
/// Threads between the end of their wait and the GIL.
static RETURNING: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Whether this is Python's main thread, and in which process that was asked.
    static MAIN: Cell<Option<(u32, bool)>> = const { Cell::new(None) };
}

/// Waits until `take` finds what it looks for in the inbox; `take` runs under the inbox's lock. What is there already is
/// returned without letting go of the GIL.
///
/// # Errors
/// What a signal handler raised: `KeyboardInterrupt` as a rule. `BlockingIOError` instead of waiting if the inbox rings a
/// bell.
pub(crate) fn wait_for<T: Send>(
    py: Python<'_>,
    inbox: &Inbox,
    mut take: impl FnMut(&mut State) -> Option<T> + Send,
) -> PyResult<T> {
    inbox.check().map_err(|error| op_error(&error))?;
    if let Some(found) = inbox.try_take(&mut take) {
        return Ok(found);
    }
    if inbox.rings() {
        return Err(would_block());
    }
    loop {
        let slice = slice(py)?;
        if let Some(found) = detached(py, || inbox.wait(slice, &mut take)) {
            return Ok(found);
        }
        py.check_signals()?;
    }
}

/// What an operation says that would have to wait where the caller does that by itself.
pub(crate) fn would_block() -> PyErr {
    PyBlockingIOError::new_err("wait for the bell and try again")
}

/// How long to wait at once: for ever but on the main thread, which is the one that handles signals.
pub(crate) fn slice(py: Python<'_>) -> PyResult<Option<Duration>> {
    Ok(is_main_thread(py)?.then_some(SLICE))
}

pub(crate) fn is_main_thread(py: Python<'_>) -> PyResult<bool> {
    if let Some((generation, is_main)) = MAIN.get()
        && generation == fork::generation()
    {
        return Ok(is_main);
    }
    let threading = py.import("threading")?;
    let main = threading.call_method0("main_thread")?.getattr("ident")?;
    let is_main = threading.call_method0("get_ident")?.eq(main)?;
    MAIN.set(Some((fork::generation(), is_main)));
    Ok(is_main)
}

/// Runs `wait` without the GIL.
///
/// Python ends threads that ask for the GIL while it shuts down, in the middle of whatever called them: through frames of
/// Rust that would be an abort. So a thread that comes back after [`exit`] stays where it is.
pub(crate) fn detached<T: Send>(py: Python<'_>, wait: impl FnOnce() -> T + Send) -> T {
    // The thread may be an event loop's, which collects what its calls ask for.
    flush_batch();
    let result = py.detach(|| {
        let result = wait();
        announce_return();
        result
    });
    RETURNING.fetch_sub(1, Ordering::SeqCst);
    result
}

fn announce_return() {
    // Announced before looking: `exit` either sees it or is seen.
    RETURNING.fetch_add(1, Ordering::SeqCst);
    let is_main = MAIN.get().is_some_and(|(_, is_main)| is_main);
    if EXITING.load(Ordering::SeqCst) && !is_main {
        RETURNING.fetch_sub(1, Ordering::SeqCst);
        loop {
            std::thread::park();
        }
    }
}

/// For the end of the interpreter, before the engine is shut down: threads that wait here do not come back any more.
pub(crate) fn stay_detached(py: Python<'_>) {
    EXITING.store(true, Ordering::SeqCst);
    py.detach(|| {
        let until = Instant::now() + PATIENCE;
        while RETURNING.load(Ordering::SeqCst) > 0 && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
    });
}

/// For the child of a fork: its other threads are gone, wherever they were.
pub(crate) fn in_child() {
    RETURNING.store(0, Ordering::SeqCst);
}
