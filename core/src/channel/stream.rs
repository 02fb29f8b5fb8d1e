//! Calls that stay open: the two halves of a client's stream, and starting it again when nothing was lost.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use super::call::{Attempts, CANCEL, Prepared, Receive, Received};
use crate::message::{Frame, Message};
use crate::middleware::{BoxFuture, Item, Source};
use crate::timer::Deadline;
use crate::transport::SendPart;
use crate::{Metadata, Status};

/// What a stream may keep of its requests, in bytes, to be able to send them again on another connection.
const REPLAY_BYTES: usize = 256 * 1024;

/// The sending state, shared by both halves: the receiving half replaces the stream when it starts again.
#[derive(Debug)]
struct Outgoing {
    stream: Option<SendPart>,
    /// What was sent so far, while the call could still be started again.
    replay: Option<VecDeque<Frame>>,
    replay_bytes: usize,
    half_closed: bool,
    over: bool,
    sender: Option<Waker>,
    /// How often the call was started again; each start has sent what was in line by then.
    restarts: u32,
}

type Shared = Arc<Mutex<Outgoing>>;

fn lock(shared: &Shared) -> MutexGuard<'_, Outgoing> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The sending half.
pub(crate) struct ClientSend {
    shared: Shared,
    prepared: Arc<Prepared>,
    deadline: Deadline,
    compress: bool,
    /// The rest of a message that there was no room for yet.
    unsent: Option<Frame>,
    /// `Outgoing::restarts` when it was put in line.
    restarts: u32,
    /// The message in line is the only one: its last byte closes our half.
    end_with_message: bool,
}

/// The receiving half. Dropping it cancels the call.
pub(crate) struct ClientReceive {
    shared: Shared,
    prepared: Arc<Prepared>,
    receive: Option<Receive>,
    attempts: Attempts,
    reopening: Option<Reopening>,
    headers: Option<Metadata>,
    request: Option<ClientSend>,
    done: bool,
}

type Reopening = BoxFuture<'static, Result<(SendPart, Receive), Status>>;

/// Opens the call and gives its halves.
pub(crate) async fn start(prepared: Prepared) -> Result<(ClientSend, ClientReceive), Status> {
    let prepared = Arc::new(prepared);
    let mut attempts = Attempts::default();
    let (stream, receive) = prepared.open(&mut attempts).await?;
    let shared = Arc::new(Mutex::new(Outgoing {
        stream: Some(stream),
        replay: Some(VecDeque::new()),
        replay_bytes: 0,
        half_closed: false,
        over: false,
        sender: None,
        restarts: 0,
    }));
    let send = ClientSend {
        shared: shared.clone(),
        deadline: Deadline::new(prepared.deadline),
        prepared: prepared.clone(),
        compress: true,
        unsent: None,
        restarts: 0,
        end_with_message: false,
    };
    let receive = ClientReceive {
        shared,
        prepared,
        receive: Some(receive),
        attempts,
        reopening: None,
        headers: None,
        request: None,
        done: false,
    };
    Ok((send, receive))
}

/// What a sender is told when the call takes no more. The call's own status comes from the receiving half.
fn over() -> Status {
    Status::cancelled("the call is over and takes no more messages; its status comes from the receiving half")
}

impl ClientSend {
    pub(crate) fn set_compress(&mut self, compress: bool) {
        self.compress = compress;
    }

    /// Puts a message in line; then [`ClientSend::poll_flush`] until it is gone.
    pub(crate) fn put<T: Message>(&mut self, message: &T) -> Result<(), Status> {
        self.put_frame(self.prepared.framing.encode(message, self.compress)?)
    }

    pub(crate) fn put_frame(&mut self, frame: Frame) -> Result<(), Status> {
        let mut outgoing = lock(&self.shared);
        if outgoing.half_closed {
            return Err(Status::failed_precondition("send after half_close"));
        }
        outgoing.remember(&frame);
        self.restarts = outgoing.restarts;
        drop(outgoing);
        self.unsent = Some(frame);
        Ok(())
    }

    /// Ready when everything put in line is with the connection.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        let Some(frame) = &mut self.unsent else { return Poll::Ready(Ok(())) };
        let mut outgoing = lock(&self.shared);
        if outgoing.over {
            self.unsent = None;
            return Poll::Ready(Err(over()));
        }
        if outgoing.restarts != self.restarts {
            self.unsent = None;
            return Poll::Ready(Ok(()));
        }
        let sent = match &mut outgoing.stream {
            Some(stream) => stream.poll_send(cx, frame, self.end_with_message),
            None => Poll::Pending,
        };
        match sent {
            Poll::Ready(Ok(())) => {
                self.unsent = None;
                return Poll::Ready(Ok(()));
            }
            Poll::Ready(Err(_)) if outgoing.replay.is_none() => {
                self.unsent = None;
                return Poll::Ready(Err(over()));
            }
            // The receiving half learns why, and either starts again (the message is remembered) or ends.
            Poll::Ready(Err(_)) => outgoing.stream = None,
            Poll::Pending => {}
        }
        outgoing.sender = Some(cx.waker().clone());
        drop(outgoing);
        ready!(self.deadline.poll(cx));
        self.unsent = None;
        Poll::Ready(Err(super::call::deadline_exceeded("while a message waited to be sent")))
    }

    /// Gives the call up unless it was half-closed: the server must not take what it has for complete.
    pub(crate) fn abandon(&mut self) {
        let mut outgoing = lock(&self.shared);
        if outgoing.half_closed && self.unsent.is_none() {
            return;
        }
        if let Some(stream) = &mut outgoing.stream {
            stream.reset(CANCEL);
        }
        outgoing.replay = None;
        outgoing.half_closed = true;
    }

    /// Says that no more messages follow. Further calls do nothing.
    pub(crate) fn half_close(&mut self) {
        let mut outgoing = lock(&self.shared);
        if !std::mem::replace(&mut outgoing.half_closed, true)
            && let Some(stream) = &mut outgoing.stream
        {
            // An error means that the call is over: the receiving half says how.
            let _ = stream.end();
        }
    }
}

impl Outgoing {
    /// Keeps a sent message for a second start, as long as they are few.
    fn remember(&mut self, frame: &Frame) {
        let Some(replay) = &mut self.replay else { return };
        self.replay_bytes += frame.len();
        if self.replay_bytes > REPLAY_BYTES {
            self.replay = None;
        } else {
            replay.push_back(frame.clone());
        }
    }

    /// Continues on `stream`, with everything that was sent before.
    fn restart(&mut self, mut stream: SendPart) {
        for frame in self.replay.iter().flatten() {
            // An error shows in the new stream's answer.
            let _ = stream.send_now(frame.clone(), false);
        }
        if self.half_closed {
            let _ = stream.end();
        }
        self.stream = Some(stream);
        self.restarts += 1;
        self.wake_sender();
    }

    fn wake_sender(&mut self) {
        if let Some(waker) = self.sender.take() {
            waker.wake();
        }
    }
}

impl ClientReceive {
    /// For a call with one request: this half sends it, because there is no other.
    pub(crate) fn with_request(mut self, mut send: ClientSend, frame: Frame) -> Self {
        // Nothing was half-closed yet, the only error there is.
        let _ = send.put_frame(frame);
        send.end_with_message = true;
        lock(&self.shared).half_closed = true;
        self.request = Some(send);
        self
    }

    /// Sends what is left of the only request.
    pub(crate) fn poll_request(&mut self, cx: &mut Context<'_>) {
        if self.request.as_mut().is_some_and(|send| send.poll_flush(cx).is_ready()) {
            self.request = None;
        }
    }

    /// The response's leading metadata, once they are there.
    pub(crate) fn take_headers(&mut self) -> Option<Metadata> {
        self.headers.take()
    }

    /// Whether the message that came last had come compressed.
    pub(crate) fn last_compressed(&self) -> bool {
        self.receive.as_ref().is_some_and(Receive::last_compressed)
    }

    pub(crate) fn peer(&self) -> Option<&crate::Peer> {
        self.receive.as_ref().map(Receive::peer)
    }

    /// Like `poll_item`, but also ready when the headers arrive: `None` then.
    pub(crate) fn poll_headers_or_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        self.poll_request(cx);
        loop {
            if let Some(reopening) = &mut self.reopening {
                match ready!(reopening.as_mut().poll(cx)) {
                    Ok((stream, receive)) => {
                        self.attempts = receive.attempts();
                        self.receive = Some(receive);
                        lock(&self.shared).restart(stream);
                    }
                    Err(status) => return Poll::Ready(Some(self.end(status))),
                }
                self.reopening = None;
            }
            let Some(receive) = &mut self.receive else {
                return Poll::Ready(Some(Item::End(Status::ok())));
            };
            match ready!(receive.poll(cx)) {
                Received::Headers(headers) => {
                    // The server took the call: from here on it runs once.
                    lock(&self.shared).replay = None;
                    self.headers = Some(headers);
                    return Poll::Ready(None);
                }
                Received::Message(message) => return Poll::Ready(Some(Item::Message(message))),
                Received::Done(status) => return Poll::Ready(Some(self.end(status))),
                Received::Retry { status, refused } => {
                    self.attempts.turned_away(refused);
                    let mut outgoing = lock(&self.shared);
                    outgoing.stream = None;
                    if outgoing.replay.is_none() {
                        drop(outgoing);
                        return Poll::Ready(Some(self.end(status)));
                    }
                    drop(outgoing);
                    self.receive = None;
                    let (prepared, mut attempts) = (self.prepared.clone(), self.attempts);
                    self.reopening = Some(Box::pin(async move { prepared.open(&mut attempts).await }));
                }
            }
        }
    }

    fn end(&mut self, status: Status) -> Item {
        self.done = true;
        let reset = self.receive.take().and_then(|receive| receive.needs_reset());
        self.close(reset);
        Item::End(status)
    }

    /// Stops the sending half. A stream that the client had not finished is reset, so that the server need
    /// not wait for the rest.
    fn close(&self, reset: Option<u32>) {
        let mut outgoing = lock(&self.shared);
        let reset = reset.or((!outgoing.half_closed).then_some(CANCEL));
        if let (Some(stream), Some(code)) = (&mut outgoing.stream, reset) {
            stream.reset(code);
        }
        outgoing.stream = None;
        outgoing.replay = None;
        outgoing.over = true;
        outgoing.wake_sender();
    }
}

impl Source for ClientReceive {
    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Item> {
        loop {
            if let Some(item) = ready!(self.poll_headers_or_item(cx)) {
                return Poll::Ready(item);
            }
        }
    }
}

impl Drop for ClientReceive {
    fn drop(&mut self) {
        if !self.done {
            self.close(Some(CANCEL));
        }
    }
}
