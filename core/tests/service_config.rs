//! Service configs that come from the resolver, and change while a channel is in use.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use spanwire::{Channel, ChannelBuilder, Code, Connectivity, Raw, Status};
use support::who::{Names, WHO, evenly, spread, start, who};

const SECOND: Duration = Duration::from_secs(1);

/// Forbids requests of more than so many bytes, by which it shows that it is in force.
fn limit(bytes: usize) -> String {
    format!(r#"{{"methodConfig": [{{"name": [{{}}], "maxRequestMessageBytes": {bytes}}}]}}"#)
}

/// Where it is wrong: the number of attempts.
const WRONG: &str = r#"{"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 1, "initialBackoff": "1s",
    "maxBackoff": "1s", "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]}}]}"#;

const ROUND_ROBIN: &str = r#"{"loadBalancingConfig": [{"round_robin": {}}]}"#;

/// A channel whose names hold for a second.
fn builder(names: &Names) -> ChannelBuilder {
    names.channel_with_ttl(Some(SECOND))
}

/// The largest request that may be sent, of up to 9 bytes.
async fn largest(channel: &Channel) -> usize {
    let mut largest = 0;
    for bytes in 1..10 {
        let call = channel.unary::<_, Raw>(&WHO, Raw::from(vec![b'x'; bytes]));
        match call.await {
            Ok(_) => largest = bytes,
            Err(status) => assert_eq!(status.code(), Code::ResourceExhausted, "{status}"),
        }
    }
    largest
}

/// Time for the next resolution.
async fn until_resolved_again(names: &Names) {
    let asked = names.asked();
    while names.asked() == asked {
        tokio::time::sleep(SECOND).await;
    }
    tokio::time::sleep(SECOND / 2).await;
}

#[tokio::test(start_paused = true)]
async fn resolvers_config_counts_instead_of_the_programs_while_there_is_one() {
    let names = Names::default();
    names.set(&["cfg-a"]);
    names.configure(Some(&limit(3)));
    let _server = start("cfg-a").await;
    let channel = builder(&names).service_config(limit(5)).build().unwrap();
    // The first call begins before the name is resolved, and waits for what holds for it.
    let request = Raw::from(&b"four"[..]);
    let status = channel.unary::<_, Raw>(&WHO, request).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert_eq!(largest(&channel).await, 3);
    names.configure(Some(&limit(4)));
    until_resolved_again(&names).await;
    assert_eq!(largest(&channel).await, 4);
    names.configure(None);
    until_resolved_again(&names).await;
    assert_eq!(largest(&channel).await, 5);
}

#[tokio::test(start_paused = true)]
async fn bad_config_leaves_the_last_good_one() {
    let names = Names::default();
    names.set(&["bad-a"]);
    names.configure(Some(&limit(3)));
    let _server = start("bad-a").await;
    let channel = builder(&names).build().unwrap();
    who(&channel).await.unwrap();
    for bad in [WRONG, "{", WRONG] {
        names.configure(Some(bad));
        until_resolved_again(&names).await;
        assert_eq!((largest(&channel).await, channel.connectivity()), (3, Connectivity::Ready), "{bad}");
    }
    names.configure(Some(&limit(6)));
    until_resolved_again(&names).await;
    assert_eq!(largest(&channel).await, 6);
}

#[tokio::test(start_paused = true)]
async fn bad_config_of_the_beginning_fails_calls_until_there_is_a_good_one() {
    for (good, due) in [(Some(limit(3)), 3), (None, 5)] {
        let names = Names::default();
        names.set(&["first-a"]);
        names.configure(Some(WRONG));
        let server = start("first-a").await;
        let channel = builder(&names).service_config(limit(5)).build().unwrap();
        let status = who(&channel).await.unwrap_err();
        assert_eq!(
            (status.code(), channel.connectivity()),
            (Code::Unavailable, Connectivity::TransientFailure)
        );
        let place = "service_config: methodConfig[0].retryPolicy.maxAttempts: must be a whole number above 1";
        assert!(status.message().contains(place), "{status}");
        let waiting = channel.unary::<_, Raw>(&WHO, Raw::default()).wait_for_ready(true);
        let waiting = tokio::spawn(async move { waiting.await });
        tokio::time::sleep(5 * SECOND).await;
        assert!(!waiting.is_finished());
        names.configure(good.as_deref());
        waiting.await.unwrap().unwrap();
        assert_eq!(largest(&channel).await, due);
        server.shutdown(Duration::ZERO).await;
    }
}

/// Calls in turn until it is told to stop; how many failed.
fn keep_calling(channel: &Channel) -> (Arc<AtomicBool>, tokio::task::JoinHandle<(usize, Vec<Status>)>) {
    let stop = Arc::new(AtomicBool::new(false));
    let (stopped, channel) = (stop.clone(), channel.clone());
    let calls = AtomicUsize::new(0);
    let task = tokio::spawn(async move {
        let mut failed = Vec::new();
        while !stopped.load(Ordering::SeqCst) {
            failed.extend(who(&channel).await.err());
            calls.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        (calls.into_inner(), failed)
    });
    (stop, task)
}

#[tokio::test(start_paused = true)]
async fn policy_changes_without_a_lost_call() {
    let names = Names::default();
    names.set(&["swap-a", "swap-b"]);
    let _servers = [start("swap-a").await, start("swap-b").await];
    let channel = builder(&names).build().unwrap();
    assert_eq!(spread(&channel, 10).await, evenly(&["swap-a"], 10));
    let (stop, calls) = keep_calling(&channel);
    for _ in 0..5 {
        names.configure(Some(ROUND_ROBIN));
        until_resolved_again(&names).await;
        let found = spread(&channel, 1000).await;
        assert!(found.values().all(|calls| (450..550).contains(calls)) && found.len() == 2, "{found:?}");
        names.configure(None);
        until_resolved_again(&names).await;
        assert_eq!(spread(&channel, 10).await, evenly(&["swap-a"], 10));
    }
    stop.store(true, Ordering::SeqCst);
    let (calls, failed) = calls.await.unwrap();
    assert!(calls > 5000 && failed.is_empty(), "{calls} calls, {failed:?}");
}

#[tokio::test(start_paused = true)]
async fn next_policy_that_cannot_connect_leaves_the_one_in_use() {
    let names = Names::default();
    names.set(&["stay-a"]);
    let server = start("stay-a").await;
    let channel = builder(&names).build().unwrap();
    who(&channel).await.unwrap();
    // The server takes no more connections, and answers on those that there are.
    let (stop, calls) = keep_calling(&channel);
    names.set(&["stay-a", "stay-nobody"]);
    names.configure(Some(ROUND_ROBIN));
    until_resolved_again(&names).await;
    assert_eq!(spread(&channel, 10).await, evenly(&["stay-a"], 10));
    stop.store(true, Ordering::SeqCst);
    assert!(calls.await.unwrap().1.is_empty());
    server.shutdown(SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn programs_own_policy_goes_before_the_resolvers() {
    let names = Names::default();
    names.set(&["own-a", "own-b"]);
    names.configure(Some(r#"{"loadBalancingConfig": [{"pick_first": {}}]}"#));
    let _servers = [start("own-a").await, start("own-b").await];
    let channel = builder(&names).load_balancing(spanwire::LoadBalancing::RoundRobin).build().unwrap();
    who(&channel).await.unwrap();
    tokio::time::sleep(SECOND / 2).await;
    assert_eq!(spread(&channel, 10).await, evenly(&["own-a", "own-b"], 5));
}

#[tokio::test(start_paused = true)]
async fn tokens_for_retries_last_while_the_config_says_the_same_of_them() {
    let policy = r#""methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 2, "initialBackoff": "0.01s",
        "maxBackoff": "0.01s", "backoffMultiplier": 1, "retryableStatusCodes": ["UNIMPLEMENTED"]}}]"#;
    let throttled = |ratio: f64, more: &str| {
        format!(r#"{{{policy}, "retryThrottling": {{"maxTokens": 2, "tokenRatio": {ratio}}}{more}}}"#)
    };
    let names = Names::default();
    names.set(&["tok-a"]);
    names.configure(Some(&throttled(0.001, "")));
    let _server = start("tok-a").await;
    let channel = builder(&names).build().unwrap();
    who(&channel).await.unwrap();
    let missing = spanwire::Method::new("/test.Who/Missing", spanwire::Kind::Unary);
    let attempts = async || {
        let call = channel.unary::<_, Raw>(&missing, Raw::default());
        call.await.unwrap_err().attempts()
    };
    assert_eq!(attempts().await, 1, "the first failure leaves half of two tokens");
    names.configure(Some(&throttled(0.001, r#", "unknown": 1"#)));
    until_resolved_again(&names).await;
    assert_eq!(attempts().await, 1, "another text, and the same tokens");
    names.configure(Some(&format!("{{{policy}}}")));
    until_resolved_again(&names).await;
    assert_eq!(attempts().await, 2, "none are wanted any more");
}
