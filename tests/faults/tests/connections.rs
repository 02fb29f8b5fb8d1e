//! Connections: how they end, how calls survive that, and how both sides keep them honest.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{
    DOWN, FrozenClock, LONG, Seen, TestServer, UNARY, UP, assert_recovers, assert_status, channel, raw,
    unary_status,
};
use spanwire::{Channel, Code, Keepalive, Raw};
use spanwire_faults::frame::setting;
use spanwire_faults::{Event, Fields, Frame, RawClient, RawConnection, RawServer, grpc, reason};
use std::time::Duration;

const ECHO: &str = "/test.Probe/Echo";
const MAX_STREAM: u32 = 0x7fff_ffff;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

async fn call(channel: &Channel, body: &str) -> Result<Raw, spanwire::Status> {
    channel.unary::<Raw, Raw>(&UNARY, raw(body)).timeout(LONG).await
}

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

// ---- keepalive ----

fn with_keepalive(server: &RawServer, keepalive: Keepalive) -> Channel {
    common::build(Channel::builder(&server.target()).keepalive(keepalive))
}

fn keepalive(interval: u64, timeout: u64) -> Keepalive {
    let mut keepalive = Keepalive::new(seconds(interval));
    keepalive.timeout = seconds(timeout);
    keepalive
}

/// Lets the ping that measures the bandwidth be over, so that the next one is somebody else's.
async fn no_ping_is_out(link: &mut spanwire_faults::Link) {
    for _ in 0..2 {
        link.sync().await;
        while link.take_passed(is_ping).is_some() {}
    }
}

fn is_ping(event: &Event) -> bool {
    matches!(event, Event::Ping(_))
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

// ---- concurrent streams ----

// Wire checklist line 44
#[tokio::test]
async fn ten_calls_share_a_limit_of_one_stream() {
    let server = RawServer::bind().await;
    let channel = channel(&server);
    let calls = futures_util::future::join_all((0..10).map(|n| call(&channel, ["a", "b"][n % 2])));
    let play = async {
        let mut connection = server.accept_with(&[(setting::MAX_CONCURRENT_STREAMS, 1)], 0).await;
        for _ in 0..10 {
            let (request, _) = connection.whole_request().await;
            connection.sync().await;
            assert!(
                connection.passed().all(|event| !matches!(event, Event::Headers(_))),
                "one at a time\n{}",
                connection.transcript()
            );
            connection.reply(request.stream, b"yes").await;
        }
        connection
    };
    let (outcomes, _connection) = tokio::join!(calls, play);
    for outcome in outcomes {
        assert_eq!(outcome.unwrap(), raw("yes"));
    }
}

// Wire checklist line 44
#[tokio::test]
async fn a_limit_that_drops_to_one_is_respected_in_the_middle_of_a_connection() {
    let server = RawServer::bind().await;
    let channel = channel(&server);
    let (lowered, told) = tokio::sync::oneshot::channel();
    let calls = async {
        let first = futures_util::future::join_all((0..3).map(|_| call(&channel, "early")));
        let later = async {
            told.await.unwrap();
            futures_util::future::join_all((0..3).map(|_| call(&channel, "late"))).await
        };
        let (first, later) = tokio::join!(first, later);
        first.into_iter().chain(later).collect::<Vec<_>>()
    };
    let play = async {
        let mut connection = server.accept().await;
        let mut early = Vec::new();
        for _ in 0..3 {
            early.push(connection.whole_request().await.0.stream);
        }
        connection.settings(&[(setting::MAX_CONCURRENT_STREAMS, 1)]).await;
        connection.settled().await;
        lowered.send(()).unwrap();
        for stream in early {
            connection.sync().await;
            assert!(connection.passed().all(|event| !matches!(event, Event::Headers(_))), "three are open");
            connection.reply(stream, b"yes").await;
        }
        for _ in 0..3 {
            let (request, messages) = connection.whole_request().await;
            assert_eq!(messages, [(0, "late".into())]);
            connection.sync().await;
            assert!(connection.passed().all(|event| !matches!(event, Event::Headers(_))), "one at a time");
            connection.reply(request.stream, b"yes").await;
        }
        connection
    };
    let (outcomes, _connection) = tokio::join!(calls, play);
    for outcome in outcomes {
        assert_eq!(outcome.unwrap(), raw("yes"));
    }
}

// Wire checklist line 44
#[tokio::test]
async fn no_call_is_sent_before_the_servers_settings() {
    let server = RawServer::bind().await;
    let channel = channel(&server);
    let calls = futures_util::future::join_all((0..5).map(|_| call(&channel, "")));
    let play = async {
        let mut connection = server.accept_bare().await;
        connection.read_opening().await;
        // PING works before SETTINGS, and shows that nothing else was written.
        connection.ping(b"anybody?").await;
        connection.wait("PING ACK", |event| matches!(event, Event::PingAck(_))).await;
        assert!(
            connection.passed().all(|event| !matches!(event, Event::Headers(_))),
            "{}",
            connection.transcript()
        );
        connection.settings(&[(setting::MAX_CONCURRENT_STREAMS, 1)]).await;
        for _ in 0..5 {
            let (request, _) = connection.whole_request().await;
            connection.reply(request.stream, b"").await;
        }
        connection
    };
    let (outcomes, _connection) = tokio::join!(calls, play);
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
}

// Wire checklist line 44
#[tokio::test]
async fn a_limit_of_no_streams_makes_calls_wait_until_it_is_raised() {
    let server = RawServer::bind().await;
    let channel = channel(&server);
    let play = async {
        let mut connection = server.accept_with(&[(setting::MAX_CONCURRENT_STREAMS, 0)], 0).await;
        connection.sync().await;
        connection.sync().await;
        assert!(connection.passed().all(|event| !matches!(event, Event::Headers(_))));
        connection.settings(&[(setting::MAX_CONCURRENT_STREAMS, 10)]).await;
        let (request, _) = connection.whole_request().await;
        connection.reply(request.stream, b"yes").await;
        connection
    };
    let (outcome, _connection) = tokio::join!(call(&channel, ""), play);
    assert_eq!(outcome.unwrap(), raw("yes"));
}

// Wire checklist line 44
#[tokio::test]
async fn a_queued_call_that_is_cancelled_leaves_no_trace_and_blocks_nobody() {
    let server = RawServer::bind().await;
    let channel = channel(&server);
    let (told, read) = tokio::sync::oneshot::channel();
    let calls = async {
        let running = call(&channel, "running");
        let queued = channel.unary::<Raw, Raw>(&UNARY, raw("queued")).timeout(Duration::from_millis(50));
        let queued = async {
            read.await.unwrap();
            queued.await
        };
        let (running, queued) = tokio::join!(running, queued);
        let after = call(&channel, "after").await;
        (running, queued, after)
    };
    let play = async {
        let mut connection = server.accept_with(&[(setting::MAX_CONCURRENT_STREAMS, 1)], 0).await;
        let (running, _) = connection.whole_request().await;
        told.send(()).unwrap();
        // Until the queued call has died of its deadline.
        tokio::time::sleep(Duration::from_millis(100)).await;
        connection.reply(running.stream, b"yes").await;
        let (after, messages) = connection.whole_request().await;
        assert_eq!(messages, [(0, "after".into())]);
        connection.reply(after.stream, b"yes").await;
        connection
    };
    let ((running, queued, after), _connection) = tokio::join!(calls, play);
    assert_eq!(running.unwrap(), raw("yes"));
    assert_eq!(queued.unwrap_err().code(), Code::DeadlineExceeded);
    assert_eq!(after.unwrap(), raw("yes"));
}

// Wire checklist line 44, hazards A12
#[tokio::test]
async fn server_refuses_streams_above_its_limit_and_serves_the_rest() {
    let mut server = TestServer::with(|server| server.max_concurrent_streams(10)).await;
    let mut client = RawClient::connect(server.address()).await;
    assert_eq!(client.server_setting(setting::MAX_CONCURRENT_STREAMS), Some(10));
    let streams: Vec<u32> = (0..15).map(|_| client.take_stream()).collect();
    let frames: Vec<Frame> = streams
        .iter()
        .flat_map(|stream| {
            let fields = Fields::grpc_request("/test.Probe/Gate");
            let body = grpc::message(b"x");
            [Frame::headers(*stream, fields.encode()), Frame::data(*stream, body).end_stream()]
        })
        .collect();
    client.send_all(&frames).await;
    for stream in &streams[10..] {
        assert_eq!(client.wait_reset(*stream).await, reason::REFUSED_STREAM);
    }
    for _ in 0..10 {
        server.started("Gate").await;
    }
    assert_eq!(server.calls(), 10);
    for _ in 0..10 {
        server.open_gate();
        server.ended().await;
    }
    for stream in &streams[..10] {
        assert_eq!(client.answer(*stream).await.grpc_status(), Some("0"));
    }
    assert_eq!(client.unary(ECHO, b"hi").await.grpc_status(), Some("0"), "there is room again");
}

// ---- flow control ----

// Wire checklist line 45
#[tokio::test]
async fn padding_is_given_back_to_the_client() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    let stream = client.call("/test.Probe/Upload").await;
    // 500 payloads of 6 bytes are 131 000 bytes of window, twice what a stream has.
    for _ in 0..500 {
        client.wait_room(stream, 262).await;
        client.send(Frame::data(stream, grpc::message(b"x")).padded(255)).await;
    }
    client.half_close(stream).await;
    assert_eq!(client.answer(stream).await.messages(), [(0, "500 messages".into())]);
}

// Wire checklist line 45
#[tokio::test]
async fn padding_is_given_back_to_the_server() {
    let server = RawServer::bind().await;
    let channel = channel(&server);
    let play = async {
        let mut connection = server.accept().await;
        let (request, _) = connection.whole_request().await;
        connection.headers(request.stream).await;
        for _ in 0..6000 {
            connection.wait_room(request.stream, 262).await;
            connection.send(Frame::data(request.stream, grpc::message(b"x")).padded(255)).await;
        }
        connection.trailers(request.stream, 0, "").await;
        connection
    };
    let call = async {
        let mut stream = channel.server_streaming::<Raw, Raw>(&DOWN, raw("")).timeout(LONG).await.unwrap();
        let mut count = 0;
        while stream.next().await.unwrap().is_some() {
            count += 1;
        }
        count
    };
    let (count, _connection) = tokio::join!(call, play);
    assert_eq!(count, 6000);
}

// Wire checklist line 45
#[tokio::test]
async fn unread_data_of_cancelled_calls_gives_its_window_back_to_the_server() {
    let server = RawServer::bind().await;
    let channel = channel(&server);
    let calls = async {
        for _ in 0..60 {
            let mut stream =
                channel.server_streaming::<Raw, Raw>(&DOWN, raw("")).timeout(LONG).await.unwrap();
            assert_eq!(stream.next().await.unwrap(), Some(raw("first")));
            drop(stream);
        }
        call(&channel, "last").await
    };
    let play = async {
        let mut connection = server.accept().await;
        // 60 × 60 000 bytes, of which almost all is never read: more than three connection windows.
        for _ in 0..60 {
            let (request, _) = connection.whole_request().await;
            connection.headers(request.stream).await;
            connection.grpc_message(request.stream, b"first").await;
            for _ in 0..5 {
                connection.wait_room(request.stream, 12_005).await;
                connection.grpc_message(request.stream, &[0; 12_000]).await;
            }
            assert_eq!(connection.wait_reset(request.stream).await, reason::CANCEL);
        }
        let (request, _) = connection.whole_request().await;
        connection.reply(request.stream, b"yes").await;
        connection
    };
    let (outcome, mut connection) = tokio::join!(calls, play);
    assert_eq!(outcome.unwrap(), raw("yes"));
    connection.sync().await;
    // The client may hold back what is too little for a WINDOW_UPDATE: less than half of its window.
    assert!(connection.connection_room() > 512 * 1024, "{}", connection.connection_room());
}

// Wire checklist line 45
#[tokio::test]
async fn unread_data_of_cancelled_calls_gives_its_window_back_to_the_client() {
    let mut server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    for round in 0..60 {
        let stream = client.call("/test.Probe/Stalled").await;
        client.grpc_message(stream, b"first").await;
        server.started("Stalled").await;
        for _ in 0..5 {
            client.wait_room(stream, 12_005).await;
            client.grpc_message(stream, &[0; 12_000]).await;
        }
        // Every other call breaks the rules instead, and is reset by the server.
        if round % 2 == 0 {
            client.rst(stream, reason::CANCEL).await;
        } else {
            client.window_update(stream, 0x7fff_ffff).await;
            assert_eq!(client.wait_reset(stream).await, reason::FLOW_CONTROL_ERROR);
        }
        assert_eq!(server.ended().await, Seen::Cancelled("Stalled"), "round {round}");
    }
    client.sync().await;
    assert!(client.connection_room() > 512 * 1024, "{}", client.connection_room());
    assert_eq!(client.unary(ECHO, b"hi").await.grpc_status(), Some("0"));
}

// Wire checklist line 45
#[tokio::test]
async fn data_that_arrives_after_the_answer_gives_its_window_back() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    for _ in 0..40 {
        let stream = client.call("/test.Probe/EnoughUp").await;
        client.grpc_message(stream, b"first").await;
        // The handler ends after the first message; what follows is nobody's.
        for _ in 0..4 {
            client.wait_room(stream, 12_005).await;
            client.grpc_message(stream, &[0; 12_000]).await;
        }
        client.answer(stream).await;
    }
    client.sync().await;
    assert!(client.connection_room() > 512 * 1024, "{}", client.connection_room());
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
