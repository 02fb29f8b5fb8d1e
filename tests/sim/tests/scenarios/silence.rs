//! Peers that are gone without a word: keepalive finds out.

use std::time::Duration;

use spanwire::{Code, Keepalive, Kind};
use spanwire_sim::{Fate, Plan, Sim, call, ms, replay, seeds};
use tokio::time::Instant;

use super::{code, must_work};

async fn silence(sim: &mut Sim) {
    let seconds = Duration::from_secs;
    let client = Keepalive { timeout: seconds(sim.random.within(1..=20)), ..Keepalive::new(seconds(10)) };
    let server = Keepalive { timeout: seconds(sim.random.within(1..=20)), ..Keepalive::new(seconds(15)) };
    // Some more: a timer rings late rather than early, and the answers to the last pings are on their way.
    let slack = ms(200);
    let client_knows = client.interval + client.timeout + slack;
    let server_knows = server.interval + server.timeout + slack;
    sim.serve(sim.server().keepalive(Some(server)).keepalive_enforcement(seconds(5), true));
    let channel = sim.channel("client").keepalive(client).build().unwrap();
    must_work(&sim.ledger, &channel).await;

    let dark = Instant::now() + sim.random.ms(0..=40_000);
    let fate = sim.random.pick(&[Fate::Dark, Fate::ClientUnheard, Fate::ServerUnheard]);
    // With one direction left, the end that hears learns it from the other one, which gives up in its own time.
    let knows = if fate == Fate::Dark { client_knows } else { client_knows.max(server_knows) + slack };
    for _ in 0..6 {
        let (ledger, channel, mut random) = (sim.ledger.clone(), channel.clone(), sim.random.fork());
        sim.spawn(async move {
            let start = Instant::now();
            tokio::time::sleep(random.ms(0..=40_000)).await;
            let begun = Instant::now();
            let kind = random.pick(&[Kind::Unary, Kind::ServerStreaming, Kind::ClientStreaming, Kind::Bidi]);
            // Never ends by itself, and says little meanwhile.
            let plan = Plan { kind, requests: 100, replies: 100, work: ms(150_000), ..Plan::default() };
            let result = tokio::time::timeout(ms(140_000), call(&ledger, &channel, &plan)).await;
            let Ok(result) = result else {
                // It began after the connection was replaced.
                assert!(begun > dark, "a call from {:?} does not notice", begun - start);
                return;
            };
            assert_eq!(code(&result), Code::Unavailable, "{result:?}");
            let late = begun.max(dark).elapsed();
            assert!(late <= knows, "{late:?} instead of {knows:?}");
        });
    }
    tokio::time::sleep_until(dark).await;
    let before = sim.ledger.running();
    sim.network.end_all(fate);
    let made = sim.network.made();
    tokio::time::sleep(client_knows.max(server_knows) + slack).await;
    if before > 0 {
        assert!(sim.ledger.unstarted() <= 6);
    }
    must_work(&sim.ledger, &channel).await;
    sim.join().await;
    assert!(sim.network.made() > made, "the dead connection is still used");
    must_work(&sim.ledger, &channel).await;
}

#[test]
fn keepalive_ends_silence() {
    seeds("keepalive_ends_silence", 100, silence);
}

#[test]
fn runs_are_repeatable() {
    replay(4, silence);
}
