//! Another policy for a channel that is in use: it connects beside the one that carries the calls, and takes over when it
//! can carry them.
//!
//! ```text
//!             ┌── the current one is not READY ──────────────────────────────────┐
//! Current ── replace ── it is READY ──► Current and next ── next READY or IDLE, ──► Current
//!                                                           or current not READY
//! ```
//!
//! What the next one publishes is kept until then. It does not fail calls that the current one can carry.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::time::Instant;

use super::super::address::{Address, Endpoint};
use super::super::subchannel::{Connectivity, Subchannel};
use super::{Host, Picker, Policy, SubchannelState, Watching};

/// See the [module](self).
pub(crate) struct Switch {
    current: Side,
    next: Option<Side>,
}

/// One policy, and what it has asked for.
struct Side {
    policy: Box<dyn Policy>,
    wishes: Wishes,
}

struct Wishes {
    role: Role,
    state: Connectivity,
    /// What the next one would have calls placed by.
    picker: Option<Picker>,
    timer: Option<Instant>,
    /// Whether it was told that somebody wants a connection.
    wanted: bool,
    /// The next one's subchannels; all others are the current one's.
    subchannels: HashSet<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Current,
    Next,
    Left,
}

impl Switch {
    pub(crate) fn new(policy: Box<dyn Policy>) -> Self {
        Switch { current: Side::new(policy, Role::Current), next: None }
    }

    /// Goes over to `policy`, as soon as that costs no call. It is to be told the endpoints, and that it is wanted.
    pub(crate) fn replace(&mut self, policy: Box<dyn Policy>, host: &mut dyn Host) {
        if let Some(next) = self.next.take() {
            next.leave(host);
        }
        if self.current.wishes.state == Connectivity::Ready {
            self.next = Some(Side::new(policy, Role::Next));
        } else {
            std::mem::replace(&mut self.current, Side::new(policy, Role::Current)).leave(host);
            host.publish(Connectivity::Connecting, Picker::Wait);
        }
        self.set_timer(host);
    }

    fn each(&mut self, host: &mut dyn Host, mut act: impl FnMut(&mut dyn Policy, &mut dyn Host)) {
        self.current.with(host, &mut act);
        if let Some(next) = &mut self.next {
            next.with(host, &mut act);
        }
        self.set_timer(host);
    }

    fn set_timer(&self, host: &mut dyn Host) {
        let next = self.next.as_ref().and_then(|next| next.wishes.timer);
        host.set_timer(self.current.wishes.timer.into_iter().chain(next).min());
    }

    fn take_over(&mut self, mut next: Side, host: &mut dyn Host) {
        next.wishes.role = Role::Current;
        next.wishes.subchannels = HashSet::new();
        // Before the others are gone, so that no call is sent to one of those.
        host.publish(next.wishes.state, next.wishes.picker.take().unwrap_or(Picker::Wait));
        std::mem::replace(&mut self.current, next).leave(host);
        self.set_timer(host);
    }
}

impl Policy for Switch {
    fn resolved(&mut self, endpoints: &[Endpoint], host: &mut dyn Host) {
        self.each(host, |policy, host| policy.resolved(endpoints, host));
    }

    fn changed(&mut self, subchannel: &Arc<Subchannel>, state: &SubchannelState, host: &mut dyn Host) {
        let next = self.next.as_mut().filter(|next| next.wishes.subchannels.contains(&subchannel.id()));
        let side = next.unwrap_or(&mut self.current);
        side.with(host, |policy, host| policy.changed(subchannel, state, host));
        self.set_timer(host);
    }

    fn wanted(&mut self, host: &mut dyn Host) {
        if let Some(next) = &mut self.next {
            next.wishes.wanted = true;
        }
        self.each(host, |policy, host| policy.wanted(host));
    }

    fn settle(&mut self, host: &mut dyn Host) {
        self.each(host, |policy, host| policy.settle(host));
        let lost = self.current.wishes.state != Connectivity::Ready;
        if let Some(next) = self.next.take_if(|next| lost || next.can_carry()) {
            self.take_over(next, host);
        }
    }

    fn timer(&mut self, host: &mut dyn Host) {
        let now = host.now();
        for side in [Some(&mut self.current), self.next.as_mut()].into_iter().flatten() {
            if side.wishes.timer.take_if(|at| *at <= now).is_some() {
                side.with(host, |policy, host| policy.timer(host));
            }
        }
        self.set_timer(host);
    }

    fn idle(&mut self, host: &mut dyn Host) {
        if let Some(next) = self.next.take() {
            self.take_over(next, host);
        }
        self.each(host, |policy, host| policy.idle(host));
    }
}

impl Side {
    fn new(policy: Box<dyn Policy>, role: Role) -> Self {
        let state = Connectivity::Idle;
        let subchannels = HashSet::new();
        Side { policy, wishes: Wishes { role, state, picker: None, timer: None, wanted: false, subchannels } }
    }

    fn with(&mut self, host: &mut dyn Host, act: impl FnOnce(&mut dyn Policy, &mut dyn Host)) {
        act(&mut *self.policy, &mut Between { host, wishes: &mut self.wishes });
    }

    /// An idle one connects with the first call that it gets.
    fn can_carry(&self) -> bool {
        match self.wishes.state {
            Connectivity::Ready => true,
            Connectivity::Idle => self.wishes.wanted && self.wishes.picker.is_some(),
            Connectivity::Connecting | Connectivity::TransientFailure => false,
        }
    }

    /// Drops its subchannels. Calls under way on them go on.
    fn leave(mut self, host: &mut dyn Host) {
        self.wishes.role = Role::Left;
        self.with(host, |policy, host| policy.idle(host));
    }
}

/// The host that one of them sees.
struct Between<'a> {
    host: &'a mut dyn Host,
    wishes: &'a mut Wishes,
}

impl Host for Between<'_> {
    fn now(&self) -> Instant {
        self.host.now()
    }

    fn subchannel(&mut self, address: &Address, watching: Watching) -> Arc<Subchannel> {
        let subchannel = self.host.subchannel(address, watching);
        if self.wishes.role == Role::Next {
            self.wishes.subchannels.insert(subchannel.id());
        }
        subchannel
    }

    fn connect(&mut self, subchannel: &Arc<Subchannel>) {
        self.host.connect(subchannel);
    }

    fn drop_subchannel(&mut self, subchannel: &Arc<Subchannel>) {
        self.wishes.subchannels.remove(&subchannel.id());
        self.host.drop_subchannel(subchannel);
    }

    fn publish(&mut self, state: Connectivity, picker: Picker) {
        self.wishes.state = state;
        match self.wishes.role {
            Role::Current => self.host.publish(state, picker),
            Role::Next => self.wishes.picker = Some(picker),
            Role::Left => {}
        }
    }

    fn resolve_again(&mut self) {
        self.host.resolve_again();
    }

    fn set_timer(&mut self, at: Option<Instant>) {
        self.wishes.timer = at;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::{Bench, Got, addresses};
    use super::super::{Everywhere, PickFirst, RingHash, RingHashConfig, RoundRobin};
    use super::*;
    use crate::Status;

    fn pick_first() -> Box<dyn Policy> {
        Box::new(PickFirst::new(false))
    }

    fn round_robin() -> Box<dyn Policy> {
        Box::new(Everywhere::new(RoundRobin))
    }

    /// A bench with pick_first on the first of so many addresses, in use.
    fn in_use(count: u16) -> Bench<Switch> {
        let mut bench = Bench::new(Switch::new(pick_first()));
        bench.resolved(&addresses(count));
        bench.wanted();
        bench.ready(1);
        bench
    }

    /// The same with one address, told to go over to another policy.
    fn going_over(to: Box<dyn Policy>) -> Bench<Switch> {
        let mut bench = in_use(1);
        bench.act(|policy, host| policy.replace(to, host));
        bench.resolved(&addresses(1));
        bench.wanted();
        bench
    }

    #[test]
    fn next_policy_takes_over_when_it_is_ready() {
        let mut bench = going_over(round_robin());
        assert_eq!((bench.state, bench.connects()), (Connectivity::Ready, vec![1, 1]));
        bench.newest(1, &SubchannelState::Connecting);
        assert_eq!((bench.state, bench.dropped()), (Connectivity::Ready, vec![]), "the first one goes on");
        assert_eq!(bench.picks(), [1]);
        bench.newest(1, &SubchannelState::Ready);
        assert_eq!((bench.state, bench.dropped()), (Connectivity::Ready, vec![1]));
        assert_eq!(bench.picks(), [1]);
        // It is the only one now.
        bench.fail(1);
        assert_eq!(bench.state, Connectivity::TransientFailure);
    }

    #[test]
    fn next_policy_that_fails_leaves_calls_to_the_current_one() {
        let mut bench = going_over(round_robin());
        bench.newest(1, &SubchannelState::TransientFailure(Status::unavailable("it is down")));
        assert_eq!((bench.state, bench.call(&[])), (Connectivity::Ready, Got::Port(1)));
        // Until that cannot carry them any more.
        bench.idle(1);
        assert_eq!((bench.state, bench.dropped()), (Connectivity::TransientFailure, vec![1]));
        assert_eq!(bench.call(&[]), Got::Failure("it is down".to_owned()));
    }

    #[test]
    fn policy_that_connects_for_calls_gets_them_at_once() {
        let config = RingHashConfig { min_size: 16, max_size: 16, header: None };
        let mut bench = going_over(Box::new(RingHash::new(config)));
        assert_eq!((bench.state, bench.dropped()), (Connectivity::Idle, vec![1]));
        assert_eq!((bench.call(&[]), bench.connects()), (Got::Wait, vec![1, 1]));
    }

    #[test]
    fn policy_that_is_not_ready_is_replaced_at_once() {
        let mut bench = Bench::new(Switch::new(pick_first()));
        bench.resolved(&addresses(2));
        bench.wanted();
        bench.act(|policy, host| policy.replace(round_robin(), host));
        assert_eq!((bench.dropped(), bench.call(&[])), (vec![1, 2], Got::Wait));
        bench.resolved(&addresses(2));
        bench.wanted();
        assert_eq!(bench.connects(), [1, 1, 2]);
        bench.ready(2);
        assert_eq!(bench.picks(), [2]);
    }

    #[test]
    fn third_policy_takes_the_place_of_the_next_one() {
        let mut bench = going_over(round_robin());
        bench.act(|policy, host| policy.replace(pick_first(), host));
        assert_eq!((bench.state, bench.dropped(), bench.picks()), (Connectivity::Ready, vec![1], vec![1]));
        bench.resolved(&addresses(1));
        bench.wanted();
        bench.newest(1, &SubchannelState::Ready);
        assert_eq!((bench.state, bench.dropped()), (Connectivity::Ready, vec![1, 1]));
    }

    #[test]
    fn each_policy_has_its_own_timer() {
        let mut bench = in_use(2);
        bench.act(|policy, host| policy.replace(pick_first(), host));
        bench.resolved(&addresses(2));
        bench.wanted();
        assert_eq!(bench.connects(), [1, 1]);
        bench.pass(Duration::from_millis(250));
        assert_eq!(bench.connects(), [1, 1, 2], "the second address, by the next policy's timer");
    }

    #[test]
    fn idle_goes_over_to_the_next_policy() {
        let mut bench = going_over(round_robin());
        bench.go_idle();
        assert_eq!((bench.state, bench.dropped()), (Connectivity::Idle, vec![1, 1]));
        bench.wanted();
        bench.ready(1);
        assert_eq!((bench.picks(), bench.connects()), (vec![1], vec![1, 1, 1]));
    }
}
