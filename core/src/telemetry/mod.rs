//! Observability of calls: metrics, traces and an access log, by OpenTelemetry's rules.
//!
//! A [`Telemetry`] is given to channels and servers. What they do is recorded under the names of gRPC's proposals (A66, A72,
//! A94, A96), and sent to a collector by OTLP.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use spanwire::{Channel, Server, Telemetry};
//!
//! let telemetry = Telemetry::builder().service_name("orders").endpoint("http://localhost:4317").build()?;
//! let server = Server::builder().telemetry(&telemetry);
//! let channel = Channel::builder("dns:///carts:50051").telemetry(&telemetry).build()?;
//! // Before the program ends: what was not sent yet.
//! telemetry.shutdown(std::time::Duration::from_millis(10)).await;
//! # Ok(())
//! # }
//! ```
//!
//! How that is done, and what it costs, is told in `docs/decisions/0041-telemetry-of-our-own.md`.

mod cells;
mod export;
#[allow(unreachable_pub, reason = "generated for any place")]
mod generated;
mod options;
mod otlp;
mod places;
mod propagate;
mod recorder;
mod snapshot;
mod span;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use export::{Command, Exporter};
pub use options::{AccessLog, Propagator, TelemetryBuilder};
use recorder::Recorder;
pub use snapshot::{Metric, MetricPoint, MetricValue};

use crate::engine::Spawner;
use crate::{ChannelBuilder, ServerBuilder};

/// The messages and services of OTLP, as far as they are sent: for programs that receive them, such as tests.
pub use generated::opentelemetry::proto;

/// See the [module](self). Cheap to clone; sending ends, after what is left, when the last clone and all that it was given to
/// are gone.
#[derive(Clone, Debug)]
pub struct Telemetry {
    recorder: Arc<Recorder>,
    exporter: Option<mpsc::UnboundedSender<Command>>,
}

/// A setting of [`Telemetry`] makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {value:?} cannot be used: {reason}")]
pub struct TelemetryError {
    setting: &'static str,
    value: String,
    reason: String,
}

impl TelemetryError {
    fn new(setting: &'static str, value: &str, reason: &str) -> Self {
        TelemetryError { setting, value: value.to_owned(), reason: reason.to_owned() }
    }
}

impl Telemetry {
    /// Starts the settings.
    pub fn builder() -> TelemetryBuilder {
        TelemetryBuilder::default()
    }

    fn recording(recorder: Recorder) -> Self {
        Telemetry { recorder: Arc::new(recorder), exporter: None }
    }

    fn exporting(recorder: Recorder, exporter: Exporter, spawner: &Spawner) -> Self {
        let recorder = Arc::new(recorder);
        let (sender, commands) = mpsc::unbounded_channel();
        spawner.spawn(exporter.run(recorder.clone(), commands));
        Telemetry { recorder, exporter: Some(sender) }
    }

    fn recorder(&self) -> &Arc<Recorder> {
        &self.recorder
    }

    /// All metrics as they are now, for programs that hand them on in their own way.
    #[must_use]
    pub fn metrics(&self) -> Vec<Metric> {
        snapshot::take(&self.recorder)
    }

    /// Sends what was not sent yet, and waits for that no longer than `timeout`. Recording goes on.
    pub async fn flush(&self, timeout: Duration) {
        if let Some(exporter) = &self.exporter {
            let (done, waits) = oneshot::channel();
            // Errors mean that there is nobody to send, or no time: that is not the caller's affair.
            if exporter.send(Command::Flush(done)).is_ok() {
                let _ = tokio::time::timeout(timeout, waits).await;
            }
        }
    }

    /// Sends what was not sent yet, for no longer than `timeout`, and nothing more after that.
    pub async fn shutdown(&self, timeout: Duration) {
        self.flush(timeout).await;
        if let Some(exporter) = &self.exporter {
            // It has ended already if nobody listens.
            let _ = exporter.send(Command::End);
        }
    }

    /// The same as [`Telemetry::shutdown`] for a thread that no runtime runs on.
    pub(crate) fn end_within(&self, timeout: Duration) {
        if let Some(exporter) = &self.exporter {
            let (done, waits) = std::sync::mpsc::channel();
            // As above.
            if exporter.send(Command::FlushBlocking(done)).is_ok() {
                let _ = waits.recv_timeout(timeout);
            }
            let _ = exporter.send(Command::End);
        }
    }
}

impl ChannelBuilder {
    /// Records what the channel's calls do; see [telemetry](crate::telemetry). Nothing by default.
    pub fn telemetry(self, telemetry: &Telemetry) -> Self {
        self.watcher(Arc::new(telemetry.clone()))
    }
}

impl ServerBuilder {
    /// Records what the server's calls do; see [telemetry](crate::telemetry). Nothing by default.
    pub fn telemetry(self, telemetry: &Telemetry) -> Self {
        self.watch(Arc::new(telemetry.clone()))
    }
}
