//! Deadlines hold, whatever else happens.

use std::time::Duration;

use spanwire::Code;
use spanwire_sim::{Fate, Plan, Sim, Weather, call, ms, replay, seeds};
use tokio::time::Instant;

use super::code;

async fn deadlines(sim: &mut Sim) {
    let all = [Fate::Dark, Fate::ClientUnheard, Fate::ServerUnheard, Fate::Lost, Fate::Reset];
    let weather = Weather {
        latency_ms: 0..=sim.random.within(0..=100),
        unlucky_percent: 60,
        lucky_bytes: 0..=30_000,
        fates: all.to_vec(),
        dark: sim.random.percent(15),
        ..Weather::default()
    };
    sim.network.set_weather(weather);
    if sim.random.percent(85) {
        sim.serve(sim.server().max_concurrent_streams(4));
    }
    for client in 0..3 {
        let channel = sim.channel(&format!("client-{client}")).build().unwrap();
        for _ in 0..12 {
            let (ledger, channel, mut random) = (sim.ledger.clone(), channel.clone(), sim.random.fork());
            sim.spawn(async move {
                tokio::time::sleep(random.ms(0..=1000)).await;
                let timeout = random.ms(0..=800);
                let mut plan = Plan {
                    timeout: Some(timeout),
                    wait_for_ready: random.percent(50),
                    ..Plan::any(&mut random, 100_000, 200)
                };
                // A client that is busy with itself cannot be told.
                plan.idle = Duration::ZERO;
                let start = Instant::now();
                let result = call(&ledger, &channel, &plan).await;
                let took = start.elapsed();
                assert!(took <= timeout + ms(100), "{took:?}: {result:?} for {plan:?}");
                match code(&result) {
                    Code::Ok | Code::Unavailable => {}
                    Code::DeadlineExceeded => assert!(took >= timeout, "{took:?} for {plan:?}"),
                    _ => panic!("{result:?} for {plan:?}"),
                }
            });
        }
    }
    sim.join().await;
    // Handlers of calls whose connection is dark know the deadline themselves, from when the call arrived; that takes a
    // while on a connection that is slow and narrow.
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(sim.ledger.running(), 0);
    sim.network.end_all(Fate::Reset);
}

#[test]
fn deadlines_hold() {
    seeds("deadlines_hold", 150, deadlines);
}

#[test]
fn runs_are_repeatable() {
    replay(2, deadlines);
}
