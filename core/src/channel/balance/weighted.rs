//! weighted_round_robin (gRFC A58): calls go to the connected addresses in proportion to what their servers say that they
//! can bear, by load reports in trailers or on a stream (gRFC A51).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::super::load::LoadReport;
use super::super::subchannel::Subchannel;
use super::everywhere::Placing;
use super::round_robin::Turns;
use super::{LoadReports, Pick, PickEach, PickInfo, Watching};
use crate::random;
use crate::stats::WeightUpdate;

/// See the [module](self).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct WeightedRoundRobin {
    /// For how long reports must have come before they count: a server that has just begun is no measure.
    pub(crate) blackout: Duration,
    /// After what silence a weight does not count any more.
    pub(crate) expiration: Duration,
    /// How often weights are taken over.
    pub(crate) update: Duration,
    /// How much errors count against a server.
    pub(crate) error_penalty: f64,
    /// How often servers are to report on a stream, instead of in trailers.
    pub(crate) stream: Option<Duration>,
}

impl Default for WeightedRoundRobin {
    fn default() -> Self {
        WeightedRoundRobin {
            blackout: Duration::from_secs(10),
            expiration: Duration::from_secs(180),
            update: Duration::from_secs(1),
            error_penalty: 1.0,
            stream: None,
        }
    }
}

impl WeightedRoundRobin {
    /// What a server can bear by its report; `None` if that does not say.
    fn weight(&self, report: &LoadReport) -> Option<f64> {
        let used = report.utilization();
        let errors = if report.qps > 0.0 && report.eps > 0.0 { report.eps / report.qps } else { 0.0 };
        let cost = used + errors * self.error_penalty;
        let weight = report.qps / cost;
        (used > 0.0 && report.qps > 0.0 && weight.is_finite()).then_some(weight)
    }

    /// The weight of a server's last report, if it counts now.
    fn current(&self, subchannel: &Subchannel, now: Instant) -> Result<f64, Unknown> {
        let (heard, stale) = subchannel.calls().heard(now, self.expiration).ok_or(Unknown::NotYet)?;
        if stale {
            return Err(Unknown::Stale);
        }
        let known_for = heard.since.map(|since| now.duration_since(since));
        let counts = self.blackout.is_zero() || known_for.is_some_and(|time| time >= self.blackout);
        counts.then(|| self.weight(&heard.report)).flatten().ok_or(Unknown::NotYet)
    }

    /// How calls are to be placed from now on, unless it is in turn; and what is to be told of that.
    fn take_over(&self, ready: &[Arc<Subchannel>], now: Instant) -> (Option<Vec<u16>>, WeightUpdate) {
        let weights: Vec<_> = ready.iter().map(|subchannel| self.current(subchannel, now)).collect();
        let strides = strides(&weights.iter().map(|weight| weight.ok()).collect::<Vec<_>>());
        let without = |why| weights.iter().filter(|weight| **weight == Err(why)).count() as u64;
        let update = WeightUpdate {
            fell_back: strides.is_none(),
            not_yet_usable: without(Unknown::NotYet),
            stale: without(Unknown::Stale),
            weights: weights.iter().map(|weight| weight.unwrap_or(0.0)).collect(),
        };
        (strides, update)
    }
}

/// Why a server has no weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unknown {
    /// It did not report, or not for long enough.
    NotYet,
    /// Not any more.
    Stale,
}

impl Placing for WeightedRoundRobin {
    fn picker(&self, ready: Vec<Arc<Subchannel>>, now: Instant) -> Arc<dyn PickEach> {
        let (strides, update) = self.take_over(&ready, now);
        if let Some(first) = ready.first() {
            first.counters().weights.update(&update);
        }
        match strides {
            Some(strides) => {
                let next = AtomicU64::new(random::below(usize::MAX / 2) as u64);
                Arc::new(Strides { ready, strides, next })
            }
            None => Arc::new(Turns::new(ready)),
        }
    }

    fn renewal(&self) -> Option<Duration> {
        Some(self.update)
    }

    fn connected(&self, subchannel: &Subchannel) {
        subchannel.calls().begin_anew();
    }

    fn watching(&self) -> Watching {
        let load = self.stream.map_or(LoadReports::Trailers, LoadReports::Stream);
        Watching { load, ..Watching::health() }
    }
}

/// The heaviest weight.
const HEAVIEST: u64 = u16::MAX as u64;

/// Weights from 1 to [`HEAVIEST`]. Those that are not known are as heavy as the others in the mean; with fewer than two that
/// are, there is nothing to weigh.
fn strides(weights: &[Option<f64>]) -> Option<Vec<u16>> {
    let known: Vec<f64> = weights.iter().copied().flatten().collect();
    if known.len() < 2 {
        return None;
    }
    let heaviest = known.iter().copied().fold(0.0, f64::max);
    let mean = known.iter().sum::<f64>() / known.len() as f64;
    let scaled =
        |weight: f64| (weight / heaviest * HEAVIEST as f64).round().clamp(1.0, HEAVIEST as f64) as u16;
    Some(weights.iter().map(|weight| scaled(weight.unwrap_or(mean))).collect())
}

/// A picker without state but a counter. It goes round and round over all; in each round one whose weight is a share of
/// the heaviest is taken in that share of rounds, evenly spaced.
struct Strides {
    ready: Vec<Arc<Subchannel>>,
    strides: Vec<u16>,
    next: AtomicU64,
}

impl PickEach for Strides {
    fn pick(&self, _: PickInfo<'_>) -> Pick<'_> {
        Pick::on(&self.ready[stride(&self.strides, &self.next)])
    }
}

fn stride(strides: &[u16], next: &AtomicU64) -> usize {
    let count = strides.len() as u64;
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let (index, round) = ((number % count) as usize, number / count);
        let weight = u64::from(strides[index]);
        // Each begins elsewhere, so that equal ones are not all left out in the same round.
        let position = weight.wrapping_mul(round).wrapping_add(HEAVIEST / 2 * index as u64) % HEAVIEST;
        // The heaviest is taken in every round.
        if position >= HEAVIEST - weight {
            return index;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::everywhere::Everywhere;
    use super::super::tests::{Bench, addresses};
    use super::*;

    fn report(qps: f64, cpu: f64) -> LoadReport {
        LoadReport { qps, cpu_utilization: cpu, ..LoadReport::default() }
    }

    // gRFC A58, "Weight calculation"
    #[test]
    fn weight_is_what_a_server_does_by_what_it_costs() {
        let policy = WeightedRoundRobin::default();
        assert_eq!(policy.weight(&report(100.0, 0.5)), Some(200.0));
        let both = LoadReport { application_utilization: 0.25, ..report(100.0, 0.5) };
        assert_eq!(policy.weight(&both), Some(400.0), "the application knows best");
        let failing = LoadReport { eps: 50.0, ..report(100.0, 0.5) };
        assert_eq!(policy.weight(&failing), Some(100.0));
        assert_eq!(WeightedRoundRobin { error_penalty: 0.0, ..policy }.weight(&failing), Some(200.0));
        for nothing in
            [report(0.0, 0.5), report(100.0, 0.0), report(f64::NAN, 0.5), report(f64::INFINITY, 0.5)]
        {
            assert_eq!(policy.weight(&nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn unknown_weights_are_the_mean_of_the_known() {
        assert_eq!(strides(&[Some(1.0), None, Some(3.0)]), Some(vec![21845, 43690, 65535]));
        assert_eq!(strides(&[Some(1.0), None]), None);
        assert_eq!(strides(&[Some(1e-9), Some(1.0)]), Some(vec![1, 65535]));
    }

    #[test]
    fn picks_follow_the_weights() {
        for weights in [vec![65535, 65535, 65535], vec![65535, 32768, 16384, 6553], vec![65535, 1]] {
            let next = AtomicU64::new(12_345_678_901);
            let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
            let picks = 100_000;
            let mut counts = vec![0_u64; weights.len()];
            (0..picks).for_each(|_| counts[stride(&weights, &next)] += 1);
            for (count, weight) in counts.iter().zip(&weights) {
                let expected = picks * u64::from(*weight) / total;
                assert!(count.abs_diff(expected) <= 3 + expected / 100, "{weights:?}: {counts:?}");
            }
        }
    }

    // gRFC A58, blackout and expiration: 10 s and 3 minutes
    #[test]
    fn reports_count_after_ten_seconds_and_for_three_minutes() {
        let mut bench = Bench::new(Everywhere::new(WeightedRoundRobin::default()));
        bench.resolved(&addresses(2));
        bench.ready(1);
        bench.ready(2);
        let shares = |bench: &Bench<_>| {
            let firsts = bench.pick_times(1000).into_iter().filter(|port| *port == 1).count();
            (firsts + 5) / 10
        };
        let hear = |bench: &Bench<_>| {
            bench.hear(1, report(300.0, 0.5));
            bench.hear(2, report(100.0, 0.5));
        };
        hear(&bench);
        bench.pass(Duration::from_secs(9));
        assert_eq!(shares(&bench), 50);
        hear(&bench);
        bench.pass(Duration::from_secs(2));
        assert_eq!(shares(&bench), 75);
        bench.pass(Duration::from_secs(170));
        assert_eq!(shares(&bench), 75);
        bench.pass(Duration::from_secs(20));
        assert_eq!(shares(&bench), 50, "they are too old");
        hear(&bench);
        bench.pass(Duration::from_secs(5));
        assert_eq!(shares(&bench), 50, "the silence begins the wait anew");
        bench.pass(Duration::from_secs(6));
        assert_eq!(shares(&bench), 75);
    }

    // gRFC A78, "Weighted Round Robin LB Policy"
    #[test]
    fn updates_tell_what_they_knew() {
        let policy = WeightedRoundRobin::default();
        let at = std::net::SocketAddr::from(([192, 0, 2, 1], 1));
        let ready = [at; 2].map(Subchannel::detached);
        let begin = Instant::now();
        let told = |seconds: u64| {
            let (strides, update) = policy.take_over(&ready, begin + Duration::from_secs(seconds));
            assert_eq!(strides.is_none(), update.fell_back);
            (update.fell_back, update.not_yet_usable, update.stale, update.weights)
        };
        let hear = |index: usize, qps: f64, seconds: u64| {
            ready[index].calls().hear(report(qps, 0.5), begin + Duration::from_secs(seconds));
        };
        assert_eq!(told(0), (true, 2, 0, vec![0.0, 0.0]), "nothing was heard");
        hear(0, 300.0, 0);
        hear(1, 100.0, 5);
        assert_eq!(told(10), (true, 1, 0, vec![600.0, 0.0]), "one is not enough");
        assert_eq!(told(15), (false, 0, 0, vec![600.0, 200.0]));
        for seconds in [180, 181] {
            assert_eq!(told(seconds), (true, 0, 1, vec![0.0, 200.0]), "the first is too old");
        }
        hear(0, 300.0, 182);
        assert_eq!(told(183), (true, 1, 0, vec![0.0, 200.0]), "and begins anew");
    }

    // gRFC A58, "Subchannel Weights"
    #[test]
    fn connection_that_is_made_anew_begins_the_wait_anew() {
        let mut bench = Bench::new(Everywhere::new(WeightedRoundRobin::default()));
        bench.resolved(&addresses(2));
        let hear = |bench: &Bench<_>| {
            bench.hear(1, report(300.0, 0.5));
            bench.hear(2, report(100.0, 0.5));
        };
        let firsts = |bench: &Bench<_>| {
            (bench.pick_times(1000).into_iter().filter(|port| *port == 1).count() + 5) / 10
        };
        for _ in 0..2 {
            (1..=2).for_each(|port| bench.ready(port));
            hear(&bench);
            bench.pass(Duration::from_secs(9));
            hear(&bench);
            assert_eq!(firsts(&bench), 50);
            bench.pass(Duration::from_secs(2));
            assert_eq!(firsts(&bench), 75);
            bench.ready(1);
            bench.pass(Duration::from_secs(1));
            assert_eq!(firsts(&bench), 75, "it was ready");
            bench.idle(1);
        }
    }

    #[test]
    fn reports_that_say_nothing_change_nothing() {
        let settings = WeightedRoundRobin { blackout: Duration::ZERO, ..WeightedRoundRobin::default() };
        let mut bench = Bench::new(Everywhere::new(settings));
        bench.resolved(&addresses(2));
        (1..=2).for_each(|port| bench.ready(port));
        bench.hear(1, report(300.0, 0.5));
        bench.hear(2, report(100.0, 0.5));
        for nothing in [report(0.0, 0.5), report(100.0, 0.0)] {
            bench.hear(1, nothing);
            bench.pass(Duration::from_secs(60));
            let firsts = bench.pick_times(1000).into_iter().filter(|port| *port == 1).count();
            assert_eq!((firsts + 5) / 10, 75, "without a blackout it counts at once");
        }
        bench.pass(Duration::from_secs(61));
        let firsts = bench.pick_times(1000).into_iter().filter(|port| *port == 1).count();
        assert_eq!((firsts + 5) / 10, 50, "they are three minutes old");
    }
}
