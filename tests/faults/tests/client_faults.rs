//! What our client reports for each fault that clients in the field answer differently: one table, in which every row
//! says what the server does and what the caller gets. The rule for all of them is in [`common::fault`].
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::fault::{DEADLINE, large_unary, open, play};
use common::{BIDI, UP, raw, seconds};
use futures_util::future::{BoxFuture, FutureExt};
use spanwire::{Channel, Keepalive, Raw, Status};
use spanwire_faults::frame::{flag, setting};
use spanwire_faults::{Event, Fields, Frame, RawConnection, grpc, indexed_literal, reason, references};
use std::time::Duration;

async fn good_headers(server: &mut RawConnection, stream: u32) {
    server.headers(stream).await;
    server.grpc_message(stream, b"yes").await;
}

/// Headers and a part of a message.
async fn half_a_message(server: &mut RawConnection, stream: u32) {
    server.headers(stream).await;
    server.data(stream, &grpc::message(b"hello")[..8]).await;
}

#[tokio::test]
async fn resets_before_the_status() {
    play(vec![
        fault!("NO_ERROR before headers", Internal, "NO_ERROR", |server, stream| {
            server.rst(stream, reason::NO_ERROR).await;
        }),
        fault!("NO_ERROR after headers", Internal, "NO_ERROR", |server, stream| {
            server.headers(stream).await;
            server.rst(stream, reason::NO_ERROR).await;
        }),
        fault!("NO_ERROR in the middle of data", Internal, "NO_ERROR", |server, stream| {
            half_a_message(server, stream).await;
            server.rst(stream, reason::NO_ERROR).await;
        }),
        fault!("NO_ERROR after data", Internal, "NO_ERROR", |server, stream| {
            good_headers(server, stream).await;
            server.rst(stream, reason::NO_ERROR).await;
        }),
        fault!("INTERNAL_ERROR before headers", Internal, "INTERNAL_ERROR", |server, stream| {
            server.rst(stream, reason::INTERNAL_ERROR).await;
        }),
        fault!("INTERNAL_ERROR after headers", Internal, "INTERNAL_ERROR", |server, stream| {
            server.headers(stream).await;
            server.rst(stream, reason::INTERNAL_ERROR).await;
        }),
        fault!("INTERNAL_ERROR in the middle of data", Internal, "INTERNAL_ERROR", |server, stream| {
            half_a_message(server, stream).await;
            server.rst(stream, reason::INTERNAL_ERROR).await;
        }),
        fault!("INTERNAL_ERROR after data", Internal, "INTERNAL_ERROR", |server, stream| {
            good_headers(server, stream).await;
            server.rst(stream, reason::INTERNAL_ERROR).await;
        }),
        fault!("CANCEL", Cancelled, "CANCEL", |server, stream| {
            server.rst(stream, reason::CANCEL).await;
        }),
        fault!("ENHANCE_YOUR_CALM", ResourceExhausted, "ENHANCE_YOUR_CALM", |server, stream| {
            server.rst(stream, reason::ENHANCE_YOUR_CALM).await;
        }),
        fault!("INADEQUATE_SECURITY", PermissionDenied, "INADEQUATE_SECURITY", |server, stream| {
            server.rst(stream, reason::INADEQUATE_SECURITY).await;
        }),
        fault!("REFUSED_STREAM twice", Unavailable, "REFUSED_STREAM", |server, stream| {
            server.rst(stream, reason::REFUSED_STREAM).await;
            let again = server.whole_request().await.0.stream;
            server.rst(again, reason::REFUSED_STREAM).await;
        }),
        fault!("REFUSED_STREAM once", Ok, "", |server, stream| {
            server.rst(stream, reason::REFUSED_STREAM).await;
        }),
    ])
    .await;
}

// That the next connection pings half as often is in `pings`.
#[tokio::test]
async fn goaways() {
    play(vec![
        fault!("GOAWAY(0), then the end", Ok, "", |server, _stream| {
            server.goaway(0, reason::NO_ERROR, "").await;
            server.shut_down().await;
        }),
        fault!("GOAWAY of this stream, then its answer", Ok, "", |server, stream| {
            server.goaway(stream, reason::NO_ERROR, "").await;
            server.reply(stream, b"yes").await;
        }),
        fault!("GOAWAY too_many_pings", Unavailable, "too_many_pings", |server, stream| {
            server.goaway(stream, reason::ENHANCE_YOUR_CALM, "too_many_pings").await;
            server.shut_down().await;
        }),
    ])
    .await;
}

#[tokio::test]
async fn answers_that_are_not_one_whole_message() {
    play(vec![
        fault!("OK without a message", Unimplemented, "", |server, stream| {
            server.headers(stream).await;
            server.trailers(stream, 0, "").await;
        }),
        fault!("Trailers-Only OK", Unimplemented, "", |server, stream| {
            server.trailers_only(stream, 0, "").await;
        }),
        fault!("OK with a cut message", Internal, "", |server, stream| {
            half_a_message(server, stream).await;
            server.trailers(stream, 0, "").await;
        }),
        fault!("flag 7", Internal, "flag", |server, stream| {
            server.headers(stream).await;
            server.data(stream, &grpc::prefixed(7, 2, b"hi")).await;
            server.trailers(stream, 0, "").await;
        }),
        fault!("two messages, and no end", Unimplemented, "", |server, stream| {
            good_headers(server, stream).await;
            server.grpc_message(stream, b"another").await;
            assert_eq!(server.wait_reset(stream).await, reason::CANCEL);
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
        fault!("HTTP 429 without grpc-status", Unavailable, "429", |server, stream| {
            server.fields(stream, &Fields::new().with(":status", "429"), true).await;
        }),
    ])
    .await;
}

#[tokio::test]
async fn beginnings() {
    play(vec![
        fault!("no SETTINGS", Unavailable, "connect_timeout", |server; clock| {
            server.read_opening().await;
            clock.advance(seconds(20)).await;
        })
        .deadline(Some(seconds(30)))
        .after(seconds(20)),
        fault!("no SETTINGS before the deadline", DeadlineExceeded, "", |server; clock| {
            server.read_opening().await;
            clock.advance(DEADLINE).await;
            server.settings(&[(setting::INITIAL_WINDOW_SIZE, 1 << 24)]).await;
        })
        .after(DEADLINE),
        fault!("1xx headers first", Ok, "", |server, stream| {
            server.fields(stream, &Fields::new().with(":status", "103"), false).await;
            server.reply(stream, b"yes").await;
        }),
        fault!("DATA before HEADERS", Internal, "", |server, stream| {
            server.grpc_message(stream, b"early").await;
        }),
        fault!("garbage for SETTINGS", Unavailable, "", |server| {
            server.read_opening().await;
            server.send_bytes(&[0xff; 60]).await;
        }),
        fault!("garbage for an answer", Unavailable, "", |server, _stream| {
            server.send_bytes(&[0xff; 60]).await;
        }),
        fault!("PUSH_PROMISE", Unavailable, "", |server, stream| {
            let promise = Fields::grpc_request("/test.Peer/Pushed").encode();
            server.send(Frame::push_promise(stream, 2, &promise)).await;
            let goaway = |event: &Event| matches!(event, Event::GoAway { .. });
            if let Event::GoAway { code, .. } = server.wait("GOAWAY", goaway).await {
                assert_eq!(code, reason::PROTOCOL_ERROR);
            }
        }),
    ])
    .await;
}

// Each script waits until the client has closed the connection.
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
            server.send_all(&vec![Frame::continuation(stream, bytes::Bytes::new()); 200]).await;
            server.wait_closed().await;
        }),
    ])
    .await;
}

/// Sends until that fails; the call's status is in its answer.
fn upload(channel: Channel, deadline: Option<Duration>) -> BoxFuture<'static, Result<Raw, Status>> {
    async move {
        let call = channel.client_streaming::<Raw, Raw>(&UP).timeout(deadline.unwrap());
        let mut call = call.await?;
        while call.send(raw([7; 1000])).await.is_ok() {
            tokio::task::yield_now().await;
        }
        call.finish().await
    }
    .boxed()
}

/// See [`upload`].
fn duplex(channel: Channel, deadline: Option<Duration>) -> BoxFuture<'static, Result<Raw, Status>> {
    async move {
        let call = channel.bidi::<Raw, Raw>(&BIDI).timeout(deadline.unwrap());
        let (mut sending, mut replies) = call.await?.split();
        while sending.send(raw([7; 1000])).await.is_ok() {
            tokio::task::yield_now().await;
        }
        replies.next().await.map(|reply| reply.unwrap_or_default())
    }
    .boxed()
}

/// Ends a call with a status while its requests still come, as servers do that have enough.
async fn enough(server: &mut RawConnection) {
    open(server).await;
    let stream = server.request().await.stream;
    server.messages(stream).await;
    server.trailers_only(stream, 8, "enough").await;
    server.rst(stream, reason::NO_ERROR).await;
}

#[tokio::test]
async fn early_trailers_and_reset_while_still_sending() {
    play(vec![
        fault!("to a client stream", ResourceExhausted, "enough", |server| { enough(server).await })
            .to(upload),
        fault!("to a bidirectional stream", ResourceExhausted, "enough", |server| { enough(server).await })
            .to(duplex),
    ])
    .await;
}

#[tokio::test]
async fn silence_ends_at_the_deadline() {
    play(vec![
        fault!("no bytes at all", DeadlineExceeded, "", |server; clock| {
            clock.advance(DEADLINE).await;
            open(server).await;
        })
        .after(DEADLINE),
        fault!("no WINDOW_UPDATE", DeadlineExceeded, "", |server; clock| {
            server.open(&[], 0).await;
            while server.data_bytes() < 65_535 {
                server.wait("DATA", |event| matches!(event, Event::Data { .. })).await;
            }
            clock.advance(DEADLINE).await;
            server.window_update(0, 1 << 20).await;
        })
        .to(large_unary)
        .after(DEADLINE),
        fault!("no window at all", DeadlineExceeded, "", |server; clock| {
            server.open(&[(setting::INITIAL_WINDOW_SIZE, 0)], 0).await;
            server.request().await;
            clock.advance(DEADLINE).await;
            server.settings(&[(setting::INITIAL_WINDOW_SIZE, 1 << 20)]).await;
        })
        .after(DEADLINE),
        fault!("MAX_CONCURRENT_STREAMS 0", DeadlineExceeded, "", |server; clock| {
            server.open(&[(setting::MAX_CONCURRENT_STREAMS, 0)], 0).await;
            server.sync().await;
            clock.advance(DEADLINE).await;
            server.settings(&[(setting::MAX_CONCURRENT_STREAMS, 1)]).await;
        })
        .after(DEADLINE),
        fault!("no answer", DeadlineExceeded, "", |server, _stream, clock| {
            clock.advance(DEADLINE).await;
        })
        .after(DEADLINE),
        fault!("an answer that stops after its headers", DeadlineExceeded, "", |server, stream, clock| {
            server.headers(stream).await;
            server.sync().await;
            clock.advance(DEADLINE).await;
        })
        .after(DEADLINE),
        fault!("an answer that stops before its trailers", DeadlineExceeded, "", |server, stream, clock| {
            good_headers(server, stream).await;
            server.sync().await;
            clock.advance(DEADLINE).await;
        })
        .after(DEADLINE),
        fault!(
            "no answer, no deadline, but keepalive",
            Unavailable,
            "keepalive",
            |server, _stream, clock| {
                server.sync().await;
                // From here on it reads and answers nothing.
                clock.advance(seconds(10)).await;
                for _ in 0..20 {
                    tokio::task::yield_now().await;
                }
                clock.advance(seconds(5)).await;
            }
        )
        .deadline(None)
        .after(seconds(15))
        .options(|channel| {
            channel.keepalive(Keepalive { timeout: seconds(5), ..Keepalive::new(seconds(10)) })
        }),
    ])
    .await;
}
