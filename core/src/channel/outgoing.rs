//! What a stream has sent: shared by its two halves, because the receiving one starts the call again.
//!
//! ```text
//! stream ─ refused, lost ─► none ─ restart ─► stream          (as long as everything sent is remembered)
//! hedged ─ first answer ─► stream                             (until then each attempt sends from what is remembered)
//! any ─ give_up ─► given up (the stream is reset; the call ends with the cause)
//! any ─ the answer ends ─► over
//! ```

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use spanwire_wire::reset::{CANCEL, REFUSED_STREAM};

use crate::Status;
use crate::message::{Frame, Framing, Message};
use crate::transport::SendPart;
use crate::transport::client::GoingAway;

/// What a stream may keep of its requests, in bytes, to be able to send them again on another connection.
pub(crate) const REPLAY_BYTES: usize = 256 * 1024;

/// See the [module](self).
#[derive(Clone, Debug)]
pub(crate) struct Outgoing(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    stream: Option<SendPart>,
    /// Of its connection, if there was a stream yet.
    going_away: Option<GoingAway>,
    /// What was sent so far, while the call could still be started again.
    replay: Option<VecDeque<Frame>>,
    replay_bytes: usize,
    half_closed: bool,
    /// The receiving half is starting the call again, or several attempts are under way.
    restarting: bool,
    over: bool,
    /// Why the sending half gave the call up.
    cause: Option<Status>,
    /// How often the call was started again; each start has sent what was in line by then.
    restarts: u32,
    sender: Option<Waker>,
    receiver: Option<Waker>,
    /// Whoever makes several attempts at once.
    hedger: Option<Waker>,
}

/// What the log of a hedged call has behind a number of messages.
#[derive(Debug)]
pub(crate) enum Logged {
    Frame(Frame),
    /// The client said that no more follow.
    End,
    NothingYet,
}

/// How much of the log was sent on a stream.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub(crate) sent_messages: usize,
    /// The rest of the last one of them.
    pub(crate) unsent: Option<Frame>,
    pub(crate) half_closed: bool,
}

/// The call takes no more messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Over;

/// A message in line.
#[derive(Debug)]
pub(crate) struct Unsent {
    frame: Frame,
    restarts: u32,
}

impl Outgoing {
    pub(crate) fn new(stream: SendPart, going_away: GoingAway) -> Self {
        Self::of(Some(stream), Some(going_away))
    }

    /// Of a hedged call: there is no stream until one of the attempts is answered.
    pub(crate) fn hedged() -> Self {
        Self::of(None, None)
    }

    fn of(stream: Option<SendPart>, going_away: Option<GoingAway>) -> Self {
        Outgoing(Arc::new(Mutex::new(State {
            restarting: stream.is_none(),
            stream,
            going_away,
            replay: Some(VecDeque::new()),
            replay_bytes: 0,
            half_closed: false,
            over: false,
            cause: None,
            restarts: 0,
            sender: None,
            receiver: None,
            hedger: None,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a message in line; `last` if no more follow.
    pub(crate) fn put(&self, frame: Frame, last: bool) -> Result<Unsent, Status> {
        let mut state = self.lock();
        if state.half_closed {
            return Err(Status::failed_precondition("send after half_close"));
        }
        state.half_closed = last;
        state.remember(&frame);
        let (restarts, hedger) = (state.restarts, state.hedger.take());
        drop(state);
        wake([hedger]);
        Ok(Unsent { frame, restarts })
    }

    /// For whoever makes several attempts at once: wakes it when there is more to send, and says why the call was given up,
    /// if it was.
    pub(crate) fn watch_log(&self, cx: &mut Context<'_>) -> Option<Status> {
        let mut state = self.lock();
        state.hedger = Some(cx.waker().clone());
        state.cause.clone()
    }

    /// What follows behind the first so many messages.
    pub(crate) fn logged(&self, messages: usize) -> Logged {
        let state = self.lock();
        match state.replay.as_ref().and_then(|replay| replay.get(messages)) {
            Some(frame) => Logged::Frame(frame.clone()),
            None if state.half_closed => Logged::End,
            None => Logged::NothingYet,
        }
    }

    /// Whether more was said than is kept, and that is not all yet.
    pub(crate) fn is_log_full(&self) -> bool {
        let state = self.lock();
        state.replay_bytes > REPLAY_BYTES && !state.half_closed
    }

    /// Sends a small message if that takes no more than to write it behind others.
    pub(crate) fn append<T: Message>(&self, message: &T, framing: Framing, compress: bool) -> bool {
        let mut state = self.lock();
        // What may have to be sent again is kept message by message, which the longer way does.
        let short = framing.is_plain(compress) && state.replay.is_none() && !state.half_closed;
        match &mut state.stream {
            Some(stream) if short => stream.append(|buffer, left| framing.append(message, buffer, left)),
            _ => false,
        }
    }

    /// Ready when the message is with the connection, or will be sent when the call starts again.
    pub(crate) fn poll_send(
        &self,
        cx: &mut Context<'_>,
        unsent: &mut Unsent,
        last: bool,
    ) -> Poll<Result<(), Over>> {
        let mut guard = self.lock();
        let state = &mut *guard;
        if state.over || state.cause.is_some() {
            return Poll::Ready(Err(Over));
        }
        if state.restarts != unsent.restarts {
            return Poll::Ready(Ok(()));
        }
        if let Some(stream) = &mut state.stream {
            match stream.poll_send(cx, &mut unsent.frame, last) {
                Poll::Ready(Ok(())) => return Poll::Ready(Ok(())),
                Poll::Ready(Err(_)) if state.replay.is_none() => return Poll::Ready(Err(Over)),
                // The server has ended it, and not because it would not look at it. (h2 shows a GOAWAY as a reset.)
                Poll::Ready(Err(_))
                    if !state.going_away.as_ref().is_some_and(GoingAway::get)
                        && stream.reset_by_peer(cx).is_some_and(|code| code != REFUSED_STREAM) =>
                {
                    state.replay = None;
                    return Poll::Ready(Err(Over));
                }
                // The receiving half learns why, and either starts again or ends.
                Poll::Ready(Err(_)) => state.stream = None,
                Poll::Pending => {}
            }
        }
        if state.stream.is_none() {
            if state.replay_bytes <= REPLAY_BYTES {
                return Poll::Ready(Ok(()));
            }
            if !state.restarting {
                // Nobody is at it, and more cannot be kept: a sender must not wait for a reader that may wait for it.
                state.replay = None;
                return Poll::Ready(Err(Over));
            }
        }
        state.sender = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Says that no more messages follow, behind what is in line. Further calls do nothing.
    pub(crate) fn half_close(&self, unsent: Option<Unsent>) {
        let mut state = self.lock();
        if std::mem::replace(&mut state.half_closed, true) {
            return;
        }
        let restarts = state.restarts;
        if let Some(stream) = &mut state.stream {
            // An error means that the call is over: the receiving half says how.
            let _ = match unsent.filter(|unsent| unsent.restarts == restarts) {
                Some(rest) => stream.send_now(rest.frame, true),
                None => stream.end(),
            };
        }
        let hedger = state.hedger.take();
        drop(state);
        wake([hedger]);
    }

    /// Ends the call in the middle of sending: the server must not take what it has for complete.
    pub(crate) fn give_up(&self, cause: Status) {
        let mut state = self.lock();
        if state.over {
            return;
        }
        state.cause.get_or_insert(cause);
        state.half_closed = true;
        state.replay = None;
        if let Some(stream) = &mut state.stream {
            stream.reset(CANCEL);
        }
        let wakers = [state.sender.take(), state.receiver.take(), state.hedger.take()];
        drop(state);
        wake(wakers);
    }

    /// Whether the client said that no more messages follow.
    pub(crate) fn is_half_closed(&self) -> bool {
        self.lock().half_closed
    }

    /// Why the sending half gave up, if it did.
    pub(crate) fn take_cause(&self) -> Option<Status> {
        self.lock().cause.clone()
    }

    /// Like [`Outgoing::take_cause`], and wakes the task if it happens later.
    pub(crate) fn watch_cause(&self, cx: &mut Context<'_>) -> Option<Status> {
        let mut state = self.lock();
        state.receiver = Some(cx.waker().clone());
        state.cause.clone()
    }

    /// The server took the call: from here on it runs once.
    pub(crate) fn commit(&self) {
        self.lock().replay = None;
    }

    /// The stream is gone. Whether the call can be started again.
    pub(crate) fn detach(&self) -> bool {
        let mut state = self.lock();
        state.stream = None;
        state.restarting = state.replay.is_some();
        state.restarting
    }

    /// Continues on `stream`, with everything that was sent before but not on it.
    pub(crate) fn restart(&self, mut stream: SendPart, going_away: GoingAway, progress: Progress) {
        let mut state = self.lock();
        if state.cause.is_some() || state.over {
            // Given up meanwhile: an end of the request here would look like a whole one.
            return stream.reset(CANCEL);
        }
        let rest = state.replay.iter().flatten().skip(progress.sent_messages).cloned();
        let mut rest = progress.unsent.into_iter().chain(rest).peekable();
        let mut half_closed = progress.half_closed;
        while let Some(frame) = rest.next() {
            half_closed = state.half_closed && rest.peek().is_none();
            // An error shows in the new stream's answer.
            let _ = stream.send_now(frame, half_closed);
        }
        drop(rest);
        if state.half_closed && !half_closed {
            let _ = stream.end();
        }
        if state.replay_bytes > REPLAY_BYTES {
            state.replay = None;
        }
        state.stream = Some(stream);
        state.going_away = Some(going_away);
        state.restarting = false;
        state.restarts += 1;
        let sender = state.sender.take();
        drop(state);
        wake([sender]);
    }

    /// The call has ended. A request that is not half-closed is reset, so that the server need not wait for
    /// its rest.
    pub(crate) fn close(&self, reset: Option<u32>) {
        let mut state = self.lock();
        let reset = reset.or((!state.half_closed).then_some(CANCEL));
        if let (Some(stream), Some(code)) = (&mut state.stream, reset) {
            stream.reset(code);
        }
        state.stream = None;
        state.replay = None;
        state.over = true;
        let sender = state.sender.take();
        drop(state);
        wake([sender]);
    }
}

impl State {
    /// Keeps a sent message for a second start, as long as they are few. Without a stream it is kept anyway:
    /// nothing else has it.
    fn remember(&mut self, frame: &Frame) {
        let Some(replay) = &mut self.replay else { return };
        self.replay_bytes += frame.len();
        if self.replay_bytes > REPLAY_BYTES && self.stream.is_some() {
            self.replay = None;
        } else {
            replay.push_back(frame.clone());
        }
    }
}

/// Wakers run outside the lock: they may poll at once.
fn wake<const N: usize>(wakers: [Option<Waker>; N]) {
    for waker in wakers.into_iter().flatten() {
        waker.wake();
    }
}
