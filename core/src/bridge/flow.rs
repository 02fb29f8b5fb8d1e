//! What a host and a lane share of one open call: messages to send, credit to receive, and the wish to end it.
//!
//! The host changes it from any thread and wakes the call's task on its lane; the task takes out what it can use. A call
//! that sends keeps at most [`HIGH_WATER_BYTES`] and one message here.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::OpError;
use super::event::Received;
use crate::message::{Encoded, Raw};
use crate::streaming::{Sending, Streaming};
use crate::{Metadata, Status};

/// What may be queued before [`Room::Full`].
pub(crate) const HIGH_WATER_BYTES: usize = 64 * 1024;

/// What a message costs beside its bytes: many empty ones fill a call too.
const OVERHEAD_BYTES: usize = 64;

/// Whether a send may be followed by another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// It may.
    Ready,
    /// The message was taken, but the next one has to wait for [`EventKind::Writable`](super::EventKind::Writable).
    Full,
}

/// A message to send. [`Bytes`] are handed over without a copy.
#[derive(Clone, Debug, Default)]
pub struct Outgoing {
    pub(crate) message: Encoded,
    /// Leave it uncompressed on a call that compresses.
    pub plain: bool,
    /// No other follows: half-closes a client's call behind it.
    pub last: bool,
}

impl Outgoing {
    /// A copy of `message`. It is as it will be sent if it is not compressed: it need not be copied again.
    #[must_use]
    pub fn copied(message: &[u8]) -> Self {
        Outgoing { message: Encoded::copied(message), ..Outgoing::default() }
    }
}

impl<T: Into<Bytes>> From<T> for Outgoing {
    fn from(bytes: T) -> Self {
        Outgoing { message: Encoded::Bare(bytes.into()), ..Outgoing::default() }
    }
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Flow {
    /// The oldest message in line: many calls have one, which then needs no queue.
    first: Option<Outgoing>,
    queue: VecDeque<Outgoing>,
    queued_bytes: usize,
    /// The host was told to wait.
    full: bool,
    /// The host sends no more.
    pub(crate) closed: bool,
    /// Messages that the host takes.
    credit: u64,
    pub(crate) cancelled: bool,
    /// The call is over: the host can do nothing more.
    pub(crate) over: bool,
    task: Option<Waker>,
}

impl Flow {
    pub(crate) fn new(credit: u32) -> Self {
        Flow {
            first: None,
            queue: VecDeque::new(),
            queued_bytes: 0,
            full: false,
            closed: false,
            credit: credit.into(),
            cancelled: false,
            over: false,
            task: None,
        }
    }

    /// Puts a message in line. One that is refused is left where it is: dropping it runs the host's own code, which must
    /// not happen under a lock.
    pub(crate) fn send(&mut self, message: &mut Option<Outgoing>) -> Result<Room, OpError> {
        if self.over {
            return Err(OpError::CALL_OVER);
        }
        if self.closed {
            return Err(OpError::HALF_CLOSED);
        }
        // The last one may go beyond what others have to wait for.
        if self.full && !message.as_ref().is_some_and(|message| message.last) {
            return Err(OpError::Blocked);
        }
        let Some(message) = message.take() else { return Ok(Room::Ready) };
        self.queued_bytes += message.message.len() + OVERHEAD_BYTES;
        self.closed = message.last;
        if self.first.is_none() && self.queue.is_empty() {
            self.first = Some(message);
        } else {
            self.queue.push_back(message);
        }
        self.full = self.queued_bytes > HIGH_WATER_BYTES && !self.closed;
        Ok(if self.full { Room::Full } else { Room::Ready })
    }

    pub(crate) fn grant(&mut self, messages: u32) {
        self.credit = self.credit.saturating_add(messages.into());
    }

    /// The task to wake after a change.
    pub(crate) fn take_task(&mut self) -> Option<Waker> {
        self.task.take()
    }

    /// To be called by the task, before it looks.
    pub(crate) fn register(&mut self, cx: &Context<'_>) {
        if !self.task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            self.task = Some(cx.waker().clone());
        }
    }

    pub(crate) fn credit(&self) -> u64 {
        self.credit
    }

    /// So many messages are handed out.
    pub(crate) fn spend(&mut self, messages: usize) {
        self.credit = self.credit.saturating_sub(messages as u64);
    }

    /// How many messages are in line. The task takes no others until it looks again: what the host did after them, such as
    /// to end the call, it does not know yet.
    pub(crate) fn in_line(&self) -> usize {
        usize::from(self.first.is_some()) + self.queue.len()
    }

    pub(crate) fn take_next(&mut self) -> Option<Outgoing> {
        let next = self.first.take().or_else(|| self.queue.pop_front())?;
        self.queued_bytes -= next.message.len() + OVERHEAD_BYTES;
        Some(next)
    }

    /// Whether the host has to be told that there is room again; once.
    pub(crate) fn has_room_again(&mut self) -> bool {
        let again = self.full && self.queued_bytes <= HIGH_WATER_BYTES / 2;
        self.full &= !again;
        again
    }

    /// Nothing more can be done. What was in line is handed out, to be dropped outside the lock.
    pub(crate) fn end(&mut self) -> (Option<Outgoing>, VecDeque<Outgoing>) {
        self.over = true;
        self.task = None;
        self.queued_bytes = 0;
        (self.first.take(), std::mem::take(&mut self.queue))
    }
}

/// The sending half of a call, fed from its [`Flow`].
#[derive(Debug)]
pub(crate) struct Outflow {
    sending: Sending<Raw>,
    current: Option<Raw>,
    half_closed: bool,
}

/// How far an [`Outflow`] came.
#[derive(Debug)]
pub(crate) enum Sent {
    /// Everything that was asked for is with the connection.
    All,
    /// The connection has no room.
    Waits,
    /// The call takes no more.
    Failed(Status),
}

impl Outflow {
    pub(crate) fn new(sending: Sending<Raw>) -> Self {
        Outflow { sending, current: None, half_closed: false }
    }

    /// Sends so many messages that `next` gives, as long as there is room.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        mut count: usize,
        mut next: impl FnMut() -> Option<Outgoing>,
    ) -> Sent {
        loop {
            match self.sending.poll_send(cx, &mut self.current) {
                Poll::Pending => return Sent::Waits,
                Poll::Ready(Err(status)) => return Sent::Failed(status),
                Poll::Ready(Ok(())) => {}
            }
            if count == 0 {
                return Sent::All;
            }
            count -= 1;
            let Some(message) = next() else { return Sent::All };
            self.sending.compress_next(!message.plain);
            self.current = Some(Raw(message.message.into_bare()));
        }
    }

    /// Client: no more messages follow.
    pub(crate) fn half_close(&mut self) {
        if !std::mem::replace(&mut self.half_closed, true) {
            self.sending.half_close();
        }
    }
}

/// The receiving half of a call, read as far as its credit goes.
#[derive(Debug)]
pub(crate) struct Inflow {
    streaming: Streaming<Raw>,
}

/// What came in.
#[derive(Debug, Default)]
pub(crate) struct Arrived {
    pub(crate) headers: Option<Metadata>,
    pub(crate) messages: Vec<Received>,
    pub(crate) end: Option<Status>,
}

impl Inflow {
    pub(crate) fn new(streaming: Streaming<Raw>) -> Self {
        Inflow { streaming }
    }

    /// Everything that is there, but no more messages than `credit`. The end needs none.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, credit: u64) -> Arrived {
        let mut arrived = Arrived::default();
        loop {
            if arrived.messages.len() as u64 >= credit && self.streaming.poll_ended(cx).is_pending() {
                break;
            }
            match self.streaming.poll_message(cx) {
                Poll::Pending => break,
                Poll::Ready(Ok(Some(Raw(bytes)))) => {
                    let compressed = self.streaming.last_compressed();
                    arrived.messages.push(Received { bytes, compressed });
                }
                Poll::Ready(Ok(None)) => {
                    arrived.end = Some(self.streaming.status().cloned().unwrap_or_default());
                    break;
                }
                Poll::Ready(Err(status)) => {
                    arrived.end = Some(status);
                    break;
                }
            }
        }
        arrived.headers = self.streaming.take_headers();
        arrived
    }

    pub(crate) fn streaming(&self) -> &Streaming<Raw> {
        &self.streaming
    }
}
