//! Calls that are given up, by anyone, at any moment of their lives. Nothing of them may be left.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use spanwire::{Code, Kind};
use spanwire_sim::{Plan, Sim, Weather, call, ms, replay, seeds};
use tokio::time::Instant;

use super::code;

const STREAMS: u32 = 8;

/// Drops `future` at its `polls`th poll, if it is not done by then.
async fn for_so_many_polls<T>(polls: u64, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut polled = 0;
    poll_fn(|cx| {
        if polled == polls {
            return Poll::Ready(None);
        }
        polled += 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            // The last poll is not waited for: that would be a moment of the engine's choice.
            Poll::Pending if polled == polls => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

async fn cancels(sim: &mut Sim) {
    sim.network.set_weather(Weather {
        capacity: 10_000..=200_000,
        piece: 1000..=100_000,
        ..Weather::default()
    });
    sim.serve(sim.server().max_concurrent_streams(STREAMS));
    let channel = sim.channel("client").build().unwrap();
    for _ in 0..30 {
        let (ledger, channel, mut random) = (sim.ledger.clone(), channel.clone(), sim.random.fork());
        sim.spawn(async move {
            tokio::time::sleep(random.ms(0..=50)).await;
            let mut plan = Plan::any(&mut random, 100_000, 20);
            match random.within(0..=4) {
                0 => assert!(call(&ledger, &channel, &plan).await.is_ok()),
                1 => {
                    for_so_many_polls(random.within(0..=15), call(&ledger, &channel, &plan)).await;
                }
                2 => {
                    let _ = tokio::time::timeout(random.ms(0..=80), call(&ledger, &channel, &plan)).await;
                }
                3 => {
                    let timeout = random.ms(0..=80);
                    // A client that is busy with itself cannot be told.
                    (plan.timeout, plan.idle) = (Some(timeout), Duration::ZERO);
                    let start = Instant::now();
                    let result = call(&ledger, &channel, &plan).await;
                    assert!([Code::Ok, Code::DeadlineExceeded].contains(&code(&result)), "{result:?}");
                    assert!(start.elapsed() <= timeout + ms(100), "{:?}", start.elapsed());
                }
                _ => {
                    plan.quits_after = Some(random.within(0..=6) as u32);
                    let result = call(&ledger, &channel, &plan).await;
                    // A sender may hear of the end before the reader has read why.
                    let codes = [Code::Ok, Code::FailedPrecondition];
                    assert!(codes.contains(&code(&result)), "{result:?} for {plan:?}");
                }
            }
        });
    }
    sim.join().await;
    tokio::time::sleep(ms(500)).await;
    assert_eq!(sim.ledger.running(), 0, "a handler was not told");

    // All places are free again, on both sides.
    let before = sim.ledger.calls();
    for _ in 0..=STREAMS {
        let (ledger, channel) = (sim.ledger.clone(), channel.clone());
        let plan =
            Plan { work: Duration::from_secs(2), timeout: Some(Duration::from_secs(8)), ..Plan::default() };
        sim.spawn(async move { call(&ledger, &channel, &plan).await.unwrap() });
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(sim.ledger.calls() - before, STREAMS as usize + 1);
    assert_eq!(sim.ledger.running(), STREAMS as usize, "a place was lost, or won");
    sim.join().await;
    // And so are the windows.
    for kind in [Kind::ServerStreaming, Kind::ClientStreaming] {
        let timeout = Some(Duration::from_secs(600));
        let plan = Plan { kind, requests: 12, replies: 12, size: 50_000, timeout, ..Plan::default() };
        call(&sim.ledger, &channel, &plan).await.unwrap();
    }
    assert_eq!(sim.network.made(), 1, "a connection was lost");
}

#[test]
fn nothing_is_left_of_cancelled_calls() {
    seeds("nothing_is_left_of_cancelled_calls", 150, cancels);
}

#[test]
fn runs_are_repeatable() {
    replay(5, cancels);
}
