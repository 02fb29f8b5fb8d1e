//! Servers that go: GOAWAY meets calls at every moment of their lives.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use spanwire::{Code, Kind};
use spanwire_sim::{Fate, Outcome, Plan, Sim, call, ms, replay, seeds};
use tokio::time::Instant;

use super::code;

/// Ten clients call without a pause while the server is replaced again and again. No call notices.
async fn restarts(sim: &mut Sim, times: u32) {
    let over = Arc::new(AtomicBool::new(false));
    let mut server = sim.serve(sim.server());
    for client in 0..10 {
        let channel = sim.channel(&format!("client-{client}")).build().unwrap();
        let (ledger, mut random, over) = (sim.ledger.clone(), sim.random.fork(), over.clone());
        sim.spawn(async move {
            while !over.load(Ordering::Relaxed) {
                let plan = Plan::any(&mut random, 10_000, 20);
                let result = call(&ledger, &channel, &plan).await;
                assert!(result.is_ok(), "{result:?} for {plan:?}");
                tokio::time::sleep(random.ms(0..=10)).await;
            }
        });
    }
    for _ in 0..times {
        tokio::time::sleep(sim.random.ms(0..=60)).await;
        let next = sim.serve(sim.server());
        let old = std::mem::replace(&mut server, next);
        sim.spawn(async move { old.shutdown(Duration::from_secs(60)).await });
    }
    tokio::time::sleep(ms(20)).await;
    over.store(true, Ordering::Relaxed);
    sim.join().await;
    assert_eq!(sim.ledger.count(|outcome| matches!(outcome, Outcome::Ok)), sim.ledger.calls());
    assert!(sim.ledger.calls() >= 10);
}

/// A server ends in time, whatever its clients do or do not.
async fn stuck(sim: &mut Sim) {
    let server = sim.serve(sim.server().stall_timeout(None));
    for client in 0..5 {
        let channel = sim.channel(&format!("client-{client}")).build().unwrap();
        let (ledger, mut random) = (sim.ledger.clone(), sim.random.fork());
        sim.spawn(async move {
            let plan = Plan {
                // Some never read, some are busy in the handler, some never say that they are done.
                idle: random.pick(&[Duration::ZERO, Duration::from_secs(20)]),
                work: random.pick(&[Duration::ZERO, Duration::from_secs(100)]),
                kind: random.pick(&[Kind::Unary, Kind::ServerStreaming, Kind::ClientStreaming, Kind::Bidi]),
                requests: 30,
                replies: 30,
                size: random.size(50_000) as u32,
                ..Plan::default()
            };
            let result = call(&ledger, &channel, &plan).await;
            // CANCELLED is for a sender whose call has ended under it.
            assert!([Code::Ok, Code::Unavailable, Code::Cancelled].contains(&code(&result)), "{result:?}");
        });
    }
    tokio::time::sleep(sim.random.ms(0..=200)).await;
    if sim.random.percent(50) {
        sim.network.end_all(sim.random.pick(&[Fate::Dark, Fate::ClientUnheard, Fate::ServerUnheard]));
    }
    let grace = sim.random.ms(0..=5000);
    let start = Instant::now();
    server.shutdown(grace).await;
    assert!(start.elapsed() <= grace + ms(500), "{:?} instead of {grace:?}", start.elapsed());
    assert_eq!(sim.ledger.running(), 0);
    // What is left are clients that nobody tells: their side of the dark.
    sim.network.end_all(Fate::Reset);
    sim.join().await;
}

#[test]
fn many_restarts_lose_no_call() {
    seeds("many_restarts_lose_no_call", 30, async |sim| restarts(sim, 20).await);
}

#[test]
fn restarts_lose_no_call() {
    seeds("drain::restarts_lose_no_call", 150, async |sim| restarts(sim, 3).await);
}

#[test]
fn stuck_clients_do_not_hold_a_server_up() {
    seeds("stuck_clients_do_not_hold_a_server_up", 60, stuck);
}

#[test]
fn runs_are_repeatable() {
    replay(7, async |sim| restarts(sim, 5).await);
    replay(7, stuck);
}
