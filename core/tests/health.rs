//! Client-side health checking (gRFC A17), in virtual time, over connections inside of the process.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use spanwire::{Channel, ChannelBuilder, Code, Connectivity, Server, Status};
use support::eventually;
use support::health::{END, Health, NOT_SERVING, SERVICE_UNKNOWN, SERVING, UNKNOWN};
use support::who::{Names, Who, evenly, spread, start, who};

const SECOND: Duration = Duration::from_secs(1);

fn config(policy: &str) -> String {
    format!(
        r#"{{"loadBalancingConfig": [{{"{policy}": {{}}}}], "healthCheckConfig": {{"serviceName": "test.Who"}}}}"#
    )
}

fn checked(names: &[&str], policy: &str) -> ChannelBuilder {
    let known = Names::default();
    known.set(names);
    known.channel().service_config(config(policy))
}

#[tokio::test(start_paused = true)]
async fn server_gets_calls_only_while_it_says_that_it_serves() {
    let (first, second) = (Health::new(SERVING), Health::new(NOT_SERVING));
    let _servers = [first.start("health-a").await, second.start("health-b").await];
    let channel = checked(&["health-a", "health-b"], "round_robin").build().unwrap();
    who(&channel).await.unwrap();
    tokio::time::sleep(SECOND).await;
    assert_eq!(spread(&channel, 10).await, evenly(&["health-a"], 10));
    second.set(SERVING);
    tokio::time::sleep(SECOND).await;
    assert_eq!(spread(&channel, 10).await, evenly(&["health-a", "health-b"], 5));
    for status in [NOT_SERVING, SERVICE_UNKNOWN, UNKNOWN] {
        first.set(status);
        tokio::time::sleep(SECOND).await;
        assert_eq!(spread(&channel, 10).await, evenly(&["health-b"], 10));
    }
    let asked = first.asked.lock().unwrap().clone();
    assert_eq!((asked.len(), asked[0].service.as_str(), &asked[0].token), (1, "test.Who", &None));
    assert_eq!(channel.stats().total_connections, 2, "no connection was lost");
    assert_eq!(channel.stats().calls, 0, "streams of our own are no calls");
}

#[tokio::test(start_paused = true)]
async fn calls_wait_for_the_first_word_and_fail_with_what_it_says() {
    let health = Health::new(NOT_SERVING);
    let _server = health.start("health-word").await;
    let channel = checked(&["health-word"], "ring_hash").build().unwrap();
    let failed = who(&channel).await.unwrap_err();
    let text = "health check of inprocess:health-word: the server says NOT_SERVING";
    assert_eq!((failed.code(), failed.message()), (Code::Unavailable, text));
    assert_eq!(channel.connectivity(), Connectivity::TransientFailure);
    health.set(SERVING);
    tokio::time::sleep(SECOND).await;
    assert_eq!(who(&channel).await.unwrap(), "health-word");
}

#[tokio::test(start_paused = true)]
async fn server_without_a_health_service_counts_as_healthy() {
    let _server = start("health-none").await;
    let channel = checked(&["health-none"], "round_robin").build().unwrap();
    assert_eq!(who(&channel).await.unwrap(), "health-none");
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(channel.connectivity(), Connectivity::Ready);
}

#[tokio::test(start_paused = true)]
async fn stream_that_fails_is_opened_again_with_pauses_that_grow() {
    let health = Health::new(SERVING);
    health.endings.lock().unwrap().extend((0..3).map(|_| Status::internal("broken")));
    let _server = health.start("health-again").await;
    let channel = checked(&["health-again"], "round_robin").build().unwrap();
    let failed = who(&channel).await.unwrap_err();
    assert_eq!(failed.message(), "health check of inprocess:health-again: INTERNAL: broken");
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(who(&channel).await.unwrap(), "health-again");
    let gaps = health.gaps();
    for (gap, pause) in gaps.iter().zip([1000, 1600, 2560]) {
        assert!((pause * 8 / 10..=pause * 12 / 10 + 1).contains(gap), "{gaps:?}");
    }
    assert_eq!(gaps.len(), 3);
    // A stream that brought something is opened again at once.
    health.asked.lock().unwrap().clear();
    let began = tokio::time::Instant::now();
    health.endings.lock().unwrap().push_back(Status::internal("broken"));
    health.set(END);
    health.set(SERVING);
    health.set(END);
    tokio::task::yield_now().await;
    health.set(SERVING);
    tokio::time::sleep(3 * SECOND).await;
    let asked = health.asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 2);
    assert!(asked[0].at - began < SECOND / 100, "{asked:?}");
    assert!(asked[1].at - began >= SECOND * 8 / 10, "{asked:?}");
    assert_eq!(who(&channel).await.unwrap(), "health-again");
}

#[tokio::test(start_paused = true)]
async fn pick_first_and_channels_that_do_not_want_it_ask_nothing() {
    let health = Health::new(NOT_SERVING);
    let _server = health.start("health-off").await;
    let first = checked(&["health-off"], "pick_first").build().unwrap();
    let off = checked(&["health-off"], "round_robin").health_checks(false).build().unwrap();
    for channel in [first, off] {
        assert_eq!(who(&channel).await.unwrap(), "health-off");
    }
    assert!(health.asked.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn streams_keep_no_channel_and_no_connection_from_ending() {
    let health = Health::new(SERVING);
    let server = health.start("health-idle").await;
    let channel = Channel::builder("inprocess:health-idle").service_config(config("round_robin"));
    let channel = channel.idle_timeout(60 * SECOND).bearer_token("secret").build().unwrap();
    who(&channel).await.unwrap();
    assert_eq!(health.open(), 1);
    assert_eq!(health.asked.lock().unwrap()[0].token.as_deref(), Some("Bearer secret"));
    tokio::time::sleep(150 * SECOND).await;
    assert_eq!((channel.connectivity(), health.open()), (Connectivity::Idle, 0));
    who(&channel).await.unwrap();
    assert_eq!(health.open(), 1);
    server.shutdown(SECOND).await;
    eventually("the server has ended", || health.open() == 0).await;
    let _server = health.start("health-idle").await;
    tokio::time::sleep(3 * SECOND).await;
    who(&channel).await.unwrap();
    assert_eq!(health.open(), 1);
    drop(channel);
    eventually("the stream ends with the channel", || health.open() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn clients_follow_the_health_service_of_our_servers() {
    let health = spanwire::Health::new();
    let builder = Server::builder().service(Who("health-ours")).health(&health).drain_delay(10 * SECOND);
    let server = builder.bind("inprocess:health-ours").await.unwrap();
    let handle = server.handle();
    tokio::spawn(server.run());
    let _other = start("health-other").await;
    let channel = checked(&["health-ours", "health-other"], "round_robin").build().unwrap();
    let settled = async |expected: &[&str]| {
        tokio::time::sleep(SECOND).await;
        assert_eq!(spread(&channel, 10).await, evenly(expected, 10 / expected.len()));
    };
    who(&channel).await.unwrap();
    // Not known yet.
    settled(&["health-other"]).await;
    health.set("test.Who", true);
    settled(&["health-ours", "health-other"]).await;
    health.set("test.Who", false);
    settled(&["health-other"]).await;
    health.set("test.Who", true);
    settled(&["health-ours", "health-other"]).await;
    // The delay is for this: nobody calls any more when it drains.
    let shutdown = tokio::spawn(async move { handle.shutdown(60 * SECOND).await });
    settled(&["health-other"]).await;
    assert!(!shutdown.is_finished());
    shutdown.await.unwrap();
}
