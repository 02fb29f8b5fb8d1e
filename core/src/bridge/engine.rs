//! The engine of a host: lanes that its channels and servers share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::lane::{Lane, on_lane};
use super::options::TelemetryOptions;
use super::sync::Mutex;
use super::{OpError, fork};
use crate::Telemetry;

/// Lanes for the channels and servers of a host. Cheap to clone; the threads end at [`shutdown`](Engine::shutdown), or with
/// the last clone, channel, call and server.
#[derive(Clone, Debug)]
pub struct Engine(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    engine: crate::Engine,
    lanes: Vec<Arc<Lane>>,
    next: AtomicUsize,
    generation: u32,
    client_language: Option<&'static str>,
    /// One for all channels and servers that want the same.
    telemetry: Mutex<Vec<(TelemetryOptions, Telemetry)>>,
}

/// What an engine is made of.
#[derive(Clone, Copy, Debug, Default)]
pub struct EngineOptions {
    /// Threads for connections; 0 is the default of 1, which is enough for a client.
    pub lanes: usize,
    /// Runs first on each of them. A host whose signals would end it blocks them here: SIGPIPE above all.
    pub on_thread_start: Option<fn()>,
    /// What the host's language is called where a service config is for programs in some languages alone; `rust` by default.
    pub client_language: Option<&'static str>,
}

impl Engine {
    /// Starts the lanes.
    ///
    /// # Errors
    /// [`OpError::System`]: the system refused a thread or its I/O driver.
    pub fn new(options: &EngineOptions) -> Result<Self, OpError> {
        let engine = crate::Engine::with_thread_start(options.lanes.max(1), options.on_thread_start)
            .map_err(|error| OpError::System(format!("cannot start the engine's threads: {error}")))?;
        let lanes = (0..engine.lanes()).map(|index| Lane::start(engine.lane(index), index)).collect();
        Ok(Engine(Arc::new(Inner {
            engine,
            lanes,
            next: AtomicUsize::new(0),
            generation: fork::generation(),
            client_language: options.client_language,
            telemetry: Mutex::default(),
        })))
    }

    /// See [`EngineOptions::client_language`].
    pub(super) fn client_language(&self) -> Option<&'static str> {
        self.0.client_language
    }

    /// Ends the threads, and with them every call (CANCELLED, on servers a cancelled event) and every connection. Comes
    /// back when that is done, or after a second. What uses the engine later fails with [`OpError::ShutDown`].
    pub fn shutdown(&self) {
        if self.check().is_ok() && !on_lane() {
            self.0.end_telemetry();
            self.0.engine.shutdown();
        }
    }

    /// The telemetry of these options, which is made when it is first asked for.
    pub(crate) fn telemetry(&self, options: &TelemetryOptions) -> Result<Telemetry, OpError> {
        let mut known = self.0.telemetry.lock();
        if let Some((_, telemetry)) = known.iter().find(|(known, _)| known == options) {
            return Ok(telemetry.clone());
        }
        let telemetry = options.builder()?.engine(&self.0.engine).build()?;
        known.push((options.clone(), telemetry.clone()));
        Ok(telemetry)
    }

    pub(crate) fn check(&self) -> Result<(), OpError> {
        if self.0.generation == fork::generation() { Ok(()) } else { Err(OpError::Forked) }
    }

    pub(crate) fn core(&self) -> &crate::Engine {
        &self.0.engine
    }

    pub(crate) fn lane(&self, index: usize) -> &Arc<Lane> {
        &self.0.lanes[index % self.0.lanes.len()]
    }

    /// The next lane in turn.
    pub(crate) fn next_lane(&self) -> &Arc<Lane> {
        self.lane(self.0.next.fetch_add(1, Ordering::Relaxed))
    }
}

/// The longest that the end of an engine waits for a collector.
const FLUSH_TIME: Duration = Duration::from_secs(1);

impl Inner {
    /// Sends what was not sent yet, as far as there is time.
    fn end_telemetry(&self) {
        let all = std::mem::take(&mut *self.telemetry.lock());
        let until = Instant::now() + FLUSH_TIME;
        for (_, telemetry) in all {
            telemetry.end_within(until.saturating_duration_since(Instant::now()));
        }
    }
}

/// In the child of a fork there are no threads to end, and their locks may be held: what they had is left alone.
impl Drop for Inner {
    fn drop(&mut self) {
        if self.generation != fork::generation() {
            self.engine.forget();
            std::mem::forget(std::mem::take(self.telemetry.get_mut()));
        } else if !on_lane() {
            self.end_telemetry();
        }
    }
}
