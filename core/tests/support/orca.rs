//! A server that answers with its name and reports its load on a stream (`xds.service.orca.v3.OpenRcaService`).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use spanwire::prost::Message;
use spanwire::server::{Handler, Service};
use spanwire::{Raw, ServerHandle, Status, prost_types};
use tokio::time::Instant;

use super::who::start_beside;

/// What is used here of an `xds.data.orca.v3.OrcaLoadReport`.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Report {
    #[prost(double, tag = "1")]
    pub cpu_utilization: f64,
    #[prost(double, tag = "6")]
    pub qps: f64,
}

#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(message, optional, tag = "1")]
    report_interval: Option<prost_types::Duration>,
}

#[derive(Clone)]
pub struct Orca {
    pub report: Report,
    /// How the next streams end at once.
    pub endings: Arc<Mutex<VecDeque<Status>>>,
    /// When streams came, and how often they want reports.
    pub asked: Arc<Mutex<Vec<(Instant, Duration)>>>,
}

impl Orca {
    pub fn new(qps: f64) -> Self {
        Orca { report: Report { cpu_utilization: 0.5, qps }, endings: Arc::default(), asked: Arc::default() }
    }

    /// Starts a server at `inprocess:<name>`.
    pub async fn start(&self, name: &'static str) -> ServerHandle {
        start_beside(name, self.clone()).await
    }
}

impl Service for Orca {
    fn name(&self) -> &'static str {
        "xds.service.orca.v3.OpenRcaService"
    }

    fn methods(&self) -> Vec<(&'static str, Handler)> {
        let stream = Handler::server_streaming(
            Arc::new(self.clone()),
            |this, request: Raw, mut replies, context| async move {
                let request = Request::decode(request.0).unwrap();
                let period = Duration::try_from(request.report_interval.unwrap()).unwrap();
                this.asked.lock().unwrap().push((Instant::now(), period));
                let ending = this.endings.lock().unwrap().pop_front();
                if let Some(status) = ending {
                    return (Err(status), context);
                }
                loop {
                    if let Err(status) = replies.send(Raw::from(this.report.encode_to_vec())).await {
                        return (Err(status), context);
                    }
                    tokio::time::sleep(period).await;
                }
            },
        );
        vec![("StreamCoreMetrics", stream)]
    }
}
