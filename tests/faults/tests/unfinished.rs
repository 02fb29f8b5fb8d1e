//! Requests whose messages are not whole: what they may hold together, and that everything else goes on.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use bytes::Bytes;
use common::{LONG, TestServer};
use flate2::{Compression, write::GzEncoder};
use futures_util::future::join_all;
use spanwire::{Channel, Kind, Method, Raw, ServerBuilder};
use spanwire_faults::{Event, Fields, Frame, Headers, RawClient, grpc, reason};
use std::io::Write;
use std::time::Instant;

const ECHO: &str = "/test.Probe/Echo";
const UPLOAD: &str = "/test.Probe/Upload";

/// The largest message, as far as the tests say nothing else.
const MESSAGE: usize = 64 << 10;

/// What comes first of such a message: five fit into the bound, six do not.
const PIECE: usize = 48 << 10;

const BOUND: usize = 4 * MESSAGE;

fn narrow(server: ServerBuilder) -> ServerBuilder {
    server.max_recv_message_bytes(MESSAGE).max_unfinished_request_bytes(BOUND)
}

/// The counters that are not 0.
fn hits(server: &TestServer) -> Vec<(&'static str, u64)> {
    server.handle().stats().limits.iter().filter(|(_, count)| *count > 0).collect()
}

/// Opens a call and sends all of a message of [`MESSAGE`] bytes but the last `missing`.
async fn begin(client: &mut RawClient, path: &str, missing: usize) -> u32 {
    let stream = client.call(path).await;
    let begun = grpc::prefixed(0, MESSAGE as u32, &vec![7; MESSAGE - missing]);
    client.wait_room(stream, begun.len()).await;
    client.send(Frame::data(stream, begun)).await;
    stream
}

async fn begin_some(client: &mut RawClient, path: &str, count: usize) -> Vec<u32> {
    let mut streams = Vec::new();
    for _ in 0..count {
        streams.push(begin(client, path, MESSAGE - PIECE).await);
    }
    streams
}

/// Sends what [`begin`] left out; the status of the answer.
async fn finish(client: &mut RawClient, stream: u32, missing: usize) -> Option<String> {
    client.wait_room(stream, missing).await;
    client.send(Frame::data(stream, vec![7; missing]).end_stream()).await;
    client.answer(stream).await.grpc_status().map(str::to_owned)
}

/// The first answer that comes, whichever call's it is.
async fn any_answer(client: &mut RawClient) -> (u32, Fields) {
    match client.wait("an answer", |event| matches!(event, Event::Headers(_))).await {
        Event::Headers(Headers { stream, fields, .. }) => (stream, fields),
        other => unreachable!("{other}"),
    }
}

async fn assert_one_is_refused(server: &TestServer, client: &mut RawClient) -> u32 {
    let (refused, fields) = any_answer(client).await;
    assert_eq!(fields.get("grpc-status"), Some("8"), "{fields:?}");
    let message = fields.get("grpc-message").unwrap();
    assert!(message.contains("max_unfinished_request_bytes (262144 bytes)"), "{message}");
    assert_eq!(hits(server), [("unfinished_request_bytes", 1)]);
    refused
}

/// Waits until the server has no call left.
async fn calls_end(server: &TestServer) {
    let began = Instant::now();
    while server.handle().stats().calls > 0 {
        assert!(began.elapsed() < LONG, "{:?}", server.handle().stats());
        tokio::task::yield_now().await;
    }
}

// Hazards A10
#[tokio::test]
async fn what_is_not_whole_is_bounded_and_everything_else_goes_on() {
    for path in [ECHO, UPLOAD] {
        let server = TestServer::with(narrow).await;
        let mut client = RawClient::connect(server.address()).await;
        let mut begun = begin_some(&mut client, path, 6).await;
        let refused = assert_one_is_refused(&server, &mut client).await;
        begun.retain(|stream| *stream != refused);

        assert_eq!(client.unary(ECHO, b"small").await.grpc_status(), Some("0"));
        let whole = client.call(ECHO).await;
        client.wait_room(whole, MESSAGE + 5).await;
        client.send(Frame::data(whole, grpc::message(&[7; MESSAGE])).end_stream()).await;
        assert_eq!(client.answer(whole).await.grpc_status(), Some("0"), "a message in one piece");

        // Those that hold it can finish; then there is room again.
        for stream in begun {
            assert_eq!(finish(&mut client, stream, MESSAGE - PIECE).await.as_deref(), Some("0"));
        }
        for stream in begin_some(&mut client, path, 5).await {
            assert_eq!(finish(&mut client, stream, MESSAGE - PIECE).await.as_deref(), Some("0"));
        }
        assert_eq!(hits(&server), [("unfinished_request_bytes", 1)]);
    }
}

#[tokio::test]
async fn every_end_of_a_call_gives_back_what_it_held() {
    let server = TestServer::with(narrow).await;
    let mut client = RawClient::connect(server.address()).await;
    for path in [ECHO, UPLOAD] {
        for round in 0..3 {
            for stream in begin_some(&mut client, path, 5).await {
                assert_eq!(finish(&mut client, stream, MESSAGE - PIECE).await.as_deref(), Some("0"));
            }
            // Cut off: INTERNAL.
            for stream in begin_some(&mut client, path, 5).await {
                client.half_close(stream).await;
                assert_eq!(client.answer(stream).await.grpc_status(), Some("13"), "{path}, round {round}");
            }
            for stream in begin_some(&mut client, path, 5).await {
                client.rst(stream, reason::CANCEL).await;
            }
            client.sync().await;
            calls_end(&server).await;
            for _ in 0..5 {
                let head = Fields::grpc_request(path).with("grpc-timeout", "20m");
                let stream = client.call_with(&head).await;
                client.send(Frame::data(stream, grpc::prefixed(0, MESSAGE as u32, &[7; PIECE]))).await;
                assert_eq!(client.answer(stream).await.grpc_status(), Some("4"), "{path}, round {round}");
            }
        }
    }
    assert_eq!(hits(&server), []);
}

#[tokio::test]
async fn each_connection_has_an_account_of_its_own() {
    let server = TestServer::with(narrow).await;
    for _ in 0..3 {
        let (mut one, mut other) =
            (RawClient::connect(server.address()).await, RawClient::connect(server.address()).await);
        begin_some(&mut one, ECHO, 5).await;
        begin_some(&mut other, ECHO, 5).await;
        assert_eq!(one.unary(ECHO, b"hi").await.grpc_status(), Some("0"));
        assert_eq!(other.unary(ECHO, b"hi").await.grpc_status(), Some("0"));
        drop((one, other));
        calls_end(&server).await;
    }
    assert_eq!(hits(&server), []);
}

/// A unary call whose client has sent its message and keeps its side open.
#[tokio::test]
async fn a_whole_message_counts_until_its_request_is_whole() {
    let server = TestServer::with(narrow).await;
    let mut client = RawClient::connect(server.address()).await;
    let message = grpc::message(&[7; PIECE]);
    for _ in 0..6 {
        let stream = client.call(ECHO).await;
        client.wait_room(stream, message.len()).await;
        client.send(Frame::data(stream, message.clone())).await;
    }
    assert_one_is_refused(&server, &mut client).await;
}

#[tokio::test]
async fn a_held_message_counts_as_long_as_it_is_inflated() {
    let server = TestServer::with(narrow).await;
    let mut client = RawClient::connect(server.address()).await;
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(&[0; PIECE]).unwrap();
    let gzip = gzip.finish().unwrap();
    let message: Bytes = grpc::prefixed(1, gzip.len() as u32, &gzip);
    for _ in 0..6 {
        let stream = client.call_with(&Fields::grpc_request(ECHO).with("grpc-encoding", "gzip")).await;
        client.send(Frame::data(stream, message.clone())).await;
    }
    assert_one_is_refused(&server, &mut client).await;
}

// ---- honest ones ----

#[tokio::test]
async fn sixty_four_messages_of_the_largest_size_and_no_more_arrive_at_once() {
    let server = TestServer::with(|server| server.max_recv_message_bytes(MESSAGE)).await;
    let mut client = RawClient::connect(server.address()).await;
    let mut begun = Vec::new();
    for _ in 0..64 {
        begun.push(begin(&mut client, UPLOAD, 1).await);
    }
    client.sync().await;
    assert_eq!(hits(&server), []);
    begin(&mut client, UPLOAD, 1).await;
    let (refused, _) = any_answer(&mut client).await;
    begun.retain(|stream| *stream != refused);
    for stream in begun {
        assert_eq!(finish(&mut client, stream, 1).await.as_deref(), Some("0"));
    }
    assert_eq!(hits(&server), [("unfinished_request_bytes", 1)]);
}

#[tokio::test]
async fn small_messages_in_pieces_are_not_counted() {
    let server = TestServer::with(narrow).await;
    let mut client = RawClient::connect(server.address()).await;
    let mut begun = Vec::new();
    for _ in 0..100 {
        let stream = client.call(ECHO).await;
        client.wait_room(stream, 10_000).await;
        client.send(Frame::data(stream, grpc::prefixed(0, 10_000, &[7; 9_995]))).await;
        begun.push(stream);
    }
    for stream in begun {
        assert_eq!(finish(&mut client, stream, 5).await.as_deref(), Some("0"));
    }
    assert_eq!(hits(&server), []);
}

#[tokio::test]
async fn eight_uploads_of_four_megabytes_pass_side_by_side() {
    let server = TestServer::start().await;
    let channel = Channel::builder(&server.target()).build().unwrap();
    let message = Raw(vec![7; 4 << 20].into());
    let echo = Method::new("/test.Probe/Echo", Kind::Unary);
    let calls = (0..8).map(|_| channel.unary::<Raw, Raw>(&echo, message.clone()).timeout(LONG).into_future());
    for answer in join_all(calls).await {
        assert_eq!(answer.unwrap().0.len(), 4 << 20);
    }
    assert_eq!(hits(&server), []);
}
