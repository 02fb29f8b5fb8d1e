//! The response side of a call, as the client sees it.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap};

use super::request::{Excess, Limits};
use crate::encoding::{Encoding, EncodingSet};
use crate::frame::Deframer;
use crate::metadata::{Metadata, strip_reserved};
use crate::{Code, Sent, Status, content_type, header, reset};

/// How many messages a response has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResponseKind {
    /// Exactly one: unary and client-streaming methods.
    One,
    /// Any number: server-streaming and bidirectional methods.
    Many,
}

/// What happened on the response side.
#[derive(Clone, Debug)]
pub enum ClientEvent {
    /// The custom metadata of the response headers. Does not come for a Trailers-Only response.
    Headers(Metadata),
    /// A whole message, decompressed.
    Message(Bytes),
    /// The call is over. The metadata of the trailers is inside.
    Done(Status),
}

/// A body that is not gRPC is skipped up to this many bytes, in case trailers bring a status after all.
const MAX_FOREIGN_BODY: usize = 64 * 1024;

/// The response side of one call.
///
/// ```text
/// waiting --HEADERS--> receiving --trailers, END_STREAM, RST_STREAM--> ending --> done
///    '------ Trailers-Only, END_STREAM, RST_STREAM, DATA ----------------^
/// ```
///
/// Feed in what the stream brings, then take events out until there is none. While `ending`, the
/// messages that arrived whole still come out; the first end that is fed in counts and later ones are
/// ignored, so that a reset behind complete trailers does no harm.
///
/// For [`ResponseKind::One`] the message comes out only when the status is known to be OK: a caller
/// never sees OK without a whole message, nor a message without OK.
#[derive(Debug)]
pub struct ClientCall {
    kind: ResponseKind,
    accept: EncodingSet,
    limits: Limits,
    deframer: Deframer,
    headers: Option<Metadata>,
    /// [`ResponseKind::One`]: the message, until the status is known.
    held: Option<Bytes>,
    /// Why the response is not gRPC, if it is not; its body is skipped.
    foreign: Option<Status>,
    skipped: usize,
    /// The status in headers without END_STREAM: void as soon as a body or trailers follow.
    early: Option<Status>,
    end: Option<End>,
    state: State,
    /// Headers came that were not the whole response.
    answered: bool,
    /// The stream can bring nothing more.
    closed: bool,
    reset: Option<u32>,
    exceeded: Option<Exceeded>,
    compressed: bool,
    /// Its length before it was decompressed.
    wire_len: usize,
}

/// The limit of this side that ended a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exceeded {
    /// A message was larger than is accepted.
    Message,
    /// Headers or trailers were.
    Metadata(Excess),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    Receiving,
    Done,
}

/// How the stream ended, to be told when the messages before it are out.
#[derive(Debug)]
enum End {
    /// The server gave this status.
    Status(Status),
    /// It ended cleanly, but without a status.
    Silent,
    /// It broke; messages that arrived whole still count for a stream, not for a single response.
    Broken(Status),
}

impl ClientCall {
    /// A call whose request was just started. `max_recv` is the largest message in bytes,
    /// decompressed; `accept` is what the request announced.
    #[must_use]
    pub fn new(kind: ResponseKind, max_recv: usize, accept: EncodingSet) -> ClientCall {
        ClientCall {
            kind,
            accept,
            limits: Limits::default(),
            deframer: Deframer::new(max_recv, Encoding::Identity),
            headers: None,
            held: None,
            foreign: None,
            skipped: 0,
            early: None,
            end: None,
            state: State::Waiting,
            answered: false,
            closed: false,
            reset: None,
            exceeded: None,
            compressed: false,
            wire_len: 0,
        }
    }

    /// Sets how much metadata the headers and the trailers may bring each.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> ClientCall {
        self.limits = limits;
        self
    }

    /// The stream brought a header block that is not known to be trailers. 1xx blocks are skipped; a
    /// second block is taken for trailers if it ends the stream and is an error if not.
    pub fn on_headers(&mut self, http_status: u16, headers: HeaderMap, end_stream: bool) {
        self.closed |= end_stream;
        match (self.state, end_stream) {
            _ if self.is_over() => {}
            (State::Waiting, false) if (100..200).contains(&http_status) => {}
            (State::Waiting, true) if (100..200).contains(&http_status) => {
                let message = format!("server ended the stream with an interim HTTP {http_status} response");
                self.break_off(Status::internal(message), reset::PROTOCOL_ERROR);
            }
            (State::Waiting, false) => self.on_response(http_status, headers),
            (State::Waiting, true) => {
                if self.refuses(&headers) {
                    return;
                }
                let status = not_grpc(http_status, &headers);
                self.foreign = status;
                self.end = Some(Status::from_trailers(headers).map_or(End::Silent, End::Status));
            }
            (_, true) => self.on_trailers(headers),
            (_, false) => {
                let message = "server sent a second header block that does not end the stream";
                self.break_off(answered(Status::internal(message)), reset::PROTOCOL_ERROR);
            }
        }
    }

    /// The stream brought data. Take the events out before the next call.
    pub fn on_data(&mut self, bytes: Bytes) {
        if self.is_over() {
            return;
        }
        if self.state == State::Waiting {
            let status = Status::internal("server sent data before response headers");
            return self.break_off(answered(status), reset::PROTOCOL_ERROR);
        }
        if !bytes.is_empty() {
            self.early = None;
        }
        if self.foreign.is_none() {
            self.deframer.push(bytes);
            return;
        }
        self.skipped += bytes.len();
        if self.skipped > MAX_FOREIGN_BODY
            && let Some(status) = self.foreign.take()
        {
            self.break_off(status, reset::CANCEL);
        }
    }

    /// The stream ended with trailers.
    pub fn on_trailers(&mut self, trailers: HeaderMap) {
        self.closed = true;
        if self.is_over() {
            return;
        }
        self.early = None;
        if self.refuses(&trailers) {
            return;
        }
        self.end = Some(Status::from_trailers(trailers).map_or(End::Silent, End::Status));
    }

    /// The stream ended without trailers: END_STREAM on DATA.
    pub fn on_end(&mut self) {
        self.closed = true;
        if self.is_over() {
            return;
        }
        self.end = Some(match self.early.take() {
            Some(status) => End::Status(status),
            None if self.state == State::Waiting => {
                End::Broken(answered(Status::internal("server ended the stream without response headers")))
            }
            None => End::Silent,
        });
    }

    /// The server reset the stream. `deadline_passed` says whether the call's own deadline is over: a
    /// CANCEL is then the server's view of the same deadline.
    pub fn on_reset(&mut self, reason: u32, deadline_passed: bool) {
        self.closed = true;
        if self.is_over() {
            return;
        }
        let status = if deadline_passed && reason == reset::CANCEL {
            Status::deadline_exceeded("deadline exceeded")
        } else if let Some(foreign) = self.foreign.take() {
            foreign
        } else {
            Status::from_reset(reason)
        };
        let status = if self.state == State::Waiting { status } else { answered(status) };
        self.end = Some(End::Broken(status));
    }

    /// Ends the call from this side: it was cancelled, its deadline passed, the connection is lost.
    /// Messages not yet taken out are dropped. Ignored if the stream has ended already.
    pub fn fail(&mut self, status: Status) {
        if !self.is_over() {
            self.drop_input();
            let status = if self.state == State::Receiving { answered(status) } else { status };
            self.break_off(status, reset::CANCEL);
        }
    }

    /// The HTTP/2 error code to reset the stream with, if the call was over before the stream was.
    ///
    /// It is about the response. A client that has not ended its request when the call is done resets
    /// that half by itself.
    #[must_use]
    pub fn needs_reset(&self) -> Option<u32> {
        self.reset.filter(|_| !self.closed)
    }

    /// The limit of this side that ended the call, if one did.
    #[must_use]
    pub fn exceeded(&self) -> Option<Exceeded> {
        self.exceeded
    }

    /// Whether response headers without END_STREAM have arrived. If not, the call is not committed:
    /// it ended in a Trailers-Only response, or with no answer at all.
    #[must_use]
    pub fn has_headers(&self) -> bool {
        self.answered
    }

    /// Whether the message that came out last had come compressed.
    #[must_use]
    pub fn last_compressed(&self) -> bool {
        self.compressed
    }

    /// How long the message that came out last was before it was decompressed.
    #[must_use]
    pub fn last_wire_len(&self) -> usize {
        self.wire_len
    }

    /// How many bytes are held in incomplete or untaken messages.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.deframer.buffered() + self.held.as_ref().map_or(0, Bytes::len)
    }

    /// The next event; `None` until more is fed in, and for ever after [`ClientEvent::Done`].
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        if self.state == State::Done {
            return None;
        }
        if let Some(headers) = self.headers.take() {
            return Some(ClientEvent::Headers(headers));
        }
        loop {
            let next = self.deframer.next();
            if matches!(next, Ok(Some(_))) {
                self.compressed = self.deframer.last_compressed();
                self.wire_len = self.deframer.last_wire_len();
            }
            match (next, self.kind) {
                (Err(status), _) => {
                    if status.code() == Code::ResourceExhausted {
                        self.exceeded = Some(Exceeded::Message);
                    }
                    return Some(self.abort(answered(status)));
                }
                (Ok(Some(message)), ResponseKind::Many) => return Some(ClientEvent::Message(message)),
                (Ok(Some(message)), ResponseKind::One) => {
                    if self.held.replace(message).is_some() {
                        let status = Status::unimplemented("response has two messages where one is due");
                        return Some(self.abort(answered(status)));
                    }
                }
                (Ok(None), _) => break,
            }
        }
        let end = self.end.take()?;
        let status = self.resolve(end);
        if status.is_ok()
            && let Some(message) = self.held.take()
        {
            // Done follows at the next poll.
            self.end = Some(End::Broken(status));
            return Some(ClientEvent::Message(message));
        }
        Some(self.done(status))
    }

    /// Every message is out of the deframer; what the end of the stream means for the call.
    fn resolve(&mut self, end: End) -> Status {
        let status = match end {
            End::Broken(status) => return status,
            End::Status(status) => status,
            End::Silent => {
                return match (self.foreign.take(), self.deframer.finish()) {
                    (Some(foreign), _) => foreign,
                    (None, Err(status)) => answered(status),
                    (None, Ok(())) => answered(Status::unknown("server ended the call without grpc-status")),
                };
            }
        };
        if !status.is_ok() {
            return status;
        }
        // An OK counts only behind a whole and readable body.
        if self.skipped > 0
            && let Some(foreign) = self.foreign.take()
        {
            return foreign.with_metadata(status.metadata().clone());
        }
        if let Err(truncated) = self.deframer.finish() {
            return answered(truncated).with_metadata(status.metadata().clone());
        }
        if self.kind == ResponseKind::One && self.held.is_none() {
            let missing = Status::unimplemented("response has no message where one is due");
            return answered(missing).with_metadata(status.metadata().clone());
        }
        status
    }

    fn on_response(&mut self, http_status: u16, mut headers: HeaderMap) {
        self.state = State::Receiving;
        self.answered = true;
        if self.refuses(&headers) {
            return;
        }
        self.foreign = not_grpc(http_status, &headers);
        if headers.contains_key(&header::GRPC_STATUS) {
            self.early = Status::from_trailers(headers.clone());
        }
        if self.foreign.is_none() {
            let name = match Encoding::from_headers(&headers) {
                Ok(encoding) if self.accept.contains(encoding) => {
                    self.deframer.set_encoding(encoding);
                    None
                }
                Ok(encoding) => Some(encoding.name().to_owned()),
                Err(name) => Some(name),
            };
            if let Some(name) = name {
                let message = format!("server sent grpc-encoding \"{name}\", which the call did not accept");
                return self.break_off(answered(Status::internal(message)), reset::CANCEL);
            }
        }
        strip_reserved(&mut headers);
        self.headers = Some(Metadata::from_headers(headers));
    }

    /// Whether these are more metadata than is accepted: then the call is over.
    fn refuses(&mut self, headers: &HeaderMap) -> bool {
        let Err(excess) = self.limits.check(headers) else { return false };
        self.exceeded = Some(Exceeded::Metadata(excess));
        self.break_off(answered(excess.status(&self.limits)), reset::CANCEL);
        true
    }

    /// Ends the call now, and the stream with it.
    fn break_off(&mut self, status: Status, reason: u32) {
        self.end = Some(End::Broken(status));
        self.reset = Some(reason);
    }

    fn abort(&mut self, status: Status) -> ClientEvent {
        self.reset = Some(reset::CANCEL);
        self.done(status)
    }

    fn done(&mut self, status: Status) -> ClientEvent {
        self.state = State::Done;
        self.end = None;
        self.drop_input();
        ClientEvent::Done(status)
    }

    fn drop_input(&mut self) {
        self.headers = None;
        self.held = None;
        self.deframer = Deframer::new(0, Encoding::Identity);
    }

    fn is_over(&self) -> bool {
        self.state == State::Done || self.end.is_some()
    }
}

fn answered(status: Status) -> Status {
    status.with_sent(Sent::Answered)
}

/// Why a response is not gRPC, judged by its HTTP status and content type; `None` if it is.
fn not_grpc(http_status: u16, headers: &HeaderMap) -> Option<Status> {
    let content_type = headers.get(CONTENT_TYPE);
    if http_status == 200 && content_type.is_some_and(content_type::is_grpc) {
        return None;
    }
    let status = Status::from_http(http_status);
    let kind = match content_type {
        Some(value) => format!("content-type {}", value.as_bytes().escape_ascii()),
        None => "no content-type".to_owned(),
    };
    let message = format!("{} ({kind})", status.message());
    Some(Status::new(status.code(), message).with_sent(Sent::Answered))
}
#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
