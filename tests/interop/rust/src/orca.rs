//! Backend load reports (ORCA, gRFC A51): in the trailers of a call, and on a stream of their own.
//!
//! Only what the interop cases need of `xds/data/orca/v3/orca_load_report.proto` and
//! `xds/service/orca/v3/orca.proto` is here, written by hand: two small messages and one method.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use spanwire::server::{Handler, Service};
use spanwire::{Kind, Method};

use crate::testing::TestOrcaReport;

/// The trailer that carries the report of one call.
pub const TRAILER: &str = "endpoint-load-metrics-bin";

const SERVICE: &str = "xds.service.orca.v3.OpenRcaService";

/// The method that streams reports.
pub const STREAM_CORE_METRICS: Method =
    Method::new("/xds.service.orca.v3.OpenRcaService/StreamCoreMetrics", Kind::ServerStreaming);

/// `xds.data.orca.v3.OrcaLoadReport`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct LoadReport {
    /// 1 is all of one backend's CPU.
    #[prost(double, tag = "1")]
    pub cpu_utilization: f64,
    /// 1 is all of one backend's memory.
    #[prost(double, tag = "2")]
    pub mem_utilization: f64,
    /// What a call cost, by names of the application.
    #[prost(btree_map = "string, double", tag = "4")]
    pub request_cost: BTreeMap<String, f64>,
    /// Further utilizations, by names of the application.
    #[prost(btree_map = "string, double", tag = "5")]
    pub utilization: BTreeMap<String, f64>,
}

impl From<TestOrcaReport> for LoadReport {
    fn from(report: TestOrcaReport) -> Self {
        LoadReport {
            cpu_utilization: report.cpu_utilization,
            mem_utilization: report.memory_utilization,
            request_cost: report.request_cost.into_iter().collect(),
            utilization: report.utilization.into_iter().collect(),
        }
    }
}

/// `xds.service.orca.v3.OrcaLoadReportRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct LoadReportRequest {
    /// How often reports are wanted; a server may report less often.
    #[prost(message, optional, tag = "1")]
    pub report_interval: Option<Span>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Span {
    /// Whole seconds.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// Nanoseconds beyond them.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

/// The load that a server reports on streams. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Load(Arc<Mutex<LoadReport>>);

impl Load {
    /// Reports `report` from now on.
    pub fn set(&self, report: LoadReport) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = report;
    }

    fn get(&self) -> LoadReport {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Never more often than this, whatever the client asks for.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

/// Serves a [`Load`] as `OpenRcaService`.
#[derive(Debug)]
pub struct LoadService(pub Load);

impl Service for LoadService {
    fn name(&self) -> &'static str {
        SERVICE
    }

    fn methods(&self) -> Vec<(&'static str, Handler)> {
        let stream = Handler::server_streaming(
            Arc::new(self.0.clone()),
            |load: Arc<Load>, request: LoadReportRequest, mut replies, context| async move {
                let wanted = request.report_interval.unwrap_or_default();
                let seconds = u64::try_from(wanted.seconds).unwrap_or_default();
                let nanos = u32::try_from(wanted.nanos).unwrap_or_default();
                let interval = Duration::new(seconds, 0).saturating_add(Duration::from_nanos(nanos.into()));
                let mut ticks = tokio::time::interval(interval.max(MIN_INTERVAL));
                let ended = loop {
                    ticks.tick().await;
                    if let Err(status) = replies.send(load.get()).await {
                        break status;
                    }
                };
                (Err(ended), context)
            },
        );
        vec![("StreamCoreMetrics", stream)]
    }
}
