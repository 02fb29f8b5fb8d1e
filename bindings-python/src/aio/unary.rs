//! Unary calls: one operation down, one event up.

use std::sync::{Arc, Mutex};

use pyo3::prelude::*;
use spanwire::bridge::{self, Outcome};

use super::awaiting::{Awaiting, Wanted};
use super::event_loop::{Loop, lock};
use super::waiters::{Waiter, Waiters};
use crate::convert::message::Method;
use crate::convert::metadata::Metadata;
use crate::convert::status::call_error;

/// What the table knows of a unary call.
pub(crate) struct Unary {
    pub(crate) event_loop: Arc<Loop>,
    pub(crate) method: Py<Method>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    outcome: Option<Outcome>,
    waiters: Waiters,
}

/// A unary call, as its caller holds it.
#[pyclass(frozen, weakref, module = "spanwire._native")]
pub(crate) struct UnaryCall {
    pub(crate) unary: Arc<Unary>,
    pub(crate) call: bridge::Call,
}

impl Unary {
    pub(crate) fn new(event_loop: Arc<Loop>, method: Py<Method>) -> Self {
        Unary { event_loop, method, state: Mutex::default() }
    }

    pub(crate) fn done(&self, py: Python<'_>, outcome: Outcome) -> PyResult<()> {
        let mut state = lock(&self.state);
        state.outcome = Some(outcome);
        let waiters = state.waiters.take();
        drop(state);
        waiters.wake(py)
    }

    /// Adds a waiter, which the task that runs is about to wait for.
    pub(crate) fn wait(&self, py: Python<'_>, waiter: Waiter) -> PyResult<()> {
        let mut state = lock(&self.state);
        // It may have ended while the waiter was made.
        if state.outcome.is_some() {
            drop(state);
            return waiter.wake(py);
        }
        state.waiters.add(waiter);
        Ok(())
    }

    /// The response, when it is there.
    pub(crate) fn response(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let state = lock(&self.state);
        let Some(outcome) = &state.outcome else { return Ok(None) };
        // Counted by reference: reading it may run any code, which must not find the lock taken.
        let message = match &outcome.message {
            Some(message) if outcome.status.is_ok() => message.bytes.clone(),
            _ => {
                let (status, peer, attempts) =
                    (outcome.status.clone(), outcome.peer.clone(), outcome.attempts);
                drop(state);
                return Err(call_error(&status, peer.as_ref(), attempts));
            }
        };
        drop(state);
        self.method.get().response.decode(py, &message).map(|response| Some(response.unbind()))
    }

    /// The leading metadata, when the call is over.
    pub(crate) fn headers(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let Some(headers) = self.known(|outcome| outcome.headers.as_deref().cloned().unwrap_or_default())
        else {
            return Ok(None);
        };
        Ok(Some(Metadata::of(headers).into_pyobject(py)?.into_any().unbind()))
    }

    fn known<T>(&self, what: impl FnOnce(&Outcome) -> T) -> Option<T> {
        lock(&self.state).outcome.as_ref().map(what)
    }
}

impl UnaryCall {
    /// Cancels it, unless it is over.
    pub(crate) fn end(&self) {
        // What is forked or shut down has no call to cancel.
        let _ = self.call.cancel();
    }
}

#[pymethods]
impl UnaryCall {
    fn __await__(slf: Py<Self>) -> Awaiting {
        Awaiting::new(Wanted::Response(slf))
    }

    fn cancel(&self) {
        self.end();
    }

    fn headers(slf: Py<Self>) -> Awaiting {
        Awaiting::new(Wanted::Headers(slf))
    }

    /// The leading metadata, if they are there.
    #[getter]
    fn _headers(&self) -> Option<Metadata> {
        self.unary.known(|outcome| Metadata::of(outcome.headers.as_deref().cloned().unwrap_or_default()))
    }

    #[getter]
    fn trailers(&self) -> Option<Metadata> {
        self.unary.known(|outcome| Metadata::of(outcome.status.metadata().clone()))
    }

    #[getter]
    fn peer(&self) -> Option<String> {
        self.unary.known(|outcome| outcome.peer.as_ref().map(ToString::to_string))?
    }

    #[getter]
    fn attempts(&self) -> u32 {
        self.unary.known(|outcome| outcome.attempts).unwrap_or(0)
    }

    #[getter]
    fn compressed(&self) -> bool {
        self.unary
            .known(|outcome| outcome.message.as_ref().is_some_and(|message| message.compressed))
            .unwrap_or(false)
    }

    #[getter]
    fn done(&self) -> bool {
        self.unary.known(|_| ()).is_some()
    }

    fn __repr__(&self) -> String {
        let status = self.unary.known(|outcome| outcome.status.code().name());
        format!("<spanwire.UnaryCall {} {}>", self.unary.method.get().path, status.unwrap_or("running"))
    }
}
