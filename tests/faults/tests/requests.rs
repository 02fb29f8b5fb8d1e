//! Requests: what a client must send, and what a server must do with any of it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{LONG, TestServer, UNARY, UP, channel, raw};
use spanwire::{Code, Raw};
use spanwire_faults::{Event, Fields, Frame, Headers, RawClient, RawServer, reason};
use std::time::Duration;

const ECHO: &str = "/test.Probe/Echo";

// Wire checklist lines 1, 2 and 3
#[tokio::test]
async fn client_sends_post_te_trailers_and_the_grpc_content_type() {
    let server = RawServer::bind().await;
    let channel = channel(&server);
    let play = async {
        let mut connection = server.accept().await;
        let (request, messages) = connection.whole_request().await;
        connection.reply(request.stream, b"").await;
        (request.fields, messages, connection)
    };
    let call = channel.unary::<Raw, Raw>(&UNARY, raw("hi"));
    let (outcome, (fields, messages, _connection)) = tokio::join!(call.into_future(), play);
    outcome.unwrap();
    assert_eq!(fields.get(":method"), Some("POST"));
    assert_eq!(fields.get(":scheme"), Some("http"));
    assert_eq!(fields.get(":path"), Some("/test.Peer/Unary"));
    assert_eq!(fields.get(":authority"), Some(server.target().as_str()));
    assert_eq!(fields.get("te"), Some("trailers"));
    assert_eq!(fields.get("content-type"), Some("application/grpc"));
    assert!(fields.get("user-agent").is_some_and(|agent| agent.contains("spanwire/")), "{fields:?}");
    assert!(!fields.contains("host") && !fields.contains("grpc-timeout"), "{fields:?}");
    assert_eq!(messages, [(0, "hi".into())]);
}

// Wire checklist line 1
#[tokio::test]
async fn server_serves_a_request_without_te() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    let answer = client.unary_with(&Fields::grpc_request(ECHO).without("te"), b"hi").await;
    assert_eq!(answer.grpc_status(), Some("0"));
}

// Wire checklist line 2
#[tokio::test]
async fn server_takes_application_grpc_with_a_suffix_and_nothing_else() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    for accepted in
        ["application/grpc", "application/grpc+proto", "application/grpc+x", "application/grpc;a=b"]
    {
        let answer =
            client.unary_with(&Fields::grpc_request(ECHO).set("content-type", accepted), b"hi").await;
        assert_eq!(answer.grpc_status(), Some("0"), "{accepted}");
        assert_eq!(answer.messages(), [(0, "hi".into())], "{accepted}");
    }
    let calls = server.calls();
    for refused in ["application/grpcfoo", "application/grp", "application/grpc-web", "text/plain", ""] {
        let answer = client.unary_with(&Fields::grpc_request(ECHO).set("content-type", refused), b"hi").await;
        assert_eq!(answer.http_status(), Some("415"), "{refused}");
    }
    let answer = client.unary_with(&Fields::grpc_request(ECHO).without("content-type"), b"hi").await;
    assert_eq!(answer.http_status(), Some("415"));
    assert_eq!(server.calls(), calls, "no handler ran");
}

#[tokio::test]
async fn server_closes_a_connection_of_another_protocol_in_order() {
    let server = TestServer::start().await;
    for opening in ["GET / HTTP/1.1\r\nHost: test.invalid\r\n\r\n".to_owned(), "x".repeat(10_000)] {
        let mut client = RawClient::connect_bare(server.address()).await;
        client.send_bytes(opening.as_bytes()).await;
        assert!(client.wait_closed().await, "a TCP reset after {} bytes", opening.len());
    }
}

// Wire checklist line 3
#[tokio::test]
async fn server_answers_405_to_other_methods_than_post() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    for method in ["GET", "PUT", "OPTIONS"] {
        let answer = client.unary_with(&Fields::grpc_request(ECHO).set(":method", method), b"hi").await;
        assert_eq!(answer.http_status(), Some("405"), "{method}");
        assert!(answer.body.starts_with(b"This is a gRPC server"), "{method}: {answer:?}");
    }
    let answer = client.unary_with(&Fields::grpc_request(ECHO).set(":method", "HEAD"), b"").await;
    assert!(answer.http_status() == Some("405") && answer.body.is_empty(), "{answer:?}");
    assert_eq!(server.calls(), 0, "no handler ran");
}

// Wire checklist line 3
#[tokio::test]
async fn server_refuses_a_path_without_slash_before_any_interceptor() {
    let server = TestServer::behind_interceptor().await;
    let mut client = RawClient::connect(server.address()).await;
    for path in ["test.Probe/Echo", "Echo", "*"] {
        let stream = client.call_with(&Fields::grpc_request(path)).await;
        client.last_message(stream, b"hi").await;
        let answer = client.answer(stream).await;
        // h2 refuses what http::Uri cannot hold before a request is made of it.
        if answer.reset != Some(reason::PROTOCOL_ERROR) {
            assert_eq!(answer.grpc_status(), Some("12"), "{path}: {answer:?}");
        }
    }
    assert_eq!(server.intercepted(), 0, "no interceptor saw it");
    assert_eq!(client.unary(ECHO, b"hi").await.grpc_status(), Some("0"));
}

// Wire checklist line 3
#[tokio::test]
async fn server_answers_unimplemented_and_names_the_missing_method_or_service() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    for path in ["/test.Probe/Missing", "/test.Missing/Echo", "/", "//", "/test.Probe/Echo/", "/test.Probe"] {
        let answer = client.unary(path, b"hi").await;
        assert_eq!(answer.grpc_status(), Some("12"), "{path}");
        assert!(answer.is_trailers_only(), "{path}");
    }
    let answer = client.unary("/test.Probe/Missing", b"hi").await;
    assert!(answer.grpc_message().contains("Missing"), "{answer:?}");
}

// Wire checklist line 4
#[tokio::test]
async fn client_sends_a_timeout_of_at_most_eight_digits_in_the_finest_unit() {
    let server = RawServer::bind().await;
    let channel = channel(&server);
    let mut connection = None;
    for (timeout, lowest, highest) in [
        (Duration::from_millis(1500), 1_000_000_000_u128, 1_500_000_000),
        (Duration::from_secs(90), 89_000_000_000, 90_000_000_000),
        (
            Duration::from_secs(99_999_999 * 60),
            99_999_000 * 60 * 1_000_000_000,
            99_999_999 * 60 * 1_000_000_000,
        ),
        (
            Duration::from_secs(60 * 60 * 24 * 365 * 1000),
            31_000_000_000 * 1_000_000_000,
            31_536_000_000 * 1_000_000_000,
        ),
    ] {
        let call = async { channel.unary::<Raw, Raw>(&UNARY, raw("")).timeout(timeout).await };
        let play = async {
            let connection = match &mut connection {
                Some(connection) => connection,
                none => none.insert(server.accept().await),
            };
            let (request, _) = connection.whole_request().await;
            connection.reply(request.stream, b"").await;
            request.fields.get("grpc-timeout").map(str::to_owned)
        };
        let (outcome, sent) = tokio::join!(call, play);
        outcome.unwrap();
        let sent = sent.unwrap_or_else(|| panic!("no grpc-timeout for {timeout:?}"));
        let (digits, unit) = sent.split_at(sent.len() - 1);
        assert!((1..=8).contains(&digits.len()), "{sent}");
        let nanos = digits.parse::<u128>().unwrap() * nanos_of(unit);
        // Whatever the unit, rounding may not shorten the rest of the time by more than that unit.
        assert!((lowest..=highest + nanos_of(unit)).contains(&nanos), "{sent} for {timeout:?}");
        let finer = nanos / nanos_of(unit) < 100_000 && unit != "n";
        assert!(!finer, "{sent} for {timeout:?} could be in a finer unit");
    }
}

fn nanos_of(unit: &str) -> u128 {
    match unit {
        "n" => 1,
        "u" => 1_000,
        "m" => 1_000_000,
        "S" => 1_000_000_000,
        "M" => 60 * 1_000_000_000,
        "H" => 3600 * 1_000_000_000,
        other => panic!("{other} is no unit"),
    }
}

// Wire checklist line 4
#[tokio::test]
async fn server_takes_every_unit_and_reads_too_many_hours_as_no_limit() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    for (sent, seconds) in [
        ("1H", Some(3600)),
        ("2M", Some(120)),
        ("3S", Some(3)),
        ("4000m", Some(4)),
        ("5000000u", Some(5)),
        ("99999999u", Some(100)),
        ("00000009S", Some(9)),
        ("99999999H", None),
    ] {
        let request = Fields::grpc_request("/test.Probe/Deadline").with("grpc-timeout", sent);
        let answer = client.unary_with(&request, b"").await;
        assert_eq!(answer.grpc_status(), Some("0"), "{sent}: {answer:?}");
        let left = answer.messages().remove(0).1;
        let left = String::from_utf8_lossy(&left).into_owned();
        match seconds {
            // Rounded up to whole seconds by the handler, so that the time of the call itself does not show.
            Some(seconds) => assert_eq!(left, seconds.to_string(), "{sent}"),
            // 11 415 years may be kept or taken for no limit.
            None => assert!(left == "none" || left.parse::<u64>().is_ok_and(|left| left > 1 << 30), "{left}"),
        }
    }
    assert_eq!(server.calls(), 8);
}

// Wire checklist line 4
#[tokio::test]
async fn server_refuses_a_malformed_timeout_by_name() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    for bad in ["100000000S", "1", "S", "", "1s", "-1S", "+1S", "1.5S", "1 S", "1SS", "0x1S"] {
        let request = Fields::grpc_request(ECHO).with("grpc-timeout", bad);
        let answer = client.unary_with(&request, b"hi").await;
        assert_eq!(answer.grpc_status(), Some("13"), "{bad:?}: {answer:?}");
        assert!(answer.grpc_message().contains("grpc-timeout"), "{bad:?}: {answer:?}");
    }
    assert_eq!(server.calls(), 0, "no handler ran");
}

// Wire checklist line 5
#[tokio::test]
async fn server_answers_an_expired_timeout_without_running_the_handler() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    for expired in ["0n", "0S", "00000000H", "1n"] {
        let request = Fields::grpc_request(ECHO).with("grpc-timeout", expired);
        let answer = client.unary_with(&request, b"hi").await;
        assert_eq!(answer.grpc_status(), Some("4"), "{expired}: {answer:?}");
        assert!(answer.is_trailers_only(), "{expired}");
    }
    assert_eq!(server.calls(), 0, "no handler ran");
}

// Wire checklist line 5
#[tokio::test]
async fn client_answers_an_expired_deadline_itself_and_sends_nothing() {
    let server = RawServer::bind().await;
    let channel = channel(&server);
    let status = channel.unary::<Raw, Raw>(&UNARY, raw("")).timeout(Duration::ZERO).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    let play = async {
        let mut connection = server.accept().await;
        let (request, _) = connection.whole_request().await;
        connection.reply(request.stream, b"").await;
        request
    };
    let (outcome, request) =
        tokio::join!(channel.unary::<Raw, Raw>(&UNARY, raw("")).timeout(LONG).into_future(), play);
    outcome.unwrap();
    assert_eq!(request.stream, 1, "the expired call left no trace on the wire");
}

// Wire checklist line 6
#[tokio::test]
async fn server_takes_host_for_a_missing_authority() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    let request = Fields::grpc_request(ECHO).without(":authority").with("host", "shop.example");
    assert_eq!(client.unary_with(&request, b"hi").await.grpc_status(), Some("0"));
}

// Wire checklist line 6
#[tokio::test]
async fn server_drops_host_beside_an_authority() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    let request =
        Fields::grpc_request("/test.Probe/Metadata").with("host", "other.example").with("x-kept", "1");
    let answer = client.unary_with(&request, b"").await;
    assert_eq!(answer.grpc_status(), Some("0"));
    let seen = String::from_utf8(answer.messages().remove(0).1.to_vec()).unwrap();
    assert!(seen.contains("x-kept: 1"), "{seen}");
    assert!(!seen.contains("host"), "{seen}");
}

// Wire checklist line 6
#[tokio::test]
async fn server_refuses_two_authorities_two_hosts_and_none() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    let good = Fields::grpc_request(ECHO);
    let pseudo_twice = Fields::new().with(":authority", "one.invalid");
    let pseudo_twice = good.iter().fold(pseudo_twice, |fields, (name, value)| fields.with(name, value));
    for (name, request) in [
        ("two :authority", pseudo_twice),
        ("two host", good.clone().without(":authority").with("host", "a").with("host", "b")),
        ("two host beside :authority", good.clone().with("host", "a").with("host", "b")),
        ("neither", good.clone().without(":authority")),
    ] {
        let stream = client.call_with(&request).await;
        client.last_message(stream, b"hi").await;
        let answer = client.answer(stream).await;
        let malformed = answer.reset == Some(reason::PROTOCOL_ERROR);
        let refused = answer.http_status() == Some("400") || answer.grpc_status() == Some("13");
        assert!(malformed || refused, "{name}: {answer:?}");
    }
    assert_eq!(server.calls(), 0, "no handler ran");
    assert_eq!(client.unary(ECHO, b"hi").await.grpc_status(), Some("0"), "the connection lives on");
}

// Wire checklist line 7
#[tokio::test]
async fn server_resets_a_request_with_a_connection_header() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    for name in ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"] {
        let stream = client.call_with(&Fields::grpc_request(ECHO).with(name, "close")).await;
        assert_eq!(client.answer(stream).await.reset, Some(reason::PROTOCOL_ERROR), "{name}");
    }
    assert_eq!(server.calls(), 0, "no handler ran");
    assert_eq!(client.unary(ECHO, b"hi").await.grpc_status(), Some("0"), "the connection lives on");
}

// Wire checklist line 8
#[tokio::test]
async fn client_refuses_reserved_metadata_by_name() {
    let server = RawServer::bind().await;
    let channel = channel(&server);
    for name in [
        "grpc-timeout",
        "grpc-encoding",
        "grpc-anything",
        "te",
        "content-type",
        ":path",
        "connection",
        "host",
    ] {
        let status =
            channel.unary::<Raw, Raw>(&UNARY, raw("")).metadata(name, "1").timeout(LONG).await.unwrap_err();
        assert!(status.message().contains(name), "{name}: {status}");
        assert_eq!(status.sent(), spanwire::Sent::NotSent, "{name}");
    }
}

// Wire checklist line 8
#[tokio::test]
async fn retry_metadata_passes_in_both_directions() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    let request = Fields::grpc_request("/test.Probe/Metadata").with("grpc-previous-rpc-attempts", "2");
    let answer = client.unary_with(&request, b"").await;
    let seen = String::from_utf8(answer.messages().remove(0).1.to_vec()).unwrap();
    assert!(seen.contains("grpc-previous-rpc-attempts: 2"), "{seen}");

    let server = RawServer::bind().await;
    let channel = channel(&server);
    let call = channel.unary::<Raw, Raw>(&UNARY, raw("")).metadata("grpc-previous-rpc-attempts", "1");
    let play = async {
        let mut connection = server.accept().await;
        let (request, _) = connection.whole_request().await;
        let fields = Fields::grpc_response().with("grpc-status", "9").with("grpc-retry-pushback-ms", "-1");
        connection.fields(request.stream, &fields, true).await;
        (request, connection)
    };
    let (outcome, (request, _connection)) = tokio::join!(call.into_future(), play);
    assert_eq!(request.fields.get("grpc-previous-rpc-attempts"), Some("1"));
    let status = outcome.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(status.metadata().get("grpc-retry-pushback-ms"), Some("-1"));
}

// Wire checklist line 8
#[tokio::test]
async fn handlers_do_not_see_the_headers_of_the_protocol() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    let request = Fields::grpc_request("/test.Probe/Metadata")
        .with("grpc-timeout", "5S")
        .with("grpc-encoding", "identity");
    let answer = client.unary_with(&request, b"").await;
    let seen = String::from_utf8(answer.messages().remove(0).1.to_vec()).unwrap();
    assert!(seen.contains("user-agent: raw-client/1"), "{seen}");
    for hidden in ["te:", "content-type:", "grpc-timeout", "grpc-encoding", ":path"] {
        assert!(!seen.contains(hidden), "{hidden} in {seen}");
    }
}

// Wire checklist line 9
#[tokio::test]
async fn server_takes_header_values_that_http_allows_and_grpc_does_not() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    let request = Fields::grpc_request(ECHO)
        .with("x-latin", b"caf\xe9 \xff")
        .with("x-tab", "a\tb")
        .with("x-odd!#$%&'*+^`|~", "legal in HTTP")
        .with("x-empty", "");
    let answer = client.unary_with(&request, b"hi").await;
    assert_eq!(answer.grpc_status(), Some("0"), "{answer:?}");
}

// Wire checklist line 9
#[tokio::test]
async fn client_takes_header_values_that_http_allows_and_grpc_does_not() {
    let response = common::unary_against(async |server, stream| {
        let odd =
            |fields: Fields| fields.with("x-latin", b"caf\xe9").with("x-odd!#", "1").with("x-empty", "");
        server.fields(stream, &odd(Fields::grpc_response()), false).await;
        server.grpc_message(stream, b"yes").await;
        server.fields(stream, &odd(Fields::grpc_trailers(0, "")), true).await;
    })
    .await
    .unwrap();
    assert_eq!(response.message, raw("yes"));
    assert_eq!(response.headers.get_bytes("x-latin"), Some(&b"caf\xe9"[..]));
    assert_eq!(response.trailers.get_bytes("x-latin"), Some(&b"caf\xe9"[..]));
}

// Wire checklist line 9
#[tokio::test]
async fn client_refuses_metadata_that_grpc_does_not_allow() {
    let server = RawServer::bind().await;
    let channel = channel(&server);
    for (name, value) in [("with space", "1"), ("", "1"), ("naïve", "1"), ("x", "é"), ("x", "a\nb")] {
        let call = channel.unary::<Raw, Raw>(&UNARY, raw("")).metadata(name, value).timeout(LONG);
        let status = call.await.unwrap_err();
        assert_eq!(status.sent(), spanwire::Sent::NotSent, "{name:?}: {value:?}: {status}");
    }
}

// Wire checklist line 9
#[tokio::test]
async fn server_refuses_a_request_with_an_upper_case_header_name() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    client.call_with(&Fields::grpc_request(ECHO).with("Upper", "1")).await;
    // RFC 9113 §8.1.1 asks for a stream error; h2 finds it while it decodes HPACK and ends the connection.
    let end = |event: &Event| matches!(event, Event::Reset { .. } | Event::GoAway { .. });
    if let Event::Reset { code, .. } | Event::GoAway { code, .. } = client.wait("an error", end).await {
        assert_eq!(code, reason::PROTOCOL_ERROR);
    }
    assert_eq!(server.calls(), 0);
}

// Wire checklist line 10
#[tokio::test]
async fn client_ends_an_empty_stream_with_an_empty_data_frame() {
    let server = RawServer::bind().await;
    let channel = channel(&server);
    let call = async {
        let stream = channel.client_streaming::<Raw, Raw>(&UP).timeout(LONG).await?;
        stream.finish().await
    };
    let play = async {
        let mut connection = server.accept().await;
        let request = connection.request().await;
        assert!(!request.end_stream, "HEADERS must not end the stream");
        let last = connection.wait("DATA", |event| matches!(event, Event::Data { .. })).await;
        assert_eq!(last, Event::Data { stream: request.stream, data: "".into(), end_stream: true });
        connection.reply(request.stream, b"nothing came").await;
        connection
    };
    let (outcome, _connection) = tokio::join!(call, play);
    assert_eq!(outcome.unwrap(), raw("nothing came"));
}

// Wire checklist line 10
#[tokio::test]
async fn server_reads_no_messages_when_headers_or_an_empty_data_frame_end_the_stream() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    let request = Fields::grpc_request("/test.Probe/Upload");

    let stream = client.take_stream();
    client.fields(stream, &request, true).await;
    let answer = client.answer(stream).await;
    assert_eq!((answer.grpc_status(), answer.messages()), (Some("0"), vec![(0, "0 messages".into())]));

    let stream = client.call_with(&request).await;
    client.half_close(stream).await;
    let answer = client.answer(stream).await;
    assert_eq!((answer.grpc_status(), answer.messages()), (Some("0"), vec![(0, "0 messages".into())]));
}

// Wire checklist line 10
#[tokio::test]
async fn server_takes_request_trailers_for_the_end_of_the_stream() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    let stream = client.call("/test.Probe/Upload").await;
    client.grpc_message(stream, b"one").await;
    client.fields(stream, &Fields::new().with("x-checksum", "7"), true).await;
    let answer = client.answer(stream).await;
    assert_eq!((answer.grpc_status(), answer.messages()), (Some("0"), vec![(0, "1 messages".into())]));
}

// Hazards A15
#[tokio::test]
async fn server_survives_requests_that_are_not_http() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    for fields in [
        Fields::new(),
        Fields::new().with(":method", "POST"),
        Fields::grpc_request(ECHO).without(":path"),
        Fields::grpc_request(ECHO).set(":path", ""),
        Fields::grpc_request(ECHO).with(":path", "/late/pseudo"),
        Fields::grpc_request(ECHO).set(":scheme", "gopher"),
    ] {
        let stream = client.call_with(&fields).await;
        client.last_message(stream, b"hi").await;
        client.answer(stream).await;
    }
    client.send(Frame::priority(99)).await;
    assert_eq!(client.unary(ECHO, b"hi").await.grpc_status(), Some("0"), "the connection lives on");
    assert!(client.passed().all(|event| !matches!(event, Event::Headers(Headers { stream: 99, .. }))));
}
