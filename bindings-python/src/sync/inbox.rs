//! Where the events of one call wait for the threads that use it.
//!
//! ```text
//! lane ─ router of the queue ─► inbox of the call ─► the thread that waits (a condition)
//!                                              └──► a hub that waits (a bell: one descriptor for all its calls)
//! ```
//!
//! The router runs on the lane, in Rust alone: no Python object is touched there, and no GIL taken.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use spanwire::Metadata;
use spanwire::bridge::{EventKind, OpError, Outcome, Received, fork};

use super::bell::Rope;
use crate::credit::Credit;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Inbox {
    state: Mutex<State>,
    changed: Condvar,
    rope: Option<Rope>,
    generation: u32,
}

/// What came and was not taken yet.
#[derive(Debug)]
pub(crate) struct State {
    /// Client: the leading metadata of the response, which stay here.
    pub(crate) headers: Option<Metadata>,
    pub(crate) messages: VecDeque<Received>,
    credit: Credit,
    /// Whether the last message that was taken came compressed.
    pub(crate) compressed: bool,
    /// Server: the client sends no more. Client: we don't.
    pub(crate) half_closed: bool,
    /// Server: what goes in front of the first message was handed over.
    pub(crate) headed: bool,
    /// A send was told to wait.
    pub(crate) full: bool,
    /// Client: how the call ended, which stays here.
    pub(crate) outcome: Option<Arc<Outcome>>,
    /// Server: the client is gone, or the deadline has passed.
    pub(crate) cancelled: bool,
    /// A server's own inbox: it is closed.
    pub(crate) closed: bool,
    /// Threads that wait.
    waiting: usize,
    /// A hub was told to wait.
    armed: bool,
}

impl Inbox {
    /// An inbox for threads, or for the hub at the other end of the rope.
    pub(crate) fn new(rope: Option<Rope>) -> Self {
        Inbox {
            state: Mutex::new(State::new()),
            changed: Condvar::new(),
            rope,
            generation: fork::generation(),
        }
    }

    /// Whether it rings instead of letting anybody wait.
    pub(crate) fn rings(&self) -> bool {
        self.rope.is_some()
    }

    /// The number that it rings for.
    pub(crate) fn number(&self) -> u64 {
        self.rope.as_ref().map_or(0, Rope::number)
    }

    /// Whether it is this process's: nothing comes to those of a parent, and their locks may be held for ever.
    pub(crate) fn check(&self) -> Result<(), OpError> {
        if self.generation == fork::generation() { Ok(()) } else { Err(OpError::Forked) }
    }

    /// To be held for moments only: lanes take it.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an event in, on a lane.
    pub(crate) fn deliver(&self, kind: EventKind) {
        let mut state = self.lock();
        state.handle_event(kind);
        let (waiting, armed) = (state.waiting, std::mem::take(&mut state.armed));
        drop(state);
        if waiting > 0 {
            self.changed.notify_all();
        }
        if armed && let Some(rope) = &self.rope {
            rope.pull();
        }
    }

    /// What `take` finds now; otherwise the bell rings with the next change.
    pub(crate) fn try_take<T>(&self, take: &mut impl FnMut(&mut State) -> Option<T>) -> Option<T> {
        let mut state = self.lock();
        let found = take(&mut state);
        state.armed |= found.is_none();
        found
    }

    /// Waits until `take` finds something, or the time is up.
    pub(crate) fn wait<T>(
        &self,
        timeout: Option<Duration>,
        take: &mut impl FnMut(&mut State) -> Option<T>,
    ) -> Option<T> {
        let until = timeout.map(|timeout| Instant::now() + timeout);
        let mut state = self.lock();
        state.waiting += 1;
        let found = loop {
            let found = take(&mut state);
            if found.is_some() {
                break found;
            }
            state = match until.map(|until| until.saturating_duration_since(Instant::now())) {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => break None,
                Some(left) => {
                    self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        };
        state.waiting -= 1;
        found
    }
}

impl State {
    fn new() -> Self {
        State {
            headers: None,
            messages: VecDeque::new(),
            credit: Credit::new(),
            compressed: false,
            half_closed: false,
            headed: false,
            full: false,
            outcome: None,
            cancelled: false,
            closed: false,
            waiting: 0,
            armed: false,
        }
    }

    fn handle_event(&mut self, kind: EventKind) {
        match kind {
            EventKind::Headers(headers) => self.headers = Some(headers),
            EventKind::Messages { messages, end } => {
                self.messages.extend(messages);
                self.half_closed |= end;
            }
            EventKind::Writable => self.full = false,
            EventKind::Done(mut outcome) => {
                self.messages.extend(outcome.message.take());
                self.headers = outcome.headers.take().map(|headers| *headers).or(self.headers.take());
                self.outcome = Some(Arc::new(outcome));
            }
            EventKind::Cancelled => self.cancelled = true,
            EventKind::ServerClosed => self.closed = true,
            _ => {}
        }
    }

    /// The next message, and how many to grant now.
    pub(crate) fn take_message(&mut self) -> Option<(Received, u32)> {
        let message = self.messages.pop_front()?;
        self.compressed = message.compressed;
        let granted = self.credit.taken(message.bytes.len());
        Some((message, granted))
    }
}
