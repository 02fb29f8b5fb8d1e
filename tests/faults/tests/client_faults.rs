//! What our client reports for each fault of a server: one row for each, and one rule for all of them.
//!
//! The rule: the first result comes within the deadline and 100 ms, nothing panics, and the next call on the same
//! channel succeeds as soon as the server behaves.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use bytes::Bytes;
use common::{BIDI, FrozenClock, LONG, UNARY, UP, assert_status, raw};
use futures_util::future::{BoxFuture, FutureExt};
use spanwire::{Channel, Code, Keepalive, Raw, Status};
use spanwire_faults::frame::{flag, kind, setting};
use spanwire_faults::{
    Event, Fields, Frame, RawConnection, RawServer, grpc, indexed_literal, reason, references,
};
use std::time::{Duration, Instant};

type Script = for<'a> fn(&'a mut RawConnection) -> BoxFuture<'a, ()>;

/// One fault: what the server does on its first connection, and what the caller gets.
struct Fault {
    name: &'static str,
    script: Script,
    code: Code,
    /// A part of the message.
    says: &'static str,
}

macro_rules! fault {
    ($name:literal, $code:ident, $says:literal, |$server:ident| $script:block) => {
        Fault {
            name: $name,
            code: Code::$code,
            says: $says,
            script: |$server| async move { $script }.boxed(),
        }
    };
    ($name:literal, $code:ident, $says:literal, |$server:ident, $stream:ident| $script:block) => {
        Fault {
            name: $name,
            code: Code::$code,
            says: $says,
            script: |$server| {
                async move {
                    $server.open(&[(setting::INITIAL_WINDOW_SIZE, 1 << 24)], 1 << 24).await;
                    let $stream = $server.whole_request().await.0.stream;
                    $script
                }
                .boxed()
            },
        }
    };
}

/// Plays each fault to a unary call with a deadline of 2 s, then calls again on the same channel.
async fn play(faults: Vec<Fault>) {
    let mut wrong = Vec::new();
    for fault in faults {
        let server = RawServer::bind().await;
        let channel = common::build(
            Channel::builder(&server.target())
                .backoff(Duration::from_millis(10), Duration::from_millis(50))
                .connect_timeout(Duration::from_millis(500)),
        );
        // The first connection plays the fault and behaves from then on; so do all others.
        let serve = async {
            let mut behaving = futures_util::stream::FuturesUnordered::new();
            let mut first = server.accept_bare().await;
            behaving.push(
                async move {
                    (fault.script)(&mut first).await;
                    first.echo().await;
                }
                .boxed(),
            );
            loop {
                let more = tokio::select! {
                    connection = server.accept_quietly() => connection,
                    Some(()) = futures_util::StreamExt::next(&mut behaving) => continue,
                };
                behaving.push(
                    async move {
                        let mut connection = more;
                        connection.open(&[(setting::INITIAL_WINDOW_SIZE, 1 << 24)], 1 << 24).await;
                        connection.echo().await;
                    }
                    .boxed(),
                );
            }
        };
        let deadline = Duration::from_secs(2);
        let calls = async {
            let start = Instant::now();
            let first = channel.unary::<Raw, Raw>(&UNARY, raw("hi")).timeout(deadline).await;
            let took = start.elapsed();
            let again = loop {
                let again = channel
                    .unary::<Raw, Raw>(&UNARY, raw("again"))
                    .wait_for_ready(true)
                    .timeout(deadline)
                    .await;
                // A connection that is about to go may take one more call down with it.
                match again {
                    Err(status) if status.code() == Code::Unavailable && start.elapsed() < 3 * deadline => {}
                    again => break again,
                }
            };
            (first, took, again)
        };
        let (first, took, again) = tokio::select! {
            outcome = calls => outcome,
            () = serve => unreachable!("the server goes on"),
        };
        drop(channel);
        if let Err(tasks) = common::tasks_end(0).await {
            wrong.push(format!("{}: {tasks} tasks are left", fault.name));
        }
        let status = first.err().unwrap_or_else(Status::ok);
        if status.code() != fault.code || !status.message().contains(fault.says) {
            wrong.push(format!("{}: {} {:?} is due, got {status}", fault.name, fault.code, fault.says));
        }
        if took > deadline + Duration::from_millis(100) {
            wrong.push(format!("{}: took {took:?}", fault.name));
        }
        if fault.code != Code::DeadlineExceeded && took > Duration::from_millis(1500) {
            wrong.push(format!("{}: only after {took:?}, not at once", fault.name));
        }
        if again.as_ref().ok() != Some(&raw("again")) {
            wrong.push(format!("{}: the channel does not recover: {again:?}", fault.name));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

async fn good_headers(server: &mut RawConnection, stream: u32) {
    server.headers(stream).await;
    server.grpc_message(stream, b"yes").await;
}

#[tokio::test]
async fn resets() {
    play(vec![
        fault!("RST NO_ERROR before headers", Internal, "NO_ERROR", |server, stream| {
            server.rst(stream, reason::NO_ERROR).await;
        }),
        fault!("RST INTERNAL_ERROR after headers", Internal, "INTERNAL_ERROR", |server, stream| {
            server.headers(stream).await;
            server.rst(stream, reason::INTERNAL_ERROR).await;
        }),
        fault!("RST NO_ERROR in the middle of data", Internal, "NO_ERROR", |server, stream| {
            server.headers(stream).await;
            server.data(stream, &grpc::message(b"hello")[..6]).await;
            server.rst(stream, reason::NO_ERROR).await;
        }),
        fault!("RST INTERNAL_ERROR after data", Internal, "INTERNAL_ERROR", |server, stream| {
            good_headers(server, stream).await;
            server.rst(stream, reason::INTERNAL_ERROR).await;
        }),
        fault!("RST CANCEL", Cancelled, "CANCEL", |server, stream| {
            server.rst(stream, reason::CANCEL).await;
        }),
        fault!("RST ENHANCE_YOUR_CALM", ResourceExhausted, "ENHANCE_YOUR_CALM", |server, stream| {
            server.rst(stream, reason::ENHANCE_YOUR_CALM).await;
        }),
        fault!("RST INADEQUATE_SECURITY", PermissionDenied, "INADEQUATE_SECURITY", |server, stream| {
            server.rst(stream, reason::INADEQUATE_SECURITY).await;
        }),
        fault!("RST REFUSED_STREAM twice", Unavailable, "REFUSED_STREAM", |server, stream| {
            server.rst(stream, reason::REFUSED_STREAM).await;
            let again = server.whole_request().await.0.stream;
            server.rst(again, reason::REFUSED_STREAM).await;
        }),
        fault!("RST REFUSED_STREAM once", Ok, "", |server, stream| {
            server.rst(stream, reason::REFUSED_STREAM).await;
        }),
        fault!("RST of a stream that never was", Unavailable, "", |server, _stream| {
            server.rst(99, reason::CANCEL).await;
        }),
    ])
    .await;
}

#[tokio::test]
async fn goaways() {
    play(vec![
        fault!("GOAWAY(0), then the end", Ok, "", |server, _stream| {
            server.goaway(0, reason::NO_ERROR, "").await;
            server.shut_down().await;
        }),
        fault!("GOAWAY(0) and silence", Ok, "", |server, _stream| {
            server.goaway(0, reason::NO_ERROR, "").await;
        }),
        fault!("GOAWAY too_many_pings", Unavailable, "too_many_pings", |server, stream| {
            server.goaway(stream, reason::ENHANCE_YOUR_CALM, "too_many_pings").await;
            server.shut_down().await;
        }),
        fault!("GOAWAY PROTOCOL_ERROR", Unavailable, "PROTOCOL_ERROR", |server, stream| {
            server.goaway(stream, reason::PROTOCOL_ERROR, "").await;
            server.shut_down().await;
        }),
        fault!("GOAWAY of 7 bytes", Unavailable, "", |server, _stream| {
            server.send(Frame::new(kind::GOAWAY, 0, 0, vec![0; 7])).await;
        }),
        fault!("GOAWAY and an answer", Ok, "", |server, stream| {
            server.goaway(stream, reason::NO_ERROR, "").await;
            server.reply(stream, b"yes").await;
        }),
    ])
    .await;
}

#[tokio::test]
async fn messages() {
    play(vec![
        fault!("OK without a message", Unimplemented, "", |server, stream| {
            server.headers(stream).await;
            server.trailers(stream, 0, "").await;
        }),
        fault!("Trailers-Only OK", Unimplemented, "", |server, stream| {
            server.trailers_only(stream, 0, "").await;
        }),
        fault!("OK with a cut message", Internal, "", |server, stream| {
            server.headers(stream).await;
            server.data(stream, &grpc::message(b"hello")[..8]).await;
            server.trailers(stream, 0, "").await;
        }),
        fault!("OK with a cut prefix", Internal, "", |server, stream| {
            server.headers(stream).await;
            server.data(stream, &grpc::message(b"hello")[..3]).await;
            server.trailers(stream, 0, "").await;
        }),
        fault!("flag 7", Internal, "flag", |server, stream| {
            server.headers(stream).await;
            server.data(stream, &grpc::prefixed(7, 2, b"hi")).await;
            server.trailers(stream, 0, "").await;
        }),
        fault!("flag 1 without an encoding", Internal, "", |server, stream| {
            server.headers(stream).await;
            server.data(stream, &grpc::prefixed(1, 2, b"hi")).await;
            server.trailers(stream, 0, "").await;
        }),
        fault!("two messages, and no end", Unimplemented, "", |server, stream| {
            good_headers(server, stream).await;
            server.grpc_message(stream, b"another").await;
        }),
        fault!("a length of 4 GiB", ResourceExhausted, "max_recv_message_bytes", |server, stream| {
            server.headers(stream).await;
            server.data(stream, &grpc::prefixed(0, u32::MAX, b"hi")).await;
        }),
        fault!("DATA before HEADERS", Internal, "", |server, stream| {
            server.grpc_message(stream, b"early").await;
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
        fault!("grpc-status abc", Unknown, "abc", |server, stream| {
            server.fields(stream, &Fields::grpc_response().with("grpc-status", "abc"), true).await;
        }),
        fault!("grpc-status 99", Unknown, "99", |server, stream| {
            server.fields(stream, &Fields::grpc_response().with("grpc-status", "99"), true).await;
        }),
        fault!("HTTP 429", Unavailable, "429", |server, stream| {
            server.fields(stream, &Fields::new().with(":status", "429"), true).await;
        }),
        fault!("HTTP 200 without grpc-status", Unknown, "", |server, stream| {
            good_headers(server, stream).await;
            server.fields(stream, &Fields::new().with("x", "y"), true).await;
        }),
        fault!("text/html", Unknown, "text/html", |server, stream| {
            let html = Fields::new().with(":status", "200").with("content-type", "text/html");
            server.fields(stream, &html, false).await;
            server.send(Frame::data(stream, &b"<html>"[..]).end_stream()).await;
        }),
        fault!("1xx headers first", Ok, "", |server, stream| {
            server.fields(stream, &Fields::new().with(":status", "103"), false).await;
            server.reply(stream, b"yes").await;
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
        fault!("no SETTINGS", Unavailable, "", |server| {
            server.read_opening().await;
            server.wait_closed().await;
        }),
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
        fault!("garbage for SETTINGS", Unavailable, "", |server| {
            server.read_opening().await;
            server.send_bytes(&[0xff; 60]).await;
        }),
        fault!("garbage for an answer", Unavailable, "", |server, _stream| {
            server.send_bytes(&[0xff; 60]).await;
        }),
        fault!("HTTP/1.1", Unavailable, "", |server| {
            server.send_bytes(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").await;
        }),
        fault!("a frame above MAX_FRAME_SIZE", Unavailable, "", |server, stream| {
            server.headers(stream).await;
            server.send(Frame::data(stream, vec![0; 16_385])).await;
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
        fault!("PUSH_PROMISE", Unavailable, "", |server, stream| {
            let promise = Fields::grpc_request("/test.Peer/Pushed").encode();
            server.send(Frame::push_promise(stream, 2, &promise)).await;
            let end = |event: &Event| matches!(event, Event::GoAway { .. });
            if let Event::GoAway { code, .. } = server.wait("GOAWAY", end).await {
                assert_eq!(code, reason::PROTOCOL_ERROR);
            }
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
        fault!("a header bomb", ResourceExhausted, "", |server, stream| {
            let mut block = Fields::grpc_response().encode().to_vec();
            block.extend_from_slice(&indexed_literal(b"bomb", &[b'x'; 4000]));
            block.extend_from_slice(&references(12_000));
            server.send(Frame::headers(stream, block)).await;
            server.wait_closed().await;
        }),
        fault!("a CONTINUATION flood", ResourceExhausted, "", |server, stream| {
            let block = Fields::grpc_response().encode();
            server.send(Frame::headers(stream, block).without_flag(flag::END_HEADERS)).await;
            let chunk = Fields::new().with("f", vec![b'x'; 1000]).encode();
            for _ in 0..20 {
                server.send_all(&vec![Frame::continuation(stream, chunk.clone()); 10]).await;
            }
            server.wait_closed().await;
        }),
        fault!("a flood of empty CONTINUATION", ResourceExhausted, "", |server, stream| {
            let block = Fields::grpc_response().encode();
            server.send(Frame::headers(stream, block).without_flag(flag::END_HEADERS)).await;
            server.send_all(&vec![Frame::continuation(stream, Bytes::new()); 200]).await;
            server.wait_closed().await;
        }),
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

#[tokio::test]
async fn early_trailers_while_sending_are_the_calls_status() {
    let server = RawServer::bind().await;
    let channel = common::build(Channel::builder(&server.target()));
    for duplex in [false, true] {
        let play = async {
            let mut connection = server.accept().await;
            let request = connection.request().await;
            connection.messages(request.stream).await;
            connection.trailers_only(request.stream, 8, "enough").await;
            connection.rst(request.stream, reason::NO_ERROR).await;
            connection
        };
        let call = async {
            if duplex {
                let (mut sending, mut replies) =
                    channel.bidi::<Raw, Raw>(&BIDI).timeout(LONG).await.unwrap().split();
                while sending.send(raw([7; 1000])).await.is_ok() {
                    tokio::task::yield_now().await;
                }
                replies.next().await.unwrap_err()
            } else {
                let mut stream = channel.client_streaming::<Raw, Raw>(&UP).timeout(LONG).await.unwrap();
                while stream.send(raw([7; 1000])).await.is_ok() {
                    tokio::task::yield_now().await;
                }
                stream.finish().await.unwrap_err()
            }
        };
        let start = Instant::now();
        let (status, mut connection) = tokio::join!(call, play);
        assert_status(&status, Code::ResourceExhausted, "enough");
        assert!(start.elapsed() < LONG / 2, "duplex {duplex}: only after {:?}", start.elapsed());
        connection.goaway(0, reason::NO_ERROR, "").await;
        connection.shut_down().await;
        connection.wait_closed().await;
    }
}

/// Plays a server that never answers; the deadline must end the call, and no later than 100 ms after it.
async fn silent(name: &str, script: Script) {
    let clock = FrozenClock::new();
    let server = RawServer::bind().await;
    let channel = common::build(Channel::builder(&server.target()));
    let deadline = Duration::from_secs(3);
    let play = async {
        let mut connection = server.accept_bare().await;
        script(&mut connection).await;
        clock.advance(deadline + Duration::from_millis(100)).await;
        connection
    };
    let call = channel.unary::<Raw, Raw>(&UNARY, raw(vec![7; 200_000])).timeout(deadline);
    let (outcome, connection) = tokio::join!(call.into_future(), play);
    let status = outcome.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{name}: {status}");
    drop(connection);
    tokio::time::resume();
}

#[tokio::test]
async fn silence_ends_at_the_deadline() {
    silent("no bytes at all", |_| async {}.boxed()).await;
    silent("no SETTINGS", |server| async { server.read_opening().await }.boxed()).await;
    silent("no WINDOW_UPDATE", |server| {
        async {
            server.open(&[], 0).await;
            while server.data_bytes() < 65_535 {
                server.wait("DATA", |event| matches!(event, Event::Data { .. })).await;
            }
        }
        .boxed()
    })
    .await;
    silent("no window at all", |server| {
        async {
            server.open(&[(setting::INITIAL_WINDOW_SIZE, 0)], 0).await;
            server.request().await;
        }
        .boxed()
    })
    .await;
    silent("MAX_CONCURRENT_STREAMS 0", |server| {
        async {
            server.open(&[(setting::MAX_CONCURRENT_STREAMS, 0)], 0).await;
            server.sync().await;
        }
        .boxed()
    })
    .await;
    silent("no answer", |server| {
        async {
            server.open(&[(setting::INITIAL_WINDOW_SIZE, 1 << 24)], 1 << 24).await;
            server.whole_request().await;
        }
        .boxed()
    })
    .await;
    silent("an answer that stops after its headers", |server| {
        async {
            server.open(&[(setting::INITIAL_WINDOW_SIZE, 1 << 24)], 1 << 24).await;
            let stream = server.whole_request().await.0.stream;
            server.headers(stream).await;
            server.sync().await;
        }
        .boxed()
    })
    .await;
    silent("an answer that stops before its trailers", |server| {
        async {
            server.open(&[(setting::INITIAL_WINDOW_SIZE, 1 << 24)], 1 << 24).await;
            let stream = server.whole_request().await.0.stream;
            server.headers(stream).await;
            server.grpc_message(stream, b"yes").await;
            server.sync().await;
        }
        .boxed()
    })
    .await;
}

#[tokio::test]
async fn without_a_deadline_keepalive_ends_a_call_to_a_server_that_vanished() {
    let clock = FrozenClock::new();
    let server = RawServer::bind().await;
    let keepalive = Keepalive { timeout: Duration::from_secs(5), ..Keepalive::new(Duration::from_secs(10)) };
    let channel = common::build(Channel::builder(&server.target()).keepalive(keepalive));
    let play = async {
        let mut connection = server.accept().await;
        connection.whole_request().await;
        connection.sync().await;
        // From here on it reads and answers nothing.
        clock.advance(Duration::from_millis(10_100)).await;
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        clock.advance(Duration::from_millis(5_100)).await;
        connection
    };
    let call = channel.unary::<Raw, Raw>(&UNARY, raw(""));
    let (outcome, _connection) = tokio::join!(call.into_future(), play);
    assert_status(&outcome.unwrap_err(), Code::Unavailable, "keepalive");
}
