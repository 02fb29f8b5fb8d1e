//! The engine's log, for hosts: silent until one asks for it, then handed to the host's own logger.

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::OpError;

/// Takes one line of the log: its level, the module it comes from, and the text.
pub type Sink = Arc<dyn Fn(Level, &str, &str) + Send + Sync>;

static SINK: RwLock<Option<Sink>> = RwLock::new(None);
/// The most talkative level that is handed out; 0 is silence, 5 everything.
static MAX: AtomicUsize = AtomicUsize::new(0);

/// Hands the log up to `max_level` to `sink`, from any thread, lanes above all: it must not wait. `None` is silence again.
///
/// # Errors
/// [`OpError::System`]: the program has a `tracing` subscriber of its own, which gets the log instead.
pub fn set(max_level: Option<Level>, sink: Option<Sink>) -> Result<(), OpError> {
    let max_level = max_level.filter(|_| sink.is_some());
    MAX.store(max_level.map_or(0, number), Ordering::Relaxed);
    *SINK.write().unwrap_or_else(PoisonError::into_inner) = sink;
    static ENTERED: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    let entered = *ENTERED.get_or_init(|| tracing::subscriber::set_global_default(ToSink).is_ok());
    tracing::callsite::rebuild_interest_cache();
    if entered {
        return Ok(());
    }
    Err(OpError::System("the program has a tracing subscriber of its own, which gets the log".to_owned()))
}

/// The level of a number: `Some(None)` for 0, which is silence, up to 5, which is everything.
#[must_use]
pub fn level(number: i32) -> Option<Option<Level>> {
    Some(Some(match number {
        0 => return Some(None),
        1 => Level::ERROR,
        2 => Level::WARN,
        3 => Level::INFO,
        4 => Level::DEBUG,
        5 => Level::TRACE,
        _ => return None,
    }))
}

/// The number of a level, from 1 for errors to 5.
#[must_use]
pub fn number(level: Level) -> usize {
    match level {
        Level::ERROR => 1,
        Level::WARN => 2,
        Level::INFO => 3,
        Level::DEBUG => 4,
        _ => 5,
    }
}

struct ToSink;

impl Subscriber for ToSink {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        number(*metadata.level()) <= MAX.load(Ordering::Relaxed) && metadata.target().starts_with("spanwire")
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match MAX.load(Ordering::Relaxed) {
            0 => LevelFilter::OFF,
            1 => LevelFilter::ERROR,
            2 => LevelFilter::WARN,
            3 => LevelFilter::INFO,
            4 => LevelFilter::DEBUG,
            _ => LevelFilter::TRACE,
        })
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        // Cloned, so that a sink may set another one.
        let sink = SINK.read().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(sink) = sink else { return };
        let mut line = Line::default();
        event.record(&mut line);
        sink(*event.metadata().level(), event.metadata().target(), &line.text());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The message first, then the fields.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Line {
    fn text(&self) -> String {
        format!("{}{}", self.message, self.fields)
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.fields, " {}={value:?}", field.name())
        };
    }
}
