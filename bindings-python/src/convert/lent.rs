//! `bytes` objects that the engine reads from, without a copy.
//!
//! A lane lets go of one without the interpreter. So it is put aside, and the next thread of Python that comes by drops it.

use bytes::Bytes;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use crate::stack::Stack;

static RETURNED: Stack<PyBackedBytes> = Stack::new();

struct Lent(Option<PyBackedBytes>);

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(object) = self.0.take() {
            RETURNED.push(object);
        }
    }
}

/// The bytes of an object, which stays until they are let go.
pub(crate) fn lend(object: &Bound<'_, PyBytes>) -> Bytes {
    drop_returned(object.py());
    Bytes::from_owner(Lent(Some(object.clone().into())))
}

/// Drops what lanes have let go.
pub(crate) fn drop_returned(_: Python<'_>) {
    if !RETURNED.is_empty() {
        drop(RETURNED.take());
    }
}
