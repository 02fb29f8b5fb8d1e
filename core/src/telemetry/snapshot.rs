//! Metrics as plain data: every instrument with its points at one moment.

use super::cells::{Bounds, StreamCells, Sums};
use super::recorder::Recorder;
use crate::Code;

/// One instrument, with a point for each set of labels.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Metric {
    /// Such as `grpc.client.attempt.duration`.
    pub name: &'static str,
    /// As UCUM writes it, such as `s`, `By` and `{call}`.
    pub unit: &'static str,
    /// What it counts.
    pub description: &'static str,
    /// What was counted.
    pub points: Vec<MetricPoint>,
}

/// What one set of labels adds up to since recording began.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct MetricPoint {
    /// Names and values, such as `grpc.method`.
    pub labels: Vec<(&'static str, String)>,
    /// What was counted.
    pub value: MetricValue,
}

/// The value of a point.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum MetricValue {
    /// Only grows.
    Sum(u64),
    /// Grows and shrinks.
    UpDown(i64),
    /// How often there was a value in each range.
    Histogram {
        /// The upper bounds of all buckets but the last one, each inside of its bucket.
        bounds: &'static [f64],
        /// One more than there are bounds.
        counts: Vec<u64>,
        /// What all values add up to.
        sum: f64,
    },
}

/// What an instrument is called, and counts.
struct Instrument {
    name: &'static str,
    unit: &'static str,
    description: &'static str,
}

macro_rules! instruments {
    ($($id:ident = $name:literal $unit:literal $description:literal;)+) => {
        $(const $id: Instrument = Instrument { name: $name, unit: $unit, description: $description };)+
    };
}

// gRFC A66, A94, A96 and A78
instruments! {
    ATTEMPTS_STARTED = "grpc.client.attempt.started" "{attempt}" "Attempts of calls that were begun";
    ATTEMPT_DURATION = "grpc.client.attempt.duration" "s" "How long attempts took, with the choice of a connection";
    ATTEMPT_SENT = "grpc.client.attempt.sent_total_compressed_message_size" "By" "Request messages of an attempt";
    ATTEMPT_RECEIVED = "grpc.client.attempt.rcvd_total_compressed_message_size" "By" "Response messages of an attempt";
    CALL_DURATION = "grpc.client.call.duration" "s" "How long calls took, with all of their attempts";
    RETRIES = "grpc.client.call.retries" "{retry}" "Retries of a call that had some";
    TRANSPARENT_RETRIES = "grpc.client.call.transparent_retries" "{transparent_retry}" "Transparent retries of a call that had some";
    HEDGES = "grpc.client.call.hedges" "{hedge}" "Hedges of a call that had some";
    RETRY_DELAY = "grpc.client.call.retry_delay" "s" "How long a call had no attempt under way, between two of them";
    SERVER_STARTED = "grpc.server.call.started" "{call}" "Calls that were begun";
    SERVER_SENT = "grpc.server.call.sent_total_compressed_message_size" "By" "Response messages of a call";
    SERVER_RECEIVED = "grpc.server.call.rcvd_total_compressed_message_size" "By" "Request messages of a call";
    SERVER_DURATION = "grpc.server.call.duration" "s" "How long calls took";
    CONNECTED = "grpc.subchannel.connection_attempts_succeeded" "{attempt}" "Connections that were made";
    NOT_CONNECTED = "grpc.subchannel.connection_attempts_failed" "{attempt}" "Attempts to connect that failed";
    DISCONNECTED = "grpc.subchannel.disconnections" "{disconnection}" "Connections that ended";
    OPEN_CONNECTIONS = "grpc.subchannel.open_connections" "{connection}" "Connections that are open";
    DROPPED_SPANS = "spanwire.telemetry.dropped_spans" "{span}" "Spans that were not sent";
}

const METHOD: &str = "grpc.method";
const TARGET: &str = "grpc.target";
const STATUS: &str = "grpc.status";

type Labels = Vec<(&'static str, String)>;

/// Metrics in the making.
#[derive(Default)]
struct Metrics(Vec<Metric>);

impl Metrics {
    fn add(&mut self, instrument: &Instrument, labels: &Labels, value: MetricValue) {
        let point = MetricPoint { labels: labels.clone(), value };
        match self.0.iter_mut().find(|metric| metric.name == instrument.name) {
            Some(metric) => metric.points.push(point),
            None => self.0.push(Metric {
                name: instrument.name,
                unit: instrument.unit,
                description: instrument.description,
                points: vec![point],
            }),
        }
    }

    fn add_sum(&mut self, instrument: &Instrument, labels: &Labels, sum: u64) {
        if sum > 0 {
            self.add(instrument, labels, MetricValue::Sum(sum));
        }
    }

    fn add_histogram(&mut self, instrument: &Instrument, labels: &Labels, sums: Option<Sums>) {
        let Some(Sums { bounds: Bounds { shown, scale, .. }, counts, sum }) = sums else { return };
        let value = MetricValue::Histogram { bounds: shown, counts, sum: sum as f64 / scale };
        self.add(instrument, labels, value);
    }

    /// Started, duration, sent and received.
    fn add_streams(&mut self, instruments: [&Instrument; 4], labels: &Labels, cells: &StreamCells) {
        let [started, duration, sent, received] = instruments;
        self.add_sum(started, labels, cells.started());
        for code in Code::ALL {
            let Some(ended) = cells.ended(code) else { continue };
            let labels = with_status(labels, code);
            for (instrument, sums) in [duration, sent, received].into_iter().zip(ended) {
                self.add_histogram(instrument, &labels, Some(sums));
            }
        }
    }
}

fn with_status(labels: &Labels, code: Code) -> Labels {
    let mut labels = labels.clone();
    labels.push((STATUS, code.name().to_owned()));
    labels
}

/// All metrics that have a point.
pub(super) fn take(recorder: &Recorder) -> Vec<Metric> {
    let mut metrics = Metrics::default();
    if recorder.metrics {
        client(&mut metrics, recorder);
        for (name, method) in recorder.server_methods() {
            let instruments = [&SERVER_STARTED, &SERVER_DURATION, &SERVER_SENT, &SERVER_RECEIVED];
            metrics.add_streams(instruments, &vec![(METHOD, name)], &method.calls);
        }
    }
    metrics.add_sum(&DROPPED_SPANS, &Vec::new(), recorder.spans.dropped.get());
    metrics.0
}

fn client(metrics: &mut Metrics, recorder: &Recorder) {
    for (target, cells) in recorder.targets() {
        for method in cells.methods() {
            let labels = vec![(METHOD, method.name.clone()), (TARGET, target.clone())];
            let instruments = [&ATTEMPTS_STARTED, &ATTEMPT_DURATION, &ATTEMPT_SENT, &ATTEMPT_RECEIVED];
            metrics.add_streams(instruments, &labels, &method.attempts);
            let calls = &method.calls;
            for code in Code::ALL {
                metrics.add_histogram(&CALL_DURATION, &with_status(&labels, code), calls.durations(code));
            }
            for (instrument, histogram) in [
                (&RETRIES, &calls.retries),
                (&TRANSPARENT_RETRIES, &calls.transparent_retries),
                (&HEDGES, &calls.hedges),
                (&RETRY_DELAY, &calls.retry_delay),
            ] {
                let sums = Sums::of(histogram.bounds(), [histogram].into_iter());
                metrics.add_histogram(instrument, &labels, sums);
            }
        }
        let labels = vec![(TARGET, target)];
        let (mut connected, mut failed, mut ended) = (0, 0, 0);
        for counters in cells.counters() {
            connected += counters.connected.get();
            failed += counters.failed.get();
            ended += counters.disconnected.get();
        }
        metrics.add_sum(&CONNECTED, &labels, connected);
        metrics.add_sum(&NOT_CONNECTED, &labels, failed);
        metrics.add_sum(&DISCONNECTED, &labels, ended);
        if connected > 0 {
            let open = i64::try_from(connected.saturating_sub(ended)).unwrap_or(i64::MAX);
            metrics.add(&OPEN_CONNECTIONS, &labels, MetricValue::UpDown(open));
        }
    }
}
