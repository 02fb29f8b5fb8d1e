//! What balancing costs: a pick, a call, and an update of many addresses. All within this process and on one thread.
//!
//! ```sh
//! cargo run --release -p spanwire --example balancing
//! ```
//!
//! `calls <policy> <addresses> <number>` makes only calls, for a tool that counts instructions.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use spanwire::balance::{Host, PickInfo, Picker, Place, Policy, Subchannel, SubchannelState, Watching};
use spanwire::server::{Handler, Service};
use spanwire::{
    Address, Channel, Connectivity, Endpoint, Kind, LoadBalancing, Metadata, Method, Raw, Resolution, Server,
};

const ECHO: Method = Method::new("/bench.Echo/Echo", Kind::Unary);

type Failed = Box<dyn std::error::Error>;

fn main() -> Result<(), Failed> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if let [mode, policy, addresses, number] = arguments.as_slice() {
        assert_eq!(mode, "calls");
        let load = runtime.block_on(Load::start(policy, addresses.parse()?))?;
        runtime.block_on(load.calls(number.parse()?))?;
        return Ok(());
    }
    picks()?;
    runtime.block_on(calls())?;
    updates()
}

/// A host that only remembers.
#[derive(Default)]
struct Notes {
    made: HashMap<u64, Arc<Subchannel>>,
    picker: Option<Picker>,
    connects: usize,
}

impl Host for Notes {
    fn now(&self) -> tokio::time::Instant {
        tokio::time::Instant::now()
    }

    fn subchannel(&mut self, address: &Address, _: Watching) -> Arc<Subchannel> {
        let subchannel = Subchannel::detached(address.clone());
        self.made.insert(subchannel.id(), subchannel.clone());
        subchannel
    }

    fn connect(&mut self, _: &Arc<Subchannel>) {
        self.connects += 1;
    }

    fn drop_subchannel(&mut self, subchannel: &Arc<Subchannel>) {
        self.made.remove(&subchannel.id());
    }

    fn publish(&mut self, _: Connectivity, picker: Picker) {
        self.picker = Some(picker);
    }

    fn resolve_again(&mut self) {}

    fn set_timer(&mut self, _: Option<tokio::time::Instant>) {}
}

fn endpoints(count: u32) -> Vec<Endpoint> {
    (0..count).map(|n| Endpoint::new(Address::Tcp((Ipv4Addr::from(0x0a00_0000 + n), 1).into()))).collect()
}

/// A policy whose addresses are all connected.
fn connected(name: &str, count: u32) -> Result<(Box<dyn Policy>, Notes), Failed> {
    let (mut policy, mut host) = (name.parse::<LoadBalancing>()?.policy(), Notes::default());
    policy.resolved(&endpoints(count), &mut host);
    policy.wanted(&mut host);
    for subchannel in host.made.values().cloned().collect::<Vec<_>>() {
        policy.changed(&subchannel, &SubchannelState::Ready, &mut host);
    }
    policy.settle(&mut host);
    Ok((policy, host))
}

fn picks() -> Result<(), Failed> {
    const PICKS: u32 = 5_000_000;
    println!("one pick");
    for (name, count) in [
        ("pick_first", 1),
        ("round_robin", 1),
        ("round_robin", 100),
        ("least_request", 100),
        ("weighted_round_robin", 100),
    ] {
        let (_policy, host) = connected(name, count)?;
        let Some(picker) = host.picker else { return Err("there is no picker".into()) };
        let metadata = Metadata::new();
        let best = (0..5).map(|_| {
            let began = Instant::now();
            for _ in 0..PICKS {
                let pick = std::hint::black_box(picker.pick(PickInfo::new(&ECHO, &metadata)));
                assert!(matches!(pick.place, Place::On(_)));
            }
            began.elapsed() / PICKS
        });
        println!("  {name:<21} {count:>4} addresses {:>8.1?}", best.min().unwrap_or_default());
    }
    Ok(())
}

fn updates() -> Result<(), Failed> {
    println!("an update of 10 000 addresses, all connected");
    let all = endpoints(10_001);
    for name in ["pick_first", "round_robin", "least_request", "weighted_round_robin"] {
        let (mut policy, mut host) = connected(name, 10_000)?;
        let mut update = |addresses: &[Endpoint]| {
            let began = Instant::now();
            policy.resolved(addresses, &mut host);
            policy.settle(&mut host);
            began.elapsed()
        };
        let same = update(&all[..10_000]);
        let one = update(&all[1..]);
        let none = update(&endpoints(1));
        let every = update(&all[1..]);
        println!(
            "  {name:<21} same {same:>7.1?}   one other {one:>7.1?}   to one {none:>7.1?}   to all {every:>7.1?}"
        );
    }
    Ok(())
}

struct Echo;

impl Service for Echo {
    fn name(&self) -> &'static str {
        "bench.Echo"
    }

    fn methods(&self) -> Vec<(&'static str, Handler)> {
        vec![(
            "Echo",
            Handler::unary(Arc::new(()), |_, request: Raw, context| async move { (Ok(request), context) }),
        )]
    }
}

/// As many servers as there are addresses, and a channel to all of them; or, for the policy `apart`, a channel to each:
/// the same connections, without balancing.
struct Load {
    channels: Vec<Channel>,
}

impl Load {
    async fn start(policy: &str, addresses: usize) -> Result<Self, Failed> {
        let names: Vec<_> = (0..addresses).map(|number| format!("{policy}-{addresses}-{number}")).collect();
        for name in &names {
            let server = Server::builder().service(Echo).bind(&format!("inprocess:{name}")).await?;
            tokio::spawn(server.run());
        }
        if policy == "apart" {
            let channels = names.iter().map(|name| Channel::new(&format!("inprocess:{name}")));
            let load = Load { channels: channels.collect::<Result<_, _>>()? };
            load.calls(addresses).await?;
            return Ok(load);
        }
        let resolution = Resolution::new(names.into_iter().map(Address::InProcess));
        let channel = Channel::builder("bench.test")
            .resolver(move || {
                let resolution = resolution.clone();
                async move { Ok(resolution) }
            })
            .load_balancing(policy.parse()?)
            .build()?;
        let load = Load { channels: vec![channel] };
        while load.channels[0].stats().total_connections < addresses as u64 && policy != "pick_first" {
            load.calls(1).await?;
        }
        Ok(load)
    }

    /// So many calls, one after the other.
    async fn calls(&self, number: usize) -> Result<Duration, Failed> {
        let began = Instant::now();
        for channel in self.channels.iter().cycle().take(number) {
            let _: Raw = channel.unary(&ECHO, Raw::from("hello")).await?;
        }
        Ok(began.elapsed())
    }
}

/// The loads that are compared.
const LOADS: [(&str, usize); 4] =
    [("pick_first", 1), ("round_robin", 1), ("round_robin", 100), ("apart", 100)];

async fn calls() -> Result<(), Failed> {
    const CALLS: u32 = 2000;
    println!("one call, with its server");
    let mut loads = Vec::new();
    for (policy, addresses) in LOADS {
        loads.push((Load::start(policy, addresses).await?, Duration::MAX));
    }
    // In turns, because a machine is not equally fast all the time.
    for _ in 0..50 {
        for (load, best) in &mut loads {
            *best = (*best).min(load.calls(CALLS as usize).await? / CALLS);
        }
    }
    for ((policy, addresses), (_, best)) in LOADS.iter().zip(loads) {
        println!("  {policy:<21} {addresses:>4} addresses {best:>8.2?}");
    }
    Ok(())
}
