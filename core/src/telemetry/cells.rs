//! Where calls are counted: cells of atomics, found once for each method and not locked.
//!
//! Threads count in shards of their own, which are added up when somebody reads: so lanes do not wait for each other's cache
//! lines, nor for the processor to make an addition one step.

use std::array;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::places::{Adding, SHARED, mine, most};
use crate::Code;

/// The upper bounds of a histogram's buckets, as it counts and as it is shown. One more bucket is for what is above.
#[derive(Debug)]
pub(super) struct Bounds {
    counted: &'static [u64],
    pub(super) shown: &'static [f64],
    /// How many of what is counted are one of what is shown.
    pub(super) scale: f64,
}

macro_rules! seconds {
    ($($bound:literal),+) => {
        Bounds { counted: &[$(($bound * 1e9 + 0.5) as u64),+], shown: &[$($bound),+], scale: 1e9 }
    };
}

macro_rules! whole {
    ($($bound:literal),+) => {
        Bounds { counted: &[$($bound),+], shown: &[$($bound as u64 as f64),+], scale: 1.0 }
    };
}

/// gRFC A66, latency; counted in nanoseconds.
pub(super) static LATENCY: Bounds = seconds!(
    0.0, 0.00001, 0.00005, 0.0001, 0.0003, 0.0006, 0.0008, 0.001, 0.002, 0.003, 0.004, 0.005, 0.006, 0.008,
    0.01, 0.013, 0.016, 0.02, 0.025, 0.03, 0.04, 0.05, 0.065, 0.08, 0.1, 0.13, 0.16, 0.2, 0.25, 0.3, 0.4,
    0.5, 0.65, 0.8, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0
);
/// gRFC A66, size.
pub(super) static SIZE: Bounds = whole!(
    0, 1024, 2048, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864, 268435456, 1073741824,
    4294967296
);
/// gRFC A96.
pub(super) static RETRIES: Bounds = whole!(1, 2, 3, 4, 5);
pub(super) static TRANSPARENT_RETRIES: Bounds = whole!(1, 2, 3, 4, 5, 10);

/// How often there was a value in each range, and what all of them add up to.
#[derive(Debug)]
pub(super) struct Histogram {
    bounds: &'static Bounds,
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

impl Histogram {
    pub(super) fn new(bounds: &'static Bounds) -> Self {
        let counts = (0..=bounds.counted.len()).map(|_| AtomicU64::new(0)).collect();
        Histogram { bounds, counts, sum: AtomicU64::new(0) }
    }

    pub(super) fn bounds(&self) -> &'static Bounds {
        self.bounds
    }

    /// For histograms that any thread may record in at any time.
    pub(super) fn record(&self, value: u64) {
        self.record_by(SHARED.adding, value);
    }

    fn record_by(&self, adding: Adding, value: u64) {
        let bucket = self.bounds.counted.partition_point(|bound| *bound < value);
        adding.add(&self.counts[bucket], 1);
        adding.add(&self.sum, value);
    }

    fn record_time(&self, adding: Adding, time: Duration) {
        self.record_by(adding, u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }
}

/// What histograms add up to.
#[derive(Clone, Debug)]
pub(super) struct Sums {
    pub(super) bounds: &'static Bounds,
    pub(super) counts: Vec<u64>,
    pub(super) sum: u64,
}

impl Sums {
    /// `None` if nothing was recorded.
    pub(super) fn of<'a>(
        bounds: &'static Bounds,
        histograms: impl Iterator<Item = &'a Histogram>,
    ) -> Option<Sums> {
        let mut sums = Sums { bounds, counts: vec![0; bounds.counted.len() + 1], sum: 0 };
        for histogram in histograms {
            for (sum, count) in sums.counts.iter_mut().zip(&histogram.counts) {
                *sum += count.load(Ordering::Relaxed);
            }
            sums.sum = sums.sum.wrapping_add(histogram.sum.load(Ordering::Relaxed));
        }
        sums.counts.iter().any(|count| *count > 0).then_some(sums)
    }
}

/// Something for each status code, made when it is first needed.
#[derive(Debug)]
struct ByCode<T>([OnceLock<Box<T>>; Code::ALL.len()]);

impl<T> Default for ByCode<T> {
    fn default() -> Self {
        ByCode(array::from_fn(|_| OnceLock::new()))
    }
}

impl<T> ByCode<T> {
    fn get(&self, code: Code, make: impl FnOnce() -> T) -> &T {
        self.0[code as usize].get_or_init(|| Box::new(make()))
    }

    fn seen(&self, code: Code) -> Option<&T> {
        self.0[code as usize].get().map(|known| &**known)
    }
}

/// One for each place that threads count at.
#[derive(Debug)]
struct Sharded<T>(Box<[Apart<T>]>);

/// On cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Apart<T>(T);

impl<T: Default> Default for Sharded<T> {
    fn default() -> Self {
        // Behind those of single threads, the one of all others.
        Sharded((0..=most()).map(|_| Apart::default()).collect())
    }
}

impl<T> Sharded<T> {
    /// That of this thread, and how it is to add there.
    fn mine(&self) -> (&T, Adding) {
        let place = mine();
        (&self.0[place.index.min(self.0.len() - 1)].0, place.adding)
    }

    fn all(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|shard| &shard.0)
    }
}

/// The attempts of a client, or the calls of a server, to one method.
#[derive(Debug, Default)]
pub(super) struct StreamCells(Sharded<StreamShard>);

#[derive(Debug, Default)]
struct StreamShard {
    started: AtomicU64,
    ended: ByCode<Ended>,
}

#[derive(Debug)]
struct Ended {
    duration: Histogram,
    sent: Histogram,
    received: Histogram,
}

/// What is recorded when a stream ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct StreamEnd {
    pub(super) code: Code,
    pub(super) duration: Duration,
    pub(super) sent_bytes: u64,
    pub(super) received_bytes: u64,
}

impl StreamCells {
    pub(super) fn begin(&self) {
        let (shard, adding) = self.0.mine();
        adding.add(&shard.started, 1);
    }

    pub(super) fn end(&self, end: &StreamEnd) {
        let (shard, adding) = self.0.mine();
        let ended = shard.ended.get(end.code, || Ended {
            duration: Histogram::new(&LATENCY),
            sent: Histogram::new(&SIZE),
            received: Histogram::new(&SIZE),
        });
        ended.duration.record_time(adding, end.duration);
        ended.sent.record_by(adding, end.sent_bytes);
        ended.received.record_by(adding, end.received_bytes);
    }

    pub(super) fn started(&self) -> u64 {
        self.0.all().map(|shard| shard.started.load(Ordering::Relaxed)).sum()
    }

    /// Duration, sent and received sizes of those that ended like this.
    pub(super) fn ended(&self, code: Code) -> Option<[Sums; 3]> {
        let all = || self.0.all().filter_map(|shard| shard.ended.seen(code));
        Some([
            Sums::of(&LATENCY, all().map(|ended| &ended.duration))?,
            Sums::of(&SIZE, all().map(|ended| &ended.sent))?,
            Sums::of(&SIZE, all().map(|ended| &ended.received))?,
        ])
    }
}

/// The calls of a client to one method.
#[derive(Debug)]
pub(super) struct CallCells {
    durations: Sharded<ByCode<Histogram>>,
    /// They are rare, so that threads may share them.
    pub(super) retries: Histogram,
    pub(super) transparent_retries: Histogram,
    pub(super) hedges: Histogram,
    pub(super) retry_delay: Histogram,
}

impl Default for CallCells {
    fn default() -> Self {
        CallCells {
            durations: Sharded::default(),
            retries: Histogram::new(&RETRIES),
            transparent_retries: Histogram::new(&TRANSPARENT_RETRIES),
            hedges: Histogram::new(&RETRIES),
            retry_delay: Histogram::new(&LATENCY),
        }
    }
}

impl CallCells {
    pub(super) fn end(&self, code: Code, duration: Duration) {
        let (shard, adding) = self.durations.mine();
        shard.get(code, || Histogram::new(&LATENCY)).record_time(adding, duration);
    }

    pub(super) fn durations(&self, code: Code) -> Option<Sums> {
        Sums::of(&LATENCY, self.durations.all().filter_map(|shard| shard.seen(code)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_on_a_bound_are_below_it() {
        let histogram = Histogram::new(&SIZE);
        for value in [0, 1, 1024, 1025, 4_294_967_296, 4_294_967_297] {
            histogram.record(value);
        }
        let sums = Sums::of(&SIZE, [&histogram].into_iter()).unwrap();
        assert_eq!(sums.counts, [1, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!(sums.sum, 1 + 1024 + 1025 + 4_294_967_296 + 4_294_967_297);
    }

    #[test]
    fn times_are_counted_in_nanoseconds() {
        let histogram = Histogram::new(&LATENCY);
        for nanos in [0, 1, 10_000, 10_001] {
            histogram.record_time(SHARED.adding, Duration::from_nanos(nanos));
        }
        let sums = Sums::of(&LATENCY, [&histogram].into_iter()).unwrap();
        assert_eq!(sums.counts[..4], [1, 2, 1, 0]);
        assert_eq!(LATENCY.counted.len(), 41);
        assert_eq!((LATENCY.counted[1], LATENCY.counted[40]), (10_000, 100_000_000_000));
    }

    #[test]
    fn threads_add_up() {
        let cells = StreamCells::default();
        let end = StreamEnd {
            code: Code::Ok,
            duration: Duration::from_millis(1),
            sent_bytes: 10,
            received_bytes: 20,
        };
        std::thread::scope(|scope| {
            for _ in 0..40 {
                scope.spawn(|| {
                    cells.begin();
                    cells.end(&end);
                });
            }
        });
        assert_eq!(cells.started(), 40);
        let [duration, sent, received] = cells.ended(Code::Ok).unwrap();
        assert_eq!((sent.sum, received.sum), (400, 800));
        assert_eq!(duration.counts.iter().sum::<u64>(), 40);
        assert!(cells.ended(Code::Internal).is_none());
    }
}
