//! Small messages of a stream that share a DATA frame, because the connection was not yet there to write.
//!
//! A frame costs a lock, a queue entry, nine bytes and, at the other end, as much again: far more than a small message
//! itself. So while the connection's task is awake, or on its way to be, what a stream sends gathers in a [`Line`], and
//! the task hands the lines over when it runs. Nothing waits longer than it would have waited inside HTTP/2.
//!
//! ```text
//!   send ── the task slept since the last send ──► HTTP/2 (wakes the task)
//!     └──── it is awake ──► Line ── the task runs, the line is long, or its stream ends ──► HTTP/2
//! ```

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{BufMut, BytesMut};
use spanwire_http2::SendStream;

use super::stream::{SendClosed, poll_room};
use super::watch::WireFacts;
use crate::message::Frame;

/// Messages up to this size, with their prefixes, are gathered. Longer ones go by themselves, without a copy.
pub(crate) const GATHERED_BYTES: usize = 4 * 1024;

/// The most that is gathered for one frame.
const LINE_BYTES: usize = 32 * 1024;

/// What the sending halves of a connection share: the lines that wait for its task, and what the peer takes.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    state: Mutex<State>,
    /// Lines wait. Written under the lock; where it is read without, the task asks again before it sleeps.
    any: AtomicBool,
    facts: Arc<WireFacts>,
}

#[derive(Debug, Default)]
struct State {
    /// How often the task went to sleep.
    sleeps: u64,
    waiting: Vec<Arc<Mutex<Line>>>,
    closed: bool,
}

impl Outbox {
    pub(crate) fn new(facts: Arc<WireFacts>) -> Self {
        Outbox { facts, ..Outbox::default() }
    }

    /// The largest header list that the peer takes.
    pub(crate) fn header_list_limit(&self) -> u32 {
        self.facts.header_list_limit()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands over all lines. For the connection's task, before it writes.
    pub(crate) fn flush(&self) {
        if !self.any.load(Ordering::Acquire) {
            return;
        }
        let mut lines = {
            let mut state = self.lock();
            self.any.store(false, Ordering::Release);
            std::mem::take(&mut state.waiting)
        };
        for line in lines.drain(..) {
            let mut line = lock(&line);
            line.waits = false;
            // An error shows at the next send, and in what the stream brings.
            let _ = line.flush();
        }
        let mut state = self.lock();
        if state.waiting.capacity() == 0 {
            state.waiting = lines;
        }
    }

    /// Whether the task may wait to be woken. Until it has asked, lines rely on it.
    pub(crate) fn may_sleep(&self) -> bool {
        let mut state = self.lock();
        if !state.waiting.is_empty() {
            return false;
        }
        state.sleeps += 1;
        true
    }

    /// The connection is over: nobody looks at lines any more.
    pub(crate) fn close(&self) {
        let lines = {
            let mut state = self.lock();
            state.closed = true;
            std::mem::take(&mut state.waiting)
        };
        drop(lines);
    }

    fn sleeps(&self) -> u64 {
        self.lock().sleeps
    }

    /// Puts a line in, unless the task slept since `sleeps` was read.
    fn join(&self, line: &Arc<Mutex<Line>>, sleeps: u64) -> bool {
        let mut state = self.lock();
        let awake = state.sleeps == sleeps && !state.closed;
        if awake {
            state.waiting.push(line.clone());
            self.any.store(true, Ordering::Release);
        }
        awake
    }
}

/// A stream to send on, and what was gathered for it.
#[derive(Debug)]
pub(super) struct Line {
    stream: SendStream,
    gathered: BytesMut,
    /// How much was gathered last time: as much place is made the next time.
    usual: usize,
    /// It is in the outbox.
    waits: bool,
    /// How often the task had slept when the stream was last sent on.
    sleeps: Option<u64>,
}

pub(super) fn lock(line: &Mutex<Line>) -> MutexGuard<'_, Line> {
    line.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Line {
    pub(super) fn new(stream: SendStream) -> Self {
        Line { stream, gathered: BytesMut::new(), usual: 0, waits: false, sleeps: None }
    }

    pub(super) fn stream(&mut self) -> &mut SendStream {
        &mut self.stream
    }

    /// Lets `write` append a whole message of no more than the bytes that are left, if something is gathered already.
    /// Of a message for which it answers `false`, or in which it panics, nothing stays.
    pub(super) fn append(&mut self, write: impl FnOnce(&mut BytesMut, usize) -> bool) -> bool {
        struct Undo<'a>(&'a mut BytesMut, usize);
        impl Drop for Undo<'_> {
            fn drop(&mut self) {
                self.0.truncate(self.1);
            }
        }
        let before = self.gathered.len();
        if before == 0 {
            return false;
        }
        let undo = Undo(&mut self.gathered, before);
        let written = write(undo.0, LINE_BYTES.saturating_sub(before));
        if written {
            std::mem::forget(undo);
        }
        written
    }

    /// Hands over what was gathered.
    pub(super) fn flush(&mut self) -> Result<(), SendClosed> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        self.usual = self.gathered.len();
        let frame = Frame::whole(std::mem::take(&mut self.gathered).freeze());
        self.stream.send_data(frame, false).map_err(|_| SendClosed)
    }

    /// Forgets what was gathered.
    pub(super) fn clear(&mut self) {
        self.gathered.clear();
    }
}

/// Takes one small message, when there is room for it.
pub(super) fn poll_gather(
    line: &Arc<Mutex<Line>>,
    outbox: &Outbox,
    cx: &mut Context<'_>,
    frame: &mut Frame,
) -> Poll<Result<(), SendClosed>> {
    let mut this = lock(line);
    let this = &mut *this;
    let behind_others = this.append(|gathered, left| {
        let fits = frame.len() <= left;
        if fits {
            gathered.put(&mut *frame);
        }
        fits
    });
    if behind_others {
        return Poll::Ready(Ok(()));
    }
    this.flush()?;
    ready!(poll_room(&mut this.stream, cx, frame.len()))?;
    if this.waits || this.sleeps.is_some_and(|sleeps| outbox.join(line, sleeps)) {
        this.waits = true;
        this.gathered.reserve(this.usual.max(2 * frame.len()));
        this.gathered.put(frame);
        return Poll::Ready(Ok(()));
    }
    // Read before the message goes, which wakes the task if it sleeps.
    this.sleeps = Some(outbox.sleeps());
    Poll::Ready(this.stream.send_data(std::mem::take(frame), false).map_err(|_| SendClosed))
}
