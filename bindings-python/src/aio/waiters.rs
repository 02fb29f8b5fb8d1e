//! Those who wait for something on an event loop.

use pyo3::intern;
use pyo3::prelude::*;

/// Futures of a loop, or what stands for them there. As a rule there is one, or none.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    first: Option<Py<PyAny>>,
    others: Vec<Py<PyAny>>,
}

impl Waiters {
    pub(crate) fn add(&mut self, waiter: Py<PyAny>) {
        match self.first {
            None => self.first = Some(waiter),
            Some(_) => self.others.push(waiter),
        }
    }

    /// Takes them out, to be woken when no lock is held any more.
    pub(crate) fn take(&mut self) -> Waiters {
        Waiters { first: self.first.take(), others: std::mem::take(&mut self.others) }
    }

    /// Has them look again. One that was cancelled meanwhile is none any more: its refusal is no error.
    pub(crate) fn wake(self, py: Python<'_>) {
        for waiter in self.first.into_iter().chain(self.others) {
            let _ = waiter.call_method1(py, intern!(py, "set_result"), (py.None(),));
        }
    }
}
