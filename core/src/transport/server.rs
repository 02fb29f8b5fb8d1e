//! One connection of a server: the task that takes requests in, lets them run and writes once.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream as _;
use futures_util::stream::FuturesUnordered;
use h2::Reason;
use spanwire_http2::{SendResponse, ServerConnection};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;

use super::foreign::ForeignRespond;
use super::header_list::{self, Unsent};
use super::heart::{Beat, Heart};
use super::io::Io;
use super::linger::Untaken;
use super::outbox::Outbox;
use super::ping::{BdpEstimator, Keepalive, KeepaliveState, Pinger};
use super::watch::{PingPolicy, Policing, Role, Watched, WireFacts};
use super::{Http2, RecvPart, SendPart, connection_window, count_end};
use crate::message::Frame;
use crate::stats::{Calls, Counters};
use crate::timer::{Timer, after};

/// How long a client may take to acknowledge that the server goes away before it is left behind.
const GO_AWAY_ACK: Duration = Duration::from_secs(5);

/// How often a client that was told to go, and has not confirmed it, is looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How long a connection that is still in its handshakes when the server begins to drain may go on with them. What
/// the client sends with them it cannot take back: closed now, such calls would be lost; afterwards, GOAWAY saves them.
pub(super) const NEWCOMER: Duration = Duration::from_secs(1);

/// A request whose headers arrived.
pub(crate) struct Incoming {
    pub(crate) head: http::request::Parts,
    pub(crate) body: RecvPart,
    pub(crate) respond: Respond,
    /// Kept until the call is over: the connection counts its calls by these.
    pub(crate) live: LiveCall,
}

/// The way to answer a request.
#[derive(Debug)]
pub(crate) struct Respond(Way);

#[derive(Debug)]
enum Way {
    Http2(SendResponse, Arc<Outbox>),
    Foreign(Box<dyn ForeignRespond>),
}

impl Respond {
    pub(crate) fn foreign(respond: Box<dyn ForeignRespond>) -> Self {
        Respond(Way::Foreign(respond))
    }

    /// Sends the head; with `end` the answer is complete, without it the stream for the rest is returned.
    pub(crate) fn send(&mut self, head: http::Response<()>, end: bool) -> Result<SendPart, Unsent> {
        let (respond, outbox) = match &mut self.0 {
            Way::Http2(respond, outbox) => (respond, outbox),
            Way::Foreign(respond) => return respond.send(head, end),
        };
        header_list::check_response(outbox.header_list_limit(), &head)?;
        match respond.send_response(head, end) {
            Ok(stream) => Ok(SendPart::new(stream, outbox.clone())),
            Err(_) => Err(Unsent::Closed),
        }
    }

    /// Sends a whole answer that is no gRPC.
    pub(crate) fn send_whole(&mut self, head: http::Response<()>, body: Bytes) -> Result<(), Unsent> {
        let mut stream = self.send(head, body.is_empty())?;
        if !body.is_empty() {
            stream.send_now(Frame::whole(body), true)?;
        }
        Ok(())
    }

    pub(crate) fn reset(&mut self, code: u32) {
        match &mut self.0 {
            Way::Http2(respond, _) => respond.send_reset(Reason::from(code)),
            Way::Foreign(respond) => respond.reset(code),
        }
    }

    /// Ready when the client gave the call up, or is gone.
    pub(crate) fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<u32> {
        match &mut self.0 {
            Way::Http2(respond, _) => {
                respond.poll_reset(cx).map(|result| result.map_or(u32::from(Reason::CANCEL), u32::from))
            }
            Way::Foreign(respond) => respond.poll_reset(cx),
        }
    }
}

/// Counts one running call of a connection until it is dropped.
#[derive(Debug)]
pub(crate) struct LiveCall {
    calls: Arc<Calls>,
    /// It was answered with OK.
    succeeded: bool,
}

impl LiveCall {
    pub(super) fn begin(calls: &Arc<Calls>) -> Self {
        calls.begin();
        LiveCall { calls: calls.clone(), succeeded: false }
    }

    /// It was answered with OK; else it counts as one that failed.
    pub(crate) fn succeed(&mut self) {
        self.succeeded = true;
    }

    pub(crate) fn calls(&self) -> &Arc<Calls> {
        &self.calls
    }

    /// Puts its stream down as one whose answer the client may not take.
    pub(crate) fn linger(&self, stream: u32) -> Untaken {
        self.calls.lingering().add(stream)
    }

    /// Where the limits that the call meets are counted.
    pub(crate) fn limits(&self) -> &Counters {
        self.calls.limits()
    }
}

impl Drop for LiveCall {
    fn drop(&mut self) {
        self.calls.end(!self.succeeded);
    }
}

/// What a server does with the requests of a connection.
pub(crate) trait Dispatch: Send + Unpin + 'static {
    /// The work of one call, until its answer is handed to the connection.
    type Call: Future<Output = ()> + Send + Unpin + 'static;

    /// `None`: it is answered already.
    fn dispatch(&self, incoming: Incoming) -> Option<Self::Call>;

    /// Where the call runs.
    fn place(&self, call: &Self::Call) -> Place;
}

/// Where a call runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the connection's task, to its end: it never does more than to pass on what others did.
    Connection,
    /// First in the connection's task, and if it is not over then, in a task of its own.
    Either,
    /// In a task of its own.
    Task,
}

/// How a server's connections live and end, as plain data.
#[derive(Clone, Debug)]
pub(crate) struct Lifetime {
    pub(crate) handshake_timeout: Duration,
    pub(crate) keepalive: Option<Keepalive>,
    pub(crate) max_age: Option<Duration>,
    pub(crate) max_age_grace: Option<Duration>,
    pub(crate) max_idle: Option<Duration>,
    /// How often clients may ping.
    pub(crate) pings: PingPolicy,
    /// How long finished answers may wait for a client to take them.
    pub(crate) stall_timeout: Option<Duration>,
}

/// Ends a server: `leaving` is what its health service says, `accept` stops new connections, `drain` also lets those that
/// exist finish their calls, `kill` ends them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shutdown {
    pub(crate) leaving: CancellationToken,
    left_at: Arc<OnceLock<Instant>>,
    pub(crate) accept: CancellationToken,
    pub(crate) drain: CancellationToken,
    pub(crate) kill: CancellationToken,
    /// Whether either of the two was fired: cheap enough to look at with every poll.
    ending: Arc<AtomicBool>,
    /// Counts connections and calls, so that a shutdown knows when all are gone.
    pub(crate) tracker: TaskTracker,
}

impl Shutdown {
    /// The server is about to drain; when that was said first.
    pub(crate) fn leave(&self) -> Instant {
        let left_at = *self.left_at.get_or_init(Instant::now);
        self.leaving.cancel();
        left_at
    }

    pub(crate) fn drain(&self) {
        self.ending.store(true, Ordering::Release);
        self.drain.cancel();
    }

    /// Resolves when connections in their handshakes are not waited for any longer.
    pub(crate) async fn newcomers_end(&self) {
        self.drain.cancelled().await;
        // The error is the time that has passed.
        let _ = timeout(NEWCOMER, self.kill.cancelled()).await;
    }

    pub(crate) fn kill(&self) {
        self.ending.store(true, Ordering::Release);
        self.kill.cancel();
    }
}

/// Makes an HTTP/2 connection of `io`, to be awaited until it ends; `None` when the server ends first. `deadline` bounds
/// TLS, preface and the client's SETTINGS together.
pub(crate) async fn open<D: Dispatch>(
    io: Io,
    deadline: Instant,
    http2: &Http2,
    lifetime: &Lifetime,
    shutdown: &Shutdown,
    calls: &Arc<Calls>,
    dispatch: D,
) -> Result<Option<Pin<Box<Driver<D>>>>, String> {
    let counters = calls.counters();
    let policing = Policing { ping: Some(lifetime.pings), floods: http2.floods.clone() };
    let (watched, facts) = Watched::new(io, Role::Server, Some(policing), counters.clone());
    calls.set_facts(&facts);
    facts.set_longest_block(http2.h2_header_list_limit().into());
    let handshake = ServerConnection::handshake(&builder(http2), Box::new(watched));
    let h2 = tokio::select! {
        biased;
        result = timeout_at(deadline, handshake) => result
            .map_err(|_| {
                counters.handshakes.hit();
                "no HTTP/2 preface within handshake_timeout".to_owned()
            })?
            .map_err(|error| {
                count_end(&error, counters);
                format!("HTTP/2 handshake failed: {error}")
            })?,
        () = shutdown.newcomers_end() => return Ok(None),
    };
    Ok(Some(Driver::new(h2, facts, deadline, http2, lifetime, shutdown, calls, dispatch)))
}

fn builder(settings: &Http2) -> h2::server::Builder {
    let mut builder = h2::server::Builder::new();
    builder
        .initial_window_size(settings.stream_window)
        .initial_connection_window_size(connection_window(settings.stream_window, settings.connection_window))
        .max_frame_size(super::MAX_FRAME_BYTES)
        .max_header_list_size(settings.h2_header_list_limit())
        .max_concurrent_streams(settings.max_concurrent_streams)
        .max_send_buffer_size(settings.send_buffer)
        .data_frame_budget(settings.floods.small_data_budget)
        // h2's own guards count over the life of a connection and never forget, so honest clients that cancel
        // much would trip them. The watcher below h2 counts with buckets that drain instead.
        .max_pending_accept_reset_streams(10_000)
        .max_local_error_reset_streams(None)
        .max_concurrent_reset_streams(1024);
    builder
}

/// ±10 %, so that connections made together do not end together (gRFC A9).
pub(super) fn with_jitter(age: Duration) -> Duration {
    // Whatever is longer than a century is not worth a jitter, and could not be multiplied.
    let age = age.min(Duration::from_secs(100 * 365 * 24 * 3600));
    age.mul_f64(0.9 + 0.2 * crate::random::unit())
}

/// The moments at which a connection has to act by itself.
struct Limits {
    handshake: Option<Instant>,
    age: Option<Instant>,
    grace: Option<Duration>,
    idle: Option<Duration>,
    idle_since: Instant,
    go_away_ack: Option<Instant>,
    hard_end: Option<Instant>,
    /// The grace that starts when the client can know of the end: with the second GOAWAY.
    grace_to_come: Option<Duration>,
    stall: Option<Duration>,
    /// Frames written when we last looked whether a client without calls still takes its answers, and since
    /// when none was written.
    written: (u64, Instant),
}

/// A connection: a future that ends with it.
pub(crate) struct Driver<D: Dispatch> {
    h2: ServerConnection,
    heart: Heart,
    facts: Arc<WireFacts>,
    dispatch: D,
    outbox: Arc<Outbox>,
    /// Calls that were taken in and not started yet.
    batch: VecDeque<(http::Request<h2::RecvStream>, Respond)>,
    /// A call was started beside the batch.
    started: bool,
    /// Calls that run in this task.
    housed: FuturesUnordered<D::Call>,
    /// Calls that may run at once.
    max_calls: usize,
    /// Resets read when we last looked for calls that were given up before they were started.
    resets_seen: u64,
    calls: Arc<Calls>,
    connection_window: u32,
    drain: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    kill: Pin<Box<WaitForCancellationFutureOwned>>,
    limits: Limits,
    timer: Timer,
    tracker: TaskTracker,
    ending: Arc<AtomicBool>,
    registered: bool,
}

impl<D: Dispatch> Future for Driver<D> {
    type Output = Result<(), String>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        this.facts.begin_turn();
        // The first poll leaves the task's waker with both, and a task has one waker; then the flag is enough.
        if !this.registered || this.ending.load(Ordering::Acquire) {
            this.registered = true;
            if this.kill.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            if this.drain.as_mut().is_some_and(|drain| drain.as_mut().poll(cx).is_ready()) {
                this.go_away();
            }
        }
        loop {
            this.outbox.flush();
            if let Some(end) = this.take_in(cx) {
                return Poll::Ready(end);
            }
            // What ran may have answered: another round writes it, and takes in what came meanwhile.
            if std::mem::take(&mut this.started) | this.run_batch(cx) | this.run_housed(cx) {
                continue;
            }
            // What only waits to be taken is no reason to wait for the client.
            let running = this.calls.running() + this.batch.len();
            let live = running.saturating_sub(this.facts.lingering.count());
            this.facts.set_live_calls(live);
            let now = Instant::now();
            match this.heart.poll(cx, now, live > 0) {
                Beat::Quiet => {}
                Beat::Again => continue,
                Beat::Window(window) => {
                    // An error means that a SETTINGS frame is still unacknowledged: the next estimate tries again.
                    let _ = this.h2.set_initial_window_size(window);
                    this.h2.set_target_window_size(connection_window(window, this.connection_window));
                    continue;
                }
                Beat::Dead => {
                    this.calls.limits().keepalive.hit();
                    return Poll::Ready(Err("keepalive: the client did not answer a ping".to_owned()));
                }
            }
            match this.check_limits(cx, now, live) {
                Check::Wait if this.outbox.may_sleep() => return Poll::Pending,
                Check::Wait | Check::Again => {}
                Check::End(end) => return Poll::Ready(end),
            }
        }
    }
}

impl<D: Dispatch> Drop for Driver<D> {
    fn drop(&mut self) {
        self.outbox.close();
        self.facts.lingering.close();
    }
}

enum Check {
    Wait,
    Again,
    End(Result<(), String>),
}

impl<D: Dispatch> Driver<D> {
    #[allow(clippy::too_many_arguments, reason = "each is one field, and this is called once")]
    fn new(
        mut h2: ServerConnection,
        facts: Arc<WireFacts>,
        handshake_end: Instant,
        http2: &Http2,
        lifetime: &Lifetime,
        shutdown: &Shutdown,
        calls: &Arc<Calls>,
        dispatch: D,
    ) -> Pin<Box<Self>> {
        let ping = h2.ping_pong();
        let now = Instant::now();
        let pinger = Pinger::new(
            lifetime.keepalive.clone().map(|config| KeepaliveState::server(config, now)),
            Some(BdpEstimator::new(http2.stream_window, http2.max_stream_window)),
        );
        Box::pin(Driver {
            h2,
            heart: Heart::new(facts.clone(), ping, pinger),
            outbox: Arc::new(Outbox::new(facts.clone())),
            facts,
            dispatch,
            batch: VecDeque::new(),
            started: false,
            housed: FuturesUnordered::new(),
            max_calls: http2.max_concurrent_streams as usize,
            resets_seen: 0,
            calls: calls.clone(),
            connection_window: http2.connection_window,
            drain: Some(Box::pin(shutdown.drain.clone().cancelled_owned())),
            kill: Box::pin(shutdown.kill.clone().cancelled_owned()),
            limits: Limits {
                handshake: Some(handshake_end),
                age: lifetime.max_age.map(|age| after(now, with_jitter(age))),
                grace: lifetime.max_age_grace,
                idle: lifetime.max_idle,
                idle_since: now,
                go_away_ack: None,
                hard_end: None,
                grace_to_come: None,
                stall: lifetime.stall_timeout,
                written: (0, now),
            },
            timer: Timer::default(),
            tracker: shutdown.tracker.clone(),
            ending: shutdown.ending.clone(),
            registered: false,
        })
    }

    /// Reads all there is. `Some` when the connection is over.
    fn take_in(&mut self, cx: &mut Context<'_>) -> Option<Result<(), String>> {
        loop {
            match self.h2.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => {
                    // Behind the newest of all streams, nothing is left to ask for.
                    let last = respond.stream_id() >= self.facts.max_read_stream();
                    let respond = Respond(Way::Http2(respond, self.outbox.clone()));
                    if last
                        && self.batch.is_empty()
                        && self.calls.running() < self.max_calls
                        && self.facts.resets_read() == self.resets_seen
                    {
                        // One alone, as often: no queue is made for it.
                        self.start(request, respond, cx);
                        self.started = true;
                        return None;
                    }
                    self.batch.push_back((request, respond));
                    if last {
                        return None;
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    count_end(&error, self.calls.limits());
                    return Some(Err(error.to_string()));
                }
                Poll::Ready(None) => return Some(Ok(())),
                Poll::Pending => return None,
            }
        }
    }

    /// Starts the calls that were taken in. Whether there were any.
    ///
    /// For h2 a call is over when the client resets it; for us, when its handler is. Until then its place is taken,
    /// and calls that came since wait. They are no more than h2 lets be open at once, because those that are reset
    /// while they wait are dropped; and they do not wait long, because a handler whose call was reset is dropped at
    /// its task's next turn.
    fn run_batch(&mut self, cx: &mut Context<'_>) -> bool {
        let resets = self.facts.resets_read() + self.facts.resets_written();
        if resets != self.resets_seen {
            self.resets_seen = resets;
            self.batch.retain_mut(|(_, respond)| respond.poll_reset(cx).is_pending());
        }
        let mut any = false;
        while !self.batch.is_empty() {
            if self.calls.running() >= self.max_calls && !self.calls.wake_at_end(cx, self.max_calls) {
                break;
            }
            let Some((request, respond)) = self.batch.pop_front() else { break };
            any = true;
            self.start(request, respond, cx);
        }
        any
    }

    fn start(&mut self, request: http::Request<h2::RecvStream>, respond: Respond, cx: &mut Context<'_>) {
        let (head, body) = request.into_parts();
        let live = LiveCall::begin(&self.calls);
        let incoming = Incoming { head, body: RecvPart::request(body), respond, live };
        let Some(mut call) = self.dispatch.dispatch(incoming) else { return };
        match self.dispatch.place(&call) {
            Place::Connection => self.housed.push(call),
            Place::Either if Pin::new(&mut call).poll(cx).is_ready() => {}
            Place::Either | Place::Task => drop(self.tracker.spawn(call)),
        }
    }

    /// Runs the calls that live in this task and have something to do. Whether one of them ended.
    fn run_housed(&mut self, cx: &mut Context<'_>) -> bool {
        let mut any = false;
        if self.housed.is_empty() {
            return any;
        }
        while let Poll::Ready(Some(())) = Pin::new(&mut self.housed).poll_next(cx) {
            any = true;
        }
        any
    }

    /// Tells the client to open no more streams, in the two steps of gRFC A9; running calls go on.
    fn go_away(&mut self) {
        self.drain = None;
        self.limits.age = None;
        self.limits.go_away_ack.get_or_insert_with(|| Instant::now() + GO_AWAY_ACK);
        self.h2.graceful_shutdown();
    }

    fn check_limits(&mut self, cx: &mut Context<'_>, now: Instant, live: usize) -> Check {
        let limits = &mut self.limits;
        if limits.handshake.is_some() && self.facts.settings_read() > 0 {
            limits.handshake = None;
        }
        if live > 0 {
            limits.idle_since = now;
        }
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(limits.handshake) {
            self.calls.limits().handshakes.hit();
            return Check::End(Err("no SETTINGS from the client within handshake_timeout".to_owned()));
        }
        if due(limits.hard_end) {
            return Check::End(Err("max_connection_age_grace is over".to_owned()));
        }
        if limits.grace_to_come.is_some() && (self.facts.go_aways_written() > 1 || due(limits.go_away_ack)) {
            limits.hard_end = limits.grace_to_come.take().map(|grace| after(now, grace));
        }
        let written = self.facts.written_frames();
        let unflushed = live == 0 && self.h2.has_streams();
        if !unflushed || written != limits.written.0 {
            limits.written = (written, now);
        }
        if due(limits.go_away_ack) {
            // The client never confirmed, or takes its time. Whoever has calls may finish them, and whoever
            // takes the rest of an answer may have it; others are left.
            if live == 0 && (!unflushed || now >= limits.written.1 + LOOK_AGAIN) {
                return Check::End(Ok(()));
            }
            limits.go_away_ack = Some(now + LOOK_AGAIN);
        }
        let stall_end = limits.stall.filter(|_| unflushed).map(|stall| after(limits.written.1, stall));
        if due(stall_end) {
            self.calls.limits().stalled_connections.hit();
            return Check::End(Err("stall_timeout: the client does not take its answers".to_owned()));
        }
        let idle_end =
            limits.idle.filter(|_| self.drain.is_some()).map(|idle| after(limits.idle_since, idle));
        if due(limits.age) || due(idle_end) {
            let counters = self.calls.limits();
            if due(limits.age) {
                counters.connection_age.hit()
            } else {
                counters.connection_idle.hit()
            }
            limits.grace_to_come = limits.grace;
            self.go_away();
            return Check::Again;
        }
        let next = [limits.handshake, limits.hard_end, limits.go_away_ack, limits.age, idle_end, stall_end];
        match self.timer.poll(next.into_iter().flatten().min(), cx) {
            Poll::Ready(()) => Check::Again,
            Poll::Pending => Check::Wait,
        }
    }
}
