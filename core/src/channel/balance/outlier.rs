//! Outlier detection (gRFC A50): addresses whose calls fail much more often than those of the others get none for a while.
//!
//! It stands between another policy and its host: to that policy an address that is ejected is one that has failed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::super::address::{Address, Endpoint};
use super::super::subchannel::{Connectivity, Subchannel};
use super::{Host, Picker, Policy, SubchannelState, Watching};
use crate::{Status, random};

/// When addresses are ejected, and for how long.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OutlierDetection {
    /// How often the calls since the last time are looked at.
    pub(crate) interval: Duration,
    /// How long an address is out the first time; each time it is one more of it.
    pub(crate) base_ejection: Duration,
    /// The longest that it is out.
    pub(crate) max_ejection: Duration,
    /// How many of the addresses may be out at once; at least one may.
    pub(crate) max_percent: u32,
    pub(crate) success_rate: Option<SuccessRate>,
    pub(crate) failure_percentage: Option<FailurePercentage>,
}

/// Ejects those whose success rate is far below that of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SuccessRate {
    /// How far, in thousandths of the standard deviation.
    pub(crate) stdev_factor: u32,
    /// How many of those that are found are ejected.
    pub(crate) enforcement_percent: u32,
    /// Addresses that must have calls enough.
    pub(crate) minimum_hosts: u32,
    /// Calls that are enough.
    pub(crate) request_volume: u64,
}

/// Ejects those of whose calls more than a share fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FailurePercentage {
    pub(crate) threshold: u32,
    pub(crate) enforcement_percent: u32,
    pub(crate) minimum_hosts: u32,
    pub(crate) request_volume: u64,
}

impl Default for OutlierDetection {
    fn default() -> Self {
        OutlierDetection {
            interval: Duration::from_secs(10),
            base_ejection: Duration::from_secs(30),
            max_ejection: Duration::from_secs(300),
            max_percent: 10,
            success_rate: None,
            failure_percentage: None,
        }
    }
}

impl Default for SuccessRate {
    fn default() -> Self {
        SuccessRate { stdev_factor: 1900, enforcement_percent: 100, minimum_hosts: 5, request_volume: 100 }
    }
}

impl Default for FailurePercentage {
    fn default() -> Self {
        FailurePercentage { threshold: 85, enforcement_percent: 100, minimum_hosts: 5, request_volume: 50 }
    }
}

/// See the [module](self).
pub(crate) struct Outlier<P> {
    config: OutlierDetection,
    child: P,
    watch: Watch,
}

/// What is known of the addresses.
#[derive(Default)]
struct Watch {
    hosts: HashMap<u64, Watched>,
    look_at: Option<Instant>,
    /// The time that the other policy has asked for.
    child_timer: Option<Instant>,
}

struct Watched {
    subchannel: Arc<Subchannel>,
    state: SubchannelState,
    ejected_at: Option<Instant>,
    /// How many base times it was or will be out.
    multiplier: u32,
}

impl<P: Policy> Outlier<P> {
    pub(crate) fn new(config: OutlierDetection, child: P) -> Self {
        Outlier { config, child, watch: Watch::default() }
    }

    /// Runs the other policy with a host that takes note of what it does.
    fn with<T>(&mut self, host: &mut dyn Host, run: impl FnOnce(&mut P, &mut dyn Host) -> T) -> T {
        let mut between = Between { host, watch: &mut self.watch };
        let result = run(&mut self.child, &mut between);
        self.set_timer(host);
        result
    }

    fn set_timer(&self, host: &mut dyn Host) {
        host.set_timer([self.watch.look_at, self.watch.child_timer].into_iter().flatten().min());
    }

    /// Looks at the calls of the interval that is over.
    fn look(&mut self, host: &mut dyn Host) {
        let now = host.now();
        let hosts = self.watch.hosts.iter();
        let calls: Vec<(u64, Counts)> = hosts
            .map(|(id, watched)| {
                let (succeeded, failed) = watched.subchannel.calls().take_counts();
                (*id, Counts { succeeded: succeeded as f64, total: succeeded + failed })
            })
            .collect();
        if let Some(rule) = self.config.success_rate {
            self.by_success_rate(&rule, &calls, host);
        }
        if let Some(rule) = self.config.failure_percentage {
            self.by_failure_percentage(&rule, &calls, host);
        }
        let mut back = Vec::new();
        for watched in self.watch.hosts.values_mut() {
            match watched.ejected_at {
                // One that behaves is forgiven step by step.
                None => watched.multiplier = watched.multiplier.saturating_sub(1),
                Some(at) => {
                    let base = self.config.base_ejection;
                    let longest = self.config.max_ejection.max(base);
                    if now.duration_since(at) >= base.saturating_mul(watched.multiplier).min(longest) {
                        watched.ejected_at = None;
                        back.push((watched.subchannel.clone(), watched.state.clone()));
                    }
                }
            }
        }
        for (subchannel, state) in back {
            self.with(host, |child, host| child.changed(&subchannel, &state, host));
        }
        self.watch.look_at = Some(now + self.config.interval);
    }

    fn by_success_rate(&mut self, rule: &SuccessRate, calls: &[(u64, Counts)], host: &mut dyn Host) {
        let Some(enough) = enough(calls, rule.request_volume, rule.minimum_hosts) else { return };
        let rates: Vec<f64> = enough.iter().map(|(_, counts)| counts.rate()).collect();
        let mean = rates.iter().sum::<f64>() / rates.len() as f64;
        let variance = rates.iter().map(|rate| (rate - mean).powi(2)).sum::<f64>() / rates.len() as f64;
        let least = mean - variance.sqrt() * f64::from(rule.stdev_factor) / 1000.0;
        for ((id, _), rate) in enough.into_iter().zip(rates) {
            if rate < least {
                self.eject(*id, rule.enforcement_percent, host);
            }
        }
    }

    fn by_failure_percentage(
        &mut self,
        rule: &FailurePercentage,
        calls: &[(u64, Counts)],
        host: &mut dyn Host,
    ) {
        let Some(enough) = enough(calls, rule.request_volume, rule.minimum_hosts) else { return };
        for (id, counts) in enough {
            if 100.0 * (1.0 - counts.rate()) > f64::from(rule.threshold) {
                self.eject(*id, rule.enforcement_percent, host);
            }
        }
    }

    fn eject(&mut self, id: u64, enforcement_percent: u32, host: &mut dyn Host) {
        let out = self.watch.hosts.values().filter(|watched| watched.ejected_at.is_some()).count();
        let most = (self.watch.hosts.len() * self.config.max_percent as usize / 100).max(1);
        let (now, dice) = (host.now(), random::below(100));
        let Some(watched) = self.watch.hosts.get_mut(&id) else { return };
        if watched.ejected_at.is_some() || out >= most || dice >= enforcement_percent as usize {
            return;
        }
        watched.ejected_at = Some(now);
        watched.multiplier += 1;
        let subchannel = watched.subchannel.clone();
        tracing::debug!(address = %subchannel.address(), "outlier detection: the address is ejected");
        let failed = SubchannelState::TransientFailure(Status::unavailable(format!(
            "outlier detection has ejected {}",
            subchannel.address()
        )));
        self.with(host, |child, host| child.changed(&subchannel, &failed, host));
    }
}

/// The calls of one address within an interval.
#[derive(Clone, Copy, Debug)]
struct Counts {
    succeeded: f64,
    total: u64,
}

/// Those with calls enough, if they are addresses enough.
fn enough(calls: &[(u64, Counts)], volume: u64, hosts: u32) -> Option<Vec<&(u64, Counts)>> {
    let enough: Vec<_> = calls.iter().filter(|(_, counts)| counts.total >= volume.max(1)).collect();
    (!enough.is_empty() && enough.len() >= hosts as usize).then_some(enough)
}

impl Counts {
    fn rate(self) -> f64 {
        self.succeeded / self.total as f64
    }
}

impl<P: Policy> Policy for Outlier<P> {
    fn resolved(&mut self, endpoints: &[Endpoint], host: &mut dyn Host) {
        if self.watch.look_at.is_none() {
            self.watch.look_at = Some(host.now() + self.config.interval);
        }
        self.with(host, |child, host| child.resolved(endpoints, host));
    }

    fn changed(&mut self, subchannel: &Arc<Subchannel>, state: &SubchannelState, host: &mut dyn Host) {
        if let Some(watched) = self.watch.hosts.get_mut(&subchannel.id()) {
            watched.state = state.clone();
            if watched.ejected_at.is_some() {
                return;
            }
        }
        self.with(host, |child, host| child.changed(subchannel, state, host));
    }

    fn wanted(&mut self, host: &mut dyn Host) {
        self.with(host, |child, host| child.wanted(host));
    }

    fn settle(&mut self, host: &mut dyn Host) {
        self.with(host, |child, host| child.settle(host));
    }

    fn timer(&mut self, host: &mut dyn Host) {
        let now = host.now();
        if self.watch.look_at.is_some_and(|at| at <= now) {
            self.look(host);
        }
        if self.watch.child_timer.take_if(|at| *at <= now).is_some() {
            self.with(host, |child, host| child.timer(host));
        }
        self.set_timer(host);
    }

    fn idle(&mut self, host: &mut dyn Host) {
        self.watch.look_at = None;
        self.with(host, |child, host| child.idle(host));
    }
}

/// The host that the other policy sees.
struct Between<'a> {
    host: &'a mut dyn Host,
    watch: &'a mut Watch,
}

impl Host for Between<'_> {
    fn now(&self) -> Instant {
        self.host.now()
    }

    fn subchannel(&mut self, address: &Address, watching: Watching) -> Arc<Subchannel> {
        let subchannel = self.host.subchannel(address, Watching { outcomes: true, ..watching });
        let watched = Watched {
            subchannel: subchannel.clone(),
            state: SubchannelState::Idle,
            ejected_at: None,
            multiplier: 0,
        };
        self.watch.hosts.insert(subchannel.id(), watched);
        subchannel
    }

    fn connect(&mut self, subchannel: &Arc<Subchannel>) {
        self.host.connect(subchannel);
    }

    fn drop_subchannel(&mut self, subchannel: &Arc<Subchannel>) {
        self.watch.hosts.remove(&subchannel.id());
        self.host.drop_subchannel(subchannel);
    }

    fn publish(&mut self, state: Connectivity, picker: Picker) {
        self.host.publish(state, picker);
    }

    fn resolve_again(&mut self) {
        self.host.resolve_again();
    }

    fn set_timer(&mut self, at: Option<Instant>) {
        self.watch.child_timer = at;
    }
}

#[cfg(test)]
mod tests {
    use super::super::RoundRobin;
    use super::super::everywhere::Everywhere;
    use super::super::tests::{Bench, addresses};
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(10);

    fn bench(config: OutlierDetection, count: u16) -> Bench<Outlier<Everywhere<RoundRobin>>> {
        let mut bench = Bench::new(Outlier::new(config, Everywhere::new(RoundRobin)));
        bench.resolved(&addresses(count));
        (1..=count).for_each(|port| bench.ready(port));
        bench
    }

    fn by_percentage() -> OutlierDetection {
        OutlierDetection {
            max_percent: 50,
            failure_percentage: Some(FailurePercentage::default()),
            ..OutlierDetection::default()
        }
    }

    /// All are well, but the first.
    fn first_fails(bench: &Bench<Outlier<Everywhere<RoundRobin>>>, count: u16) {
        bench.calls(1, 10, 90);
        (2..=count).for_each(|port| bench.calls(port, 100, 0));
    }

    // gRFC A50, failure percentage ejection: threshold 85, 5 hosts, 50 requests
    #[test]
    fn address_whose_calls_fail_is_out_for_thirty_seconds() {
        let mut bench = bench(by_percentage(), 5);
        first_fails(&bench, 5);
        assert_eq!(bench.picks(), [1, 2, 3, 4, 5]);
        bench.pass(INTERVAL);
        assert_eq!(bench.picks(), [2, 3, 4, 5]);
        bench.pass(2 * INTERVAL);
        assert_eq!(bench.picks(), [2, 3, 4, 5]);
        bench.pass(INTERVAL);
        assert_eq!(bench.picks(), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn each_time_it_is_out_longer_and_good_times_are_counted() {
        let mut bench = bench(by_percentage(), 5);
        first_fails(&bench, 5);
        bench.pass(4 * INTERVAL);
        first_fails(&bench, 5);
        bench.pass(INTERVAL);
        assert_eq!(bench.picks(), [2, 3, 4, 5]);
        bench.pass(5 * INTERVAL);
        assert_eq!(bench.picks(), [2, 3, 4, 5], "twice the base time");
        bench.pass(INTERVAL);
        assert_eq!(bench.picks(), [1, 2, 3, 4, 5]);
        bench.pass(3 * INTERVAL);
        first_fails(&bench, 5);
        bench.pass(4 * INTERVAL);
        assert_eq!(bench.picks(), [1, 2, 3, 4, 5], "forgiven: once the base time again");
    }

    #[test]
    fn few_calls_or_few_addresses_prove_nothing() {
        let mut few_addresses = bench(by_percentage(), 4);
        first_fails(&few_addresses, 4);
        few_addresses.pass(INTERVAL);
        assert_eq!(few_addresses.picks(), [1, 2, 3, 4]);
        let mut few_calls = bench(by_percentage(), 5);
        few_calls.calls(1, 0, 49);
        few_calls.pass(INTERVAL);
        assert_eq!(few_calls.picks(), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn no_more_than_the_permitted_share_is_out() {
        let mut bench = bench(OutlierDetection { max_percent: 40, ..by_percentage() }, 5);
        (1..=5).for_each(|port| bench.calls(port, 0, 100));
        bench.pass(INTERVAL);
        assert_eq!(bench.picks().len(), 3);
        let mut one = self::bench(OutlierDetection { max_percent: 0, ..by_percentage() }, 5);
        (1..=5).for_each(|port| one.calls(port, 0, 100));
        one.pass(INTERVAL);
        assert_eq!(one.picks().len(), 4, "one may always be");
    }

    // gRFC A50, success rate ejection: 1.9 standard deviations, 5 hosts, 100 requests
    #[test]
    fn address_far_below_the_others_is_out() {
        let config = OutlierDetection {
            max_percent: 50,
            success_rate: Some(SuccessRate::default()),
            ..OutlierDetection::default()
        };
        let mut bench = bench(config, 6);
        bench.calls(1, 80, 20);
        (2..=6).for_each(|port| bench.calls(port, 99, 1));
        bench.pass(INTERVAL);
        assert_eq!(bench.picks(), [2, 3, 4, 5, 6]);
        let mut equal = self::bench(OutlierDetection { failure_percentage: None, ..by_percentage() }, 6);
        (1..=6).for_each(|port| equal.calls(port, 20, 80));
        equal.pass(INTERVAL);
        assert_eq!(equal.picks().len(), 6, "all are equally bad");
    }

    #[test]
    fn address_that_is_lost_while_it_is_out_comes_back_when_it_is_ready() {
        let mut bench = bench(by_percentage(), 5);
        first_fails(&bench, 5);
        bench.pass(INTERVAL);
        bench.idle(1);
        bench.pass(3 * INTERVAL);
        assert_eq!(bench.picks(), [2, 3, 4, 5]);
        assert_eq!(bench.connects().last(), Some(&1));
        bench.ready(1);
        assert_eq!(bench.picks(), [1, 2, 3, 4, 5]);
    }
}
