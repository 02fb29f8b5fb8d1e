//! ring_hash (gRFC A42, A61, A76): calls with the same value of a header go to the same endpoint, and most of them still do
//! when endpoints come and go.
//!
//! Endpoints are connected when a call is theirs. One that has failed is tried again until it is ready; meanwhile its
//! calls go to the next one on the ring.

use std::collections::HashMap;
use std::sync::Arc;

use http::HeaderName;

use super::super::address::{Address, Endpoint};
use super::super::subchannel::{Connectivity, Subchannel};
use super::members::{Member, Members};
use super::ring::{self, Ring};
use super::{Host, Pick, PickEach, PickInfo, Picker, Policy, RING_SIZE_CAP, SubchannelState, Watching};
use crate::{Metadata, Status, random};

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RingHashConfig {
    /// How many points the ring has at least, and at most.
    pub(crate) min_size: usize,
    pub(crate) max_size: usize,
    /// The header by whose value calls are placed; without one, and without a value, at random.
    pub(crate) header: Option<HeaderName>,
}

impl Default for RingHashConfig {
    fn default() -> Self {
        RingHashConfig { min_size: 1024, max_size: RING_SIZE_CAP, header: None }
    }
}

/// See the [module](self).
pub(crate) struct RingHash {
    config: RingHashConfig,
    all: Members<State>,
    ring: Arc<Ring>,
    /// The picker in use says something else.
    stale: bool,
    asleep: bool,
}

#[derive(Clone, Debug)]
enum State {
    Idle,
    Connecting,
    Ready,
    /// Until it is ready again, whatever it does meanwhile.
    Failed(Status),
}

impl RingHash {
    pub(crate) fn new(config: RingHashConfig) -> Self {
        let ring = Arc::new(Ring::new(&[], config.min_size, config.max_size));
        RingHash { config, all: Members::new(), ring, stale: false, asleep: false }
    }

    /// What all of them together come to (gRFC A42, "Aggregated Connectivity State").
    fn connectivity(&self) -> Connectivity {
        let count = |is: fn(&State) -> bool| self.all.iter().filter(|member| is(&member.state)).count();
        let failed = count(|state| matches!(state, State::Failed(_)));
        if count(|state| matches!(state, State::Ready)) > 0 {
            Connectivity::Ready
        } else if failed >= 2 {
            Connectivity::TransientFailure
        } else if count(|state| matches!(state, State::Connecting)) > 0
            || failed == 1 && self.all.iter().len() > 1
        {
            Connectivity::Connecting
        } else if failed == 0 {
            Connectivity::Idle
        } else {
            Connectivity::TransientFailure
        }
    }

    /// While it looks as if calls could not be served, one more endpoint is tried at a time, also without a call for it:
    /// whoever has this policy under his own may send none (gRFC A61).
    fn try_one_more(&mut self, state: Connectivity, host: &mut dyn Host) {
        let struggling = matches!(state, Connectivity::Connecting | Connectivity::TransientFailure);
        if !struggling || self.all.iter().any(|member| matches!(member.state, State::Connecting)) {
            return;
        }
        if let Some(idle) = self.all.iter_mut().find(|member| matches!(member.state, State::Idle)) {
            idle.state = State::Connecting;
            host.connect(&idle.subchannel);
        }
    }
}

fn make(address: &Address, host: &mut dyn Host) -> Member<State> {
    Member { subchannel: host.subchannel(address, Watching::health()), state: State::Idle }
}

/// What is hashed for each address, and its weight: that of all its endpoints.
fn shares(endpoints: &[Endpoint]) -> Vec<(String, u32)> {
    let mut shares: Vec<(String, u32)> = Vec::with_capacity(endpoints.len());
    let mut places = HashMap::with_capacity(endpoints.len());
    for endpoint in endpoints {
        let weight = endpoint.weight.max(1);
        let place = *places.entry(&endpoint.address).or_insert(shares.len());
        match shares.get_mut(place) {
            Some((_, all)) => *all = all.saturating_add(weight),
            None => {
                let key = endpoint.hash_key.clone().filter(|key| !key.is_empty());
                shares.push((key.unwrap_or_else(|| endpoint.address.to_string()), weight));
            }
        }
    }
    shares
}

impl Policy for RingHash {
    fn resolved(&mut self, endpoints: &[Endpoint], host: &mut dyn Host) {
        self.all.follow(endpoints, host, make);
        self.ring = Arc::new(Ring::new(&shares(endpoints), self.config.min_size, self.config.max_size));
        if self.asleep {
            return host.publish(Connectivity::Idle, Picker::Idle);
        }
        self.stale = true;
    }

    fn changed(&mut self, subchannel: &Arc<Subchannel>, state: &SubchannelState, host: &mut dyn Host) {
        let Some(member) = self.all.get_mut(subchannel) else { return };
        let failed = matches!(member.state, State::Failed(_));
        match state {
            SubchannelState::Ready => member.state = State::Ready,
            SubchannelState::TransientFailure(status) => {
                member.state = State::Failed(status.clone());
                host.resolve_again();
            }
            // Its pause is over.
            SubchannelState::Idle if failed => return host.connect(subchannel),
            SubchannelState::Connecting if failed => return,
            SubchannelState::Idle | SubchannelState::Connecting => {
                if matches!(member.state, State::Ready) {
                    host.resolve_again();
                }
                let idle = matches!(state, SubchannelState::Idle);
                member.state = if idle { State::Idle } else { State::Connecting };
            }
        }
        self.stale = true;
    }

    fn settle(&mut self, host: &mut dyn Host) {
        if !std::mem::take(&mut self.stale) {
            return;
        }
        let state = self.connectivity();
        self.try_one_more(state, host);
        let all: Vec<_> =
            self.all.iter().map(|member| (member.subchannel.clone(), member.state.clone())).collect();
        let connecting = all.iter().any(|(_, state)| matches!(state, State::Connecting));
        let header = self.config.header.clone();
        let picker = OnRing { ring: self.ring.clone(), all, connecting, header };
        host.publish(state, Picker::Each(Arc::new(picker)));
    }

    fn wanted(&mut self, _: &mut dyn Host) {
        // Connections are made for calls, by the picker.
        self.stale |= std::mem::take(&mut self.asleep);
    }

    fn idle(&mut self, host: &mut dyn Host) {
        (self.asleep, self.stale) = (true, false);
        self.all.renew(host, make);
        host.publish(Connectivity::Idle, Picker::Idle);
    }
}

/// A picker: the ring, and how its members fare.
struct OnRing {
    ring: Arc<Ring>,
    all: Vec<(Arc<Subchannel>, State)>,
    /// Whether one of them is being connected.
    connecting: bool,
    header: Option<HeaderName>,
}

impl PickEach for OnRing {
    fn pick(&self, call: PickInfo<'_>) -> Pick<'_> {
        match self.header.as_ref().and_then(|header| hash_of(call.metadata(), header)) {
            Some(hash) => self.by_hash(hash),
            None => self.at_random(),
        }
    }
}

/// The hash of a call by the values of its header; `None` if there is nothing in them.
fn hash_of(metadata: &Metadata, header: &HeaderName) -> Option<u64> {
    let mut values = metadata.get_all(header.as_str());
    let first = values.next()?;
    match values.next() {
        None => (!first.is_empty()).then(|| ring::hash(first.as_bytes())),
        Some(second) => {
            let all: Vec<_> = [first, second].into_iter().chain(values).collect();
            Some(ring::hash(all.join(",").as_bytes()))
        }
    }
}

impl OnRing {
    fn by_hash(&self, hash: u64) -> Pick<'_> {
        for (subchannel, state) in self.ring.from(hash).map(|member| &self.all[member]) {
            match state {
                State::Ready => return Pick::on(subchannel),
                State::Idle => return Pick::wait().connect(Some(subchannel)),
                State::Connecting => return Pick::wait(),
                State::Failed(_) => {}
            }
        }
        self.failure(hash)
    }

    /// The first that is ready; on the way there at most one is begun with, and only if no other is under way.
    fn at_random(&self) -> Pick<'_> {
        let hash = random::bits();
        let mut begun = None;
        for (subchannel, state) in self.ring.from(hash).map(|member| &self.all[member]) {
            match state {
                State::Ready => return Pick::on(subchannel).connect(begun),
                State::Idle if !self.connecting => begun = begun.or(Some(subchannel)),
                State::Idle | State::Connecting | State::Failed(_) => {}
            }
        }
        if self.connecting || begun.is_some() { Pick::wait().connect(begun) } else { self.failure(hash) }
    }

    /// All have failed: the call fails as the first one did.
    fn failure(&self, hash: u64) -> Pick<'_> {
        match self.ring.from(hash).next().map(|member| &self.all[member].1) {
            Some(State::Failed(status)) => Pick::fail(status),
            _ => Pick::wait(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Bench, Got, addresses};
    use super::*;

    fn config() -> RingHashConfig {
        RingHashConfig { header: Some(HeaderName::from_static("x-user")), ..RingHashConfig::default() }
    }

    fn bench(count: u16) -> Bench<RingHash> {
        let mut bench = Bench::new(RingHash::new(config()));
        bench.resolved(&addresses(count));
        bench
    }

    fn user(bench: &mut Bench<RingHash>, name: &str) -> Got {
        bench.call(&[("x-user", name)])
    }

    /// Ports in the order in which the calls of a user would go to them.
    fn order(count: u16, name: &str) -> Vec<u16> {
        let ring = Ring::new(&shares(&endpoints(count)), 1024, RING_SIZE_CAP);
        let mut order = Vec::new();
        for member in ring.from(ring::hash(name.as_bytes())) {
            let port = member as u16 + 1;
            if !order.contains(&port) {
                order.push(port);
            }
        }
        order
    }

    fn endpoints(count: u16) -> Vec<Endpoint> {
        addresses(count).into_iter().map(Endpoint::new).collect()
    }

    #[test]
    fn call_connects_its_endpoint_and_stays_with_it() {
        let mut bench = bench(5);
        assert_eq!((bench.state, bench.connects()), (Connectivity::Idle, vec![]), "nobody called");
        let first = order(5, "ann")[0];
        assert_eq!((user(&mut bench, "ann"), bench.connects()), (Got::Wait, vec![first]));
        bench.connecting(first);
        assert_eq!((bench.state, user(&mut bench, "ann")), (Connectivity::Connecting, Got::Wait));
        bench.ready(first);
        assert_eq!(bench.state, Connectivity::Ready);
        (0..20).for_each(|_| assert_eq!(user(&mut bench, "ann"), Got::Port(first)));
        assert_eq!(bench.connects(), [first]);
        bench.idle(first);
        assert_eq!((bench.state, bench.resolutions), (Connectivity::Idle, 1), "it was lost");
        assert_eq!((user(&mut bench, "ann"), bench.connects()), (Got::Wait, vec![first, first]));
    }

    // gRFC A61, the picker of ring_hash
    #[test]
    fn calls_of_a_failed_endpoint_go_to_the_next_one_until_it_is_ready() {
        let mut bench = bench(4);
        let [first, second] = order(4, "ann")[..2] else { panic!() };
        user(&mut bench, "ann");
        bench.connecting(first);
        bench.fail(first);
        bench.idle(first);
        bench.connecting(first);
        let connects = bench.connects();
        assert_eq!(connects[..1], [first]);
        assert!(connects[1..].contains(&first), "it is tried again after its pause: {connects:?}");
        (1..=4).filter(|port| *port != first).for_each(|port| bench.ready(port));
        assert_eq!(user(&mut bench, "ann"), Got::Port(second));
        bench.ready(first);
        assert_eq!(user(&mut bench, "ann"), Got::Port(first));
    }

    // gRFC A42, "Aggregated Connectivity State", and gRFC A61 on endpoints that nobody calls
    #[test]
    fn two_failures_make_one_of_the_whole_and_all_are_tried_in_turn() {
        let mut bench = bench(4);
        user(&mut bench, "ann");
        let mut last = order(4, "ann")[0];
        bench.connecting(last);
        for (failures, state) in [
            (1, Connectivity::Connecting),
            (2, Connectivity::TransientFailure),
            (3, Connectivity::TransientFailure),
        ] {
            bench.fail(last);
            assert_eq!((bench.connects().len(), bench.state), (failures + 1, state));
            last = *bench.connects().last().unwrap();
            bench.connecting(last);
            assert_eq!(bench.state, state);
        }
        assert_eq!(user(&mut bench, "ann"), Got::Wait);
        bench.fail(last);
        assert_eq!(bench.connects().len(), 4, "each of them once");
        let first = order(4, "ann")[0];
        assert_eq!(
            user(&mut bench, "ann"),
            Got::Failure(format!("port {first} is down")),
            "its own endpoint's"
        );
        bench.ready(last);
        assert_eq!((bench.state, user(&mut bench, "ann")), (Connectivity::Ready, Got::Port(last)));
        let mut one = self::bench(1);
        user(&mut one, "ann");
        one.fail(1);
        assert_eq!(one.state, Connectivity::TransientFailure);
    }

    // gRFC A76, "Explicitly setting the request hash key"
    #[test]
    fn call_without_a_key_takes_what_is_ready_and_begins_with_one_more() {
        let mut bench = bench(5);
        assert_eq!(bench.call(&[]), Got::Wait);
        let first = bench.connects()[0];
        bench.connecting(first);
        (0..20).for_each(|_| assert_eq!(bench.call(&[("x-user", "")]), Got::Wait));
        assert_eq!(bench.connects(), [first], "one is under way");
        bench.ready(first);
        (0..200).for_each(|_| assert_eq!(bench.call(&[]), Got::Port(first)));
        let mut connects = bench.connects();
        connects.sort_unstable();
        connects.dedup();
        assert_eq!(connects, [1, 2, 3, 4, 5], "each of them some time");
        (1..=5).for_each(|port| bench.fail(port));
        assert!(matches!(bench.call(&[]), Got::Failure(_)));
    }

    #[test]
    fn values_of_a_header_are_one_key() {
        let mut bench = bench(50);
        (1..=50).for_each(|port| bench.ready(port));
        let joined = user(&mut bench, "a,b");
        assert_eq!(bench.call(&[("x-user", "a"), ("x-user", "b"), ("x-other", "c")]), joined);
        let keys: Vec<_> = (0..100).map(|n| user(&mut bench, &n.to_string())).collect();
        assert!(keys.iter().any(|got| *got != keys[0]));
    }

    fn spread(bench: &mut Bench<RingHash>, users: usize) -> Vec<u16> {
        (0..users)
            .map(|number| match user(bench, &format!("user-{number}")) {
                Got::Port(port) => port,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn few_calls_move_when_an_endpoint_goes() {
        let mut bench = bench(10);
        (1..=10).for_each(|port| bench.ready(port));
        let before = spread(&mut bench, 10_000);
        let mut less = addresses(10);
        less.remove(3);
        bench.resolved(&less);
        let after = spread(&mut bench, 10_000);
        let moved = before.iter().zip(&after).filter(|(before, after)| before != after).count();
        let lost = before.iter().filter(|port| **port == 4).count();
        // Each of the others has 114 points now instead of 103, and what is new on the ring takes from both sides.
        assert!(moved >= lost && moved - lost < 1000, "{lost} had to move, {moved} did");
        bench.resolved(&addresses(10));
        bench.ready(4);
        assert_eq!(spread(&mut bench, 10_000), before, "all is as it was");
    }

    #[test]
    fn calls_are_spread_by_weight_which_an_address_may_also_have_by_being_there_twice() {
        let mut all = endpoints(4);
        all[1].weight = 2;
        all.push(all[2].clone().weight(3));
        let mut bench = Bench::new(RingHash::new(RingHashConfig { min_size: 4096, ..config() }));
        bench.resolved(&all);
        (1..=4).for_each(|port| bench.ready(port));
        let spread = spread(&mut bench, 80_000);
        for (port, share) in [(1, 1), (2, 2), (3, 4), (4, 1)] {
            let count = spread.iter().filter(|to| **to == port).count();
            let expected = 10_000 * share;
            // So many points leave shares that differ by some percent.
            assert!(count.abs_diff(expected) < expected / 8, "{port} got {count} instead of {expected}");
        }
    }

    #[test]
    fn shares_do_not_depend_on_order_and_random_calls_are_spread_too() {
        let mut bench = bench(8);
        (1..=8).for_each(|port| bench.ready(port));
        let before = spread(&mut bench, 1000);
        let mut turned = addresses(8);
        turned.reverse();
        bench.resolved(&turned);
        assert_eq!(spread(&mut bench, 1000), before);
        let picks = bench.pick_times(8000);
        for port in 1..=8 {
            let count = picks.iter().filter(|to| **to == port).count();
            assert!((700..1300).contains(&count), "{port} got {count}");
        }
    }

    // gRFC A76, "Explicitly setting the endpoint hash key"
    #[test]
    fn endpoint_with_a_name_keeps_its_calls_at_another_address() {
        let named = |port: u16| {
            let address: std::net::SocketAddr = ([192, 0, 2, 1], port).into();
            Endpoint::new(address).hash_key(format!("pod-{}", port % 100))
        };
        let mut bench = Bench::new(RingHash::new(config()));
        bench.resolved(&[named(1), named(2), named(3)]);
        (1..=3).for_each(|port| bench.ready(port));
        let before = spread(&mut bench, 100);
        bench.resolved(&[named(101), named(102), named(103)]);
        (101..=103).for_each(|port| bench.ready(port));
        let after: Vec<_> = spread(&mut bench, 100).into_iter().map(|port| port - 100).collect();
        assert_eq!(after, before);
    }

    #[test]
    fn idle_drops_all_and_a_call_begins_anew() {
        let mut bench = bench(3);
        let first = order(3, "ann")[0];
        bench.ready(first);
        bench.go_idle();
        assert_eq!(
            (bench.state, bench.dropped(), user(&mut bench, "ann")),
            (Connectivity::Idle, vec![1, 2, 3], Got::Wait)
        );
        bench.resolved(&addresses(3));
        bench.wanted();
        assert_eq!((user(&mut bench, "ann"), bench.connects()), (Got::Wait, vec![first]));
    }
}
