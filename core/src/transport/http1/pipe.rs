//! The body of an answer, on its way from the call's task to hyper.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use http::HeaderMap;
use hyper::body::{Body, Frame as BodyFrame, SizeHint};
use spanwire_wire::reset::CANCEL;

use super::wire::Wire;
use crate::message::Frame;
use crate::transport::foreign::ForeignSend;
use crate::transport::header_list::Unsent;
use crate::transport::stream::SendClosed;

/// The end that is written to.
#[derive(Debug)]
pub(super) struct Pipe {
    shared: Arc<Mutex<State>>,
    /// What may wait in it, in bytes.
    room: usize,
    wire: Arc<Wire>,
}

#[derive(Debug, Default)]
struct State {
    frames: VecDeque<Frame>,
    queued: usize,
    end: Option<End>,
    /// hyper takes no more.
    gone: bool,
    /// Whoever waits for frames.
    taker: Option<Waker>,
    /// Whoever waits for room, or for hyper to be gone.
    sender: Option<Waker>,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Good,
    Aborted,
}

/// Nothing in here can be left half done.
fn lock(shared: &Mutex<State>) -> MutexGuard<'_, State> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn push(&mut self, frame: Frame) {
        if frame.len() > 0 {
            self.queued += frame.len();
            self.frames.push_back(frame);
        }
    }

    fn end(&mut self, end: End) {
        self.end.get_or_insert(end);
        self.wake_taker();
    }

    fn wake_taker(&mut self) {
        if let Some(taker) = self.taker.take() {
            taker.wake();
        }
    }

    fn wake_sender(&mut self) {
        if let Some(sender) = self.sender.take() {
            sender.wake();
        }
    }
}

impl Pipe {
    pub(super) fn new(room: usize, wire: Arc<Wire>) -> Self {
        Pipe { shared: Arc::default(), room, wire }
    }

    fn lock(&self) -> Result<MutexGuard<'_, State>, SendClosed> {
        let state = lock(&self.shared);
        if state.gone || state.end.is_some() { Err(SendClosed) } else { Ok(state) }
    }
}

impl ForeignSend for Pipe {
    fn poll_send(&mut self, cx: &mut Context<'_>, frame: &mut Frame) -> Poll<Result<(), SendClosed>> {
        let mut state = self.lock()?;
        let piece = frame.split_to(self.room.saturating_sub(state.queued));
        if piece.len() > 0 {
            state.push(piece);
            state.wake_taker();
        }
        if frame.len() == 0 {
            return Poll::Ready(Ok(()));
        }
        state.sender = Some(cx.waker().clone());
        Poll::Pending
    }

    fn send_now(&mut self, frame: Frame, end: bool) -> Result<(), SendClosed> {
        let mut state = self.lock()?;
        state.push(frame);
        if end {
            state.end(End::Good);
        }
        state.wake_taker();
        Ok(())
    }

    /// Those of gRPC-Web are in the body.
    fn trailers(&mut self, _trailers: HeaderMap) -> Result<(), Unsent> {
        self.lock()?.end(End::Good);
        Ok(())
    }

    fn has_room(&self) -> bool {
        lock(&self.shared).queued < self.room
    }

    /// What is left is the connection's business, which waits for it as long as a client may stall.
    fn has_room_behind(&mut self) -> bool {
        true
    }

    fn id(&self) -> u32 {
        0
    }

    fn reset(&mut self, _code: u32) {
        lock(&self.shared).end(End::Aborted);
        // hyper may wait for a client that takes nothing, and not ask for more.
        self.wire.dead.cancel();
    }

    fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<u32> {
        let mut state = lock(&self.shared);
        if state.gone {
            return Poll::Ready(CANCEL);
        }
        state.sender = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Pipe {
    /// A call that was dropped has not ended well.
    fn drop(&mut self) {
        lock(&self.shared).end(End::Aborted);
    }
}

/// The end that hyper takes from.
#[derive(Debug)]
pub(super) struct ResponseBody(Option<Arc<Mutex<State>>>);

impl ResponseBody {
    pub(super) fn empty() -> Self {
        ResponseBody(None)
    }

    pub(super) fn of(pipe: &Pipe) -> Self {
        ResponseBody(Some(pipe.shared.clone()))
    }
}

impl Body for ResponseBody {
    type Data = Frame;
    type Error = Aborted;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Frame>, Aborted>>> {
        let Some(shared) = &self.0 else { return Poll::Ready(None) };
        let mut state = lock(shared);
        if let Some(frame) = state.frames.pop_front() {
            state.queued -= frame.len();
            state.wake_sender();
            return Poll::Ready(Some(Ok(BodyFrame::data(frame))));
        }
        match state.end {
            Some(End::Good) => Poll::Ready(None),
            Some(End::Aborted) => Poll::Ready(Some(Err(Aborted))),
            None => {
                state.taker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        if self.0.is_none() { SizeHint::with_exact(0) } else { SizeHint::default() }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        if let Some(shared) = &self.0 {
            let mut state = lock(shared);
            state.gone = true;
            state.frames.clear();
            state.wake_sender();
        }
    }
}

/// The call was given up: the connection has to end, because an answer cannot be taken back otherwise.
#[derive(Debug)]
pub(super) struct Aborted;

impl fmt::Display for Aborted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the call was given up")
    }
}

impl std::error::Error for Aborted {}
