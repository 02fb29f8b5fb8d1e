//! Metadata: binary values, duplicates, and the limits on how much of it there may be.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{BIDI, LONG, TestServer, UNARY, assert_status, channel, raw, unary_against, unary_status};
use spanwire::{Code, Metadata, Raw};
use spanwire_faults::frame::setting;
use spanwire_faults::{Fields, Frame, RawClient, RawServer, indexed_literal, reason, references};

/// Echoes request metadata that start with `echo-`, in headers and in trailers.
const ECHO: &str = "/test.Probe/Echo";
/// Answers with the metadata that the handler sees, one `name: value` line each, binary values decoded as hex.
const METADATA: &str = "/test.Probe/Metadata";

fn lines(answer: &spanwire_faults::Answer) -> Vec<String> {
    let text = String::from_utf8(answer.messages().remove(0).1.to_vec()).unwrap();
    text.lines().map(str::to_owned).collect()
}

// Wire checklist line 11
#[tokio::test]
async fn server_reads_binary_metadata_padded_unpadded_and_joined() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    let request = Fields::grpc_request(METADATA)
        .with("a-bin", "q6ur")
        .with("b-bin", "q6s=")
        .with("b-bin", "q6s")
        .with("c-bin", "q6s=,q6s,AQ")
        .with("d-bin", "")
        .with("e-bin", "not base64!")
        .with("f-bin", "+/8");
    let answer = client.unary_with(&request, b"").await;
    assert_eq!(answer.grpc_status(), Some("0"), "{answer:?}");
    let lines = lines(&answer);
    let of = |name: &str| -> Vec<&str> { lines.iter().filter_map(|line| line.strip_prefix(name)).collect() };
    assert_eq!(of("a-bin: "), ["ababab"]);
    assert_eq!(of("b-bin: "), ["abab", "abab"]);
    assert_eq!(of("c-bin: "), ["abab", "abab", "01"]);
    assert_eq!(of("d-bin: "), [""]);
    assert_eq!(of("e-bin: "), [""; 0], "what is no base64 is not shown, and breaks nothing");
    assert_eq!(of("f-bin: "), ["fbff"]);
}

// Wire checklist line 11
#[tokio::test]
async fn server_sends_binary_metadata_unpadded() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    let request = Fields::grpc_request(ECHO).with("echo-a-bin", "q6s=");
    let answer = client.unary_with(&request, b"").await;
    assert_eq!(answer.headers.get("echo-a-bin"), Some("q6s"));
    assert_eq!(answer.trailers.unwrap().get("echo-a-bin"), Some("q6s"));
}

// Wire checklist line 11
#[tokio::test]
async fn client_sends_binary_metadata_unpadded_and_reads_all_forms() {
    let server = RawServer::bind().await;
    let channel = channel(&server);
    let call = channel
        .unary::<Raw, Raw>(&UNARY, raw(""))
        .metadata_bin("a-bin", [0xab, 0xab])
        .metadata_bin("a-bin", [0xfb])
        .timeout(LONG);
    let play = async {
        let mut connection = server.accept().await;
        let (request, _) = connection.whole_request().await;
        let headers =
            Fields::grpc_response().with("a-bin", "q6s=").with("a-bin", "q6s,+w==").with("b-bin", "*");
        connection.fields(request.stream, &headers, false).await;
        connection.grpc_message(request.stream, b"").await;
        let trailers = Fields::grpc_trailers(0, "").with("t-bin", "q6ur");
        connection.fields(request.stream, &trailers, true).await;
        (request, connection)
    };
    let (response, (request, _connection)) = tokio::join!(call.response(), play);
    let response = response.unwrap();
    assert_eq!(request.fields.get_all("a-bin").collect::<Vec<_>>(), ["q6s", "+w"]);
    let values: Vec<_> = response.headers.get_all_bin("a-bin").collect();
    assert_eq!(values, [&[0xab, 0xab][..], &[0xab, 0xab], &[0xfb]]);
    assert_eq!(response.headers.get_bin("b-bin"), None);
    assert_eq!(response.trailers.get_bin("t-bin").as_deref(), Some(&[0xab, 0xab, 0xab][..]));
}

// Wire checklist line 12
#[tokio::test]
async fn server_keeps_duplicates_and_their_order_both_ways() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    let request = Fields::grpc_request(METADATA).with("a", "2").with("b", "x").with("a", "1").with("a", "2");
    let answer = client.unary_with(&request, b"").await;
    let values: Vec<_> = lines(&answer).into_iter().filter(|line| line.starts_with("a:")).collect();
    assert_eq!(values, ["a: 2", "a: 1", "a: 2"]);

    let request = Fields::grpc_request(ECHO).with("echo-a", "2").with("echo-a", "1").with("echo-a", "2");
    let answer = client.unary_with(&request, b"").await;
    assert_eq!(answer.headers.get_all("echo-a").collect::<Vec<_>>(), ["2", "1", "2"]);
    assert_eq!(answer.trailers.unwrap().get_all("echo-a").collect::<Vec<_>>(), ["2", "1", "2"]);
}

// Wire checklist line 12
#[tokio::test]
async fn client_keeps_duplicates_and_their_order_both_ways() {
    let server = RawServer::bind().await;
    let channel = channel(&server);
    let mut metadata = Metadata::new();
    for value in ["2", "1", "2"] {
        metadata.append("a", value).unwrap();
    }
    let call = channel.unary::<Raw, Raw>(&UNARY, raw("")).with_metadata(metadata).timeout(LONG);
    let play = async {
        let mut connection = server.accept().await;
        let (request, _) = connection.whole_request().await;
        let thrice = |fields: Fields| fields.with("d", "z").with("d", "a").with("d", "z");
        connection.fields(request.stream, &thrice(Fields::grpc_response()), false).await;
        connection.grpc_message(request.stream, b"").await;
        connection.fields(request.stream, &thrice(Fields::grpc_trailers(0, "")), true).await;
        (request, connection)
    };
    let (response, (request, _connection)) = tokio::join!(call.response(), play);
    let response = response.unwrap();
    assert_eq!(request.fields.get_all("a").collect::<Vec<_>>(), ["2", "1", "2"]);
    assert_eq!(response.headers.get_all("d").collect::<Vec<_>>(), ["z", "a", "z"]);
    assert_eq!(response.trailers.get_all("d").collect::<Vec<_>>(), ["z", "a", "z"]);
}

// Wire checklist line 12
#[tokio::test]
async fn trailers_of_a_failed_call_keep_duplicates() {
    let status = unary_status(async |server, stream| {
        let fields =
            Fields::grpc_response().with("grpc-status", "5").with("d", "1").with("d", "2").with("d", "1");
        server.fields(stream, &fields, true).await;
    })
    .await;
    assert_eq!(status.code(), Code::NotFound);
    assert_eq!(status.metadata().get_all("d").collect::<Vec<_>>(), ["1", "2", "1"]);
}

// Wire checklist line 13
#[tokio::test]
async fn both_sides_announce_a_header_list_limit() {
    let server = TestServer::start().await;
    let client = RawClient::connect(server.address()).await;
    let server_limit = client.server_setting(setting::MAX_HEADER_LIST_SIZE);

    let server = RawServer::bind().await;
    let channel = channel(&server);
    let call = channel.unary::<Raw, Raw>(&UNARY, raw("")).timeout(LONG);
    let play = async {
        let mut connection = server.accept().await;
        let (request, _) = connection.whole_request().await;
        connection.reply(request.stream, b"").await;
        connection
    };
    let (outcome, connection) = tokio::join!(call.into_future(), play);
    outcome.unwrap();
    let client_limit = connection.client_setting(setting::MAX_HEADER_LIST_SIZE);
    // 16 KiB is the limit of one call; h2 must be given more room, to refuse the call and not the connection.
    for limit in [server_limit, client_limit] {
        assert!(limit.is_some_and(|limit| (16_384..=65_536).contains(&limit)), "{limit:?}");
    }
}

/// Fields that bring `request` to exactly `size` bytes as HTTP/2 counts them without its pseudo-headers.
fn padded_to(request: Fields, size: usize) -> Fields {
    let pseudo: usize = request
        .iter()
        .filter(|(name, _)| name.starts_with(b":"))
        .map(|(name, value)| name.len() + value.len() + 32)
        .sum();
    let missing = size - (request.list_size() - pseudo) - "pad".len() - 32;
    request.with("pad", vec![b'x'; missing])
}

// Wire checklist line 13
#[tokio::test]
async fn server_refuses_metadata_above_16_kib_on_that_call_only() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    let at_limit = padded_to(Fields::grpc_request(ECHO), 16_384);
    assert_eq!(client.unary_with(&at_limit, b"hi").await.grpc_status(), Some("0"));
    for size in [16_385, 20 * 1024, 60 * 1024] {
        let answer = client.unary_with(&padded_to(Fields::grpc_request(ECHO), size), b"hi").await;
        assert_eq!(answer.grpc_status(), Some("8"), "{size}: {answer:?}");
        assert!(answer.grpc_message().contains("max_metadata_bytes"), "{size}: {answer:?}");
    }
    assert_eq!(client.unary(ECHO, b"hi").await.grpc_status(), Some("0"), "the connection lives on");
    assert_eq!(server.calls(), 2);
}

// Wire checklist line 13
#[tokio::test]
async fn client_refuses_metadata_above_16_kib_on_that_call_only() {
    let server = RawServer::bind().await;
    let channel = channel(&server);
    let calls = async {
        let mut outcomes = Vec::new();
        for _ in 0..4 {
            outcomes.push(channel.unary::<Raw, Raw>(&UNARY, raw("")).timeout(LONG).await);
        }
        outcomes
    };
    let play = async {
        let mut connection = server.accept().await;
        let large = |fields: Fields| fields.with("large", vec![b'x'; 20 * 1024]);
        // In the headers, in the trailers, in a Trailers-Only answer, and nowhere.
        let (request, _) = connection.whole_request().await;
        connection.fields(request.stream, &large(Fields::grpc_response()), false).await;
        connection.grpc_message(request.stream, b"").await;
        connection.trailers(request.stream, 0, "").await;
        let (request, _) = connection.whole_request().await;
        connection.headers(request.stream).await;
        connection.grpc_message(request.stream, b"").await;
        connection.fields(request.stream, &large(Fields::grpc_trailers(0, "")), true).await;
        let (request, _) = connection.whole_request().await;
        connection
            .fields(request.stream, &large(Fields::grpc_response().with("grpc-status", "5")), true)
            .await;
        let (request, _) = connection.whole_request().await;
        connection.reply(request.stream, b"fine").await;
        connection
    };
    let (outcomes, _connection) = tokio::join!(calls, play);
    for outcome in &outcomes[..3] {
        assert_status(outcome.as_ref().unwrap_err(), Code::ResourceExhausted, "max_metadata_bytes");
    }
    assert_eq!(outcomes[3].as_ref().unwrap(), &raw("fine"), "on the same connection");
}

// Wire checklist line 13, hazards A5
#[tokio::test]
async fn server_refuses_more_than_128_fields() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    let many = |name: &'static str, count: usize| {
        (0..count).fold(Fields::grpc_request(ECHO), |fields, _| fields.with(name, ""))
    };
    // te, content-type and user-agent are three of them.
    for name in ["x", "cookie"] {
        assert_eq!(client.unary_with(&many(name, 125), b"hi").await.grpc_status(), Some("0"), "{name}");
        let answer = client.unary_with(&many(name, 130), b"hi").await;
        assert_eq!(answer.grpc_status(), Some("8"), "{name}: {answer:?}");
    }
    assert_eq!(server.calls(), 2);
}

// Hazards F5
#[tokio::test]
async fn a_hundred_fields_of_almost_8_kib_pass_both_ways() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    let request = (0..100).fold(Fields::grpc_request(ECHO), |fields, n| {
        fields.with(format!("echo-{n:03}"), vec![b'v'; 79 - 8 - 32])
    });
    assert!((7900..8300).contains(&request.list_size()), "{}", request.list_size());
    let answer = client.unary_with(&request, b"hi").await;
    assert_eq!(answer.grpc_status(), Some("0"));
    assert_eq!(answer.headers.iter().filter(|(name, _)| name.starts_with(b"echo-")).count(), 100);
    assert_eq!(answer.trailers.unwrap().iter().filter(|(name, _)| name.starts_with(b"echo-")).count(), 100);

    let response = unary_against(async |server, stream| {
        let hundred = |fields| {
            (0..100).fold(fields, |fields: Fields, n| fields.with(format!("f-{n:03}"), "v".repeat(40)))
        };
        server.fields(stream, &hundred(Fields::grpc_response()), false).await;
        server.grpc_message(stream, b"").await;
        server.fields(stream, &hundred(Fields::grpc_trailers(0, "")), true).await;
    })
    .await
    .unwrap();
    assert_eq!(response.headers.keys().filter(|name| name.starts_with("f-")).count(), 100);
    assert_eq!(response.trailers.keys().filter(|name| name.starts_with("f-")).count(), 100);
}

// Hazards A4 and A5
#[tokio::test]
async fn server_ends_a_header_bomb() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    let mut block = Fields::grpc_request(ECHO).encode().to_vec();
    block.extend_from_slice(&indexed_literal(b"bomb", &[b'x'; 4000]));
    block.extend_from_slice(&references(12_000));
    let stream = client.take_stream();
    client.send(Frame::headers(stream, block).end_stream()).await;
    // 48 MB decoded: more than four times any limit, so the connection goes, or the stream at the least.
    let event = client
        .wait("an end", |event| {
            use spanwire_faults::Event::{Closed, GoAway, Headers, Reset};
            matches!(event, GoAway { .. } | Reset { .. } | Closed { .. } | Headers(_))
        })
        .await;
    if let spanwire_faults::Event::Headers(headers) = event {
        assert_ne!(headers.fields.get("grpc-status"), Some("0"), "{}", client.transcript());
    }
    let mut other = RawClient::connect(server.address()).await;
    assert_eq!(other.unary(ECHO, b"hi").await.grpc_status(), Some("0"), "others are not harmed");
}

// Hazards A3
#[tokio::test]
async fn server_ends_a_continuation_flood() {
    for chunk in [&b""[..], b"\x00\x01a\x01b", &Fields::new().with("f", vec![b'x'; 4000]).encode()] {
        let server = TestServer::start().await;
        let mut client = RawClient::connect(server.address()).await;
        let stream = client.take_stream();
        let head = Frame::headers(stream, Fields::grpc_request(ECHO).encode());
        client.send(head.without_flag(spanwire_faults::frame::flag::END_HEADERS)).await;
        for _ in 0..40 {
            client
                .send_all(&vec![Frame::continuation(stream, bytes::Bytes::copy_from_slice(chunk)); 5])
                .await;
        }
        let end = client.wait("an end", |event| {
            use spanwire_faults::Event::{Closed, GoAway};
            matches!(event, GoAway { .. } | Closed { .. })
        });
        if let spanwire_faults::Event::GoAway { code, .. } = end.await {
            assert!(
                [reason::ENHANCE_YOUR_CALM, reason::PROTOCOL_ERROR, reason::COMPRESSION_ERROR]
                    .contains(&code)
            );
        }
    }
}

// Wire checklist line 12
#[tokio::test]
async fn a_stream_shows_headers_before_and_trailers_after_its_messages() {
    let server = RawServer::bind().await;
    let channel = channel(&server);
    let play = async {
        let mut connection = server.accept().await;
        let request = connection.request().await;
        connection
            .fields(request.stream, &Fields::grpc_response().with("h", "1").with("h", "2"), false)
            .await;
        connection.grpc_message(request.stream, b"m").await;
        connection
            .fields(request.stream, &Fields::grpc_trailers(0, "").with("t", "1").with("t", "2"), true)
            .await;
        connection
    };
    let call = async {
        let duplex = channel.bidi::<Raw, Raw>(&BIDI).timeout(LONG).await.unwrap();
        let (_sending, mut replies) = duplex.split();
        let headers = replies.headers().await.unwrap().clone();
        assert_eq!(headers.get_all("h").collect::<Vec<_>>(), ["1", "2"]);
        assert!(replies.trailers().is_none());
        assert_eq!(replies.next().await.unwrap(), Some(raw("m")));
        assert_eq!(replies.next().await.unwrap(), None);
        let trailers = replies.trailers().unwrap();
        assert_eq!(trailers.get_all("t").collect::<Vec<_>>(), ["1", "2"]);
    };
    let ((), _connection) = tokio::join!(call, play);
}
