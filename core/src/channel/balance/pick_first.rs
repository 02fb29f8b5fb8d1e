//! pick_first: the first address that answers carries every call (gRFC A61, A62).
//!
//! ```text
//! Idle ── wanted ──► First pass: the addresses in their order, the next one when the last has failed or 250 ms are over
//!   ▲                     │ one is ready              │ all have failed
//!   │                     ▼                           ▼
//!   └── it is lost ─── Selected ◄── one is ready ── Failing: every address is tried again and again
//! ```

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::super::address::{Address, Endpoint, interleave};
use super::super::subchannel::{Connectivity, Subchannel};
use super::{Host, Picker, Policy, SubchannelState, Watching};
use crate::Status;
use crate::random;

/// How long an attempt may go on before the next address is tried beside it (RFC 8305's recommended value).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// See the [module](self).
#[derive(Default)]
pub(crate) struct PickFirst {
    /// Tries the addresses in a random order, so that not every client is with the first one.
    shuffle: bool,
    addresses: Vec<Address>,
    stage: Stage,
}

#[derive(Default)]
enum Stage {
    #[default]
    Idle,
    Pass(Pass),
    Failing {
        all: Vec<Entry>,
        failures: usize,
        last: Status,
    },
    Selected(Arc<Subchannel>),
}

/// The first pass over the addresses.
struct Pass {
    all: Vec<Entry>,
    /// How many of them were begun.
    begun: usize,
    last: Option<Status>,
    next_at: Option<Instant>,
}

struct Entry {
    subchannel: Arc<Subchannel>,
    failed: bool,
}

impl PickFirst {
    pub(crate) fn new(shuffle: bool) -> Self {
        PickFirst { shuffle, ..PickFirst::default() }
    }

    fn begin(&mut self, host: &mut dyn Host) {
        self.drop_all(host);
        self.begin_with(None, None, host);
    }

    /// Begins a pass in which the subchannel of one address is there already.
    fn begin_with(&mut self, mut kept: Option<Entry>, last: Option<Status>, host: &mut dyn Host) {
        let all = self.addresses.iter();
        let all = all.map(|address| {
            let made = kept.take_if(|kept| kept.subchannel.address() == address);
            made.unwrap_or_else(|| Entry {
                subchannel: host.subchannel(address, Watching::default()),
                failed: false,
            })
        });
        let all = all.collect();
        host.publish(Connectivity::Connecting, Picker::Wait);
        self.stage = Stage::Pass(Pass { all, begun: 0, last, next_at: None });
        self.next(host);
        self.end_pass_if_all_failed(host);
    }

    /// Begins with the next address of the pass, if there is one.
    fn next(&mut self, host: &mut dyn Host) {
        let Stage::Pass(pass) = &mut self.stage else { return };
        while let Some(entry) = pass.all.get(pass.begun) {
            pass.begun += 1;
            // One that has failed a moment ago counts as tried (gRFC A61).
            if !entry.failed {
                host.connect(&entry.subchannel);
                break;
            }
        }
        pass.next_at = (pass.begun < pass.all.len()).then(|| host.now() + ATTEMPT_DELAY);
        host.set_timer(pass.next_at);
    }

    fn select(&mut self, ready: &Arc<Subchannel>, host: &mut dyn Host) {
        let all = match std::mem::take(&mut self.stage) {
            Stage::Pass(Pass { all, .. }) | Stage::Failing { all, .. } => all,
            Stage::Idle | Stage::Selected(_) => Vec::new(),
        };
        for Entry { subchannel, .. } in &all {
            if !Arc::ptr_eq(subchannel, ready) {
                host.drop_subchannel(subchannel);
            }
        }
        host.set_timer(None);
        host.publish(Connectivity::Ready, Picker::One(ready.clone()));
        self.stage = Stage::Selected(ready.clone());
    }

    /// Whether every address has failed since the pass began.
    fn end_pass_if_all_failed(&mut self, host: &mut dyn Host) {
        let Stage::Pass(pass) = &mut self.stage else { return };
        if pass.begun < pass.all.len() || pass.all.iter().any(|entry| !entry.failed) {
            return;
        }
        let last = pass.last.take().unwrap_or_default();
        let all = std::mem::take(&mut pass.all);
        host.set_timer(None);
        host.publish(Connectivity::TransientFailure, Picker::Fail(last.clone()));
        host.resolve_again();
        self.stage = Stage::Failing { all, failures: 0, last };
    }

    fn drop_all(&mut self, host: &mut dyn Host) {
        let all = match std::mem::take(&mut self.stage) {
            Stage::Idle => Vec::new(),
            Stage::Pass(Pass { all, .. }) | Stage::Failing { all, .. } => all,
            Stage::Selected(subchannel) => vec![Entry { subchannel, failed: false }],
        };
        for entry in all {
            host.drop_subchannel(&entry.subchannel);
        }
        host.set_timer(None);
    }
}

impl Policy for PickFirst {
    fn resolved(&mut self, endpoints: &[Endpoint], host: &mut dyn Host) {
        let mut addresses: Vec<_> = endpoints.iter().map(|endpoint| endpoint.address.clone()).collect();
        if self.shuffle {
            random::shuffle(&mut addresses);
        }
        let addresses = interleave(&addresses);
        if addresses == self.addresses && !matches!(self.stage, Stage::Idle) {
            return;
        }
        self.addresses = addresses;
        match &self.stage {
            // Nobody asked for a connection yet.
            Stage::Idle => host.publish(Connectivity::Idle, Picker::Idle),
            // The connection in use is as good as any.
            Stage::Selected(subchannel) if self.addresses.contains(subchannel.address()) => {}
            Stage::Selected(_) | Stage::Pass(_) => self.begin(host),
            Stage::Failing { last, .. } => {
                // It goes on failing until one of the new addresses is ready (gRFC A62).
                let last = last.clone();
                self.begin(host);
                host.publish(Connectivity::TransientFailure, Picker::Fail(last));
            }
        }
    }

    fn changed(&mut self, subchannel: &Arc<Subchannel>, state: &SubchannelState, host: &mut dyn Host) {
        let is_it = |entry: &&mut Entry| Arc::ptr_eq(&entry.subchannel, subchannel);
        match (&mut self.stage, state) {
            (Stage::Pass(_) | Stage::Failing { .. }, SubchannelState::Ready) => self.select(subchannel, host),
            (Stage::Pass(pass), SubchannelState::TransientFailure(status)) => {
                let Some(entry) = pass.all.iter_mut().find(is_it) else { return };
                entry.failed = true;
                pass.last = Some(status.clone());
                // The one that failed may not be the newest: then the newest has its time.
                let newest = pass.begun.checked_sub(1).and_then(|newest| pass.all.get(newest));
                if newest.is_some_and(|newest| newest.failed) {
                    self.next(host);
                }
                self.end_pass_if_all_failed(host);
            }
            (Stage::Failing { all, failures, last }, SubchannelState::TransientFailure(status)) => {
                *failures += 1;
                *last = status.clone();
                if *failures >= all.len() {
                    *failures = 0;
                    host.resolve_again();
                }
                host.publish(Connectivity::TransientFailure, Picker::Fail(status.clone()));
            }
            // Its pause is over.
            (Stage::Failing { .. }, SubchannelState::Idle) => host.connect(subchannel),
            (Stage::Selected(selected), SubchannelState::Idle) if Arc::ptr_eq(selected, subchannel) => {
                self.drop_all(host);
                host.publish(Connectivity::Idle, Picker::Idle);
                host.resolve_again();
            }
            // One of several connections was lost while one more was being made, or could not be made (gRFC A105).
            (
                Stage::Selected(selected),
                SubchannelState::Connecting | SubchannelState::TransientFailure(_),
            ) if Arc::ptr_eq(selected, subchannel) => {
                let last = match state {
                    SubchannelState::TransientFailure(status) => Some(status.clone()),
                    _ => None,
                };
                let kept = Entry { subchannel: subchannel.clone(), failed: last.is_some() };
                host.resolve_again();
                self.begin_with(Some(kept), last, host);
            }
            _ => {}
        }
    }

    fn wanted(&mut self, host: &mut dyn Host) {
        if matches!(self.stage, Stage::Idle) && !self.addresses.is_empty() {
            self.begin(host);
        }
    }

    fn timer(&mut self, host: &mut dyn Host) {
        if let Stage::Pass(pass) = &self.stage
            && pass.next_at.is_some_and(|at| at <= host.now())
        {
            self.next(host);
        }
    }

    fn idle(&mut self, host: &mut dyn Host) {
        self.drop_all(host);
        host.publish(Connectivity::Idle, Picker::Idle);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Bench, addresses};
    use super::*;

    fn bench(count: u16) -> Bench<PickFirst> {
        let mut bench = Bench::new(PickFirst::new(false));
        bench.resolved(&addresses(count));
        bench.wanted();
        bench
    }

    // gRFC A61
    #[test]
    fn nothing_is_connected_before_it_is_wanted() {
        let mut bench = Bench::new(PickFirst::new(false));
        bench.resolved(&addresses(2));
        assert_eq!((bench.connects(), bench.state), (vec![], Connectivity::Idle));
        bench.wanted();
        assert_eq!((bench.connects(), bench.state), (vec![1], Connectivity::Connecting));
    }

    // gRFC A61, "Happy Eyeballs": the connection attempt delay is 250 ms
    #[test]
    fn next_address_is_tried_after_a_quarter_of_a_second() {
        let mut bench = bench(3);
        bench.pass(Duration::from_millis(249));
        assert_eq!(bench.connects(), [1]);
        bench.pass(Duration::from_millis(1));
        assert_eq!(bench.connects(), [1, 2]);
        bench.pass(Duration::from_millis(250));
        assert_eq!(bench.connects(), [1, 2, 3]);
        bench.pass(Duration::from_secs(10));
        assert_eq!(bench.connects(), [1, 2, 3]);
    }

    #[test]
    fn failed_address_is_followed_at_once() {
        let mut bench = bench(3);
        bench.fail(1);
        assert_eq!(bench.connects(), [1, 2]);
        bench.pass(Duration::from_millis(249));
        assert_eq!(bench.connects(), [1, 2], "the second has its own quarter of a second");
        bench.pass(Duration::from_millis(1));
        bench.fail(2);
        assert_eq!(bench.connects(), [1, 2, 3], "the third has begun beside it");
    }

    #[test]
    fn first_that_is_ready_is_kept_and_the_others_go() {
        let mut bench = bench(3);
        bench.pass(Duration::from_millis(250));
        bench.ready(2);
        assert_eq!((bench.state, bench.picks()), (Connectivity::Ready, vec![2]));
        assert_eq!(bench.dropped(), [1, 3]);
        bench.pass(Duration::from_secs(1));
        assert_eq!(bench.connects(), [1, 2]);
    }

    #[test]
    fn when_all_have_failed_calls_fail_and_each_is_tried_again_after_its_pause() {
        let mut bench = bench(2);
        bench.fail(1);
        assert_eq!(bench.state, Connectivity::Connecting);
        bench.fail(2);
        assert_eq!((bench.state, bench.resolutions), (Connectivity::TransientFailure, 1));
        assert!(bench.failure().contains("port 2"), "{}", bench.failure());
        bench.idle(1);
        bench.idle(2);
        assert_eq!(bench.connects(), [1, 2, 1, 2]);
        bench.connecting(1);
        assert_eq!(bench.state, Connectivity::TransientFailure, "it stays so until one is ready");
        bench.fail(1);
        assert_eq!(bench.resolutions, 1);
        bench.fail(2);
        assert_eq!(bench.resolutions, 2, "as many failures as addresses");
        bench.idle(1);
        bench.ready(1);
        assert_eq!((bench.state, bench.picks()), (Connectivity::Ready, vec![1]));
    }

    #[test]
    fn lost_connection_makes_it_idle_and_asks_for_addresses() {
        let mut bench = bench(2);
        bench.ready(1);
        bench.idle(1);
        assert_eq!((bench.state, bench.resolutions), (Connectivity::Idle, 1));
        assert_eq!(bench.connects(), [1], "nobody wants one");
        bench.wanted();
        assert_eq!(bench.connects(), [1, 1]);
    }

    #[test]
    fn connection_in_use_survives_new_addresses_that_have_it() {
        let mut bench = bench(2);
        bench.ready(1);
        bench.resolved(&addresses(5));
        assert_eq!((bench.state, bench.picks()), (Connectivity::Ready, vec![1]));
        bench.resolved(&addresses(5)[2..]);
        assert_eq!(bench.state, Connectivity::Connecting);
        assert_eq!(bench.connects(), [1, 3]);
        assert!(bench.dropped().contains(&1));
    }

    // gRFC A62: sticky TRANSIENT_FAILURE
    #[test]
    fn new_addresses_do_not_end_a_failure_before_one_is_ready() {
        let mut bench = bench(1);
        bench.fail(1);
        bench.resolved(&addresses(3)[1..]);
        assert_eq!((bench.state, bench.connects()), (Connectivity::TransientFailure, vec![1, 2]));
        bench.ready(2);
        assert_eq!(bench.state, Connectivity::Ready);
    }

    #[test]
    fn idle_drops_every_connection() {
        let mut bench = bench(2);
        bench.ready(1);
        bench.go_idle();
        assert_eq!(bench.state, Connectivity::Idle);
        assert_eq!(bench.dropped(), [2, 1]);
        bench.wanted();
        assert_eq!(bench.connects(), [1, 1]);
    }

    // gRFC A105, "PickFirst Changes"
    #[test]
    fn loss_while_one_more_is_being_made_begins_a_pass_with_it() {
        let mut bench = bench(2);
        bench.ready(1);
        bench.connecting(1);
        assert_eq!((bench.state, bench.resolutions), (Connectivity::Connecting, 1));
        assert_eq!(bench.dropped(), [2], "of the first pass");
        bench.pass(Duration::from_millis(250));
        assert_eq!(bench.connects(), [1, 1, 2]);
        bench.ready(1);
        assert_eq!((bench.picks(), bench.dropped()), (vec![1], vec![2, 2]));
    }

    #[test]
    fn loss_within_the_pause_for_one_more_goes_on_with_the_next() {
        let mut bench = bench(2);
        bench.ready(1);
        bench.fail(1);
        assert_eq!((bench.state, bench.resolutions), (Connectivity::Connecting, 1));
        assert_eq!(bench.connects(), [1, 2], "the first has failed a moment ago");
        bench.fail(2);
        assert_eq!(
            (bench.state, bench.failure()),
            (Connectivity::TransientFailure, "port 2 is down".to_owned())
        );
        bench.idle(1);
        assert_eq!(bench.connects(), [1, 2, 1]);
        let mut alone = self::bench(1);
        alone.ready(1);
        alone.fail(1);
        assert_eq!(
            (alone.state, alone.failure()),
            (Connectivity::TransientFailure, "port 1 is down".to_owned())
        );
    }
}
