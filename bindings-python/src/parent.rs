//! Which call the running code handles: calls that it makes end no later than that one.

use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::intern;
use pyo3::prelude::*;
use spanwire::bridge::ServerCallRef;

use crate::aio::context::Context;
use crate::imported::Imported;
use crate::sync::context::SyncContext;

/// The call whose handler runs, on an event loop or on a thread.
pub(crate) enum Parent {
    Aio(Py<Context>),
    Sync(Py<SyncContext>),
}

impl Parent {
    pub(crate) fn call(&self) -> &ServerCallRef {
        match self {
            Parent::Aio(context) => &context.get().served.call,
            Parent::Sync(context) => context.get().call(),
        }
    }
}

/// Whether this process has served anything: else no call can have a parent.
static SERVING: AtomicBool = AtomicBool::new(false);

/// From here on calls may have parents.
pub(crate) fn serving() {
    SERVING.store(true, Ordering::Relaxed);
}

fn variable(py: Python<'_>) -> PyResult<Borrowed<'static, '_, PyAny>> {
    static VARIABLE: Imported = Imported::new("spanwire._context", "CURRENT");
    VARIABLE.get(py)
}

/// Makes a context the one of the code that runs: for the current context of `contextvars`.
pub(crate) fn enter(context: &Bound<'_, PyAny>) -> PyResult<()> {
    variable(context.py())?.call_method1(intern!(context.py(), "set"), (context,))?;
    Ok(())
}

/// The call that the running code handles.
pub(crate) fn current(py: Python<'_>) -> PyResult<Option<Parent>> {
    if !SERVING.load(Ordering::Relaxed) {
        return Ok(None);
    }
    let context = variable(py)?.call_method1(intern!(py, "get"), (py.None(),))?;
    Ok(match context.cast_into::<Context>() {
        Ok(context) => Some(Parent::Aio(context.unbind())),
        Err(other) => {
            other.into_inner().cast_into::<SyncContext>().ok().map(|context| Parent::Sync(context.unbind()))
        }
    })
}
