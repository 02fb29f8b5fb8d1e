//! What `await` gets: an iterator that steps aside only while what it wants is not there.

use std::sync::Arc;

use pyo3::exceptions::{PyRuntimeError, PyStopIteration, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::iterator::PySendResult;
use pyo3::types::{PyIterator, PyType};

use super::context::Served;
use super::event_loop::Loop;
use super::server::Closing;
use super::stream::Want;
use super::stream_call::StreamCall;
use super::unary::UnaryCall;
use super::waiters::Waiter;
use crate::guard::guard;

/// One `await`. When its task is cancelled, the call that it waits for is.
#[pyclass(module = "spanwire._native")]
pub(crate) struct Awaiting {
    wanted: Wanted,
    /// The iterator of a waiter that is no task's own.
    other: Option<Py<PyAny>>,
}

/// What is wanted, and of whom.
pub(crate) enum Wanted {
    /// Nothing more.
    Nothing,
    /// What is there already.
    Value(Py<PyAny>),
    /// A unary call: its response.
    Response(Py<UnaryCall>),
    /// A unary call: its leading metadata.
    Headers(Py<UnaryCall>),
    /// Something of a stream. It holds the call, which would be cancelled if nobody did.
    Stream(Py<StreamCall>, Want),
    /// Something of a stream whose call others hold.
    Feed(Arc<super::stream::Stream>, Want),
    /// Something of a call on the server.
    Served(Arc<Served>, Want),
    /// A server, when it is closed.
    Closed(Arc<Closing>),
}

impl Awaiting {
    pub(crate) fn new(wanted: Wanted) -> Self {
        Awaiting { wanted, other: None }
    }

    /// One that gives a value at once.
    pub(crate) fn of(value: Py<PyAny>) -> Self {
        Awaiting::new(Wanted::Value(value))
    }

    fn step<'py>(&mut self, py: Python<'py>, mut sent: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        loop {
            if let Some(waiter) = &self.other {
                // SAFETY: any object may be sent to; it raises TypeError if it is no iterator.
                let waiter = unsafe { waiter.bind(py).clone().cast_into_unchecked::<PyIterator>() };
                match waiter.send(&sent) {
                    Ok(PySendResult::Next(aside)) => return Ok(aside),
                    Ok(PySendResult::Return(_)) => self.other = None,
                    Err(error) => {
                        self.interrupted();
                        return Err(error);
                    }
                }
            }
            if let Some(value) = self.take(py)? {
                return Err(PyStopIteration::new_err((value,)));
            }
            let Some(event_loop) = self.event_loop() else { continue };
            let waiter = event_loop.waiter(py)?;
            self.wait(py, waiter.clone_ref(py))?;
            match waiter {
                Waiter::Task(wake) => {
                    wake.get().block();
                    return Ok(wake.into_bound(py).into_any());
                }
                Waiter::Other(waiter) => {
                    self.other = Some(waiter.call_method0(py, intern!(py, "__await__"))?);
                    sent = py.None().into_bound(py);
                }
            }
        }
    }

    /// What is wanted, if it is there. Then, and after an error, nothing more is.
    fn take(&mut self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let taken = match &mut self.wanted {
            Wanted::Nothing => Err(PyRuntimeError::new_err("this was awaited already")),
            Wanted::Value(value) => Ok(Some(value.clone_ref(py))),
            Wanted::Response(call) => call.get().unary.response(py),
            Wanted::Headers(call) => call.get().unary.headers(py),
            Wanted::Stream(call, want) => call.get().stream.take(py, want),
            Wanted::Feed(stream, want) => stream.take(py, want),
            Wanted::Served(served, want) => served.take(py, want),
            Wanted::Closed(closing) => Ok(closing.is_done().then(|| py.None())),
        };
        if !matches!(taken, Ok(None)) {
            self.wanted = Wanted::Nothing;
        }
        taken
    }

    fn wait(&self, py: Python<'_>, waiter: Waiter) -> PyResult<()> {
        match &self.wanted {
            Wanted::Response(call) | Wanted::Headers(call) => call.get().unary.wait(py, waiter),
            Wanted::Stream(call, want) => call.get().stream.wait(py, want, waiter),
            Wanted::Feed(stream, want) => stream.wait(py, want, waiter),
            Wanted::Served(served, want) => {
                served.wait(want, waiter);
                Ok(())
            }
            Wanted::Closed(closing) => closing.wait(py, waiter),
            Wanted::Nothing | Wanted::Value(_) => waiter.wake(py),
        }
    }

    /// The loop whose events bring what is wanted; `None` for what is there already.
    fn event_loop(&self) -> Option<Arc<Loop>> {
        Some(match &self.wanted {
            Wanted::Response(call) | Wanted::Headers(call) => call.get().unary.event_loop.clone(),
            Wanted::Stream(call, _) => call.get().stream.event_loop.clone(),
            Wanted::Feed(stream, _) => stream.event_loop.clone(),
            Wanted::Served(served, _) => served.event_loop.clone(),
            Wanted::Closed(closing) => closing.event_loop.clone(),
            Wanted::Nothing | Wanted::Value(_) => return None,
        })
    }

    /// Whoever awaits does not want it any more.
    fn interrupted(&mut self) {
        self.other = None;
        match std::mem::replace(&mut self.wanted, Wanted::Nothing) {
            Wanted::Response(call) | Wanted::Headers(call) => call.get().end(),
            Wanted::Stream(call, _) => call.get().end(),
            _ => {}
        }
    }
}

#[pymethods]
impl Awaiting {
    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        guard(|| self.step(py, py.None().into_bound(py)))
    }

    fn send<'py>(&mut self, py: Python<'py>, value: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        guard(|| self.step(py, value))
    }

    #[pyo3(signature = (kind, value = None, traceback = None))]
    fn throw(
        &mut self,
        kind: Bound<'_, PyAny>,
        value: Option<Bound<'_, PyAny>>,
        traceback: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        guard(|| {
            let _ = traceback;
            self.interrupted();
            Err(thrown(kind, value)?)
        })
    }

    fn close(&mut self) {
        self.interrupted();
    }
}

/// The exception that the arguments of `throw` mean.
pub(crate) fn thrown(kind: Bound<'_, PyAny>, value: Option<Bound<'_, PyAny>>) -> PyResult<PyErr> {
    let value = value.filter(|value| !value.is_none());
    let Ok(class) = kind.cast::<PyType>() else { return Ok(PyErr::from_value(kind)) };
    match value {
        Some(value) if value.is_instance(class)? => Ok(PyErr::from_value(value)),
        Some(value) => Ok(PyErr::from_value(class.call1((value,))?)),
        None => Ok(PyErr::from_value(class.call0()?)),
    }
    .and_then(|error: PyErr| {
        let py = class.py();
        if error.value(py).is_instance_of::<pyo3::exceptions::PyBaseException>() {
            Ok(error)
        } else {
            Err(PyTypeError::new_err("an exception is due"))
        }
    })
}

/// What gives `None` to whoever awaits it, at once and always: one for all.
#[pyclass(frozen, module = "spanwire._native")]
pub(crate) struct Ready;

#[pymethods]
impl Ready {
    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self) -> Option<Py<PyAny>> {
        None
    }
}

/// The one [`Ready`].
pub(crate) fn ready(py: Python<'_>) -> PyResult<Py<PyAny>> {
    static READY: pyo3::sync::PyOnceLock<Py<Ready>> = pyo3::sync::PyOnceLock::new();
    let ready = READY.get_or_try_init(py, || Py::new(py, Ready))?;
    Ok(ready.clone_ref(py).into_any())
}
