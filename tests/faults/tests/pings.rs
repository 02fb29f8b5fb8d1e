//! Pings: keepalive of both sides, and how many a server bears.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{
    FrozenClock, Seen, TestServer, UNARY, assert_recovers, assert_status, call, is_ping, no_ping_is_out, raw,
    seconds,
};
use spanwire::{Channel, Code, Keepalive, Raw};
use spanwire_faults::frame::setting;
use spanwire_faults::{Event, RawClient, RawConnection, RawServer, reason};
use std::time::Duration;

// ---- keepalive ----

fn with_keepalive(server: &RawServer, keepalive: Keepalive) -> Channel {
    common::build(Channel::builder(&server.target()).keepalive(keepalive))
}

fn keepalive(interval: u64, timeout: u64) -> Keepalive {
    let mut keepalive = Keepalive::new(seconds(interval));
    keepalive.timeout = seconds(timeout);
    keepalive
}

/// Whether a PING has come that no wait has taken.
async fn was_pinged(connection: &mut RawConnection) -> bool {
    connection.sync().await;
    connection.passed().any(is_ping)
}

// Wire checklist line 42
#[tokio::test]
async fn client_pings_a_silent_server_and_gives_it_up_when_no_answer_comes() {
    let clock = FrozenClock::new();
    let server = RawServer::bind().await;
    let channel = with_keepalive(&server, keepalive(10, 5));
    let play = async {
        let mut connection = server.accept().await;
        connection.whole_request().await;
        connection.sync().await;
        connection.acknowledge = false;
        clock.advance(Duration::from_millis(10_010)).await;
        connection.wait("PING", is_ping).await;
        clock.advance(Duration::from_millis(5_010)).await;
        connection.wait_closed().await;
    };
    let call = channel.unary::<Raw, Raw>(&UNARY, raw(""));
    let (outcome, ()) = tokio::join!(call.into_future(), play);
    let status = outcome.unwrap_err();
    assert_status(&status, Code::Unavailable, "keepalive");
    assert_recovers(&channel, &server).await;
}

#[tokio::test]
async fn client_pings_a_silent_server_also_while_its_calls_wait_for_room() {
    let clock = FrozenClock::new();
    let server = RawServer::bind().await;
    let channel = with_keepalive(&server, keepalive(10, 5));
    channel.connect();
    let mut connection = server.accept_with(&[(setting::MAX_CONCURRENT_STREAMS, 0)], 0).await;
    connection.sync().await;
    clock.advance(Duration::from_secs(60)).await;
    assert!(!was_pinged(&mut connection).await, "no call is there yet");
    connection.acknowledge = false;
    let play = async {
        clock.advance(Duration::from_millis(10_010)).await;
        connection.wait("PING", is_ping).await;
        clock.advance(Duration::from_millis(5_010)).await;
        connection.wait_closed().await;
        drop(connection);
        drop(server);
    };
    let call = channel.unary::<Raw, Raw>(&UNARY, raw(""));
    let (outcome, ()) = tokio::join!(call.into_future(), play);
    assert_eq!(outcome.unwrap_err().code(), Code::Unavailable);
    assert_eq!(channel.stats().limits.keepalive, 1);
}

// Wire checklist line 42
#[tokio::test]
async fn client_stays_when_its_pings_are_answered() {
    let clock = FrozenClock::new();
    let server = RawServer::bind().await;
    let channel = with_keepalive(&server, keepalive(10, 5));
    let play = async {
        let mut connection = server.accept().await;
        let (request, _) = connection.whole_request().await;
        for _ in 0..5 {
            connection.sync().await;
            clock.advance(Duration::from_millis(10_010)).await;
            connection.wait("PING", is_ping).await;
        }
        connection.reply(request.stream, b"late").await;
        connection
    };
    let call = channel.unary::<Raw, Raw>(&UNARY, raw(""));
    let (outcome, _connection) = tokio::join!(call.into_future(), play);
    assert_eq!(outcome.unwrap(), raw("late"));
}

// Wire checklist line 42
#[tokio::test]
async fn client_counts_the_interval_from_the_last_read() {
    let clock = FrozenClock::new();
    let server = RawServer::bind().await;
    let channel = with_keepalive(&server, keepalive(10, 5));
    let play = async {
        let mut connection = server.accept().await;
        let (request, _) = connection.whole_request().await;
        for _ in 0..5 {
            clock.advance(seconds(9)).await;
            assert!(!was_pinged(&mut connection).await, "something was read 9 s ago");
        }
        clock.advance(Duration::from_millis(10_010)).await;
        connection.wait("PING", is_ping).await;
        connection.reply(request.stream, b"").await;
        connection
    };
    let call = channel.unary::<Raw, Raw>(&UNARY, raw(""));
    let (outcome, _connection) = tokio::join!(call.into_future(), play);
    outcome.unwrap();
}

// Wire checklist line 42
#[tokio::test]
async fn client_never_pings_more_often_than_every_ten_seconds() {
    let clock = FrozenClock::new();
    let server = RawServer::bind().await;
    let channel = with_keepalive(&server, keepalive(1, 5));
    let play = async {
        let mut connection = server.accept().await;
        let (request, _) = connection.whole_request().await;
        connection.sync().await;
        clock.advance(Duration::from_millis(9900)).await;
        assert!(!was_pinged(&mut connection).await);
        clock.advance(Duration::from_millis(10_100)).await;
        connection.wait("PING", is_ping).await;
        connection.reply(request.stream, b"").await;
        connection
    };
    let call = channel.unary::<Raw, Raw>(&UNARY, raw(""));
    let (outcome, _connection) = tokio::join!(call.into_future(), play);
    outcome.unwrap();
}

// Wire checklist line 42
#[tokio::test]
async fn client_does_not_ping_without_calls_unless_told() {
    for permitted in [false, true] {
        let clock = FrozenClock::new();
        let server = RawServer::bind().await;
        let mut config = keepalive(10, 5);
        config.permit_without_calls = permitted;
        let channel = with_keepalive(&server, config);
        let play = async {
            let mut connection = server.accept().await;
            let (request, _) = connection.whole_request().await;
            connection.reply(request.stream, b"").await;
            connection
        };
        let (outcome, mut connection) = tokio::join!(call(&channel, ""), play);
        outcome.unwrap();
        // The ping that measures the bandwidth may follow the answer.
        no_ping_is_out(&mut connection).await;
        clock.advance(seconds(30)).await;
        // Give the client's task its turn before looking.
        connection.sync().await;
        assert_eq!(was_pinged(&mut connection).await, permitted, "permit_without_calls: {permitted}");
        tokio::time::resume();
    }
}

// Wire checklist line 42
#[tokio::test]
async fn client_pings_half_as_often_after_too_many_pings() {
    let clock = FrozenClock::new();
    let server = RawServer::bind().await;
    let channel = with_keepalive(&server, keepalive(10, 5));
    let play = async {
        let mut first = server.accept().await;
        let (request, _) = first.whole_request().await;
        first.goaway(request.stream, reason::ENHANCE_YOUR_CALM, "too_many_pings").await;
        first.shut_down().await;
    };
    let (outcome, ()) = tokio::join!(call(&channel, ""), play);
    assert_status(&outcome.unwrap_err(), Code::Unavailable, "too_many_pings");
    let play = async {
        let mut second = server.accept().await;
        let (request, _) = second.whole_request().await;
        second.sync().await;
        clock.advance(seconds(19)).await;
        assert!(!was_pinged(&mut second).await, "19 s");
        clock.advance(Duration::from_millis(20_010)).await;
        second.wait("PING", is_ping).await;
        second.reply(request.stream, b"").await;
        second
    };
    let call = channel.unary::<Raw, Raw>(&UNARY, raw(""));
    let (outcome, _second) = tokio::join!(call.into_future(), play);
    outcome.unwrap();
}

// Wire checklist line 42, hazards §2
#[tokio::test]
async fn server_pings_a_silent_client_and_gives_it_up_when_no_answer_comes() {
    let clock = FrozenClock::new();
    let mut server = TestServer::with(|server| server.keepalive(Some(keepalive(60, 20)))).await;
    let mut client = RawClient::connect(server.address()).await;
    let stream = client.call("/test.Probe/Never").await;
    client.last_message(stream, b"").await;
    server.started("Never").await;
    no_ping_is_out(&mut client).await;
    clock.advance(seconds(61)).await;
    client.wait("PING", is_ping).await;
    client.sync().await;
    client.acknowledge = false;
    clock.advance(seconds(61)).await;
    client.wait("PING", is_ping).await;
    clock.advance(seconds(21)).await;
    client.wait_closed().await;
    assert_eq!(server.ended().await, Seen::Cancelled("Never"));
}

// Hazards §2
#[tokio::test]
async fn server_pings_after_two_hours_by_default() {
    let clock = FrozenClock::new();
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    client.sync().await;
    clock.advance(seconds(7190)).await;
    client.sync().await;
    assert!(!client.passed().any(is_ping));
    client.acknowledge = false;
    clock.advance(seconds(7190)).await;
    clock.advance(seconds(20)).await;
    client.wait("PING", is_ping).await;
    clock.advance(seconds(21)).await;
    client.wait_closed().await;
}

// ---- ping strikes ----

/// Pings once and waits for the answer; false when the server has had enough.
async fn ping_is_answered(client: &mut RawClient) -> bool {
    client.ping(b"strikes?").await;
    let answer = client
        .wait("PING ACK or GOAWAY", |event| {
            matches!(event, Event::PingAck(_) | Event::GoAway { .. } | Event::Closed { .. })
        })
        .await;
    if let Event::GoAway { code, debug, .. } = &answer {
        assert_eq!((*code, &debug[..]), (reason::ENHANCE_YOUR_CALM, &b"too_many_pings"[..]));
    }
    matches!(answer, Event::PingAck(_))
}

// Wire checklist line 43
#[tokio::test]
async fn more_than_two_ping_strikes_end_the_connection() {
    let mut server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    let stream = client.call("/test.Probe/Never").await;
    client.last_message(stream, b"").await;
    server.started("Never").await;
    let mut answered = 0;
    while answered < 10 && ping_is_answered(&mut client).await {
        answered += 1;
    }
    // The first is free, the next two are strikes, the one after them is too many.
    assert_eq!(answered, 3, "{}", client.transcript());
    client.wait_closed().await;
    assert_eq!(server.ended().await, Seen::Cancelled("Never"));
}

// Wire checklist line 43, hazards F4
#[tokio::test]
async fn pings_at_the_permitted_rate_are_no_strikes() {
    let clock = FrozenClock::new();
    let mut server = TestServer::with(|server| server.keepalive(None)).await;
    let mut client = RawClient::connect(server.address()).await;
    let stream = client.call("/test.Probe/Never").await;
    client.last_message(stream, b"").await;
    server.started("Never").await;
    for n in 0..10 {
        assert!(ping_is_answered(&mut client).await, "ping {n}");
        clock.advance(seconds(300)).await;
    }
}

// Wire checklist line 43
#[tokio::test]
async fn without_calls_the_permitted_gap_is_two_hours() {
    let clock = FrozenClock::new();
    let server = TestServer::with(|server| server.keepalive(None)).await;
    let mut client = RawClient::connect(server.address()).await;
    for n in 0..5 {
        assert!(ping_is_answered(&mut client).await, "ping {n} after two hours");
        clock.advance(seconds(7200)).await;
    }
    let mut answered = 0;
    while answered < 10 && ping_is_answered(&mut client).await {
        answered += 1;
        clock.advance(seconds(300)).await;
    }
    assert_eq!(answered, 3, "every five minutes without calls is too often");
}

// Wire checklist line 43
#[tokio::test]
async fn without_calls_pings_can_be_permitted() {
    let clock = FrozenClock::new();
    let server =
        TestServer::with(|server| server.keepalive(None).keepalive_enforcement(seconds(60), true)).await;
    let mut client = RawClient::connect(server.address()).await;
    for n in 0..10 {
        assert!(ping_is_answered(&mut client).await, "ping {n}");
        clock.advance(seconds(60)).await;
    }
}

// Wire checklist line 43
#[tokio::test]
async fn ping_strikes_are_forgiven_when_the_server_sends_headers_or_data() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    let chat = client.call("/test.Probe/Chat").await;
    for round in 0..10 {
        for ping in 0..3 {
            assert!(ping_is_answered(&mut client).await, "round {round}, ping {ping}");
        }
        client.grpc_message(chat, b"x").await;
        client.wait("DATA", |event| matches!(event, Event::Data { .. })).await;
    }
}

// Wire checklist line 43
#[tokio::test]
async fn every_data_frame_that_the_server_writes_forgives_pings() {
    let server = TestServer::start().await;
    let mut client =
        RawClient::connect_with(server.address(), &[(setting::INITIAL_WINDOW_SIZE, 0)], 1 << 20).await;
    let stream = client.call("/test.Probe/Flood").await;
    client.last_message(stream, b"100000").await;
    client.wait_headers(stream).await;
    // One message is written in many DATA frames, for the window opens only so far; each of them counts.
    for round in 0..20 {
        client.window_update(stream, 1000).await;
        while client.data_bytes() < 1000 * (round + 1) {
            client.wait("DATA", |event| matches!(event, Event::Data { .. })).await;
        }
        for ping in 0..3 {
            assert!(ping_is_answered(&mut client).await, "round {round}, ping {ping}");
        }
    }
}
