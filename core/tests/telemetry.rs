//! Metrics and traces of calls, in virtual time, inside of the process; and what a collector gets of them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use spanwire::server::{Handler, Service};
use spanwire::telemetry::proto::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use spanwire::telemetry::proto::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use spanwire::telemetry::proto::common::v1::{KeyValue, any_value::Value};
use spanwire::telemetry::proto::metrics::v1::metric::Data;
use spanwire::telemetry::proto::trace::v1::{Span, span::SpanKind, status::StatusCode};
use spanwire::telemetry::{Metric, MetricPoint, MetricValue, Propagator};
use spanwire::{
    Channel, ChannelBuilder, Code, Encoding, Kind, Method, Raw, Server, ServerBuilder, Status, Telemetry,
    TraceContext,
};
use support::{CHAT, ECHO, Echo, FAIL, SLEEP};

const HAND_ON: Method = Method::new("/test.Front/HandOn", Kind::Unary);
const FLAKY: Method = Method::new("/test.Front/Flaky", Kind::Unary);

/// Hands calls on to another service, and fails as it is told to.
#[derive(Clone)]
struct Front {
    behind: Channel,
    failures: Arc<Mutex<usize>>,
    /// The place in a trace that the handler saw.
    seen: Arc<Mutex<Option<TraceContext>>>,
}

impl Front {
    fn new(behind: Channel) -> Self {
        Front { behind, failures: Arc::default(), seen: Arc::default() }
    }
}

impl Service for Front {
    fn name(&self) -> &'static str {
        "test.Front"
    }

    fn methods(&self) -> Vec<(&'static str, Handler)> {
        let this = Arc::new(self.clone());
        vec![
            (
                "HandOn",
                Handler::unary(this.clone(), |this, request: Raw, context| async move {
                    *this.seen.lock().unwrap() = context.trace().cloned();
                    let answer = this.behind.unary::<Raw, Raw>(&ECHO, request).await;
                    (answer, context)
                }),
            ),
            (
                "Flaky",
                Handler::unary(this, |this, request: Raw, context| async move {
                    let mut failures = this.failures.lock().unwrap();
                    let result = match failures.checked_sub(1) {
                        Some(left) => {
                            *failures = left;
                            Err(Status::unavailable("down"))
                        }
                        None => Ok(request),
                    };
                    (result, context)
                }),
            ),
        ]
    }
}

/// A collector that keeps what it gets.
#[derive(Clone, Default)]
struct Collector {
    metrics: Arc<Mutex<Vec<ExportMetricsServiceRequest>>>,
    traces: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
}

struct MetricsSide(Collector);
struct TracesSide(Collector);

impl Service for MetricsSide {
    fn name(&self) -> &'static str {
        "opentelemetry.proto.collector.metrics.v1.MetricsService"
    }

    fn methods(&self) -> Vec<(&'static str, Handler)> {
        let run = |this: Arc<Collector>, request, context| async move {
            this.metrics.lock().unwrap().push(request);
            (Ok(ExportMetricsServiceResponse::default()), context)
        };
        vec![("Export", Handler::unary(Arc::new(self.0.clone()), run))]
    }
}

impl Service for TracesSide {
    fn name(&self) -> &'static str {
        "opentelemetry.proto.collector.trace.v1.TraceService"
    }

    fn methods(&self) -> Vec<(&'static str, Handler)> {
        let run = |this: Arc<Collector>, request, context| async move {
            this.traces.lock().unwrap().push(request);
            (Ok(ExportTraceServiceResponse::default()), context)
        };
        vec![("Export", Handler::unary(Arc::new(self.0.clone()), run))]
    }
}

impl Collector {
    async fn serve(&self, name: &str) {
        let builder = Server::builder().service(MetricsSide(self.clone())).service(TracesSide(self.clone()));
        serve(builder, name).await;
    }

    fn spans(&self) -> Vec<Span> {
        let requests = self.traces.lock().unwrap();
        let scopes =
            requests.iter().flat_map(|request| &request.resource_spans).flat_map(|of| &of.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }
}

async fn serve(builder: ServerBuilder, name: &str) {
    let server = builder.bind(&format!("inprocess:{name}")).await.unwrap();
    tokio::spawn(server.run());
}

fn channel(name: &str) -> ChannelBuilder {
    Channel::builder(&format!("inprocess:{name}"))
}

/// Telemetry that is read, and sent nowhere.
fn kept() -> Telemetry {
    Telemetry::builder().endpoint("").build().unwrap()
}

fn metric(metrics: &[Metric], name: &str) -> Metric {
    metrics
        .iter()
        .find(|metric| metric.name == name)
        .cloned()
        .unwrap_or_else(|| panic!("{name}: {metrics:?}"))
}

fn points(telemetry: &Telemetry, name: &str) -> Vec<MetricPoint> {
    let metrics = telemetry.metrics();
    metrics.iter().find(|metric| metric.name == name).map(|metric| metric.points.clone()).unwrap_or_default()
}

/// How many values there were, and what they add up to.
fn histogram(point: &MetricPoint) -> (u64, f64) {
    match &point.value {
        MetricValue::Histogram { counts, sum, .. } => (counts.iter().sum(), *sum),
        other => panic!("{other:?} is no histogram"),
    }
}

fn labels(point: &MetricPoint) -> Vec<(&str, &str)> {
    point.labels.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

const LATENCY: &[f64] = &[
    0.0, 0.00001, 0.00005, 0.0001, 0.0003, 0.0006, 0.0008, 0.001, 0.002, 0.003, 0.004, 0.005, 0.006, 0.008,
    0.01, 0.013, 0.016, 0.02, 0.025, 0.03, 0.04, 0.05, 0.065, 0.08, 0.1, 0.13, 0.16, 0.2, 0.25, 0.3, 0.4,
    0.5, 0.65, 0.8, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0,
];
const SIZE: &[f64] = &[
    0.0,
    1024.0,
    2048.0,
    4096.0,
    16384.0,
    65536.0,
    262144.0,
    1048576.0,
    4194304.0,
    16777216.0,
    67108864.0,
    268435456.0,
    1073741824.0,
    4294967296.0,
];

/// Name, unit, labels and bounds of an instrument.
type Row<'a> = (&'a str, &'a str, &'a [&'a str], Option<&'a [f64]>);

// gRFC A66, A94, A96: the tables
#[tokio::test(start_paused = true)]
async fn instruments_are_those_of_the_proposals() {
    let telemetry = kept();
    let front = Front::new(channel("nobody").build().unwrap());
    *front.failures.lock().unwrap() = 2;
    serve(Server::builder().service(front).telemetry(&telemetry), "tables").await;
    let channel = channel("tables").telemetry(&telemetry).service_config(RETRY).build().unwrap();
    channel.unary::<Raw, Raw>(&FLAKY, Raw::from("x")).await.unwrap();
    let metrics = telemetry.metrics();
    let (by_target, by_both) = (["grpc.target"].as_slice(), ["grpc.method", "grpc.target"].as_slice());
    let by_all = ["grpc.method", "grpc.target", "grpc.status"].as_slice();
    let (by_method, by_status) = (["grpc.method"].as_slice(), ["grpc.method", "grpc.status"].as_slice());
    let retries = [1.0, 2.0, 3.0, 4.0, 5.0].as_slice();
    let table: [Row<'_>; 13] = [
        ("grpc.client.attempt.started", "{attempt}", by_both, None),
        ("grpc.client.attempt.duration", "s", by_all, Some(LATENCY)),
        ("grpc.client.attempt.sent_total_compressed_message_size", "By", by_all, Some(SIZE)),
        ("grpc.client.attempt.rcvd_total_compressed_message_size", "By", by_all, Some(SIZE)),
        ("grpc.client.call.duration", "s", by_all, Some(LATENCY)),
        ("grpc.client.call.retries", "{retry}", by_both, Some(retries)),
        ("grpc.client.call.retry_delay", "s", by_both, Some(LATENCY)),
        ("grpc.server.call.started", "{call}", by_method, None),
        ("grpc.server.call.duration", "s", by_status, Some(LATENCY)),
        ("grpc.server.call.sent_total_compressed_message_size", "By", by_status, Some(SIZE)),
        ("grpc.server.call.rcvd_total_compressed_message_size", "By", by_status, Some(SIZE)),
        ("grpc.subchannel.connection_attempts_succeeded", "{attempt}", by_target, None),
        ("grpc.subchannel.open_connections", "{connection}", by_target, None),
    ];
    for (name, unit, label_names, bounds) in table {
        let metric = metric(&metrics, name);
        assert_eq!(metric.unit, unit, "{name}");
        for point in &metric.points {
            let names: Vec<_> = point.labels.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, label_names, "{name}");
            match &point.value {
                MetricValue::Histogram { bounds: given, counts, .. } => {
                    assert_eq!(Some(*given), bounds, "{name}");
                    assert_eq!(counts.len(), given.len() + 1, "{name}");
                }
                _ => assert_eq!(bounds, None, "{name}"),
            }
        }
    }
    let mut names: Vec<_> = metrics.iter().map(|metric| metric.name).collect();
    let mut known: Vec<_> = table.iter().map(|(name, ..)| *name).collect();
    names.sort_unstable();
    known.sort_unstable();
    assert_eq!(names, known);
}

const RETRY: &str = r#"{"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 5, "initialBackoff": "1s",
    "maxBackoff": "1s", "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]}}]}"#;
const HEDGE: &str = r#"{"methodConfig": [{"name": [{}], "hedgingPolicy": {"maxAttempts": 3, "hedgingDelay": "1s",
    "nonFatalStatusCodes": ["UNAVAILABLE"]}}]}"#;

#[tokio::test(start_paused = true)]
async fn each_call_is_counted_with_its_status_and_sizes() {
    let (client, server) = (kept(), kept());
    serve(Server::builder().service(Echo::default()).telemetry(&server), "sizes").await;
    let channel = channel("sizes").telemetry(&client).build().unwrap();
    channel.unary::<Raw, Raw>(&ECHO, Raw::from(vec![7; 2000])).await.unwrap();
    let _ = channel.unary::<Raw, Raw>(&FAIL, Raw::from("why")).await.unwrap_err();
    let mut chat = channel.bidi::<Raw, Raw>(&CHAT).await.unwrap();
    for message in ["a", "bc", "def"] {
        chat.send(Raw::from(message)).await.unwrap();
        chat.next().await.unwrap().unwrap();
    }
    chat.half_close();
    assert!(chat.next().await.unwrap().is_none());
    for (telemetry, sent, received, target) in [
        (
            &client,
            "grpc.client.attempt.sent_total_compressed_message_size",
            "grpc.client.attempt.rcvd_total_compressed_message_size",
            Some(("grpc.target", "inprocess:sizes")),
        ),
        (
            &server,
            "grpc.server.call.rcvd_total_compressed_message_size",
            "grpc.server.call.sent_total_compressed_message_size",
            None,
        ),
    ] {
        for (name, failed) in [(sent, 3.0), (received, 0.0)] {
            let all = points(telemetry, name);
            let known: Vec<_> = all.iter().map(|point| (labels(point), histogram(point))).collect();
            let expect = |method, status, sum| {
                let mut labels = vec![("grpc.method", method)];
                labels.extend(target);
                labels.push(("grpc.status", status));
                (labels, (1, sum))
            };
            assert_eq!(
                known,
                [
                    expect("test.Echo/Chat", "OK", 6.0),
                    expect("test.Echo/Echo", "OK", 2000.0),
                    expect("test.Echo/Fail", "FAILED_PRECONDITION", failed),
                ],
                "{name}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn compressed_messages_count_as_they_are_on_the_wire() {
    let telemetry = kept();
    serve(Server::builder().service(Echo::default()), "compressed").await;
    let channel = channel("compressed").telemetry(&telemetry).build().unwrap();
    channel.unary::<Raw, Raw>(&ECHO, Raw::from(vec![7; 10_000])).compress(Encoding::Gzip).await.unwrap();
    let sent = points(&telemetry, "grpc.client.attempt.sent_total_compressed_message_size");
    let (_, sum) = histogram(&sent[0]);
    assert!(sum > 0.0 && sum < 200.0, "{sum}");
}

#[tokio::test(start_paused = true)]
async fn calls_that_nobody_waits_for_are_cancelled_ones() {
    let (client, server) = (kept(), kept());
    let echo = Echo::default();
    serve(Server::builder().service(echo.clone()).telemetry(&server), "cancelled").await;
    let channel = channel("cancelled").telemetry(&client).build().unwrap();
    let call = channel.unary::<Raw, Raw>(&SLEEP, Raw::from("x"));
    tokio::select! {
        _ = call => panic!("it sleeps"),
        () = echo.seen.notify.notified() => {}
    }
    let late = channel.unary::<Raw, Raw>(&SLEEP, Raw::from("x")).timeout(Duration::from_secs(3)).await;
    assert_eq!(late.unwrap_err().code(), Code::DeadlineExceeded);
    support::eventually("both have ended", || points(&server, "grpc.server.call.duration").len() == 2).await;
    for (telemetry, name) in [
        (&client, "grpc.client.call.duration"),
        (&client, "grpc.client.attempt.duration"),
        (&server, "grpc.server.call.duration"),
    ] {
        let all = points(telemetry, name);
        let statuses: Vec<_> = all.iter().map(|point| labels(point).last().unwrap().1).collect();
        assert_eq!(statuses, ["CANCELLED", "DEADLINE_EXCEEDED"], "{name}");
        let (count, seconds) = histogram(&all[1]);
        assert_eq!(count, 1);
        assert!((3.0..3.1).contains(&seconds), "{name}: {seconds}");
    }
}

#[tokio::test(start_paused = true)]
async fn methods_that_a_server_does_not_have_are_other() {
    let telemetry = kept();
    serve(Server::builder().service(Echo::default()).telemetry(&telemetry), "other").await;
    let channel = channel("other").build().unwrap();
    for path in ["/test.Echo/No", "/no.Service/Method"] {
        let _ = channel.unary::<Raw, Raw>(&Method::new(path, Kind::Unary), Raw::default()).await.unwrap_err();
    }
    let all = points(&telemetry, "grpc.server.call.duration");
    assert_eq!(labels(&all[0]), [("grpc.method", "other"), ("grpc.status", "UNIMPLEMENTED")]);
    assert_eq!((all.len(), histogram(&all[0]).0), (1, 2));
}

// gRFC A96
#[tokio::test(start_paused = true)]
async fn retries_and_their_delay_are_counted() {
    let telemetry = kept();
    let front = Front::new(channel("nobody").build().unwrap());
    serve(Server::builder().service(front.clone()), "retries").await;
    let channel = channel("retries").telemetry(&telemetry).service_config(RETRY).build().unwrap();
    let call = || channel.unary::<Raw, Raw>(&FLAKY, Raw::from("x"));
    call().await.unwrap();
    assert!(points(&telemetry, "grpc.client.call.retries").is_empty(), "none is not reported");
    assert!(points(&telemetry, "grpc.client.call.retry_delay").is_empty());
    *front.failures.lock().unwrap() = 3;
    call().await.unwrap();
    let retries = points(&telemetry, "grpc.client.call.retries");
    assert_eq!(
        labels(&retries[0]),
        [("grpc.method", "test.Front/Flaky"), ("grpc.target", "inprocess:retries")]
    );
    assert_eq!(histogram(&retries[0]), (1, 3.0));
    let (count, delay) = histogram(&points(&telemetry, "grpc.client.call.retry_delay")[0]);
    assert!(count == 1 && (2.4..=3.6).contains(&delay), "three pauses of a second: {delay}");
    assert_eq!(points(&telemetry, "grpc.client.attempt.started")[0].value, MetricValue::Sum(5));
    let attempts = points(&telemetry, "grpc.client.attempt.duration");
    let ends: Vec<_> = attempts.iter().map(|end| (labels(end)[2].1, histogram(end).0)).collect();
    assert_eq!(ends, [("OK", 2), ("UNAVAILABLE", 3)]);
    let calls = points(&telemetry, "grpc.client.call.duration");
    assert_eq!((calls.len(), histogram(&calls[0]).0), (1, 2));
    assert!(points(&telemetry, "grpc.client.call.hedges").is_empty());
}

// gRFC A96
#[tokio::test(start_paused = true)]
async fn hedges_are_counted_and_leave_no_delay() {
    let telemetry = kept();
    serve(Server::builder().service(Echo::default()), "hedges").await;
    let channel = channel("hedges").telemetry(&telemetry).service_config(HEDGE).build().unwrap();
    let call = channel.unary::<Raw, Raw>(&SLEEP, Raw::from("x")).timeout(Duration::from_secs(10));
    let _ = call.await.unwrap_err();
    assert_eq!(histogram(&points(&telemetry, "grpc.client.call.hedges")[0]), (1, 2.0));
    assert!(points(&telemetry, "grpc.client.call.retries").is_empty());
    assert!(points(&telemetry, "grpc.client.call.retry_delay").is_empty());
    assert_eq!(points(&telemetry, "grpc.client.attempt.started")[0].value, MetricValue::Sum(3));
    let attempts = points(&telemetry, "grpc.client.attempt.duration");
    assert_eq!(attempts.iter().map(|end| histogram(end).0).sum::<u64>(), 3, "{attempts:?}");
}

fn text<'a>(attributes: &'a [KeyValue], key: &str) -> &'a str {
    let found = attributes.iter().find(|pair| pair.key == key);
    match found.and_then(|pair| pair.value.as_ref()).and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text,
        other => panic!("{key}: {other:?}"),
    }
}

// gRFC A72
#[tokio::test(start_paused = true)]
async fn one_trace_goes_through_client_server_and_the_server_behind() {
    let collector = Collector::default();
    collector.serve("collector").await;
    let telemetry = Telemetry::builder()
        .endpoint("inprocess:collector")
        .service_name("front")
        .resource_attributes("zone=a")
        .build()
        .unwrap();
    serve(Server::builder().service(Echo::default()).telemetry(&telemetry), "behind").await;
    let front = Front::new(channel("behind").telemetry(&telemetry).build().unwrap());
    serve(Server::builder().service(front.clone()).telemetry(&telemetry), "front").await;
    let channel = channel("front").telemetry(&telemetry).build().unwrap();
    let caller: TraceContext = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().unwrap();
    let call =
        channel.unary::<Raw, Raw>(&HAND_ON, Raw::from("hello")).trace(caller.clone().with_state("a=1"));
    call.await.unwrap();
    telemetry.shutdown(Duration::from_secs(5)).await;

    let spans = collector.spans();
    let span = |name: &str| {
        spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("{name}: {spans:?}"))
    };
    let chain = [
        ("Sent.test.Front.HandOn", SpanKind::Internal),
        ("Attempt.test.Front.HandOn", SpanKind::Client),
        ("Recv.test.Front.HandOn", SpanKind::Server),
        ("Sent.test.Echo.Echo", SpanKind::Internal),
        ("Attempt.test.Echo.Echo", SpanKind::Client),
        ("Recv.test.Echo.Echo", SpanKind::Server),
    ];
    assert_eq!(spans.len(), chain.len());
    let mut parent = caller.span_id().to_vec();
    for (name, kind) in chain {
        let span = span(name);
        assert_eq!((&span.trace_id[..], &span.parent_span_id), (&caller.trace_id()[..], &parent), "{name}");
        assert_eq!((span.kind(), span.trace_state.as_str()), (kind, "a=1"), "{name}");
        assert_eq!(span.status.as_ref().unwrap().code(), StatusCode::Ok, "{name}");
        assert_eq!(span.flags & 0x300, if kind == SpanKind::Server { 0x300 } else { 0x100 }, "{name}");
        parent = span.span_id.clone();
    }
    let seen = front.seen.lock().unwrap().clone().unwrap();
    assert_eq!(seen.span_id().to_vec(), span("Recv.test.Front.HandOn").span_id, "what the handler sees");
    let attempt = span("Attempt.test.Front.HandOn");
    let keys: Vec<_> = attempt.attributes.iter().map(|pair| pair.key.as_str()).collect();
    assert_eq!(keys, ["previous-rpc-attempts", "transparent-retry"]);
    for (name, events) in [
        ("Attempt.test.Front.HandOn", ["Outbound message", "Inbound message"]),
        ("Recv.test.Front.HandOn", ["Inbound message", "Outbound message"]),
    ] {
        let span = span(name);
        let known: Vec<_> = span.events.iter().map(|event| event.name.as_str()).collect();
        assert_eq!(known, events, "{name}");
        for event in &span.events {
            let numbers = event.attributes.iter().map(|pair| {
                (pair.key.as_str(), pair.value.as_ref().and_then(|value| value.value.clone()).unwrap())
            });
            let numbers: Vec<_> = numbers.collect();
            assert_eq!(
                numbers,
                [("sequence-number", Value::IntValue(0)), ("message-size", Value::IntValue(5))],
                "{name}"
            );
        }
    }
    let requests = collector.traces.lock().unwrap();
    let resource = &requests[0].resource_spans[0].resource.as_ref().unwrap().attributes;
    assert_eq!((text(resource, "service.name"), text(resource, "zone")), ("front", "a"));
}

#[tokio::test(start_paused = true)]
async fn failures_are_errors_in_traces_and_retries_are_attempts() {
    let collector = Collector::default();
    collector.serve("failures").await;
    let telemetry = Telemetry::builder().endpoint("inprocess:failures").build().unwrap();
    let front = Front::new(channel("nobody").build().unwrap());
    *front.failures.lock().unwrap() = 1;
    serve(Server::builder().service(front), "flaky").await;
    let channel = channel("flaky").telemetry(&telemetry).service_config(RETRY).build().unwrap();
    channel.unary::<Raw, Raw>(&FLAKY, Raw::from("x")).await.unwrap();
    telemetry.flush(Duration::from_secs(5)).await;
    let spans = collector.spans();
    let attempts: Vec<_> = spans.iter().filter(|span| span.name == "Attempt.test.Front.Flaky").collect();
    let status = |span: &Span| {
        let status = span.status.clone().unwrap();
        (status.code(), status.message)
    };
    assert_eq!(status(attempts[0]), (StatusCode::Error, "UNAVAILABLE, down".to_owned()));
    assert_eq!(status(attempts[1]), (StatusCode::Ok, String::new()));
    let previous = |span: &Span| span.attributes[0].value.clone().unwrap().value.unwrap();
    assert_eq!((previous(attempts[0]), previous(attempts[1])), (Value::IntValue(0), Value::IntValue(1)));
    assert_eq!(attempts[0].parent_span_id, attempts[1].parent_span_id);
}

#[tokio::test(start_paused = true)]
async fn metrics_come_when_it_is_time_and_name_what_they_are() {
    let collector = Collector::default();
    collector.serve("periodic").await;
    let telemetry = Telemetry::builder()
        .endpoint("inprocess:periodic")
        .metrics_interval(Duration::from_secs(7))
        .traces(false)
        .build()
        .unwrap();
    serve(Server::builder().service(Echo::default()).telemetry(&telemetry), "counted").await;
    let channel = channel("counted").build().unwrap();
    channel.unary::<Raw, Raw>(&ECHO, Raw::from("x")).await.unwrap();
    assert!(collector.metrics.lock().unwrap().is_empty());
    tokio::time::sleep(Duration::from_secs(22)).await;
    let requests = collector.metrics.lock().unwrap().clone();
    assert_eq!(requests.len(), 3);
    assert!(collector.traces.lock().unwrap().is_empty());
    let scope = &requests[2].resource_metrics[0].scope_metrics[0];
    assert_eq!(scope.scope.as_ref().unwrap().name, "grpc-spanwire");
    let duration = scope.metrics.iter().find(|metric| metric.name == "grpc.server.call.duration").unwrap();
    let Some(Data::Histogram(histogram)) = &duration.data else { panic!("{duration:?}") };
    let point = &histogram.data_points[0];
    assert_eq!((point.count, point.bucket_counts.len(), point.explicit_bounds.len()), (1, 42, 41));
    assert!(point.start_time_unix_nano > 0 && point.time_unix_nano >= point.start_time_unix_nano);
    assert_eq!(text(&point.attributes, "grpc.method"), "test.Echo/Echo");
}

#[tokio::test(start_paused = true)]
async fn collector_that_is_away_costs_spans_and_no_call() {
    let telemetry = Telemetry::builder().endpoint("inprocess:away").build().unwrap();
    serve(Server::builder().service(Echo::default()).telemetry(&telemetry), "lonely").await;
    let channel = channel("lonely").telemetry(&telemetry).build().unwrap();
    channel.unary::<Raw, Raw>(&ECHO, Raw::from("x")).await.unwrap();
    telemetry.flush(Duration::from_secs(60)).await;
    assert_eq!(points(&telemetry, "spanwire.telemetry.dropped_spans")[0].value, MetricValue::Sum(3));
    channel.unary::<Raw, Raw>(&ECHO, Raw::from("x")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn parent_in_the_metadata_counts_and_is_replaced() {
    let (telemetry, server) = (kept(), kept());
    let front = Front::new(channel("nobody").build().unwrap());
    serve(Server::builder().service(front.clone()).telemetry(&server), "metadata").await;
    let traced = channel("metadata").telemetry(&telemetry).build().unwrap();
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let _ = traced.unary::<Raw, Raw>(&HAND_ON, Raw::from("x")).metadata("traceparent", parent).await;
    let seen = || front.seen.lock().unwrap().take().unwrap();
    let first = seen();
    assert_eq!(first.trace_id()[0], 0x0a);
    let bin = Telemetry::builder().endpoint("").propagators([Propagator::GrpcTraceBin]).build().unwrap();
    serve(Server::builder().service(front.clone()).telemetry(&bin), "binary").await;
    let by_bin = channel("binary").telemetry(&bin).build().unwrap();
    let context: TraceContext = parent.parse().unwrap();
    let _ = by_bin.unary::<Raw, Raw>(&HAND_ON, Raw::from("x")).trace(context).await;
    assert_eq!(seen().trace_id(), first.trace_id());
    // Without a parent each call begins a trace.
    let _ = traced.unary::<Raw, Raw>(&HAND_ON, Raw::from("x")).await;
    assert_ne!(seen().trace_id(), first.trace_id());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_handed_on_or_seen_without_traces() {
    let telemetry = Telemetry::builder().endpoint("").traces(false).build().unwrap();
    let front = Front::new(channel("nobody").build().unwrap());
    serve(Server::builder().service(front.clone()).telemetry(&telemetry), "untraced").await;
    let channel = channel("untraced").telemetry(&telemetry).build().unwrap();
    let _ = channel.unary::<Raw, Raw>(&HAND_ON, Raw::from("x")).await;
    assert_eq!(*front.seen.lock().unwrap(), None);
}
