//! The engine's log, to a function of JavaScript. A process has one log: the environment that asked for it last gets it.

use std::sync::{Arc, Mutex, PoisonError};

use napi::Status;
use napi::bindgen_prelude::{FnArgs, Function, Result};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use spanwire::bridge::log;

use crate::convert::error::{argument, op_error};

/// Its level, the part of the engine that says it, and the text.
pub(crate) type Line = FnArgs<(u32, String, String)>;

/// Lines that wait for a thread of JavaScript, at most; others are lost meanwhile.
const LINES: usize = 1024;

type Take = ThreadsafeFunction<Line, (), Line, Status, false, true, LINES>;

/// Where lines go, until its environment takes it away.
#[derive(Clone)]
pub(crate) struct Log(Arc<Mutex<Option<Take>>>);

/// The log that was asked for last.
static CURRENT: Mutex<Option<Log>> = Mutex::new(None);

impl Log {
    /// Has `take` get the lines up to a level, of 1 for errors to 5 for everything.
    ///
    /// # Errors
    /// There is no such level.
    pub(crate) fn start(take: &Function<'_, Line, ()>, level: u32) -> Result<Self> {
        let max_level = i32::try_from(level)
            .ok()
            .and_then(log::level)
            .ok_or_else(|| argument("level: there is none such"))?;
        let take = take
            .build_threadsafe_function()
            .callee_handled::<false>()
            .weak::<true>()
            .max_queue_size::<LINES>()
            .build()?;
        let this = Log(Arc::new(Mutex::new(Some(take))));
        let sink = this.clone();
        log::set(
            max_level,
            Some(Arc::new(move |level, target, text| {
                if let Some(take) = &*sink.lock() {
                    let line = (log::number(level) as u32, target.to_owned(), text.to_owned());
                    // One that finds no room is lost: a lane does not wait.
                    take.call(line.into(), ThreadsafeFunctionCallMode::NonBlocking);
                }
            })),
        )
        .map_err(|error| op_error(&error))?;
        *current() = Some(this.clone());
        Ok(this)
    }

    /// No more lines come.
    pub(crate) fn stop(&self) {
        let take = self.lock().take();
        drop(take);
        let mut current = current();
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(&current.0, &self.0)) {
            *current = None;
            // An error means that the lines never came here.
            drop(log::set(None, None));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Take>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn current() -> std::sync::MutexGuard<'static, Option<Log>> {
    CURRENT.lock().unwrap_or_else(PoisonError::into_inner)
}
