//! What our client reports when a server breaks the rules of HTTP/2 or gRPC, beyond what `client_faults` has. The same
//! rule holds: see [`common::fault`].
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use bytes::Bytes;
use common::fault::play;
use spanwire_faults::frame::{flag, kind, setting};
use spanwire_faults::{Fields, Frame, RawConnection, grpc, reason};

async fn good_headers(server: &mut RawConnection, stream: u32) {
    server.headers(stream).await;
    server.grpc_message(stream, b"yes").await;
}

#[tokio::test]
async fn resets() {
    play(vec![fault!("RST of a stream that never was", Unavailable, "", |server, _stream| {
        server.rst(99, reason::CANCEL).await;
    })])
    .await;
}

#[tokio::test]
async fn goaways() {
    play(vec![
        fault!("GOAWAY(0) and silence", Ok, "", |server, _stream| {
            server.goaway(0, reason::NO_ERROR, "").await;
        }),
        fault!("GOAWAY PROTOCOL_ERROR", Unavailable, "PROTOCOL_ERROR", |server, stream| {
            server.goaway(stream, reason::PROTOCOL_ERROR, "").await;
            server.shut_down().await;
        }),
        fault!("GOAWAY of 7 bytes", Unavailable, "", |server, _stream| {
            server.send(Frame::new(kind::GOAWAY, 0, 0, vec![0; 7])).await;
        }),
    ])
    .await;
}

#[tokio::test]
async fn messages() {
    play(vec![
        fault!("OK with a cut prefix", Internal, "", |server, stream| {
            server.headers(stream).await;
            server.data(stream, &grpc::message(b"hello")[..3]).await;
            server.trailers(stream, 0, "").await;
        }),
        fault!("flag 1 without an encoding", Internal, "", |server, stream| {
            server.headers(stream).await;
            server.data(stream, &grpc::prefixed(1, 2, b"hi")).await;
            server.trailers(stream, 0, "").await;
        }),
        fault!("a length of 4 GiB", ResourceExhausted, "max_recv_message_bytes", |server, stream| {
            server.headers(stream).await;
            server.data(stream, &grpc::prefixed(0, u32::MAX, b"hi")).await;
        }),
        fault!("DATA after the end", Ok, "", |server, stream| {
            server.reply(stream, b"yes").await;
            server.data(stream, b"late").await;
        }),
        fault!("DATA on a stream that never was", Unavailable, "", |server, _stream| {
            server.data(99, b"whose?").await;
        }),
        fault!("more than the window", Internal, "", |server, stream| {
            server.headers(stream).await;
            server.data(stream, &grpc::prefixed(0, 3_000_000, b"")).await;
            let chunks: Vec<Frame> = (0..150).map(|_| Frame::data(stream, vec![0; 16_384])).collect();
            server.send_all(&chunks).await;
        }),
        fault!("padding longer than its frame", Internal, "", |server, stream| {
            server.headers(stream).await;
            server.send(Frame::new(kind::DATA, flag::PADDED, stream, vec![200, 0, 0])).await;
        }),
    ])
    .await;
}

#[tokio::test]
async fn statuses() {
    play(vec![
        fault!("HTTP 200 without grpc-status", Unknown, "", |server, stream| {
            good_headers(server, stream).await;
            server.fields(stream, &Fields::new().with("x", "y"), true).await;
        }),
        fault!("text/html", Unknown, "text/html", |server, stream| {
            let html = Fields::new().with(":status", "200").with("content-type", "text/html");
            server.fields(stream, &html, false).await;
            server.send(Frame::data(stream, &b"<html>"[..]).end_stream()).await;
        }),
        fault!("trailers without END_STREAM", Internal, "", |server, stream| {
            good_headers(server, stream).await;
            server.fields(stream, &Fields::grpc_trailers(0, ""), false).await;
        }),
        // RFC 9113 §8.1.1 asks for a stream error here; h2 finds these while it decodes HPACK and gives the connection up.
        fault!("an upper-case header name", Unavailable, "", |server, stream| {
            server.fields(stream, &Fields::grpc_response().with("Upper", "1"), false).await;
        }),
        fault!("no :status", Internal, "", |server, stream| {
            server.fields(stream, &Fields::grpc_response().without(":status"), false).await;
        }),
        fault!(":status abc", Unavailable, "", |server, stream| {
            server.fields(stream, &Fields::grpc_response().set(":status", "abc"), false).await;
        }),
        fault!("a status and details that are not base64", NotFound, "told", |server, stream| {
            let fields = Fields::grpc_response().with("grpc-status", "5").with("grpc-message", "told");
            server.fields(stream, &fields.with("grpc-status-details-bin", "***"), true).await;
        }),
        fault!("content-length of another body", Internal, "", |server, stream| {
            server.fields(stream, &Fields::grpc_response().with("content-length", "3"), false).await;
            server.grpc_message(stream, b"longer than three").await;
            server.trailers(stream, 0, "").await;
        }),
    ])
    .await;
}

#[tokio::test]
async fn broken_connections() {
    play(vec![
        fault!("the end at once", Unavailable, "", |server| {
            server.shut_down().await;
        }),
        fault!("the end after SETTINGS", Unavailable, "", |server| {
            server.open(&[], 0).await;
            server.request().await;
            server.shut_down().await;
        }),
        fault!("the end after the request", Unavailable, "", |server, _stream| {
            server.shut_down().await;
        }),
        fault!("the end inside a header block", Unavailable, "", |server, stream| {
            let block = Fields::grpc_response().encode();
            server.send(Frame::headers(stream, block).without_flag(flag::END_HEADERS)).await;
            server.shut_down().await;
        }),
        fault!("the end inside a frame", Unavailable, "", |server, stream| {
            server.headers(stream).await;
            server.send(Frame::data(stream, &b"short"[..]).claiming_length(1000)).await;
            server.shut_down().await;
        }),
        fault!("HTTP/1.1", Unavailable, "", |server| {
            server.send_bytes(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").await;
        }),
        fault!("a frame above MAX_FRAME_SIZE", Unavailable, "", |server, stream| {
            server.headers(stream).await;
            server.send(Frame::data(stream, vec![0; 72 * 1024 + 1])).await;
        }),
        fault!("MAX_FRAME_SIZE 0", Unavailable, "", |server| {
            server.read_opening().await;
            server.settings(&[(setting::MAX_FRAME_SIZE, 0)]).await;
        }),
        fault!("INITIAL_WINDOW_SIZE above 2^31-1", Unavailable, "", |server| {
            server.read_opening().await;
            server.settings(&[(setting::INITIAL_WINDOW_SIZE, 1 << 31)]).await;
        }),
        fault!("SETTINGS of 5 bytes", Unavailable, "", |server, _stream| {
            server.send(Frame::new(kind::SETTINGS, 0, 0, vec![0; 5])).await;
        }),
        fault!("PING of 7 bytes", Unavailable, "", |server, _stream| {
            server.send(Frame::new(kind::PING, 0, 0, vec![0; 7])).await;
        }),
        fault!("WINDOW_UPDATE of 0 on the connection", Unavailable, "", |server, _stream| {
            server.window_update(0, 0).await;
        }),
        fault!("CONTINUATION without HEADERS", Unavailable, "", |server, stream| {
            server.send(Frame::continuation(stream, Bytes::new())).await;
        }),
        fault!("HEADERS on an even stream", Unavailable, "", |server, _stream| {
            server.headers(2).await;
        }),
        fault!("HPACK that is none", Unavailable, "", |server, stream| {
            server.send(Frame::headers(stream, vec![0xff; 30])).await;
        }),
        fault!("an unknown frame", Ok, "", |server, stream| {
            server.send(Frame::new(0xfa, 0xff, stream, &b"what?"[..])).await;
            server.send(Frame::new(0xfa, 0xff, 0, &b"what?"[..])).await;
            server.reply(stream, b"yes").await;
        }),
        fault!("PRIORITY, unknown SETTINGS and PING", Ok, "", |server, stream| {
            server.send(Frame::priority(stream)).await;
            server.settings(&[(0xf000, 7)]).await;
            server.ping(b"hello...").await;
            server.reply(stream, b"yes").await;
        }),
    ])
    .await;
}

#[tokio::test]
async fn header_floods() {
    play(vec![
        fault!("20 KiB of headers", ResourceExhausted, "max_metadata_bytes", |server, stream| {
            server.fields(stream, &Fields::grpc_response().with("large", vec![b'x'; 20_480]), false).await;
        }),
        fault!("200 fields", ResourceExhausted, "max_metadata_fields", |server, stream| {
            let fields = (0..200).fold(Fields::grpc_response(), |fields, _| fields.with("f", ""));
            server.fields(stream, &fields, false).await;
        }),
        fault!("100 KiB of trailers", ResourceExhausted, "", |server, stream| {
            good_headers(server, stream).await;
            let fields = Fields::grpc_trailers(0, "").with("large", vec![b'x'; 100 * 1024]);
            server.fields(stream, &fields, true).await;
        }),
    ])
    .await;
}
