//! Sends metrics and spans to a collector, by OTLP over a channel of our own.
//!
//! ```text
//! a batch of spans, or five seconds ─► spans   ┐
//! the interval ───────────────────────► metrics ├─► collector        it fails ─► one line in the log, and spans are lost
//! flush, or nobody records any more ──► both   ┘
//! ```

use std::sync::{Arc, mpsc as blocking};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::proto::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use super::proto::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use super::proto::resource::v1::Resource;
use super::recorder::Recorder;
use super::{otlp, snapshot, span};
use crate::engine::Spawner;
use crate::message::Message;
use crate::timer::after;
use crate::{Channel, ChannelError, ClientTls, Kind, Method, Status};

const METRICS: Method =
    Method::new("/opentelemetry.proto.collector.metrics.v1.MetricsService/Export", Kind::Unary);
const TRACES: Method =
    Method::new("/opentelemetry.proto.collector.trace.v1.TraceService/Export", Kind::Unary);

/// How long spans wait for others.
const SPANS_INTERVAL: Duration = Duration::from_secs(5);

/// The longest that a collector gets for one request, with retries.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);

/// What OTLP says is worth another attempt.
const SERVICE_CONFIG: &str = r#"{"methodConfig": [{"name": [{}], "retryPolicy": {
    "maxAttempts": 5, "initialBackoff": "0.5s", "maxBackoff": "5s", "backoffMultiplier": 2, "retryableStatusCodes":
    ["CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"]}}]}"#;

/// What the exporter is asked for.
#[derive(Debug)]
pub(super) enum Command {
    Flush(oneshot::Sender<()>),
    FlushBlocking(blocking::Sender<()>),
    End,
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Exporter {
    channel: Channel,
    resource: Resource,
    metrics_interval: Duration,
    /// The collector did not take what it got last.
    failing: bool,
}

impl Exporter {
    pub(super) fn new(
        endpoint: &str,
        resource: &[(String, String)],
        metrics_interval: Duration,
        spawner: &Spawner,
    ) -> Result<Self, ChannelError> {
        let (target, tls) = target_of(endpoint);
        let builder = Channel::builder(target).service_config(SERVICE_CONFIG).spawner(spawner.clone());
        let builder = if tls { builder.tls(ClientTls::new()) } else { builder };
        let channel = builder.build()?;
        Ok(Exporter { channel, resource: otlp::resource(resource), metrics_interval, failing: false })
    }

    /// Until nobody records any more.
    pub(super) async fn run(
        mut self,
        recorder: Arc<Recorder>,
        mut commands: mpsc::UnboundedReceiver<Command>,
    ) {
        let (mut metrics_at, mut spans_at) =
            (after(Instant::now(), self.metrics_interval), after(Instant::now(), SPANS_INTERVAL));
        loop {
            tokio::select! {
                biased;
                command = commands.recv() => match command {
                    Some(Command::Flush(done)) => {
                        self.flush(&recorder).await;
                        // Nobody waits any more if it took too long.
                        let _ = done.send(());
                    }
                    Some(Command::FlushBlocking(done)) => {
                        self.flush(&recorder).await;
                        let _ = done.send(());
                    }
                    Some(Command::End) => return,
                    None => return self.flush(&recorder).await,
                },
                () = recorder.spans.batch.notified() => self.send_spans(&recorder).await,
                () = sleep_until(spans_at) => {
                    self.send_spans(&recorder).await;
                    spans_at = after(Instant::now(), SPANS_INTERVAL);
                }
                () = sleep_until(metrics_at) => {
                    self.send_metrics(&recorder).await;
                    metrics_at = after(Instant::now(), self.metrics_interval);
                }
            }
        }
    }

    async fn flush(&mut self, recorder: &Recorder) {
        self.send_spans(recorder).await;
        self.send_metrics(recorder).await;
    }

    async fn send_spans(&mut self, recorder: &Recorder) {
        loop {
            let spans = recorder.spans.take();
            let count = spans.len();
            if count == 0 {
                return;
            }
            let request: ExportTraceServiceRequest = otlp::spans(spans, self.resource.clone());
            let sent = self.send::<_, ExportTraceServiceResponse>(&TRACES, request).await;
            match sent {
                Some(answer) => {
                    let rejected = answer.partial_success.map_or(0, |partial| partial.rejected_spans);
                    recorder.spans.dropped.add(u64::try_from(rejected).unwrap_or(0));
                }
                // The others wait for the next time, as far as there is room.
                None => return recorder.spans.dropped.add(count as u64),
            }
        }
    }

    async fn send_metrics(&mut self, recorder: &Recorder) {
        let metrics = snapshot::take(recorder);
        if metrics.is_empty() {
            return;
        }
        let request: ExportMetricsServiceRequest =
            otlp::metrics(metrics, self.resource.clone(), recorder.began, span::now());
        // What was not taken is part of what comes next.
        let _ = self.send::<_, ExportMetricsServiceResponse>(&METRICS, request).await;
    }

    /// `None` if the collector did not take it: nobody is told but the log, once.
    async fn send<Req: Message, Resp: Message>(&mut self, method: &Method, request: Req) -> Option<Resp> {
        let sent: Result<Resp, Status> = self.channel.unary(method, request).timeout(EXPORT_TIMEOUT).await;
        match sent {
            Ok(answer) => {
                if std::mem::take(&mut self.failing) {
                    tracing::info!("the collector takes telemetry again");
                }
                Some(answer)
            }
            Err(status) => {
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!(%status, "the collector does not take telemetry");
                }
                None
            }
        }
    }
}

/// The target of an endpoint, and whether it is one with TLS. A path behind it means nothing to gRPC.
fn target_of(endpoint: &str) -> (&str, bool) {
    for (scheme, tls) in [("http://", false), ("https://", true)] {
        if let Some(rest) = endpoint.strip_prefix(scheme) {
            return (rest.split('/').next().unwrap_or(rest), tls);
        }
    }
    (endpoint, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_targets_with_and_without_tls() {
        assert_eq!(target_of("http://collector:4317"), ("collector:4317", false));
        assert_eq!(target_of("https://collector:4317/v1/"), ("collector:4317", true));
        assert_eq!(target_of("dns:///collector:4317"), ("dns:///collector:4317", false));
        assert_eq!(target_of("unix:/run/otel"), ("unix:/run/otel", false));
    }
}
