//! One endpoint and its connection: made on demand, replaced when lost, spaced by backoff.
//!
//! ```text
//! Idle ── a call wants it ──► Connecting ── ok ──► Ready ── GOAWAY, loss ──► Idle
//!   ▲                             │ fails
//!   └──── backoff is over ── TransientFailure
//! ```
//! Name resolution and balancing will hold several of these; a channel has one today.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use arc_swap::ArcSwapOption;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::backoff::{Backoff, BackoffConfig};
use super::connect::Connector;
use crate::Status;
use crate::engine::Spawner;
use crate::middleware::BoxFuture;
use crate::stats::ChannelStats;
use crate::transport::Keepalive;
use crate::transport::client::Connection;

/// The state of a channel's connection, in gRPC's words.
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
}

/// What waiting calls watch. The count tells them of a failure also when the next attempt began before they looked.
#[derive(Debug)]
struct State {
    phase: Phase,
    failures: u64,
    last_failure: Option<Status>,
}

pub(crate) struct Subchannel {
    current: ArcSwapOption<Connection>,
    state: Mutex<State>,
    /// Wakes those who wait in the order in which they came.
    changed: Notify,
    backoff: Mutex<Backoff>,
    keepalive: Mutex<Option<Keepalive>>,
    connector: Connector,
    /// A pointer, which only the making of a channel fills in. Streams know their channel, and a server's are of
    /// the same type: by this a program that only serves is linked without all that it takes to connect.
    attempt: fn(Attempt) -> BoxFuture<'static, ()>,
    spawner: Spawner,
}

impl Subchannel {
    pub(crate) fn new(
        connector: Connector,
        keepalive: Option<Keepalive>,
        backoff: BackoffConfig,
        spawner: Spawner,
    ) -> Arc<Self> {
        Arc::new(Subchannel {
            current: ArcSwapOption::empty(),
            state: Mutex::new(State { phase: Phase::Idle, failures: 0, last_failure: None }),
            changed: Notify::new(),
            backoff: Mutex::new(Backoff::new(backoff)),
            keepalive: Mutex::new(keepalive),
            connector,
            attempt: |subchannel| Box::pin(attempt(subchannel)),
            spawner,
        })
    }

    pub(crate) fn connectivity(&self) -> Connectivity {
        if self.usable().is_some() {
            return Connectivity::Ready;
        }
        match self.state().phase {
            Phase::Idle | Phase::Ready => Connectivity::Idle,
            Phase::Connecting => Connectivity::Connecting,
            Phase::TransientFailure => Connectivity::TransientFailure,
        }
    }

    pub(crate) fn stats(&self) -> ChannelStats {
        let counters = &self.connector.counters;
        ChannelStats {
            total_connections: counters.connected.get(),
            failed_connections: counters.failed.get(),
            calls: self.current.load().as_ref().map_or(0, |connection| connection.live_calls() as u64),
            limits: counters.limits.read(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and tells those who wait. `change` says whether there is anything to tell.
    fn update(&self, change: impl FnOnce(&mut State) -> bool) -> bool {
        let changed = change(&mut self.state());
        if changed {
            self.changed.notify_waiters();
        }
        changed
    }

    fn lock_backoff(&self) -> MutexGuard<'_, Backoff> {
        self.backoff.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection, if it takes calls.
    pub(crate) fn usable(&self) -> Option<Arc<Connection>> {
        self.current.load_full().filter(|connection| connection.is_usable())
    }

    /// A connection that takes calls.
    ///
    /// # Errors
    /// UNAVAILABLE with the reason of the last attempt, unless `wait_for_ready`.
    pub(crate) async fn acquire(self: &Arc<Self>, wait_for_ready: bool) -> Result<Arc<Connection>, Status> {
        if let Some(connection) = self.usable() {
            return Ok(connection);
        }
        let failures = self.state().failures;
        loop {
            // Made before looking, so that no change after this line can be missed.
            let changed = self.changed.notified();
            let failure = {
                let state = self.state();
                let failed = state.phase == Phase::TransientFailure || state.failures != failures;
                state.last_failure.clone().filter(|_| failed && !wait_for_ready)
            };
            if let Some(connection) = self.usable() {
                return Ok(connection);
            }
            if let Some(status) = failure {
                return Err(status);
            }
            self.connect_if_idle();
            changed.await;
        }
    }

    /// Starts an attempt when there is no usable connection and none is being made.
    pub(crate) fn connect_if_idle(self: &Arc<Self>) {
        let started = self.update(|state| {
            let idle = match state.phase {
                Phase::Idle => true,
                Phase::Ready => self.usable().is_none(),
                Phase::Connecting | Phase::TransientFailure => false,
            };
            if idle {
                state.phase = Phase::Connecting;
            }
            idle
        });
        if started {
            self.retire();
            self.spawner.spawn((self.attempt)(Attempt(Arc::downgrade(self))));
        }
    }

    /// Forgets a connection that takes no more calls; those under way keep it alive. A server that complained
    /// of our pings gets half as many from the next one (gRFC A8).
    fn retire(&self) {
        let Some(old) = self.current.swap(None) else { return };
        if old.had_too_many_pings() {
            let mut keepalive = self.keepalive.lock().unwrap_or_else(PoisonError::into_inner);
            *keepalive = keepalive.as_ref().map(Keepalive::doubled);
        }
    }
}

/// An attempt under way. Dropped without an outcome (its runtime ended, or it panicked) it leaves the
/// subchannel idle, so that the next call tries again instead of waiting for ever.
struct Attempt(Weak<Subchannel>);

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Some(this) = self.0.upgrade() {
            this.update(|state| {
                let unfinished = matches!(state.phase, Phase::Connecting | Phase::TransientFailure);
                if unfinished {
                    state.phase = Phase::Idle;
                }
                unfinished
            });
        }
    }
}

/// One attempt, on its own task: it outlives the call that asked for it, because others wait for it too.
async fn attempt(subchannel: Attempt) {
    let Some(this) = subchannel.0.upgrade() else { return };
    let deadline = this.lock_backoff().start(Instant::now());
    let keepalive = this.keepalive.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match this.connector.connect(deadline, keepalive.as_ref()).await {
        Ok((connection, driver)) => {
            this.lock_backoff().succeeded();
            this.current.store(Some(Arc::new(connection)));
            this.update(|state| {
                state.phase = Phase::Ready;
                state.last_failure = None;
                true
            });
            drop(this);
            driver.await;
            // Calls that wait to be ready look again; the loss itself is in their own streams.
            if let Some(this) = subchannel.0.upgrade() {
                this.changed.notify_waiters();
            }
        }
        Err(status) => {
            tracing::debug!(%status, "connection attempt failed");
            let next = this.lock_backoff().failed(Instant::now());
            this.update(|state| {
                state.phase = Phase::TransientFailure;
                state.failures += 1;
                state.last_failure = Some(status);
                true
            });
            drop(this);
            // Then it is dropped, which makes the subchannel idle.
            tokio::time::sleep_until(next).await;
        }
    }
}
