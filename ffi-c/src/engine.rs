//! The library as a whole, and engines.

use std::ffi::{c_char, c_void};
use std::sync::Arc;

use spanwire::bridge::{self, log};

use crate::boundary::{
    Refused, guard, guard_pointer, guard_value, handle, last_error, not_found, set_last_error, sized, text,
};
use crate::hook::code_of;
use crate::tables::{self, tables};
use crate::types::*;

/// The version of the ABI that this header describes. A program may compare it with `spanwire_abi_version()`: within one
/// version functions and fields are only added, fields at the end of structs that carry their size.
pub const SPANWIRE_ABI_VERSION: u32 = 1;

/// The version of the ABI that the library has.
#[unsafe(no_mangle)]
pub extern "C" fn spanwire_abi_version() -> u32 {
    SPANWIRE_ABI_VERSION
}

/// The version of the library, such as "0.1.0".
#[unsafe(no_mangle)]
pub extern "C" fn spanwire_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    VERSION.as_ptr().cast()
}

/// Why the last function that failed on this thread did: UTF-8, never null, valid until the next failure on this thread.
#[unsafe(no_mangle)]
pub extern "C" fn spanwire_last_error() -> *const c_char {
    last_error()
}

/// Sets the last error of this thread to `text` and answers `result`: for code that wraps this library and fails by itself.
///
/// # Safety
/// `text` is null, or a string that ends in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spanwire_fail(result: spanwire_result, text_: *const c_char) -> spanwire_result {
    guard(|| {
        // SAFETY: the caller's promise.
        set_last_error(unsafe { text(text_, "the text") }?);
        Ok(result)
    })
}

/// The name of a status code as the specification writes it, such as "NOT_FOUND"; "UNKNOWN" for numbers that are none.
#[unsafe(no_mangle)]
pub extern "C" fn spanwire_code_name(code: spanwire_code) -> *const c_char {
    let names = [
        c"OK",
        c"CANCELLED",
        c"UNKNOWN",
        c"INVALID_ARGUMENT",
        c"DEADLINE_EXCEEDED",
        c"NOT_FOUND",
        c"ALREADY_EXISTS",
        c"PERMISSION_DENIED",
        c"RESOURCE_EXHAUSTED",
        c"FAILED_PRECONDITION",
        c"ABORTED",
        c"OUT_OF_RANGE",
        c"UNIMPLEMENTED",
        c"INTERNAL",
        c"UNAVAILABLE",
        c"DATA_LOSS",
        c"UNAUTHENTICATED",
    ];
    names[code_of(code) as usize].as_ptr()
}

/// How many handles are live in this process, of all kinds: for tests that look for leaks.
#[unsafe(no_mangle)]
pub extern "C" fn spanwire_handle_count() -> usize {
    guard_value(0, || {
        let tables = tables();
        Ok(tables.engines.len()
            + tables.queues.len()
            + tables.channels.len()
            + tables.calls.len()
            + tables.servers.len()
            + tables.server_calls.len())
    })
}

/// Takes one line of the log: its level, the part of the engine it comes from, and the text. Both end in NUL and are valid
/// during the call. From any thread; it must not wait.
pub type spanwire_log_callback = Option<
    unsafe extern "C" fn(
        user_data: *mut c_void,
        level: spanwire_log_level,
        target: *const c_char,
        text: *const c_char,
    ),
>;

struct LogTarget {
    callback: unsafe extern "C" fn(*mut c_void, spanwire_log_level, *const c_char, *const c_char),
    user_data: *mut c_void,
}

// SAFETY: the program promises that the callback may run on any thread.
unsafe impl Send for LogTarget {}
// SAFETY: as above.
unsafe impl Sync for LogTarget {}

impl LogTarget {
    fn line(&self, level: spanwire_log_level, target: &str, text: &str) {
        let (target, text) = (crate::boundary::c_string(target), crate::boundary::c_string(text));
        // SAFETY: the program's own function; the texts live for the time of the call.
        unsafe { (self.callback)(self.user_data, level, target.as_ptr(), text.as_ptr()) }
    }
}

/// Hands the engine's log, up to `max_level`, to `callback`. Silent by default; `SPANWIRE_LOG_OFF` or a null callback makes it
/// silent again. A line that is being written may still arrive while this function runs, and none after it has come back on
/// a program's own only thread.
///
/// # Safety
/// `callback` may be called with `user_data` from any thread, until another one is set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spanwire_log_set(
    max_level: spanwire_log_level,
    callback: spanwire_log_callback,
    user_data: *mut c_void,
) -> spanwire_result {
    guard(|| {
        let level = log::level(max_level).ok_or_else(|| {
            Refused::argument(format!("max_level: {max_level} is no SPANWIRE_LOG_…, which are 0 to 5"))
        })?;
        let sink = callback.map(|callback| {
            let target = LogTarget { callback, user_data };
            let sink: log::Sink =
                Arc::new(move |level, module, text| target.line(log::number(level) as i32, module, text));
            sink
        });
        log::set(level, sink)?;
        Ok(SPANWIRE_DONE)
    })
}

/// Options of an engine; zeros are the defaults.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct spanwire_engine_options {
    /// `sizeof(spanwire_engine_options)`.
    pub size: usize,
    /// Threads for connections; 1 by default, which is enough for clients. A server that has to use several cores gives each
    /// of them one.
    pub lanes: u32,
}

/// Makes an engine. Most clients need none: where one is asked for, null is the process's own, with one thread, started when
/// it is first used. The threads block all signals. Null on failure; `spanwire_last_error` says why.
///
/// # Safety
/// `options` is null or as its documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spanwire_engine_new(
    options: *const spanwire_engine_options,
) -> *mut spanwire_engine {
    guard_pointer(|| {
        // SAFETY: the caller's promise.
        let options = unsafe { sized(options, "spanwire_engine_options") }?;
        if options.lanes > 1024 {
            return Err(Refused::argument(format!("lanes: {} are more threads than 1024", options.lanes)));
        }
        let engine = bridge::Engine::new(&tables::options(options.lanes as usize))?;
        Ok(handle(tables().engines.insert(engine)?))
    })
}

/// Ends an engine with all of its connections and calls, and waits for that, a second at most. Its calls end with their last
/// events: DONE with CANCELLED, and CANCELLED. Channels and servers on it answer `SPANWIRE_SHUT_DOWN` from here on and are to
/// be freed as always. Null and freed ones do nothing.
#[unsafe(no_mangle)]
pub extern "C" fn spanwire_engine_free(engine: *mut spanwire_engine) {
    guard_value((), || {
        if engine.is_null() {
            return Ok(());
        }
        let engine = tables().engines.remove(engine.addr()).map_err(|lost| not_found(lost, "engine"))?;
        engine.shutdown();
        Ok(())
    });
}
