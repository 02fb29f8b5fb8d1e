//! How a hub that runs many greenlets on one thread (gevent) learns that calls have something for them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;
use spanwire::bridge::Queue;

use crate::convert::status::op_error;
use crate::guard::guard;

/// One descriptor for all calls of a thread's hub. It may be watched for reading.
#[pyclass(module = "spanwire._native", frozen)]
pub(crate) struct Bell(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Only its descriptor is used: an interrupt makes it readable, a drain takes that back.
    queue: Queue,
    rung: Mutex<Vec<u64>>,
}

/// What a lane pulls to ring the bell for one call.
#[derive(Clone, Debug)]
pub(crate) struct Rope {
    bell: Arc<Shared>,
    number: u64,
}

impl Rope {
    pub(crate) fn new(bell: &Bell, number: u64) -> Self {
        Rope { bell: bell.0.clone(), number }
    }

    /// One for another number of the same bell.
    pub(crate) fn numbered(&self, number: u64) -> Self {
        Rope { bell: self.bell.clone(), number }
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn pull(&self) {
        let mut rung = self.bell.rung.lock().unwrap_or_else(PoisonError::into_inner);
        rung.push(self.number);
        let first = rung.len() == 1;
        drop(rung);
        if first {
            self.bell.queue.interrupt();
        }
    }
}

#[pymethods]
impl Bell {
    #[new]
    fn new() -> Self {
        Bell(Arc::new(Shared { queue: Queue::new(), rung: Mutex::default() }))
    }

    /// The descriptor: readable from the first ring until `take`.
    fn fileno(&self) -> PyResult<i32> {
        guard(|| self.0.queue.descriptor().map_err(|error| op_error(&error)))
    }

    /// The numbers it was rung for.
    fn take(&self) -> PyResult<Vec<u64>> {
        guard(|| {
            // The sign first: what comes behind it rings again.
            self.0.queue.drain(0, &mut Vec::new()).map_err(|error| op_error(&error))?;
            Ok(std::mem::take(&mut *self.0.rung.lock().unwrap_or_else(PoisonError::into_inner)))
        })
    }
}

/// A number for a rope.
pub(crate) fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
