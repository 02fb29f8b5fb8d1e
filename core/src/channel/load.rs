//! What a channel knows of the calls of a subchannel: how they ended, and what the server reports of its load (gRFC A51).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prost::Message;
use tokio::time::Instant;

use super::balance::{LoadReports, Watching};
use crate::Status;

/// The trailer with the report of a call.
const REPORT: &str = "endpoint-load-metrics-bin";

/// What policies look at of an `xds.data.orca.v3.OrcaLoadReport`.
#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct LoadReport {
    /// 1 is all of the server's CPU; it may be more.
    #[prost(double, tag = "1")]
    pub(crate) cpu_utilization: f64,
    /// Calls a second.
    #[prost(double, tag = "6")]
    pub(crate) qps: f64,
    /// Errors a second.
    #[prost(double, tag = "7")]
    pub(crate) eps: f64,
    /// Like `cpu_utilization`, by a measure of the application's own; 0 if it has none.
    #[prost(double, tag = "9")]
    pub(crate) application_utilization: f64,
}

/// A server's last report.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard {
    pub(crate) report: LoadReport,
    at: Instant,
    /// Since when there are reports without a long silence.
    pub(crate) since: Instant,
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct CallRecord {
    watching: Watching,
    succeeded: AtomicU64,
    failed: AtomicU64,
    load: Mutex<Option<Heard>>,
}

impl CallRecord {
    pub(crate) fn new(watching: Watching) -> Self {
        CallRecord {
            watching,
            succeeded: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            load: Mutex::default(),
        }
    }

    /// Whether anybody wants to know how calls end.
    pub(crate) fn is_watched(&self) -> bool {
        self.watching.outcomes || self.watching.load == LoadReports::Trailers
    }

    /// A call has ended.
    pub(crate) fn ended(&self, status: &Status) {
        let count = if status.is_ok() { &self.succeeded } else { &self.failed };
        count.fetch_add(1, Ordering::Relaxed);
        if self.watching.load == LoadReports::Trailers
            && let Some(report) = status.metadata().get_bin(REPORT)
            && let Ok(report) = LoadReport::decode(report)
        {
            self.hear(report, Instant::now());
        }
    }

    pub(crate) fn hear(&self, report: LoadReport, now: Instant) {
        let mut load = self.load.lock().unwrap_or_else(PoisonError::into_inner);
        let since = load.map_or(now, |heard| heard.since);
        *load = Some(Heard { report, at: now, since });
    }

    /// The last report, unless it is older than `expiration`; then it is forgotten.
    pub(crate) fn load(&self, now: Instant, expiration: Duration) -> Option<Heard> {
        let mut load = self.load.lock().unwrap_or_else(PoisonError::into_inner);
        load.take_if(|heard| now.saturating_duration_since(heard.at) >= expiration);
        *load
    }

    /// How many calls have succeeded and failed since the last time this was asked.
    pub(crate) fn take_counts(&self) -> (u64, u64) {
        (self.succeeded.swap(0, Ordering::Relaxed), self.failed.swap(0, Ordering::Relaxed))
    }
}
