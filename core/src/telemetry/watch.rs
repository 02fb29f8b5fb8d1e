//! Records calls: what channels and servers tell becomes numbers, spans and lines of the access log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;

use super::Telemetry;
use super::cells::StreamEnd;
use super::options::AccessLog;
use super::recorder::{ClientMethod, OTHER, Recorder, ServerMethod, Target, span_name};
use super::span::{Parent, Recording, SpanFacts, SpanKind, Value};
use crate::observe::{
    CallWatch, ChannelWatch, ReceivedMessage, RouteWatch, SentPart, ServerWatch, StreamWatch, TraceContext,
    Watcher, Why,
};
use crate::stats::ChannelCounters;
use crate::transport::Peer;
use crate::{Code, Method, Status};

/// The prefix of a message.
const PREFIX_BYTES: u64 = 5;

impl Watcher for Telemetry {
    fn channel(&self, target: &str, counters: &Arc<ChannelCounters>) -> Arc<dyn ChannelWatch> {
        let target = self.recorder().target(target, counters);
        Arc::new(Calls { telemetry: self.clone(), target })
    }
}

/// The calls of one channel. It keeps the exporter alive.
#[derive(Debug)]
struct Calls {
    telemetry: Telemetry,
    target: Arc<Target>,
}

impl ChannelWatch for Calls {
    fn begin(
        &self,
        method: &Method,
        headers: &HeaderMap,
        parent: Option<TraceContext>,
    ) -> Arc<dyn CallWatch> {
        let recorder = self.telemetry.recorder();
        let began = Instant::now();
        let place = recorder.tracing.as_ref().map(|tracing| {
            // What the caller put into the metadata was meant.
            let parent = tracing.named(headers).or(parent);
            Place::new(tracing.begin(parent.as_ref()), parent.as_ref(), false, began)
        });
        Arc::new(Call {
            recorder: recorder.clone(),
            method: self.target.method(method),
            began,
            place,
            over: AtomicBool::new(false),
            attempts: Arc::default(),
        })
    }
}

/// Where a call is in its trace, and what is recorded of it.
#[derive(Debug)]
struct Place {
    context: TraceContext,
    parent: Option<Parent>,
    recording: Option<Recording>,
}

impl Place {
    fn new(context: TraceContext, parent: Option<&TraceContext>, remote: bool, began: Instant) -> Self {
        Place {
            parent: parent.map(|parent| Parent { span_id: parent.span_id(), remote }),
            recording: context.is_sampled().then(|| Recording::start(began)),
            context,
        }
    }

    fn finish(
        &self,
        recorder: &Recorder,
        ended: Instant,
        status: &Status,
        name: &Arc<str>,
        kind: SpanKind,
        attributes: Vec<(&'static str, Value)>,
    ) {
        if let Some(recording) = &self.recording {
            let facts = SpanFacts { context: &self.context, parent: self.parent, name, kind, attributes };
            recorder.spans.push(recording.finish(ended, status, facts));
        }
    }
}

/// One call of a client.
#[derive(Debug)]
struct Call {
    recorder: Arc<Recorder>,
    method: Arc<ClientMethod>,
    began: Instant,
    place: Option<Place>,
    over: AtomicBool,
    attempts: Arc<AttemptCounts>,
}

/// The attempts of one call (gRFC A96). Whoever makes them makes one step at a time.
#[derive(Debug, Default)]
struct AttemptCounts {
    running: AtomicU32,
    retries: AtomicU32,
    transparent_retries: AtomicU32,
    hedges: AtomicU32,
    /// In nanoseconds behind the begin of the call: since when none runs.
    idle_since: AtomicU64,
    /// How long none ran, between two of them.
    idle_for: AtomicU64,
}

impl Call {
    fn record(&self, status: &Status) {
        if self.over.swap(true, Ordering::Relaxed) {
            return;
        }
        let ended = Instant::now();
        let took = ended.saturating_duration_since(self.began);
        if self.recorder.metrics {
            let (cells, counts) = (&self.method.calls, &self.attempts);
            cells.end(status.code(), took);
            for (histogram, count) in [
                (&cells.retries, &counts.retries),
                (&cells.transparent_retries, &counts.transparent_retries),
                (&cells.hedges, &counts.hedges),
            ] {
                let count = count.load(Ordering::Relaxed);
                if count > 0 {
                    histogram.record(count.into());
                }
            }
            let idle_for = counts.idle_for.load(Ordering::Relaxed);
            if idle_for > 0 {
                cells.retry_delay.record(idle_for);
            }
        }
        if let Some(place) = &self.place {
            let name = &self.method.sent_span;
            place.finish(&self.recorder, ended, status, name, SpanKind::Internal, Vec::new());
        }
    }
}

impl CallWatch for Call {
    fn attempt(&self, why: Why, previous: u32) -> Arc<dyn StreamWatch> {
        let counts = &self.attempts;
        let kind = match why {
            Why::First => None,
            Why::Retry => Some(&counts.retries),
            Why::Unseen => Some(&counts.transparent_retries),
            Why::Hedge => Some(&counts.hedges),
        };
        let first = kind.is_none();
        if let Some(kind) = kind {
            kind.fetch_add(1, Ordering::Relaxed);
        }
        // The first one begins with the call, as far as anybody can tell.
        let began = if first { self.began } else { Instant::now() };
        if counts.running.fetch_add(1, Ordering::Relaxed) == 0 && !first {
            let since = counts.idle_since.load(Ordering::Relaxed);
            let now = nanos(began.saturating_duration_since(self.began));
            counts.idle_for.fetch_add(now.saturating_sub(since), Ordering::Relaxed);
        }
        if self.recorder.metrics {
            self.method.attempts.begin();
        }
        let place = self.place.as_ref().map(|call| {
            let sampled = call.recording.is_some();
            // Nobody looks for a place that is not recorded: the call's own will do.
            let context =
                if sampled { call.context.child(super::span::span_id()) } else { call.context.clone() };
            Place::new(context, Some(&call.context), false, began)
        });
        Arc::new(Attempt {
            recorder: self.recorder.clone(),
            method: self.method.clone(),
            call_began: self.began,
            counts: counts.clone(),
            began,
            place,
            tally: Tally::default(),
            transparent: why == Why::Unseen,
            previous,
        })
    }

    fn ended(&self, status: &Status) {
        self.record(status);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !*self.over.get_mut() {
            self.record(&Status::cancelled("the caller gave the call up"));
        }
    }
}

/// What a stream has sent and received. Each direction is told by one task at a time, so nothing is lost without a lock.
#[derive(Debug, Default)]
struct Tally {
    over: AtomicBool,
    sent_bytes: AtomicU64,
    sent_messages: AtomicU64,
    /// How many of the bytes were there when the message began that is being sent.
    message_at: AtomicU64,
    message_compressed: AtomicBool,
    mid_message: AtomicBool,
    received_bytes: AtomicU64,
    received_messages: AtomicU64,
}

/// For a number that one task writes at a time.
fn add(number: &AtomicU64, more: u64) -> u64 {
    let before = number.load(Ordering::Relaxed);
    number.store(before + more, Ordering::Relaxed);
    before
}

impl Tally {
    fn sent(&self, part: SentPart, place: Option<&Place>) {
        let recording = place.and_then(|place| place.recording.as_ref());
        let mut bytes = part.bytes as u64;
        if !self.mid_message.load(Ordering::Relaxed) {
            bytes = bytes.saturating_sub(PREFIX_BYTES);
            if recording.is_some() {
                self.message_at.store(self.sent_bytes.load(Ordering::Relaxed), Ordering::Relaxed);
                self.message_compressed.store(part.first == 1, Ordering::Relaxed);
            }
        }
        self.mid_message.store(!part.whole, Ordering::Relaxed);
        let all = add(&self.sent_bytes, bytes) + bytes;
        if !part.whole {
            return;
        }
        let number = add(&self.sent_messages, 1);
        if let Some(recording) = recording {
            let size = all - self.message_at.load(Ordering::Relaxed);
            let number = Some(("sequence-number", number));
            // How large it was before is known where it was compressed, not here.
            if self.message_compressed.load(Ordering::Relaxed) {
                let size = Some(("message-size-compressed", size));
                recording.event("Outbound message compressed", [number, size, None]);
            } else {
                recording.event("Outbound message", [number, Some(("message-size", size)), None]);
            }
        }
    }

    fn received(&self, message: ReceivedMessage, place: Option<&Place>) {
        let wire_bytes = message.wire_bytes as u64;
        add(&self.received_bytes, wire_bytes);
        let number = add(&self.received_messages, 1);
        if let Some(recording) = place.and_then(|place| place.recording.as_ref()) {
            let size = message.decompressed_bytes.map_or(wire_bytes, |bytes| bytes as u64);
            let compressed = message.decompressed_bytes.map(|_| ("message-size-compressed", wire_bytes));
            recording.event(
                "Inbound message",
                [Some(("sequence-number", number)), Some(("message-size", size)), compressed],
            );
        }
    }

    /// Whether it had not ended before.
    fn ends(&self) -> bool {
        !self.over.swap(true, Ordering::Relaxed)
    }

    fn end(&self, code: Code, duration: Duration) -> StreamEnd {
        StreamEnd {
            code,
            duration,
            sent_bytes: self.sent_bytes.load(Ordering::Relaxed),
            received_bytes: self.received_bytes.load(Ordering::Relaxed),
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// One attempt of a client.
#[derive(Debug)]
struct Attempt {
    recorder: Arc<Recorder>,
    method: Arc<ClientMethod>,
    call_began: Instant,
    counts: Arc<AttemptCounts>,
    began: Instant,
    place: Option<Place>,
    tally: Tally,
    transparent: bool,
    previous: u32,
}

impl Attempt {
    fn record(&self, status: &Status) {
        if !self.tally.ends() {
            return;
        }
        let now = Instant::now();
        let took = now.saturating_duration_since(self.began);
        if self.counts.running.fetch_sub(1, Ordering::Relaxed) == 1 {
            let since = nanos(now.saturating_duration_since(self.call_began));
            self.counts.idle_since.store(since, Ordering::Relaxed);
        }
        if self.recorder.metrics {
            self.method.attempts.end(&self.tally.end(status.code(), took));
        }
        if let Some(place) = &self.place {
            let attributes = vec![
                ("previous-rpc-attempts", Value::Number(self.previous.into())),
                ("transparent-retry", Value::Flag(self.transparent)),
            ];
            let name = &self.method.attempt_span;
            place.finish(&self.recorder, now, status, name, SpanKind::Client, attributes);
        }
    }
}

impl StreamWatch for Attempt {
    fn sent(&self, part: SentPart) {
        self.tally.sent(part, self.place.as_ref());
    }

    fn received(&self, message: ReceivedMessage) {
        self.tally.received(message, self.place.as_ref());
    }

    fn trace(&self) -> Option<&TraceContext> {
        self.place.as_ref().map(|place| &place.context)
    }

    fn inject(&self, headers: &mut HeaderMap) {
        if let (Some(place), Some(tracing)) = (&self.place, &self.recorder.tracing) {
            tracing.inject(&place.context, headers);
        }
    }

    fn ended(&self, status: &Status) {
        self.record(status);
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !*self.tally.over.get_mut() {
            self.record(&Status::cancelled("the attempt was given up"));
        }
    }
}

impl ServerWatch for Telemetry {
    fn route(&self, method: Option<&Method>) -> Arc<dyn RouteWatch> {
        let path = method.map_or(OTHER, Method::path);
        Arc::new(Route {
            telemetry: self.clone(),
            shared: Arc::new(RouteShared {
                recorder: self.recorder().clone(),
                method: self.recorder().server_method(method),
                span: span_name("Recv", path),
                path: path.to_owned(),
            }),
        })
    }
}

/// The calls of one method of a server. It keeps the exporter alive.
#[derive(Debug)]
struct Route {
    telemetry: Telemetry,
    shared: Arc<RouteShared>,
}

#[derive(Debug)]
struct RouteShared {
    recorder: Arc<Recorder>,
    method: Arc<ServerMethod>,
    span: Arc<str>,
    path: String,
}

impl RouteWatch for Route {
    fn begin(&self, path: &str, headers: &HeaderMap, peer: &Arc<Peer>, now: Instant) -> Arc<dyn StreamWatch> {
        let recorder = self.telemetry.recorder();
        if recorder.metrics {
            self.shared.method.calls.begin();
        }
        let place = recorder.tracing.as_ref().map(|tracing| {
            let parent = tracing.extract(headers);
            Place::new(tracing.begin(parent.as_ref()), parent.as_ref(), true, now)
        });
        let access = (recorder.access_log != AccessLog::Off).then(|| {
            // Of a method that the server does not have the name is as the client wrote it.
            let path = (path != self.shared.path).then(|| path.to_owned());
            Box::new(Access { peer: peer.clone(), path })
        });
        Arc::new(Served { route: self.shared.clone(), began: now, place, tally: Tally::default(), access })
    }
}

/// One call of a server.
#[derive(Debug)]
struct Served {
    route: Arc<RouteShared>,
    began: Instant,
    place: Option<Place>,
    tally: Tally,
    access: Option<Box<Access>>,
}

/// What the access log says besides.
#[derive(Debug)]
struct Access {
    peer: Arc<Peer>,
    path: Option<String>,
}

impl Served {
    fn record(&self, status: &Status) {
        if !self.tally.ends() {
            return;
        }
        let (ended, recorder) = (Instant::now(), &self.route.recorder);
        let took = ended.saturating_duration_since(self.began);
        let end = self.tally.end(status.code(), took);
        if recorder.metrics {
            self.route.method.calls.end(&end);
        }
        if let Some(place) = &self.place {
            place.finish(recorder, ended, status, &self.route.span, SpanKind::Server, Vec::new());
        }
        if let Some(access) = &self.access
            && (recorder.access_log == AccessLog::All || !status.is_ok())
        {
            self.log(access, &end);
        }
    }

    fn log(&self, access: &Access, end: &StreamEnd) {
        let trace = self.place.as_ref().map(|place| place.context.trace_id_text());
        tracing::info!(
            target: "spanwire::access",
            method = access.path.as_ref().unwrap_or(&self.route.path),
            peer = %access.peer.addr(),
            status = end.code.name(),
            duration_ms = end.duration.as_secs_f64() * 1e3,
            received_bytes = end.received_bytes,
            sent_bytes = end.sent_bytes,
            trace_id = trace.as_deref().unwrap_or_default(),
        );
    }
}

impl StreamWatch for Served {
    fn sent(&self, part: SentPart) {
        self.tally.sent(part, self.place.as_ref());
    }

    fn received(&self, message: ReceivedMessage) {
        self.tally.received(message, self.place.as_ref());
    }

    fn trace(&self) -> Option<&TraceContext> {
        self.place.as_ref().map(|place| &place.context)
    }

    fn inject(&self, _: &mut HeaderMap) {}

    fn ended(&self, status: &Status) {
        self.record(status);
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if !*self.tally.over.get_mut() {
            self.record(&Status::cancelled("the call was dropped"));
        }
    }
}
