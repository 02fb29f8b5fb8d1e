//! Connections: how they end, and how calls survive that.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{
    DOWN, FrozenClock, LONG, Seen, TestServer, UNARY, UP, assert_recovers, assert_status, call, channel,
    is_ping, no_ping_is_out, raw, seconds, unary_status,
};
use spanwire::{Channel, Code, Raw};
use spanwire_faults::{Event, Frame, RawClient, RawServer, reason};
use std::time::Duration;

const ECHO: &str = "/test.Probe/Echo";
const MAX_STREAM: u32 = 0x7fff_ffff;

// ---- GOAWAY at the client ----

// Wire checklist line 39
#[tokio::test]
async fn calls_above_goaways_last_stream_run_elsewhere_and_those_below_finish() {
    let server = RawServer::bind().await;
    let channel = channel(&server);
    let play = async {
        let mut first = server.accept().await;
        let mut requests = Vec::new();
        for _ in 0..3 {
            requests.push(first.whole_request().await);
        }
        assert_eq!(requests.iter().map(|(request, _)| request.stream).collect::<Vec<_>>(), [1, 3, 5]);
        first.goaway(3, reason::NO_ERROR, "").await;
        let mut second = server.accept().await;
        let (request, messages) = second.whole_request().await;
        assert_eq!(messages, requests[2].1, "the third call again");
        second.reply(request.stream, b"elsewhere").await;
        for (request, _) in &requests[..2] {
            first.reply(request.stream, b"here").await;
        }
        assert!(first.wait_closed().await, "nothing is left to do on the first connection");
        second
    };
    let (one, two, three, _second) =
        tokio::join!(call(&channel, "1"), call(&channel, "2"), call(&channel, "3"), play);
    assert_eq!(one.unwrap(), raw("here"));
    assert_eq!(two.unwrap(), raw("here"));
    assert_eq!(three.unwrap(), raw("elsewhere"));
}

// Wire checklist line 39
#[tokio::test]
async fn a_second_goaway_lowers_the_last_stream() {
    let server = RawServer::bind().await;
    let channel = channel(&server);
    let play = async {
        let mut first = server.accept().await;
        first.whole_request().await;
        first.whole_request().await;
        first.goaway(MAX_STREAM, reason::NO_ERROR, "").await;
        first.goaway(1, reason::NO_ERROR, "").await;
        let mut second = server.accept().await;
        let (request, messages) = second.whole_request().await;
        assert_eq!(messages, [(0, "2".into())]);
        second.reply(request.stream, b"elsewhere").await;
        first.reply(1, b"here").await;
        (first, second)
    };
    let (one, two, _connections) = tokio::join!(call(&channel, "1"), call(&channel, "2"), play);
    assert_eq!((one.unwrap(), two.unwrap()), (raw("here"), raw("elsewhere")));
}

// Wire checklist line 39
#[tokio::test]
async fn a_call_after_goaway_opens_a_new_connection_unseen() {
    let server = RawServer::bind().await;
    let channel = channel(&server);
    let play = async {
        let mut first = server.accept().await;
        let (request, _) = first.whole_request().await;
        first.headers(request.stream).await;
        first.goaway(request.stream, reason::NO_ERROR, "").await;
        first.sync().await;
        let mut second = server.accept().await;
        let (next, _) = second.whole_request().await;
        second.reply(next.stream, b"second").await;
        // The stream that is left on the first one still gets its answer.
        first.grpc_message(request.stream, b"first").await;
        first.trailers(request.stream, 0, "").await;
        (first, second)
    };
    let calls = async {
        let mut stream = channel.server_streaming::<Raw, Raw>(&DOWN, raw("")).timeout(LONG).await.unwrap();
        stream.headers().await.unwrap();
        // Its GOAWAY may not have been read yet: then the call is made again, which nobody sees either.
        assert_eq!(call(&channel, "").await.unwrap(), raw("second"));
        assert_eq!(stream.next().await.unwrap(), Some(raw("first")));
        assert_eq!(stream.next().await.unwrap(), None);
    };
    let ((), _connections) = tokio::join!(calls, play);
}

// Wire checklist line 39
#[tokio::test]
async fn a_stream_below_goaways_last_stream_fails_when_the_connection_goes_and_is_not_repeated() {
    let server = RawServer::bind().await;
    let channel = channel(&server);
    let play = async {
        let mut first = server.accept().await;
        let (request, _) = first.whole_request().await;
        first.goaway(request.stream, reason::NO_ERROR, "").await;
        first.shut_down().await;
    };
    let (outcome, ()) = tokio::join!(call(&channel, "once"), play);
    let status = outcome.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert_ne!(status.sent(), spanwire::Sent::NotSent, "the server may have run it");
    assert_recovers(&channel, &server).await;
}

// Wire checklist line 39
#[tokio::test]
async fn a_goaway_with_an_error_is_unavailable_and_shows_its_debug_data() {
    let status = unary_status(async |server, stream| {
        server.goaway(stream, reason::INTERNAL_ERROR, "out of cheese").await;
        server.shut_down().await;
    })
    .await;
    assert_status(&status, Code::Unavailable, "INTERNAL_ERROR");
    assert!(status.message().contains("out of cheese"), "{status}");
}

// ---- drain of the server ----

// Wire checklist line 40
#[tokio::test]
async fn drain_announces_itself_pings_and_then_names_the_last_stream() {
    let mut server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    let running = client.call("/test.Probe/Gate").await;
    client.last_message(running, b"one").await;
    server.started("Gate").await;
    no_ping_is_out(&mut client).await;
    client.acknowledge = false;
    let handle = server.handle().clone();
    let drain = tokio::spawn(async move { handle.shutdown(LONG).await });

    assert_eq!(client.wait_goaway().await, (MAX_STREAM, reason::NO_ERROR, String::new()));
    let ping = client.wait("PING", is_ping).await;
    // A call that was on its way when the server announced its end is still served.
    let late = client.call("/test.Probe/Gate").await;
    client.last_message(late, b"two").await;
    server.started("Gate").await;
    if let Event::Ping(opaque) = ping {
        client.send(Frame::ping_ack(opaque)).await;
    }
    assert_eq!(client.wait_goaway().await, (late, reason::NO_ERROR, String::new()));

    assert!(!drain.is_finished(), "calls are running");
    server.open_gate();
    server.open_gate();
    assert_eq!(client.answer(running).await.messages(), [(0, "one".into())]);
    server.open_gate();
    assert_eq!(client.answer(late).await.messages(), [(0, "two".into())]);
    assert!(client.wait_closed().await);
    drain.await.unwrap();
}

// Wire checklist line 40
#[tokio::test]
async fn drain_accepts_no_new_connections() {
    let server = TestServer::start().await;
    let handle = server.handle().clone();
    handle.shutdown(LONG).await;
    assert!(tokio::net::TcpStream::connect(server.address()).await.is_err());
}

// Wire checklist line 40
#[tokio::test]
async fn drain_of_a_silent_idle_client_ends_by_a_timer_of_five_seconds() {
    let clock = FrozenClock::new();
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    client.acknowledge = false;
    let handle = server.handle().clone();
    let drain = tokio::spawn(async move { handle.shutdown(seconds(3600)).await });
    client.wait_goaway().await;
    clock.advance(Duration::from_millis(4900)).await;
    assert!(!drain.is_finished());
    clock.advance(Duration::from_millis(200)).await;
    drain.await.unwrap();
    client.wait_closed().await;
}

// Wire checklist line 40
#[tokio::test]
async fn drain_ends_within_its_bound_whatever_the_clients_do() {
    let mut server = TestServer::start().await;
    // A call that never ends, a client that reads nothing, one that never spoke.
    let mut busy = RawClient::connect(server.address()).await;
    let stream = busy.call("/test.Probe/Never").await;
    busy.last_message(stream, b"").await;
    server.started("Never").await;
    let mut silent = RawClient::connect_with(server.address(), &[], 0).await;
    let stream = silent.call("/test.Probe/Flood").await;
    silent.last_message(stream, b"10000").await;
    server.started("Flood").await;
    let mute = RawClient::connect_bare(server.address()).await;
    let grace = Duration::from_millis(200);
    let handle = server.handle().clone();
    let start = std::time::Instant::now();
    handle.shutdown(grace).await;
    let took = start.elapsed();
    assert!(took >= grace && took < grace + seconds(1), "{took:?}");
    let mut ends = [server.ended().await, server.ended().await];
    ends.sort();
    assert_eq!(ends, [Seen::Cancelled("Flood"), Seen::Cancelled("Never")]);
    busy.wait_closed().await;
    drop(mute);
}

// Wire checklist line 40
#[tokio::test]
async fn drain_with_nothing_to_wait_for_is_quick() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    assert_eq!(client.unary(ECHO, b"hi").await.grpc_status(), Some("0"));
    let handle = server.handle().clone();
    let start = std::time::Instant::now();
    // The client acknowledges while it waits for the end.
    tokio::join!(handle.shutdown(seconds(60)), client.wait_closed());
    assert!(start.elapsed() < seconds(3), "{:?}", start.elapsed());
}

// ---- transparent retry ----

// Wire checklist line 41
#[tokio::test]
async fn a_refused_call_is_made_again_once_unseen() {
    let server = RawServer::bind().await;
    let channel = channel(&server);
    let play = async {
        let mut connection = server.accept().await;
        let (first, messages) = connection.whole_request().await;
        connection.rst(first.stream, reason::REFUSED_STREAM).await;
        let (second, again) = connection.whole_request().await;
        assert_eq!(messages, again);
        connection.reply(second.stream, b"yes").await;
        connection
    };
    let (outcome, _connection) = tokio::join!(call(&channel, "x"), play);
    assert_eq!(outcome.unwrap(), raw("yes"));
}

// Wire checklist line 41
#[tokio::test]
async fn a_call_that_is_refused_twice_is_unavailable() {
    let server = RawServer::bind().await;
    let channel = channel(&server);
    let play = async {
        let mut connection = server.accept().await;
        for _ in 0..2 {
            let (request, _) = connection.whole_request().await;
            connection.rst(request.stream, reason::REFUSED_STREAM).await;
        }
        connection
    };
    let (outcome, mut connection) = tokio::join!(call(&channel, "x"), play);
    let status = outcome.unwrap_err();
    assert_status(&status, Code::Unavailable, "REFUSED_STREAM");
    connection.sync().await;
    assert!(
        connection.passed().all(|event| !matches!(event, Event::Headers(_))),
        "{}",
        connection.transcript()
    );
}

// Wire checklist line 41
#[tokio::test]
async fn a_streaming_call_is_made_again_while_nothing_is_committed() {
    let server = RawServer::bind().await;
    let channel = channel(&server);
    let call = async {
        let mut stream = channel.server_streaming::<Raw, Raw>(&DOWN, raw("x")).timeout(LONG).await.unwrap();
        assert_eq!(stream.next().await.unwrap(), Some(raw("yes")));
        assert_eq!(stream.next().await.unwrap(), None);
    };
    let play = async {
        let mut connection = server.accept().await;
        let (first, _) = connection.whole_request().await;
        connection.rst(first.stream, reason::REFUSED_STREAM).await;
        let (second, messages) = connection.whole_request().await;
        assert_eq!(messages, [(0, "x".into())]);
        connection.reply(second.stream, b"yes").await;
        connection
    };
    let ((), _connection) = tokio::join!(call, play);
}

// Wire checklist line 41
#[tokio::test]
async fn a_server_that_always_goes_away_does_not_make_the_client_loop() {
    let server = RawServer::bind().await;
    let channel = Channel::builder(&server.target())
        .backoff(Duration::from_millis(50), Duration::from_millis(50))
        .build()
        .unwrap();
    let mut connections = 0;
    let play = async {
        loop {
            let mut connection = server.accept().await;
            connections += 1;
            let (_, _) = connection.whole_request().await;
            connection.goaway(0, reason::NO_ERROR, "").await;
            connection.shut_down().await;
        }
    };
    let call = channel.unary::<Raw, Raw>(&UNARY, raw("")).timeout(Duration::from_millis(500));
    let outcome = tokio::select! { outcome = call.into_future() => outcome, () = play => unreachable!() };
    let status = outcome.unwrap_err();
    assert!([Code::Unavailable, Code::DeadlineExceeded].contains(&status.code()), "{status}");
    assert!(connections <= 20, "{connections} connections in half a second");
}

// ---- age ----

// Wire checklist line 46
#[tokio::test]
async fn connections_end_at_their_age_with_ten_percent_of_jitter() {
    let clock = FrozenClock::new();
    let server = TestServer::with(|server| server.max_connection_age(seconds(1000), None)).await;
    let mut clients = Vec::new();
    for _ in 0..12 {
        clients.push(RawClient::connect(server.address()).await);
    }
    let gone = |client: &RawClient| client.passed().any(|event| matches!(event, Event::GoAway { .. }));
    clock.advance(seconds(899)).await;
    for client in &mut clients {
        client.sync().await;
        assert!(!gone(client), "before 90 %");
    }
    clock.advance(seconds(101)).await;
    let mut early = 0;
    for client in &mut clients {
        // Those that are gone close as soon as the ping is answered; the others stay.
        client.settings(&[]).await;
        client
            .wait("SETTINGS ACK or the end", |event| {
                matches!(event, Event::SettingsAck | Event::Closed { .. })
            })
            .await;
        early += usize::from(gone(client));
    }
    clock.advance(seconds(101)).await;
    for client in &mut clients {
        assert_eq!(client.wait_goaway().await.1, reason::NO_ERROR);
        client.wait_closed().await;
    }
    assert!((1..12).contains(&early), "{early} of 12 ended in the first half: no jitter");
}

// Wire checklist line 46
#[tokio::test]
async fn grace_counts_from_the_second_goaway() {
    let clock = FrozenClock::new();
    let mut server =
        TestServer::with(|server| server.max_connection_age(seconds(1000), Some(seconds(10)))).await;
    let mut client = RawClient::connect(server.address()).await;
    let stream = client.call("/test.Probe/Never").await;
    client.last_message(stream, b"").await;
    server.started("Never").await;
    no_ping_is_out(&mut client).await;
    client.acknowledge = false;
    clock.advance(seconds(1101)).await;
    assert_eq!(client.wait_goaway().await.0, MAX_STREAM);
    let ping = client.wait("PING", is_ping).await;
    clock.advance(seconds(3)).await;
    if let Event::Ping(opaque) = ping {
        client.send(Frame::ping_ack(opaque)).await;
    }
    assert_eq!(client.wait_goaway().await.0, stream);
    clock.advance(Duration::from_millis(9500)).await;
    client.sync().await;
    clock.advance(Duration::from_millis(600)).await;
    assert_eq!(server.ended().await, Seen::Cancelled("Never"));
    client.wait_closed().await;
}

// Hazards §2
#[tokio::test]
async fn connections_without_calls_end_when_idle_is_limited() {
    let clock = FrozenClock::new();
    let server = TestServer::with(|server| server.max_connection_idle(seconds(100))).await;
    let mut client = RawClient::connect(server.address()).await;
    clock.advance(seconds(60)).await;
    assert_eq!(client.unary(ECHO, b"hi").await.grpc_status(), Some("0"));
    clock.advance(seconds(60)).await;
    client.sync().await;
    clock.advance(seconds(41)).await;
    assert_eq!(client.wait_goaway().await.1, reason::NO_ERROR);
    client.wait_closed().await;
}

// Wire checklist lines 36 and 44
#[tokio::test]
async fn a_channel_shares_one_connection_and_closes_it_when_dropped() {
    let server = RawServer::bind().await;
    let channel = channel(&server);
    let clone = channel.clone();
    let play = async {
        let mut connection = server.accept().await;
        for _ in 0..3 {
            let (request, _) = connection.whole_request().await;
            connection.reply(request.stream, b"").await;
        }
        connection
    };
    let calls = async {
        call(&channel, "").await.unwrap();
        call(&clone, "").await.unwrap();
        let stream = channel.client_streaming::<Raw, Raw>(&UP).timeout(LONG).await.unwrap();
        stream.finish().await.unwrap();
    };
    let ((), mut connection) = tokio::join!(calls, play);
    drop((channel, clone));
    connection.wait_closed().await;
}

// Hazards §4
#[tokio::test]
async fn clients_that_vanish_leave_no_task_behind() {
    let mut server = TestServer::start().await;
    // A first connection, so that everything that is made once is made.
    let mut client = RawClient::connect(server.address()).await;
    assert_eq!(client.unary(ECHO, b"hi").await.grpc_status(), Some("0"));
    drop(client);
    common::tasks_end(2).await.expect("the server itself is two tasks");
    let mut clients = Vec::new();
    for n in 0..20 {
        let mut client = RawClient::connect(server.address()).await;
        let method = ["Never", "Flood", "Upload", "Stalled", "Chat"][n % 5];
        let stream = client.call(&format!("/test.Probe/{method}")).await;
        match method {
            "Never" | "Flood" => client.last_message(stream, b"10000").await,
            _ => client.grpc_message(stream, b"10000").await,
        }
        server.started(method).await;
        clients.push(client);
        clients.push(RawClient::connect_bare(server.address()).await);
    }
    drop(clients);
    for _ in 0..20 {
        assert!(matches!(server.ended().await, Seen::Cancelled(_)));
    }
    common::tasks_end(2).await.expect("nothing of the clients is left");
}
