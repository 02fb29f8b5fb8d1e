//! Retries (gRFC A6): when a call that failed is made again, and after what pause. No I/O, no clock.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::{Code, Metadata, Status, random};

/// What a server says about calls that failed: milliseconds to wait, or something else for never.
const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// How far a pause is moved at random, as a fraction of it in either direction.
const JITTER: f64 = 0.2;

/// How the calls of a method are made again.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RetryPolicy {
    /// The first one counts.
    pub(crate) max_attempts: u32,
    pub(crate) initial_backoff: Duration,
    pub(crate) max_backoff: Duration,
    pub(crate) multiplier: f64,
    /// What is worth another attempt.
    pub(crate) codes: Vec<Code>,
}

/// When retries are left, because too many calls fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Throttling {
    pub(crate) max_tokens: u32,
    pub(crate) ratio_thousandths: u32,
}

/// The tokens of a channel, in thousandths: each failure takes one, each success brings a part of one. At half of them
/// and below nothing is retried.
#[derive(Debug)]
pub(crate) struct Throttle {
    tokens: AtomicU32,
    max: u32,
    ratio: u32,
}

impl Throttle {
    pub(crate) fn new(throttling: Throttling) -> Self {
        let max = throttling.max_tokens * 1000;
        Throttle { tokens: AtomicU32::new(max), max, ratio: throttling.ratio_thousandths }
    }

    pub(crate) fn failed(&self) {
        let less = |tokens: u32| Some(tokens.saturating_sub(1000));
        // It always succeeds: the closure never says no.
        let _ = self.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    fn succeeded(&self) {
        // As a rule there is nothing to add.
        if self.tokens.load(Ordering::Relaxed) < self.max {
            let more = |tokens: u32| Some(tokens.saturating_add(self.ratio).min(self.max));
            let _ = self.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        }
    }

    pub(crate) fn permits(&self) -> bool {
        self.tokens.load(Ordering::Relaxed) > self.max / 2
    }
}

/// What became of the attempts of one call.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Retries {
    /// Attempts that were followed by another one because of a policy.
    made: u32,
    /// How often the pause has grown since the server last named one.
    growths: u32,
}

impl Retries {
    /// Of an attempt that others were begun before, whatever becomes of those.
    pub(crate) fn behind(made: u32) -> Self {
        Retries { made, growths: 0 }
    }

    pub(crate) fn made(&self) -> u32 {
        self.made
    }

    /// Whether the call is made again after this end, and after what pause. `headers`: the response had begun, so that
    /// the call is not made again in any case.
    pub(crate) fn after(
        &mut self,
        status: &Status,
        headers: bool,
        policy: Option<&RetryPolicy>,
        throttle: Option<&Throttle>,
    ) -> Option<Duration> {
        if status.is_ok() {
            throttle.inspect(|throttle| throttle.succeeded());
            return None;
        }
        let policy = policy?;
        let pushback = pushback(status.metadata());
        let retryable = policy.codes.contains(&status.code());
        if retryable || pushback == Some(Pushback::Never) {
            throttle.inspect(|throttle| throttle.failed());
        }
        let permitted = retryable && !headers && self.made + 1 < policy.max_attempts;
        if !permitted || throttle.is_some_and(|throttle| !throttle.permits()) {
            return None;
        }
        let pause = match pushback {
            Some(Pushback::Never) => return None,
            Some(Pushback::After(pause)) => {
                self.growths = 0;
                pause
            }
            None => {
                let growth = policy.multiplier.powi(i32::try_from(self.growths).unwrap_or(i32::MAX));
                let seconds = policy.initial_backoff.as_secs_f64() * growth;
                self.growths += 1;
                let pause = seconds.min(policy.max_backoff.as_secs_f64());
                Duration::try_from_secs_f64(pause * (1.0 - JITTER + 2.0 * JITTER * random::unit()))
                    .unwrap_or(policy.max_backoff)
            }
        };
        self.made += 1;
        Some(pause)
    }
}

/// What a server says about making a call that failed again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushback {
    After(Duration),
    Never,
}

pub(crate) fn pushback(trailers: &Metadata) -> Option<Pushback> {
    let text = trailers.get(PUSHBACK)?;
    // What cannot be read counts as never, and so does a negative number.
    Some(match text.parse::<i64>().ok().and_then(|pause| u64::try_from(pause).ok()) {
        Some(pause) => Pushback::After(Duration::from_millis(pause)),
        None => Pushback::Never,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(max_attempts: u32) -> RetryPolicy {
        RetryPolicy {
            max_attempts,
            initial_backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(3),
            multiplier: 2.0,
            codes: vec![Code::Unavailable],
        }
    }

    fn pushed_back(text: &str) -> Status {
        let mut trailers = Metadata::new();
        trailers.append(PUSHBACK, text).unwrap();
        Status::unavailable("busy").with_metadata(trailers)
    }

    fn is_about(pause: Duration, seconds: f64) -> bool {
        (seconds * 0.8..=seconds * 1.2).contains(&pause.as_secs_f64())
    }

    // gRFC A6, "Exponential Backoff"
    #[test]
    fn pauses_grow_to_a_bound_and_attempts_end() {
        let (policy, mut retries, down) = (policy(5), Retries::default(), Status::unavailable("down"));
        for seconds in [1.0, 2.0, 3.0, 3.0] {
            let pause = retries.after(&down, false, Some(&policy), None).unwrap();
            assert!(is_about(pause, seconds), "{pause:?}");
        }
        assert_eq!(
            retries.after(&down, false, Some(&policy), None),
            None,
            "five attempts with the first one"
        );
        assert_eq!(retries.made(), 4);
    }

    #[test]
    fn only_named_codes_before_the_headers_are_tried_again() {
        let policy = policy(2);
        let again = |status: Status, headers| Retries::default().after(&status, headers, Some(&policy), None);
        assert!(again(Status::unavailable(""), false).is_some());
        assert_eq!(again(Status::unavailable(""), true), None, "committed");
        assert_eq!(again(Status::internal(""), false), None);
        assert_eq!(again(Status::ok(), false), None);
        assert_eq!(Retries::default().after(&Status::unavailable(""), false, None, None), None);
    }

    // gRFC A6, "Server Pushback"
    #[test]
    fn server_names_the_pause_or_forbids_it() {
        let (policy, mut retries) = (policy(5), Retries::default());
        let mut after = |status: &Status| retries.after(status, false, Some(&policy), None);
        let down = Status::unavailable("down");
        assert!(is_about(after(&down).unwrap(), 1.0));
        assert_eq!(after(&pushed_back("250")), Some(Duration::from_millis(250)));
        assert!(is_about(after(&down).unwrap(), 1.0), "from the beginning again");
        for never in ["-1", "x", "", "1.5"] {
            assert_eq!(after(&pushed_back(never)), None, "{never:?}");
        }
    }

    // gRFC A6, "Throttling Retry Attempts and Hedged RPCs": 10 tokens, ratio 0.1
    #[test]
    fn failures_use_up_tokens_and_successes_bring_them_back() {
        let throttle = Throttle::new(Throttling { max_tokens: 10, ratio_thousandths: 100 });
        let policy = policy(2);
        let fail = |status: Status| {
            Retries::default().after(&status, false, Some(&policy), Some(&throttle)).is_some()
        };
        let down = || Status::unavailable("down");
        assert_eq!([(); 6].map(|()| fail(down())), [true, true, true, true, false, false], "above a half");
        let succeed = || Retries::default().after(&Status::ok(), true, Some(&policy), Some(&throttle));
        (0..20).for_each(|_| assert_eq!(succeed(), None));
        assert!(!fail(down()), "six tokens, and this one takes one of them");
        (0..11).for_each(|_| assert_eq!(succeed(), None));
        assert!(fail(down()));
        assert!(!fail(Status::internal("")), "which takes none");
        (0..1000).for_each(|_| assert_eq!(succeed(), None));
        assert_eq!(throttle.tokens.load(Ordering::Relaxed), 10_000);
        assert!(!fail(pushed_back("-1")));
        assert_eq!(throttle.tokens.load(Ordering::Relaxed), 9_000);
    }
}
