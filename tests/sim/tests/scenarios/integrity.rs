//! Messages: all of them, in order, each byte, also through narrow pipes and past readers that do not read.

use std::time::Duration;

use spanwire::Kind;
use spanwire_sim::{Plan, Sim, Weather, call, ms, replay, seeds};
use tokio::time::Instant;

use super::must_work;

async fn bulk(sim: &mut Sim) {
    let weather = Weather { piece: 100..=20_000, ..Weather::default() };
    sim.network.set_weather(weather);
    sim.serve(sim.server());
    let channel = sim.channel("client").build().unwrap();
    for _ in 0..5 {
        let (ledger, channel, mut random) = (sim.ledger.clone(), channel.clone(), sim.random.fork());
        sim.spawn(async move {
            let plan = Plan {
                kind: random.pick(&[Kind::ServerStreaming, Kind::ClientStreaming, Kind::Bidi]),
                requests: random.within(0..=20) as u32,
                replies: random.within(0..=20) as u32,
                ..Plan::any(&mut random, 40_000, 5)
            };
            let result = call(&ledger, &channel, &plan).await;
            assert!(result.is_ok(), "{result:?} for {plan:?}");
        });
    }
    sim.join().await;
}

/// Streams that nobody reads for a while do not hold up the other calls of the connection.
async fn unread(sim: &mut Sim) {
    sim.serve(sim.server().stall_timeout(None));
    let channel = sim.channel("client").build().unwrap();
    must_work(&sim.ledger, &channel).await;
    for _ in 0..3 {
        let (ledger, channel) = (sim.ledger.clone(), channel.clone());
        let kind = sim.random.pick(&[Kind::ServerStreaming, Kind::Bidi]);
        let size = 1000 + sim.random.size(50_000) as u32;
        let idle = Duration::from_secs(50);
        let plan = Plan { kind, requests: 8, replies: 8, size, idle, ..Plan::default() };
        sim.spawn(async move { call(&ledger, &channel, &plan).await.unwrap() });
    }
    let start = Instant::now();
    for _ in 0..10 {
        tokio::time::sleep(sim.random.ms(0..=1000)).await;
        let begun = Instant::now();
        must_work(&sim.ledger, &channel).await;
        assert!(begun.elapsed() < ms(3000), "{:?}", begun.elapsed());
    }
    assert!(start.elapsed() < Duration::from_secs(50), "the streams were read meanwhile");
    sim.join().await;
}

#[test]
fn every_byte_arrives() {
    seeds("every_byte_arrives", 60, bulk);
}

#[test]
fn unread_streams_hold_nobody_up() {
    seeds("unread_streams_hold_nobody_up", 50, unread);
}

#[test]
fn runs_are_repeatable() {
    replay(6, bulk);
    replay(6, unread);
}
