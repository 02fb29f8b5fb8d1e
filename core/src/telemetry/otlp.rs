//! Metrics and spans in the form of OTLP.

use std::time::Duration;

use super::proto::collector::metrics::v1::ExportMetricsServiceRequest;
use super::proto::collector::trace::v1::ExportTraceServiceRequest;
use super::proto::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use super::proto::metrics::v1::{
    AggregationTemporality, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum, metric, number_data_point,
};
use super::proto::resource::v1::Resource;
use super::proto::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span, status};
use super::snapshot::{self, MetricPoint, MetricValue};
use super::span::{Calendar, Event, SpanKind, Value};

/// A span's flags: whether its parent is one of another process is known, and it is.
const REMOTE_KNOWN: u32 = 0x100;
const REMOTE: u32 = 0x200;

/// Whose telemetry it is.
pub(super) fn resource(attributes: &[(String, String)]) -> Resource {
    let attributes = attributes.iter().map(|(key, value)| text(key, value));
    let sdk = [
        text("telemetry.sdk.name", "spanwire"),
        text("telemetry.sdk.language", "rust"),
        text("telemetry.sdk.version", env!("CARGO_PKG_VERSION")),
    ];
    Resource { attributes: attributes.chain(sdk).collect(), dropped_attributes_count: 0 }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "grpc-spanwire".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}

fn value(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) }
}

fn text(key: &str, text: &str) -> KeyValue {
    value(key, any_value::Value::StringValue(text.to_owned()))
}

fn number(key: &str, number: u64) -> KeyValue {
    value(key, any_value::Value::IntValue(i64::try_from(number).unwrap_or(i64::MAX)))
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Metrics that count from `began` to `now`.
pub(super) fn metrics(
    metrics: Vec<snapshot::Metric>,
    resource: Resource,
    began: Duration,
    now: Duration,
) -> ExportMetricsServiceRequest {
    let metrics = metrics.into_iter().map(|metric| one_metric(metric, nanos(began), nanos(now)));
    let scope_metrics =
        ScopeMetrics { scope: Some(scope()), metrics: metrics.collect(), ..Default::default() };
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(resource),
            scope_metrics: vec![scope_metrics],
            ..Default::default()
        }],
    }
}

fn one_metric(metric: snapshot::Metric, began: u64, now: u64) -> Metric {
    let snapshot::Metric { name, unit, description, points } = metric;
    let monotonic = !matches!(points.first().map(|point| &point.value), Some(MetricValue::UpDown(_)));
    let (mut sums, mut histograms) = (Vec::new(), Vec::new());
    for MetricPoint { labels, value } in points {
        let attributes: Vec<_> = labels.iter().map(|(key, value)| text(key, value)).collect();
        let sum = |number| NumberDataPoint {
            attributes: attributes.clone(),
            start_time_unix_nano: began,
            time_unix_nano: now,
            value: Some(number_data_point::Value::AsInt(number)),
            ..Default::default()
        };
        match value {
            MetricValue::Sum(number) => sums.push(sum(i64::try_from(number).unwrap_or(i64::MAX))),
            MetricValue::UpDown(number) => sums.push(sum(number)),
            MetricValue::Histogram { bounds, counts, sum } => histograms.push(HistogramDataPoint {
                attributes,
                start_time_unix_nano: began,
                time_unix_nano: now,
                count: counts.iter().sum(),
                sum: Some(sum),
                bucket_counts: counts,
                explicit_bounds: bounds.to_vec(),
                ..Default::default()
            }),
        }
    }
    let aggregation_temporality = AggregationTemporality::Cumulative as i32;
    let data = if histograms.is_empty() {
        metric::Data::Sum(Sum { data_points: sums, aggregation_temporality, is_monotonic: monotonic })
    } else {
        metric::Data::Histogram(Histogram { data_points: histograms, aggregation_temporality })
    };
    Metric {
        name: name.to_owned(),
        unit: unit.to_owned(),
        description: description.to_owned(),
        data: Some(data),
    }
}

/// Spans that have ended.
pub(super) fn spans(spans: Vec<super::span::Span>, resource: Resource) -> ExportTraceServiceRequest {
    let calendar = Calendar::now();
    let spans = spans.into_iter().map(|span| one_span(span, &calendar)).collect();
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource),
            scope_spans: vec![ScopeSpans { scope: Some(scope()), spans, ..Default::default() }],
            ..Default::default()
        }],
    }
}

fn one_span(span: super::span::Span, calendar: &Calendar) -> Span {
    let nanos = |moment| nanos(calendar.since_1970(moment));
    let description = span.description().into_owned();
    let code = if span.code == crate::Code::Ok { status::StatusCode::Ok } else { status::StatusCode::Error };
    let kind = match span.kind {
        SpanKind::Internal => span::SpanKind::Internal,
        SpanKind::Server => span::SpanKind::Server,
        SpanKind::Client => span::SpanKind::Client,
    };
    let remote = span.parent.is_some_and(|parent| parent.remote);
    let sampled = u32::from(span.context.is_sampled());
    Span {
        trace_id: span.context.trace_id().to_vec(),
        span_id: span.context.span_id().to_vec(),
        trace_state: span.context.state().unwrap_or_default().to_owned(),
        parent_span_id: span.parent.map(|parent| parent.span_id.to_vec()).unwrap_or_default(),
        flags: sampled | REMOTE_KNOWN | if remote { REMOTE } else { 0 },
        name: (*span.name).to_owned(),
        kind: kind as i32,
        start_time_unix_nano: nanos(span.began),
        end_time_unix_nano: nanos(span.ended),
        attributes: span
            .attributes
            .into_iter()
            .map(|(key, known)| match known {
                Value::Number(known) => number(key, known),
                Value::Flag(known) => value(key, any_value::Value::BoolValue(known)),
            })
            .collect(),
        events: span.events.into_iter().map(|event| one_event(event, calendar)).collect(),
        dropped_events_count: span.dropped_events,
        status: Some(Status { message: description, code: code as i32 }),
        ..Default::default()
    }
}

fn one_event(event: Event, calendar: &Calendar) -> span::Event {
    let attributes = event.attributes.into_iter().flatten().map(|(key, known)| number(key, known));
    span::Event {
        time_unix_nano: nanos(calendar.since_1970(event.at)),
        name: event.name.to_owned(),
        attributes: attributes.collect(),
        dropped_attributes_count: 0,
    }
}
