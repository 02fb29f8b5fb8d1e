//! The four kinds of calls over real sockets, through the public API.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::atomic::Ordering;
use std::time::Duration;

use spanwire::{Code, Encoding, Engine, Raw, Sent, Server};
use support::*;

#[tokio::test]
async fn unary_call_returns_the_response() {
    let (server, _) = echo().await;
    let answer: Raw = server.channel().unary(&ECHO, Raw::from("hello")).await.unwrap();
    assert_eq!(answer, Raw::from("hello"));
}

#[tokio::test]
async fn empty_message_is_a_message() {
    let (server, _) = echo().await;
    let answer: Raw = server.channel().unary(&ECHO, Raw::default()).await.unwrap();
    assert_eq!(answer, Raw::default());
}

#[tokio::test]
async fn large_unary_message_crosses_small_windows() {
    let (server, _) = echo().await;
    let message = Raw::from(vec![7_u8; 3_000_000]);
    let answer: Raw = server.channel().unary(&ECHO, message.clone()).await.unwrap();
    assert!(answer == message);
}

#[tokio::test]
async fn server_streaming_gives_messages_in_order_then_none() {
    let (server, _) = echo().await;
    let mut stream = server.channel().server_streaming::<_, Raw>(&REPEAT, Raw::from("abc")).await.unwrap();
    for _ in 0..3 {
        assert_eq!(stream.next().await.unwrap(), Some(Raw::from("abc")));
    }
    assert_eq!(stream.next().await.unwrap(), None);
    assert_eq!(stream.next().await.unwrap(), None);
    assert!(stream.status().unwrap().is_ok());
}

#[tokio::test]
async fn client_streaming_joins_all_messages() {
    let (server, _) = echo().await;
    let mut call = server.channel().client_streaming::<Raw, Raw>(&JOIN).await.unwrap();
    for part in ["a", "b", "c"] {
        call.send(Raw::from(part)).await.unwrap();
    }
    assert_eq!(call.finish().await.unwrap(), Raw::from("abc"));
}

#[tokio::test]
async fn client_streaming_without_messages_is_answered() {
    let (server, _) = echo().await;
    let call = server.channel().client_streaming::<Raw, Raw>(&JOIN).await.unwrap();
    assert_eq!(call.finish().await.unwrap(), Raw::default());
}

#[tokio::test]
async fn bidi_ping_pong_with_headers_and_trailers() {
    let (server, _) = echo().await;
    let mut call = server.channel().bidi::<Raw, Raw>(&CHAT).await.unwrap();
    for round in 0..20 {
        let message = Raw::from(format!("round {round}"));
        call.send(message.clone()).await.unwrap();
        assert_eq!(call.next().await.unwrap(), Some(message));
    }
    assert_eq!(call.headers().await.unwrap().get("chat-header"), Some("first"));
    call.half_close();
    assert_eq!(call.next().await.unwrap(), None);
    assert_eq!(call.trailers().unwrap().get("chat-trailer"), Some("last"));
}

#[tokio::test]
async fn split_halves_run_in_different_tasks() {
    let (server, _) = echo().await;
    let (mut sending, mut streaming) = server.channel().bidi::<Raw, Raw>(&CHAT).await.unwrap().split();
    let sender = tokio::spawn(async move {
        for _ in 0..1000 {
            sending.send(Raw::from(vec![1_u8; 1000])).await.unwrap();
        }
        sending.half_close();
    });
    let mut received = 0;
    while streaming.next().await.unwrap().is_some() {
        received += 1;
    }
    sender.await.unwrap();
    assert_eq!(received, 1000);
}

#[tokio::test]
async fn error_carries_code_message_and_details() {
    let (server, _) = echo().await;
    let status = server.channel().unary::<_, Raw>(&FAIL, Raw::from("tür ☃")).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(status.message(), "tür ☃");
    assert_eq!(status.details(), b"details");
    assert_eq!((status.sent(), status.attempts()), (Sent::Answered, 1));
}

#[tokio::test]
async fn panic_in_a_handler_is_internal_on_that_call_alone() {
    let (server, _) = echo().await;
    let channel = server.channel();
    let status = channel.unary::<_, Raw>(&PANIC, Raw::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    channel.unary::<_, Raw>(&PANIC, Raw::from("x")).await.unwrap();
}

#[tokio::test]
async fn unknown_method_and_service_are_unimplemented() {
    let (server, _) = echo().await;
    for path in ["/test.Echo/Nothing", "/test.Other/Echo"] {
        let method = spanwire::Method::new(path, spanwire::Kind::Unary);
        let status = server.channel().unary::<_, Raw>(&method, Raw::default()).await.unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented, "{path}: {status}");
    }
}

#[tokio::test]
async fn deadline_ends_the_call_and_drops_the_handler() {
    let (server, echo) = echo().await;
    let started = tokio::time::Instant::now();
    let call = server.channel().unary::<_, Raw>(&SLEEP, Raw::default()).timeout(Duration::from_millis(80));
    let status = call.await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(started.elapsed() < Duration::from_millis(1000));
    eventually("handler dropped", || echo.seen.dropped.load(Ordering::SeqCst) == 1).await;
}

#[tokio::test]
async fn deadline_is_visible_to_the_handler() {
    let (server, _) = echo().await;
    let call = server.channel().unary::<_, Raw>(&DEADLINE, Raw::default()).timeout(Duration::from_secs(30));
    let left: u64 = String::from_utf8(call.await.unwrap().0.to_vec()).unwrap().parse().unwrap();
    assert!((25_000..=30_000).contains(&left), "{left}");
}

#[tokio::test]
async fn dropping_a_call_drops_the_handler() {
    let (server, echo) = echo().await;
    let channel = server.channel();
    let call = tokio::spawn(async move { channel.unary::<_, Raw>(&SLEEP, Raw::default()).await });
    eventually("handler started", || echo.seen.started.load(Ordering::SeqCst) == 1).await;
    call.abort();
    eventually("handler dropped", || echo.seen.dropped.load(Ordering::SeqCst) == 1).await;
}

#[tokio::test]
async fn metadata_of_both_kinds_go_there_and_back() {
    let (server, _) = echo().await;
    let response = server
        .channel()
        .unary::<_, Raw>(&MIRROR, Raw::default())
        .metadata("x-text", "one")
        .metadata("x-text", "two")
        .metadata_bin("x-data-bin", [0, 255, 10])
        .response()
        .await
        .unwrap();
    assert_eq!(response.headers.get_all("x-text").collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!(response.headers.get_bin("x-data-bin").unwrap(), [0, 255, 10].as_slice());
}

#[tokio::test]
async fn reserved_metadata_is_refused_before_sending() {
    let (server, _) = echo().await;
    let call = server.channel().unary::<_, Raw>(&ECHO, Raw::default()).metadata("grpc-timeout", "1S");
    let status = call.await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("grpc-timeout"), "{status}");
}

#[tokio::test]
async fn requests_compress_with_every_encoding() {
    let (server, _) = echo().await;
    for encoding in [Encoding::Gzip, Encoding::Deflate, Encoding::Zstd] {
        let message = Raw::from(vec![b'a'; 100_000]);
        let answer: Raw = server.channel().unary(&ECHO, message.clone()).compress(encoding).await.unwrap();
        assert!(answer == message, "{encoding:?}");
    }
}

#[tokio::test]
async fn too_large_messages_are_resource_exhausted_on_either_side() {
    let server = serve(Server::builder().service(Echo::default()).max_recv_message_bytes(1000)).await;
    let channel = server.channel();
    let exact: Raw = channel.unary(&ECHO, Raw::from(vec![0; 1000])).await.unwrap();
    assert_eq!(exact.0.len(), 1000);
    let received = channel.unary::<_, Raw>(&ECHO, Raw::from(vec![0; 1001])).await.unwrap_err();
    let sent = channel.unary::<_, Raw>(&ECHO, Raw::from("123")).max_send_message_bytes(2).await.unwrap_err();
    let answer =
        channel.unary::<_, Raw>(&ECHO, Raw::from("123")).max_recv_message_bytes(2).await.unwrap_err();
    for status in [received, sent, answer] {
        assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    }
    assert_eq!(channel.stats().limits.message_bytes, 1, "the one that this side refused");
}

/// A message that fails while it is written.
#[derive(Debug)]
struct Fragile(&'static str);

impl spanwire::Message for Fragile {
    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn encode(&self, buffer: &mut bytes::BytesMut) {
        buffer.extend_from_slice(&self.0.as_bytes()[..1]);
        assert!(self.0 != "broken", "in the middle of a message");
        buffer.extend_from_slice(&self.0.as_bytes()[1..]);
    }

    fn decode(_: bytes::Bytes) -> Result<Self, String> {
        Err("only sent".to_owned())
    }
}

#[tokio::test]
async fn half_a_message_never_goes_out() {
    let (server, _) = echo().await;
    let call = server.channel().bidi::<Fragile, Raw>(&CHAT).timeout(Duration::from_secs(10));
    let (mut sending, mut replies) = call.await.unwrap().split();
    // Once it is answered a call is not made again, and what it sends takes the short way.
    for text in ["one", "two", "three"] {
        sending.send(Fragile(text)).await.unwrap();
        replies.next().await.unwrap().unwrap();
    }
    for text in ["four", "five"] {
        sending.send(Fragile(text)).await.unwrap();
    }
    let broken = tokio::spawn(async move {
        let broken = std::panic::AssertUnwindSafe(sending.send(Fragile("broken")));
        assert!(futures_util::FutureExt::catch_unwind(broken).await.is_err());
        sending.send(Fragile("six")).await.unwrap();
        sending.half_close();
    });
    let mut rest = Vec::new();
    while let Some(reply) = replies.next().await.unwrap() {
        rest.push(reply.0);
    }
    broken.await.unwrap();
    assert_eq!(rest, ["four", "five", "six"]);
}

#[tokio::test]
async fn nobody_listening_is_unavailable_and_not_sent() {
    // A port that no program of a user can take.
    let channel = spanwire::Channel::new("127.0.0.1:1").unwrap();
    let status = channel.unary::<_, Raw>(&ECHO, Raw::default()).await.unwrap_err();
    assert_eq!((status.code(), status.sent()), (Code::Unavailable, Sent::NotSent), "{status}");
}

#[tokio::test]
async fn wait_for_ready_outlasts_a_server_that_starts_late() {
    let address = "inprocess:starts-late";
    let backoff = (Duration::from_millis(20), Duration::from_millis(50));
    let channel = spanwire::Channel::builder(address).backoff(backoff.0, backoff.1).build().unwrap();
    let call = channel.unary::<_, Raw>(&ECHO, Raw::from("late"));
    let call = tokio::spawn(call.wait_for_ready(true).timeout(Duration::from_secs(10)).into_future());
    // The first attempt has failed when the channel says so.
    eventually("first attempt failed", || channel.connectivity() == spanwire::Connectivity::TransientFailure)
        .await;
    let server = Server::builder().service(Echo::default()).bind(address).await.unwrap();
    tokio::spawn(server.run());
    assert_eq!(call.await.unwrap().unwrap(), Raw::from("late"));
}

#[tokio::test]
async fn channel_recovers_after_a_server_restart() {
    let address = "inprocess:restarts";
    let start = async || {
        let server = Server::builder().service(Echo::default()).bind(address).await.unwrap();
        let handle = server.handle();
        tokio::spawn(server.run());
        handle
    };
    let first = start().await;
    let backoff = (Duration::from_millis(10), Duration::from_millis(20));
    let channel = spanwire::Channel::builder(address).backoff(backoff.0, backoff.1).build().unwrap();
    channel.unary::<_, Raw>(&ECHO, Raw::default()).await.unwrap();
    first.shutdown(Duration::from_secs(1)).await;
    let _second = start().await;
    channel.unary::<_, Raw>(&ECHO, Raw::default()).wait_for_ready(true).await.unwrap();
}

#[tokio::test]
async fn shutdown_lets_running_calls_finish() {
    let (server, echo) = echo().await;
    let mut call = server.channel().bidi::<Raw, Raw>(&CHAT).await.unwrap();
    call.send(Raw::from("before")).await.unwrap();
    call.next().await.unwrap();
    let handle = server.handle.clone();
    let shutdown = tokio::spawn(async move { handle.shutdown(Duration::from_secs(10)).await });
    call.send(Raw::from("during")).await.unwrap();
    assert_eq!(call.next().await.unwrap(), Some(Raw::from("during")));
    call.half_close();
    assert_eq!(call.next().await.unwrap(), None);
    shutdown.await.unwrap();
    drop(echo);
}

#[tokio::test]
async fn shutdown_ends_calls_that_outlive_the_grace() {
    let (server, echo) = echo().await;
    let channel = server.channel();
    let call = tokio::spawn(async move { channel.unary::<_, Raw>(&SLEEP, Raw::default()).await });
    eventually("handler started", || echo.seen.started.load(Ordering::SeqCst) == 1).await;
    let began = tokio::time::Instant::now();
    server.handle.shutdown(Duration::from_millis(100)).await;
    assert!(began.elapsed() < Duration::from_secs(1));
    assert_eq!(call.await.unwrap().unwrap_err().code(), Code::Unavailable);
    eventually("handler dropped", || echo.seen.dropped.load(Ordering::SeqCst) == 1).await;
}

#[test]
fn channel_and_server_run_on_lanes() {
    let engine = Engine::new(2).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let server = serve(Server::builder().service(Echo::default()).engine(&engine)).await;
        for _ in 0..4 {
            let channel = server.builder().engine(&engine).build().unwrap();
            let calls = (0..50).map(|n| {
                tokio::spawn(channel.unary::<_, Raw>(&ECHO, Raw::from(format!("{n}"))).into_future())
            });
            for (n, call) in calls.collect::<Vec<_>>().into_iter().enumerate() {
                assert_eq!(call.await.unwrap().unwrap(), Raw::from(format!("{n}")));
            }
        }
        server.handle.shutdown(Duration::from_secs(5)).await;
    });
}

#[tokio::test]
async fn in_process_and_unix_transports_carry_calls() {
    let directory = tempfile::tempdir().unwrap();
    let path = format!("unix:{}", directory.path().join("socket").display());
    for address in ["inprocess:calls-test", &path] {
        let server = Server::builder().service(Echo::default()).bind(address).await.unwrap();
        let handle = server.handle();
        tokio::spawn(server.run());
        let channel = spanwire::Channel::new(address).unwrap();
        let response = channel.unary::<_, Raw>(&ECHO, Raw::from("hi")).response().await.unwrap();
        assert_eq!(response.message, Raw::from("hi"));
        handle.shutdown(Duration::from_secs(1)).await;
    }
}

#[tokio::test]
async fn serve_until_ends_with_its_signal() {
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let signal = async move { drop(stopped.await) };
    let builder = Server::builder().service(Echo::default());
    let serving = tokio::spawn(async move {
        builder.serve_until("inprocess:serve-until", signal, Duration::from_secs(1)).await
    });
    let channel = spanwire::Channel::new("inprocess:serve-until").unwrap();
    channel.unary::<_, Raw>(&ECHO, Raw::default()).wait_for_ready(true).await.unwrap();
    stop.send(()).unwrap();
    serving.await.unwrap().unwrap();
    assert_eq!(channel.unary::<_, Raw>(&ECHO, Raw::default()).await.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn target_of_a_bound_server_can_be_called() {
    for address in ["0.0.0.0:0", "[::1]:0", "inprocess:target-test"] {
        let server = Server::builder().service(Echo::default()).bind(address).await.unwrap();
        let channel = spanwire::Channel::new(&server.target()).unwrap();
        let handle = server.handle();
        tokio::spawn(server.run());
        channel.unary::<_, Raw>(&ECHO, Raw::default()).await.unwrap();
        handle.shutdown(Duration::from_secs(1)).await;
    }
}
