//! One address and its connection: made when a policy asks for it, spaced by backoff.
//!
//! ```text
//! Idle ── connect ──► Connecting ── ok ──► Ready ── GOAWAY, loss ──► Idle
//!   ▲                     │ fails
//!   └── backoff is over ── TransientFailure
//! ```

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;

use arc_swap::ArcSwapOption;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::address::Address;
use super::backoff::{Backoff, BackoffConfig};
use super::balance::SubchannelState;
use super::connect::Connector;
use super::load::CallRecord;
use super::mail::{Event, Mail};
use crate::engine::Spawner;
use crate::middleware::BoxFuture;
use crate::transport::client::Connection;

/// The state of a channel's connections, in gRPC's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connectivity {
    /// No connection and no wish for one; the next call makes one.
    Idle,
    /// A connection is being made.
    Connecting,
    /// Calls are being carried.
    Ready,
    /// The last attempt failed; the next follows after a pause.
    TransientFailure,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Connecting,
    Ready,
    TransientFailure,
    /// Its policy is done with it.
    Dropped,
}

/// See the [module](self).
pub(crate) struct Subchannel {
    id: u64,
    address: Address,
    current: ArcSwapOption<Connection>,
    calls: CallRecord,
    phase: Mutex<Phase>,
    backoff: Mutex<Backoff>,
    connector: Arc<Connector>,
    mail: Arc<Mail>,
    /// Ends an attempt that nobody needs any more.
    dropped: CancellationToken,
    spawner: Spawner,
}

impl std::fmt::Debug for Subchannel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Subchannel").field(&self.address).finish()
    }
}

impl Subchannel {
    pub(crate) fn new(
        address: Address,
        connector: Arc<Connector>,
        backoff: BackoffConfig,
        spawner: Spawner,
        mail: Arc<Mail>,
    ) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Arc::new(Subchannel {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            address,
            current: ArcSwapOption::empty(),
            calls: CallRecord::default(),
            phase: Mutex::new(Phase::Idle),
            backoff: Mutex::new(Backoff::new(backoff)),
            connector,
            mail,
            dropped: CancellationToken::new(),
            spawner,
        })
    }

    /// Its number, which no other one has.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// The connection, if it takes calls.
    pub(crate) fn usable(&self) -> Option<Arc<Connection>> {
        self.current.load_full().filter(|connection| connection.is_usable())
    }

    /// How its calls ended, if that is watched.
    pub(crate) fn calls(&self) -> &CallRecord {
        &self.calls
    }

    /// Calls that are open on it, or wait for room.
    pub(crate) fn live_calls(&self) -> usize {
        self.current.load().as_ref().map_or(0, |connection| connection.live_calls())
    }

    /// Grows with every stream that is opened here.
    pub(crate) fn newest_stream(&self) -> u64 {
        self.current.load().as_ref().map_or(0, |connection| connection.newest_stream())
    }

    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_backoff(&self) -> MutexGuard<'_, Backoff> {
        self.backoff.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a phase, unless its policy has dropped it, and tells that.
    fn enter(&self, next: Phase, state: SubchannelState) {
        let mut phase = self.phase();
        if *phase != Phase::Dropped {
            *phase = next;
            // Under the lock, so that changes are told in their order.
            self.mail.post(Event::Changed(self.id, state));
        }
    }

    /// Starts an attempt if it is idle.
    pub(crate) fn connect(self: &Arc<Self>) {
        {
            let mut phase = self.phase();
            if *phase != Phase::Idle {
                return;
            }
            *phase = Phase::Connecting;
            self.mail.post(Event::Changed(self.id, SubchannelState::Connecting));
        }
        let task = Attempt(Arc::downgrade(self)).run(self.connector.clone(), self.dropped.clone());
        self.spawner.spawn(task);
    }

    /// Forgets a connection that takes no more calls; those under way keep it alive. Whether there was one.
    pub(crate) fn retire(&self) -> bool {
        let lost = |connection: &Connection| !connection.is_usable();
        if !self.current.load().as_deref().is_some_and(lost) {
            return false;
        }
        if let Some(old) = self.current.swap(None)
            && old.had_too_many_pings()
        {
            self.connector.ping_less();
        }
        self.enter(Phase::Idle, SubchannelState::Idle);
        true
    }

    /// Its policy is done with it. Calls under way go on.
    pub(crate) fn shut(&self) {
        *self.phase() = Phase::Dropped;
        self.dropped.cancel();
        self.current.store(None);
    }
}

/// An attempt under way, or its connection. Dropped without an outcome (its runtime ended, or it panicked) it leaves the
/// subchannel idle, so that the next call tries again instead of waiting for ever.
struct Attempt(Weak<Subchannel>);

impl Drop for Attempt {
    fn drop(&mut self) {
        let Some(this) = self.0.upgrade() else { return };
        let unfinished = matches!(*this.phase(), Phase::Connecting | Phase::TransientFailure);
        if unfinished {
            this.enter(Phase::Idle, SubchannelState::Idle);
        }
        this.retire();
    }
}

impl Attempt {
    /// On its own task: it outlives the call that asked for it, because others wait for it too.
    fn run(self, connector: Arc<Connector>, dropped: CancellationToken) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let driver = tokio::select! {
                biased;
                () = dropped.cancelled() => return,
                driver = self.connect(&connector) => driver,
            };
            // From here on it lives as long as its calls.
            if let Some(driver) = driver {
                self.watch(driver).await;
            }
        })
    }

    async fn connect(&self, connector: &Connector) -> Option<impl Future<Output = ()> + use<>> {
        let (address, deadline) = {
            let this = self.0.upgrade()?;
            (this.address.clone(), this.lock_backoff().start(Instant::now()))
        };
        match connector.connect(&address, deadline).await {
            Ok((connection, driver)) => {
                let this = self.0.upgrade()?;
                this.lock_backoff().succeeded();
                this.current.store(Some(Arc::new(connection)));
                this.enter(Phase::Ready, SubchannelState::Ready);
                Some(driver)
            }
            Err(status) => {
                tracing::debug!(%status, "connection attempt failed");
                let next = {
                    let this = self.0.upgrade()?;
                    let next = this.lock_backoff().failed(Instant::now());
                    this.enter(Phase::TransientFailure, SubchannelState::TransientFailure(status));
                    next
                };
                // Then this is dropped, which makes the subchannel idle.
                tokio::time::sleep_until(next).await;
                None
            }
        }
    }

    /// Drives the connection, and says so when it takes no more calls, which is before it ends.
    async fn watch(&self, driver: impl Future<Output = ()>) {
        let mut driver = pin!(driver);
        let mut told = false;
        poll_fn(|cx| {
            let ended = driver.as_mut().poll(cx);
            if !told && let Some(this) = self.0.upgrade() {
                told = this.retire();
            }
            if ended.is_ready() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}
