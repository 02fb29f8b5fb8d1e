//! A bench for policies: a host without sockets, with a clock that moves when it is told to.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::super::address::{Address, Endpoint};
use super::super::load::LoadReport;
use super::super::subchannel::{Connectivity, Subchannel};
use super::{Host, Pick, PickInfo, Picker, Place, Policy, SubchannelState, Watching};
use crate::{Kind, Metadata, Method, Status};

/// Addresses whose ports are 1, 2, 3 and so on: the name of each in the tests.
pub(crate) fn addresses(count: u16) -> Vec<Address> {
    (1..=count).map(|port| Address::Tcp(([192, 0, 2, 1], port).into())).collect()
}

const METHOD: Method = Method::new("/test.Echo/Echo", Kind::Unary);

/// What becomes of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Got {
    Port(u16),
    Wait,
    Failure(String),
}

/// A policy under test.
pub(crate) struct Bench<P> {
    policy: P,
    host: Log,
    pub(crate) state: Connectivity,
    pub(crate) resolutions: usize,
}

/// What the policy has asked for.
struct Log {
    now: Instant,
    made: Vec<Arc<Subchannel>>,
    connects: Vec<u16>,
    dropped: Vec<u16>,
    state: Connectivity,
    picker: Picker,
    resolutions: usize,
    timer: Option<Instant>,
}

fn port(subchannel: &Subchannel) -> u16 {
    match subchannel.address() {
        Address::Tcp(address) => address.port(),
        other => panic!("{other} has no port"),
    }
}

impl Host for Log {
    fn now(&self) -> Instant {
        self.now
    }

    fn subchannel(&mut self, address: &Address, watching: Watching) -> Arc<Subchannel> {
        let subchannel = Subchannel::detached_with(address.clone(), watching);
        self.made.push(subchannel.clone());
        subchannel
    }

    fn connect(&mut self, subchannel: &Arc<Subchannel>) {
        self.connects.push(port(subchannel));
    }

    fn drop_subchannel(&mut self, subchannel: &Arc<Subchannel>) {
        let before = self.made.len();
        self.made.retain(|made| !Arc::ptr_eq(made, subchannel));
        assert_eq!(self.made.len() + 1, before, "it was dropped before");
        self.dropped.push(port(subchannel));
    }

    fn publish(&mut self, state: Connectivity, picker: Picker) {
        self.state = state;
        self.picker = picker;
    }

    fn resolve_again(&mut self) {
        self.resolutions += 1;
    }

    fn set_timer(&mut self, at: Option<Instant>) {
        self.timer = at;
    }
}

impl<P: Policy> Bench<P> {
    pub(crate) fn new(policy: P) -> Self {
        let host = Log {
            now: Instant::now(),
            made: Vec::new(),
            connects: Vec::new(),
            dropped: Vec::new(),
            state: Connectivity::Idle,
            picker: Picker::Idle,
            resolutions: 0,
            timer: None,
        };
        Bench { policy, host, state: Connectivity::Idle, resolutions: 0 }
    }

    fn settle(&mut self) {
        self.policy.settle(&mut self.host);
        self.state = self.host.state;
        self.resolutions = self.host.resolutions;
    }

    pub(crate) fn resolved<E: Clone + Into<Endpoint>>(&mut self, endpoints: &[E]) {
        let endpoints: Vec<Endpoint> = endpoints.iter().cloned().map(Into::into).collect();
        self.policy.resolved(&endpoints, &mut self.host);
        self.settle();
    }

    pub(crate) fn wanted(&mut self) {
        self.policy.wanted(&mut self.host);
        self.settle();
    }

    /// Does something to the policy itself.
    pub(crate) fn act(&mut self, act: impl FnOnce(&mut P, &mut dyn Host)) {
        act(&mut self.policy, &mut self.host);
        self.settle();
    }

    pub(crate) fn go_idle(&mut self) {
        self.policy.idle(&mut self.host);
        self.settle();
    }

    fn change(&mut self, number: u16, state: &SubchannelState) {
        let subchannel = self.find(number);
        self.policy.changed(&subchannel, state, &mut self.host);
        self.settle();
    }

    pub(crate) fn idle(&mut self, port: u16) {
        self.change(port, &SubchannelState::Idle);
    }

    pub(crate) fn connecting(&mut self, port: u16) {
        self.change(port, &SubchannelState::Connecting);
    }

    pub(crate) fn ready(&mut self, port: u16) {
        self.change(port, &SubchannelState::Ready);
    }

    pub(crate) fn fail(&mut self, port: u16) {
        self.change(
            port,
            &SubchannelState::TransientFailure(Status::unavailable(format!("port {port} is down"))),
        );
    }

    /// The state of the newest of several subchannels to a port.
    pub(crate) fn newest(&mut self, number: u16, state: &SubchannelState) {
        let subchannel = self.host.made.iter().rfind(|made| port(made) == number).cloned().unwrap();
        self.policy.changed(&subchannel, state, &mut self.host);
        self.settle();
    }

    fn find(&self, number: u16) -> Arc<Subchannel> {
        let subchannel = self.host.made.iter().find(|made| port(made) == number).cloned();
        subchannel.unwrap_or_else(|| panic!("there is no subchannel to port {number}"))
    }

    /// A server reports its load.
    pub(crate) fn hear(&self, number: u16, report: LoadReport) {
        self.find(number).calls().hear(report, self.host.now);
    }

    /// So many calls end well, and so many do not.
    pub(crate) fn calls(&self, number: u16, succeeded: u32, failed: u32) {
        let subchannel = self.find(number);
        (0..succeeded).for_each(|_| subchannel.calls().ended(&Status::ok()));
        (0..failed).for_each(|_| subchannel.calls().ended(&Status::unavailable("no")));
    }

    /// Lets time pass, with all that was to happen in it.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.host.now + time;
        while let Some(at) = self.host.timer.filter(|at| *at <= end) {
            self.host.now = at;
            self.host.timer = None;
            self.policy.timer(&mut self.host);
            self.settle();
        }
        self.host.now = end;
    }

    /// The ports that were to be connected, in order.
    pub(crate) fn connects(&self) -> Vec<u16> {
        self.host.connects.clone()
    }

    /// The ports that were dropped, in order.
    pub(crate) fn dropped(&self) -> Vec<u16> {
        self.host.dropped.clone()
    }

    /// The text of the failure that calls get.
    pub(crate) fn failure(&self) -> String {
        match &self.host.picker {
            Picker::Fail(status) => status.message().to_owned(),
            other => panic!("calls do not fail: {other:?}"),
        }
    }

    /// What becomes of a call with these metadata.
    pub(crate) fn call(&mut self, metadata: &[(&str, &str)]) -> Got {
        let mut sent = Metadata::new();
        for (key, value) in metadata {
            sent.append(key, value).unwrap();
        }
        let Pick { place, connect } = self.host.picker.pick(PickInfo::new(&METHOD, &sent));
        self.host.connects.extend(connect.map(|subchannel| port(subchannel)));
        match place {
            Place::On(subchannel) => Got::Port(port(subchannel)),
            Place::Wait => Got::Wait,
            Place::Fail(status) => Got::Failure(status.message().to_owned()),
        }
    }

    /// The ports that so many calls get.
    pub(crate) fn pick_times(&self, calls: usize) -> Vec<u16> {
        let nothing = Metadata::new();
        (0..calls)
            .map(|_| match self.host.picker.pick(PickInfo::new(&METHOD, &nothing)).place {
                Place::On(subchannel) => port(subchannel),
                _ => panic!("calls get nothing: {:?}", self.host.picker),
            })
            .collect()
    }

    /// The ports that get calls at all.
    pub(crate) fn picks(&self) -> Vec<u16> {
        let mut picks = self.pick_times(100);
        picks.sort_unstable();
        picks.dedup();
        picks
    }
}
