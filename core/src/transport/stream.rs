//! The two halves of an HTTP/2 stream.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use h2::Reason;
use http::HeaderMap;
use spanwire_http2::SendStream;

use super::foreign::{ForeignRecv, ForeignSend};
use super::header_list::{self, Unsent};
use super::outbox::{self, GATHERED_BYTES, Line, Outbox};
use crate::message::Frame;
use crate::observe::{SentPart, StreamWatch};

/// What arrives on a stream, in order: (client only) headers, data…, then trailers, an end or a failure.
#[derive(Debug)]
pub(crate) enum StreamEvent {
    Headers { status: u16, headers: HeaderMap, end: bool },
    Data(Bytes),
    Trailers(HeaderMap),
    End,
    Failed(StreamFailure),
}

/// Why a stream ended before its time.
#[derive(Clone, Debug)]
pub(crate) enum StreamFailure {
    /// The peer reset it with this HTTP/2 code.
    Reset(u32),
    /// We reset it, because the peer broke HTTP/2 on this stream.
    LocalReset(u32),
    /// The peer closed the connection with GOAWAY.
    GoAway { code: u32 },
    /// We closed the connection, because the peer broke HTTP/2.
    Violation { code: u32 },
    /// The connection is gone without a word.
    Lost(String),
    /// What came is not to be read, for this reason.
    Unreadable(String),
}

impl From<h2::Error> for StreamFailure {
    fn from(error: h2::Error) -> Self {
        let code = error.reason().map_or(0, u32::from);
        if error.is_reset() {
            return if error.is_remote() {
                StreamFailure::Reset(code)
            } else {
                StreamFailure::LocalReset(code)
            };
        }
        if error.is_go_away() {
            return if error.is_remote() {
                StreamFailure::GoAway { code }
            } else {
                StreamFailure::Violation { code }
            };
        }
        StreamFailure::Lost(error.to_string())
    }
}

/// The name of an HTTP/2 error code, for messages.
pub(crate) fn code_name(code: u32) -> String {
    format!("{} ({code:#x})", spanwire_wire::reset::describe(code).0)
}

/// What one stream asks for at a time, in bytes.
const MOST_RESERVED: usize = 64 * 1024;

/// What is handed over at a time once there is any room, in bytes. It is the message's own memory, so nothing is saved by
/// cutting it smaller; and a piece no longer than the peer's largest frame costs one write.
const PIECE_BYTES: usize = super::MAX_FRAME_BYTES as usize;

/// The sending half.
#[derive(Debug)]
pub(crate) struct SendPart {
    sender: Sender,
    outbox: Arc<Outbox>,
    /// Who is told of what is sent.
    watch: Option<Arc<dyn StreamWatch>>,
}

#[derive(Debug)]
enum Sender {
    Direct(SendStream),
    /// From its second small message on, a stream may gather them.
    Lined(Arc<Mutex<Line>>),
    Foreign(Box<dyn ForeignSend>),
    /// On the way from one to the other.
    Moving,
}

impl Sender {
    fn lined(&mut self) -> Result<&Arc<Mutex<Line>>, SendClosed> {
        if matches!(self, Sender::Direct(_))
            && let Sender::Direct(stream) = std::mem::replace(self, Sender::Moving)
        {
            *self = Sender::Lined(Arc::new(Mutex::new(Line::new(stream))));
        }
        match self {
            Sender::Lined(line) => Ok(line),
            Sender::Direct(_) | Sender::Foreign(_) | Sender::Moving => Err(SendClosed),
        }
    }
}

/// The peer (or the connection) will take no more on this stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SendClosed;

impl SendPart {
    pub(crate) fn new(stream: SendStream, outbox: Arc<Outbox>) -> Self {
        SendPart { sender: Sender::Direct(stream), outbox, watch: None }
    }

    pub(crate) fn foreign(stream: Box<dyn ForeignSend>) -> Self {
        SendPart { sender: Sender::Foreign(stream), outbox: Arc::default(), watch: None }
    }

    /// Has messages told to `watch` from here on.
    pub(crate) fn set_watch(&mut self, watch: Option<Arc<dyn StreamWatch>>) {
        self.watch = watch;
    }

    fn tell(&self, bytes: usize, first: u8, whole: bool) {
        if let Some(watch) = &self.watch
            && bytes > 0
        {
            watch.sent(SentPart { bytes, first, whole });
        }
    }

    /// Does something with the stream of HTTP/2, behind everything that was gathered.
    fn with<R>(&mut self, act: impl FnOnce(&mut SendStream) -> R) -> Result<R, SendClosed> {
        match &mut self.sender {
            Sender::Direct(stream) => Ok(act(stream)),
            Sender::Lined(line) => {
                let mut line = outbox::lock(line);
                line.flush()?;
                Ok(act(line.stream()))
            }
            Sender::Foreign(_) | Sender::Moving => Err(SendClosed),
        }
    }

    /// Hands the whole frame over at once, whatever the peer's window: for the first small message of a
    /// call, which costs less than waiting would.
    pub(crate) fn send_now(&mut self, frame: Frame, end: bool) -> Result<(), SendClosed> {
        let (bytes, first) = (frame.len(), frame.first_byte());
        if let Sender::Foreign(stream) = &mut self.sender {
            stream.send_now(frame, end)?;
        } else {
            self.with(|stream| stream.send_data(frame, end))?.map_err(|_| SendClosed)?;
        }
        self.tell(bytes, first, true);
        Ok(())
    }

    /// Sends as much of `frame` as the peer's windows and our buffer allow, and takes that out of it; ready
    /// when nothing is left. `end` closes our half after the last byte.
    pub(crate) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        frame: &mut Frame,
        end: bool,
    ) -> Poll<Result<(), SendClosed>> {
        let (before, first) = (frame.len(), frame.first_byte());
        let sent = self.poll_send_untold(cx, frame, end);
        match sent {
            Poll::Ready(Ok(())) => self.tell(before, first, true),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.tell(before - frame.len(), first, false),
        }
        sent
    }

    fn poll_send_untold(
        &mut self,
        cx: &mut Context<'_>,
        frame: &mut Frame,
        end: bool,
    ) -> Poll<Result<(), SendClosed>> {
        if let Sender::Foreign(stream) = &mut self.sender {
            return stream.poll_send(cx, frame);
        }
        if frame.len() <= GATHERED_BYTES && !end {
            let line = self.sender.lined()?;
            return outbox::poll_gather(line, &self.outbox, cx, frame);
        }
        self.with(|stream| {
            while frame.len() > 0 {
                let room = ready!(poll_room(stream, cx, frame.len()))?;
                let whole = frame.len().min(PIECE_BYTES);
                // A client that takes little at a time is given that, so that its progress shows.
                let piece = frame.split_to(if 2 * room >= whole { room.max(whole) } else { room });
                let last = end && frame.len() == 0;
                stream.send_data(piece, last).map_err(|_| SendClosed)?;
            }
            Poll::Ready(Ok(()))
        })?
    }

    /// Lets `write` append a message of no more than so many bytes behind others, where there are such. It answers
    /// whether it did.
    pub(crate) fn append(&mut self, write: impl FnOnce(&mut BytesMut, usize) -> bool) -> bool {
        let Sender::Lined(line) = &self.sender else { return false };
        let mut bytes = 0;
        let appended = outbox::lock(line).append(|buffer, left| {
            let before = buffer.len();
            let written = write(buffer, left);
            bytes = buffer.len() - before;
            written
        });
        if appended {
            self.tell(bytes, 0, true);
        }
        appended
    }

    /// Whether the peer's windows have room for all that was handed over, and for more.
    pub(crate) fn has_room_behind(&mut self) -> bool {
        if let Sender::Foreign(stream) = &mut self.sender {
            return stream.has_room_behind();
        }
        let asked = self.with(|stream| {
            stream.reserve_capacity(1);
            stream.capacity() > 0
        });
        asked.unwrap_or(true)
    }

    pub(crate) fn id(&self) -> u32 {
        match &self.sender {
            Sender::Direct(stream) => stream.stream_id(),
            Sender::Lined(line) => outbox::lock(line).stream().stream_id(),
            Sender::Foreign(stream) => stream.id(),
            Sender::Moving => 0,
        }
    }

    /// Whether some bytes could be sent now.
    pub(crate) fn has_room(&self) -> bool {
        match &self.sender {
            Sender::Direct(stream) => stream.capacity() > 0,
            Sender::Lined(line) => outbox::lock(line).stream().capacity() > 0,
            Sender::Foreign(stream) => stream.has_room(),
            Sender::Moving => false,
        }
    }

    /// Closes our half with an empty DATA frame.
    pub(crate) fn end(&mut self) -> Result<(), SendClosed> {
        self.send_now(Frame::default(), true)
    }

    pub(crate) fn trailers(&mut self, trailers: HeaderMap) -> Result<(), Unsent> {
        if let Sender::Foreign(stream) = &mut self.sender {
            return stream.trailers(trailers);
        }
        header_list::check_trailers(self.outbox.header_list_limit(), &trailers)?;
        self.with(|stream| stream.send_trailers(trailers))?.map_err(|_| Unsent::Closed)
    }

    pub(crate) fn reset(&mut self, code: u32) {
        match &mut self.sender {
            Sender::Foreign(stream) => return stream.reset(code),
            Sender::Lined(line) => outbox::lock(line).clear(),
            Sender::Direct(_) | Sender::Moving => {}
        }
        // An error means that there is nothing left to reset.
        let _ = self.with(|stream| stream.send_reset(Reason::from(code)));
    }

    /// The HTTP/2 code with which the peer has reset the stream, if it has.
    pub(crate) fn reset_by_peer(&mut self, cx: &mut Context<'_>) -> Option<u32> {
        match self.poll_h2_reset(cx) {
            Poll::Ready(Some(code)) => Some(code),
            Poll::Ready(None) | Poll::Pending => None,
        }
    }

    /// Ready when the peer reset the stream or the connection is gone; then with the HTTP/2 code (CANCEL for
    /// a lost connection).
    pub(crate) fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<u32> {
        self.poll_h2_reset(cx).map(|code| code.unwrap_or(Reason::CANCEL.into()))
    }

    fn poll_h2_reset(&mut self, cx: &mut Context<'_>) -> Poll<Option<u32>> {
        let result = match &mut self.sender {
            Sender::Direct(stream) => stream.poll_reset(cx),
            Sender::Lined(line) => outbox::lock(line).stream().poll_reset(cx),
            Sender::Foreign(stream) => return stream.poll_reset(cx).map(Some),
            Sender::Moving => return Poll::Ready(None),
        };
        result.map(|code| code.ok().map(u32::from))
    }
}

/// Room for more on a stream, in bytes; ready when there is any.
pub(super) fn poll_room(
    stream: &mut SendStream,
    cx: &mut Context<'_>,
    wish: usize,
) -> Poll<Result<usize, SendClosed>> {
    // More would be taken from the windows of other streams, and could not be buffered anyway.
    stream.reserve_capacity(wish.min(MOST_RESERVED));
    match stream.capacity() {
        0 => Poll::Ready(match ready!(stream.poll_capacity(cx)) {
            Some(Ok(capacity)) => Ok(capacity),
            Some(Err(_)) | None => Err(SendClosed),
        }),
        capacity => Poll::Ready(Ok(capacity)),
    }
}

/// The receiving half. Window is given back as data is taken out, so a reader that stops stops the sender.
#[derive(Debug)]
pub(crate) struct RecvPart(State);

#[derive(Debug)]
enum State {
    AwaitingHeaders(h2::client::ResponseFuture),
    Body(h2::RecvStream),
    Foreign(Box<dyn ForeignRecv>),
    Ended,
}

impl RecvPart {
    /// The response of a call that was just opened.
    pub(crate) fn response(future: h2::client::ResponseFuture) -> Self {
        RecvPart(State::AwaitingHeaders(future))
    }

    /// The body of a request that arrived.
    pub(crate) fn request(body: h2::RecvStream) -> Self {
        RecvPart(State::Body(body))
    }

    pub(crate) fn foreign(body: Box<dyn ForeignRecv>) -> Self {
        RecvPart(State::Foreign(body))
    }

    /// Whether a good end is all that is left to come, which spares a reader that knows it two more looks.
    pub(crate) fn at_end(&self) -> bool {
        match &self.0 {
            State::Body(body) => body.is_end_stream(),
            State::Foreign(body) => body.at_end(),
            State::AwaitingHeaders(_) | State::Ended => false,
        }
    }

    /// The next event; after an ending one there are no more ([`StreamEvent::End`] for ever).
    pub(crate) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<StreamEvent> {
        let event = match &mut self.0 {
            State::AwaitingHeaders(future) => match ready!(Pin::new(future).poll(cx)) {
                Ok(response) => {
                    let (head, body) = response.into_parts();
                    let end = body.is_end_stream();
                    self.0 = if end { State::Ended } else { State::Body(body) };
                    let status = head.status.as_u16();
                    return Poll::Ready(StreamEvent::Headers { status, headers: head.headers, end });
                }
                Err(error) => StreamEvent::Failed(error.into()),
            },
            State::Body(body) => match ready!(body.poll_data(cx)) {
                Some(Ok(data)) => {
                    // An error here means that the stream is gone; the next poll says so.
                    let _ = body.flow_control().release_capacity(data.len());
                    return Poll::Ready(StreamEvent::Data(data));
                }
                Some(Err(error)) => StreamEvent::Failed(error.into()),
                None => match ready!(body.poll_trailers(cx)) {
                    Ok(Some(trailers)) => StreamEvent::Trailers(trailers),
                    Ok(None) => StreamEvent::End,
                    Err(error) => StreamEvent::Failed(error.into()),
                },
            },
            State::Foreign(body) => match ready!(body.poll_event(cx)) {
                data @ StreamEvent::Data(_) => return Poll::Ready(data),
                event => event,
            },
            State::Ended => StreamEvent::End,
        };
        self.0 = State::Ended;
        Poll::Ready(event)
    }
}
