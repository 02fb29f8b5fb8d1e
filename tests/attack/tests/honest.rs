//! Honest traffic that looks like an attack from afar: no guard may stop it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use futures_util::future::{join_all, poll_immediate};
use spanwire::{Keepalive, Raw, Server, ServerBuilder};
use spanwire_attack::honest::{self, FATES_LIMIT, WAIT, channel, connection, echo, fates, raw};
use spanwire_attack::process::{Program, THIS_THREAD, TargetProcess, scheduled};
use spanwire_attack::target::Target;

/// A server in this process, and where it listens.
async fn serve(address: &str, change: impl FnOnce(ServerBuilder) -> ServerBuilder) -> String {
    let server = change(Server::builder().service(Target)).bind(address).await.unwrap();
    let target = server.target();
    tokio::spawn(server.run());
    target
}

async fn tcp() -> String {
    serve("127.0.0.1:0", |server| server).await
}

// Hazards F1
#[tokio::test(start_paused = true)]
async fn many_small_messages_wait_for_a_reader_that_pauses() {
    honest::small_messages(&serve("inprocess:honest-f1", |server| server).await).await;
}

// Hazards F2
#[tokio::test]
async fn five_thousand_calls_with_deadlines_of_milliseconds_leave_the_connection_alone() {
    honest::short_deadlines(&tcp().await).await;
}

// Hazards F3
#[tokio::test]
async fn two_hundred_calls_cancelled_at_once_leave_the_connection_alone() {
    honest::cancelled_at_once(&tcp().await).await;
}

// Hazards F4
#[tokio::test(start_paused = true)]
async fn keepalive_at_exactly_the_permitted_rate_is_no_offence() {
    let (rate, ten_minutes) = (Duration::from_secs(10), Duration::from_secs(600));
    let target = serve("inprocess:honest-f4", |server| server.keepalive_enforcement(rate, true)).await;
    let mut keepalive = Keepalive::new(rate);
    keepalive.permit_without_calls = true;
    let channel = channel(&target, |channel| channel.keepalive(keepalive));
    // A stream that has nothing to say for ten minutes; its end tells how the connection fared.
    let mut idle = channel.unary::<Raw, Raw>(&WAIT, raw("")).into_future();
    assert!(poll_immediate(&mut idle).await.is_none());
    let ended = tokio::time::timeout(ten_minutes, &mut idle).await;
    assert!(ended.is_err(), "with a call: {ended:?}");
    drop(idle);
    tokio::time::sleep(ten_minutes).await;
    assert_eq!(channel.connectivity(), spanwire::Connectivity::Ready, "and without one");
    assert_eq!(echo(&channel, b"hi").await.unwrap(), raw("hi"));
}

// Hazards F4
#[tokio::test]
async fn a_ping_after_every_answer_is_no_offence() {
    honest::ping_after_answer(&tcp().await).await;
}

// Hazards F5
#[tokio::test]
async fn a_hundred_fields_of_metadata_pass() {
    honest::hundred_fields(&tcp().await).await;
}

#[tokio::test]
async fn answers_reset_by_their_client_make_room_for_more() {
    honest::answers_reset(&tcp().await).await;
}

/// Streams that [`streams_of_every_fate_cost_the_same_for_ever`] opens; a million takes minutes.
fn streams() -> usize {
    std::env::var("SPANWIRE_HONEST_STREAMS").map_or(60_000, |streams| streams.parse().unwrap())
}

// Hazards F6
#[tokio::test]
async fn streams_of_every_fate_cost_the_same_for_ever() {
    const SLICES: usize = 20;
    let program = Program::from(env!("CARGO_BIN_EXE_spanwire-attack-server"));
    let mut server = TargetProcess::start(&program, &[FATES_LIMIT.to_owned()]);
    let channel = channel(&server.address().to_string(), |channel| channel);
    let before = connection(&channel).await;
    let schedule = server.schedule();
    let cpu = || scheduled(&schedule).ran + scheduled(THIS_THREAD).ran;

    let slice = async || {
        let began = cpu();
        let share = streams() / SLICES / 30;
        join_all((0..30).map(|_| fates(&channel, share))).await;
        (cpu() - began).as_secs_f64()
    };

    let (mut costs, mut memory) = (Vec::new(), Vec::new());
    for _ in 0..SLICES / 5 {
        costs.push(slice().await);
        memory.push(server.memory().held);
    }
    costs.sort_by(f64::total_cmp);
    let first = costs[costs.len() / 2];
    // A slice that a busy machine makes dear is followed by a cheap one; what leaks stays lost. Hence a few more tries.
    while costs.len() < SLICES || (costs.len() < 2 * SLICES && 0.9 * costs[costs.len() - 1] > first) {
        costs.push(slice().await);
        memory.push(server.memory().held);
    }
    assert_eq!(connection(&channel).await, before, "no call needed another connection");
    println!("{} streams: CPU of a slice {costs:.3?}, memory {memory:?}", streams());
    let last = costs[costs.len() - 1];
    assert!(0.9 * last <= first, "a slice costs {first:.3} s of CPU at first and {last:.3} s at last");
    let grown = memory[memory.len() - 1].saturating_sub(memory[SLICES / 4]);
    assert!(grown < 1 << 20, "memory grew by {grown} bytes: {memory:?}");
}

// Hazards F7
#[tokio::test]
async fn a_message_in_frames_of_one_byte_passes() {
    honest::frames_of_a_byte(&tcp().await).await;
}
