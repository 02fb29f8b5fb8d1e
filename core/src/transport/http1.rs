//! One connection of HTTP/1.1, for clients that come with gRPC-Web.
//!
//! hyper reads requests and writes answers, one after the other. Above the seam each is an [`Incoming`] like those of
//! HTTP/2: its two halves are a [`Body`](body::Incoming) of hyper, and a [`Pipe`] that hyper takes from.
//!
//! ```text
//! hyper ── request ──► take(Incoming) ──► the call's task ── Respond ──► head ──► hyper
//!   ▲                                                 └───── SendPart ─► Pipe ──► hyper
//!   └── limits: first request, next request, idle, age, a client that takes nothing, the server's end
//! ```

mod pipe;
mod request;
mod wire;

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::{self, HeaderName};
use hyper::body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::sync::oneshot;
use tokio::time::Instant;

use self::pipe::{Aborted, Pipe, ResponseBody};
use self::request::{Left, Request};
use self::wire::{Counted, Wire};
use super::Http2;
use super::foreign::ForeignRespond;
use super::header_list::Unsent;
use super::io::Io;
use super::server::{Incoming, Lifetime, LiveCall, NEWCOMER, Respond, Shutdown, with_jitter};
use super::stream::{RecvPart, SendPart};
use crate::stats::Calls;
use crate::timer::{Timer, after};

/// How long a connection may wait for its next request where `max_connection_idle` says nothing: nothing else would notice
/// that a client is gone, as HTTP/1.1 has no pings.
pub(crate) const IDLE: Duration = Duration::from_secs(60);

/// What hyper may hold of what was read, or of what is to be written.
const BUFFER_BYTES: usize = 64 * 1024;

/// More fields than a request may have: hyper stops reading there, and says so without a gRPC status.
const SPARE_FIELDS: usize = 64;

/// What belongs to this connection or to its framing, and is no metadata.
static NOT_METADATA: [HeaderName; 9] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::EXPECT,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// What a connection is told when it begins.
pub(crate) struct Terms {
    /// Until when the first request must have come.
    pub(crate) deadline: Instant,
    pub(crate) http2: Http2,
    pub(crate) max_fields: usize,
    pub(crate) lifetime: Lifetime,
    pub(crate) shutdown: Shutdown,
    pub(crate) calls: Arc<Calls>,
}

/// Serves `io` until it ends. Every request is given to `take`.
pub(crate) async fn serve(
    io: Io,
    terms: Terms,
    take: impl Fn(Incoming) + Send + 'static,
) -> Result<(), String> {
    let wire = Arc::new(Wire::default());
    let Terms { http2, lifetime, shutdown, calls, .. } = &terms;
    let most = http2.h2_header_list_limit() as usize;
    let service = {
        let (wire, calls, stall) = (wire.clone(), calls.clone(), lifetime.stall_timeout);
        let send_buffer = http2.send_buffer;
        service_fn(move |request: http::Request<body::Incoming>| {
            let (mut head, body) = request.into_parts();
            // Who waits to be asked for the body has not sent it.
            let comes = !head.headers.contains_key(header::EXPECT);
            for name in &NOT_METADATA {
                head.headers.remove(name);
            }
            let (answer, answered) = oneshot::channel();
            let respond = Answer { head: Some(answer), wire: wire.clone(), send_buffer };
            let live = LiveCall::begin(&calls);
            let left = Left::default();
            let body = Request::new(body, &left, stall, wire.clone(), calls.clone());
            take(Incoming {
                head,
                body: RecvPart::foreign(Box::new(body)),
                respond: Respond::foreign(Box::new(respond)),
                live,
            });
            async move {
                let answer = answered.await.map_err(|_| Aborted)?;
                if comes {
                    left.take_in().await;
                }
                Ok::<_, Aborted>(answer)
            }
        })
    };
    let connection = http1::Builder::new()
        .max_headers(terms.max_fields.saturating_add(SPARE_FIELDS))
        .max_header_size(most)
        .max_buf_size(BUFFER_BYTES.max(most))
        // We keep the time ourselves.
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(Counted::new(io, wire.clone())), service);
    let mut connection = pin!(connection);
    let mut kill = pin!(shutdown.kill.cancelled());
    let mut dead = pin!(wire.dead.cancelled());
    let mut drain = pin!(shutdown.drain.cancelled());
    let mut limits = Limits::new(&terms);
    poll_fn(|cx| {
        loop {
            if kill.as_mut().poll(cx).is_ready() || dead.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            if !limits.draining && drain.as_mut().poll(cx).is_ready() {
                limits.draining = true;
                connection.as_mut().graceful_shutdown();
            }
            if let Poll::Ready(result) = connection.as_mut().poll(cx) {
                return Poll::Ready(result.map_err(|error| format!("HTTP/1.1: {error}")));
            }
            match limits.check(cx, &wire, &terms) {
                Check::Wait => return Poll::Pending,
                Check::Again => {}
                Check::Drain => connection.as_mut().graceful_shutdown(),
                Check::End(end) => return Poll::Ready(end),
            }
        }
    })
    .await
}

enum Check {
    Wait,
    Again,
    Drain,
    End(Result<(), String>),
}

/// The moments at which a connection has to act by itself.
struct Limits {
    /// Until when the first request must have come.
    first: Option<Instant>,
    age: Option<Instant>,
    hard_end: Option<Instant>,
    draining: bool,
    /// The calls begun when we last looked.
    begun: u64,
    /// Since when there is no call.
    idle_since: Instant,
    /// What had been read then, and when the next request began to come.
    read: u64,
    next_since: Option<Instant>,
    /// What had been written when we last looked, and since when it is no more.
    written: (u64, Instant),
    timer: Timer,
}

impl Limits {
    fn new(terms: &Terms) -> Self {
        let now = Instant::now();
        Limits {
            first: Some(terms.deadline),
            age: terms.lifetime.max_age.map(|age| after(now, with_jitter(age))),
            hard_end: None,
            draining: false,
            begun: 0,
            idle_since: now,
            read: 0,
            next_since: None,
            written: (0, now),
            timer: Timer::default(),
        }
    }

    fn check(&mut self, cx: &mut Context<'_>, wire: &Wire, terms: &Terms) -> Check {
        let Terms { calls, lifetime, .. } = terms;
        let now = Instant::now();
        let live = calls.running() > 0;
        if live || calls.begun() != self.begun {
            self.begun = calls.begun();
            (self.first, self.next_since) = (None, None);
            (self.idle_since, self.read) = (now, wire.read());
        } else if wire.is_blocked() {
            self.idle_since = now;
        } else if wire.read() != self.read {
            self.next_since.get_or_insert(now);
        }
        if !wire.is_blocked() || wire.written() != self.written.0 {
            self.written = (wire.written(), now);
        }
        let head_end = self.first.or(self.next_since.map(|since| after(since, lifetime.handshake_timeout)));
        let stall_end = lifetime.stall_timeout.filter(|_| wire.is_blocked());
        let stall_end = stall_end.map(|stall| after(self.written.1, stall));
        let idle_end = (!live && head_end.is_none() && !wire.is_blocked()).then(|| {
            let idle = if self.draining { NEWCOMER } else { lifetime.max_idle.unwrap_or(IDLE) };
            after(self.idle_since, idle)
        });
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(head_end) {
            calls.limits().handshakes.hit();
            return Check::End(Err("no whole request within handshake_timeout".to_owned()));
        }
        if due(stall_end) {
            calls.limits().stalled_connections.hit();
            return Check::End(Err("stall_timeout: the client does not take its answers".to_owned()));
        }
        if due(self.hard_end) {
            return Check::End(Err("max_connection_age_grace is over".to_owned()));
        }
        if due(idle_end) {
            if !self.draining {
                calls.limits().connection_idle.hit();
            }
            return Check::End(Ok(()));
        }
        if due(self.age) {
            calls.limits().connection_age.hit();
            (self.age, self.draining) = (None, true);
            self.hard_end = lifetime.max_age_grace.map(|grace| after(now, grace));
            return Check::Drain;
        }
        // The end of a call may need nothing of the connection.
        if live && calls.wake_at_end(cx, 1) {
            return Check::Again;
        }
        let next = [head_end, stall_end, idle_end, self.hard_end, self.age];
        match self.timer.poll(next.into_iter().flatten().min(), cx) {
            Poll::Ready(()) => Check::Again,
            Poll::Pending => Check::Wait,
        }
    }
}

/// The way to answer one request.
#[derive(Debug)]
struct Answer {
    head: Option<oneshot::Sender<http::Response<ResponseBody>>>,
    wire: Arc<Wire>,
    send_buffer: usize,
}

impl ForeignRespond for Answer {
    fn send(&mut self, head: http::Response<()>, end: bool) -> Result<SendPart, Unsent> {
        let Some(answer) = self.head.take() else { return Err(Unsent::Closed) };
        let pipe = Pipe::new(self.send_buffer, self.wire.clone());
        let body = if end { ResponseBody::empty() } else { ResponseBody::of(&pipe) };
        answer.send(head.map(|()| body)).map_err(|_| Unsent::Closed)?;
        Ok(SendPart::foreign(Box::new(pipe)))
    }

    fn reset(&mut self, _code: u32) {
        // Whoever waits for it ends the connection.
        self.head = None;
    }

    fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<u32> {
        match &mut self.head {
            Some(answer) => answer.poll_closed(cx).map(|()| spanwire_wire::reset::CANCEL),
            None => Poll::Ready(spanwire_wire::reset::CANCEL),
        }
    }
}
