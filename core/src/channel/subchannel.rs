//! One address and its connection: made when a policy asks for it, spaced by backoff.
//!
//! ```text
//! Idle ── connect ──► Connecting ── ok ──► Ready ── GOAWAY, loss ──► Idle
//!   ▲                     │ fails
//!   └── backoff is over ── TransientFailure
//! ```

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use http::HeaderValue;
use http::uri::{Authority, Scheme};
use prost::Message;
use spanwire_wire::call::{Limits, RequestTemplate};
use spanwire_wire::encoding::EncodingSet;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::address::Address;
use super::backoff::{Backoff, BackoffConfig};
use super::balance::{LoadReports, SubchannelState, Watching};
use super::configured::Upkeep;
use super::connect::Connector;
use super::connections::{Connections, Health};
use super::health::{self, HealthCheckRequest, Hearing};
use super::load::{self, CallRecord, LoadReportRequest};
use super::mail::{Event, Mail};
use super::side::{SideCalls, SideCount, SideNews, keep_open};
use crate::engine::Spawner;
use crate::middleware::BoxFuture;
use crate::registry::next_id;
use crate::stats::{ChannelCounters, Tally};
use crate::transport::Http2;
use crate::transport::client::{Connection, Driver, Line, Slot};
use crate::{Method, Status};

/// The state of a channel's connections, in gRPC's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Connectivity {
    /// No connection and no wish for one; the next call makes one.
    Idle = 0,
    /// A connection is being made.
    Connecting = 1,
    /// Calls are being carried.
    Ready = 2,
    /// The last attempt failed; the next follows after a pause.
    TransientFailure = 3,
}

impl Connectivity {
    /// The state of a number, as which it crosses to other languages.
    #[must_use]
    pub fn from_u8(number: u8) -> Option<Self> {
        let all = [
            Connectivity::Idle,
            Connectivity::Connecting,
            Connectivity::Ready,
            Connectivity::TransientFailure,
        ];
        all.into_iter().find(|state| *state as u8 == number)
    }
}

/// Makes a connection, and looks after it.
pub(crate) type RunAttempt = fn(Attempt, Arc<Means>, CancellationToken) -> BoxFuture<'static, ()>;

/// What the subchannels of a channel have in common.
pub(crate) struct Means {
    pub(crate) connector: Connector,
    /// [`Attempt::run`], which only makers of channels name: so programs that are servers alone have none of it, nor of TLS's
    /// client side.
    pub(crate) attempt: RunAttempt,
    pub(crate) backoff: BackoffConfig,
    pub(crate) spawner: Spawner,
    pub(crate) mail: Mail,
    pub(crate) side_calls: SideCalls,
}

impl Means {
    /// Means of subchannels that nobody connects.
    fn detached() -> Self {
        let test = "detached";
        let template = RequestTemplate::new(
            Scheme::HTTP,
            Authority::from_static(test),
            EncodingSet::all(),
            HeaderValue::from_static(test),
        );
        Means {
            connector: Connector {
                target: test.to_owned(),
                host: test.to_owned(),
                dial: None,
                tunnel: None,
                tls: None,
                http2: Http2::default(),
                connect_timeout: Duration::from_secs(20),
                keepalive: Mutex::default(),
                counters: Arc::new(ChannelCounters::default()),
            },
            attempt: |_, _, _| Box::pin(std::future::ready(())),
            backoff: BackoffConfig::default(),
            spawner: Spawner::Current,
            mail: Mail::default(),
            side_calls: SideCalls { template, credentials: None, limits: Limits::default() },
        }
    }
}

/// One address and its connection.
pub struct Subchannel {
    id: u64,
    address: Address,
    watching: Watching,
    /// Those that calls may be placed on, the oldest first: what `connections` has as usable.
    current: ArcSwap<Vec<Arc<Connection>>>,
    connections: Mutex<Connections<Arc<Connection>>>,
    /// Rings when something about the connections has changed.
    changed: Notify,
    /// Calls that wait for room on any of several connections; the one whose turn it is looks for it.
    queue: tokio::sync::Mutex<()>,
    queued: AtomicUsize,
    calls: CallRecord,
    lines: Mutex<Lines>,
    side_count: Arc<SideCount>,
    backoff: Mutex<Backoff>,
    upkeep: Arc<Upkeep>,
    means: Arc<Means>,
    /// Ends an attempt that nobody needs any more, and the streams beside the calls.
    dropped: CancellationToken,
}

/// The connections that there are, those that take no more calls included.
#[derive(Debug, Default)]
struct Lines {
    open: Vec<Line>,
    /// What those that are gone added up to.
    past: Tally,
}

impl Drop for Subchannel {
    fn drop(&mut self) {
        let Tally { begun, failed, .. } = self.tally();
        self.means.connector.counters.past_calls.add(begun);
        self.means.connector.counters.past_failed.add(failed);
    }
}

impl std::fmt::Debug for Subchannel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Subchannel").field(&self.address).finish()
    }
}

impl Subchannel {
    pub(crate) fn new(
        address: Address,
        watching: Watching,
        upkeep: Arc<Upkeep>,
        means: Arc<Means>,
    ) -> Arc<Self> {
        Arc::new(Subchannel {
            id: next_id(),
            address,
            watching,
            current: ArcSwap::default(),
            connections: Mutex::new(Connections::new()),
            changed: Notify::new(),
            queue: tokio::sync::Mutex::default(),
            queued: AtomicUsize::new(0),
            calls: CallRecord::new(watching),
            lines: Mutex::default(),
            side_count: Arc::default(),
            backoff: Mutex::new(Backoff::new(means.backoff.clone())),
            upkeep,
            means,
            dropped: CancellationToken::new(),
        })
    }

    /// One that belongs to no channel and is never connected: for tests of policies.
    #[must_use]
    pub fn detached(address: impl Into<Address>) -> Arc<Self> {
        Subchannel::detached_with(address.into(), Watching::default())
    }

    pub(crate) fn detached_with(address: Address, watching: Watching) -> Arc<Self> {
        static MEANS: LazyLock<Arc<Means>> = LazyLock::new(|| Arc::new(Means::detached()));
        Subchannel::new(address, watching, Arc::default(), MEANS.clone())
    }

    /// Its number, which no other one has.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Whether there is a connection that takes calls.
    pub(crate) fn is_usable(&self) -> bool {
        self.current.load().iter().any(|connection| connection.is_usable())
    }

    /// Room for one call, if there is some now.
    pub(crate) fn room_now(&self) -> Option<(Arc<Connection>, Slot)> {
        self.current.load().iter().filter(|connection| connection.is_usable()).find_map(|connection| {
            let slot = connection.slot_now()?;
            Some((connection.clone(), slot))
        })
    }

    /// Room for one call. `None`: no connection takes calls any more.
    pub(crate) async fn room(self: &Arc<Self>) -> Option<(Arc<Connection>, Slot)> {
        if self.upkeep.max_connections > 1 {
            return self.room_on_any().await;
        }
        let connection = self.current.load().iter().find(|connection| connection.is_usable()).cloned()?;
        let slot = connection.slot().await?;
        Some((connection, slot))
    }

    /// The same where one more connection may be made for it. Calls have it in the order in which they came.
    async fn room_on_any(self: &Arc<Self>) -> Option<(Arc<Connection>, Slot)> {
        let _queued = Queued::new(&self.queued);
        let _turn = self.queue.lock().await;
        loop {
            // Made before looking, so that no change after this line can be missed.
            let changed = self.changed.notified();
            let connections = self.current.load_full();
            let usable = connections.iter().filter(|connection| connection.is_usable());
            let mut rooms: FuturesUnordered<_> = usable
                .map(|connection| async { Some((connection.clone(), connection.slot().await?)) })
                .collect();
            if rooms.is_empty() {
                return None;
            }
            if let Some(room) = self.room_now() {
                return Some(room);
            }
            self.begin(self.upkeep.max_connections);
            tokio::select! {
                biased;
                Some(Some(room)) = rooms.next() => return Some(room),
                () = changed => {}
            }
        }
    }

    /// Where the channel counts.
    pub(crate) fn counters(&self) -> &ChannelCounters {
        &self.means.connector.counters
    }

    /// How its calls ended, if that is watched.
    pub(crate) fn calls(&self) -> &CallRecord {
        &self.calls
    }

    /// Calls that are open on it, or wait for room.
    #[must_use]
    pub fn live_calls(&self) -> usize {
        let live: usize = self.current.load().iter().map(|connection| connection.live_calls()).sum();
        (live + self.queued.load(Ordering::Relaxed)).saturating_sub(self.side_count.live())
    }

    /// Changes with every call that is opened here.
    pub(crate) fn opened_calls(&self) -> u64 {
        let opened: u64 = self.current.load().iter().map(|connection| connection.opened_streams()).sum();
        opened.wrapping_sub(self.side_count.opened())
    }

    /// What its calls added up to so far, each attempt by itself.
    pub(crate) fn tally(&self) -> Tally {
        let lines = self.lock_lines();
        let mut sum = lines.past;
        lines.open.iter().for_each(|line| sum += line.tally());
        drop(lines);
        Tally {
            begun: sum.begun.saturating_sub(self.side_count.opened()),
            running: sum.running.saturating_sub(self.side_count.live() as u64),
            ..sum
        }
    }

    /// The connections that there are, in the order of their numbers.
    pub(crate) fn lines(&self) -> Vec<Line> {
        self.lock_lines().open.clone()
    }

    pub(crate) fn state(&self) -> SubchannelState {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).told().clone()
    }

    fn lock_lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_backoff(&self) -> MutexGuard<'_, Backoff> {
        self.backoff.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes something about the connections, and tells what follows from that.
    fn change<T>(&self, change: impl FnOnce(&mut Connections<Arc<Connection>>) -> T) -> T {
        let result = self.change_quietly(change);
        self.changed.notify_waiters();
        result
    }

    /// The same, of what is nothing to calls that wait for room.
    fn change_quietly<T>(&self, change: impl FnOnce(&mut Connections<Arc<Connection>>) -> T) -> T {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut connections);
        self.current.store(Arc::new(connections.usable()));
        if let Some(state) = connections.news() {
            // Under the lock, so that changes are told in their order.
            self.means.mail.post(Event::Changed(self.id, state));
        }
        result
    }

    /// Starts an attempt if it is idle.
    pub(crate) fn connect(self: &Arc<Self>) {
        self.begin(1);
    }

    /// Starts an attempt if there may be one, and `most` connections.
    fn begin(self: &Arc<Self>, most: usize) {
        if self.change_quietly(|connections| connections.begin(most)) {
            let attempt = (self.means.attempt)(Attempt::new(self), self.means.clone(), self.dropped.clone());
            self.means.spawner.spawn(attempt);
        }
    }

    /// Forgets connections that take no more calls; those under way keep them alive. Whether there were any.
    pub(crate) fn retire(&self) -> bool {
        let lost = self.change(|connections| connections.forget(|connection| !connection.is_usable()));
        if lost.iter().any(|connection| connection.had_too_many_pings()) {
            self.means.connector.ping_less();
        }
        !lost.is_empty()
    }

    /// Its policy is done with it. Calls under way go on.
    pub(crate) fn shut(&self) {
        self.change(Connections::close);
        self.dropped.cancel();
    }

    /// The server of a connection says whether it serves.
    pub(crate) fn set_health(&self, key: u64, health: Health) {
        self.change(|connections| connections.set_health(key, health));
    }

    /// The service whose health its server is asked for, if it is.
    fn health_service(&self) -> Option<&String> {
        self.upkeep.health_service.as_ref().filter(|_| self.watching.health)
    }
}

/// A call that waits for room.
struct Queued<'a>(&'a AtomicUsize);

impl<'a> Queued<'a> {
    fn new(queued: &'a AtomicUsize) -> Self {
        queued.fetch_add(1, Ordering::Relaxed);
        Queued(queued)
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An attempt under way, or its connection. Dropped without an outcome (its runtime ended, or it panicked) it leaves the
/// subchannel idle, so that the next call tries again instead of waiting for ever.
pub(crate) struct Attempt {
    subchannel: Weak<Subchannel>,
    line: Option<Line>,
}

/// A connection, for as long as it lasts.
struct UntilLost(Arc<ChannelCounters>);

impl Drop for UntilLost {
    fn drop(&mut self) {
        self.0.disconnected.hit();
    }
}

/// What an attempt led to.
struct Connected {
    driver: Driver,
    /// The streams beside the calls.
    sides: Vec<AbortOnDropHandle<()>>,
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let Some(this) = self.subchannel.upgrade() else { return };
        match &self.line {
            None => this.change(Connections::over),
            Some(line) => {
                let mut lines = this.lock_lines();
                lines.open.retain(|open| open.id() != line.id());
                // Calls that its end has not reached yet are over too.
                lines.past += Tally { running: 0, ..line.tally() };
            }
        }
        this.retire();
    }
}

impl Attempt {
    fn new(subchannel: &Arc<Subchannel>) -> Self {
        Attempt { subchannel: Arc::downgrade(subchannel), line: None }
    }

    /// On its own task: it outlives the call that asked for it, because others wait for it too.
    pub(crate) fn run(mut self, means: Arc<Means>, dropped: CancellationToken) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let connected = tokio::select! {
                biased;
                () = dropped.cancelled() => return,
                connected = self.connect(&means) => connected,
            };
            // From here on it lives as long as its calls.
            if let Some(connected) = connected {
                self.watch(connected, &means).await;
            }
        })
    }

    async fn connect(&mut self, means: &Means) -> Option<Connected> {
        let (address, deadline) = {
            let this = self.subchannel.upgrade()?;
            (this.address.clone(), this.lock_backoff().start(Instant::now()))
        };
        match means.connector.connect(&address, deadline).await {
            Ok((connection, driver)) => {
                let this = self.subchannel.upgrade()?;
                this.lock_backoff().succeeded();
                let connection = Arc::new(connection);
                let line = connection.line();
                this.lock_lines().open.push(line.clone());
                self.line = Some(line);
                let health = if this.health_service().is_some() { Health::Unknown } else { Health::Serving };
                let key = this.change(|connections| connections.connected(connection.clone(), health))?;
                let sides = sides(&this, &connection, key);
                Some(Connected { driver, sides })
            }
            Err(status) => {
                tracing::debug!(%status, "connection attempt failed");
                let next = {
                    let this = self.subchannel.upgrade()?;
                    let next = this.lock_backoff().failed(Instant::now());
                    this.change(|connections| connections.failed(status));
                    next
                };
                // Then this is dropped, which makes the subchannel idle.
                tokio::time::sleep_until(next).await;
                None
            }
        }
    }

    /// Drives the connection, and says so when it takes no more calls, which is before it ends.
    async fn watch(&self, connected: Connected, means: &Means) {
        let Connected { mut driver, mut sides } = connected;
        let mut told = false;
        let _until_lost = UntilLost(means.connector.counters.clone());
        poll_fn(|cx| {
            let ended = Pin::new(&mut driver).poll(cx);
            if !told && !driver.is_usable() {
                told = true;
                sides.clear();
                if let Some(this) = self.subchannel.upgrade() {
                    this.retire();
                }
            }
            if ended.is_ready() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// Opens the streams beside the calls of a connection. They end with it, and when nobody needs the subchannel any more.
fn sides(subchannel: &Arc<Subchannel>, connection: &Arc<Connection>, key: u64) -> Vec<AbortOnDropHandle<()>> {
    let mut sides = Vec::new();
    if let Some(service) = subchannel.health_service() {
        let hearing = Hearing { subchannel: Arc::downgrade(subchannel), key };
        let request = (health::WATCH, HealthCheckRequest { service: service.clone() }.encode_to_vec().into());
        sides.push(side(subchannel, connection, request, move |news| hearing.hear(news)));
    }
    if let LoadReports::Stream(period) = subchannel.watching.load {
        let report_interval = prost_types::Duration::try_from(period).ok();
        let request = (load::STREAM, LoadReportRequest { report_interval }.encode_to_vec().into());
        let subchannel_of_it = Arc::downgrade(subchannel);
        sides.push(side(subchannel, connection, request, move |news| load::hear(&subchannel_of_it, news)));
    }
    sides
}

fn side(
    subchannel: &Subchannel,
    connection: &Arc<Connection>,
    request: (Method, Bytes),
    hear: impl FnMut(SideNews) -> Result<(), Status> + Send + 'static,
) -> AbortOnDropHandle<()> {
    let (means, count) = (subchannel.means.clone(), subchannel.side_count.clone());
    let (connection, dropped) = (connection.clone(), subchannel.dropped.clone());
    // On the runtime of the connection, which this task is on.
    AbortOnDropHandle::new(tokio::spawn(async move {
        let backoff = means.backoff.clone();
        let open = keep_open(connection, &means.side_calls, &count, backoff, request, hear);
        tokio::select! {
            biased;
            () = dropped.cancelled() => {}
            () = open => {}
        }
    }))
}
