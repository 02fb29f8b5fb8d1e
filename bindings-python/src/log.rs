//! The engine's log on its way to `logging`: lanes leave lines here, and a thread of Python takes them.
//!
//! A lane neither waits nor takes a lock for it: a fork could find the lock taken.

use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicUsize, Ordering};
use std::thread::{self, Thread};

use pyo3::prelude::*;
use spanwire::bridge::{fork, log};
use tracing::Level;

use crate::guard::guard;
use crate::imported::Imported;
use crate::stack::Stack;

/// Lines that wait at once; what is more is not kept.
const MOST_LINES: usize = 1000;

static LINES: Stack<(Level, String)> = Stack::new();
static WAITING: AtomicUsize = AtomicUsize::new(0);
/// The thread that takes them; never freed, for a lane may be about to wake it.
static READER: AtomicPtr<Thread> = AtomicPtr::new(null_mut());
static STOPPED: AtomicBool = AtomicBool::new(false);
/// What the engine was last told to say, as a number of the bridge; -1: nothing yet.
static LEVEL: AtomicI32 = AtomicI32::new(-1);

/// Begins to hand the log over, in each process once, and looks at the level that is asked for.
pub(crate) fn start(py: Python<'_>) -> PyResult<()> {
    static STARTED: std::sync::Mutex<Option<u32>> = std::sync::Mutex::new(None);
    let mut started = STARTED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let first = started.replace(fork::generation()) != Some(fork::generation());
    // Starting a thread lets the interpreter go.
    drop(started);
    static START: Imported = Imported::new("spanwire._log", "start");
    START.get(py)?.call1((first,))?;
    Ok(())
}

/// Has the engine say what a level of `logging` lets through.
#[pyfunction]
pub(crate) fn set_log_level(level: i32) {
    // Between two levels of `logging` counts as the upper one.
    let number = match level {
        ..=5 => 5,
        6..=10 => 4,
        11..=20 => 3,
        21..=30 => 2,
        31..=40 => 1,
        _ => 0,
    };
    if LEVEL.swap(number, Ordering::Relaxed) == number {
        return;
    }
    if let Some(level) = log::level(number) {
        // An error is that another part of the program has the log.
        let _ = log::set(level, Some(Arc::new(take)));
    }
}

/// On a lane.
fn take(level: Level, _module: &str, text: &str) {
    if WAITING.fetch_add(1, Ordering::Relaxed) < MOST_LINES {
        LINES.push((level, text.to_owned()));
    }
    // SAFETY: what was stored there is never freed.
    if let Some(reader) = unsafe { READER.load(Ordering::Acquire).as_ref() } {
        reader.unpark();
    }
}

/// Waits for lines, and gives them with their levels of `logging`, the oldest first. `None`: it is over.
#[pyfunction]
pub(crate) fn take_log_lines(py: Python<'_>) -> PyResult<Option<Vec<(u8, String)>>> {
    guard(|| {
        if READER.load(Ordering::Relaxed).is_null() {
            READER.store(Box::into_raw(Box::new(thread::current())), Ordering::Release);
        }
        loop {
            let lines = LINES.take();
            let lost = WAITING.swap(0, Ordering::Relaxed).saturating_sub(MOST_LINES);
            if !lines.is_empty() {
                let mut lines: Vec<_> =
                    lines.into_iter().map(|(level, text)| (python(level), text)).collect();
                if lost > 0 {
                    lines.push((30, format!("{lost} more lines were not kept")));
                }
                return Ok(Some(lines));
            }
            if STOPPED.load(Ordering::Relaxed) {
                return Ok(None);
            }
            py.detach(thread::park);
        }
    })
}

fn python(level: Level) -> u8 {
    match level {
        Level::ERROR => 40,
        Level::WARN => 30,
        Level::INFO => 20,
        Level::DEBUG => 10,
        _ => 5,
    }
}

/// Ends the thread that takes the lines.
#[pyfunction]
pub(crate) fn stop_log() {
    STOPPED.store(true, Ordering::Relaxed);
    // SAFETY: what was stored there is never freed.
    if let Some(reader) = unsafe { READER.load(Ordering::Acquire).as_ref() } {
        reader.unpark();
    }
}

/// In the child of a fork: the thread did not come along, and the lines are the parent's.
pub(crate) fn in_child() {
    READER.store(null_mut(), Ordering::Relaxed);
    drop(LINES.take());
    WAITING.store(0, Ordering::Relaxed);
}
