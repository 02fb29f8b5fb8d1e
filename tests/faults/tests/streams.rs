//! Streams of one connection: how many there may be, and the windows that they share.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{DOWN, LONG, Seen, TestServer, UNARY, call, channel, raw};
use spanwire::{Code, Raw};
use spanwire_faults::frame::setting;
use spanwire_faults::{Event, Fields, Frame, RawClient, RawServer, grpc, reason};
use std::time::Duration;

const ECHO: &str = "/test.Probe/Echo";

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
