//! One connection of a client: opening streams on it, and the task that drives it.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use h2::client::Builder;
use spanwire_http2::{ClientConnection, SendRequest};
use tokio::time::Instant;

use super::header_list::{self, TooLarge};
use super::heart::{Beat, Heart};
use super::io::Io;
use super::outbox::Outbox;
use super::ping::{BdpEstimator, Keepalive, KeepaliveState, Pinger};
use super::room::Room;
use super::stream::code_name;
use super::watch::{Policing, Role, Watched, WireFacts};
use super::{Http2, Peer, RecvPart, SendPart, StreamFailure, connection_window, count_end};
use crate::Status;
use crate::registry::next_id;
use crate::stats::{Count, Counters, Tally};

/// A connection on which calls can be opened. It closes when the last clone and the last call are gone.
#[derive(Clone)]
pub(crate) struct Connection {
    send: SendRequest,
    shared: Arc<Shared>,
}

/// What the handle, the streams and the driver of a connection share.
#[derive(Debug)]
pub(crate) struct Shared {
    id: u64,
    facts: Arc<WireFacts>,
    outbox: Arc<Outbox>,
    peer: Peer,
    counters: Arc<Counters>,
    /// Calls that are open or wait for room.
    live: AtomicUsize,
    /// Streams that ended otherwise than with OK.
    failed: Count,
    room: Room,
    closed: AtomicBool,
    /// The task of the driver.
    driver: OnceLock<Waker>,
    reason: OnceLock<Status>,
}

/// What is known of a connection, which may be gone.
#[derive(Clone, Debug)]
pub(crate) struct Line(Arc<Shared>);

impl Line {
    /// Its number; see [`next_id`].
    pub(crate) fn id(&self) -> u64 {
        self.0.id
    }

    /// What its streams added up to so far.
    pub(crate) fn tally(&self) -> Tally {
        Tally {
            begun: self.0.opened_streams(),
            failed: self.0.failed.get(),
            running: self.0.live.load(Ordering::Relaxed) as u64,
        }
    }

    pub(crate) fn peer(&self) -> &Peer {
        &self.0.peer
    }

    pub(crate) fn facts(&self) -> &WireFacts {
        &self.0.facts
    }
}

impl Shared {
    fn opened_streams(&self) -> u64 {
        // Those of a client have the numbers 1, 3, 5 and so on.
        u64::from(self.facts.max_written_stream()).div_ceil(2)
    }

    fn is_usable(&self) -> bool {
        !self.closed.load(Ordering::Acquire) && !self.facts.has_go_away()
    }
}

/// A stream that was just opened.
pub(crate) struct Opened {
    pub(crate) send: SendPart,
    pub(crate) recv: RecvPart,
    pub(crate) tag: StreamTag,
}

/// Why a stream was not opened.
#[derive(Debug)]
pub(crate) enum Unopened {
    /// The connection takes no more streams.
    Closed(Status),
    /// The server does not take so large a request head.
    TooLarge(TooLarge),
}

/// Room for one call within the server's limit of concurrent streams; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Slot(Arc<Shared>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.live.fetch_sub(1, Ordering::Relaxed);
        self.0.room.give_back();
    }
}

/// Which stream of which connection a call runs on: tells afterwards what became of it.
#[derive(Debug)]
pub(crate) struct StreamTag {
    id: u32,
    slot: Slot,
    succeeded: bool,
}

impl Drop for StreamTag {
    fn drop(&mut self) {
        if !self.succeeded {
            self.slot.0.failed.hit();
        }
    }
}

impl StreamTag {
    /// It ended with OK; else it counts as one that failed.
    pub(crate) fn succeed(&mut self) {
        self.succeeded = true;
    }

    /// Whether the request certainly never reached a server that would work on it: its HEADERS were never
    /// written, or the server said with GOAWAY that it did not look at it.
    pub(crate) fn unprocessed(&self) -> bool {
        !self.written() || self.facts().go_away().is_some_and(|go_away| go_away.last_stream_id < self.id)
    }

    /// Whether any of the request was written to the socket.
    pub(crate) fn written(&self) -> bool {
        self.facts().max_written_stream() >= self.id
    }

    /// Whether headers or trailers of the answer were so long that h2 cut them.
    pub(crate) fn was_cut(&self) -> bool {
        self.facts().was_cut(self.id)
    }

    /// Where limits that were hit are counted.
    pub(crate) fn counters(&self) -> &Counters {
        &self.slot.0.counters
    }

    pub(crate) fn peer(&self) -> &Peer {
        &self.slot.0.peer
    }

    /// Whether the server has said that it closes the connection, readable after the stream is gone.
    pub(crate) fn going_away(&self) -> GoingAway {
        GoingAway(self.slot.0.facts.clone())
    }

    fn facts(&self) -> &WireFacts {
        &self.slot.0.facts
    }

    /// The status of a call whose stream failed other than by a reset of the peer.
    pub(crate) fn failure_status(&self, failure: &StreamFailure, max_metadata_bytes: u32) -> Status {
        match failure {
            // h2 ends the whole connection for DATA on a stream without HEADERS; this is the call that got it.
            StreamFailure::Violation { code }
                if *code == u32::from(h2::Reason::PROTOCOL_ERROR)
                    && self.facts().last_data_stream() == self.id =>
            {
                Status::internal(
                    "the server sent data where HTTP/2 allows none, such as before the response headers",
                )
            }
            StreamFailure::Reset(code) => Status::from_reset(*code),
            StreamFailure::LocalReset(code) if *code == u32::from(h2::Reason::REFUSED_STREAM) => {
                Status::resource_exhausted(format!(
                    "response metadata are larger than max_metadata_bytes ({max_metadata_bytes}) several times over"
                ))
            }
            StreamFailure::LocalReset(code) if *code == u32::from(h2::Reason::CANCEL) => {
                Status::cancelled("the call was given up: its sending half was dropped without half_close")
            }
            StreamFailure::LocalReset(code) => {
                Status::internal(format!("the server broke HTTP/2 on this stream: {}", code_name(*code)))
            }
            other => match self.facts().limit_exceeded() {
                Some(limit) => Status::resource_exhausted(format!(
                    "the server exceeded the limit {limit} of this client; connection closed"
                )),
                None => self
                    .slot
                    .0
                    .reason
                    .get()
                    .cloned()
                    .unwrap_or_else(|| connection_status(other, self.facts())),
            },
        }
    }
}

/// See [`StreamTag::going_away`].
#[derive(Clone, Debug)]
pub(crate) struct GoingAway(Arc<WireFacts>);

impl GoingAway {
    pub(crate) fn get(&self) -> bool {
        self.0.has_go_away()
    }
}

/// What every call of a connection that failed this way gets.
fn connection_status(failure: &StreamFailure, facts: &WireFacts) -> Status {
    match failure {
        StreamFailure::GoAway { code } => {
            let debug = facts.go_away().map(|go_away| go_away.debug).unwrap_or_default();
            let colon = if debug.is_empty() { "" } else { ": " };
            let debug = String::from_utf8_lossy(&debug);
            let code = code_name(*code);
            Status::unavailable(format!("the server closed the connection with GOAWAY {code}{colon}{debug}"))
        }
        StreamFailure::Violation { code } if *code == u32::from(h2::Reason::ENHANCE_YOUR_CALM) => {
            Status::resource_exhausted("the server sent headers or frames without bound; connection closed")
        }
        StreamFailure::Violation { code } => {
            Status::unavailable(format!("the server broke HTTP/2: {}; connection closed", code_name(*code)))
        }
        StreamFailure::Unreadable(why) => Status::internal(why.as_str()),
        StreamFailure::Lost(text) => Status::unavailable(format!("connection lost: {text}")),
        StreamFailure::Reset(code) | StreamFailure::LocalReset(code) => Status::from_reset(*code),
    }
}

impl Connection {
    /// Speaks HTTP/2 on `io` and waits for the server's SETTINGS, so that its limits are known before the
    /// first call. The returned driver must be spawned.
    pub(crate) async fn establish(
        io: Io,
        settings: &Http2,
        keepalive: Option<&Keepalive>,
        counters: &Arc<Counters>,
    ) -> Result<(Connection, Driver), Status> {
        let peer = Peer::of(&io);
        let policing = Policing { ping: None, floods: settings.floods.clone() };
        let (watched, facts) = Watched::new(io, Role::Client, Some(policing), counters.clone());
        facts.set_longest_block(u64::from(settings.h2_header_list_limit()) / 16 * 15);
        let (send, mut h2) = ClientConnection::handshake(builder(settings), Box::new(watched))
            .await
            .map_err(|error| handshake_status(&error))?;
        poll_fn(|cx| match h2.poll(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(handshake_status(&error))),
            // It greets and says goodbye at once: it is well, and about to go. The next connection leads elsewhere.
            Poll::Ready(Ok(())) if facts.settings_read() > 0 && facts.has_go_away() => Poll::Ready(Ok(())),
            Poll::Ready(Ok(())) => {
                Poll::Ready(Err(Status::unavailable("the server closed the connection before its SETTINGS")))
            }
            Poll::Pending if facts.settings_read() > 0 => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        })
        .await?;
        let ping = h2.ping_pong();
        let limit = h2.max_concurrent_send_streams();
        let shared = Arc::new(Shared {
            id: next_id(),
            facts: facts.clone(),
            outbox: Arc::new(Outbox::new(facts.clone())),
            counters: counters.clone(),
            peer,
            live: AtomicUsize::new(0),
            failed: Count::default(),
            room: Room::new(limit),
            closed: AtomicBool::new(false),
            driver: OnceLock::new(),
            reason: OnceLock::new(),
        });
        let now = Instant::now();
        let pinger = Pinger::new(
            keepalive.map(|config| KeepaliveState::client(config.clone(), now)),
            Some(BdpEstimator::new(settings.stream_window, settings.max_stream_window)),
        );
        let driver = Driver {
            h2: Some(h2),
            heart: Heart::new(facts, ping, pinger),
            shared: shared.clone(),
            connection_window: settings.connection_window,
            limit,
            counters: counters.clone(),
        };
        Ok((Connection { send, shared }, driver))
    }

    /// Whether new calls may be opened here.
    pub(crate) fn is_usable(&self) -> bool {
        self.shared.is_usable()
    }

    /// Calls that are open, or wait for room.
    pub(crate) fn live_calls(&self) -> usize {
        self.shared.live.load(Ordering::Relaxed)
    }

    /// Streams opened on it so far.
    pub(crate) fn opened_streams(&self) -> u64 {
        self.shared.opened_streams()
    }

    /// What is known of it, for whoever must not keep it open.
    pub(crate) fn line(&self) -> Line {
        Line(self.shared.clone())
    }

    /// Whether the server closed this connection because of our pings.
    pub(crate) fn had_too_many_pings(&self) -> bool {
        self.shared.facts.go_away().is_some_and(|go_away| go_away.is_too_many_pings())
    }

    /// Room for one more call. Above the server's limit of concurrent streams it waits its turn, here and not
    /// inside h2, where a call that is given up while it waits would still be sent.
    ///
    /// `None`: the connection takes no more calls.
    pub(crate) async fn slot(&self) -> Option<Slot> {
        /// A waiting call counts as one, so that keepalive watches over it.
        struct Waiting<'a>(&'a Shared);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.live.fetch_sub(1, Ordering::Relaxed);
            }
        }
        self.shared.live.fetch_add(1, Ordering::Relaxed);
        let waiting = Waiting(&self.shared);
        // Without open calls nothing else tells the driver that there is one to watch over.
        if let Some(driver) = self.shared.driver.get() {
            driver.wake_by_ref();
        }
        if !self.shared.room.take().await {
            return None;
        }
        std::mem::forget(waiting);
        Some(Slot(self.shared.clone()))
    }

    /// Like [`Connection::slot`], without waiting.
    pub(crate) fn slot_now(&self) -> Option<Slot> {
        self.shared.room.take_now().then(|| {
            self.shared.live.fetch_add(1, Ordering::Relaxed);
            Slot(self.shared.clone())
        })
    }

    /// Opens a stream.
    ///
    /// # Errors
    /// The connection takes no more streams, or not this request: nothing was sent.
    pub(crate) fn open(&self, slot: Slot, request: http::Request<()>) -> Result<Opened, Unopened> {
        header_list::check_request(self.shared.facts.header_list_limit(), &request)
            .map_err(Unopened::TooLarge)?;
        let opened = self.send.clone().send_request(request, false).map_err(|error| {
            self.shared.closed.store(true, Ordering::Release);
            Unopened::Closed(connection_status(&error.into(), &self.shared.facts))
        });
        let (response, send) = opened?;
        let id = send.stream_id();
        let send = SendPart::new(send, self.shared.outbox.clone());
        if id >= LAST_STREAM {
            self.shared.closed.store(true, Ordering::Release);
        }
        let tag = StreamTag { id, slot, succeeded: false };
        Ok(Opened { send, recv: RecvPart::response(response), tag })
    }
}

/// From this stream id on a connection is given up for a new one: the ids of HTTP/2 end at 2^31.
const LAST_STREAM: u32 = 0x7fff_0000;

fn builder(settings: &Http2) -> Builder {
    let mut builder = h2::client::Builder::new();
    builder
        .initial_window_size(settings.stream_window)
        .initial_connection_window_size(connection_window(settings.stream_window, settings.connection_window))
        .max_frame_size(super::MAX_FRAME_BYTES)
        .max_header_list_size(settings.h2_header_list_limit())
        .max_send_buffer_size(settings.send_buffer)
        .data_frame_budget(settings.floods.small_data_budget)
        .enable_push(false)
        // Lifetime counters in h2 that honest connections with many cancelled calls would reach.
        .max_local_error_reset_streams(None)
        .max_concurrent_reset_streams(1024);
    builder
}

/// The text for a peer that does not answer as an HTTP/2 server.
fn handshake_status(error: &h2::Error) -> Status {
    let hint = if error.is_io() { "" } else { " (does this port speak HTTP/2? does it expect TLS?)" };
    Status::unavailable(format!("HTTP/2 handshake failed: {error}{hint}"))
}

/// The task of a connection: reads, runs what is ready, writes once. Ends when the connection does.
pub(crate) struct Driver {
    h2: Option<ClientConnection>,
    heart: Heart,
    shared: Arc<Shared>,
    connection_window: u32,
    /// The server's limit of concurrent streams, as `Shared::room` has it.
    limit: usize,
    counters: Arc<Counters>,
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        // A task has one waker.
        this.shared.driver.get_or_init(|| cx.waker().clone());
        loop {
            this.shared.outbox.flush();
            let Some(h2) = this.h2.as_mut() else { return Poll::Ready(()) };
            if let Poll::Ready(result) = h2.poll(cx) {
                let status = match result {
                    Ok(()) => Status::unavailable("the server closed the connection"),
                    Err(error) => {
                        count_end(&error, &this.counters);
                        connection_status(&error.into(), &this.shared.facts)
                    }
                };
                this.close(status);
                return Poll::Ready(());
            }
            let limit = h2.max_concurrent_send_streams();
            if limit != this.limit {
                this.limit = limit;
                this.shared.room.set_limit(limit);
            }
            if this.shared.facts.has_go_away() {
                this.shared.room.close();
            }
            match this.heart.poll(cx, Instant::now(), this.shared.live.load(Ordering::Relaxed) > 0) {
                Beat::Quiet if this.shared.outbox.may_sleep() => return Poll::Pending,
                Beat::Quiet | Beat::Again => {}
                Beat::Window(window) => {
                    // An error means that a SETTINGS frame is still unacknowledged: the next estimate tries again.
                    let _ = h2.set_initial_window_size(window);
                    h2.set_target_window_size(connection_window(window, this.connection_window));
                }
                Beat::Dead => {
                    this.counters.keepalive.hit();
                    this.close(Status::unavailable(
                        "keepalive: the server did not answer a ping within keepalive.timeout",
                    ));
                    return Poll::Ready(());
                }
            }
        }
    }
}

impl Driver {
    /// Whether new calls may be opened on its connection.
    pub(crate) fn is_usable(&self) -> bool {
        self.shared.is_usable()
    }

    /// The reason is set before h2 is dropped: its streams fail on that drop and look here for the cause.
    fn close(&mut self, status: Status) {
        let _ = self.shared.reason.set(status);
        self.shared.closed.store(true, Ordering::Release);
        self.shared.room.close();
        self.shared.outbox.close();
        self.h2 = None;
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if self.h2.is_some() {
            self.close(Status::unavailable("the runtime that drove this connection was shut down"));
        }
    }
}
