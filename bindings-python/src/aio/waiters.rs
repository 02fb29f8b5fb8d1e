//! Those who wait for something on an event loop.

use std::sync::Mutex;

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::event_loop::lock;
use crate::guard::guard;
use crate::imported::Imported;

/// One who waits: a task of asyncio, or whatever has `set_result`.
#[derive(Debug)]
pub(crate) enum Waiter {
    Task(Py<Wake>),
    Other(Py<PyAny>),
}

impl Waiter {
    /// Has it look again.
    ///
    /// # Errors
    /// What must end the program.
    pub(crate) fn wake(&self, py: Python<'_>) -> PyResult<()> {
        match self {
            Waiter::Task(wake) => Wake::wake(wake.bind(py)),
            Waiter::Other(waiter) => {
                // One that was cancelled meanwhile is none any more: its refusal is no error.
                let _ = waiter.call_method1(py, intern!(py, "set_result"), (py.None(),));
                Ok(())
            }
        }
    }

    pub(crate) fn clone_ref(&self, py: Python<'_>) -> Self {
        match self {
            Waiter::Task(wake) => Waiter::Task(wake.clone_ref(py)),
            Waiter::Other(waiter) => Waiter::Other(waiter.clone_ref(py)),
        }
    }
}

/// As a rule there is one, or none.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    first: Option<Waiter>,
    others: Vec<Waiter>,
}

impl Waiters {
    pub(crate) fn add(&mut self, waiter: Waiter) {
        match self.first {
            None => self.first = Some(waiter),
            Some(_) => self.others.push(waiter),
        }
    }

    /// Takes them out, to be woken when no lock is held any more.
    pub(crate) fn take(&mut self) -> Waiters {
        Waiters { first: self.first.take(), others: std::mem::take(&mut self.others) }
    }

    /// Has them look again.
    ///
    /// # Errors
    /// As [`Waiters::wake_all`].
    pub(crate) fn wake(self, py: Python<'_>) -> PyResult<()> {
        Waiters::wake_all(py, [self])
    }

    /// Has all of these look again, whatever happens in one.
    ///
    /// # Errors
    /// What must end the program.
    pub(crate) fn wake_all(py: Python<'_>, waiters: impl IntoIterator<Item = Waiters>) -> PyResult<()> {
        let mut result = Ok(());
        for waiter in waiters.into_iter().flat_map(|waiters| waiters.first.into_iter().chain(waiters.others))
        {
            if let Err(error) = waiter.wake(py) {
                result = Err(error);
            }
        }
        result
    }
}

/// What a task of asyncio waits for: a future, as far as tasks know futures.
///
/// A future of the loop's own would put its task in line for the loop's next turn, which costs more than the turn itself.
/// This one runs it when the loop calls [`drain`](super::event_loop::Queue), where no other task runs.
#[pyclass(frozen, module = "spanwire._native")]
#[derive(Debug)]
pub(crate) struct Wake {
    event_loop: Py<PyAny>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    blocking: bool,
    end: Option<End>,
    /// The task's own callback, and the context that it runs in.
    callback: Option<(Py<PyAny>, Option<Py<PyAny>>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Woken,
    Cancelled,
}

impl Wake {
    pub(crate) fn new(event_loop: Py<PyAny>) -> Self {
        Wake { event_loop, state: Mutex::default() }
    }

    /// For the task, which takes it from whoever awaits: it is about to wait.
    pub(crate) fn block(&self) {
        lock(&self.state).blocking = true;
    }

    /// Runs the task.
    fn wake(wake: &Bound<'_, Self>) -> PyResult<()> {
        let py = wake.py();
        let mut state = lock(&wake.get().state);
        // Its cancellation has its own turn already.
        if state.end.is_some() {
            return Ok(());
        }
        state.end = Some(End::Woken);
        let callback = state.callback.take();
        drop(state);
        match callback {
            Some((callback, Some(context))) => {
                context.call_method1(py, intern!(py, "run"), (callback, wake)).map(drop)
            }
            Some((callback, None)) => callback.call1(py, (wake,)).map(drop),
            // The task does not wait yet, and will find that it need not.
            None => Ok(()),
        }
    }

    /// Has the loop run the callback in its next turn.
    fn soon(wake: &Bound<'_, Self>, callback: Py<PyAny>, context: Option<Py<PyAny>>) -> PyResult<()> {
        let py = wake.py();
        let options = PyDict::new(py);
        if let Some(context) = context {
            options.set_item(intern!(py, "context"), context)?;
        }
        let event_loop = wake.get().event_loop.bind(py);
        event_loop.call_method(intern!(py, "call_soon"), (callback, wake), Some(&options)).map(drop)
    }

    fn is(&self, end: End) -> bool {
        lock(&self.state).end == Some(end)
    }
}

#[pymethods]
impl Wake {
    #[getter]
    fn _asyncio_future_blocking(&self) -> bool {
        lock(&self.state).blocking
    }

    #[setter(_asyncio_future_blocking)]
    fn set_blocking(&self, blocking: bool) {
        lock(&self.state).blocking = blocking;
    }

    fn get_loop(&self, py: Python<'_>) -> Py<PyAny> {
        self.event_loop.clone_ref(py)
    }

    #[pyo3(signature = (callback, /, *, context = None))]
    fn add_done_callback(
        slf: &Bound<'_, Self>,
        callback: Py<PyAny>,
        context: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        guard(|| {
            let mut state = lock(&slf.get().state);
            if state.end.is_some() {
                drop(state);
                return Wake::soon(slf, callback, context);
            }
            if state.callback.is_some() {
                return Err(PyRuntimeError::new_err("one task waits for this already"));
            }
            state.callback = Some((callback, context));
            Ok(())
        })
    }

    fn remove_done_callback(&self, _callback: &Bound<'_, PyAny>) -> usize {
        let removed = lock(&self.state).callback.take();
        usize::from(removed.is_some())
    }

    #[pyo3(signature = (msg = None))]
    fn cancel(slf: &Bound<'_, Self>, msg: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
        guard(|| {
            // The task keeps the message itself.
            let _ = msg;
            let mut state = lock(&slf.get().state);
            if state.end.is_some() {
                return Ok(false);
            }
            state.end = Some(End::Cancelled);
            let callback = state.callback.take();
            drop(state);
            if let Some((callback, context)) = callback {
                Wake::soon(slf, callback, context)?;
            }
            Ok(true)
        })
    }

    fn done(&self) -> bool {
        lock(&self.state).end.is_some()
    }

    fn cancelled(&self) -> bool {
        self.is(End::Cancelled)
    }

    fn result(&self, py: Python<'_>) -> PyResult<()> {
        static CANCELLED: Imported = Imported::new("asyncio", "CancelledError");
        if self.is(End::Cancelled) {
            let class = CANCELLED.get(py)?;
            return Err(PyErr::from_value(class.call0()?));
        }
        Ok(())
    }

    fn exception(&self, py: Python<'_>) -> PyResult<()> {
        self.result(py)
    }
}
