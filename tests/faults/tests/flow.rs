//! One call does not stop another by not being read, and an answer that is being taken is not cut.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{DOWN, FrozenClock, LONG, Seen, TestServer, UNARY, assert_status, raw};
use spanwire::{Channel, Code, Kind, Method, Raw};
use spanwire_faults::frame::setting;
use spanwire_faults::{Event, Fields, Frame, RawClient, RawServer, grpc};
use std::time::Duration;

/// One message that is one DATA frame of the largest size.
fn full_frame() -> bytes::Bytes {
    grpc::message(&[7; 16_384 - 5])
}

#[tokio::test]
async fn an_unread_stream_leaves_room_for_other_calls_also_when_its_window_has_grown() {
    let server = RawServer::bind().await;
    let channel = common::channel(&server);
    let reader = channel.clone();
    let reader = tokio::spawn(async move {
        let mut stream = reader.server_streaming::<Raw, Raw>(&DOWN, raw("go")).timeout(LONG).await.unwrap();
        while stream.next().await.unwrap().unwrap() != raw("stop") {}
        stream
    });
    let mut connection = server.accept().await;
    let stream = connection.request().await.stream;
    connection.headers(stream).await;
    // The client's ping measures what arrives within a round trip. Answered late, it asks for the largest window.
    connection.acknowledge = false;
    let (mut sent, mut ping) = (0, None);
    while connection.room(stream) < 900_000 {
        while connection.room(stream) >= 16_384 {
            connection.data(stream, &full_frame()).await;
            sent += 16_384;
        }
        match connection.next().await {
            Event::Ping(opaque) => ping = Some((opaque, sent)),
            Event::Settings(_) => connection.send(Frame::settings_ack()).await,
            _ => {}
        }
        if let Some((opaque, _)) = ping.take_if(|(_, since)| sent - *since >= 1 << 20) {
            connection.send(Frame::ping_ack(opaque)).await;
        }
    }
    connection.acknowledge = true;
    connection.grpc_message(stream, b"stop").await;
    // Kept, and read no more.
    let unread = reader.await.unwrap();
    loop {
        connection.sync().await;
        if connection.room(stream) < 16_384 {
            break;
        }
        while connection.room(stream) >= 16_384 {
            connection.data(stream, &full_frame()).await;
        }
    }
    assert!(connection.connection_room() > 16_384, "{} bytes left", connection.connection_room());
    let play = async {
        let (request, _) = connection.whole_request().await;
        connection.reply(request.stream, &[1; 10_000]).await;
    };
    let call = channel.unary::<Raw, Raw>(&UNARY, raw("hi")).timeout(LONG).into_future();
    let (answer, ()) = tokio::join!(call, play);
    assert_eq!(answer.unwrap(), raw([1; 10_000]));
    drop(unread);
}

/// An answer that is finished, on a connection where another call goes on, with these windows of the client.
async fn an_answer_that_nobody_takes(stream_window: u32, fill_connection: bool) {
    let clock = FrozenClock::new();
    let mut server = TestServer::with(|server| server.keepalive(None)).await;
    let settings = [(setting::INITIAL_WINDOW_SIZE, stream_window)];
    let mut client = RawClient::connect_with(server.address(), &settings, 0).await;
    let other = client.call("/test.Probe/Never").await;
    client.last_message(other, b"").await;
    server.started("Never").await;
    if fill_connection {
        assert_eq!(client.unary("/test.Probe/Echo", &[7; 65_535 - 5]).await.grpc_status(), Some("0"));
        server.ended().await;
    }
    let stream = client.call("/test.Probe/Echo").await;
    client.last_message(stream, b"hi").await;
    assert_eq!(server.ended().await, Seen::Finished("Echo"));
    client.sync().await;
    clock.advance(Duration::from_secs(59)).await;
    client.sync().await;
    assert!(client.passed().all(|event| !matches!(event, Event::Reset { .. })), "{}", client.transcript());
    clock.advance(Duration::from_secs(2)).await;
    assert_eq!(client.wait_reset(stream).await, spanwire_faults::reason::ENHANCE_YOUR_CALM);
    let stats = server.handle().stats();
    assert_eq!((stats.limits.stalled_streams, stats.limits.stalled_connections), (1, 0));
    assert_eq!(stats.calls, 1, "the other call goes on");
}

#[tokio::test]
async fn a_finished_answer_without_stream_window_is_dropped_after_a_minute_beside_other_calls() {
    an_answer_that_nobody_takes(6, false).await;
}

#[tokio::test]
async fn a_finished_answer_without_connection_window_is_dropped_after_a_minute_beside_other_calls() {
    an_answer_that_nobody_takes(1 << 20, true).await;
}

#[tokio::test]
async fn a_finished_answer_is_forgotten_when_its_client_resets_it_or_goes() {
    // Time stands still: no timeout is what ends them.
    let _clock = FrozenClock::new();
    let mut server = TestServer::with(|server| server.keepalive(None).stall_timeout(None)).await;
    let settings = [(setting::INITIAL_WINDOW_SIZE, 6)];
    let mut client = RawClient::connect_with(server.address(), &settings, 0).await;
    let mut streams = Vec::new();
    for _ in 0..2 {
        let stream = client.call("/test.Probe/Echo").await;
        client.last_message(stream, b"hello").await;
        assert_eq!(server.ended().await, Seen::Finished("Echo"));
        streams.push(stream);
    }
    client.sync().await;
    assert_eq!(server.handle().stats().calls, 2);
    client.rst(streams[0], spanwire_faults::reason::CANCEL).await;
    client.sync().await;
    assert_eq!(server.handle().stats().calls, 1, "the other is still to be taken");
    drop(client);
    let handle = server.handle().clone();
    while handle.stats().calls > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(handle.stats().limits.stalled_streams, 0);
}

#[tokio::test]
async fn a_request_goes_out_before_anybody_reads_its_answers() {
    let server = RawServer::bind().await;
    let channel = common::channel(&server);
    let call = async { channel.server_streaming::<Raw, Raw>(&DOWN, raw("go")).timeout(LONG).await.unwrap() };
    let (unread, mut connection) = tokio::join!(call, server.accept());
    let (_, messages) = connection.whole_request().await;
    assert_eq!(messages, [(0, "go".into())]);
    drop(unread);
}

#[tokio::test]
async fn ninety_nine_calls_go_on_beside_two_that_nobody_reads() {
    // Time stands still: nothing here may wait for a timer.
    let _clock = FrozenClock::new();
    let mut server = TestServer::start().await;
    let channel = common::build(Channel::builder(&server.target()));
    // One whose replies the client does not read, and one whose requests the server does not.
    let flood = Method::new("/test.Probe/Flood", Kind::ServerStreaming);
    let call = channel.server_streaming::<Raw, Raw>(&flood, raw("10000")).timeout(LONG);
    let mut unread_replies = call.await.unwrap();
    unread_replies.headers().await.unwrap();
    let stalled = Method::new("/test.Probe/Stalled", Kind::ClientStreaming);
    let mut upload = channel.client_streaming::<Raw, Raw>(&stalled).timeout(LONG).await.unwrap();
    let sending = tokio::spawn(async move { while upload.send(raw([7; 10_000])).await.is_ok() {} });
    server.started("Stalled").await;

    let chat = Method::new("/test.Probe/Chat", Kind::Bidi);
    let active = async || {
        let mut call = channel.bidi::<Raw, Raw>(&chat).timeout(LONG).await.unwrap();
        for size in 0..50 {
            call.send(raw(vec![7; size * 40])).await.unwrap();
            assert_eq!(call.next().await.unwrap(), Some(raw(vec![7; size * 40])));
        }
        call.half_close();
        assert_eq!(call.next().await.unwrap(), None);
    };
    futures_util::future::join_all((0..99).map(|_| active())).await;
    assert!(!sending.is_finished(), "the upload still waits");
    assert_eq!(server.connections(), 1);
    drop(unread_replies);
    sending.abort();
}

#[tokio::test]
async fn a_drain_does_not_cut_an_answer_that_a_slow_client_is_taking() {
    let clock = FrozenClock::new();
    let mut server = TestServer::start().await;
    let settings = [(setting::INITIAL_WINDOW_SIZE, 10)];
    let mut client = RawClient::connect_with(server.address(), &settings, 1 << 24).await;
    let stream = client.call("/test.Probe/Echo").await;
    client.window_update(0, 1000).await;
    let body = vec![7; 1000];
    client.grpc_message(stream, &body).await;
    client.half_close(stream).await;
    assert_eq!(server.ended().await, Seen::Finished("Echo"));
    let handle = server.handle().clone();
    let drain = tokio::spawn(async move { handle.shutdown(Duration::from_secs(3600)).await });
    client.wait_goaway().await;
    let is_data = |event: &Event| matches!(event, Event::Data { .. });
    let mut taken = 0;
    // Beyond the five seconds after which silent clients are left.
    for _ in 0..8 {
        if let Event::Data { data, .. } = client.wait("DATA", is_data).await {
            taken += data.len();
        }
        clock.advance(Duration::from_millis(900)).await;
        client.window_update(stream, 10).await;
    }
    client.window_update(stream, 1 << 20).await;
    let answer = client.answer(stream).await;
    assert_eq!(taken + answer.body.len(), 1005);
    assert_eq!(answer.grpc_status(), Some("0"));
    client.wait_closed().await;
    drain.await.unwrap();
}

#[tokio::test]
async fn a_higher_metadata_limit_holds_for_trailers_too() {
    for (size, fits) in [(100_000, true), (130_000, true), (140_000, false)] {
        let server = RawServer::bind().await;
        let limit = 128 * 1024 + 4096;
        let channel = common::build(Channel::builder(&server.target()).max_metadata_bytes(limit));
        let play = async {
            let mut connection = server.accept().await;
            let (request, _) = connection.whole_request().await;
            connection.headers(request.stream).await;
            let trailers = Fields::grpc_trailers(5, "no such thing").with("x-large", vec![b'a'; size]);
            connection.fields(request.stream, &trailers, true).await;
            connection
        };
        let call = channel.unary::<Raw, Raw>(&UNARY, raw("hi")).timeout(LONG).into_future();
        let (outcome, _connection) = tokio::join!(call, play);
        let status = outcome.unwrap_err();
        if fits {
            assert_status(&status, Code::NotFound, "no such thing");
            assert_eq!(status.metadata().get("x-large").map(str::len), Some(size));
        } else {
            assert_status(&status, Code::ResourceExhausted, "max_metadata_bytes");
        }
    }
}
