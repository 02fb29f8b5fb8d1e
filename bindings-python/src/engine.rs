//! The engine of the process: made when it is first needed, forgotten in the child of a fork, ended with the interpreter.

use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;
use spanwire::bridge::{Engine, EngineOptions, fork};

use crate::convert::status::op_error;
use crate::guard::guard;
use crate::log;
use crate::sync::wait;

/// The engine, and the process that it was made in.
struct Made {
    engine: Engine,
    generation: u32,
}

/// Taken with the interpreter attached, and not kept while it is let go: a fork finds it free.
static ENGINE: Mutex<Option<Made>> = Mutex::new(None);

/// The engine of this process, for a channel or a server. The first call starts it.
///
/// # Errors
/// `OSError`: the system refused threads.
pub(crate) fn get(py: Python<'_>) -> PyResult<Engine> {
    log::start(py)?;
    let mut made = ENGINE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(made) = made.as_ref().filter(|made| made.generation == fork::generation()) {
        return Ok(made.engine.clone());
    }
    // One lane: it is the interpreter that is busy, not the sockets.
    let options =
        EngineOptions { lanes: 1, on_thread_start: Some(block_signals), client_language: Some("python") };
    let engine = Engine::new(&options).map_err(|error| op_error(&error))?;
    *made = Some(Made { engine: engine.clone(), generation: fork::generation() });
    Ok(engine)
}

/// Signals belong to the main thread, whose waiting system calls they are to interrupt.
fn block_signals() {
    #[cfg(unix)]
    // SAFETY: the set is filled before it is read, and both pointers are valid for the calls.
    unsafe {
        let mut all = std::mem::MaybeUninit::uninit();
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), std::ptr::null_mut());
    }
}

/// Ends the engine, and with it all that uses it. Takes a second at most. For the end of the interpreter.
#[pyfunction]
pub(crate) fn shutdown(py: Python<'_>) -> PyResult<()> {
    guard(|| {
        // First, because what waits for calls wakes up when they end.
        wait::stay_detached(py);
        let made = ENGINE.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(made) = made.filter(|made| made.generation == fork::generation()) {
            py.detach(|| made.engine.shutdown());
        }
        Ok(())
    })
}

/// What `os.register_at_fork` calls first in a child: the threads of the engine did not come along.
#[pyfunction]
pub(crate) fn after_fork_in_child() {
    fork::in_child();
    log::in_child();
    wait::in_child();
}
