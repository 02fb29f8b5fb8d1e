//! Servers that are away for a while: the pauses between attempts, and no herd.

use std::collections::BTreeMap;
use std::time::Duration;

use spanwire::Code;
use spanwire_sim::{Fate, Plan, Sim, call, replay, seeds};

use super::{code, must_work};

/// The starts of attempts are 1 s × 1.6 each apart, ±20 %, and never more than 120 s.
async fn pauses(sim: &mut Sim) {
    let channel = sim.channel("client").build().unwrap();
    for _ in 0..1000 {
        let result = call(&sim.ledger, &channel, &Plan::default()).await;
        assert_eq!(code(&result), Code::Unavailable);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let attempts: Vec<_> = sim.network.attempts().into_iter().map(|(_, at)| at as f64 / 1e6).collect();
    let mut pause = 1.0_f64;
    for pair in attempts.windows(2) {
        let gap = pair[1] - pair[0];
        // The next attempt begins with the first call after the pause, which is up to a second later.
        assert!((0.8 * pause..=1.2 * pause + 1.01).contains(&gap), "{gap} instead of {pause}: {attempts:?}");
        pause = (pause * 1.6).min(120.0);
    }
    assert!(attempts.len() > 14);
    sim.serve(sim.server());
    must_work(&sim.ledger, &channel).await;
    // Success begins anew.
    sim.network.end_all(Fate::Reset);
    must_work(&sim.ledger, &channel).await;
}

/// Two hundred clients lose their server together. They do not come back together.
async fn herd(sim: &mut Sim) {
    let server = sim.serve(sim.server());
    for client in 0..200 {
        let channel = sim.channel(&format!("client-{client}")).build().unwrap();
        let ledger = sim.ledger.clone();
        sim.spawn(async move {
            must_work(&ledger, &channel).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            must_work(&ledger, &channel).await;
        });
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    server.shutdown(Duration::ZERO).await;
    let down = sim.trace.now();
    tokio::time::sleep(Duration::from_secs(30)).await;
    sim.serve(sim.server());
    sim.join().await;
    let mut windows: BTreeMap<u64, u32> = BTreeMap::new();
    let mut each: BTreeMap<String, u32> = BTreeMap::new();
    for (client, at) in sim.network.attempts().into_iter().filter(|(_, at)| *at > down) {
        *windows.entry((at - down) / 100_000).or_default() += 1;
        *each.entry(client).or_default() += 1;
    }
    assert_eq!(each.len(), 200);
    assert!(each.values().all(|attempts| (6..=10).contains(attempts)), "{each:?}");
    // The first attempts come with the calls; from then on every pause takes the clients further apart.
    let after = |second: u64| windows.range(second * 10..).map(|(_, attempts)| *attempts).max().unwrap_or(0);
    assert!(after(1) <= 80 && after(2) <= 60 && after(6) <= 30, "{windows:?}");
}

#[test]
fn pauses_grow() {
    seeds("pauses_grow", 30, pauses);
}

#[test]
fn there_is_no_herd() {
    seeds("there_is_no_herd", 5, herd);
}

#[test]
fn runs_are_repeatable() {
    replay(8, pauses);
    replay(8, herd);
}
