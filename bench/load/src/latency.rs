//! How long each of many rounds took, in little memory.

use std::time::Duration;

/// Buckets per doubling: the error of a percentile is below 1.6 %.
const STEPS: u64 = 64;
const STEP_BITS: u32 = STEPS.trailing_zeros();
const BUCKETS: usize = (u64::BITS - STEP_BITS + 1) as usize * STEPS as usize;

/// A histogram of durations.
#[derive(Clone, Debug)]
pub struct Latencies {
    counts: Vec<u64>,
}

impl Default for Latencies {
    fn default() -> Self {
        Latencies { counts: vec![0; BUCKETS] }
    }
}

impl Latencies {
    /// Takes one duration in.
    pub fn add(&mut self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(nanos)] += 1;
    }

    /// Takes in all that `other` has.
    pub fn merge(&mut self, other: &Latencies) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
    }

    /// The duration that `share` (0 to 1) of all stay within, in microseconds; 0 if there are none.
    #[must_use]
    pub fn percentile_us(&self, share: f64) -> f64 {
        let total: u64 = self.counts.iter().sum();
        let rank = (total as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank && seen > 0 {
                return lowest_nanos(index) as f64 / 1e3;
            }
        }
        0.0
    }
}

/// Linear up to `STEPS`, then `STEPS` buckets for each doubling.
fn bucket(nanos: u64) -> usize {
    if nanos < STEPS {
        return nanos as usize;
    }
    let doubling = nanos.ilog2() - STEP_BITS;
    (u64::from(doubling + 1) * STEPS + (nanos >> doubling) - STEPS) as usize
}

fn lowest_nanos(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < STEPS {
        return bucket;
    }
    (bucket % STEPS + STEPS) << (bucket / STEPS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_near_the_exact_ones() {
        let mut latencies = Latencies::default();
        for micros in 1..=1000 {
            latencies.add(Duration::from_micros(micros));
        }
        for (share, exact) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            let found = latencies.percentile_us(share);
            assert!((found - exact).abs() / exact < 0.016, "{share}: {found} is not {exact}");
        }
    }

    #[test]
    fn no_rounds_have_no_latency() {
        assert_eq!(Latencies::default().percentile_us(0.5), 0.0);
    }

    #[test]
    fn every_bucket_begins_at_its_lowest_value() {
        for nanos in [0, 63, 64, 65, 127, 128, 1_000_000, u64::MAX] {
            let lowest = lowest_nanos(bucket(nanos));
            assert!(lowest <= nanos && nanos - lowest <= nanos / STEPS, "{nanos}: {lowest}");
            assert_eq!(bucket(lowest), bucket(nanos));
        }
    }
}
