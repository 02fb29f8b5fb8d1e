//! Messages: framing, compression, limits, and how many of them there may be.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{
    BIDI, DOWN, LONG, TestServer, UNARY, UP, assert_status, channel, raw, stream_against, unary_against,
    unary_status,
};
use flate2::{Compression, write::GzEncoder};
use spanwire::{Code, Encoding, Raw};
use spanwire_faults::{Fields, Frame, RawClient, RawServer, grpc};
use std::io::Write;

/// Unary: answers with the message.
const ECHO: &str = "/test.Probe/Echo";
/// Bidirectional: answers each message with itself.
const CHAT: &str = "/test.Probe/Chat";
/// Client-streaming: answers `n messages`.
const UPLOAD: &str = "/test.Probe/Upload";
/// Unary: answers with as many zero bytes as the message says, compressed if the client can read gzip.
const INFLATE: &str = "/test.Probe/Inflate";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn gzip_message(bytes: &[u8]) -> bytes::Bytes {
    let body = gzip(bytes);
    grpc::prefixed(1, body.len() as u32, &body)
}

fn gzip_request(path: &str) -> Fields {
    Fields::grpc_request(path).with("grpc-encoding", "gzip").with("grpc-accept-encoding", "gzip,identity")
}

fn gzip_response() -> Fields {
    Fields::grpc_response().with("grpc-encoding", "gzip")
}

// Wire checklist line 14
#[tokio::test]
async fn server_reads_messages_cut_anywhere_and_joined() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    let wire = [grpc::message(b"one"), grpc::message(b""), grpc::message(b"three")].concat();
    for size in 1..=wire.len() {
        let stream = client.call(CHAT).await;
        let mut frames: Vec<_> = wire
            .chunks(size)
            .map(|chunk| Frame::data(stream, bytes::Bytes::copy_from_slice(chunk)))
            .collect();
        frames.push(Frame::data(stream, bytes::Bytes::new()).end_stream());
        client.send_all(&frames).await;
        let answer = client.answer(stream).await;
        assert_eq!(answer.grpc_status(), Some("0"), "{size} bytes in a frame");
        let messages: Vec<_> = answer.messages().into_iter().map(|(_, message)| message).collect();
        assert_eq!(messages, ["one", "", "three"], "{size} bytes in a frame");
    }
}

// Wire checklist line 14
#[tokio::test]
async fn client_reads_messages_cut_anywhere_and_joined() {
    let wire = [grpc::message(b"one"), grpc::message(b""), grpc::message(b"three")].concat();
    for size in 1..=wire.len() {
        let (messages, status) = stream_against(async |server, stream| {
            server.headers(stream).await;
            let frames: Vec<_> = wire
                .chunks(size)
                .map(|chunk| Frame::data(stream, bytes::Bytes::copy_from_slice(chunk)))
                .collect();
            server.send_all(&frames).await;
            server.trailers(stream, 0, "").await;
        })
        .await;
        assert!(status.is_ok(), "{size} bytes in a frame: {status}");
        assert_eq!(messages, [raw("one"), raw(""), raw("three")], "{size} bytes in a frame");
    }
}

// Wire checklist line 15
#[tokio::test]
async fn a_message_of_no_bytes_is_a_message_both_ways() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    let answer = client.unary(ECHO, b"").await;
    assert_eq!((answer.grpc_status(), &answer.body[..]), (Some("0"), &[0; 5][..]));

    let server = RawServer::bind().await;
    let channel = channel(&server);
    let play = async {
        let mut connection = server.accept().await;
        let request = connection.request().await;
        let body = connection.body(request.stream).await;
        connection.reply(request.stream, b"").await;
        (body, connection)
    };
    let (outcome, (body, _connection)) =
        tokio::join!(channel.unary::<Raw, Raw>(&UNARY, raw("")).timeout(LONG).into_future(), play);
    assert_eq!(body, [0; 5][..]);
    assert_eq!(outcome.unwrap(), raw(""));
}

// Wire checklist line 16
#[tokio::test]
async fn server_answers_internal_to_a_bad_message_flag() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    let plain = Fields::grpc_request(ECHO);
    let identity = plain.clone().with("grpc-encoding", "identity");
    for (request, flag) in [
        (&plain, 1),
        (&identity, 1),
        (&plain, 2),
        (&plain, 7),
        (&plain, 0x80),
        (&plain, 255),
        (&gzip_request(ECHO), 3),
    ] {
        let stream = client.call_with(request).await;
        client.send(Frame::data(stream, grpc::prefixed(flag, 2, b"hi")).end_stream()).await;
        let answer = client.answer(stream).await;
        assert_eq!(answer.grpc_status(), Some("13"), "flag {flag}: {answer:?}");
    }
    assert_eq!(client.unary(ECHO, b"hi").await.grpc_status(), Some("0"), "the connection lives on");
}

// Wire checklist line 16
#[tokio::test]
async fn client_reports_internal_for_a_bad_message_flag() {
    for (headers, flag) in [
        (Fields::grpc_response(), 1),
        (Fields::grpc_response().with("grpc-encoding", "identity"), 1),
        (Fields::grpc_response(), 7),
        (Fields::grpc_response(), 255),
        (gzip_response(), 2),
    ] {
        let status = unary_status(async |server, stream| {
            server.fields(stream, &headers, false).await;
            server.data(stream, &grpc::prefixed(flag, 2, b"hi")).await;
            server.trailers(stream, 0, "").await;
        })
        .await;
        assert_eq!(status.code(), Code::Internal, "flag {flag}: {status}");
    }
}

// Wire checklist line 17
#[tokio::test]
async fn server_answers_unimplemented_to_an_unknown_encoding_and_says_what_it_knows() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    for unknown in ["br", "snappy", "GZIP", ""] {
        let request = Fields::grpc_request(ECHO).with("grpc-encoding", unknown);
        let stream = client.call_with(&request).await;
        client.send(Frame::data(stream, grpc::prefixed(1, 2, b"hi")).end_stream()).await;
        let answer = client.answer(stream).await;
        assert_eq!(answer.grpc_status(), Some("12"), "{unknown}: {answer:?}");
        let known = answer.headers.get("grpc-accept-encoding").unwrap_or_default();
        assert!(known.contains("gzip") && known.contains("identity"), "{unknown}: {known}");
    }
    assert_eq!(server.calls(), 0);
}

// Wire checklist line 17
#[tokio::test]
async fn client_reports_internal_for_an_unknown_encoding() {
    let status = unary_status(async |server, stream| {
        server.fields(stream, &Fields::grpc_response().with("grpc-encoding", "br"), false).await;
        server.data(stream, &grpc::prefixed(1, 2, b"hi")).await;
        server.trailers(stream, 0, "").await;
    })
    .await;
    assert_status(&status, Code::Internal, "br");
}

// Wire checklist line 18
#[tokio::test]
async fn server_compresses_only_with_what_the_caller_listed() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    for (listed, expected) in [
        (None, None),
        (Some("identity"), None),
        (Some("br"), None),
        (Some("deflate"), None),
        (Some("gzip"), Some("gzip")),
        (Some("br, gzip ,identity"), Some("gzip")),
    ] {
        let mut request = Fields::grpc_request(INFLATE);
        if let Some(listed) = listed {
            request = request.with("grpc-accept-encoding", listed);
        }
        let answer = client.unary_with(&request, b"10000").await;
        assert_eq!(answer.grpc_status(), Some("0"), "{listed:?}");
        let sent = answer.headers.get("grpc-encoding").filter(|encoding| *encoding != "identity");
        assert_eq!(sent, expected, "{listed:?}");
        let (flag, message) = answer.messages().remove(0);
        assert_eq!(flag, u8::from(expected.is_some()), "{listed:?}");
        assert_eq!(message.len() < 10_000, expected.is_some(), "{listed:?}");
    }
}

// Wire checklist line 18
#[tokio::test]
async fn plain_messages_pass_beside_compressed_ones_both_ways() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    let stream = client.call_with(&gzip_request(CHAT)).await;
    let wire = [grpc::message(b"plain"), gzip_message(b"packed"), grpc::message(b"plain again")].concat();
    client.send(Frame::data(stream, wire).end_stream()).await;
    let answer = client.answer(stream).await;
    let messages: Vec<_> = answer.messages().into_iter().map(|(_, message)| message).collect();
    assert_eq!(
        (answer.grpc_status(), messages),
        (Some("0"), vec!["plain".into(), "packed".into(), "plain again".into()])
    );

    let (messages, status) = stream_against(async |server, stream| {
        server.fields(stream, &gzip_response(), false).await;
        let wire = [grpc::message(b"plain"), gzip_message(b"packed"), grpc::message(b"plain again")].concat();
        server.data(stream, &wire).await;
        server.trailers(stream, 0, "").await;
    })
    .await;
    assert!(status.is_ok(), "{status}");
    assert_eq!(messages, [raw("plain"), raw("packed"), raw("plain again")]);
}

// Wire checklist lines 18 and 19
#[tokio::test]
async fn client_compresses_each_message_by_itself_and_announces_what_it_reads() {
    let server = RawServer::bind().await;
    let channel = channel(&server);
    let call = async {
        let mut stream =
            channel.client_streaming::<Raw, Raw>(&UP).compress(Encoding::Gzip).timeout(LONG).await?;
        stream.send(raw([b'a'; 3000])).await?;
        stream.send(raw([b'a'; 3000])).await?;
        stream.finish().await
    };
    let play = async {
        let mut connection = server.accept().await;
        let (request, messages) = connection.whole_request().await;
        connection.reply(request.stream, b"").await;
        (request, messages, connection)
    };
    let (outcome, (request, messages, _connection)) = tokio::join!(call, play);
    outcome.unwrap();
    assert_eq!(request.fields.get("grpc-encoding"), Some("gzip"));
    assert!(request.fields.get("grpc-accept-encoding").is_some_and(|listed| listed.contains("gzip")));
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[0], messages[1], "the second does not lean on the first");
    assert_eq!(messages[0].0, 1);
    let mut inflated = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&messages[1].1[..]), &mut inflated).unwrap();
    assert_eq!(inflated, [b'a'; 3000]);
}

// Wire checklist line 19
#[tokio::test]
async fn server_stops_a_gzip_bomb_at_its_limit() {
    let server = TestServer::with(|server| server.max_recv_message_bytes(10_000)).await;
    let mut client = RawClient::connect(server.address()).await;
    for (size, expected) in [(10_000, "0"), (10_001, "8"), (50_000_000, "8")] {
        let stream = client.call_with(&gzip_request(ECHO)).await;
        for chunk in gzip_message(&vec![0; size]).chunks(16_384) {
            client.data(stream, chunk).await;
        }
        client.half_close(stream).await;
        let answer = client.answer(stream).await;
        assert_eq!(answer.grpc_status(), Some(expected), "{size}: {answer:?}");
        if expected == "8" {
            assert!(answer.grpc_message().contains("max_recv_message_bytes"), "{answer:?}");
        }
    }
    assert_eq!(client.unary(ECHO, b"hi").await.grpc_status(), Some("0"), "the connection lives on");
}

// Wire checklist line 19
#[tokio::test]
async fn client_stops_a_gzip_bomb_at_its_limit() {
    // 64 MiB of zeros are 64 KiB on the wire.
    let bomb = gzip_message(&vec![0; 64 << 20]);
    let status = unary_status(async |server, stream| {
        server.fields(stream, &gzip_response(), false).await;
        for chunk in bomb.chunks(16_384) {
            server.data(stream, chunk).await;
        }
        server.trailers(stream, 0, "").await;
    })
    .await;
    assert_status(&status, Code::ResourceExhausted, "max_recv_message_bytes");
}

// Wire checklist line 19
#[tokio::test]
async fn corrupt_compression_is_internal_both_ways() {
    let good = gzip(b"hello, hello, hello, hello");
    let cut = good[..good.len() - 3].to_vec();
    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0xff;
    let mut longer = good.clone();
    longer.extend_from_slice(b"trailing garbage");
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    for (name, body) in [
        ("cut", cut),
        ("flipped", flipped),
        ("empty", vec![]),
        ("text", b"hello".to_vec()),
        ("longer", longer),
    ] {
        let message = grpc::prefixed(1, body.len() as u32, &body);
        let stream = client.call_with(&gzip_request(ECHO)).await;
        client.send(Frame::data(stream, message.clone()).end_stream()).await;
        let answer = client.answer(stream).await;
        assert_eq!(answer.grpc_status(), Some("13"), "{name}: {answer:?}");
        let status = unary_status(async |server, stream| {
            server.fields(stream, &gzip_response(), false).await;
            server.data(stream, &message).await;
            server.trailers(stream, 0, "").await;
        })
        .await;
        assert_eq!(status.code(), Code::Internal, "{name}: {status}");
    }
}

// Wire checklist line 20
#[tokio::test]
async fn server_refuses_a_message_above_4_mib_and_names_the_limit() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    let stream = client.call(ECHO).await;
    // The length alone is enough: no byte of the message is sent.
    client.data(stream, &grpc::prefixed(0, 4 * 1024 * 1024 + 1, b"")).await;
    let answer = client.answer(stream).await;
    assert_eq!(answer.grpc_status(), Some("8"), "{answer:?}");
    let message = answer.grpc_message();
    assert!(message.contains("max_recv_message_bytes") && message.contains("4194305"), "{message}");
    assert_eq!(client.unary(ECHO, b"hi").await.grpc_status(), Some("0"), "the connection lives on");
}

// Wire checklist line 20
#[tokio::test]
async fn a_message_of_exactly_the_limit_passes_and_one_byte_more_does_not() {
    let server = TestServer::with(|server| server.max_recv_message_bytes(1000)).await;
    let mut client = RawClient::connect(server.address()).await;
    assert_eq!(client.unary(ECHO, &[7; 1000]).await.grpc_status(), Some("0"));
    assert_eq!(client.unary(ECHO, &[7; 1001]).await.grpc_status(), Some("8"));

    for (size, code) in [(1000, Code::Ok), (1001, Code::ResourceExhausted)] {
        let server = RawServer::bind().await;
        let channel = channel(&server);
        let call = channel.unary::<Raw, Raw>(&UNARY, raw("")).max_recv_message_bytes(1000).timeout(LONG);
        let play = async {
            let mut connection = server.accept().await;
            let (request, _) = connection.whole_request().await;
            connection.reply(request.stream, &vec![7; size]).await;
            connection
        };
        let (outcome, _connection) = tokio::join!(call.into_future(), play);
        assert_eq!(outcome.err().map_or(Code::Ok, |status| status.code()), code, "{size}");
    }
}

// Wire checklist line 20, hazards A16
#[tokio::test]
async fn a_length_of_4_gib_is_refused_before_memory_is_taken() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    let stream = client.call(CHAT).await;
    client.data(stream, &grpc::prefixed(0, u32::MAX, b"a few bytes")).await;
    assert_eq!(client.answer(stream).await.grpc_status(), Some("8"));

    let status = unary_status(async |server, stream| {
        server.headers(stream).await;
        server.data(stream, &grpc::prefixed(0, u32::MAX, b"a few bytes")).await;
        // The client need not wait for more.
        assert_eq!(server.wait_reset(stream).await, spanwire_faults::reason::CANCEL);
    })
    .await;
    assert_status(&status, Code::ResourceExhausted, "4294967295");
}

// Wire checklist line 20
#[tokio::test]
async fn client_refuses_to_send_a_message_above_its_limit() {
    let server = RawServer::bind().await;
    let channel = channel(&server);
    let call = channel.unary::<Raw, Raw>(&UNARY, raw([7; 1001])).max_send_message_bytes(1000).timeout(LONG);
    let status = call.await.unwrap_err();
    assert_status(&status, Code::ResourceExhausted, "max_send_message_bytes");
    assert!(status.message().contains("1001"), "{status}");
}

// Wire checklist line 20
#[tokio::test]
async fn server_refuses_to_send_a_message_above_its_limit() {
    let server = TestServer::with(|server| server.max_send_message_bytes(1000)).await;
    let mut client = RawClient::connect(server.address()).await;
    assert_eq!(client.unary(ECHO, &[7; 1000]).await.grpc_status(), Some("0"));
    let answer = client.unary(ECHO, &[7; 1001]).await;
    assert_eq!(answer.grpc_status(), Some("8"), "{answer:?}");
    assert!(answer.grpc_message().contains("max_send_message_bytes"), "{answer:?}");
}

// Wire checklist line 21
#[tokio::test]
async fn server_answers_unimplemented_to_no_or_two_messages_where_one_is_due() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    for path in [ECHO, "/test.Probe/Count"] {
        let stream = client.call(path).await;
        client.half_close(stream).await;
        let none = client.answer(stream).await;
        assert_eq!(none.grpc_status(), Some("12"), "{path}, none: {none:?}");

        let stream = client.take_stream();
        client.fields(stream, &Fields::grpc_request(path), true).await;
        let none = client.answer(stream).await;
        assert_eq!(none.grpc_status(), Some("12"), "{path}, none in HEADERS: {none:?}");

        let stream = client.call(path).await;
        client.grpc_message(stream, b"1").await;
        client.last_message(stream, b"1").await;
        let two = client.answer(stream).await;
        assert_eq!(two.grpc_status(), Some("12"), "{path}, two: {two:?}");
    }
    assert_eq!(server.calls(), 0, "no handler ran");
}

// Wire checklist line 21
#[tokio::test]
async fn client_reports_unimplemented_for_ok_without_a_message() {
    let status = unary_status(async |server, stream| {
        server.headers(stream).await;
        server.trailers(stream, 0, "").await;
    })
    .await;
    assert_eq!(status.code(), Code::Unimplemented, "{status}");
    let status = unary_status(async |server, stream| server.trailers_only(stream, 0, "").await).await;
    assert_eq!(status.code(), Code::Unimplemented, "Trailers-Only: {status}");
}

// Wire checklist line 21
#[tokio::test]
async fn client_reports_unimplemented_for_two_messages_at_once_and_resets() {
    let status = unary_status(async |server, stream| {
        server.headers(stream).await;
        server.grpc_message(stream, b"one").await;
        server.grpc_message(stream, b"two").await;
        // No trailers: the client must not wait for them.
        assert_eq!(server.wait_reset(stream).await, spanwire_faults::reason::CANCEL);
    })
    .await;
    assert_eq!(status.code(), Code::Unimplemented, "{status}");
}

// Wire checklist line 21
#[tokio::test]
async fn a_failed_call_needs_no_message() {
    let status = unary_status(async |server, stream| {
        server.headers(stream).await;
        server.trailers(stream, 7, "no").await;
    })
    .await;
    assert_status(&status, Code::PermissionDenied, "no");
    let status = unary_status(async |server, stream| {
        server.headers(stream).await;
        server.grpc_message(stream, b"a message is there").await;
        server.trailers(stream, 7, "no").await;
    })
    .await;
    assert_status(&status, Code::PermissionDenied, "no");
}

// Wire checklist line 22
#[tokio::test]
async fn server_answers_internal_to_a_stream_that_ends_inside_a_message() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    for path in [ECHO, UPLOAD, CHAT] {
        for cut in 1..7 {
            let stream = client.call(path).await;
            let body = grpc::message(b"hi").slice(..cut.min(6));
            client.send(Frame::data(stream, body).end_stream()).await;
            let answer = client.answer(stream).await;
            assert_eq!(answer.grpc_status(), Some("13"), "{path} cut after {cut}: {answer:?}");
        }
    }
}

// Wire checklist line 22
#[tokio::test]
async fn client_reports_internal_for_a_stream_that_ends_inside_a_message() {
    for cut in 1..7 {
        let part = grpc::message(b"hi").slice(..cut);
        let status = unary_status(async |server, stream| {
            server.headers(stream).await;
            server.data(stream, &part).await;
            server.trailers(stream, 0, "").await;
        })
        .await;
        assert_eq!(status.code(), Code::Internal, "unary cut after {cut}: {status}");
        let (messages, status) = stream_against(async |server, stream| {
            server.headers(stream).await;
            server.grpc_message(stream, b"whole").await;
            server.data(stream, &part).await;
            server.trailers(stream, 0, "").await;
        })
        .await;
        assert_eq!(status.code(), Code::Internal, "stream cut after {cut}: {status}");
        assert_eq!(messages, [raw("whole")]);
    }
}

// Wire checklist lines 14 and 21, hazards F7
#[tokio::test]
async fn a_message_of_20_kb_in_frames_of_one_byte_passes_both_ways() {
    let body: Vec<u8> = (0..20_000_u32).map(|n| n as u8).collect();
    let wire = grpc::message(&body);
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    let stream = client.call(ECHO).await;
    let mut frames: Vec<_> = (0..wire.len()).map(|at| Frame::data(stream, wire.slice(at..=at))).collect();
    frames.push(Frame::data(stream, bytes::Bytes::new()).end_stream());
    client.send_all(&frames).await;
    let answer = client.answer(stream).await;
    assert_eq!(answer.grpc_status(), Some("0"), "{answer:?}");
    assert_eq!(answer.messages()[0].1, body);

    let response = unary_against(async |server, stream| {
        server.headers(stream).await;
        let frames: Vec<_> = (0..wire.len()).map(|at| Frame::data(stream, wire.slice(at..=at))).collect();
        server.send_all(&frames).await;
        server.trailers(stream, 0, "").await;
    })
    .await
    .unwrap();
    assert_eq!(response.message, raw(&body));
}

// Wire checklist line 14
#[tokio::test]
async fn large_messages_pass_every_kind_of_call() {
    let server = TestServer::start().await;
    let channel = common::build(spanwire::Channel::builder(&server.target()));
    let large = raw(vec![42; 3_000_000]);
    let echo = spanwire::Method::new(ECHO, spanwire::Kind::Unary);
    assert_eq!(channel.unary::<Raw, Raw>(&echo, large.clone()).timeout(LONG).await.unwrap(), large);
    let chat = spanwire::Method::new(CHAT, BIDI.kind());
    let mut duplex = channel.bidi::<Raw, Raw>(&chat).timeout(LONG).await.unwrap();
    for _ in 0..3 {
        duplex.send(large.clone()).await.unwrap();
        assert_eq!(duplex.next().await.unwrap(), Some(large.clone()));
    }
    duplex.half_close();
    assert_eq!(duplex.next().await.unwrap(), None);
    let count = spanwire::Method::new("/test.Probe/Count", DOWN.kind());
    let mut stream = channel.server_streaming::<Raw, Raw>(&count, raw("3")).timeout(LONG).await.unwrap();
    for n in ["0", "1", "2"] {
        assert_eq!(stream.next().await.unwrap(), Some(raw(n)));
    }
    assert_eq!(stream.next().await.unwrap(), None);
}
