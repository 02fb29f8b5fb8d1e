//! Channels to services at several addresses, in virtual time, over connections inside of the process.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use spanwire::server::{Handler, Service};
use spanwire::{Channel, Code, Connectivity, LoadBalancing, Raw, Server, Status};
use support::eventually;
use support::who::{Names, WHO, evenly, spread, start, who};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn first_address_that_answers_carries_all_calls() {
    let names = Names::default();
    names.set(&["pf-none", "pf-a", "pf-b"]);
    let _servers = [start("pf-a").await, start("pf-b").await];
    let channel = names.channel().build().unwrap();
    assert_eq!((names.asked(), channel.connectivity()), (0, Connectivity::Idle), "nobody called");
    assert_eq!(spread(&channel, 10).await, evenly(&["pf-a"], 10));
    assert_eq!(names.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn lost_connection_leads_to_the_next_address() {
    let names = Names::default();
    names.set(&["next-a", "next-b"]);
    let (first, _second) = (start("next-a").await, start("next-b").await);
    let channel = names.channel().build().unwrap();
    assert_eq!(who(&channel).await.unwrap(), "next-a");
    first.shutdown(SECOND).await;
    eventually("the loss is noticed", || channel.connectivity() == Connectivity::Idle).await;
    assert_eq!(who(&channel).await.unwrap(), "next-b");
}

#[tokio::test(start_paused = true)]
async fn calls_take_turns_among_all_addresses() {
    let names = Names::default();
    names.set(&["rr-a", "rr-b", "rr-c"]);
    let _servers = [start("rr-a").await, start("rr-b").await, start("rr-c").await];
    let channel = names.channel().load_balancing(LoadBalancing::RoundRobin).build().unwrap();
    who(&channel).await.unwrap();
    tokio::time::sleep(SECOND).await;
    assert_eq!(spread(&channel, 30).await, evenly(&["rr-a", "rr-b", "rr-c"], 10));
}

#[tokio::test(start_paused = true)]
async fn lost_server_is_left_out_and_comes_back() {
    let names = Names::default();
    names.set(&["lost-a", "lost-b"]);
    let (_first, second) = (start("lost-a").await, start("lost-b").await);
    let channel = names.channel().load_balancing(LoadBalancing::RoundRobin).build().unwrap();
    who(&channel).await.unwrap();
    tokio::time::sleep(SECOND).await;
    second.shutdown(SECOND).await;
    assert_eq!(spread(&channel, 10).await, evenly(&["lost-a"], 10));
    let _second = start("lost-b").await;
    tokio::time::sleep(5 * SECOND).await;
    assert_eq!(spread(&channel, 10).await, evenly(&["lost-a", "lost-b"], 5));
}

#[tokio::test(start_paused = true)]
async fn added_server_is_found_when_the_name_is_old() {
    let names = Names::default();
    names.set(&["ttl-a"]);
    let _servers = [start("ttl-a").await, start("ttl-b").await];
    let channel = names.channel_with_ttl(Some(10 * SECOND)).load_balancing(LoadBalancing::RoundRobin);
    let channel = channel.build().unwrap();
    assert_eq!(spread(&channel, 4).await, evenly(&["ttl-a"], 4));
    names.set(&["ttl-a", "ttl-b"]);
    tokio::time::sleep(9 * SECOND).await;
    assert_eq!((spread(&channel, 4).await, names.asked()), (evenly(&["ttl-a"], 4), 1));
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!((spread(&channel, 4).await, names.asked()), (evenly(&["ttl-a", "ttl-b"], 2), 2));
    names.set(&["ttl-b"]);
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(spread(&channel, 4).await, evenly(&["ttl-b"], 4));
}

#[tokio::test(start_paused = true)]
async fn name_is_asked_for_again_after_a_loss_but_not_too_often() {
    let names = Names::default();
    names.set(&["again-a"]);
    let first = start("again-a").await;
    let channel = names.channel().build().unwrap();
    who(&channel).await.unwrap();
    names.set(&["again-b"]);
    let _second = start("again-b").await;
    first.shutdown(SECOND).await;
    let failed = who(&channel).await.unwrap_err();
    assert_eq!(failed.code(), Code::Unavailable);
    assert_eq!(names.asked(), 1, "it was asked for a moment ago");
    tokio::time::sleep(31 * SECOND).await;
    assert_eq!((who(&channel).await.unwrap(), names.asked()), ("again-b".to_owned(), 2));
}

#[tokio::test(start_paused = true)]
async fn change_of_the_network_asks_at_once() {
    let names = Names::default();
    names.set(&["net-a"]);
    let _servers = [start("net-a").await, start("net-b").await];
    let channel = names.channel().build().unwrap();
    channel.on_network_changed();
    assert_eq!(who(&channel).await.unwrap(), "net-a");
    names.set(&["net-b"]);
    channel.on_network_changed();
    tokio::time::sleep(SECOND).await;
    assert_eq!((who(&channel).await.unwrap(), names.asked()), ("net-b".to_owned(), 2));
}

#[tokio::test(start_paused = true)]
async fn name_that_is_not_resolved_fails_calls_until_it_is() {
    let names = Names::default();
    names.fail("no such name");
    let _server = start("late-a").await;
    let channel = names.channel().build().unwrap();
    let failed = who(&channel).await.unwrap_err();
    let text = "cannot connect to who.test: no such name";
    assert_eq!((failed.code(), failed.message()), (Code::Unavailable, text));
    names.set(&[]);
    tokio::time::sleep(2 * SECOND).await;
    let failed = who(&channel).await.unwrap_err();
    assert_eq!(failed.message(), "cannot connect to who.test: the name has no address");
    names.set(&["late-a"]);
    let waiting: Raw = channel.unary(&WHO, Raw::default()).wait_for_ready(true).await.unwrap();
    assert_eq!(waiting, Raw::from("late-a"));
}

#[tokio::test(start_paused = true)]
async fn resolver_that_fails_later_changes_nothing() {
    let names = Names::default();
    names.set(&["keep-a"]);
    let _server = start("keep-a").await;
    let channel = names.channel_with_ttl(Some(SECOND)).build().unwrap();
    who(&channel).await.unwrap();
    names.fail("gone");
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(who(&channel).await.unwrap(), "keep-a");
    assert!((5..20).contains(&names.asked()), "with pauses that grow: {}", names.asked());
}

#[tokio::test(start_paused = true)]
async fn unused_connections_are_dropped_and_made_again() {
    let names = Names::default();
    names.set(&["idle-a"]);
    let _server = start("idle-a").await;
    let channel = names.channel().idle_timeout(60 * SECOND).build().unwrap();
    for _ in 0..5 {
        who(&channel).await.unwrap();
        tokio::time::sleep(50 * SECOND).await;
        assert_eq!(channel.connectivity(), Connectivity::Ready, "it is in use");
    }
    tokio::time::sleep(120 * SECOND).await;
    assert_eq!((channel.connectivity(), names.asked()), (Connectivity::Idle, 1));
    assert_eq!(who(&channel).await.unwrap(), "idle-a");
    assert_eq!((channel.stats().total_connections, names.asked()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn connectivity_can_be_watched() {
    let names = Names::default();
    names.set(&["watch-a"]);
    let server = start("watch-a").await;
    let channel = names.channel().build().unwrap();
    channel.connect();
    let mut state = Connectivity::Idle;
    while state != Connectivity::Ready {
        state = channel.connectivity_changed(state).await;
        assert!(matches!(state, Connectivity::Connecting | Connectivity::Ready), "{state:?}");
    }
    server.shutdown(SECOND).await;
    assert_eq!(channel.connectivity_changed(Connectivity::Ready).await, Connectivity::Idle);
}

#[tokio::test(start_paused = true)]
async fn tokens_go_with_calls_that_have_none_of_their_own() {
    /// A server that answers with the token that came.
    struct Echo;
    impl Service for Echo {
        fn name(&self) -> &'static str {
            "test.Who"
        }

        fn methods(&self) -> Vec<(&'static str, Handler)> {
            let handler = Handler::unary(Arc::new(()), |_, _: Raw, context: spanwire::Context| async move {
                let token = context.metadata().get("authorization").unwrap_or("none").to_owned();
                (Ok(Raw::from(token)), context)
            });
            vec![("Who", handler)]
        }
    }
    let server = Server::builder().service(Echo).bind("inprocess:tokens").await.unwrap();
    tokio::spawn(server.run());
    let channel = Channel::builder("inprocess:tokens").bearer_token("secret").build().unwrap();
    assert_eq!(who(&channel).await.unwrap(), "Bearer secret");
    let own: Raw = channel.unary(&WHO, Raw::default()).metadata("authorization", "own").await.unwrap();
    assert_eq!(own, Raw::from("own"));
    let failing = || async { Err(Status::unavailable("no token today")) };
    let channel = Channel::builder("inprocess:tokens").bearer_token_source(failing).build().unwrap();
    let failed = who(&channel).await.unwrap_err();
    assert_eq!((failed.message(), failed.sent()), ("no token today", spanwire::Sent::NotSent));
    let slow = || std::future::pending::<Result<spanwire::Token, Status>>();
    let channel = Channel::builder("inprocess:tokens").bearer_token_source(slow).build().unwrap();
    let late = channel.unary::<_, Raw>(&WHO, Raw::default()).timeout(SECOND).await.unwrap_err();
    assert_eq!(late.code(), Code::DeadlineExceeded);
    let plaintext = Channel::builder("who.test").bearer_token("secret").build().unwrap_err().to_string();
    assert!(plaintext.starts_with("bearer_token: ") && !plaintext.contains("secret"), "{plaintext}");
}
