//! The pauses between attempts to connect (gRPC's connection backoff), without I/O.
//!
//! ```text
//!   start ──► attempt runs, for max(min_connect_timeout, pause) at most
//!     │          ├─ succeeded: pause is `initial` again
//!     │          └─ failed ───────────────┐
//!     └───────── pause, ±jitter ──────────┴──► start       pause grows ×multiplier, up to max
//! ```
//!
//! The pause spaces the *starts* of attempts: one that took longer than its pause is followed by the next at once.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use crate::random;
use crate::timer::after;

/// How long to wait between attempts, as plain data.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BackoffConfig {
    /// Between the first two attempts.
    pub(crate) initial: Duration,
    /// By how much each pause is longer than the one before.
    pub(crate) multiplier: f64,
    /// The longest pause, before jitter.
    pub(crate) max: Duration,
    /// How far a pause is moved at random, as a fraction of it in either direction: clients that lost one server
    /// together should not come back together.
    pub(crate) jitter: f64,
    /// What an attempt is given at least.
    pub(crate) min_connect_timeout: Duration,
}

impl Default for BackoffConfig {
    /// The values every gRPC client uses.
    fn default() -> Self {
        Self {
            initial: Duration::from_secs(1),
            multiplier: 1.6,
            max: Duration::from_secs(120),
            jitter: 0.2,
            min_connect_timeout: Duration::from_secs(20),
        }
    }
}

/// The backoff of one target.
pub(crate) struct Backoff {
    config: BackoffConfig,
    /// From 0 up to, not including, 1.
    random: Box<dyn FnMut() -> f64 + Send>,
    /// The pause after the attempt under way, or the next one, before jitter.
    pause: Duration,
    /// Earliest start of the next attempt, known once one began.
    next_start: Option<Instant>,
}

impl fmt::Debug for Backoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backoff").field("pause", &self.pause).field("next_start", &self.next_start).finish()
    }
}

impl Backoff {
    /// No attempt was made yet.
    pub(crate) fn new(config: BackoffConfig) -> Self {
        Self::with_random(config, random::unit)
    }

    /// Takes its random numbers, from 0 up to 1, from `random`.
    pub(crate) fn with_random(config: BackoffConfig, random: impl FnMut() -> f64 + Send + 'static) -> Self {
        let pause = config.initial.min(config.max);
        Self { config, random: Box::new(random), pause, next_start: None }
    }

    /// An attempt begins. Returns the moment at which it should be given up.
    pub(crate) fn start(&mut self, now: Instant) -> Instant {
        let jittered = self.jittered();
        self.next_start = Some(after(now, jittered));
        let limit = self.config.min_connect_timeout.max(jittered);
        self.pause = scale(self.pause, self.config.multiplier).min(self.config.max);
        after(now, limit)
    }

    /// The attempt failed. Returns when the next may start, which is `now` if that is past already.
    pub(crate) fn failed(&mut self, now: Instant) -> Instant {
        self.next_start.map_or(now, |start| start.max(now))
    }

    /// The attempt led to a connection: the next one needs no pause and starts from the first.
    pub(crate) fn succeeded(&mut self) {
        self.reset();
    }

    /// Forgets all failures, for instance because the network has changed.
    pub(crate) fn reset(&mut self) {
        self.pause = self.config.initial.min(self.config.max);
        self.next_start = None;
    }

    fn jittered(&mut self) -> Duration {
        let jitter = self.config.jitter.clamp(0.0, 1.0);
        scale(self.pause, 1.0 + jitter * (2.0 * (self.random)() - 1.0))
    }
}

/// The longest pause there is, whatever is configured: moments must stay within what the clock can tell.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

fn scale(duration: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(duration.as_secs_f64() * factor).unwrap_or(LONGEST).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn constant(random: f64) -> Backoff {
        Backoff::with_random(BackoffConfig::default(), move || random)
    }

    /// The pauses, in milliseconds, of a target that refuses at once.
    fn pauses(backoff: &mut Backoff, count: usize) -> Vec<u128> {
        let mut now = Instant::now();
        let mut pauses = Vec::new();
        for _ in 0..count {
            backoff.start(now);
            let next = backoff.failed(now);
            pauses.push((next - now).as_millis());
            now = next;
        }
        pauses
    }

    #[test]
    fn pauses_grow_up_to_the_limit() {
        let expected =
            [1000, 1600, 2560, 4096, 6553, 10_485, 16_777, 26_843, 42_949, 68_719, 109_951, 120_000, 120_000];
        assert_eq!(pauses(&mut constant(0.5), 13), expected);
    }

    #[test]
    fn jitter_moves_a_pause_by_a_fifth_either_way() {
        assert_eq!(pauses(&mut constant(0.0), 2), [800, 1280]);
        let above = pauses(&mut constant(1.0), 12);
        assert_eq!(above[0], 1200);
        assert_eq!(above[11], 144_000);
    }

    #[test]
    fn jitter_really_spreads() {
        let mut firsts: Vec<_> =
            (0..200).map(|_| pauses(&mut Backoff::new(BackoffConfig::default()), 1)[0]).collect();
        firsts.sort_unstable();
        assert!(firsts[0] >= 800 && firsts[199] <= 1200, "{firsts:?}");
        assert!(firsts[0] < 900 && firsts[199] > 1100, "{firsts:?}");
        firsts.dedup();
        assert!(firsts.len() > 50);
    }

    #[test]
    fn the_starts_are_spaced_not_the_gaps() {
        let mut backoff = constant(0.5);
        let begin = Instant::now();
        backoff.start(begin);
        assert_eq!(backoff.failed(begin + SECOND * 3 / 10), begin + SECOND);
        // This attempt takes longer than its pause.
        backoff.start(begin + SECOND);
        assert_eq!(backoff.failed(begin + 10 * SECOND), begin + 10 * SECOND);
    }

    #[test]
    fn an_attempt_has_twenty_seconds_or_its_pause() {
        let mut backoff = constant(0.5);
        let now = Instant::now();
        let limits: Vec<_> = (0..9).map(|_| (backoff.start(now) - now).as_secs()).collect();
        assert_eq!(limits, [20, 20, 20, 20, 20, 20, 20, 26, 42]);
    }

    #[test]
    fn success_begins_anew() {
        let mut backoff = constant(0.5);
        pauses(&mut backoff, 5);
        assert!(backoff.next_start.is_some());
        backoff.succeeded();
        assert_eq!(backoff.next_start, None);
        assert_eq!(pauses(&mut backoff, 2), [1000, 1600]);
    }

    #[test]
    fn absurd_settings_do_not_overflow() {
        let config = BackoffConfig {
            initial: Duration::MAX,
            max: Duration::MAX,
            multiplier: f64::INFINITY,
            jitter: 7.0,
            ..BackoffConfig::default()
        };
        let mut backoff = Backoff::with_random(config, || 0.9);
        let now = Instant::now();
        for _ in 0..5 {
            assert!(backoff.start(now) > now);
        }
        assert!(backoff.failed(now) > now);
    }
}
