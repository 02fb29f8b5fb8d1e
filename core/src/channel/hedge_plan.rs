//! Hedging (gRFC A6): when a call that has no answer yet is sent once more, beside the attempts under way. No I/O, no
//! clock.

use std::time::Duration;

use tokio::time::Instant;

use super::retry::{Pushback, Throttle, pushback};
use crate::timer::after;
use crate::{Code, Status};

/// How the calls of a method are hedged.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HedgingPolicy {
    /// The first one counts.
    pub(crate) max_attempts: u32,
    /// Between two attempts; all at once without.
    pub(crate) delay: Duration,
    /// With one of these an attempt fails alone. Any other end is that of the call.
    pub(crate) non_fatal: Vec<Code>,
}

impl HedgingPolicy {
    /// Lets `throttle` know how an attempt failed. (That one succeeded it knows from every call.)
    pub(crate) fn account(&self, status: &Status, throttle: &Throttle) {
        let never = || pushback(status.metadata()) == Some(Pushback::Never);
        if !status.is_ok() && (self.non_fatal.contains(&status.code()) || never()) {
            throttle.failed();
        }
    }
}

/// The attempts of one call.
#[derive(Debug)]
pub(crate) struct HedgePlan {
    begun: u32,
    /// When the next one begins, if there is a next one.
    next: Option<Instant>,
}

impl HedgePlan {
    pub(crate) fn new(now: Instant) -> Self {
        HedgePlan { begun: 0, next: Some(now) }
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.next
    }

    /// Begins an attempt, if it is time: gives how many were begun before.
    pub(crate) fn begin(
        &mut self,
        now: Instant,
        policy: &HedgingPolicy,
        throttle: Option<&Throttle>,
    ) -> Option<u32> {
        self.next.filter(|at| *at <= now)?;
        if self.begun > 0 && throttle.is_some_and(|throttle| !throttle.permits()) {
            self.next = None;
            return None;
        }
        let before = self.begun;
        self.begun += 1;
        self.next = (self.begun < policy.max_attempts).then(|| after(now, policy.delay));
        Some(before)
    }

    /// Takes note of an attempt that failed. `false`: with it the call has.
    pub(crate) fn goes_on(&mut self, status: &Status, now: Instant, policy: &HedgingPolicy) -> bool {
        if !policy.non_fatal.contains(&status.code()) {
            return false;
        }
        if self.next.is_some() {
            self.next = match pushback(status.metadata()) {
                // Nobody waits for what has failed.
                None => Some(now),
                Some(Pushback::After(pause)) => Some(after(now, pause)),
                Some(Pushback::Never) => None,
            };
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::retry::Throttling;
    use super::*;
    use crate::Metadata;

    fn policy() -> HedgingPolicy {
        HedgingPolicy {
            max_attempts: 4,
            delay: Duration::from_millis(500),
            non_fatal: vec![Code::Unavailable, Code::Aborted],
        }
    }

    fn pushed_back(text: &str) -> Status {
        let mut trailers = Metadata::new();
        trailers.append("grpc-retry-pushback-ms", text).unwrap();
        Status::unavailable("busy").with_metadata(trailers)
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    // gRFC A6, "Hedging Policy": four attempts, 0.5 s apart
    #[test]
    fn attempts_begin_one_delay_after_the_other() {
        let (policy, start) = (policy(), Instant::now());
        let mut plan = HedgePlan::new(start);
        for (number, at) in [0, 500, 1000, 1500].into_iter().enumerate() {
            let at = start + ms(at);
            assert_eq!(plan.begin(at - ms(u64::from(number > 0)), &policy, None).is_some(), number == 0);
            if number > 0 {
                assert_eq!(plan.begin(at, &policy, None), Some(number as u32));
            }
        }
        assert_eq!(plan.next(), None);
    }

    #[test]
    fn without_a_delay_all_begin_at_once() {
        let policy = HedgingPolicy { delay: Duration::ZERO, ..policy() };
        let now = Instant::now();
        let mut plan = HedgePlan::new(now);
        let begun: Vec<_> = std::iter::from_fn(|| plan.begin(now, &policy, None)).collect();
        assert_eq!(begun, [0, 1, 2, 3]);
    }

    #[test]
    fn failure_brings_the_next_attempt_forward() {
        let (policy, start) = (policy(), Instant::now());
        let mut plan = HedgePlan::new(start);
        plan.begin(start, &policy, None);
        assert!(plan.goes_on(&Status::unavailable("down"), start + ms(100), &policy));
        assert_eq!(plan.begin(start + ms(100), &policy, None), Some(1));
        assert_eq!(plan.next(), Some(start + ms(600)), "from there on as before");
        assert!(!plan.goes_on(&Status::internal("broken"), start, &policy), "fatal");
    }

    // gRFC A6, "Server Pushback"
    #[test]
    fn server_names_the_next_attempt_or_forbids_it() {
        let (policy, start) = (policy(), Instant::now());
        let mut plan = HedgePlan::new(start);
        plan.begin(start, &policy, None);
        assert!(plan.goes_on(&pushed_back("1200"), start + ms(100), &policy));
        assert_eq!(plan.next(), Some(start + ms(1300)));
        plan.begin(start + ms(1300), &policy, None);
        assert_eq!(plan.next(), Some(start + ms(1800)));
        assert!(plan.goes_on(&pushed_back("-1"), start + ms(1400), &policy));
        assert_eq!(plan.next(), None);
        assert!(plan.goes_on(&pushed_back("5"), start + ms(1400), &policy));
        assert_eq!(plan.next(), None, "what was forbidden stays so");
    }

    // gRFC A6, "Throttling Retry Attempts and Hedged RPCs"
    #[test]
    fn first_attempt_alone_is_made_while_too_many_fail() {
        let (policy, start) = (policy(), Instant::now());
        let throttle = Throttle::new(Throttling { max_tokens: 2, ratio_thousandths: 100 });
        policy.account(&Status::ok(), &throttle);
        policy.account(&Status::internal("fatal"), &throttle);
        assert!(throttle.permits());
        policy.account(&Status::aborted(""), &throttle);
        assert!(!throttle.permits());
        let mut plan = HedgePlan::new(start);
        assert_eq!(plan.begin(start, &policy, Some(&throttle)), Some(0));
        assert_eq!(plan.begin(start + ms(500), &policy, Some(&throttle)), None);
        assert_eq!(plan.next(), None);
    }
}
