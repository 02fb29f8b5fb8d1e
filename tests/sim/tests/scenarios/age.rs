//! Connections that get too old.

use std::time::Duration;

use spanwire::Code;
use spanwire_sim::{Plan, Sim, call, ms, replay, seeds};
use tokio::time::Instant;

use super::{code, must_work};

const AGE: Duration = Duration::from_secs(1);

/// Connections are replaced every second; calls never notice.
async fn without_grace(sim: &mut Sim) {
    sim.serve(sim.server().max_connection_age(AGE, None));
    for client in 0..3 {
        let channel = sim.channel(&format!("client-{client}")).build().unwrap();
        let (ledger, mut random) = (sim.ledger.clone(), sim.random.fork());
        sim.spawn(async move {
            let start = Instant::now();
            while start.elapsed() < 4 * AGE {
                let plan = Plan::any(&mut random, 10_000, 50);
                let result = call(&ledger, &channel, &plan).await;
                assert!(result.is_ok(), "{result:?} for {plan:?}");
            }
        });
    }
    sim.join().await;
    assert!((9..=30).contains(&sim.network.made()), "{}", sim.network.made());
}

/// Calls that do not end in time are ended; the next ones work.
async fn with_grace(sim: &mut Sim) {
    let grace = sim.random.ms(0..=300);
    sim.serve(sim.server().max_connection_age(AGE, Some(grace)));
    for client in 0..3 {
        let channel = sim.channel(&format!("client-{client}")).build().unwrap();
        let (ledger, mut random) = (sim.ledger.clone(), sim.random.fork());
        sim.spawn(async move {
            for _ in 0..4 {
                let plan = Plan { work: random.ms(0..=1500), ..Plan::any(&mut random, 1000, 0) };
                let start = Instant::now();
                let result = call(&ledger, &channel, &plan).await;
                assert!([Code::Ok, Code::Unavailable].contains(&code(&result)), "{result:?} for {plan:?}");
                // At most the rest of one connection's life, and all of the next's if the call was moved.
                let most = 2 * (AGE.mul_f64(1.1) + grace) + ms(100);
                assert!(start.elapsed() <= most, "{:?} for {plan:?}", start.elapsed());
            }
            must_work(&ledger, &channel).await;
        });
    }
    sim.join().await;
}

#[test]
fn age_without_grace_ends_no_call() {
    seeds("age_without_grace_ends_no_call", 30, without_grace);
}

#[test]
fn age_with_grace_ends_long_calls() {
    seeds("age_with_grace_ends_long_calls", 50, with_grace);
}

#[test]
fn runs_are_repeatable() {
    replay(3, without_grace);
    replay(3, with_grace);
}
