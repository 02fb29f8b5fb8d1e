//! Keys from a URL: fetched when the server begins to accept, again and again after that, and when a token is signed with
//! one that is not known. Calls never wait for them.
//!
//! ```text
//!          ┌── every interval, or sooner if the server says so, or an unknown key was seen ──┐
//! start ─► fetch ─ good ─► keys, all at once ────────────────────────────────────────────────┤
//!          └─ failed ─► the old ones stay ─── after a pause that grows ──────────────────────┘
//! ```

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Source;
use super::key::KeySet;
use crate::middleware::BoxFuture;
use crate::random;
use crate::stats::Counters;
use crate::timer::after;
use crate::transport::fetch::Fetched;

/// The default of [`Jwt::jwks_refresh_interval`](super::Jwt::jwks_refresh_interval).
pub(crate) const INTERVAL: Duration = Duration::from_secs(300);

/// The least from one fetch to the next, whatever the server says and whatever tokens come.
const PAUSE: Duration = Duration::from_secs(5);

/// The pause after the first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause after a failure.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Fetches them once.
pub(super) type Fetch = Box<dyn Fn() -> BoxFuture<'static, Result<Fetched, String>> + Send + Sync>;

/// The keys of a URL. What fetches them ends when it is dropped.
pub(super) struct Remote {
    known: Arc<Known>,
    /// Until the server starts.
    refresh: Mutex<Option<Refresh>>,
    _end: DropGuard,
}

/// What whoever fetches the keys and whoever needs them share.
struct Known {
    keys: ArcSwap<KeySet>,
    /// When they were fetched last.
    fetched: Mutex<Option<Instant>>,
    /// They are worth an early fetch.
    wanted: Notify,
    /// The first fetch is over, well or not.
    tried: CancellationToken,
    end: CancellationToken,
}

impl Remote {
    pub(super) fn new(fetch: Fetch, interval: Duration) -> Self {
        let known = Arc::new(Known {
            keys: ArcSwap::from_pointee(KeySet::default()),
            fetched: Mutex::default(),
            wanted: Notify::new(),
            tried: CancellationToken::new(),
            end: CancellationToken::new(),
        });
        let refresh = Refresh { known: known.clone(), fetch, interval, failures: 0, text: Vec::new() };
        Remote { _end: known.end.clone().drop_guard(), known, refresh: Mutex::new(Some(refresh)) }
    }
}

impl Source for Remote {
    fn keys(&self) -> arc_swap::Guard<Arc<KeySet>> {
        self.known.keys.load()
    }

    fn awaits_newer(&self) -> bool {
        self.known.wanted.notify_one();
        // After a fetch that came late enough to have it, a key that is not there is no key of the issuer's.
        self.known.fetched().is_none_or(|at| at.elapsed() >= PAUSE)
    }

    fn start(&self, counters: &Arc<Counters>) -> Option<BoxFuture<'static, ()>> {
        let refresh = self.refresh.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(refresh) = refresh {
            let (counters, end) = (counters.clone(), self.known.end.clone());
            tokio::spawn(async move { end.run_until_cancelled(refresh.run(&counters)).await });
        }
        let tried = self.known.tried.clone();
        Some(Box::pin(async move { tried.cancelled().await }))
    }
}

impl Known {
    fn fetched(&self) -> Option<Instant> {
        *self.fetched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What fetches them.
struct Refresh {
    known: Arc<Known>,
    fetch: Fetch,
    interval: Duration,
    /// In a row.
    failures: u32,
    /// What the keys were read from.
    text: Vec<u8>,
}

impl Refresh {
    async fn run(mut self, counters: &Counters) {
        loop {
            let began = Instant::now();
            let wait = match (self.fetch)().await.and_then(|fetched| self.take(fetched)) {
                Ok(wait) => wait,
                Err(error) => {
                    counters.jwks_errors.hit();
                    tracing::warn!(%error, "the keys of jwks_url cannot be had: the old ones stay");
                    self.after_failure()
                }
            };
            self.known.tried.cancel();
            // Servers that began together do not go on asking together.
            let next = after(Instant::now(), wait.mul_f64(1.0 - 0.1 * random::unit()));
            tokio::select! {
                biased;
                () = sleep_until(next) => {}
                () = self.known.wanted.notified() => sleep_until(next.min(began + PAUSE)).await,
            }
        }
    }

    /// Makes use of what was fetched. Gives the time until the next fetch.
    fn take(&mut self, fetched: Fetched) -> Result<Duration, String> {
        // The same keys keep the tokens that were checked with them.
        if fetched.bytes != self.text {
            self.known.keys.store(Arc::new(KeySet::read(&fetched.bytes)?));
            self.text = fetched.bytes;
        }
        *self.known.fetched.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        if std::mem::take(&mut self.failures) > 0 {
            tracing::info!("the keys of jwks_url can be had again");
        }
        let said = fetched.max_age.unwrap_or(self.interval);
        Ok(said.max(PAUSE).min(self.interval))
    }

    fn after_failure(&mut self) -> Duration {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(6));
        self.failures += 1;
        pause.min(LONGEST_PAUSE).min(self.interval)
    }
}
