//! What happened in a run, as a hash that two runs of one seed share, and as text for whoever looks for a fault.

use std::collections::VecDeque;
use std::fmt::Display;
use std::sync::{Arc, Mutex};

use tokio::time::Instant;

/// Lines that are kept for the report of a failure.
const KEPT: usize = 60;

/// Cheap to clone; clones write into one trace.
#[derive(Clone, Debug, Default)]
pub struct Trace(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    start: Option<Instant>,
    hash: u64,
    events: u64,
    verbose: bool,
    lines: VecDeque<String>,
}

impl Trace {
    /// One that keeps everything, to compare two runs line by line.
    pub(crate) fn verbose() -> Self {
        Trace(Arc::new(Mutex::new(Inner { verbose: true, ..Inner::default() })))
    }

    /// Now, in microseconds of virtual time since the first question.
    #[must_use]
    pub fn now(&self) -> u64 {
        let now = Instant::now();
        let mut inner = self.0.lock().unwrap();
        let start = *inner.start.get_or_insert(now);
        u64::try_from(now.duration_since(start).as_micros()).unwrap_or(u64::MAX)
    }

    /// Notes an event.
    pub fn note(&self, event: impl Display) {
        let now = self.now();
        let line = format!("{:>10}.{:03} ms  {event}", now / 1000, now % 1000);
        let mut inner = self.0.lock().unwrap();
        inner.mix(line.as_bytes());
        if inner.lines.len() == KEPT && !inner.verbose {
            inner.lines.pop_front();
        }
        inner.lines.push_back(line);
    }

    /// Notes bytes that moved: they count for the hash alone.
    pub(crate) fn bytes(&self, connection: u64, side: usize, bytes: &[u8]) {
        let now = self.now();
        let mut inner = self.0.lock().unwrap();
        for number in [now, connection, side as u64, bytes.len() as u64] {
            inner.mix(&number.to_le_bytes());
        }
        inner.mix(bytes);
        if inner.verbose {
            let start = &bytes[..bytes.len().min(40)];
            let line =
                format!("{now} us, connection {connection}, side {side}: {} bytes {start:02x?}", bytes.len());
            inner.lines.push_back(line);
        }
    }

    /// A number for all that happened, in its order, with its times.
    #[must_use]
    pub fn hash(&self) -> (u64, u64) {
        let inner = self.0.lock().unwrap();
        (inner.events, inner.hash)
    }

    /// The last events.
    #[must_use]
    pub fn tail(&self) -> String {
        // It is asked for after a panic, which may have been in here.
        let inner = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        inner.lines.iter().map(|line| format!("{line}\n")).collect()
    }
}

impl Inner {
    fn mix(&mut self, bytes: &[u8]) {
        self.events += 1;
        let mut hash = self.hash ^ bytes.len() as u64;
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            hash = (hash ^ u64::from_le_bytes(*word)).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
        }
        for byte in rest {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        self.hash = hash;
    }
}
