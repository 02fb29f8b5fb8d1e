//! A stack that any thread pushes to without a lock, and one takes as a whole. A fork finds nothing taken.

use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

/// See the [module](self).
pub(crate) struct Stack<T>(AtomicPtr<Node<T>>);

struct Node<T> {
    value: T,
    next: *mut Node<T>,
}

impl<T: Send> Stack<T> {
    pub(crate) const fn new() -> Self {
        Stack(AtomicPtr::new(null_mut()))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.load(Ordering::Relaxed).is_null()
    }

    pub(crate) fn push(&self, value: T) {
        let node = Box::into_raw(Box::new(Node { value, next: null_mut() }));
        let mut head = self.0.load(Ordering::Relaxed);
        loop {
            // SAFETY: until the exchange succeeds, the node is this thread's alone.
            unsafe { (*node).next = head };
            match self.0.compare_exchange_weak(head, node, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// Everything that is there, the oldest first.
    pub(crate) fn take(&self) -> Vec<T> {
        let mut values = Vec::new();
        let mut node = self.0.swap(null_mut(), Ordering::Acquire);
        while !node.is_null() {
            // SAFETY: the swap made the whole list this thread's; each node came from `Box::into_raw`, and is visited once.
            let taken = unsafe { Box::from_raw(node) };
            node = taken.next;
            values.push(taken.value);
        }
        values.reverse();
        values
    }
}
