//! Metrics as plain data: every instrument with its points at one moment.

use super::cells::{Bounds, StreamCells, Sums};
use super::recorder::Recorder;
use crate::Code;
use crate::stats::{WEIGHT_BOUNDS, WeightSums};

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

        /// All that there are.
        #[cfg(test)]
        const ALL: &[&Instrument] = &[$(&$id),+];
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
    WRR_FALLBACK = "grpc.lb.wrr.rr_fallback" "{update}" "Updates of weights with too few to weigh by";
    WRR_NOT_YET_USABLE = "grpc.lb.wrr.endpoint_weight_not_yet_usable" "{endpoint}" "Endpoints in updates whose weight does not count yet";
    WRR_STALE = "grpc.lb.wrr.endpoint_weight_stale" "{endpoint}" "Endpoints in updates whose weight is too old";
    WRR_WEIGHTS = "grpc.lb.wrr.endpoint_weights" "{weight}" "Weights of endpoints in updates, 0 for one that does not count";
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

/// Nothing, where the policy is another one.
fn weighted_round_robin(metrics: &mut Metrics, labels: &Labels, sums: WeightSums) {
    metrics.add_sum(&WRR_FALLBACK, labels, sums.fell_back);
    metrics.add_sum(&WRR_NOT_YET_USABLE, labels, sums.not_yet_usable);
    metrics.add_sum(&WRR_STALE, labels, sums.stale);
    if sums.counts.iter().any(|count| *count > 0) {
        let counts = sums.counts.to_vec();
        let value = MetricValue::Histogram { bounds: &WEIGHT_BOUNDS, counts, sum: sums.sum };
        metrics.add(&WRR_WEIGHTS, labels, value);
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
        let mut weights = WeightSums::default();
        for counters in cells.counters() {
            connected += counters.connected.get();
            failed += counters.failed.get();
            ended += counters.disconnected.get();
            weights += &counters.weights.read();
        }
        weighted_round_robin(metrics, &labels, weights);
        metrics.add_sum(&CONNECTED, &labels, connected);
        metrics.add_sum(&NOT_CONNECTED, &labels, failed);
        metrics.add_sum(&DISCONNECTED, &labels, ended);
        if connected > 0 {
            let open = i64::try_from(connected.saturating_sub(ended)).unwrap_or(i64::MAX);
            metrics.add(&OPEN_CONNECTIONS, &labels, MetricValue::UpDown(open));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::WeightUpdate;

    #[test]
    fn the_page_has_what_there_is() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/observability.md");
        let page = std::fs::read_to_string(path).unwrap();
        let (_, table) = page.split_once("| name | unit | labels | by |").unwrap();
        let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
        let shown: Vec<_> = rows
            .map(|row| {
                let cells: Vec<_> = row.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
                (cells[1].to_owned(), cells[2].to_owned())
            })
            .collect();
        let all: Vec<_> = ALL.iter().map(|one| (one.name.to_owned(), one.unit.to_owned())).collect();
        for row in &shown {
            assert!(all.contains(row), "{row:?} is not there");
        }
        for instrument in &all {
            assert!(shown.contains(instrument), "{instrument:?} is not on the page");
        }
        assert_eq!(shown.len(), all.len());
    }

    #[test]
    fn weights_are_shown_where_there_are_some() {
        let (mut metrics, counts) = (Metrics::default(), crate::stats::WeightCounts::default());
        weighted_round_robin(&mut metrics, &Vec::new(), counts.read());
        assert!(metrics.0.is_empty(), "{:?}", metrics.0);
        for _ in 0..2 {
            let weights = vec![0.0, 5.0, 5.5, 20_000.0];
            counts.update(&WeightUpdate { fell_back: true, not_yet_usable: 1, stale: 2, weights });
        }
        weighted_round_robin(&mut metrics, &Vec::new(), counts.read());
        let values: Vec<_> = metrics.0.iter().map(|metric| metric.points[0].value.clone()).collect();
        assert_eq!(values[..3], [2, 2, 4].map(MetricValue::Sum));
        let MetricValue::Histogram { bounds, counts, sum } = &values[3] else { panic!("{values:?}") };
        assert_eq!((counts.len(), counts[..3].to_vec(), counts[15]), (bounds.len() + 1, vec![2, 2, 2], 2));
        assert_eq!(*sum, 40_021.0);
    }
}
