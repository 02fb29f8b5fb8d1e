//! Resets and cancellation: who gave up, how that is said, and what must not be lost.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{
    BIDI, DOWN, FrozenClock, LONG, Seen, TestServer, UNARY, UP, assert_status, channel, raw, stream_against,
    unary_against, unary_status,
};
use spanwire::{Code, Raw};
use spanwire_faults::{Event, Fields, Frame, RawClient, RawConnection, RawServer, grpc, reason};
use std::time::Duration;

// Wire checklist line 33
#[tokio::test]
async fn client_maps_every_reset_code_and_names_it() {
    for (code, expected) in [
        (reason::NO_ERROR, Code::Internal),
        (reason::PROTOCOL_ERROR, Code::Internal),
        (reason::INTERNAL_ERROR, Code::Internal),
        (reason::FLOW_CONTROL_ERROR, Code::Internal),
        (reason::SETTINGS_TIMEOUT, Code::Internal),
        (reason::STREAM_CLOSED, Code::Unknown),
        (reason::FRAME_SIZE_ERROR, Code::Internal),
        (reason::CANCEL, Code::Cancelled),
        (reason::COMPRESSION_ERROR, Code::Internal),
        (reason::CONNECT_ERROR, Code::Internal),
        (reason::ENHANCE_YOUR_CALM, Code::ResourceExhausted),
        (reason::INADEQUATE_SECURITY, Code::PermissionDenied),
        (reason::HTTP_1_1_REQUIRED, Code::Unknown),
        (0xbad, Code::Unknown),
    ] {
        let name = reason::name(code);
        let before = unary_status(async |server, stream| server.rst(stream, code).await).await;
        let after_headers = unary_status(async |server, stream| {
            server.headers(stream).await;
            server.rst(stream, code).await;
        })
        .await;
        let inside = unary_status(async |server, stream| {
            server.headers(stream).await;
            server.data(stream, &grpc::message(b"hello")[..7]).await;
            server.rst(stream, code).await;
        })
        .await;
        let (_, after_message) = stream_against(async |server, stream| {
            server.headers(stream).await;
            server.grpc_message(stream, b"one").await;
            server.rst(stream, code).await;
        })
        .await;
        for (when, status) in [
            ("before headers", before),
            ("after headers", after_headers),
            ("inside", inside),
            ("after data", after_message),
        ] {
            // The table has no row for STREAM_CLOSED, HTTP_1_1_REQUIRED and unlisted codes: UNKNOWN or INTERNAL.
            let unlisted = expected == Code::Unknown && status.code() == Code::Internal;
            assert!(status.code() == expected || unlisted, "{name} {when}: {status}");
            if code <= reason::HTTP_1_1_REQUIRED {
                assert!(status.message().contains(name), "{name} {when}: {status}");
            }
        }
    }
}

// Wire checklist line 33
#[tokio::test]
async fn a_stream_that_was_answered_and_then_refused_is_unavailable() {
    let (messages, status) = stream_against(async |server, stream| {
        server.headers(stream).await;
        server.grpc_message(stream, b"one").await;
        server.rst(stream, reason::REFUSED_STREAM).await;
    })
    .await;
    assert_eq!((messages.len(), status.code()), (1, Code::Unavailable), "{status}");
}

// Wire checklist line 33
#[tokio::test]
async fn server_cancels_the_handler_on_any_reset() {
    let mut server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    for code in [reason::CANCEL, reason::NO_ERROR, reason::INTERNAL_ERROR, reason::REFUSED_STREAM, 0xbad] {
        let stream = client.call("/test.Probe/Never").await;
        client.last_message(stream, b"").await;
        server.started("Never").await;
        client.rst(stream, code).await;
        assert_eq!(server.ended().await, Seen::Cancelled("Never"), "{}", reason::name(code));
    }
    assert_eq!(client.unary("/test.Probe/Echo", b"hi").await.grpc_status(), Some("0"));
}

// Wire checklist line 34
#[tokio::test]
async fn a_cancel_that_is_read_after_the_deadline_is_deadline_exceeded() {
    let clock = FrozenClock::new();
    let server = RawServer::bind().await;
    let channel = channel(&server);
    let mut call = channel.unary::<Raw, Raw>(&UNARY, raw("")).timeout(LONG).into_future();
    let request = async {
        let mut connection = server.accept().await;
        let (request, _) = connection.whole_request().await;
        assert!(request.fields.contains("grpc-timeout"));
        (connection, request.stream)
    };
    let (mut connection, stream) = tokio::select! {
        biased;
        outcome = &mut call => panic!("{outcome:?}"),
        request = request => request,
    };
    // Nobody polls the call while the server's view of the same deadline arrives and the deadline passes.
    connection.fields(stream, &Fields::grpc_response().with("x-half", "an answer"), false).await;
    connection.rst(stream, reason::CANCEL).await;
    connection.sync().await;
    clock.advance(LONG).await;
    let status = call.await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    assert!(status.metadata().is_empty(), "built locally");
}

// Wire checklist line 34
#[tokio::test]
async fn a_deadline_ends_every_kind_of_call_at_a_silent_server_and_resets() {
    let clock = FrozenClock::new();
    let server = RawServer::bind().await;
    let channel = channel(&server);
    let play = async {
        let mut connection = server.accept().await;
        let mut streams = Vec::new();
        for _ in 0..4 {
            streams.push(connection.request().await.stream);
        }
        // Two of them have answered a part.
        for stream in &streams[..2] {
            connection.headers(*stream).await;
        }
        connection.sync().await;
        clock.advance(LONG).await;
        for stream in streams {
            assert_eq!(connection.wait_reset(stream).await, reason::CANCEL);
        }
        connection
    };
    let unary = async { channel.unary::<Raw, Raw>(&UNARY, raw("")).timeout(LONG).await.unwrap_err() };
    let down = async {
        match channel.server_streaming::<Raw, Raw>(&DOWN, raw("")).timeout(LONG).await {
            Ok(mut stream) => stream.next().await.unwrap_err(),
            Err(status) => status,
        }
    };
    let up = async {
        let mut stream = channel.client_streaming::<Raw, Raw>(&UP).timeout(LONG).await.unwrap();
        stream.send(raw("one")).await.unwrap();
        stream.finish().await.unwrap_err()
    };
    let bidi = async {
        let mut duplex = channel.bidi::<Raw, Raw>(&BIDI).timeout(LONG).await.unwrap();
        duplex.next().await.unwrap_err()
    };
    let (unary, down, up, bidi, _connection) = tokio::join!(unary, down, up, bidi, play);
    for status in [unary, down, up, bidi] {
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    }
}

// Wire checklist line 34
#[tokio::test]
async fn server_ends_a_call_at_its_deadline_and_stops_the_handler() {
    let clock = FrozenClock::new();
    let mut server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    let request = Fields::grpc_request("/test.Probe/Never").with("grpc-timeout", "5S");
    let stream = client.call_with(&request).await;
    client.last_message(stream, b"").await;
    server.started("Never").await;
    clock.advance(Duration::from_secs(5)).await;
    assert_eq!(server.ended().await, Seen::Cancelled("Never"));
    let answer = client.answer(stream).await;
    let told = answer.grpc_status() == Some("4") || answer.reset == Some(reason::CANCEL);
    assert!(told, "{answer:?}");
}

// Wire checklist line 35
#[tokio::test]
async fn client_delivers_what_came_before_a_reset_without_error() {
    let response = unary_against(async |server, stream| {
        server
            .send_all(&[
                Frame::headers(stream, Fields::grpc_response().encode()),
                Frame::data(stream, grpc::message(b"yes")),
                Frame::headers(stream, Fields::grpc_trailers(0, "").encode()).end_stream(),
                Frame::rst(stream, reason::NO_ERROR),
            ])
            .await;
    })
    .await;
    assert_eq!(response.unwrap().message, raw("yes"));

    let (messages, status) = stream_against(async |server, stream| {
        let mut frames = vec![Frame::headers(stream, Fields::grpc_response().encode())];
        frames.extend((0..50).map(|_| Frame::data(stream, grpc::message(b"m"))));
        frames.push(Frame::headers(stream, Fields::grpc_trailers(0, "").encode()).end_stream());
        frames.push(Frame::rst(stream, reason::NO_ERROR));
        server.send_all(&frames).await;
    })
    .await;
    assert!(status.is_ok(), "{status}");
    assert_eq!(messages.len(), 50);
}

/// Opens a client stream, answers it with `answer` while the client keeps sending, and gives the outcome.
async fn upload_against(answer: impl AsyncFnOnce(&mut RawConnection, u32)) -> Result<Raw, spanwire::Status> {
    let server = RawServer::bind().await;
    let channel = channel(&server);
    let play = async {
        let mut connection = server.accept().await;
        let request = connection.request().await;
        connection.messages(request.stream).await;
        answer(&mut connection, request.stream).await;
        connection
    };
    let call = async {
        let mut stream = channel.client_streaming::<Raw, Raw>(&UP).timeout(LONG).await.unwrap();
        // Until the server has had enough; what `send` says then is not the call's status.
        while stream.send(raw([7; 1000])).await.is_ok() {
            tokio::task::yield_now().await;
        }
        stream.finish().await
    };
    let (outcome, _connection) = tokio::join!(call, play);
    outcome
}

// Wire checklist lines 35 and 36
#[tokio::test]
async fn client_takes_an_early_status_and_stops_sending() {
    let early = Fields::grpc_response().with("grpc-status", "8").with("grpc-message", "enough");
    let status = upload_against(async |server, stream| {
        server.fields(stream, &early, true).await;
        server.rst(stream, reason::NO_ERROR).await;
    })
    .await
    .unwrap_err();
    assert_status(&status, Code::ResourceExhausted, "enough");
}

// Wire checklist line 36
#[tokio::test]
async fn client_resets_its_half_when_the_server_has_finished() {
    let early = Fields::grpc_response().with("grpc-status", "8").with("grpc-message", "enough");
    let status = upload_against(async |server, stream| {
        // Without the server's own RST_STREAM.
        server.fields(stream, &early, true).await;
        let code = server.wait_reset(stream).await;
        assert!([reason::NO_ERROR, reason::CANCEL].contains(&code), "{}", reason::name(code));
    })
    .await
    .unwrap_err();
    assert_status(&status, Code::ResourceExhausted, "enough");
}

// Wire checklist lines 35 and 36
#[tokio::test]
async fn an_early_ok_with_its_message_is_a_success() {
    let outcome = upload_against(async |server, stream| {
        server.reply(stream, b"got enough").await;
        server.rst(stream, reason::NO_ERROR).await;
    })
    .await;
    assert_eq!(outcome.unwrap(), raw("got enough"));
}

// Wire checklist line 36
#[tokio::test]
async fn server_resets_with_no_error_after_early_trailers() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    for path in ["/test.Probe/EnoughUp", "/test.Probe/EnoughChat"] {
        let stream = client.call(path).await;
        client.grpc_message(stream, b"one").await;
        let answer = client.answer(stream).await;
        assert_eq!((answer.grpc_status(), answer.reset), (Some("8"), None), "{path}: {answer:?}");
        assert_eq!(client.wait_reset(stream).await, reason::NO_ERROR, "{path}");
    }
    let stream = client.call("/test.Probe/Missing").await;
    let answer = client.answer(stream).await;
    assert_eq!(answer.grpc_status(), Some("12"));
    assert_eq!(client.wait_reset(stream).await, reason::NO_ERROR, "refused before any handler");
}

// Wire checklist line 36
#[tokio::test]
async fn server_does_not_reset_a_stream_that_the_client_has_ended() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    client.unary("/test.Probe/Echo", b"hi").await;
    client.sync().await;
    assert!(client.passed().all(|event| !matches!(event, Event::Reset { .. })), "{}", client.transcript());
}

/// Reads from the request on until RST_STREAM, asserts that nothing ended the stream before it.
async fn assert_cancelled_without_end(connection: &mut RawConnection, stream: u32) {
    let end = connection
        .wait("the end of the stream", |event| match event {
            Event::Data { stream: id, end_stream: true, .. } | Event::Reset { stream: id, .. } => {
                *id == stream
            }
            Event::Headers(headers) => headers.stream == stream,
            _ => false,
        })
        .await;
    assert_eq!(end, Event::Reset { stream, code: reason::CANCEL }, "{}", connection.transcript());
}

// Wire checklist line 37
#[tokio::test]
async fn dropping_a_client_stream_cancels_and_never_ends_it() {
    let server = RawServer::bind().await;
    let channel = channel(&server);
    let (told, read) = tokio::sync::oneshot::channel();
    let call = async {
        let mut stream = channel.client_streaming::<Raw, Raw>(&UP).await.unwrap();
        stream.send(raw("half of it")).await.unwrap();
        read.await.unwrap();
        drop(stream);
    };
    let play = async {
        let mut connection = server.accept().await;
        let request = connection.request().await;
        connection.messages(request.stream).await;
        told.send(()).unwrap();
        assert_cancelled_without_end(&mut connection, request.stream).await;
    };
    tokio::join!(call, play);
}

// Wire checklist line 37
#[tokio::test]
async fn dropping_a_duplex_cancels_and_never_ends_it() {
    let server = RawServer::bind().await;
    let channel = channel(&server);
    let (told, read) = tokio::sync::oneshot::channel();
    let call = async {
        let mut duplex = channel.bidi::<Raw, Raw>(&BIDI).await.unwrap();
        duplex.send(raw("one")).await.unwrap();
        assert_eq!(duplex.next().await.unwrap(), Some(raw("two")));
        read.await.unwrap();
        drop(duplex);
    };
    let play = async {
        let mut connection = server.accept().await;
        let request = connection.request().await;
        connection.messages(request.stream).await;
        connection.headers(request.stream).await;
        connection.grpc_message(request.stream, b"two").await;
        told.send(()).unwrap();
        assert_cancelled_without_end(&mut connection, request.stream).await;
    };
    tokio::join!(call, play);
}

// Wire checklist line 37
#[tokio::test]
async fn dropping_only_the_sending_half_cancels_and_never_ends_it() {
    let server = RawServer::bind().await;
    let channel = channel(&server);
    let (told, read) = tokio::sync::oneshot::channel();
    let call = async {
        let (mut sending, mut replies) = channel.bidi::<Raw, Raw>(&BIDI).timeout(LONG).await.unwrap().split();
        sending.send(raw("one")).await.unwrap();
        assert_eq!(replies.next().await.unwrap(), Some(raw("two")));
        read.await.unwrap();
        drop(sending);
        replies.next().await.unwrap_err()
    };
    let play = async {
        let mut connection = server.accept().await;
        let request = connection.request().await;
        connection.messages(request.stream).await;
        connection.headers(request.stream).await;
        connection.grpc_message(request.stream, b"two").await;
        told.send(()).unwrap();
        assert_cancelled_without_end(&mut connection, request.stream).await;
        connection
    };
    let (status, _connection) = tokio::join!(call, play);
    assert_eq!(status.code(), Code::Cancelled, "{status}");
}

// Wire checklist line 37
#[tokio::test]
async fn a_deadline_in_the_middle_of_an_upload_cancels_and_never_ends_it() {
    let clock = FrozenClock::new();
    let server = RawServer::bind().await;
    let channel = channel(&server);
    let call = async {
        let mut stream = channel.client_streaming::<Raw, Raw>(&UP).timeout(LONG).await.unwrap();
        loop {
            if let Err(status) = stream.send(raw([7; 10_000])).await {
                return status;
            }
        }
    };
    let play = async {
        // The window holds back the rest.
        let mut connection = server.accept_with(&[], 0).await;
        let request = connection.request().await;
        while connection.data_bytes() < 65_535 {
            connection.wait("DATA", |event| matches!(event, Event::Data { .. })).await;
        }
        clock.advance(LONG).await;
        assert_cancelled_without_end(&mut connection, request.stream).await;
    };
    let (status, ()) = tokio::join!(call, play);
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
}

// Wire checklist line 37
#[tokio::test]
async fn dropping_a_reader_cancels_the_stream() {
    let server = RawServer::bind().await;
    let channel = channel(&server);
    let call = async {
        let mut stream = channel.server_streaming::<Raw, Raw>(&DOWN, raw("")).await.unwrap();
        assert_eq!(stream.next().await.unwrap(), Some(raw("one")));
        drop(stream);
    };
    let play = async {
        let mut connection = server.accept().await;
        let (request, _) = connection.whole_request().await;
        connection.headers(request.stream).await;
        connection.grpc_message(request.stream, b"one").await;
        assert_eq!(connection.wait_reset(request.stream).await, reason::CANCEL);
    };
    tokio::join!(call, play);
}

// Wire checklist line 37
#[tokio::test]
async fn dropping_a_unary_call_in_the_middle_of_its_message_cancels_and_never_ends_it() {
    let server = RawServer::bind().await;
    let channel = channel(&server);
    let (told, read) = tokio::sync::oneshot::channel::<()>();
    let call = async {
        let call = channel.unary::<Raw, Raw>(&UNARY, raw(vec![7; 1_000_000])).into_future();
        tokio::select! {
            outcome = call => panic!("{outcome:?}"),
            _ = read => {}
        }
    };
    let play = async {
        // The window holds back the rest of the message.
        let mut connection = server.accept_with(&[], 0).await;
        let request = connection.request().await;
        connection.wait("DATA", |event| matches!(event, Event::Data { .. })).await;
        told.send(()).unwrap();
        assert_cancelled_without_end(&mut connection, request.stream).await;
    };
    tokio::join!(call, play);
}

// Wire checklist line 37
#[tokio::test]
async fn dropping_a_call_that_waits_for_its_answer_cancels_it() {
    let server = RawServer::bind().await;
    let channel = channel(&server);
    let (told, read) = tokio::sync::oneshot::channel::<()>();
    let call = async {
        tokio::select! {
            outcome = channel.unary::<Raw, Raw>(&UNARY, raw("")).into_future() => panic!("{outcome:?}"),
            _ = read => {}
        }
    };
    let play = async {
        let mut connection = server.accept().await;
        let (request, _) = connection.whole_request().await;
        told.send(()).unwrap();
        assert_eq!(connection.wait_reset(request.stream).await, reason::CANCEL);
    };
    tokio::join!(call, play);
}

// Wire checklist line 37
#[tokio::test]
async fn a_cancelled_upload_is_never_a_finished_one_for_the_handler() {
    let mut server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    for path in ["Upload", "Chat"] {
        let stream = client.call(&format!("/test.Probe/{path}")).await;
        server.started(path).await;
        client.grpc_message(stream, b"half").await;
        client.rst(stream, reason::CANCEL).await;
        assert_eq!(server.ended().await, Seen::Cancelled(path));
    }
}

// Wire checklist lines 33 and 37
#[tokio::test]
async fn handlers_are_cancelled_when_the_connection_is_lost() {
    let mut server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    let never = client.call("/test.Probe/Never").await;
    client.last_message(never, b"").await;
    server.started("Never").await;
    client.call("/test.Probe/Upload").await;
    server.started("Upload").await;
    drop(client);
    let mut ends = [server.ended().await, server.ended().await];
    ends.sort();
    assert_eq!(ends, [Seen::Cancelled("Never"), Seen::Cancelled("Upload")]);
}

// Wire checklist line 38
#[tokio::test]
async fn a_stream_cut_by_a_reset_is_an_error_and_no_clean_end() {
    for (code, expected) in [(reason::NO_ERROR, Code::Internal), (reason::CANCEL, Code::Cancelled)] {
        let (messages, status) = stream_against(async |server, stream| {
            server.headers(stream).await;
            server.grpc_message(stream, b"one").await;
            server.grpc_message(stream, b"two").await;
            server.rst(stream, code).await;
        })
        .await;
        assert_eq!(status.code(), expected, "{status}");
        assert!(messages.len() <= 2);
    }
}

// Wire checklist line 38
#[tokio::test]
async fn a_stream_cut_by_the_end_of_the_connection_is_an_error_and_no_clean_end() {
    let (messages, status) = stream_against(async |server, stream| {
        server.headers(stream).await;
        server.grpc_message(stream, b"one").await;
        server.shut_down().await;
    })
    .await;
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(messages.len() <= 1);
}
