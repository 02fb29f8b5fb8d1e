//! Whether what was counted after each round shows a leak.

use crate::census::Census;

/// Memory may grow by so much, in bytes, from the end of the first third of the rounds to the last.
pub const MAX_GROWTH: f64 = 256.0 * 1024.0;

/// What is left of the first rounds' speed and windows must be this much.
pub const MIN_SHARE: f64 = 0.9;

/// Rounds that took less than this, in seconds, are too short to compare their speed.
const MIN_SECONDS: f64 = 0.3;

/// What was counted after a round.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    /// The client's process.
    pub client: Census,
    /// The server's.
    pub server: Census,
    /// What the one connection takes while nobody reads, in bytes, in each of [`DIRECTIONS`].
    pub unread: [u64; 2],
}

/// The directions of a connection.
pub const DIRECTIONS: [&str; 2] = ["server to client", "client to server"];

/// One of the two processes.
struct Side {
    name: &'static str,
    of: fn(&Reading) -> Census,
}

const SIDES: [Side; 2] = [
    Side { name: "client", of: |reading| reading.client },
    Side { name: "server", of: |reading| reading.server },
];

/// How much memory grew over the rounds after the first third, in bytes, by the line that fits best: one reading
/// that is off does not decide.
fn growth(allocated: &[u64]) -> f64 {
    let rest = &allocated[allocated.len() / 3..];
    let count = rest.len() as f64;
    if rest.len() < 2 {
        return 0.0;
    }
    let mean_x = (count - 1.0) / 2.0;
    let mean_y = rest.iter().sum::<u64>() as f64 / count;
    let (mut above, mut below) = (0.0, 0.0);
    for (index, bytes) in rest.iter().enumerate() {
        let x = index as f64 - mean_x;
        above += x * (*bytes as f64 - mean_y);
        below += x * x;
    }
    above / below * (count - 1.0)
}

/// The best of the first and of the last tenth of `values`, where less is better. Only the best: what else runs on
/// the machine makes some rounds worse, and none better.
fn ends(values: &[f64]) -> (f64, f64) {
    let tenth = (values.len() / 10).max(1);
    let best = |part: &[f64]| part.iter().copied().fold(f64::INFINITY, f64::min);
    (best(&values[..tenth]), best(&values[values.len() - tenth..]))
}

/// The numbers that decide, one line each. The first reading is from before the first round.
#[must_use]
pub fn numbers(readings: &[Reading]) -> Vec<String> {
    let mut lines = Vec::new();
    let (Some(before), Some(last)) = (readings.first(), readings.last()) else { return lines };
    for Side { name, of } in SIDES {
        let kilobytes = |reading: &Reading| of(reading).allocated / 1024;
        let grown = growth(&allocations(readings, of)) / 1024.0;
        let (before, last) = (kilobytes(before), kilobytes(last));
        lines.push(format!(
            "{name}: {before} kB before, {last} kB after, {grown:+.0} kB in the last two thirds"
        ));
    }
    for (index, direction) in DIRECTIONS.iter().enumerate() {
        let (most, last) = (most_unread(readings, index), last.unread[index]);
        lines.push(format!("unread bytes from {direction}: {most} at most, {last} in the last round"));
    }
    let (first, last) = ends(&seconds(readings));
    lines.push(format!("computing in a round: {first:.3} s among the first, {last:.3} s among the last"));
    lines
}

/// Everything that is wrong with the rounds' readings; the first is from before the first round.
#[must_use]
pub fn faults(readings: &[Reading]) -> Vec<String> {
    let mut faults = Vec::new();
    let (Some(before), Some(last)) = (readings.first(), readings.last()) else { return faults };
    for Side { name, of } in SIDES {
        let allocated = allocations(readings, of);
        let grown = growth(&allocated);
        if grown > MAX_GROWTH {
            faults.push(format!("{name}: memory grew by {:.0} kB: {allocated:?}", grown / 1024.0));
        }
        let (before, last) = (of(before), of(last));
        if !last.is_at_rest(&before) {
            faults.push(format!("{name}: not all is given back: {before:?}, then {last:?}"));
        }
    }
    for (index, direction) in DIRECTIONS.iter().enumerate() {
        // They may have grown since the first round; what they once were they must be at the end.
        let (most, last) = (most_unread(readings, index), last.unread[index]);
        if (last as f64) < most as f64 * MIN_SHARE {
            faults.push(format!("the window from {direction} shrank from {most} to {last} bytes"));
        }
    }
    let (first, last) = ends(&seconds(readings));
    if first >= MIN_SECONDS && first / last < MIN_SHARE {
        faults.push(format!("the last rounds took {last:.3} s of computing, the first {first:.3} s"));
    }
    faults
}

fn allocations(readings: &[Reading], of: fn(&Reading) -> Census) -> Vec<u64> {
    readings.iter().map(|reading| of(reading).allocated).collect()
}

fn most_unread(readings: &[Reading], direction: usize) -> u64 {
    readings.iter().map(|reading| reading.unread[direction]).max().unwrap_or_default()
}

/// What both processes computed in each round, in seconds.
fn seconds(readings: &[Reading]) -> Vec<f64> {
    let total = |reading: &Reading| (reading.client.cpu_micros + reading.server.cpu_micros) as f64 / 1e6;
    readings.windows(2).map(|pair| total(&pair[1]) - total(&pair[0])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1 << 20;

    /// Readings of thirty rounds of 0.4 s each.
    fn rounds(mut server: impl FnMut(u64) -> Census) -> Vec<Reading> {
        let reading = |n| Reading {
            client: Census { allocated: 2 * MB, ..Census::default() },
            server: Census { cpu_micros: n * 400_000, ..server(n) },
            unread: [1 << 20; 2],
        };
        (0..=30).map(reading).collect()
    }

    #[test]
    fn steady_rounds_are_without_fault() {
        // A warm-up, and noise.
        let readings = rounds(|n| Census {
            allocated: 2 * MB + n.min(8) * MB / 8 + n % 3 * MB / 32,
            ..Census::default()
        });
        assert_eq!(faults(&readings), Vec::<String>::new());
    }

    #[test]
    fn slow_growth_is_found() {
        let readings = rounds(|n| Census { allocated: 2 * MB + n * MB / 64, ..Census::default() });
        let faults = faults(&readings);
        assert!(faults.len() == 1 && faults[0].starts_with("server: memory grew by 3"), "{faults:?}");
    }

    #[test]
    fn descriptors_tasks_and_handlers_that_are_left_are_found() {
        for left in [
            Census { descriptors: 1, ..Census::default() },
            Census { tasks: 1, ..Census::default() },
            Census { handlers: 1, ..Census::default() },
        ] {
            let readings = rounds(|n| if n == 30 { left } else { Census::default() });
            assert_eq!(faults(&readings).len(), 1, "{left:?}");
        }
    }

    #[test]
    fn windows_that_shrink_are_found_also_after_they_grew() {
        let mut readings = rounds(|_| Census::default());
        readings[10].unread[1] = 4 << 20;
        assert_eq!(faults(&readings).len(), 1);
    }

    #[test]
    fn rounds_that_become_slow_are_found() {
        let mut readings = rounds(|_| Census::default());
        for (n, reading) in readings.iter_mut().enumerate() {
            reading.server.cpu_micros += (n * n) as u64 * 2000;
        }
        assert_eq!(faults(&readings).len(), 1);
    }
}
