//! The answering half of a call, shared by its handler, its messages and its supervisor.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use spanwire_wire::call;
use spanwire_wire::encoding::{Encoding, EncodingSet};
use spanwire_wire::reset::{CANCEL, INTERNAL_ERROR};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::context::Facts;
use crate::message::{Frame, Framing, Message};
use crate::observe::{StreamWatch, TraceContext};
use crate::transport::header_list::{TooLarge, Unsent};
use crate::transport::server::Respond;
use crate::transport::{Peer, SendPart};
use crate::{Code, Metadata, Status};

/// What belongs to one call for as long as anything of it lives.
#[derive(Debug)]
pub(crate) struct CallShared {
    responder: Mutex<Responder>,
    cancelled: OnceLock<CancellationToken>,
    pub(crate) peer: Arc<Peer>,
    pub(crate) facts: Facts,
    /// Who is told of the call.
    pub(crate) watch: Option<Arc<dyn StreamWatch>>,
    /// Behind interceptors: the call whose stream it really is.
    outer: Option<Arc<CallShared>>,
}

impl CallShared {
    pub(crate) fn new(
        mut responder: Responder,
        peer: Arc<Peer>,
        facts: Facts,
        watch: Option<Arc<dyn StreamWatch>>,
    ) -> Arc<Self> {
        responder.watch.clone_from(&watch);
        Arc::new(CallShared {
            responder: Mutex::new(responder),
            cancelled: OnceLock::new(),
            peer,
            facts,
            watch,
            outer: None,
        })
    }

    /// For a handler behind interceptors: its headers are kept for the reply instead of being sent, and its
    /// messages are neither compressed nor framed here.
    pub(crate) fn captured(outer: Arc<CallShared>, facts: Facts) -> Arc<Self> {
        let framing = Framing { encoding: Encoding::Identity, ..outer.framing() };
        let captured = State::Captured { released: false, waker: None };
        let responder = Responder::with_state(captured, EncodingSet::none(), framing);
        Arc::new(CallShared {
            responder: Mutex::new(responder),
            cancelled: OnceLock::new(),
            peer: outer.peer.clone(),
            facts,
            watch: outer.watch.clone(),
            outer: Some(outer),
        })
    }

    pub(crate) fn framing(&self) -> Framing {
        self.lock().framing
    }

    /// Compresses the responses if the client said that it can read that.
    pub(crate) fn set_encoding(&self, wish: Encoding) {
        match &self.outer {
            Some(outer) => outer.set_encoding(wish),
            None => {
                let mut responder = self.lock();
                // Too late once the head has said otherwise.
                if !responder.head_sent() {
                    responder.framing.encoding = responder.accept.choose(wish);
                }
            }
        }
    }

    /// The headers that a captured handler has set so far.
    pub(crate) fn take_headers(&self) -> Metadata {
        let mut responder = self.lock();
        // From here on it is too late for more.
        let _ = responder.send_head();
        std::mem::take(&mut responder.headers)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Responder> {
        self.responder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where in a trace the call is.
    pub(crate) fn trace(&self) -> Option<&TraceContext> {
        self.watch.as_ref().and_then(|watch| watch.trace())
    }

    /// The call has ended, for whoever watches it.
    pub(crate) fn ended(&self, status: &Status) {
        if let Some(watch) = &self.watch {
            watch.ended(status);
        }
    }

    /// The client is gone, or the server is going.
    pub(crate) fn gone(&self) {
        if let Some(watch) = &self.watch {
            watch.ended(&Status::cancelled("the call was cancelled"));
        }
        self.cancel();
    }

    /// A token that fires when the call is cancelled from outside.
    pub(crate) fn cancellation(&self) -> CancellationToken {
        if let Some(outer) = &self.outer {
            return outer.cancellation();
        }
        self.cancelled.get_or_init(CancellationToken::new).clone()
    }

    pub(crate) fn cancel(&self) {
        if let Some(token) = self.cancelled.get() {
            token.cancel();
        }
    }
}

#[derive(Debug)]
pub(crate) struct Responder {
    state: State,
    pub(crate) headers: Metadata,
    /// Since when the client has had no room for what waits to be sent.
    stalled: Option<Instant>,
    /// The task of the call, which watches for its end.
    supervisor: Option<Waker>,
    /// A task that waits for room, if it is another one.
    sender: Option<Waker>,
    accept: EncodingSet,
    framing: Framing,
    watch: Option<Arc<dyn StreamWatch>>,
}

#[derive(Debug)]
enum State {
    /// Nothing was sent.
    Head(Respond),
    /// The head was sent.
    Body(SendPart),
    /// Complete, but not yet taken by the client.
    Lingering(SendPart),
    /// Complete, or given up.
    Closed,
    /// Nothing is ever sent from here: see [`CallShared::captured`].
    Captured { released: bool, waker: Option<Waker> },
}

/// The stream is closed: the client gave up, or the answer is complete.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Closed;

impl Responder {
    /// For a client that reads `accept`.
    pub(crate) fn new(respond: Respond, accept: EncodingSet, framing: Framing) -> Self {
        Responder::with_state(State::Head(respond), accept, framing)
    }

    fn with_state(state: State, accept: EncodingSet, framing: Framing) -> Self {
        Responder {
            state,
            headers: Metadata::new(),
            stalled: None,
            supervisor: None,
            sender: None,
            accept,
            framing,
            watch: None,
        }
    }

    /// Whether the head is out, so that headers set now would be lost.
    pub(crate) fn head_sent(&self) -> bool {
        !matches!(self.state, State::Head(_) | State::Captured { released: false, .. })
    }

    /// Sends the response's metadata now instead of with the first message.
    pub(crate) fn send_head(&mut self) -> Result<(), Closed> {
        match &mut self.state {
            State::Head(respond) => {
                let headers = std::mem::take(&mut self.headers);
                let head = call::response_head(self.framing.encoding, announced(self.accept), headers);
                let mut sent = respond.send(head, false);
                if let Ok(stream) = &mut sent {
                    stream.set_watch(self.watch.clone());
                }
                if let Err(Unsent::TooLarge(excess)) = sent {
                    // An error means that it is reset; the call is over in any case.
                    let _ = say_less_at_once(respond, &Status::ok(), excess);
                    self.wake_supervisor();
                }
                self.state = sent.map_or(State::Closed, State::Body);
            }
            State::Captured { released, waker } => {
                *released = true;
                if let Some(waker) = waker.take() {
                    waker.wake();
                }
            }
            State::Body(_) | State::Lingering(_) | State::Closed => {}
        }
        if matches!(self.state, State::Lingering(_) | State::Closed) { Err(Closed) } else { Ok(()) }
    }

    /// Behind interceptors: ready when the handler asked for its headers to go out.
    pub(crate) fn poll_released(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.state {
            State::Captured { released: false, waker } => {
                *waker = Some(cx.waker().clone());
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }

    /// Sends as much of `frame` as there is room for; ready when all of it is.
    pub(crate) fn poll_send(&mut self, cx: &mut Context<'_>, frame: &mut Frame) -> Poll<Result<(), Closed>> {
        self.send_head()?;
        let State::Body(stream) = &mut self.state else { return Poll::Ready(Err(Closed)) };
        let before = frame.len();
        let sent = stream.poll_send(cx, frame, false).map_err(|_| Closed);
        if sent.is_ready() {
            self.stalled = None;
            return sent;
        }
        let stalls_now = self.stalled.is_none();
        if stalls_now || frame.len() < before {
            self.stalled = Some(Instant::now());
        }
        // h2 keeps one waker for room and for resets. The supervisor owns it, and passes the news on.
        if let Some(supervisor) = self.supervisor.as_ref().filter(|waker| !waker.will_wake(cx.waker())) {
            let _ = stream.poll_reset(&mut Context::from_waker(supervisor));
            if stalls_now {
                supervisor.wake_by_ref();
            }
        }
        self.sender = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Sends a small message if that takes no more than to write it behind others.
    pub(crate) fn append<T: Message>(&mut self, message: &T, compress: bool) -> bool {
        let framing = self.framing;
        match &mut self.state {
            State::Body(stream) if framing.is_plain(compress) => {
                stream.append(|buffer, left| framing.append(message, buffer, left))
            }
            _ => false,
        }
    }

    /// Since when the client has had no room for what waits to be sent.
    pub(crate) fn stalled(&mut self) -> Option<Instant> {
        if let State::Body(stream) = &self.state
            && self.stalled.is_some()
            && stream.has_room()
        {
            // Its sender has something else to do: no fault of the client.
            self.stalled = None;
        }
        self.stalled
    }

    /// The whole answer of a unary call, or its last message, without waiting for room.
    pub(crate) fn send_now(&mut self, frame: Frame) -> Result<(), Closed> {
        self.send_head()?;
        match &mut self.state {
            State::Body(stream) => stream.send_now(frame, false).map_err(|_| Closed),
            _ => Err(Closed),
        }
    }

    /// Ends the call: Trailers-Only if nothing was sent yet, else trailers. An error: the client is gone.
    ///
    /// An answer that the client's windows may have no room for is told to `lingers`, before it is complete.
    pub(crate) fn finish(&mut self, status: Status, lingers: impl FnOnce(u32)) -> Result<(), Closed> {
        self.wake_sender();
        match std::mem::replace(&mut self.state, State::Closed) {
            // OK without a message keeps the handler's headers apart from the trailers.
            State::Head(mut respond) if status.is_ok() => {
                let headers = std::mem::take(&mut self.headers);
                let head = call::response_head(self.framing.encoding, announced(self.accept), headers);
                match respond.send(head, false) {
                    Ok(mut stream) => end(&mut stream, &status),
                    Err(Unsent::TooLarge(excess)) => say_less_at_once(&mut respond, &status, excess),
                    Err(Unsent::Closed) => Err(Closed),
                }
            }
            State::Head(mut respond) => {
                let mut headers = std::mem::take(&mut self.headers);
                headers.extend(status.metadata().clone());
                let status = status.with_metadata(headers);
                match respond.send(call::trailers_only(&status), true) {
                    Ok(_) => Ok(()),
                    Err(Unsent::TooLarge(excess)) => say_less_at_once(&mut respond, &status, excess),
                    Err(Unsent::Closed) => Err(Closed),
                }
            }
            State::Body(mut stream) => {
                if !stream.has_room_behind() {
                    lingers(stream.id());
                    let sent = end(&mut stream, &status);
                    self.state = State::Lingering(stream);
                    return sent;
                }
                end(&mut stream, &status)
            }
            State::Closed | State::Lingering(_) | State::Captured { .. } => Ok(()),
        }
    }

    /// The client has taken the answer.
    pub(crate) fn taken(&mut self) {
        self.state = State::Closed;
    }

    /// The call's own task learns that the call is over.
    fn wake_supervisor(&self) {
        if let Some(supervisor) = &self.supervisor {
            supervisor.wake_by_ref();
        }
    }

    /// A sender in another task learns at its next poll that the call is over.
    fn wake_sender(&mut self) {
        if let Some(sender) = self.sender.take() {
            sender.wake();
        }
    }

    /// Answers a request that no handler will see.
    pub(crate) fn refuse(&mut self, response: http::Response<()>, body: &'static str) {
        if let State::Head(mut respond) = std::mem::replace(&mut self.state, State::Closed) {
            let sent = respond.send_whole(response, Bytes::from_static(body.as_bytes()));
            if matches!(sent, Err(Unsent::TooLarge(_))) {
                respond.reset(INTERNAL_ERROR);
            }
        }
    }

    pub(crate) fn reset(&mut self, code: u32) {
        self.wake_sender();
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Head(mut respond) => respond.reset(code),
            State::Body(mut stream) | State::Lingering(mut stream) => stream.reset(code),
            State::Closed | State::Captured { .. } => {}
        }
    }

    /// Ready when the client gave the call up, or is gone. For the call's own task alone.
    pub(crate) fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<u32> {
        if !self.supervisor.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.supervisor = Some(cx.waker().clone());
        }
        // What woke us may have been room.
        if let Some(sender) = self.sender.take()
            && !sender.will_wake(cx.waker())
        {
            sender.wake();
        }
        match &mut self.state {
            State::Head(respond) => respond.poll_reset(cx),
            State::Body(stream) | State::Lingering(stream) => stream.poll_reset(cx),
            // A call that still runs is closed by the client, or because the client does not take its headers.
            State::Closed => Poll::Ready(CANCEL),
            State::Captured { .. } => Poll::Pending,
        }
    }
}

/// What we say that we can read: nothing to a client that never speaks of encodings.
fn announced(accepted: EncodingSet) -> EncodingSet {
    if accepted == EncodingSet::none() { accepted } else { EncodingSet::all() }
}

/// Ends an answer with trailers, as many of them as the client takes.
fn end(stream: &mut SendPart, status: &Status) -> Result<(), Closed> {
    match stream.trailers(call::trailers(status)) {
        Ok(()) => Ok(()),
        Err(Unsent::Closed) => Err(Closed),
        Err(Unsent::TooLarge(excess)) => {
            let sent = say_less(status, excess, |less| stream.trailers(call::trailers(&less)));
            sent.inspect_err(|_| stream.reset(INTERNAL_ERROR))
        }
    }
}

/// Ends an answer of which nothing was sent, with as much of the status as the client takes.
fn say_less_at_once(respond: &mut Respond, status: &Status, excess: TooLarge) -> Result<(), Closed> {
    let sent = say_less(status, excess, |less| respond.send(call::trailers_only(&less), true).map(drop));
    sent.inspect_err(|_| respond.reset(INTERNAL_ERROR))
}

/// For a client that does not take the metadata: the status without them, its message cut until it fits. An OK that
/// would lose what belongs to it is an error.
fn say_less(
    status: &Status,
    excess: TooLarge,
    mut send: impl FnMut(Status) -> Result<(), Unsent>,
) -> Result<(), Closed> {
    tracing::debug!(%excess, "the client does not take the headers of an answer");
    let (code, mut message) = if status.is_ok() {
        (Code::Internal, format!("the client does not take the response: {excess}"))
    } else {
        (status.code(), status.message().to_owned())
    };
    loop {
        match send(Status::new(code, message.as_str())) {
            Ok(()) => return Ok(()),
            Err(Unsent::TooLarge(_)) if !message.is_empty() => {
                let half = (0..=message.len() / 2).rfind(|at| message.is_char_boundary(*at));
                message.truncate(half.unwrap_or(0));
            }
            Err(_) => return Err(Closed),
        }
    }
}
