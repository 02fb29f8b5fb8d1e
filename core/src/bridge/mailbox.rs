//! The protocol of a queue that many push into and one wake-up empties: arm, drain, wake.
//!
//! ```text
//! push:   put in ─ the first since the last drain to the bottom? ─ yes ─► ring, after the lock is let go
//!                                                                 └ no ──► nothing: a ring is on its way already
//! drain:  take up to n ─ is it empty now? ─ yes ─► disarmed: the next push rings again
//!                                          └ no ──► still armed: whoever drains comes back by itself
//! ```
//!
//! It is a file of its own and names no lock of the standard library, so that a model checker can run every order of
//! its steps (`tests/loom`).

use std::collections::VecDeque;

use super::sync::Mutex;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Mailbox<T> {
    state: Mutex<State<T>>,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    /// Somebody was told since the box was last empty.
    armed: bool,
    closed: bool,
    pushed: u64,
    rings: u64,
}

/// What a push asks of the one who pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// Wake whoever drains.
    Ring,
    /// It knows already.
    Quiet,
    /// Nobody drains any more; what was pushed is gone.
    Closed,
}

impl<T> Mailbox<T> {
    pub(crate) fn new() -> Self {
        let state = State { items: VecDeque::new(), armed: false, closed: false, pushed: 0, rings: 0 };
        Mailbox { state: Mutex::new(state) }
    }

    /// Puts everything in. What is left over because the box is closed is dropped after the lock is let go.
    pub(crate) fn push_all(&self, items: &mut Vec<T>) -> Pushed {
        let mut state = self.state.lock();
        if state.closed {
            drop(state);
            items.clear();
            return Pushed::Closed;
        }
        state.pushed += items.len() as u64;
        state.items.extend(items.drain(..));
        Self::arm(&mut state)
    }

    /// Puts one in.
    pub(crate) fn push(&self, item: T) -> Result<Pushed, T> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(item);
        }
        state.pushed += 1;
        state.items.push_back(item);
        Ok(Self::arm(&mut state))
    }

    fn arm(state: &mut State<T>) -> Pushed {
        if state.items.is_empty() || std::mem::replace(&mut state.armed, true) {
            return Pushed::Quiet;
        }
        state.rings += 1;
        Pushed::Ring
    }

    /// Takes up to `max` items, the oldest first. `emptied` runs under the lock when nothing is left, to take back a
    /// sign that stands outside; it must not block.
    pub(crate) fn drain(&self, max: usize, out: &mut Vec<T>, emptied: impl FnOnce()) {
        let mut state = self.state.lock();
        let count = state.items.len().min(max);
        out.extend(state.items.drain(..count));
        if state.items.is_empty() {
            if state.armed {
                emptied();
            }
            state.armed = false;
        }
    }

    /// Whether there is nothing to take.
    pub(crate) fn is_empty(&self) -> bool {
        self.state.lock().items.is_empty()
    }

    /// Takes no more; what is left is handed out to be dropped.
    pub(crate) fn close(&self) -> VecDeque<T> {
        let mut state = self.state.lock();
        state.closed = true;
        std::mem::take(&mut state.items)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    /// How many items were pushed, and how many of the pushes had to ring.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let state = self.state.lock();
        (state.pushed, state.rings)
    }
}
