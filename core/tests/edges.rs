//! Where limits, deadlines and panics meet interceptors; what is known of a call that was never sent; ends.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use spanwire::middleware::{BoxFuture, Call, Interceptor, Item, Messages, Next, Reply};
use spanwire::server::{Handler, Service};
use spanwire::{
    Channel, Code, Context, Encoding, Engine, Kind, Method, Raw, Sent, Server, Status, Streaming,
};
use support::*;

const LONG: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(50);

fn pass(call: Call, next: Next) -> BoxFuture<'static, Result<Reply, Status>> {
    next.run(call)
}

/// A plain channel, and one with an interceptor.
fn channels(server: &Running) -> [Channel; 2] {
    [server.channel(), server.builder().interceptor(pass).build().unwrap()]
}

/// Every kind of call on `channel`, with a timeout and one request: how each ended.
async fn end_of_each_kind(channel: &Channel, request: &str, timeout: Duration) -> Vec<Status> {
    async fn end(mut stream: Streaming<Raw>) -> Status {
        loop {
            match stream.next().await {
                Ok(Some(_)) => {}
                Ok(None) => return Status::ok(),
                Err(status) => return status,
            }
        }
    }
    let request = || Raw::from(request.to_owned());
    let unary = channel.unary::<_, Raw>(&ECHO, request()).timeout(timeout).await.err().unwrap_or_default();
    let down = match channel.server_streaming::<_, Raw>(&REPEAT, request()).timeout(timeout).await {
        Ok(stream) => end(stream).await,
        Err(status) => status,
    };
    let up = async {
        let mut call = channel.client_streaming::<Raw, Raw>(&JOIN).timeout(timeout).await?;
        // The call's status comes from its end, whether or not the message was taken.
        let _ = call.send(request()).await;
        call.finish().await
    };
    let up = up.await.err().unwrap_or_default();
    let (mut sending, streaming) = channel.bidi::<Raw, Raw>(&CHAT).timeout(timeout).await.unwrap().split();
    let _ = sending.send(request()).await;
    sending.half_close();
    vec![unary, down, up, end(streaming).await]
}

#[tokio::test]
async fn request_that_is_too_large_keeps_its_status_behind_interceptors() {
    let (server, _) = echo().await;
    let channel = server.builder().interceptor(pass).max_send_message_bytes(2).build().unwrap();
    for status in end_of_each_kind(&channel, "123", LONG).await {
        assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
        assert!(status.message().contains("max_send_message_bytes"), "{status}");
    }
}

#[tokio::test]
async fn map_that_refuses_a_request_ends_the_call_with_its_status() {
    let (server, _) = echo().await;
    let refuse = |mut call: Call, next: Next| {
        call.messages = call.messages.map(|_| Err(Status::permission_denied("not this one")));
        next.run(call)
    };
    let channel = server.builder().interceptor(refuse).build().unwrap();
    for status in end_of_each_kind(&channel, "123", LONG).await {
        assert_eq!((status.code(), status.message()), (Code::PermissionDenied, "not this one"));
    }
}

#[tokio::test]
async fn deadline_holds_while_an_interceptor_waits() {
    let (server, _) = echo().await;
    let waits = |call: Call, next: Next| async move {
        pending::<()>().await;
        next.run(call).await
    };
    let channel = server.builder().interceptor(waits).build().unwrap();
    for status in end_of_each_kind(&channel, "1", SHORT).await {
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    }
    let mut call = Call::new(ECHO, Messages::one(Bytes::new()));
    call.deadline = Some(tokio::time::Instant::now() + SHORT);
    assert_eq!(channel.call(call).await.unwrap_err().code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn deadline_holds_for_reply_messages_that_an_interceptor_makes() {
    let (server, _) = echo().await;
    let silent = |_: Call, _: Next| async { Ok(Reply::new(Messages::from_poll_fn(|_| Poll::Pending))) };
    let channel = server.builder().interceptor(silent).build().unwrap();
    for status in end_of_each_kind(&channel, "1", SHORT).await {
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    }
    let mut call = Call::new(ECHO, Messages::one(Bytes::new()));
    call.deadline = Some(tokio::time::Instant::now() + SHORT);
    let mut reply = channel.call(call).await.unwrap();
    assert!(matches!(reply.messages.next().await, Item::End(end) if end.code() == Code::DeadlineExceeded));
}

/// Panics before it has a future, on calls with `x-panic`.
struct PanicsAtOnce;

impl Interceptor for PanicsAtOnce {
    fn intercept(&self, call: Call, next: Next) -> BoxFuture<'static, Result<Reply, Status>> {
        assert!(!call.metadata.contains("x-panic"), "on purpose");
        next.run(call)
    }
}

/// The call that panics fails alone: one that runs on the same connection goes on.
async fn assert_panics_alone(channel: &Channel) {
    let mut running = channel.bidi::<Raw, Raw>(&CHAT).timeout(LONG).await.unwrap();
    running.send(Raw::from("before")).await.unwrap();
    assert_eq!(running.next().await.unwrap(), Some(Raw::from("before")));
    let call = channel.unary::<_, Raw>(&ECHO, Raw::from("x")).metadata("x-panic", "1").timeout(LONG);
    let status = call.await.unwrap_err();
    assert_eq!(status.code(), Code::Internal, "{status}");
    running.send(Raw::from("after")).await.unwrap();
    assert_eq!(running.next().await.unwrap(), Some(Raw::from("after")));
}

#[tokio::test]
async fn panic_before_a_server_interceptor_has_a_future_fails_that_call_alone() {
    let server = serve(Server::builder().service(Echo::default()).interceptor(PanicsAtOnce)).await;
    assert_panics_alone(&server.channel()).await;
}

#[tokio::test]
async fn panic_before_a_fallback_has_a_future_fails_that_call_alone() {
    let (behind, _) = echo().await;
    let channel = behind.channel();
    let proxy = move |call: Call| {
        assert!(!call.metadata.contains("x-panic"), "on purpose");
        channel.call(call)
    };
    let server = serve(Server::builder().fallback(proxy)).await;
    assert_panics_alone(&server.channel()).await;
}

struct LateCompression;

impl Service for LateCompression {
    fn name(&self) -> &'static str {
        "test.Late"
    }

    fn methods(&self) -> Vec<(&'static str, Handler)> {
        let handler = Handler::unary(Arc::new(()), |_, request: Raw, mut context: Context| async move {
            let sent = context.send_headers();
            context.set_compression(Encoding::Gzip);
            (sent.map(|()| request), context)
        });
        vec![("Late", handler)]
    }
}

#[tokio::test]
async fn compression_set_after_the_headers_went_out_does_not_break_the_answer() {
    for intercepted in [false, true] {
        let builder = Server::builder().service(LateCompression);
        let server = serve(if intercepted { builder.interceptor(pass) } else { builder }).await;
        let late = Method::new("/test.Late/Late", Kind::Unary);
        let request = Raw::from(vec![b'a'; 10_000]);
        let answer: Raw = server.channel().unary(&late, request.clone()).timeout(LONG).await.unwrap();
        assert!(answer == request);
    }
}

/// Holds its runtime's thread for a moment when it is dropped.
struct SlowToDrop(Arc<AtomicBool>);

impl Drop for SlowToDrop {
    fn drop(&mut self) {
        // The end of a handler takes this long; the other threads go on.
        std::thread::sleep(Duration::from_millis(100));
        self.0.store(true, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn shutdown_resolves_after_the_handlers_are_gone() {
    for intercepted in [false, true] {
        let gone = Arc::new(AtomicBool::new(false));
        let started = Arc::new(tokio::sync::Notify::new());
        let (mark, start) = (gone.clone(), started.clone());
        let proxy = move |_: Call| {
            let guard = SlowToDrop(mark.clone());
            start.notify_one();
            async move {
                pending::<()>().await;
                drop(guard);
                Err(Status::ok())
            }
        };
        let builder = Server::builder().fallback(proxy);
        let server = serve(if intercepted { builder.interceptor(pass) } else { builder }).await;
        let channel = server.channel();
        let call = tokio::spawn(channel.unary::<_, Raw>(&ECHO, Raw::default()).into_future());
        started.notified().await;
        server.handle.shutdown(Duration::from_millis(10)).await;
        assert!(gone.load(Ordering::SeqCst), "a handler outlived the shutdown");
        let _ = call.await.unwrap().unwrap_err();
    }
}

#[tokio::test]
async fn an_address_that_never_answers_leaves_time_for_the_next() {
    // A listener whose queue is full: the system drops further attempts without a word.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = socket.listen(1).unwrap();
    let dead = full.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(connected) = tokio::time::timeout(SHORT, tokio::net::TcpStream::connect(dead)).await {
        queue.push(connected.unwrap());
        assert!(queue.len() < 100, "the queue never fills");
    }
    let (server, _) = echo().await;
    let target = format!("ipv4:{dead},127.0.0.1:{}", server.port);
    let channel = Channel::builder(&target).connect_timeout(Duration::from_millis(600)).build().unwrap();
    let start = Instant::now();
    let answer: Raw = channel.unary(&ECHO, Raw::from("hi")).timeout(LONG).await.unwrap();
    assert_eq!(answer, Raw::from("hi"));
    assert!(start.elapsed() < Duration::from_millis(1500), "{:?}", start.elapsed());
}

#[tokio::test]
async fn fewer_connections_than_lanes_are_still_served_one_after_the_other() {
    let engine = Engine::new(2).unwrap();
    let builder = Server::builder().service(Echo::default()).engine(&engine).max_connections(1);
    let server = serve(builder).await;
    // Which lane a connection comes to is the system's choice; some of these come to either.
    for _ in 0..12 {
        let call = server.channel().unary::<_, Raw>(&ECHO, Raw::from("hi")).timeout(Duration::from_secs(2));
        assert_eq!(call.await.unwrap(), Raw::from("hi"));
    }
}

#[tokio::test]
async fn longest_durations_are_as_good_as_none() {
    let max = Duration::MAX;
    let builder = Server::builder()
        .service(Echo::default())
        .handshake_timeout(max)
        .max_connection_age(max, Some(max))
        .max_connection_idle(max)
        .stall_timeout(Some(max));
    let server = serve(builder).await;
    let plain = server.builder().connect_timeout(max).backoff(max, max);
    let intercepted = server.builder().connect_timeout(max).interceptor(pass);
    for channel in [plain.build().unwrap(), intercepted.build().unwrap()] {
        for status in end_of_each_kind(&channel, "1", max).await {
            assert!(status.is_ok(), "{status}");
        }
        // An answer that waits for room starts the stall timer.
        let large = Raw::from(vec![1; 1_000_000]);
        let answer: Raw = channel.unary(&ECHO, large.clone()).timeout(max).await.unwrap();
        assert!(answer == large);
    }
    server.handle.shutdown(max).await;
}

#[tokio::test]
async fn call_that_fails_before_it_is_sent_was_not_sent() {
    let (server, echo) = echo().await;
    let bad_path = Method::dynamic("no slash", Kind::Unary);
    for channel in channels(&server) {
        let request = || Raw::from("123");
        let large = channel.unary::<_, Raw>(&ECHO, request()).max_send_message_bytes(2).await.unwrap_err();
        assert_eq!((large.code(), large.sent()), (Code::ResourceExhausted, Sent::NotSent), "{large}");
        let path = channel.unary::<_, Raw>(&bad_path, request()).await.unwrap_err();
        assert_eq!(path.sent(), Sent::NotSent, "{path}");
        let late = channel.unary::<_, Raw>(&ECHO, request()).timeout(Duration::ZERO).await.unwrap_err();
        assert_eq!((late.code(), late.sent()), (Code::DeadlineExceeded, Sent::NotSent), "{late}");
        let key = channel.unary::<_, Raw>(&ECHO, request()).metadata("grpc-x", "1").await.unwrap_err();
        assert_eq!(key.sent(), Sent::NotSent, "{key}");
        let large = channel.server_streaming::<_, Raw>(&REPEAT, request()).max_send_message_bytes(2);
        let large = match large.await {
            Ok(mut stream) => stream.next().await.unwrap_err(),
            Err(status) => status,
        };
        assert_eq!((large.code(), large.sent()), (Code::ResourceExhausted, Sent::NotSent), "{large}");
    }
    assert_eq!(echo.seen.started.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn response_that_cannot_be_decoded_was_answered() {
    let (server, _) = echo().await;
    for channel in channels(&server) {
        let garbage = Raw::from(vec![0xff_u8; 3]);
        let status = channel.unary::<_, prost_types::Timestamp>(&ECHO, garbage).await.unwrap_err();
        assert_eq!((status.code(), status.sent()), (Code::Internal, Sent::Answered), "{status}");
    }
}
