//! One call on a server: from its headers to its trailers.
//!
//! ```text
//! Refused ───────────────────────────────────────────────► done     (never reaches a handler)
//! Unary:  Receiving ─ whole request ─► Running ─ outcome ─► Flushing ─► done
//! Stream: Running (reads and writes by itself) ─ status ─► done
//! any:    reset by the client, deadline, panic ──────────► done
//! ```

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::Extensions;
use spanwire_wire::call::{Accepted, Excess, Refusal, RequestKind, accept_request};
use spanwire_wire::encoding::EncodingSet;
use spanwire_wire::reset::{CANCEL, ENHANCE_YOUR_CALM};
use tokio::time::Instant;

use super::context::{Context, Facts, RequestMetadata};
use super::edge::{Admitted, Edge};
use super::guard::Head;
use super::handler::{Run, UnaryAnswer};
use super::receive::ServerReceive;
use super::responder::{CallShared, Responder};
use super::router::{Route, Router};
use crate::message::{Frame, Framing};
use crate::middleware::{BoxFuture, Item, Source};
use crate::observe;
use crate::streaming::{Sending, Streaming};
use crate::timer::{Deadline, Timer, after};
use crate::transport::linger::{Taken, Untaken};
use crate::transport::server::{Dispatch, Incoming, LiveCall, Place};
use crate::transport::{Peer, SEND_NOW_BYTES};
use crate::{Encoding, Status, deadline};

/// Turns the requests of one connection into calls.
#[derive(Clone)]
pub(crate) struct Dispatcher {
    pub(crate) router: Arc<Router>,
    pub(crate) peer: Arc<Peer>,
    /// Other threads may run the calls.
    pub(crate) threads: bool,
    /// Who is asked about requests that are none of gRPC.
    pub(crate) edge: Option<Arc<dyn Edge>>,
}

impl Dispatcher {
    /// Answers a request that is no call, unless it is one at the edge.
    fn other(&self, refusal: Refusal, incoming: Incoming) -> Option<ServerTask> {
        let incoming = match &self.edge {
            None => incoming,
            Some(edge) => match edge.admit(incoming) {
                Admitted::Call(incoming) => return self.dispatch(incoming),
                Admitted::Answered => return None,
                Admitted::Refused(incoming) => incoming,
            },
        };
        let limits = &self.router.limits;
        let framing = Framing { max_send_bytes: limits.max_send_bytes, encoding: Encoding::Identity };
        let mut responder = Responder::new(incoming.respond, EncodingSet::none(), framing);
        match refusal.excess {
            Some(Excess::Bytes(_)) => incoming.live.limits().metadata_bytes.hit(),
            Some(Excess::Fields(_)) => incoming.live.limits().metadata_fields.hit(),
            None => {}
        }
        match refusal.reset {
            Some(code) => responder.reset(code),
            None => responder.refuse(refusal.response, refusal.body),
        }
        None
    }
}

impl Dispatch for Dispatcher {
    type Call = ServerTask;

    fn dispatch(&self, incoming: Incoming) -> Option<ServerTask> {
        let Incoming { mut head, body, respond, live } = incoming;
        let limits = &self.router.limits;
        let framing = Framing { max_send_bytes: limits.max_send_bytes, encoding: Encoding::Identity };
        let Accepted { method: path, timeout, encoding, accept, .. } =
            match accept_request(&head, EncodingSet::all(), &limits.metadata) {
                Ok(accepted) => accepted,
                Err(refusal) => return self.other(*refusal, Incoming { head, body, respond, live }),
            };
        let responder = Responder::new(respond, accept, framing);
        let route = self.router.find(path.as_str());
        let watch = route.map_or(&self.router.unknown_watch, |route| &route.watch);
        // One look at the clock, if anybody wants to know.
        let now = (watch.is_some() || timeout.is_some()).then(Instant::now);
        let watch = watch
            .as_ref()
            .zip(now)
            .map(|(watch, now)| watch.begin(path.as_str(), &head.headers, &self.peer, now));
        let refuse = |mut responder: Responder, status: Status| {
            if let Some(watch) = &watch {
                watch.ended(&status);
            }
            let _ = responder.finish(status, drop);
        };
        let mut extensions = Extensions::new();
        let mut guarded = Head {
            method: path.path(),
            headers: &head.headers,
            peer: &self.peer,
            extensions: &mut extensions,
            limits: live.limits(),
        };
        if let Err(status) = self.router.guards.check(&mut guarded) {
            refuse(responder, status);
            return None;
        }
        let Some(route) = route else {
            refuse(responder, self.router.unknown(path.as_str()));
            return None;
        };
        let deadline = timeout.zip(now).and_then(|(timeout, now)| now.checked_add(timeout));
        // A second look: the guards may have taken their time, and the timeout may be of a nanosecond.
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            refuse(responder, Status::deadline_exceeded("the call's deadline had passed when it arrived"));
            return None;
        }
        let kind = if route.kind.one_request() { RequestKind::One } else { RequestKind::Many };
        let facts = Facts {
            method: route.method_for(path.as_str()),
            metadata: RequestMetadata::received(std::mem::take(&mut head.headers)),
            deadline,
            extensions,
        };
        let receive = ServerReceive::new(body, kind, limits, encoding, live.calls(), watch.clone());
        let shared = CallShared::new(responder, self.peer.clone(), facts, watch);
        let request = Request { route: route.clone(), receive };
        let mut task = ServerTask::start(shared, live, request, limits.stall_timeout);
        task.beginning = self.threads.then(|| route.clone());
        task.waits = route.waits && !route.intercepted;
        Some(task)
    }

    fn place(&self, call: &ServerTask) -> Place {
        if call.waits {
            Place::Connection
        } else if call.beginning.as_ref().is_none_or(|route| route.pace.is_quick()) {
            Place::Either
        } else {
            Place::Task
        }
    }
}

/// A request that may be handled.
pub(crate) struct Request {
    pub(crate) route: Arc<Route>,
    pub(crate) receive: ServerReceive,
}

/// The work of one call. Dropping it drops the handler and resets the stream.
pub(crate) struct ServerTask {
    shared: Arc<CallShared>,
    live: LiveCall,
    stage: Stage,
    /// Whose handler has yet to begin, where it matters how long that takes.
    beginning: Option<Arc<Route>>,
    /// Its handler waits for somebody else in any case.
    waits: bool,
    deadline: Deadline,
    /// How long the client may leave us without room to send.
    stall_timeout: Option<Duration>,
    stall: Timer,
}

enum Stage {
    /// A unary request that is not whole yet.
    Receiving(Request),
    Unary(BoxFuture<'static, UnaryAnswer>),
    Stream(BoxFuture<'static, Status>),
    /// A large answer that the client has not taken yet.
    Flushing(Frame, Status),
    /// A complete answer, the end of which lies in HTTP/2 until the client takes it; and when it last took some.
    Lingering(Untaken, Instant),
    Done,
}

impl ServerTask {
    fn new(
        shared: Arc<CallShared>,
        live: LiveCall,
        stage: Stage,
        deadline: Option<Instant>,
        stall_timeout: Option<Duration>,
    ) -> Self {
        ServerTask {
            shared,
            live,
            stage,
            beginning: None,
            waits: false,
            deadline: Deadline::new(deadline),
            stall_timeout,
            stall: Timer::default(),
        }
    }

    fn start(
        shared: Arc<CallShared>,
        live: LiveCall,
        request: Request,
        stall_timeout: Option<Duration>,
    ) -> Self {
        let at = shared.facts.deadline;
        let stage = match &request.route.run {
            Some(Run::Unary(_)) if !request.route.intercepted => Stage::Receiving(request),
            Some(Run::Stream(run)) if !request.route.intercepted => {
                let run = run.clone();
                let context = Context::new(shared.clone());
                let replies = Sending::server(shared.clone());
                let requests = Streaming::server(request.receive);
                match catch_unwind(AssertUnwindSafe(|| run(requests, replies, context))) {
                    Ok(running) => Stage::Stream(running),
                    Err(_) => Stage::Stream(Box::pin(async { panicked() })),
                }
            }
            // Run inside the call, so that whatever panics there fails this call alone.
            _ => {
                let shared = shared.clone();
                Stage::Stream(Box::pin(async move { super::intercept::run(shared, request).await }))
            }
        };
        ServerTask::new(shared, live, stage, at, stall_timeout)
    }

    /// One step of the call; ready when it is over.
    fn step(&mut self, cx: &mut TaskContext<'_>) -> Poll<()> {
        loop {
            match &mut self.stage {
                Stage::Done => return Poll::Ready(()),
                Stage::Lingering(untaken, since) => match untaken.poll(cx) {
                    Taken::All => {
                        self.stage = Stage::Done;
                        self.shared.lock().taken();
                    }
                    Taken::Some => *since = Instant::now(),
                    Taken::Nothing => return Poll::Pending,
                },
                Stage::Receiving(request) => match ready!(request.receive.poll_item(cx)) {
                    Item::Message(message) => self.run_unary(message),
                    Item::End(status) => self.finish(status),
                },
                Stage::Unary(running) => match ready!(poll_handler(&self.shared, running, cx)) {
                    Ok(UnaryAnswer { frame: Some(frame), status }) => self.answer(frame, status),
                    Ok(UnaryAnswer { frame: None, status }) => self.finish(status),
                    Err(status) => self.finish(status),
                },
                Stage::Stream(running) => {
                    let status =
                        ready!(poll_handler(&self.shared, running, cx)).unwrap_or_else(|status| status);
                    self.finish(status);
                }
                Stage::Flushing(frame, status) => {
                    let sent = ready!(self.shared.lock().poll_send(cx, frame));
                    let status = std::mem::take(status);
                    match sent {
                        Ok(()) => self.finish(status),
                        Err(_) => self.over(true),
                    }
                }
            }
        }
    }

    fn run_unary(&mut self, message: Bytes) {
        let Stage::Receiving(request) = std::mem::replace(&mut self.stage, Stage::Done) else { return };
        let mut context = Context::new(self.shared.clone());
        context.set_request_compressed(request.receive.last_compressed());
        let Some(Run::Unary(run)) = &request.route.run else { return };
        match handling(&self.shared, || run(message, context)) {
            Ok(Ok(running)) => self.stage = Stage::Unary(running),
            Ok(Err(status)) | Err(status) => self.finish(status),
        }
    }

    /// Small answers are complete at once; large ones wait for the client to take them.
    fn answer(&mut self, frame: Frame, status: Status) {
        if frame.len() > SEND_NOW_BYTES {
            self.stage = Stage::Flushing(frame, status);
            return;
        }
        self.end(status, Some(frame));
    }

    fn finish(&mut self, status: Status) {
        self.end(status, None);
    }

    fn end(&mut self, status: Status, last: Option<Frame>) {
        let mut lingering = None;
        let ok = status.is_ok();
        let mut responder = self.shared.lock();
        let sent = last.map_or(Ok(()), |frame| responder.send_now(frame)).and_then(|()| {
            self.shared.ended(&status);
            responder.finish(status, |stream| lingering = Some(self.live.linger(stream)))
        });
        drop(responder);
        if ok && sent.is_ok() {
            self.live.succeed();
        }
        self.over(sent.is_err());
        if let Some(untaken) = lingering.filter(|_| sent.is_ok()) {
            self.stage = Stage::Lingering(untaken, Instant::now());
        }
    }

    /// Drops the handler. Whoever works for the call elsewhere learns of it if the client is `gone`.
    fn over(&mut self, gone: bool) {
        self.stage = Stage::Done;
        if gone {
            self.shared.gone();
        }
    }

    fn reset(&mut self, code: u32, status: &Status) {
        self.shared.ended(status);
        self.over(true);
        self.shared.lock().reset(code);
    }
}

fn panicked() -> Status {
    Status::internal("the handler panicked")
}

/// Runs the user's code: under the call's deadline and in its place of a trace, with its panics kept to this call.
fn handling<T>(shared: &CallShared, run: impl FnOnce() -> T) -> Result<T, Status> {
    let run = || catch_unwind(AssertUnwindSafe(run));
    deadline::scope(shared.facts.deadline, || observe::scope(shared.trace(), run)).map_err(|_| panicked())
}

fn poll_handler<T>(
    shared: &CallShared,
    running: &mut BoxFuture<'static, T>,
    cx: &mut TaskContext<'_>,
) -> Poll<Result<T, Status>> {
    match handling(shared, || running.as_mut().poll(cx)) {
        Ok(polled) => polled.map(Ok),
        Err(panicked) => Poll::Ready(Err(panicked)),
    }
}

impl Future for ServerTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        let this = &mut *self;
        // The time of the processor, which stands still in no test.
        let began = this.beginning.is_some().then(std::time::Instant::now);
        let stepped = this.step(cx);
        if let Some(began) = began
            && !matches!(this.stage, Stage::Receiving(_))
            && let Some(route) = this.beginning.take()
        {
            route.pace.began(began.elapsed());
        }
        if stepped.is_ready() {
            return Poll::Ready(());
        }
        let mut responder = this.shared.lock();
        let gone = responder.poll_reset(cx).is_ready();
        let stalled = match &this.stage {
            Stage::Lingering(_, since) => Some(*since),
            _ => responder.stalled(),
        };
        drop(responder);
        if gone {
            this.over(true);
            return Poll::Ready(());
        }
        let patience_ends = stalled.zip(this.stall_timeout).map(|(since, timeout)| after(since, timeout));
        if this.stall.poll(patience_ends, cx).is_ready() {
            this.live.limits().stalled_streams.hit();
            tracing::debug!("stall_timeout: the client took nothing for so long; stream reset");
            this.reset(
                ENHANCE_YOUR_CALM,
                &Status::resource_exhausted("the client took nothing for stall_timeout"),
            );
            return Poll::Ready(());
        }
        ready!(this.deadline.poll(cx));
        this.shared.cancel();
        let late = Status::deadline_exceeded("the call's deadline passed while the server worked on it");
        if stalled.is_some() {
            // Trailers would only queue up behind what the client does not take.
            this.reset(CANCEL, &late);
        } else {
            this.finish(late);
        }
        this.step(cx)
    }
}

impl Drop for ServerTask {
    fn drop(&mut self) {
        match self.stage {
            Stage::Done => {}
            Stage::Lingering(..) => self.shared.lock().taken(),
            _ => self.shared.gone(),
        }
    }
}
