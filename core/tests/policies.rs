//! A load balancing policy of a program's own: one server for all calls, and another one while the first is down. Tested
//! without a socket, and then in a channel.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use spanwire::balance::{
    Everywhere, Host, Pick, PickEach, PickInfo, Picker, Place, Placing, Policy, Subchannel, SubchannelState,
    Watching,
};
use spanwire::{Address, Connectivity, Endpoint, LoadBalancing, Metadata, Raw, ServerHandle, Status};
use support::who::{Names, WHO, evenly, spread, start, who};
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

/// Calls go to the first of the addresses that is ready; all are connected.
#[derive(Default)]
struct Ordered {
    all: Vec<(Arc<Subchannel>, bool)>,
    last: Option<Status>,
}

impl Ordered {
    fn show(&self, host: &mut dyn Host) {
        match (self.all.iter().find(|(_, ready)| *ready), &self.last) {
            (Some((first, _)), _) => host.publish(Connectivity::Ready, Picker::One(first.clone())),
            (None, Some(last)) => host.publish(Connectivity::TransientFailure, Picker::Fail(last.clone())),
            (None, None) => host.publish(Connectivity::Connecting, Picker::Wait),
        }
    }

    fn drop_all(&mut self, host: &mut dyn Host) {
        self.all.drain(..).for_each(|(subchannel, _)| host.drop_subchannel(&subchannel));
    }
}

impl Policy for Ordered {
    fn resolved(&mut self, endpoints: &[Endpoint], host: &mut dyn Host) {
        self.drop_all(host);
        for endpoint in endpoints {
            let subchannel = host.subchannel(&endpoint.address, Watching::health());
            host.connect(&subchannel);
            self.all.push((subchannel, false));
        }
        self.show(host);
    }

    fn changed(&mut self, subchannel: &Arc<Subchannel>, state: &SubchannelState, host: &mut dyn Host) {
        let Some(entry) = self.all.iter_mut().find(|(known, _)| known.id() == subchannel.id()) else {
            return;
        };
        entry.1 = matches!(state, SubchannelState::Ready);
        match state {
            SubchannelState::Idle => host.connect(subchannel),
            SubchannelState::TransientFailure(status) => self.last = Some(status.clone()),
            SubchannelState::Connecting | SubchannelState::Ready => {}
        }
        self.show(host);
    }

    fn wanted(&mut self, _: &mut dyn Host) {}

    fn idle(&mut self, host: &mut dyn Host) {
        self.drop_all(host);
        host.publish(Connectivity::Idle, Picker::Idle);
    }
}

/// A host that only remembers.
struct Notes {
    made: Vec<Arc<Subchannel>>,
    connected: Vec<u64>,
    picker: Picker,
}

impl Host for Notes {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn subchannel(&mut self, address: &Address, _: Watching) -> Arc<Subchannel> {
        self.made.push(Subchannel::detached(address.clone()));
        self.made.last().unwrap().clone()
    }

    fn connect(&mut self, subchannel: &Arc<Subchannel>) {
        self.connected.push(subchannel.id());
    }

    fn drop_subchannel(&mut self, subchannel: &Arc<Subchannel>) {
        self.made.retain(|made| made.id() != subchannel.id());
    }

    fn publish(&mut self, _: Connectivity, picker: Picker) {
        self.picker = picker;
    }

    fn resolve_again(&mut self) {}

    fn set_timer(&mut self, _: Option<Instant>) {}
}

impl Notes {
    /// Where a call goes: an address, or what it fails with.
    fn call(&self) -> Result<String, Option<String>> {
        match self.picker.pick(PickInfo::new(&WHO, &Metadata::new())).place {
            Place::On(subchannel) => Ok(subchannel.address().to_string()),
            Place::Wait => Err(None),
            Place::Fail(status) => Err(Some(status.message().to_owned())),
        }
    }
}

#[test]
fn policy_is_tested_without_a_socket() {
    let mut host = Notes { made: Vec::new(), connected: Vec::new(), picker: Picker::Idle };
    let mut policy = Ordered::default();
    let endpoints = ["a", "b"].map(|name| Endpoint::new(Address::InProcess(name.to_owned())));
    policy.resolved(&endpoints, &mut host);
    assert_eq!((host.connected.len(), host.call()), (2, Err(None)));
    let [a, b] = &host.made.clone()[..] else { panic!() };
    policy.changed(b, &SubchannelState::Ready, &mut host);
    assert_eq!(host.call().unwrap(), "inprocess:b");
    policy.changed(a, &SubchannelState::Ready, &mut host);
    assert_eq!(host.call().unwrap(), "inprocess:a");
    for subchannel in [a, b] {
        let down = SubchannelState::TransientFailure(Status::unavailable("down"));
        policy.changed(subchannel, &down, &mut host);
    }
    assert_eq!(host.call(), Err(Some("down".to_owned())));
}

/// Servers of these names, and a name for all of them.
async fn servers(all: [&'static str; 3]) -> ([ServerHandle; 3], Names) {
    let names = Names::default();
    names.set(&all);
    ([start(all[0]).await, start(all[1]).await, start(all[2]).await], names)
}

#[tokio::test(start_paused = true)]
async fn channel_does_as_the_policy_of_its_config_says() {
    let ([first, _second, _third], names) = servers(["order-a", "order-b", "order-c"]).await;
    let channel = names.channel().policy("ordered", |_| Ok(Ordered::default));
    let channel = channel.service_config(r#"{"loadBalancingConfig": [{"ordered": {}}]}"#).build().unwrap();
    who(&channel).await.unwrap();
    tokio::time::sleep(SECOND).await;
    assert_eq!(spread(&channel, 10).await, evenly(&["order-a"], 10));
    first.shutdown(SECOND).await;
    assert_eq!(spread(&channel, 10).await, evenly(&["order-b"], 10));
    let _first = start("order-a").await;
    tokio::time::sleep(5 * SECOND).await;
    assert_eq!(spread(&channel, 10).await, evenly(&["order-a"], 10));
}

/// Calls go by the number in a header, or where the settings say.
struct Numbered(usize);

struct Shards(Vec<Arc<Subchannel>>, usize);

impl Placing for Numbered {
    fn picker(&self, mut ready: Vec<Arc<Subchannel>>, _: Instant) -> Arc<dyn PickEach> {
        ready.sort_by_key(|subchannel| subchannel.address().to_string());
        Arc::new(Shards(ready, self.0))
    }
}

impl PickEach for Shards {
    fn pick(&self, call: PickInfo<'_>) -> Pick<'_> {
        assert_eq!(call.path(), WHO.path());
        let number = call.metadata().get("x-shard").and_then(|number| number.parse().ok());
        Pick::on(&self.0[number.unwrap_or(self.1) % self.0.len()])
    }
}

#[tokio::test(start_paused = true)]
async fn picker_sees_the_call_and_settings_are_read_once() {
    let (_servers, names) = servers(["number-a", "number-b", "number-c"]).await;
    let builder = || {
        names.channel().policy("numbered", |settings| {
            let number: Option<usize> = settings
                .strip_prefix(r#"{"default":"#)
                .and_then(|rest| rest.trim_end_matches('}').parse().ok());
            let number = number.ok_or_else(|| "has no default".to_owned())?;
            Ok(move || Everywhere::new(Numbered(number)))
        })
    };
    let config = |settings: &str| {
        format!(
            r#"{{"loadBalancingConfig": [{{"outlier_detection": {{"childPolicy": [{{"numbered": {settings}}}]}}}}]}}"#
        )
    };
    let channel = builder().service_config(config(r#"{"default": 2}"#)).build().unwrap();
    who(&channel).await.unwrap();
    tokio::time::sleep(SECOND).await;
    assert_eq!(who(&channel).await.unwrap(), "number-c");
    for (number, name) in [("0", "number-a"), ("1", "number-b"), ("5", "number-c")] {
        let answer: Raw = channel.unary(&WHO, Raw::default()).metadata("x-shard", number).await.unwrap();
        assert_eq!(answer, Raw::from(name));
    }
    let error = builder().service_config(config("{}")).build().unwrap_err().to_string();
    let place = "loadBalancingConfig[0].outlier_detection.childPolicy[0].numbered";
    assert_eq!(error, format!("service_config: {place}: has no default"));
    let unknown = names.channel().service_config(config("{}")).build().unwrap_err().to_string();
    assert!(unknown.contains("has no policy that is known here: numbered"), "{unknown}");
}

/// Hands everything to a policy of the engine's.
struct Wrapped(Box<dyn Policy>);

impl Policy for Wrapped {
    fn resolved(&mut self, endpoints: &[Endpoint], host: &mut dyn Host) {
        self.0.resolved(&endpoints[1..], host);
    }

    fn changed(&mut self, subchannel: &Arc<Subchannel>, state: &SubchannelState, host: &mut dyn Host) {
        self.0.changed(subchannel, state, host);
    }

    fn wanted(&mut self, host: &mut dyn Host) {
        self.0.wanted(host);
    }

    fn settle(&mut self, host: &mut dyn Host) {
        self.0.settle(host);
    }

    fn timer(&mut self, host: &mut dyn Host) {
        self.0.timer(host);
    }

    fn idle(&mut self, host: &mut dyn Host) {
        self.0.idle(host);
    }
}

#[tokio::test(start_paused = true)]
async fn policy_hands_work_to_one_of_the_engines() {
    let (_servers, names) = servers(["wrap-a", "wrap-b", "wrap-c"]).await;
    let channel = names
        .channel()
        .policy("all_but_one", |_| Ok(|| Wrapped(LoadBalancing::RoundRobin.policy())))
        .service_config(r#"{"loadBalancingConfig": [{"all_but_one": {}}]}"#)
        .build()
        .unwrap();
    who(&channel).await.unwrap();
    tokio::time::sleep(SECOND).await;
    assert_eq!(spread(&channel, 10).await, evenly(&["wrap-b", "wrap-c"], 5));
}
