//! What a channel knows of the calls of a subchannel: how they ended, and what the server reports of its load (gRFC A51).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use prost::Message;
use tokio::time::Instant;

use super::balance::{LoadReports, Watching};
use super::side::SideNews;
use super::subchannel::Subchannel;
use crate::{Kind, Method, Status};

/// The trailer with the report of a call.
const REPORT: &str = "endpoint-load-metrics-bin";

/// The method that reports are asked for with.
pub(crate) const STREAM: Method =
    Method::new("/xds.service.orca.v3.OpenRcaService/StreamCoreMetrics", Kind::ServerStreaming);

/// `xds.service.orca.v3.OrcaLoadReportRequest`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct LoadReportRequest {
    /// How often to report; a server may do so less often.
    #[prost(message, optional, tag = "1")]
    pub(crate) report_interval: Option<prost_types::Duration>,
}

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

impl LoadReport {
    /// How much of the server is in use.
    pub(crate) fn utilization(&self) -> f64 {
        Some(self.application_utilization).filter(|used| *used > 0.0).unwrap_or(self.cpu_utilization)
    }
}

/// A server's last report that says something.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard {
    pub(crate) report: LoadReport,
    at: Instant,
    /// Since when there are reports, on this connection and without a long silence.
    pub(crate) since: Option<Instant>,
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

    /// Takes a report down, unless it says that nothing is known.
    pub(crate) fn hear(&self, report: LoadReport, now: Instant) {
        if report.qps > 0.0 && report.utilization() > 0.0 {
            let mut load = self.load();
            let since = load.and_then(|heard| heard.since).or(Some(now));
            *load = Some(Heard { report, at: now, since });
        }
    }

    /// From here on reports are those of another connection.
    pub(crate) fn begin_anew(&self) {
        if let Some(heard) = self.load().as_mut() {
            heard.since = None;
        }
    }

    fn load(&self) -> MutexGuard<'_, Option<Heard>> {
        self.load.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last report, and whether it is older than `expiration`: then the next one is as good as the first.
    pub(crate) fn heard(&self, now: Instant, expiration: Duration) -> Option<(Heard, bool)> {
        let mut load = self.load();
        let heard = load.as_mut()?;
        let stale = now.saturating_duration_since(heard.at) >= expiration;
        if stale {
            heard.since = None;
        }
        Some((*heard, stale))
    }

    /// How many calls have succeeded and failed since the last time this was asked.
    pub(crate) fn take_counts(&self) -> (u64, u64) {
        (self.succeeded.swap(0, Ordering::Relaxed), self.failed.swap(0, Ordering::Relaxed))
    }
}

/// Takes what the stream of a connection brings.
pub(crate) fn hear(subchannel: &Weak<Subchannel>, news: SideNews) -> Result<(), Status> {
    let Some(subchannel) = subchannel.upgrade() else { return Ok(()) };
    match news {
        SideNews::Message(message) => {
            let report = LoadReport::decode(message);
            let report = report.map_err(|error| Status::internal(format!("malformed report: {error}")))?;
            subchannel.calls().hear(report, Instant::now());
        }
        SideNews::Unimplemented => {
            let address = subchannel.address();
            tracing::error!(%address, "load reports: the server has no such service");
        }
        SideNews::Begun | SideNews::Ended(_) => {}
    }
    Ok(())
}
