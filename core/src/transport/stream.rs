//! The two halves of an HTTP/2 stream.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::Reason;
use http::HeaderMap;

use crate::message::Frame;

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

/// The sending half.
#[derive(Debug)]
pub(crate) struct SendPart(h2::SendStream<Bytes>);

/// The peer (or the connection) will take no more on this stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SendClosed;

impl SendPart {
    pub(crate) fn new(stream: h2::SendStream<Bytes>) -> Self {
        SendPart(stream)
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.stream_id().as_u32()
    }

    /// Hands the whole frame over at once, whatever the peer's window: for the first small message of a
    /// call, which costs less than waiting would.
    pub(crate) fn send_now(&mut self, frame: Frame, end: bool) -> Result<(), SendClosed> {
        let more = frame.rest.is_some();
        self.0.send_data(frame.first, end && !more).map_err(|_| SendClosed)?;
        match frame.rest {
            Some(rest) => self.0.send_data(rest, end).map_err(|_| SendClosed),
            None => Ok(()),
        }
    }

    /// Sends as much of `frame` as the peer's windows and our buffer allow, and takes that out of it; ready
    /// when nothing is left. `end` closes our half after the last byte.
    pub(crate) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        frame: &mut Frame,
        end: bool,
    ) -> Poll<Result<(), SendClosed>> {
        loop {
            if frame.first.is_empty() {
                match frame.rest.take() {
                    Some(rest) => frame.first = rest,
                    None => return Poll::Ready(Ok(())),
                }
            }
            // More would be taken from the windows of other streams, and could not be buffered anyway.
            self.0.reserve_capacity(frame.len().min(MOST_RESERVED));
            let mut capacity = self.0.capacity();
            if capacity == 0 {
                capacity = match ready!(self.0.poll_capacity(cx)) {
                    Some(Ok(capacity)) => capacity,
                    Some(Err(_)) | None => return Poll::Ready(Err(SendClosed)),
                };
            }
            let part = frame.first.split_to(capacity.min(frame.first.len()));
            let last = end && frame.first.is_empty() && frame.rest.is_none();
            if !part.is_empty() || last {
                self.0.send_data(part, last).map_err(|_| SendClosed)?;
            }
        }
    }

    /// Whether some bytes could be sent now.
    pub(crate) fn has_room(&self) -> bool {
        self.0.capacity() > 0
    }

    /// Closes our half with an empty DATA frame.
    pub(crate) fn end(&mut self) -> Result<(), SendClosed> {
        self.0.send_data(Bytes::new(), true).map_err(|_| SendClosed)
    }

    pub(crate) fn trailers(&mut self, trailers: HeaderMap) -> Result<(), SendClosed> {
        self.0.send_trailers(trailers).map_err(|_| SendClosed)
    }

    pub(crate) fn reset(&mut self, code: u32) {
        self.0.send_reset(Reason::from(code));
    }

    /// The HTTP/2 code with which the peer has reset the stream, if it has.
    pub(crate) fn reset_by_peer(&mut self, cx: &mut Context<'_>) -> Option<u32> {
        match self.0.poll_reset(cx) {
            Poll::Ready(Ok(code)) => Some(code.into()),
            Poll::Ready(Err(_)) | Poll::Pending => None,
        }
    }

    /// Ready when the peer reset the stream or the connection is gone; then with the HTTP/2 code (CANCEL for
    /// a lost connection).
    pub(crate) fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<u32> {
        self.0.poll_reset(cx).map(|result| result.map_or(u32::from(Reason::CANCEL), u32::from))
    }
}

/// The receiving half. Window is given back as data is taken out, so a reader that stops stops the sender.
#[derive(Debug)]
pub(crate) struct RecvPart(State);

#[derive(Debug)]
enum State {
    AwaitingHeaders(h2::client::ResponseFuture),
    Body(h2::RecvStream),
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

    /// Whether a good end is all that is left to come, which spares a reader that knows it two more looks.
    pub(crate) fn at_end(&self) -> bool {
        matches!(&self.0, State::Body(body) if body.is_end_stream())
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
            State::Ended => StreamEvent::End,
        };
        self.0 = State::Ended;
        Poll::Ready(event)
    }
}
