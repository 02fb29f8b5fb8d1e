//! What telemetry is asked for, and what the environment says where nothing was.

use std::str::FromStr;
use std::time::Duration;

use super::export::Exporter;
use super::propagate::Tracing;
use super::recorder::Recorder;
use super::{Telemetry, TelemetryError};
use crate::Engine;
use crate::engine::Spawner;

/// The default of [`TelemetryBuilder::metrics_interval`].
pub(crate) const METRICS_INTERVAL: Duration = Duration::from_secs(60);

/// Where a collector listens as a rule.
const DEFAULT_ENDPOINT: &str = "http://localhost:4317";

/// Which calls of a server get a line in the access log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AccessLog {
    /// None.
    #[default]
    Off,
    /// Those that end otherwise than OK.
    Errors,
    /// All.
    All,
}

impl FromStr for AccessLog {
    type Err = TelemetryError;

    fn from_str(text: &str) -> Result<Self, TelemetryError> {
        match text {
            "off" => Ok(AccessLog::Off),
            "errors" => Ok(AccessLog::Errors),
            "all" => Ok(AccessLog::All),
            _ => Err(TelemetryError::new("access_log", text, "there are off, errors and all")),
        }
    }
}

/// In which form a trace goes from process to process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Propagator {
    /// W3C Trace Context: `traceparent` and `tracestate`.
    TraceContext,
    /// gRPC's older `grpc-trace-bin`.
    GrpcTraceBin,
}

impl FromStr for Propagator {
    type Err = TelemetryError;

    fn from_str(text: &str) -> Result<Self, TelemetryError> {
        match text {
            "tracecontext" => Ok(Propagator::TraceContext),
            "grpc-trace-bin" => Ok(Propagator::GrpcTraceBin),
            _ => Err(TelemetryError::new("propagators", text, "there are tracecontext and grpc-trace-bin")),
        }
    }
}

/// Settings of [`Telemetry`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct TelemetryBuilder {
    endpoint: Option<String>,
    service_name: Option<String>,
    resource_attributes: Option<String>,
    metrics: bool,
    metrics_interval: Duration,
    traces: bool,
    trace_ratio: f64,
    propagators: Vec<Propagator>,
    access_log: AccessLog,
    spawner: Spawner,
}

impl Default for TelemetryBuilder {
    fn default() -> Self {
        TelemetryBuilder {
            endpoint: None,
            service_name: None,
            resource_attributes: None,
            metrics: true,
            metrics_interval: METRICS_INTERVAL,
            traces: true,
            trace_ratio: 1.0,
            propagators: vec![Propagator::TraceContext],
            access_log: AccessLog::Off,
            spawner: Spawner::Current,
        }
    }
}

impl TelemetryBuilder {
    /// Where metrics and spans are sent, by OTLP over gRPC: `http://host:port`, `https://host:port` for TLS, or a target. An
    /// empty text is nowhere: then they are there to be [read](Telemetry::metrics), and traces are handed on. By default
    /// what `OTEL_EXPORTER_OTLP_ENDPOINT` says, and else `http://localhost:4317`.
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = Some(endpoint.into());
        self
    }

    /// Whose telemetry it is, as `service.name`; by default what `OTEL_SERVICE_NAME` says, and else `unknown_service`.
    pub fn service_name(mut self, name: impl Into<String>) -> Self {
        self.service_name = Some(name.into());
        self
    }

    /// What else tells this process from others: `key=value,key=value`, with percent encoding. By default what
    /// `OTEL_RESOURCE_ATTRIBUTES` says.
    pub fn resource_attributes(mut self, attributes: impl Into<String>) -> Self {
        self.resource_attributes = Some(attributes.into());
        self
    }

    /// Whether calls are counted; `true` by default.
    pub fn metrics(mut self, metrics: bool) -> Self {
        self.metrics = metrics;
        self
    }

    /// How often metrics are sent; every 60 s by default.
    pub fn metrics_interval(mut self, interval: Duration) -> Self {
        self.metrics_interval = interval;
        self
    }

    /// Whether traces are recorded and handed on; `true` by default.
    pub fn traces(mut self, traces: bool) -> Self {
        self.traces = traces;
        self
    }

    /// How many of the traces that begin here are recorded, from 0 to 1, which is the default. Those that begin elsewhere
    /// are recorded if they are there.
    pub fn trace_ratio(mut self, ratio: f64) -> Self {
        self.trace_ratio = ratio;
        self
    }

    /// In which forms traces are handed on; all of them are written, and the first that is there is read. W3C Trace Context
    /// by default.
    pub fn propagators(mut self, propagators: impl IntoIterator<Item = Propagator>) -> Self {
        self.propagators = propagators.into_iter().collect();
        self
    }

    /// Which calls of a server get a line in the access log: `tracing` events of the target `spanwire::access`.
    pub fn access_log(mut self, access_log: AccessLog) -> Self {
        self.access_log = access_log;
        self
    }

    /// Sends from a lane of `engine`, instead of in the caller's tokio runtime.
    pub fn engine(mut self, engine: &Engine) -> Self {
        self.spawner = Spawner::Engine(engine.clone());
        self
    }

    /// Begins to record, and to send, unless that was turned off.
    ///
    /// # Errors
    /// A setting makes no sense.
    pub fn build(self) -> Result<Telemetry, TelemetryError> {
        if !(0.0..=1.0).contains(&self.trace_ratio) {
            let reason = "it is not from 0 to 1";
            return Err(TelemetryError::new("trace_ratio", &self.trace_ratio.to_string(), reason));
        }
        if self.metrics_interval.is_zero() {
            return Err(TelemetryError::new("metrics_interval", "0", "it has to take some time"));
        }
        let environment = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let (endpoint, resource) = self.destination(environment)?;
        let tracing = Tracing { propagators: self.propagators, ratio: self.trace_ratio };
        let recorder = Recorder::new(self.metrics, self.traces.then_some(tracing), self.access_log);
        if endpoint.is_empty() {
            return Ok(Telemetry::recording(recorder));
        }
        let exporter = Exporter::new(&endpoint, &resource, self.metrics_interval, &self.spawner)
            .map_err(|error| TelemetryError::new("endpoint", &endpoint, &error.to_string()))?;
        Ok(Telemetry::exporting(recorder, exporter, &self.spawner))
    }

    /// Where to send, and as whose telemetry.
    fn destination(
        &self,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<(String, Vec<(String, String)>), TelemetryError> {
        let said = |said: &Option<String>, name: &str| said.clone().or_else(|| environment(name));
        let endpoint = said(&self.endpoint, "OTEL_EXPORTER_OTLP_ENDPOINT");
        let endpoint = endpoint.unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned());
        let attributes = said(&self.resource_attributes, "OTEL_RESOURCE_ATTRIBUTES");
        let mut resource = attributes.as_deref().map(resource_attributes).transpose()?.unwrap_or_default();
        if let Some(name) = said(&self.service_name, "OTEL_SERVICE_NAME") {
            resource.retain(|(key, _)| key != SERVICE_NAME);
            resource.push((SERVICE_NAME.to_owned(), name));
        } else if !resource.iter().any(|(key, _)| key == SERVICE_NAME) {
            resource.push((SERVICE_NAME.to_owned(), "unknown_service".to_owned()));
        }
        Ok((endpoint, resource))
    }
}

const SERVICE_NAME: &str = "service.name";

/// Reads what `OTEL_RESOURCE_ATTRIBUTES` has.
fn resource_attributes(text: &str) -> Result<Vec<(String, String)>, TelemetryError> {
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (key, value) = pair.split_once('=')?;
            let key = key.trim();
            (!key.is_empty()).then_some((key.to_owned(), percent_decoded(value.trim())?))
        })
        .collect::<Option<_>>()
        .ok_or_else(|| TelemetryError::new("resource_attributes", text, "it is not of the form key=value,…"))
}

fn percent_decoded(text: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::new(), text);
    while let Some((plain, coded)) = rest.split_once('%') {
        bytes.extend_from_slice(plain.as_bytes());
        bytes.push(u8::from_str_radix(coded.get(..2)?, 16).ok()?);
        rest = coded.get(2..)?;
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(
        builder: TelemetryBuilder,
        environment: &[(&str, &str)],
    ) -> Result<(String, String), TelemetryError> {
        let known = |name: &str| {
            environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let (endpoint, resource) = builder.destination(known)?;
        let resource = resource.iter().map(|(key, value)| format!("{key}={value}"));
        Ok((endpoint, resource.collect::<Vec<_>>().join(",")))
    }

    #[test]
    fn environment_counts_where_nothing_was_said() {
        let environment = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:1"),
            ("OTEL_SERVICE_NAME", "orders"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=other, zone = a%2Cb"),
        ];
        let of_both = built(TelemetryBuilder::default(), &environment).unwrap();
        assert_eq!(of_both, ("http://collector:1".to_owned(), "zone=a,b,service.name=orders".to_owned()));
        let said = TelemetryBuilder::default()
            .endpoint("http://elsewhere:2")
            .service_name("carts")
            .resource_attributes("zone=b");
        assert_eq!(
            built(said, &environment).unwrap(),
            ("http://elsewhere:2".to_owned(), "zone=b,service.name=carts".to_owned())
        );
        assert_eq!(
            built(TelemetryBuilder::default(), &[]).unwrap(),
            ("http://localhost:4317".to_owned(), "service.name=unknown_service".to_owned())
        );
        let named = built(TelemetryBuilder::default().resource_attributes("service.name=a"), &[]).unwrap();
        assert_eq!(named.1, "service.name=a");
    }

    #[tokio::test]
    async fn settings_that_make_no_sense_are_refused() {
        let new = TelemetryBuilder::default;
        for (builder, named) in [
            (new().trace_ratio(1.5), "trace_ratio"),
            (new().trace_ratio(f64::NAN), "trace_ratio"),
            (new().metrics_interval(Duration::ZERO), "metrics_interval"),
            (new().endpoint("http://"), "endpoint"),
            (new().resource_attributes("zone"), "resource_attributes"),
            (new().resource_attributes("zone=%x"), "resource_attributes"),
        ] {
            let error = builder.build().expect_err(named).to_string();
            assert!(error.starts_with(named), "{error}");
        }
        assert!("some".parse::<AccessLog>().is_err());
        assert!("b3".parse::<Propagator>().is_err());
    }
}
