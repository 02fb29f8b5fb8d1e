//! Responses and their status: where it stands, what it means, and what a bad one must not break.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{
    BIDI, LONG, TestServer, assert_status, channel, raw, stream_against, unary_against, unary_status,
};
use spanwire::{Channel, Code, Raw};
use spanwire_faults::{Event, Fields, Frame, RawClient, RawServer, grpc, reason};

/// Unary: fails with the code, a space, and the text that the message holds.
const FAIL: &str = "/test.Probe/Fail";

// Wire checklist line 23
#[tokio::test]
async fn trailers_only_is_one_headers_frame_with_end_stream() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    for path in [FAIL, "/test.Probe/FailStream"] {
        let stream = client.call(path).await;
        client.last_message(stream, b"5 not here").await;
        let headers = client.wait_headers(stream).await;
        assert!(headers.end_stream, "{path}: {headers:?}");
        assert_eq!(headers.fields.get(":status"), Some("200"), "{path}");
        assert_eq!(headers.fields.get("content-type"), Some("application/grpc"), "{path}");
        assert_eq!(headers.fields.get("grpc-status"), Some("5"), "{path}");
        assert_eq!(headers.fields.get("grpc-message"), Some("not here"), "{path}");
    }
}

// Wire checklist line 23
#[tokio::test]
async fn client_ignores_a_status_in_headers_when_more_follows() {
    let lying_headers = Fields::grpc_response().with("grpc-status", "9").with("grpc-message", "not this one");
    let response = unary_against(async |server, stream| {
        server.fields(stream, &lying_headers, false).await;
        server.grpc_message(stream, b"yes").await;
        server.trailers(stream, 0, "").await;
    })
    .await;
    assert_eq!(response.unwrap().message, raw("yes"), "a body follows");

    let status = unary_status(async |server, stream| {
        server.fields(stream, &lying_headers, false).await;
        server.trailers(stream, 5, "this one").await;
    })
    .await;
    assert_status(&status, Code::NotFound, "this one");
}

// Wire checklist lines 23 and 27
#[tokio::test]
async fn client_ignores_a_status_in_headers_when_an_empty_body_ends_the_stream() {
    let status = unary_status(async |server, stream| {
        server.fields(stream, &Fields::grpc_response().with("grpc-status", "0"), false).await;
        server.grpc_message(stream, b"yes").await;
        server.send(Frame::data(stream, bytes::Bytes::new()).end_stream()).await;
    })
    .await;
    assert_eq!(status.code(), Code::Unknown, "no trailers: {status}");
}

// Wire checklist line 24
#[tokio::test]
async fn server_sends_headers_with_the_first_message_and_not_before() {
    let mut server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    let stream = client.call("/test.Probe/Chat").await;
    server.started("Chat").await;
    client.sync().await;
    assert!(client.passed().all(|event| event.stream().is_none()), "{}", client.transcript());
    client.grpc_message(stream, b"hi").await;
    let headers = client.wait_headers(stream).await;
    assert!(!headers.end_stream && !headers.fields.contains("grpc-status"), "{headers:?}");
}

// Wire checklist line 24
#[tokio::test]
async fn server_sends_headers_early_when_the_handler_asks() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    let stream = client.call("/test.Probe/HeadersFirst").await;
    let headers = client.wait_headers(stream).await;
    assert!(!headers.end_stream, "{headers:?}");
    assert_eq!(headers.fields.get("x-early"), Some("1"));
    client.half_close(stream).await;
    let answer = client.answer(stream).await;
    assert_eq!(answer.headers.get("grpc-status"), Some("0"), "the trailers: {answer:?}");
}

/// An answer of an HTTP server that is no gRPC server.
async fn http_status(status: &str) -> spanwire::Status {
    unary_status(async |server, stream| {
        let fields = Fields::new().with(":status", status).with("content-type", "text/html");
        server.fields(stream, &fields, false).await;
        server.send(Frame::data(stream, &b"<html>sorry</html>"[..]).end_stream()).await;
    })
    .await
}

// Wire checklist line 25
#[tokio::test]
async fn client_maps_an_http_status_when_there_is_no_grpc_status() {
    for (http, code) in [
        ("400", Code::Internal),
        ("401", Code::Unauthenticated),
        ("403", Code::PermissionDenied),
        ("404", Code::Unimplemented),
        ("429", Code::Unavailable),
        ("431", Code::Internal),
        ("502", Code::Unavailable),
        ("503", Code::Unavailable),
        ("504", Code::Unavailable),
        ("200", Code::Unknown),
        ("204", Code::Unknown),
        ("302", Code::Unknown),
        ("405", Code::Unknown),
        ("415", Code::Unknown),
        ("418", Code::Unknown),
        ("500", Code::Unknown),
        ("599", Code::Unknown),
    ] {
        let status = http_status(http).await;
        assert_eq!(status.code(), code, "HTTP {http}: {status}");
        assert!(
            status.message().contains(http) || status.message().contains("text/html"),
            "HTTP {http}: {status}"
        );
    }
}

// Wire checklist line 25
#[tokio::test]
async fn client_believes_grpc_status_whatever_the_http_status() {
    for http in ["503", "404", "200", "400"] {
        let status = unary_status(async |server, stream| {
            let fields = Fields::grpc_response().set(":status", http);
            server.fields(stream, &fields.with("grpc-status", "10").with("grpc-message", "mine"), true).await;
        })
        .await;
        assert_status(&status, Code::Aborted, "mine");
    }
    let status = unary_status(async |server, stream| {
        server.fields(stream, &Fields::grpc_response().set(":status", "503"), false).await;
        server.trailers(stream, 10, "in trailers").await;
    })
    .await;
    assert_status(&status, Code::Aborted, "in trailers");
}

// Wire checklist line 26
#[tokio::test]
async fn client_skips_informational_headers() {
    let response = unary_against(async |server, stream| {
        server.fields(stream, &Fields::new().with(":status", "100"), false).await;
        server
            .fields(stream, &Fields::new().with(":status", "103").with("link", "</style.css>"), false)
            .await;
        server.reply(stream, b"yes").await;
    })
    .await
    .unwrap();
    assert_eq!(response.message, raw("yes"));
    assert!(!response.headers.contains("link"));
}

// Wire checklist line 26
#[tokio::test]
async fn client_takes_informational_headers_with_end_stream_for_an_error() {
    let status = unary_status(async |server, stream| {
        server.fields(stream, &Fields::new().with(":status", "103"), true).await;
    })
    .await;
    assert!([Code::Internal, Code::Unavailable].contains(&status.code()), "{status}");
}

// Wire checklist line 27
#[tokio::test]
async fn client_reports_unknown_for_ok_http_without_grpc_status() {
    // With trailers, with an empty last DATA, and with nothing but headers.
    let status = unary_status(async |server, stream| {
        server.headers(stream).await;
        server.grpc_message(stream, b"yes").await;
        server.fields(stream, &Fields::new().with("x", "1"), true).await;
    })
    .await;
    assert_eq!(status.code(), Code::Unknown, "trailers without it: {status}");
    let (messages, status) = stream_against(async |server, stream| {
        server.headers(stream).await;
        server.send(Frame::data(stream, grpc::message(b"yes")).end_stream()).await;
    })
    .await;
    assert_eq!(status.code(), Code::Unknown, "no trailers: {status}");
    assert_eq!(messages, [raw("yes")]);
    let status = unary_status(async |server, stream| {
        server.fields(stream, &Fields::grpc_response(), true).await;
    })
    .await;
    assert_eq!(status.code(), Code::Unknown, "headers only: {status}");
}

// Wire checklist line 28
#[tokio::test]
async fn client_reports_internal_for_second_headers_without_end_stream_and_resets() {
    let status = unary_status(async |server, stream| {
        server.headers(stream).await;
        server.grpc_message(stream, b"yes").await;
        server.fields(stream, &Fields::grpc_trailers(0, ""), false).await;
        let code = server.wait_reset(stream).await;
        assert!([reason::PROTOCOL_ERROR, reason::CANCEL, reason::INTERNAL_ERROR].contains(&code));
    })
    .await;
    assert_eq!(status.code(), Code::Internal, "{status}");
}

// Wire checklist line 29
#[tokio::test]
async fn server_percent_codes_what_is_not_printable() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    for (text, wire) in [
        ("plain ~ text!", "plain ~ text!"),
        ("100%", "100%25"),
        ("a\tb\r\nc", "a%09b%0D%0Ac"),
        ("é", "%C3%A9"),
        ("☺ 😈", "%E2%98%BA %F0%9F%98%88"),
        ("\u{7f}\u{0}", "%7F%00"),
        ("", ""),
    ] {
        let answer = client.unary(FAIL, format!("2 {text}").as_bytes()).await;
        assert_eq!(answer.grpc_status(), Some("2"), "{text:?}");
        assert_eq!(answer.grpc_message(), wire, "{text:?}");
    }
}

// Wire checklist line 29
#[tokio::test]
async fn client_reads_messages_with_good_and_bad_escapes() {
    for (wire, text) in [
        (&b"plain"[..], "plain"),
        (b"%C3%A9 and %e2%98%ba", "é and ☺"),
        (b"50% off", "50% off"),
        (b"%", "%"),
        (b"%4", "%4"),
        (b"%zz%41", "%zzA"),
        (b"%C3", "\u{fffd}"),
        (b"raw \xc3\xa9", "raw é"),
    ] {
        let status = unary_status(async |server, stream| {
            let fields = Fields::grpc_response().with("grpc-status", "9").with("grpc-message", wire);
            server.fields(stream, &fields, true).await;
        })
        .await;
        assert_eq!(
            (status.code(), status.message()),
            (Code::FailedPrecondition, text),
            "{}",
            wire.escape_ascii()
        );
    }
}

// Wire checklist line 30
#[tokio::test]
async fn client_reports_unknown_for_a_status_that_is_no_code_and_keeps_the_raw_value() {
    for wire in
        ["abc", "", "-1", "1.0", " 1", "0x1", "17", "99", "4294967296", "99999999999999999999", "00", "05"]
    {
        let status = unary_status(async |server, stream| {
            let fields = Fields::grpc_response().with("grpc-status", wire).with("grpc-message", "told");
            server.fields(stream, &fields, true).await;
        })
        .await;
        assert_status(&status, Code::Unknown, wire);
    }
    let status = unary_status(async |server, stream| {
        server.fields(stream, &Fields::grpc_response().with("grpc-status", b"\xff\xfe"), true).await;
    })
    .await;
    assert_eq!(status.code(), Code::Unknown, "not even text: {status}");
}

// Wire checklist line 30
#[tokio::test]
async fn every_code_survives_both_ways() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    for number in 1..=16 {
        let answer = client.unary(FAIL, format!("{number} text").as_bytes()).await;
        assert_eq!(answer.grpc_status(), Some(number.to_string().as_str()));
        let status =
            unary_status(async |server, stream| server.trailers_only(stream, number, "text").await).await;
        assert_eq!(Some(status.code()), Code::from_u32(number), "{status}");
    }
}

// Wire checklist line 31
#[tokio::test]
async fn bad_status_details_do_not_break_the_call() {
    // Not base64; not a google.rpc.Status; and a Status whose code is 3 beside grpc-status 9.
    for (wire, details) in
        [("***", &b""[..]), ("/////w", b"\xff\xff\xff\xff"), ("CAMSBG9oIQ", b"\x08\x03\x12\x04oh!")]
    {
        let status = unary_status(async |server, stream| {
            let fields = Fields::grpc_response()
                .with("grpc-status", "9")
                .with("grpc-message", "mine")
                .with("grpc-status-details-bin", wire);
            server.fields(stream, &fields, true).await;
        })
        .await;
        assert_status(&status, Code::FailedPrecondition, "mine");
        assert_eq!(status.details(), details, "{wire}");
    }
}

// Wire checklist line 31
#[tokio::test]
async fn bad_status_details_beside_ok_do_not_break_the_call() {
    let response = unary_against(async |server, stream| {
        server.headers(stream).await;
        server.grpc_message(stream, b"yes").await;
        server
            .fields(stream, &Fields::grpc_trailers(0, "").with("grpc-status-details-bin", "***"), true)
            .await;
    })
    .await;
    assert_eq!(response.unwrap().message, raw("yes"));
}

// Wire checklist line 31
#[tokio::test]
async fn server_sends_details_as_unpadded_base64() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    let answer = client.unary("/test.Probe/Details", b"\x08\x03\x12\x02oh").await;
    assert_eq!(answer.grpc_status(), Some("3"));
    assert_eq!(answer.last_fields().get("grpc-status-details-bin"), Some("CAMSAm9o"));
}

// Wire checklist line 32
#[tokio::test]
async fn failing_to_connect_is_unavailable_whatever_the_cause() {
    let unused = RawServer::bind().await.target();
    for target in [unused, "unix:/nonexistent/spanwire.sock".to_owned(), "inprocess:nobody".to_owned()] {
        let channel = Channel::new(&target).unwrap();
        let status = channel.unary::<Raw, Raw>(&common::UNARY, raw("")).timeout(LONG).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{target}: {status}");
        assert_eq!(status.sent(), spanwire::Sent::NotSent, "{target}");
    }
}

// Wire checklist line 24
#[tokio::test]
async fn a_panic_in_a_handler_is_internal_on_that_call_alone() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    let other = client.call("/test.Probe/Chat").await;
    let answer = client.unary("/test.Probe/Panic", b"").await;
    assert_eq!(answer.grpc_status(), Some("13"), "{answer:?}");
    client.last_message(other, b"still here").await;
    let answer = client.answer(other).await;
    assert_eq!((answer.grpc_status(), answer.messages()), (Some("0"), vec![(0, "still here".into())]));
}

// Wire checklist lines 22 and 38
#[tokio::test]
async fn client_reports_a_bidi_stream_whose_connection_is_lost_as_unavailable() {
    let server = RawServer::bind().await;
    let channel = channel(&server);
    let play = async {
        let mut connection = server.accept().await;
        let request = connection.request().await;
        connection.headers(request.stream).await;
        connection.grpc_message(request.stream, b"one").await;
        connection.shut_down().await;
    };
    let call = async {
        let duplex = channel.bidi::<Raw, Raw>(&BIDI).timeout(LONG).await.unwrap();
        let (_sending, mut replies) = duplex.split();
        assert_eq!(replies.next().await.unwrap(), Some(raw("one")));
        replies.next().await.unwrap_err()
    };
    let (status, ()) = tokio::join!(call, play);
    assert_eq!(status.code(), Code::Unavailable, "{status}");
}

// Wire checklist line 27
#[tokio::test]
async fn data_before_headers_is_internal_at_once() {
    let status = unary_status(async |server, stream| {
        server.grpc_message(stream, b"too early").await;
        server
            .wait("an end", |event| {
                matches!(event, Event::Reset { .. } | Event::GoAway { .. } | Event::Closed { .. })
            })
            .await;
    })
    .await;
    assert_eq!(status.code(), Code::Internal, "{status}");
}
