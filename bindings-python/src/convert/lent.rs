//! `bytes` objects that the engine reads from, without a copy.
//!
//! A lane lets go of one without the interpreter. So it is put on a stack, without a lock that a fork could find taken, and
//! the next thread of Python that comes by drops it.

use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

use bytes::Bytes;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

struct Returned {
    // Held for its drop, which happens with the interpreter attached.
    _object: PyBackedBytes,
    next: *mut Returned,
}

static RETURNED: AtomicPtr<Returned> = AtomicPtr::new(null_mut());

struct Lent(Option<PyBackedBytes>);

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(object) = self.0.take() else { return };
        let node = Box::into_raw(Box::new(Returned { _object: object, next: null_mut() }));
        let mut head = RETURNED.load(Ordering::Relaxed);
        loop {
            // SAFETY: until the exchange succeeds, the node is this thread's alone.
            unsafe { (*node).next = head };
            match RETURNED.compare_exchange_weak(head, node, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
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
    if RETURNED.load(Ordering::Relaxed).is_null() {
        return;
    }
    let mut node = RETURNED.swap(null_mut(), Ordering::Acquire);
    while !node.is_null() {
        // SAFETY: the swap made the whole list this thread's; each node came from `Box::into_raw`, and is visited once.
        let returned = unsafe { Box::from_raw(node) };
        node = returned.next;
    }
}
