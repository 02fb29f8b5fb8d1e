//! The request side of a call, as the server sees it.

use bytes::Bytes;

use crate::encoding::Encoding;
use crate::frame::Deframer;
use crate::{Status, reset};

/// How many messages a request has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RequestKind {
    /// Exactly one: unary and server-streaming methods.
    One,
    /// Any number: client-streaming and bidirectional methods.
    Many,
}

/// What happened on the request side.
#[derive(Clone, Debug)]
pub enum ServerEvent {
    /// A whole message, decompressed.
    Message(Bytes),
    /// The client has sent all it will send.
    HalfClosed,
    /// The call is over; the handler, if it runs, is to be stopped. After a reset by the client there is
    /// nobody to send this status to.
    Failed(Status),
}

/// The request side of one call.
///
/// ```text
/// open --END_STREAM--> half-closed --RST_STREAM--> over
///   '---- bad frame, wrong count, RST_STREAM ------> over
/// ```
///
/// Feed in what the stream brings, then take events out until there is none. For [`RequestKind::One`]
/// the message comes out only when the stream has ended well, so that no handler runs for a request
/// that is cut off or is followed by a second message.
#[derive(Debug)]
pub struct ServerCall {
    kind: RequestKind,
    deframer: Deframer,
    /// [`RequestKind::One`]: the message, until the end of the stream shows that it is the only one.
    held: Option<Bytes>,
    ended: bool,
    /// A failure to report. Nothing else comes out before it.
    failure: Option<Status>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    HalfClosed,
    Over,
}

impl ServerCall {
    /// A call whose head was just accepted. `max_recv` is the largest message in bytes, decompressed.
    #[must_use]
    pub fn new(kind: RequestKind, max_recv: usize, encoding: Encoding) -> ServerCall {
        let deframer = Deframer::new(max_recv, encoding);
        ServerCall { kind, deframer, held: None, ended: false, failure: None, state: State::Open }
    }

    /// The stream brought data. Take the events out before the next call.
    pub fn on_data(&mut self, bytes: Bytes) {
        if self.state == State::Open {
            self.deframer.push(bytes);
        }
    }

    /// The stream ended: END_STREAM on DATA, or on HEADERS.
    pub fn on_end(&mut self) {
        self.ended |= self.state == State::Open;
    }

    /// The client reset the stream, which cancels the call whatever the HTTP/2 code. Messages not yet
    /// taken out are dropped.
    pub fn on_reset(&mut self, reason: u32) {
        let (name, _) = reset::describe(reason);
        self.fail(Status::cancelled(format!("stream reset by the client: {name} ({reason:#x})")));
    }

    /// Ends the call from this side, such as when its deadline has passed or the connection is lost.
    pub fn fail(&mut self, status: Status) {
        if self.state != State::Over && self.failure.is_none() {
            self.failure = Some(status);
        }
    }

    /// Whether the message that came out last had come compressed.
    #[must_use]
    pub fn last_compressed(&self) -> bool {
        self.deframer.last_compressed()
    }

    /// How long the message that came out last was before it was decompressed.
    #[must_use]
    pub fn last_wire_len(&self) -> usize {
        self.deframer.last_wire_len()
    }

    /// How many bytes are held in incomplete or untaken messages.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.deframer.buffered() + self.held.as_ref().map_or(0, Bytes::len)
    }

    /// The next event; `None` until more is fed in, and for ever after [`ServerEvent::Failed`].
    pub fn poll_event(&mut self) -> Option<ServerEvent> {
        if let Some(status) = self.failure.take() {
            return Some(self.over(status));
        }
        while self.state == State::Open {
            match (self.deframer.next(), self.kind) {
                (Err(status), _) => return Some(self.over(status)),
                (Ok(Some(message)), RequestKind::Many) => return Some(ServerEvent::Message(message)),
                (Ok(Some(message)), RequestKind::One) => {
                    if self.held.replace(message).is_some() {
                        let status = Status::unimplemented("request has two messages where one is due");
                        return Some(self.over(status));
                    }
                }
                (Ok(None), _) if self.ended => return Some(self.half_close()),
                (Ok(None), _) => return None,
            }
        }
        let held_back = self.state == State::HalfClosed && self.kind == RequestKind::One;
        (held_back && std::mem::take(&mut self.ended)).then_some(ServerEvent::HalfClosed)
    }

    /// The stream has ended and every message is out of the deframer.
    fn half_close(&mut self) -> ServerEvent {
        if let Err(status) = self.deframer.finish() {
            return self.over(status);
        }
        match (self.kind, self.held.take()) {
            (RequestKind::Many, _) => {
                self.state = State::HalfClosed;
                ServerEvent::HalfClosed
            }
            // HalfClosed follows at the next poll, for which `ended` stays set.
            (RequestKind::One, Some(message)) => {
                self.state = State::HalfClosed;
                ServerEvent::Message(message)
            }
            (RequestKind::One, None) => {
                self.over(Status::unimplemented("request has no message where one is due"))
            }
        }
    }

    fn over(&mut self, status: Status) -> ServerEvent {
        self.state = State::Over;
        self.held = None;
        self.deframer = Deframer::new(0, Encoding::Identity);
        ServerEvent::Failed(status)
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
