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
use tokio::sync::watch;
use tokio::time::Instant;

use super::backoff::{Backoff, BackoffConfig};
use super::connect::Connector;
use crate::Status;
use crate::engine::Spawner;
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

#[derive(Clone, Debug)]
enum Phase {
    Idle,
    Connecting,
    Ready,
    TransientFailure(Status),
}

pub(crate) struct Subchannel {
    current: ArcSwapOption<Connection>,
    phase: watch::Sender<Phase>,
    backoff: Mutex<Backoff>,
    keepalive: Mutex<Option<Keepalive>>,
    connector: Connector,
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
            phase: watch::Sender::new(Phase::Idle),
            backoff: Mutex::new(Backoff::new(backoff)),
            keepalive: Mutex::new(keepalive),
            connector,
            spawner,
        })
    }

    pub(crate) fn connectivity(&self) -> Connectivity {
        if self.usable().is_some() {
            return Connectivity::Ready;
        }
        match *self.phase.borrow() {
            Phase::Idle | Phase::Ready => Connectivity::Idle,
            Phase::Connecting => Connectivity::Connecting,
            Phase::TransientFailure(_) => Connectivity::TransientFailure,
        }
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
        let mut phase = self.phase.subscribe();
        loop {
            // Marked as seen before looking, so that no change after this line can be missed.
            let failure = match &*phase.borrow_and_update() {
                Phase::TransientFailure(status) if !wait_for_ready => Some(status.clone()),
                _ => None,
            };
            if let Some(connection) = self.usable() {
                return Ok(connection);
            }
            if let Some(status) = failure {
                return Err(status);
            }
            self.connect_if_idle();
            if phase.changed().await.is_err() {
                return Err(Status::unavailable("the channel was closed"));
            }
        }
    }

    /// Starts an attempt when there is no usable connection and none is being made.
    pub(crate) fn connect_if_idle(self: &Arc<Self>) {
        let started = self.phase.send_if_modified(|phase| {
            let idle = match phase {
                Phase::Idle => true,
                Phase::Ready => self.usable().is_none(),
                Phase::Connecting | Phase::TransientFailure(_) => false,
            };
            if idle {
                *phase = Phase::Connecting;
            }
            idle
        });
        if started {
            self.retire();
            self.spawner.spawn(attempt(Attempt(Arc::downgrade(self))));
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
            this.phase.send_if_modified(|phase| {
                let unfinished = matches!(phase, Phase::Connecting | Phase::TransientFailure(_));
                if unfinished {
                    *phase = Phase::Idle;
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
            this.phase.send_replace(Phase::Ready);
            drop(this);
            driver.await;
            // Calls that wait to be ready look again; the loss itself is in their own streams.
            if let Some(this) = subchannel.0.upgrade() {
                this.phase.send_modify(|_| {});
            }
        }
        Err(status) => {
            tracing::debug!(%status, "connection attempt failed");
            let next = this.lock_backoff().failed(Instant::now());
            this.phase.send_replace(Phase::TransientFailure(status));
            drop(this);
            // Then it is dropped, which makes the subchannel idle.
            tokio::time::sleep_until(next).await;
        }
    }
}
