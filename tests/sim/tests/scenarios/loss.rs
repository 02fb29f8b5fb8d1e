//! Connections that break, at any byte.

use std::time::Duration;

use spanwire::Code;
use spanwire_sim::{Fate, Plan, Sim, Weather, call, replay, seeds};

use super::{code, must_work};

async fn breaks(sim: &mut Sim) {
    let stormy = Weather {
        unlucky_percent: sim.random.within(20..=90),
        lucky_bytes: 0..=50_000,
        fates: vec![Fate::Reset, Fate::Lost],
        ..Weather::default()
    };
    sim.network.set_weather(stormy);
    let mut server = sim.serve(sim.server());
    let mut channels = Vec::new();
    for client in 0..4 {
        let channel = sim.channel(&format!("client-{client}"));
        let channel = channel.backoff(Duration::from_millis(100), Duration::from_secs(1)).build().unwrap();
        channels.push(channel.clone());
        let (ledger, mut random) = (sim.ledger.clone(), sim.random.fork());
        sim.spawn(async move {
            for _ in 0..12 {
                let mut plan = Plan::any(&mut random, 20_000, 10);
                if random.percent(50) {
                    plan.wait_for_ready = true;
                    plan.timeout = Some(random.ms(0..=10_000));
                }
                let result = call(&ledger, &channel, &plan).await;
                let expected = match code(&result) {
                    Code::Ok | Code::Unavailable => true,
                    Code::DeadlineExceeded => plan.timeout.is_some(),
                    _ => false,
                };
                assert!(expected, "{result:?} for {plan:?}");
                tokio::time::sleep(random.ms(0..=200)).await;
            }
        });
    }
    for _ in 0..3 {
        tokio::time::sleep(sim.random.ms(0..=600)).await;
        match sim.random.within(0..=2) {
            0 => sim.network.end_all(Fate::Lost),
            1 => sim.network.end_all(Fate::Reset),
            // It dies, and is away for a while.
            _ => {
                server.shutdown(Duration::ZERO).await;
                tokio::time::sleep(sim.random.ms(0..=600)).await;
                server = sim.serve(sim.server());
            }
        }
    }
    sim.join().await;
    sim.network.set_weather(Weather::default());
    sim.network.end_all(Fate::Reset);
    for channel in channels {
        must_work(&sim.ledger, &channel).await;
    }
}

#[test]
fn lost_connections_are_told_truly() {
    seeds("lost_connections_are_told_truly", 150, breaks);
}

#[test]
fn runs_are_repeatable() {
    replay(9, breaks);
}
