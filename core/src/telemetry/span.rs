//! Spans: what is recorded of a sampled call, and the queue in which it waits to be exported.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::observe::TraceContext;
use crate::stats::Count;
use crate::{Code, Status, random};

/// Spans that wait, at most; what comes then is dropped and counted.
pub(super) const QUEUE_SPANS: usize = 2048;
/// Spans that are exported at once.
pub(super) const BATCH_SPANS: usize = 512;
/// Events that a span keeps.
const SPAN_EVENTS: usize = 128;

/// What kind of call a span is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SpanKind {
    Internal,
    Server,
    Client,
}

/// A call that has ended.
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) context: TraceContext,
    pub(super) parent: Option<Parent>,
    pub(super) name: Arc<str>,
    pub(super) kind: SpanKind,
    pub(super) began: Instant,
    pub(super) ended: Instant,
    pub(super) attributes: Vec<(&'static str, Value)>,
    pub(super) events: Vec<Event>,
    pub(super) dropped_events: u32,
    pub(super) code: Code,
    pub(super) message: String,
}

/// The span that another one is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parent {
    pub(super) span_id: [u8; 8],
    /// It is one of another process.
    pub(super) remote: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Number(u64),
    Flag(bool),
}

/// A message, or what else happened in a call.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) at: Instant,
    pub(super) name: &'static str,
    pub(super) attributes: [Option<(&'static str, u64)>; 3],
}

/// What of a span is known while its call runs.
#[derive(Debug)]
pub(super) struct Recording {
    began: Instant,
    events: Mutex<Events>,
}

#[derive(Debug, Default)]
struct Events {
    kept: Vec<Event>,
    dropped: u32,
}

/// The time since 1970.
pub(super) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Tells the time since 1970 at any moment: calls look at one clock only, and what they saw is translated when it is sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Calendar {
    moment: Instant,
    since_1970: Duration,
}

impl Calendar {
    pub(super) fn now() -> Self {
        Calendar { moment: Instant::now(), since_1970: now() }
    }

    pub(super) fn since_1970(&self, moment: Instant) -> Duration {
        match self.moment.checked_duration_since(moment) {
            Some(past) => self.since_1970.saturating_sub(past),
            None => self.since_1970 + moment.saturating_duration_since(self.moment),
        }
    }
}

impl Recording {
    pub(super) fn start(began: Instant) -> Self {
        Recording { began, events: Mutex::default() }
    }

    pub(super) fn event(&self, name: &'static str, attributes: [Option<(&'static str, u64)>; 3]) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        if events.kept.len() < SPAN_EVENTS {
            events.kept.push(Event { at: Instant::now(), name, attributes });
        } else {
            events.dropped += 1;
        }
    }

    /// The span, which has ended at that moment.
    pub(super) fn finish(&self, ended: Instant, status: &Status, about: SpanFacts<'_>) -> Span {
        let events = std::mem::take(&mut *self.events.lock().unwrap_or_else(PoisonError::into_inner));
        Span {
            context: about.context.clone(),
            parent: about.parent,
            name: about.name.clone(),
            kind: about.kind,
            began: self.began,
            ended,
            attributes: about.attributes,
            events: events.kept,
            dropped_events: events.dropped,
            code: status.code(),
            message: status.message().to_owned(),
        }
    }
}

/// What a span is of.
pub(super) struct SpanFacts<'a> {
    pub(super) context: &'a TraceContext,
    pub(super) parent: Option<Parent>,
    pub(super) name: &'a Arc<str>,
    pub(super) kind: SpanKind,
    pub(super) attributes: Vec<(&'static str, Value)>,
}

impl Span {
    /// The text of its status; empty for OK.
    pub(super) fn description(&self) -> Cow<'static, str> {
        match (self.code, self.message.as_str()) {
            (Code::Ok, _) => "".into(),
            (code, "") => code.name().into(),
            (code, message) => format!("{}, {message}", code.name()).into(),
        }
    }
}

/// Spans that wait to be exported.
#[derive(Debug, Default)]
pub(super) struct SpanQueue {
    spans: Mutex<VecDeque<Span>>,
    pub(super) dropped: Count,
    /// Rings when a batch is there.
    pub(super) batch: Notify,
}

impl SpanQueue {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Span>> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, span: Span) {
        let mut spans = self.lock();
        if spans.len() >= QUEUE_SPANS {
            drop(spans);
            return self.dropped.hit();
        }
        spans.push_back(span);
        let full = spans.len() == BATCH_SPANS;
        drop(spans);
        if full {
            self.batch.notify_one();
        }
    }

    /// The oldest ones, no more than a batch.
    pub(super) fn take(&self) -> Vec<Span> {
        let mut spans = self.lock();
        let count = spans.len().min(BATCH_SPANS);
        spans.drain(..count).collect()
    }
}

/// A number that no other span has, as far as anybody can tell.
pub(super) fn span_id() -> [u8; 8] {
    // Zero stands for none.
    (random::bits() ^ salt()).max(1).to_be_bytes()
}

/// The same for a trace.
pub(super) fn trace_id() -> [u8; 16] {
    let id = u128::from(random::bits()) << 64 | u128::from(random::bits() ^ salt());
    id.max(1).to_be_bytes()
}

/// What makes this process's numbers others than those of a process whose random numbers happen to follow the same way.
fn salt() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    static SALT: std::sync::LazyLock<u64> = std::sync::LazyLock::new(|| RandomState::new().hash_one(1_u8));
    *SALT
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span() -> Span {
        let context = TraceContext::new(trace_id(), span_id(), true).unwrap();
        let now = Instant::now();
        Recording::start(now).finish(
            now + Duration::from_millis(5),
            &Status::unavailable("unable to resolve host"),
            SpanFacts {
                context: &context,
                parent: None,
                name: &"Sent.a.B.C".into(),
                kind: SpanKind::Internal,
                attributes: Vec::new(),
            },
        )
    }

    // gRFC A72, "Tracing Information"
    #[test]
    fn description_is_the_code_and_the_text() {
        assert_eq!(span().description(), "UNAVAILABLE, unable to resolve host");
        assert_eq!(Span { message: String::new(), ..span() }.description(), "UNAVAILABLE");
        assert_eq!(Span { code: Code::Ok, ..span() }.description(), "");
        let (span, calendar) = (span(), Calendar::now());
        let times = [span.began, span.ended].map(|moment| calendar.since_1970(moment));
        assert_eq!(times[1] - times[0], Duration::from_millis(5));
        assert!(now().abs_diff(times[0]) < Duration::from_secs(60));
    }

    #[test]
    fn full_queue_drops_and_counts() {
        let queue = SpanQueue::default();
        (0..QUEUE_SPANS + 3).for_each(|_| queue.push(span()));
        assert_eq!(queue.dropped.get(), 3);
        let batches: Vec<_> = (0..5).map(|_| queue.take().len()).collect();
        assert_eq!(batches, [512, 512, 512, 512, 0]);
    }

    #[test]
    fn events_beyond_the_bound_are_counted_alone() {
        let recording = Recording::start(Instant::now());
        (0..SPAN_EVENTS + 2).for_each(|_| recording.event("Outbound message", [None; 3]));
        let context = TraceContext::new([1; 16], [1; 8], true).unwrap();
        let facts = SpanFacts {
            context: &context,
            parent: None,
            name: &"x".into(),
            kind: SpanKind::Client,
            attributes: Vec::new(),
        };
        let span = recording.finish(Instant::now(), &Status::ok(), facts);
        assert_eq!((span.events.len(), span.dropped_events), (SPAN_EVENTS, 2));
    }

    #[test]
    fn numbers_differ() {
        assert_ne!(trace_id(), trace_id());
        assert_ne!(span_id(), span_id());
        assert_ne!(span_id(), [0; 8]);
    }
}
