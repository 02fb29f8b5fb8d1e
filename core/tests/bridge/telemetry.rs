//! Telemetry as plain data: shared by what says the same, and sent before the engine ends.

use std::sync::{Arc, Mutex};

use spanwire::Server;
use spanwire::bridge::{
    Answer, CallOptions, Channel, ChannelOptions, Engine, EngineOptions, EventKind, OpError, ServerOptions,
    TelemetryOptions,
};
use spanwire::server::{Handler, Service};
use spanwire::telemetry::proto::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};

use super::host::{Host, UNARY};

/// The names of the spans that came.
#[derive(Clone, Default)]
struct Traces(Arc<Mutex<Vec<String>>>);

impl Service for Traces {
    fn name(&self) -> &'static str {
        "opentelemetry.proto.collector.trace.v1.TraceService"
    }

    fn methods(&self) -> Vec<(&'static str, Handler)> {
        let run = |this: Arc<Traces>, request: ExportTraceServiceRequest, context| async move {
            let scopes = request.resource_spans.iter().flat_map(|of| &of.scope_spans);
            let names = scopes.flat_map(|scope| &scope.spans).map(|span| span.name.clone());
            this.0.lock().unwrap().extend(names);
            (Ok(ExportTraceServiceResponse::default()), context)
        };
        vec![("Export", Handler::unary(Arc::new(self.clone()), run))]
    }
}

/// A collector on a runtime of its own.
fn collector(address: &str) -> (Traces, tokio::runtime::Runtime) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let traces = Traces::default();
    let server = runtime.block_on(Server::builder().service(traces.clone()).bind(address)).unwrap();
    runtime.spawn(server.run());
    (traces, runtime)
}

fn options(endpoint: &str) -> TelemetryOptions {
    TelemetryOptions { endpoint: Some(endpoint.to_owned()), ..TelemetryOptions::default() }
}

#[test]
fn calls_of_a_host_are_one_trace_and_sent_before_the_engine_ends() {
    let address = "inprocess:bridge-collector";
    let (traces, _runtime) = collector(address);
    let telemetry = Some(options(address));
    let host = Host::with(
        &ServerOptions { telemetry: telemetry.clone(), ..ServerOptions::default() },
        &ChannelOptions { telemetry, ..ChannelOptions::default() },
        0,
    );
    host.unary(1, b"first");
    let (first, _) = host.request();
    let seen = first.traceparent().unwrap();
    // A call for the one that is being handled.
    let channel = &host.channel;
    let parent = Some(&*first);
    channel
        .unary(UNARY, b"second".as_slice().into(), CallOptions::default(), host.report(2), None, parent)
        .unwrap();
    let (second, _) = host.request();
    assert_eq!(second.traceparent().unwrap()[..36], seen[..36], "one trace");
    assert_ne!(second.traceparent().unwrap(), seen);
    for (call, tag) in [(second, 2), (first, 1)] {
        call.respond(b"".as_slice().into(), Answer::default(), Default::default()).unwrap();
        assert!(matches!(host.next(tag).kind, EventKind::Done(outcome) if outcome.status.is_ok()));
    }
    host.engine.shutdown();
    let mut names = traces.0.lock().unwrap().clone();
    names.sort();
    let each = |prefix: &str| [(); 2].map(|()| format!("{prefix}.test.Bridge.Unary"));
    assert_eq!(names, [each("Attempt"), each("Recv"), each("Sent")].concat());
}

#[test]
fn no_telemetry_is_no_trace() {
    let host = Host::new();
    host.unary(1, b"");
    assert_eq!(host.request().0.traceparent(), None);
}

#[test]
fn options_that_make_no_sense_are_named() {
    let engine = Engine::new(&EngineOptions::default()).unwrap();
    let refused = |telemetry: TelemetryOptions| {
        let options = ChannelOptions { telemetry: Some(telemetry), ..ChannelOptions::default() };
        match Channel::new(&engine, "127.0.0.1:1", &options) {
            Err(OpError::Argument(text)) => text,
            other => panic!("{other:?}"),
        }
    };
    let new = || options("");
    let text = |text: &str| Some(text.to_owned());
    for (options, named) in [
        (TelemetryOptions { trace_ratio: 1.5, ..new() }, "telemetry: trace_ratio"),
        (TelemetryOptions { trace_ratio: f64::NAN, ..new() }, "telemetry: trace_ratio"),
        (TelemetryOptions { propagators: text("b3"), ..new() }, "telemetry: propagators"),
        (TelemetryOptions { access_log: text("some"), ..new() }, "telemetry: access_log"),
        (TelemetryOptions { metrics_interval_ms: -1, ..new() }, "metrics_interval_ms"),
        (options("http://"), "telemetry: endpoint"),
    ] {
        let text = refused(options);
        assert!(text.starts_with(named), "{text}");
    }
    let all = TelemetryOptions {
        trace_ratio: -1.0,
        propagators: text("tracecontext, grpc-trace-bin"),
        access_log: text("errors"),
        service_name: text("orders"),
        resource_attributes: text("zone=a"),
        metrics_interval_ms: 1000,
        ..new()
    };
    let options = ChannelOptions { telemetry: Some(all), ..ChannelOptions::default() };
    assert!(Channel::new(&engine, "127.0.0.1:1", &options).is_ok());
}
