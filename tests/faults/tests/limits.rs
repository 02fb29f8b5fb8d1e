//! Limits: what both sides announce, what a slow peer can make them hold, which floods they end, and which
//! honest traffic must never be taken for a flood.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{BIDI, DOWN, FrozenClock, LONG, Seen, TestServer, UNARY, UP, channel, raw};
use spanwire::{Channel, Code, Kind, Method, Raw};
use spanwire_faults::frame::{flag, kind, setting};
use spanwire_faults::{Event, Fields, Frame, RawClient, RawConnection, RawServer, grpc, reason};
use std::time::Duration;

const ECHO: &str = "/test.Probe/Echo";
const STREAM_WINDOW: usize = 65_535;

async fn accept_unary_call(server: &RawServer, channel: &Channel) -> RawConnection {
    let play = async {
        let mut connection = server.accept().await;
        let (request, _) = connection.whole_request().await;
        connection.reply(request.stream, b"").await;
        connection
    };
    let call = channel.unary::<Raw, Raw>(&UNARY, raw("")).timeout(LONG);
    let (outcome, connection) = tokio::join!(call.into_future(), play);
    outcome.unwrap();
    connection
}

// Hazards §2, wire checklist line 13
#[tokio::test]
async fn server_announces_its_limits() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    client.sync().await;
    assert_eq!(client.server_setting(setting::MAX_CONCURRENT_STREAMS), Some(256));
    assert_eq!(client.server_setting(setting::INITIAL_WINDOW_SIZE).unwrap_or(65_535), 512 * 1024);
    assert!(client.server_setting(setting::MAX_HEADER_LIST_SIZE).is_some_and(|limit| limit <= 65_536));
    assert_eq!(client.server_setting(setting::MAX_FRAME_SIZE).unwrap_or(16_384), 72 * 1024);
    assert_eq!(client.connection_room(), 2 << 20, "connection window");
}

#[tokio::test]
async fn a_wide_stream_window_widens_that_of_the_connection() {
    let server = TestServer::with(|server| server.stream_window_bytes(1 << 20)).await;
    let mut client = RawClient::connect(server.address()).await;
    client.sync().await;
    assert_eq!(client.connection_room(), 4 << 20, "one unread stream would stop all others");
}

// Hazards §2, wire checklist line 13
#[tokio::test]
async fn client_announces_its_limits() {
    let server = RawServer::bind().await;
    let channel = channel(&server);
    let mut connection = accept_unary_call(&server, &channel).await;
    assert_eq!(connection.client_setting(setting::ENABLE_PUSH), Some(0));
    assert_eq!(connection.client_setting(setting::INITIAL_WINDOW_SIZE).unwrap_or(65_535), 512 * 1024);
    assert!(connection.client_setting(setting::MAX_HEADER_LIST_SIZE).is_some_and(|limit| limit <= 65_536));
    connection.sync().await;
    // The answer of five bytes is too little for a WINDOW_UPDATE.
    assert_eq!(connection.connection_room(), (2 << 20) - 5, "connection window");
}

// ---- slow readers and writers ----

/// Runs everything that can run without the other side, so that what stands still now stands still for good.
async fn settle(link: &mut spanwire_faults::Link) {
    let mut before = usize::MAX;
    while before != link.data_bytes() {
        before = link.data_bytes();
        for _ in 0..3 {
            link.sync().await;
        }
    }
}

// Hazards A10
#[tokio::test]
async fn a_client_that_gives_no_window_stops_the_handler() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect_with(server.address(), &[], 0).await;
    let stream = client.call("/test.Probe/Flood").await;
    client.last_message(stream, b"10000").await;
    client.wait_headers(stream).await;
    while client.data_bytes() < STREAM_WINDOW {
        client.wait("DATA", |event| matches!(event, Event::Data { .. })).await;
    }
    settle(&mut client).await;
    assert_eq!(client.data_bytes(), STREAM_WINDOW, "the window, and not a byte more");
    let handed_over = server.sent() * 10_005;
    assert!(
        handed_over <= STREAM_WINDOW + 64 * 1024 + 10_005,
        "{handed_over} bytes were taken from the handler"
    );

    // Window that is given is used, to the byte.
    client.window_update(0, 30_000).await;
    client.window_update(stream, 20_000).await;
    while client.data_bytes() < STREAM_WINDOW + 20_000 {
        client.wait("DATA", |event| matches!(event, Event::Data { .. })).await;
    }
    settle(&mut client).await;
    assert_eq!(client.data_bytes(), STREAM_WINDOW + 20_000);
}

// Hazards A10
#[tokio::test]
async fn a_stalled_stream_does_not_hold_up_the_others_of_its_connection() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect_with(server.address(), &[], 1 << 20).await;
    let stalled = client.call("/test.Probe/Flood").await;
    client.last_message(stalled, b"10000").await;
    client.wait_headers(stalled).await;
    settle(&mut client).await;
    for _ in 0..50 {
        assert_eq!(client.unary(ECHO, &[7; 5000]).await.grpc_status(), Some("0"));
    }
}

// Hazards A10
#[tokio::test]
async fn many_stalled_streams_hold_a_bounded_amount() {
    let mut server = TestServer::start().await;
    let mut client = RawClient::connect_with(server.address(), &[(setting::INITIAL_WINDOW_SIZE, 0)], 0).await;
    for _ in 0..100 {
        let stream = client.call("/test.Probe/Flood").await;
        client.last_message(stream, b"10000").await;
        server.started("Flood").await;
    }
    settle(&mut client).await;
    assert_eq!(client.data_bytes(), 0);
    let each = server.sent() * 10_005 / 100;
    assert!(each <= 64 * 1024 + 10_005, "{each} bytes are queued on each stream");
}

// Hazards A10
#[tokio::test]
async fn a_stream_that_stays_stalled_for_a_minute_is_reset() {
    let clock = FrozenClock::new();
    let mut server = TestServer::with(|server| server.keepalive(None)).await;
    let mut client = RawClient::connect_with(server.address(), &[(setting::INITIAL_WINDOW_SIZE, 0)], 0).await;
    let stream = client.call("/test.Probe/Flood").await;
    client.last_message(stream, b"10000").await;
    server.started("Flood").await;
    settle(&mut client).await;
    clock.advance(Duration::from_secs(59)).await;
    client.sync().await;
    assert!(client.passed().all(|event| !matches!(event, Event::Reset { .. })), "{}", client.transcript());
    clock.advance(Duration::from_secs(2)).await;
    client.wait_reset(stream).await;
    assert_eq!(server.ended().await, Seen::Cancelled("Flood"));
}

// Wire checklist line 45, hazards §4
#[tokio::test]
async fn a_handler_that_does_not_read_stops_the_client() {
    let mut server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    let stream = client.call("/test.Probe/Stalled").await;
    client.grpc_message(stream, b"x").await;
    server.started("Stalled").await;
    settle(&mut client).await;
    let mut sent = 0;
    while client.room(stream) >= 1005 {
        client.grpc_message(stream, &[7; 1000]).await;
        sent += 1000;
        if client.room(stream) < 1005 {
            settle(&mut client).await;
        }
        assert!(sent < 1 << 20, "the server takes in more than the reader asks for");
    }
    // Others go on, and so does this one when it is read.
    assert_eq!(client.unary(ECHO, b"hi").await.grpc_status(), Some("0"));
    server.open_gate();
    for _ in 0..200 {
        client.wait_room(stream, 1005).await;
        client.grpc_message(stream, &[7; 1000]).await;
        sent += 1000;
    }
    client.half_close(stream).await;
    assert_eq!(client.answer(stream).await.messages(), [(0, sent.to_string().into())]);
}

// Hazards §4
#[tokio::test]
async fn a_caller_that_does_not_read_stops_the_server() {
    let server = RawServer::bind().await;
    let channel = channel(&server);
    let (stalled, resume) = tokio::sync::oneshot::channel();
    let play = async {
        let mut connection = server.accept().await;
        let (request, _) = connection.whole_request().await;
        connection.headers(request.stream).await;
        let mut sent = 0;
        while connection.room(request.stream) >= 1005 {
            connection.grpc_message(request.stream, &[7; 1000]).await;
            sent += 1;
            if connection.room(request.stream) < 1005 {
                settle(&mut connection).await;
            }
            assert!(sent < 3000, "the client takes in more than its reader asks for");
        }
        // Another call on the same connection goes through meanwhile.
        let (other, _) = connection.whole_request().await;
        connection.reply(other.stream, b"other").await;
        stalled.send(()).unwrap();
        for _ in 0..500 {
            connection.wait_room(request.stream, 1005).await;
            connection.grpc_message(request.stream, &[7; 1000]).await;
            sent += 1;
        }
        connection.trailers(request.stream, 0, "").await;
        (sent, connection)
    };
    let calls = async {
        let mut stream = channel.server_streaming::<Raw, Raw>(&DOWN, raw("")).timeout(LONG).await.unwrap();
        stream.headers().await.unwrap();
        let other = channel.unary::<Raw, Raw>(&UNARY, raw("")).timeout(LONG).await.unwrap();
        assert_eq!(other, raw("other"));
        resume.await.unwrap();
        let mut count = 0;
        while stream.next().await.unwrap().is_some() {
            count += 1;
        }
        count
    };
    let (count, (sent, _connection)) = tokio::join!(calls, play);
    assert_eq!(count, sent);
}

// Hazards §4
#[tokio::test]
async fn a_server_that_gives_no_window_stops_the_caller() {
    let server = RawServer::bind().await;
    let channel = channel(&server);
    let handed_over = std::cell::Cell::new(0);
    let call = async {
        let mut stream = channel.client_streaming::<Raw, Raw>(&UP).timeout(LONG).await.unwrap();
        for _ in 0..100 {
            if stream.send(raw([7; 10_000])).await.is_err() {
                break;
            }
            handed_over.set(handed_over.get() + 10_005);
        }
        stream.finish().await
    };
    let play = async {
        let mut connection = server.accept_with(&[], 0).await;
        let request = connection.request().await;
        while connection.data_bytes() < STREAM_WINDOW {
            connection.wait("DATA", |event| matches!(event, Event::Data { .. })).await;
        }
        settle(&mut connection).await;
        assert_eq!(connection.data_bytes(), STREAM_WINDOW);
        assert!(
            handed_over.get() <= STREAM_WINDOW + 64 * 1024 + 10_005,
            "{} bytes were taken",
            handed_over.get()
        );
        connection.window_update(0, 1 << 24).await;
        connection.window_update(request.stream, 1 << 24).await;
        connection.body(request.stream).await;
        connection.reply(request.stream, b"all").await;
        connection
    };
    let (outcome, connection) = tokio::join!(call, play);
    assert_eq!(outcome.unwrap(), raw("all"));
    assert_eq!(connection.data_bytes(), 100 * 10_005);
}

// ---- floods ----

/// Sends `flood` until the server ends the connection; gives the GOAWAY code and text if there was one.
async fn flood(
    server: &TestServer,
    what: &str,
    limit: usize,
    mut flood: impl FnMut(&mut RawClient) -> Vec<Frame>,
) {
    let mut client = RawClient::connect(server.address()).await;
    let mut frames = 0;
    let mut ended = None;
    while ended.is_none() && frames < limit {
        let batch = flood(&mut client);
        frames += batch.len();
        client.send_all(&batch).await;
        // Take in what has come, without waiting for more.
        while let Ok(event) = tokio::time::timeout(Duration::ZERO, client.next()).await {
            if matches!(event, Event::GoAway { .. } | Event::Closed { .. }) {
                ended = Some(event);
                break;
            }
        }
    }
    let ended = match ended {
        Some(event) => event,
        None => {
            let end = |event: &Event| matches!(event, Event::GoAway { .. } | Event::Closed { .. });
            client.wait(&format!("an end of {what}"), end).await
        }
    };
    if let Event::GoAway { code, .. } = ended {
        assert!(
            [reason::ENHANCE_YOUR_CALM, reason::PROTOCOL_ERROR, reason::FLOW_CONTROL_ERROR].contains(&code),
            "{what}: {}",
            reason::name(code)
        );
    }
    let mut other = RawClient::connect(server.address()).await;
    assert_eq!(other.unary(ECHO, b"hi").await.grpc_status(), Some("0"), "{what}: others are not harmed");
}

fn start(client: &mut RawClient, path: &str) -> (u32, Frame) {
    let stream = client.take_stream();
    (stream, Frame::headers(stream, Fields::grpc_request(path).encode()))
}

// Hazards A1
#[tokio::test]
async fn server_ends_a_rapid_reset() {
    let server = TestServer::start().await;
    flood(&server, "rapid reset", 60_000, |client| {
        (0..100)
            .flat_map(|_| {
                let (stream, headers) = start(client, "/test.Probe/Never");
                [headers, Frame::rst(stream, reason::CANCEL)]
            })
            .collect()
    })
    .await;
}

// Hazards A2, §0 finding 2
#[tokio::test]
async fn server_ends_a_client_that_makes_it_reset() {
    let server = TestServer::start().await;
    flood(&server, "window overflow", 20_000, |client| {
        (0..100)
            .flat_map(|_| {
                let (stream, headers) = start(client, "/test.Probe/Never");
                [headers, Frame::window_update(stream, 0x7fff_ffff)]
            })
            .collect()
    })
    .await;
    flood(&server, "empty window update", 20_000, |client| {
        (0..100)
            .flat_map(|_| {
                let (stream, headers) = start(client, "/test.Probe/Never");
                [headers, Frame::window_update(stream, 0)]
            })
            .collect()
    })
    .await;
    flood(&server, "data after the end", 30_000, |client| {
        (0..100)
            .flat_map(|_| {
                let (stream, headers) = start(client, "/test.Probe/Never");
                let end = Frame::data(stream, grpc::message(b"")).end_stream();
                [headers, end, Frame::data(stream, &b"more"[..])]
            })
            .collect()
    })
    .await;
}

// Hazards A6 and A7
#[tokio::test]
async fn server_ends_floods_of_empty_data() {
    let server = TestServer::start().await;
    for (what, padding) in [("empty DATA", None), ("DATA of padding", Some(0))] {
        let mut open = None;
        flood(&server, what, 100_000, |client| {
            let mut frames = Vec::new();
            let stream = *open.get_or_insert_with(|| {
                let (stream, headers) = start(client, "/test.Probe/Upload");
                frames.push(headers);
                stream
            });
            let empty = Frame::data(stream, bytes::Bytes::new());
            let empty = padding.map_or(empty.clone(), |count| empty.padded(count));
            frames.extend(vec![empty; 200]);
            frames
        })
        .await;
    }
}

// Hazards A8, A9 and A11
#[tokio::test]
async fn server_ends_floods_of_control_frames() {
    let server = TestServer::start().await;
    let unknown = Frame::new(0xfa, 0, 0, &b"what?"[..]);
    for (what, frame) in [
        ("PING", Frame::ping(*b"flooding")),
        ("SETTINGS", Frame::settings(&[])),
        ("PRIORITY", Frame::priority(1)),
        ("WINDOW_UPDATE", Frame::window_update(0, 1)),
        ("unknown frames", unknown),
    ] {
        flood(&server, what, 200_000, |_| vec![frame.clone(); 1000]).await;
    }
}

// Hazards A9
#[tokio::test]
async fn server_refuses_settings_of_very_many_entries() {
    let server = TestServer::start().await;
    flood(&server, "SETTINGS of 2000 entries", 100, |_| vec![Frame::settings(&[(0xf000, 1); 2000])]).await;
}

// Hazards A14
#[tokio::test]
async fn a_client_that_does_not_begin_is_dropped_after_twenty_seconds() {
    let clock = FrozenClock::new();
    let server = TestServer::start().await;
    let mut mute = RawClient::connect_bare(server.address()).await;
    let mut half = RawClient::connect_bare(server.address()).await;
    half.send_bytes(&spanwire_faults::frame::PREFACE[..10]).await;
    let mut without_settings = RawClient::connect_bare(server.address()).await;
    without_settings.send_bytes(spanwire_faults::frame::PREFACE).await;
    // One that does begin shows that the others were accepted, and stays.
    let mut fine = RawClient::connect(server.address()).await;
    clock.advance(Duration::from_millis(19_900)).await;
    fine.sync().await;
    clock.advance(Duration::from_millis(200)).await;
    for client in [&mut mute, &mut half, &mut without_settings] {
        client.read_to_end().await;
    }
    assert_eq!(fine.unary(ECHO, b"hi").await.grpc_status(), Some("0"));
}

// ---- honest traffic ----

// Hazards F1
#[tokio::test]
async fn ten_thousand_small_messages_with_a_pause_of_the_reader_pass() {
    let server = RawServer::bind().await;
    let channel = channel(&server);
    let (stalled, resume) = tokio::sync::oneshot::channel();
    let play = async {
        let mut connection = server.accept().await;
        let (request, _) = connection.whole_request().await;
        connection.headers(request.stream).await;
        let mut stalled = Some(stalled);
        for n in 0..10_000 {
            if n > 1000 && connection.room(request.stream) < 605 {
                // The reader has paused and the window is used up.
                if let Some(stalled) = stalled.take() {
                    stalled.send(()).unwrap();
                }
            }
            connection.wait_room(request.stream, 605).await;
            connection.send(Frame::data(request.stream, grpc::message(&[7; 600]))).await;
        }
        connection.trailers(request.stream, 0, "").await;
        connection
    };
    let call = async {
        let mut stream =
            channel.server_streaming::<Raw, Raw>(&DOWN, raw("")).timeout(3 * LONG).await.unwrap();
        for _ in 0..1000 {
            stream.next().await.unwrap().unwrap();
        }
        resume.await.unwrap();
        let mut count = 1000;
        while stream.next().await.unwrap().is_some() {
            count += 1;
        }
        count
    };
    let (count, _connection) = tokio::join!(call, play);
    assert_eq!(count, 10_000);
}

// Hazards F1
#[tokio::test]
async fn ten_thousand_small_messages_pass_between_our_own_client_and_server() {
    let server = TestServer::start().await;
    let channel = common::build(Channel::builder(&server.target()));
    let count = Method::new("/test.Probe/Count", Kind::ServerStreaming);
    let mut stream = channel.server_streaming::<Raw, Raw>(&count, raw("10000")).timeout(LONG).await.unwrap();
    for n in 0..10_000 {
        assert_eq!(stream.next().await.unwrap(), Some(raw(n.to_string())));
    }
    assert_eq!(stream.next().await.unwrap(), None);

    let chat = Method::new("/test.Probe/Chat", BIDI.kind());
    let (mut sending, mut replies) = channel.bidi::<Raw, Raw>(&chat).timeout(LONG).await.unwrap().split();
    let send = async {
        for _ in 0..5_000 {
            sending.send(raw([7; 20])).await.unwrap();
        }
        sending.half_close();
    };
    let read = async {
        let mut count = 0;
        while replies.next().await.unwrap().is_some() {
            count += 1;
        }
        count
    };
    assert_eq!(tokio::join!(send, read).1, 5_000);
}

// Hazards F2
#[tokio::test]
async fn thousands_of_calls_that_end_by_deadline_leave_the_connection_alone() {
    let server = TestServer::start().await;
    let channel = common::build(Channel::builder(&server.target()));
    let echo = Method::new(ECHO, Kind::Unary);
    let peer = async || {
        let response = channel.unary::<Raw, Raw>(&echo, raw("")).timeout(LONG).response().await.unwrap();
        assert_eq!(response.message, raw(""));
    };
    peer().await;
    let never = Method::new("/test.Probe/Never", Kind::Unary);
    let one_of_fifty = async || {
        for n in 0..40 {
            let timeout = Duration::from_millis(1 + n % 5);
            let status = channel.unary::<Raw, Raw>(&never, raw("")).timeout(timeout).await.unwrap_err();
            assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
        }
    };
    futures_util::future::join_all((0..50).map(|_| one_of_fifty())).await;
    peer().await;
    assert_eq!(server.connections(), 1, "no call had to open a new connection");
}

// Hazards F3
#[tokio::test]
async fn two_hundred_calls_cancelled_at_once_leave_the_connection_alone() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    let mut frames = Vec::new();
    let mut resets = Vec::new();
    for _ in 0..200 {
        let (stream, headers) = start(&mut client, "/test.Probe/Never");
        frames.push(headers);
        resets.push(Frame::rst(stream, reason::CANCEL));
    }
    frames.extend(resets);
    client.send_all(&frames).await;
    for _ in 0..200 {
        assert_eq!(client.unary(ECHO, b"hi").await.grpc_status(), Some("0"));
    }
    assert!(client.passed().all(|event| !matches!(event, Event::GoAway { .. })));
}

// Hazards F6, in small
#[tokio::test]
async fn windows_stay_open_over_many_calls_of_every_fate() {
    let mut server = TestServer::with(|server| server.max_recv_message_bytes(10_000)).await;
    let mut client = RawClient::connect(server.address()).await;
    for _ in 0..100 {
        // One that is good, one that is over the limit, one that is cancelled inside its message.
        assert_eq!(client.unary(ECHO, &[7; 9_000]).await.grpc_status(), Some("0"));
        let stream = client.call(ECHO).await;
        client.wait_room(stream, 12_005).await;
        client.last_message(stream, &[7; 12_000]).await;
        assert_eq!(client.answer(stream).await.grpc_status(), Some("8"));
        let stream = client.call("/test.Probe/Upload").await;
        server.started("Upload").await;
        client.wait_room(stream, 9_000).await;
        client.data(stream, &grpc::message(&[7; 10_000])[..9_000]).await;
        client.rst(stream, reason::CANCEL).await;
    }
    client.sync().await;
    assert!(client.connection_room() > 512 * 1024, "{}", client.connection_room());
}

// Hazards A13
#[tokio::test]
async fn violations_of_http2_end_the_stream_or_the_connection() {
    let server = TestServer::start().await;
    let headers = |stream| Frame::headers(stream, Fields::grpc_request(ECHO).encode());
    let cases: Vec<(&str, Vec<Frame>)> = vec![
        ("a frame above MAX_FRAME_SIZE", vec![headers(1), Frame::data(1, vec![0; 72 * 1024 + 1])]),
        ("a length that lies", vec![Frame::ping(*b"12345678").claiming_length(9), Frame::settings(&[])]),
        ("DATA on stream 0", vec![Frame::data(0, &b"x"[..])]),
        ("DATA on an idle stream", vec![Frame::data(5, &b"x"[..])]),
        ("HEADERS on an even stream", vec![headers(2)]),
        ("HEADERS on a lower stream", vec![headers(5), headers(3)]),
        ("RST_STREAM on an idle stream", vec![Frame::rst(9, reason::CANCEL)]),
        ("RST_STREAM of 3 bytes", vec![headers(1), Frame::new(kind::RST_STREAM, 0, 1, vec![0; 3])]),
        ("PING of 7 bytes", vec![Frame::new(kind::PING, 0, 0, vec![0; 7])]),
        ("PING on a stream", vec![Frame::new(kind::PING, 0, 1, vec![0; 8])]),
        ("SETTINGS of 5 bytes", vec![Frame::new(kind::SETTINGS, 0, 0, vec![0; 5])]),
        ("SETTINGS on a stream", vec![Frame::new(kind::SETTINGS, 0, 1, vec![])]),
        ("SETTINGS ACK with a payload", vec![Frame::settings(&[(1, 1)]).with_flag(flag::ACK)]),
        ("ENABLE_PUSH of 2", vec![Frame::settings(&[(setting::ENABLE_PUSH, 2)])]),
        (
            "INITIAL_WINDOW_SIZE above 2^31-1",
            vec![Frame::settings(&[(setting::INITIAL_WINDOW_SIZE, 1 << 31)])],
        ),
        ("MAX_FRAME_SIZE of 0", vec![Frame::settings(&[(setting::MAX_FRAME_SIZE, 0)])]),
        ("WINDOW_UPDATE of 0", vec![Frame::window_update(0, 0)]),
        ("WINDOW_UPDATE beyond 2^31-1", vec![Frame::window_update(0, 0x7fff_ffff)]),
        ("CONTINUATION without HEADERS", vec![Frame::continuation(1, vec![])]),
        (
            "a frame inside a header block",
            vec![headers(1).without_flag(flag::END_HEADERS), Frame::ping([0; 8])],
        ),
        ("PUSH_PROMISE from a client", vec![headers(1), Frame::push_promise(1, 2, &[])]),
        (
            "padding longer than the frame",
            vec![headers(1), Frame::new(kind::DATA, flag::PADDED, 1, vec![200, 0])],
        ),
        ("a header block that is not HPACK", vec![Frame::headers(1, vec![0xff; 20])]),
        ("a reference to nothing", vec![Frame::headers(1, vec![0x80 | 100])]),
    ];
    for (what, frames) in cases {
        let mut client = RawClient::connect_with(server.address(), &[], 0).await;
        client.send_all(&frames).await;
        let end = |event: &Event| {
            matches!(event, Event::Reset { .. } | Event::GoAway { .. } | Event::Closed { .. })
        };
        let end = client.wait(&format!("an answer to {what}"), end).await;
        if let Event::Reset { code, .. } | Event::GoAway { code, .. } = end {
            assert_ne!(code, reason::NO_ERROR, "{what}");
        }
    }
    let mut client = RawClient::connect(server.address()).await;
    assert_eq!(client.unary(ECHO, b"hi").await.grpc_status(), Some("0"));
}
