//! Calls that a server received.
//!
//! ```text
//! Request ─► (headers · send · grant)* ─► finish or respond or cancel          the host ends it: no event follows
//!        └─► … ─► Cancelled                                                    the client, a deadline or a shutdown does
//! ```
//!
//! Exactly one of the two happens: whoever comes first wins, under the lock of the call.

use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::OnceLock;
use std::task::{Context as TaskContext, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use spanwire_wire::reset::CANCEL;
use tokio::time::Instant;

use super::OpError;
use super::event::{Attachment, Event, EventKind, Received, Request, Source};
use super::flow::{Flow, Inflow, Outflow, Outgoing, Room, Sent};
use super::lane::{Lane, tell, tell_now};
use super::server::Destination;
use super::sync::Mutex;
use crate::message::Raw;
use crate::server::{CallShared, UnaryAnswer};
use crate::streaming::{Sending, Streaming};
use crate::{Claims, Context, Encoding, Metadata, PeerAddr, Status, TlsIdentity, TraceContext};

/// What goes with an answer.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The leading metadata, if they are not sent yet.
    pub headers: Metadata,
    /// Compresses the messages that follow, if the client can read that. To be chosen before the first one.
    pub compression: Option<Encoding>,
}

/// A call that a server received, as its host holds it. Dropping it unanswered fails the call with INTERNAL.
#[derive(Debug)]
pub struct ServerCall(ServerCallRef);

/// The same for a host that keeps its calls in a table: nothing follows from dropping it, so that any number of threads may
/// have one. [`let_go`](ServerCallRef::let_go) is what dropping a [`ServerCall`] is.
#[derive(Clone, Debug)]
pub struct ServerCallRef {
    cell: Arc<Cell>,
}

impl Deref for ServerCall {
    type Target = ServerCallRef;

    fn deref(&self) -> &ServerCallRef {
        &self.0
    }
}

/// What a call's events know of it.
#[derive(Clone, Debug)]
pub struct Reporter(Arc<Cell>);

/// The right to a call that its host has not seen yet. Dropped with its event, the call fails.
#[derive(Debug)]
pub(crate) struct Undelivered(Option<Arc<Cell>>);

#[derive(Debug)]
struct Cell {
    state: Mutex<State>,
    lane: Arc<Lane>,
    to: Arc<To>,
    handle: OnceLock<usize>,
    attached: OnceLock<Attachment>,
    shared: Arc<CallShared>,
}

#[derive(Debug)]
struct State {
    flow: Flow,
    /// What the host wants to be known before the first message.
    head: Option<Answer>,
    finish: Option<Finish>,
    /// Its request was put into the queue.
    announced: bool,
}

#[derive(Debug)]
enum Finish {
    Status(Status),
    Reset,
}

impl ServerCall {
    /// The call is the host's from here on.
    fn of(cell: Arc<Cell>) -> Self {
        ServerCall(ServerCallRef { cell })
    }
}

impl ServerCallRef {
    /// The path of the method.
    #[must_use]
    pub fn method(&self) -> &str {
        self.cell.shared.facts.method.path()
    }

    /// The request's metadata.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        self.cell.shared.facts.metadata.get()
    }

    /// The time that the client still waits, if it has a limit.
    #[must_use]
    pub fn time_remaining(&self) -> Option<Duration> {
        self.deadline_at().map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    pub(crate) fn deadline_at(&self) -> Option<Instant> {
        self.cell.shared.facts.deadline
    }

    /// Where in a trace the call is, as `traceparent` has it; `None` without telemetry.
    #[must_use]
    pub fn traceparent(&self) -> Option<String> {
        self.trace().map(ToString::to_string)
    }

    /// The same for bindings that hand it to their language's tracing.
    #[must_use]
    pub fn trace(&self) -> Option<&TraceContext> {
        self.cell.shared.trace()
    }

    /// The client's address.
    #[must_use]
    pub fn peer(&self) -> &PeerAddr {
        self.cell.shared.peer.addr()
    }

    /// The client's certificates, if it proved to own some.
    #[must_use]
    pub fn tls_identity(&self) -> Option<&TlsIdentity> {
        self.cell.shared.peer.tls_identity()
    }

    /// What the caller's token said, on servers that ask for tokens.
    #[must_use]
    pub fn claims(&self) -> Option<&Claims> {
        self.cell.shared.facts.claims()
    }

    /// Whether an answer would be refused: the client is gone, the deadline has passed, or it was answered already.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.cell.lane.check().is_err() || self.cell.state.lock().check().is_err()
    }

    /// Sends the leading metadata now instead of with the first message, and sets the compression.
    ///
    /// # Errors
    /// [`OpError::Over`]: the call has ended, or they were sent before.
    pub fn headers(&self, answer: Answer) -> Result<(), OpError> {
        self.cell.change(|state| {
            state.check()?;
            if state.head.is_some() {
                return Err(OpError::Over(
                    "the response's metadata were sent already: trailers can still follow",
                ));
            }
            state.head = Some(answer);
            Ok(())
        })
    }

    /// Queues a message.
    ///
    /// # Errors
    /// [`OpError::Over`]: the call has ended or was answered. [`OpError::Blocked`] while it is full.
    pub fn send(&self, message: Outgoing) -> Result<Room, OpError> {
        self.cell.check_size(&message)?;
        let mut message = Some(Outgoing { last: false, ..message });
        self.cell.change(|state| {
            state.check()?;
            state.head.get_or_insert_default();
            state.flow.send(&mut message)
        })
    }

    /// Lets so many messages more arrive.
    ///
    /// # Errors
    /// [`OpError::Over`]: the call has ended.
    pub fn grant(&self, messages: u32) -> Result<(), OpError> {
        self.cell.change(|state| {
            state.check()?;
            state.flow.grant(messages);
            Ok(())
        })
    }

    /// The whole answer in one: leading metadata, the message, and OK with `trailers`.
    ///
    /// # Errors
    /// [`OpError::Over`]: the call has ended or was answered.
    pub fn respond(&self, message: Outgoing, answer: Answer, trailers: Metadata) -> Result<(), OpError> {
        self.cell.check_size(&message)?;
        let mut message = Some(Outgoing { last: true, ..message });
        self.cell.change(|state| {
            state.check()?;
            state.head.get_or_insert(answer);
            state.flow.send(&mut message)?;
            state.finish = Some(Finish::Status(Status::ok().with_metadata(trailers)));
            Ok(())
        })
    }

    /// Ends the call behind what was sent. The status's metadata are the trailers.
    ///
    /// # Errors
    /// [`OpError::Over`]: the call has ended or was answered.
    pub fn finish(&self, status: Status, answer: Answer) -> Result<(), OpError> {
        self.cell.change(|state| {
            state.check()?;
            if !answer.headers.is_empty() || answer.compression.is_some() {
                state.head.get_or_insert(answer);
            }
            state.finish = Some(Finish::Status(status));
            Ok(())
        })
    }

    /// Fails the call with INTERNAL if it was not answered.
    pub fn let_go(&self) {
        // As a rule it was, and there is nothing to say.
        if self.cell.lane.is_foreign() || self.cell.state.lock().check().is_err() {
            return;
        }
        // An error means that it ended meanwhile.
        let _ = self
            .finish(Status::internal("the handler let the call go without answering it"), Answer::default());
    }

    /// What the host keeps with the call: made with the first use, by `make`.
    pub fn attached(&self, make: impl FnOnce() -> Attachment) -> &Attachment {
        self.cell.attached.get_or_init(make)
    }

    /// Resets the stream: the client sees CANCELLED, and nothing of what waits to be sent.
    ///
    /// # Errors
    /// [`OpError::Over`]: the call has ended or was answered.
    pub fn cancel(&self) -> Result<(), OpError> {
        self.cell.change(|state| {
            state.check()?;
            state.finish = Some(Finish::Reset);
            Ok(())
        })
    }
}

impl Drop for ServerCall {
    fn drop(&mut self) {
        self.let_go();
    }
}

impl Reporter {
    pub(crate) fn tag(&self) -> usize {
        self.0.to.to.tag
    }

    pub(crate) fn attachment(&self) -> Option<&Attachment> {
        self.0.to.to.attachment.as_ref()
    }

    /// The number by which the host knows the call. `make` is asked for it with the first event that is looked at, on
    /// whatever thread that is, and gets the call to keep.
    ///
    /// # Errors
    /// Those of `make`; then the call is dropped.
    pub fn handle(&self, make: impl FnOnce(ServerCall) -> Result<usize, OpError>) -> Result<usize, OpError> {
        self.handle_ref(|call| make(ServerCall(call)))
    }

    /// Like [`handle`](Reporter::handle), for a host that keeps its calls up to [`let_go`](ServerCallRef::let_go).
    ///
    /// # Errors
    /// Those of `make`; then the call is let go.
    pub fn handle_ref(
        &self,
        make: impl FnOnce(ServerCallRef) -> Result<usize, OpError>,
    ) -> Result<usize, OpError> {
        if let Some(handle) = self.0.handle.get() {
            return Ok(*handle);
        }
        // Two threads may come here with two events of the call: the first makes the handle, the other waits for it.
        let mut failed = None;
        let call = || ServerCallRef { cell: self.0.clone() };
        let handle = self.0.handle.get_or_init(|| match make(call()) {
            Ok(handle) => handle,
            Err(error) => {
                call().let_go();
                failed = Some(error);
                0
            }
        });
        failed.map_or(Ok(*handle), Err)
    }
}

impl Request {
    /// Gives the call to the host. `None`: it was given before, or [`Reporter::handle`] has made a handle of it.
    pub fn take_call(&mut self) -> Option<ServerCall> {
        let cell = self.call.0.take()?;
        if cell.handle.get().is_some() { None } else { Some(ServerCall::of(cell)) }
    }
}

impl Drop for Undelivered {
    fn drop(&mut self) {
        if let Some(cell) = self.0.take()
            && cell.handle.get().is_none()
        {
            drop(ServerCall::of(cell));
        }
    }
}

impl State {
    fn check(&self) -> Result<(), OpError> {
        if self.flow.over {
            Err(OpError::CALL_OVER)
        } else if self.finish.is_some() {
            Err(OpError::ANSWERED)
        } else {
            Ok(())
        }
    }

    /// The answer, which is the only one: dropping the call tells nobody anything, and no other answer is accepted.
    fn take_finish(&mut self) -> Option<Finish> {
        let finish = self.finish.take()?;
        self.announced = false;
        self.flow.over = true;
        Some(finish)
    }
}

impl Cell {
    fn new(lane: Arc<Lane>, to: &Arc<To>, context: &Context) -> Arc<Self> {
        Arc::new(Cell {
            state: Mutex::new(State {
                flow: Flow::new(to.to.credit),
                head: None,
                finish: None,
                announced: false,
            }),
            lane,
            to: to.clone(),
            handle: OnceLock::new(),
            attached: OnceLock::new(),
            shared: context.shared().clone(),
        })
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> Result<T, OpError>) -> Result<T, OpError> {
        self.lane.check()?;
        let mut state = self.state.lock();
        let result = change(&mut state)?;
        let task = state.flow.take_task();
        drop(state);
        self.lane.wake(task);
        Ok(result)
    }

    fn check_size(&self, message: &Outgoing) -> Result<(), OpError> {
        self.shared
            .framing()
            .check(message.message.len())
            .map_err(|status| OpError::Argument(status.message().to_owned()))
    }

    fn tell(self: &Arc<Self>, kind: EventKind) {
        tell_now(&self.to.to.queue, self.event(kind));
    }

    fn event(self: &Arc<Self>, kind: EventKind) -> Event {
        Event { source: Source::ServerCall(Reporter(self.clone())), kind }
    }

    fn announce(self: &Arc<Self>, message: Option<Received>, end: bool) {
        self.state.lock().announced = true;
        self.tell(EventKind::Request(Request { call: Undelivered(Some(self.clone())), message, end }));
    }
}

/// Ends the call for its host when its handler is dropped before the host has ended it.
#[derive(Debug)]
struct Running(Arc<Cell>);

impl Drop for Running {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        let cancelled = state.announced && state.finish.is_none();
        let left = state.flow.end();
        drop(state);
        drop(left);
        if cancelled {
            tell(&self.0.to.to.queue, self.0.event(EventKind::Cancelled));
        }
    }
}

/// Where the calls of a method go.
#[derive(Debug)]
pub(crate) struct To {
    pub(crate) to: Destination,
    pub(crate) gate: Arc<Gate>,
}

/// Lets requests through as their host asks for them.
#[derive(Debug)]
pub(crate) enum Gate {
    Open,
    Counted(tokio::sync::Semaphore),
}

impl Gate {
    async fn pass(&self) {
        if let Gate::Counted(permits) = self
            // It is never closed.
            && let Ok(permit) = permits.acquire().await
        {
            permit.forget();
        }
    }

    fn is_open(&self) -> bool {
        match self {
            Gate::Open => true,
            Gate::Counted(permits) => permits.try_acquire().map(tokio::sync::SemaphorePermit::forget).is_ok(),
        }
    }
}

fn no_lane() -> Status {
    Status::internal("a server of the bridge runs on the lanes of an engine, and this is none")
}

fn unheard() -> Status {
    Status::unavailable("the server's event queue was closed")
}

/// The handler of a unary method.
pub(crate) fn unary(to: &Arc<To>, message: Bytes, context: Context) -> Result<Unary, Status> {
    let lane = Lane::current().ok_or_else(no_lane)?;
    if to.to.queue.is_closed() {
        return Err(unheard());
    }
    let compressed = context.request_compressed();
    let cell = Cell::new(lane, to, &context);
    let request = Some(Received { bytes: message, compressed });
    let mut unary = Unary { running: Running(cell), context: Some(context), gate: None };
    if to.gate.is_open() {
        unary.running.0.announce(request, true);
    } else {
        let (to, cell) = (to.clone(), unary.running.0.clone());
        unary.gate = Some(Box::pin(async move {
            to.gate.pass().await;
            cell.announce(request, true);
        }));
    }
    Ok(unary)
}

/// A unary call that waits for its host.
pub(crate) struct Unary {
    running: Running,
    context: Option<Context>,
    gate: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Future for Unary {
    type Output = UnaryAnswer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<UnaryAnswer> {
        let this = &mut *self;
        if let Some(gate) = &mut this.gate {
            ready!(gate.as_mut().poll(cx));
            this.gate = None;
        }
        let cell = &this.running.0;
        let mut state = cell.state.lock();
        state.flow.register(cx);
        // Headers that are to go out before the answer.
        let early = if state.finish.is_none() { state.head.take_if(|_| true) } else { None };
        if let Some(answer) = early {
            state.head = Some(Answer::default());
            drop(state);
            if let Some(context) = &mut this.context {
                answer.apply(context, true);
            }
            return Poll::Pending;
        }
        if state.finish.is_none() {
            return Poll::Pending;
        }
        let (head, message) = (state.head.take(), state.flow.take_next());
        let finish = state.take_finish();
        drop(state);
        let Some(mut context) = this.context.take() else { return Poll::Pending };
        if let Some(answer) = head {
            answer.apply(&mut context, false);
        }
        Poll::Ready(finished(finish, message, context))
    }
}

fn finished(finish: Option<Finish>, message: Option<Outgoing>, context: Context) -> UnaryAnswer {
    let status = match finish {
        Some(Finish::Status(status)) => status,
        Some(Finish::Reset) | None => {
            context.shared().lock().reset(CANCEL);
            return UnaryAnswer { frame: None, status: Status::cancelled("the handler cancelled the call") };
        }
    };
    if !status.is_ok() {
        return UnaryAnswer { frame: None, status };
    }
    let Some(message) = message else {
        let none = Status::unimplemented("response has no message where one is due");
        return UnaryAnswer { frame: None, status: none.with_metadata(status.metadata().clone()) };
    };
    match context.shared().framing().frame(message.message, !message.plain) {
        Ok(frame) => UnaryAnswer { frame: Some(frame), status },
        Err(status) => UnaryAnswer { frame: None, status },
    }
}

impl Answer {
    fn apply(self, context: &mut Context, now: bool) {
        if let Some(encoding) = self.compression {
            context.set_compression(encoding);
        }
        // Too late for some that were sent before; the host was told so then.
        let _ = context.extend_headers(self.headers);
        if now {
            // The client may be gone, which its own event tells.
            let _ = context.send_headers();
        }
    }
}

/// The handler of every other kind of method.
pub(crate) async fn stream(
    to: Arc<To>,
    one_request: bool,
    mut requests: Streaming<Raw>,
    replies: Sending<Raw>,
    context: Context,
) -> Status {
    let Some(lane) = Lane::current() else { return no_lane() };
    if to.to.queue.is_closed() {
        return unheard();
    }
    let mut first = None;
    if one_request {
        let message = match requests.next().await {
            Ok(Some(message)) => message,
            Ok(None) => return Status::unimplemented("request has no message where one is due"),
            Err(status) => return status,
        };
        first = Some(Received { bytes: message.0, compressed: requests.last_compressed() });
    }
    to.gate.pass().await;
    let cell = Cell::new(lane, &to, &context);
    let running = Running(cell.clone());
    cell.announce(first, one_request);
    Stream {
        inflow: (!one_request).then(|| Inflow::new(requests)),
        outflow: Outflow::new(replies),
        context,
        running,
    }
    .await
}

/// The task of a stream.
struct Stream {
    inflow: Option<Inflow>,
    outflow: Outflow,
    context: Context,
    running: Running,
}

impl Future for Stream {
    type Output = Status;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Status> {
        let this = &mut *self;
        let cell = this.running.0.clone();
        let mut state = cell.state.lock();
        state.flow.register(cx);
        let credit = state.flow.credit();
        let head = match &mut state.head {
            Some(head) => Some((std::mem::take(head), state.finish.is_none())),
            None => None,
        };
        let reset = matches!(state.finish, Some(Finish::Reset));
        let (in_line, finished) = (state.flow.in_line(), state.finish.is_some());
        drop(state);
        if let Some((answer, now)) = head.filter(|(answer, now)| *now || !answer.is_empty()) {
            answer.apply(&mut this.context, now);
        }
        if reset {
            this.context.shared().lock().reset(CANCEL);
            cell.state.lock().announced = false;
            return Poll::Ready(Status::cancelled("the handler cancelled the call"));
        }
        let sent = this.outflow.poll(cx, in_line, || cell.state.lock().flow.take_next());
        let mut state = cell.state.lock();
        let writable = state.flow.has_room_again() && state.finish.is_none();
        let failed = match sent {
            Sent::All if finished => {
                if let Some(Finish::Status(status)) = state.take_finish() {
                    return Poll::Ready(status);
                }
                None
            }
            Sent::All | Sent::Waits => None,
            Sent::Failed(status) => Some(status),
        };
        drop(state);
        // The client is gone: the host learns it when this is dropped.
        if let Some(status) = failed {
            return Poll::Ready(status);
        }
        if writable {
            cell.tell(EventKind::Writable);
        }
        match this.receive(cx, credit) {
            Some(broken) => Poll::Ready(broken),
            None => Poll::Pending,
        }
    }
}

impl Stream {
    /// Hands out what came; the status of a request that is broken.
    fn receive(&mut self, cx: &mut TaskContext<'_>, credit: u64) -> Option<Status> {
        let arrived = self.inflow.as_mut()?.poll(cx, credit);
        let cell = &self.running.0;
        let ended = arrived.end.is_some();
        let broken = arrived.end.filter(|status| !status.is_ok());
        if ended {
            self.inflow = None;
        }
        if broken.is_none() && (ended || !arrived.messages.is_empty()) {
            cell.state.lock().flow.spend(arrived.messages.len());
            cell.tell(EventKind::Messages { messages: arrived.messages, end: ended });
        }
        broken
    }
}

impl Answer {
    fn is_empty(&self) -> bool {
        self.headers.is_empty() && self.compression.is_none()
    }
}
