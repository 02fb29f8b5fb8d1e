//! Objects of Python's modules, looked up once.
//!
//! Importing lets other threads run, and one of them may fork. So nobody ever waits here for another thread's look-up, which
//! in the child would never come to its end: two that come at the same time both look, and find the same.

use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::ffi;
use pyo3::prelude::*;

/// An object of a module, to be kept in a `static`.
pub(crate) struct Imported {
    module: &'static str,
    name: &'static str,
    found: AtomicPtr<ffi::PyObject>,
}

impl Imported {
    pub(crate) const fn new(module: &'static str, name: &'static str) -> Self {
        Imported { module, name, found: AtomicPtr::new(null_mut()) }
    }

    /// The object.
    ///
    /// # Errors
    /// Those of importing it.
    pub(crate) fn get<'py>(&'static self, py: Python<'py>) -> PyResult<Borrowed<'static, 'py, PyAny>> {
        let mut found = self.found.load(Ordering::Acquire);
        if found.is_null() {
            let object = py.import(self.module)?.getattr(self.name)?;
            match self.found.compare_exchange(
                null_mut(),
                object.as_ptr(),
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                // The reference is kept for ever.
                Ok(_) => found = object.into_ptr(),
                Err(other) => found = other,
            }
        }
        // SAFETY: it is an object, whose reference is never given back.
        Ok(unsafe { Borrowed::from_ptr(py, found) })
    }
}
