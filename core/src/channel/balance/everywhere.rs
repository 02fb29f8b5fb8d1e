//! The policies that connect every address, and place each call on one of those that are connected.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::super::address::{Address, Endpoint};
use super::super::subchannel::{Connectivity, Subchannel};
use super::members::{Member, Members};
use super::{Host, PickEach, Picker, Policy, SubchannelState, Watching};
use crate::Status;

/// How calls are placed: what the policies of this kind differ in.
pub trait Placing: Send {
    /// A picker for the subchannels that are ready; never none.
    fn picker(&self, ready: Vec<Arc<Subchannel>>, now: Instant) -> Arc<dyn PickEach>;

    /// How often the picker is made anew although nothing has changed.
    fn renewal(&self) -> Option<Duration> {
        None
    }

    /// A subchannel is ready that was not.
    fn connected(&self, subchannel: &Subchannel) {
        let _ = subchannel;
    }

    /// What is to be known of the servers.
    fn watching(&self) -> Watching {
        Watching::health()
    }
}

/// A policy that connects every address, and places each call on one of those that are connected.
pub struct Everywhere<P> {
    placing: P,
    all: Members<State>,
    /// The picker in use says something else.
    stale: bool,
    asleep: bool,
    renew_at: Option<Instant>,
}

#[derive(Clone, Debug)]
enum State {
    Connecting,
    Ready,
    /// Until it is ready again, whatever it does meanwhile: an address that is down must not make the channel seem to be
    /// about to connect.
    Failed(Status),
}

impl<P: Placing> Everywhere<P> {
    /// Connects every address, and places calls as `placing` says.
    pub fn new(placing: P) -> Self {
        Everywhere { placing, all: Members::new(), stale: false, asleep: false, renew_at: None }
    }

    fn show(&mut self, host: &mut dyn Host) {
        let ready: Vec<_> = self
            .all
            .iter()
            .filter(|member| matches!(member.state, State::Ready))
            .map(|member| member.subchannel.clone())
            .collect();
        if !ready.is_empty() {
            self.renew_at = self.placing.renewal().map(|renewal| host.now() + renewal);
            host.set_timer(self.renew_at);
            let picker = self.placing.picker(ready, host.now());
            return host.publish(Connectivity::Ready, Picker::Each(picker));
        }
        if self.all.iter().any(|member| matches!(member.state, State::Connecting)) {
            return host.publish(Connectivity::Connecting, Picker::Wait);
        }
        let last = self.all.iter().rev().find_map(|member| match &member.state {
            State::Failed(status) => Some(status.clone()),
            State::Connecting | State::Ready => None,
        });
        host.publish(Connectivity::TransientFailure, Picker::Fail(last.unwrap_or_default()));
    }
}

fn make(placing: &impl Placing, address: &Address, host: &mut dyn Host) -> Member<State> {
    let subchannel = host.subchannel(address, placing.watching());
    Member { subchannel, state: State::Connecting }
}

impl<P: Placing> Policy for Everywhere<P> {
    fn resolved(&mut self, endpoints: &[Endpoint], host: &mut dyn Host) {
        let (placing, asleep) = (&self.placing, self.asleep);
        self.all.follow(endpoints, host, |address, host| {
            let member = make(placing, address, host);
            if !asleep {
                host.connect(&member.subchannel);
            }
            member
        });
        if self.asleep {
            return host.publish(Connectivity::Idle, Picker::Idle);
        }
        self.stale = true;
    }

    fn changed(&mut self, subchannel: &Arc<Subchannel>, state: &SubchannelState, host: &mut dyn Host) {
        let Some(member) = self.all.get_mut(subchannel) else { return };
        match state {
            SubchannelState::Ready => {
                if !matches!(member.state, State::Ready) {
                    self.placing.connected(subchannel);
                }
                member.state = State::Ready;
            }
            SubchannelState::TransientFailure(status) => {
                member.state = State::Failed(status.clone());
                host.resolve_again();
            }
            SubchannelState::Idle => {
                if matches!(member.state, State::Ready) {
                    member.state = State::Connecting;
                    host.resolve_again();
                }
                host.connect(subchannel);
            }
            // One of several connections was lost, and another is being made.
            SubchannelState::Connecting if matches!(member.state, State::Ready) => {
                member.state = State::Connecting;
                host.resolve_again();
            }
            SubchannelState::Connecting => return,
        }
        self.stale = true;
    }

    fn settle(&mut self, host: &mut dyn Host) {
        if std::mem::take(&mut self.stale) {
            self.show(host);
        }
    }

    fn wanted(&mut self, host: &mut dyn Host) {
        if std::mem::take(&mut self.asleep) {
            for member in self.all.iter() {
                host.connect(&member.subchannel);
            }
            self.stale = true;
        }
    }

    fn timer(&mut self, host: &mut dyn Host) {
        self.stale |= self.renew_at.take_if(|at| *at <= host.now()).is_some();
    }

    fn idle(&mut self, host: &mut dyn Host) {
        (self.asleep, self.stale, self.renew_at) = (true, false, None);
        let placing = &self.placing;
        self.all.renew(host, |address, host| make(placing, address, host));
        host.set_timer(None);
        host.publish(Connectivity::Idle, Picker::Idle);
    }
}

#[cfg(test)]
mod tests {
    use super::super::RoundRobin;
    use super::super::tests::{Bench, addresses};
    use super::*;

    fn bench(count: u16) -> Bench<Everywhere<RoundRobin>> {
        let mut bench = Bench::new(Everywhere::new(RoundRobin));
        bench.resolved(&addresses(count));
        bench
    }

    #[test]
    fn every_address_is_connected_and_gets_its_turn() {
        let mut bench = bench(3);
        assert_eq!((bench.connects(), bench.state), (vec![1, 2, 3], Connectivity::Connecting));
        bench.ready(2);
        assert_eq!((bench.state, bench.picks()), (Connectivity::Ready, vec![2]));
        bench.ready(1);
        bench.ready(3);
        let mut counts = [0; 3];
        bench.pick_times(300).into_iter().for_each(|port| counts[usize::from(port) - 1] += 1);
        assert_eq!(counts, [100; 3]);
    }

    #[test]
    fn address_that_fails_is_left_out_until_it_is_ready() {
        let mut bench = bench(2);
        bench.ready(1);
        bench.ready(2);
        bench.idle(2);
        assert_eq!((bench.picks(), bench.connects()), (vec![1], vec![1, 2, 2]));
        bench.fail(2);
        bench.idle(2);
        assert_eq!((bench.picks(), bench.resolutions), (vec![1], 2));
        bench.ready(2);
        assert_eq!(bench.picks(), [1, 2]);
    }

    #[test]
    fn calls_fail_only_when_every_address_has_failed() {
        let mut bench = bench(2);
        bench.fail(1);
        assert_eq!(bench.state, Connectivity::Connecting);
        bench.fail(2);
        assert_eq!(bench.state, Connectivity::TransientFailure);
        bench.idle(1);
        bench.connecting(1);
        assert_eq!(bench.state, Connectivity::TransientFailure);
        bench.ready(1);
        assert_eq!(bench.state, Connectivity::Ready);
    }

    #[test]
    fn new_addresses_are_added_and_old_ones_go_without_touching_the_rest() {
        let mut bench = bench(3);
        (1..=3).for_each(|port| bench.ready(port));
        bench.resolved(&addresses(4)[1..]);
        assert_eq!((bench.connects(), bench.dropped()), (vec![1, 2, 3, 4], vec![1]));
        assert_eq!(bench.picks(), [2, 3]);
        bench.ready(4);
        assert_eq!(bench.picks(), [2, 3, 4]);
        bench.resolved(&[addresses(4), addresses(4)].concat()[..5]);
        assert_eq!(bench.connects(), [1, 2, 3, 4, 1], "twice the same is one");
    }

    #[test]
    fn idle_drops_every_connection_until_a_call_comes() {
        let mut bench = bench(2);
        bench.ready(1);
        bench.go_idle();
        assert_eq!((bench.state, bench.dropped()), (Connectivity::Idle, vec![1, 2]));
        bench.resolved(&addresses(3));
        assert_eq!(bench.connects(), [1, 2]);
        bench.wanted();
        assert_eq!(bench.connects(), [1, 2, 1, 2, 3]);
    }

    #[test]
    fn ten_thousand_addresses_are_taken_in_a_moment() {
        let many: Vec<Address> = (0..10_000_u32)
            .map(|n| Address::Tcp((std::net::Ipv4Addr::from(0x0a00_0000 + n), 1).into()))
            .collect();
        let mut bench = Bench::new(Everywhere::new(RoundRobin));
        bench.resolved(&many);
        bench.resolved(&many[1..]);
        assert_eq!((bench.connects().len(), bench.dropped().len()), (10_000, 1));
    }
}
