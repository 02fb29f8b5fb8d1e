//! Callers without a tokio runtime, and channels that outlive the runtime they were first used on.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use bytes::Bytes;
use spanwire::middleware::{Call, Item, Messages, Next};
use spanwire::{Channel, Code, Raw, Server};
use support::*;
use tokio::runtime::{Builder, Runtime};

const LONG: Duration = Duration::from_secs(10);

/// The smallest executor there is: the thread sleeps until the future's waker wakes it.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        thread::park();
    }
}

/// A server on a thread of its own, for as long as the runtime lives.
fn serving() -> (Runtime, Running) {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = runtime.block_on(serve(Server::builder().service(Echo::default())));
    (runtime, server)
}

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// A plain channel, and one with an interceptor.
fn channels(server: &Running) -> [Channel; 2] {
    let pass = |call: Call, next: Next| next.run(call);
    [server.channel(), server.builder().interceptor(pass).build().unwrap()]
}

#[test]
fn unary_calls_with_a_timeout_need_no_runtime() {
    let (_runtime, server) = serving();
    for channel in channels(&server) {
        let call = channel.unary::<_, Raw>(&ECHO, Raw::from("hi")).timeout(LONG);
        assert_eq!(block_on(call.into_future()).unwrap(), Raw::from("hi"));
    }
}

#[test]
fn deadlines_pass_without_a_runtime() {
    let (_runtime, server) = serving();
    for channel in channels(&server) {
        let start = Instant::now();
        let timeout = Duration::from_millis(50);
        let call = channel.unary::<_, Raw>(&SLEEP, Raw::default()).timeout(timeout);
        let status = block_on(call.into_future()).unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
        assert!((timeout..LONG).contains(&start.elapsed()));
        // While a stream waits for its next message.
        let status = block_on(async {
            let mut call = channel.bidi::<Raw, Raw>(&CHAT).timeout(timeout).await?;
            call.next().await
        });
        assert_eq!(status.unwrap_err().code(), Code::DeadlineExceeded);
    }
}

#[test]
fn streams_of_all_kinds_need_no_runtime() {
    let (_runtime, server) = serving();
    for channel in channels(&server) {
        for timeout in [None, Some(LONG)] {
            block_on(async {
                let call = channel.server_streaming::<_, Raw>(&REPEAT, Raw::from("abc"));
                let mut stream =
                    if let Some(limit) = timeout { call.timeout(limit) } else { call }.await.unwrap();
                for _ in 0..3 {
                    assert_eq!(stream.next().await.unwrap(), Some(Raw::from("abc")));
                }
                assert_eq!(stream.next().await.unwrap(), None);

                let call = channel.client_streaming::<Raw, Raw>(&JOIN);
                let mut call =
                    if let Some(limit) = timeout { call.timeout(limit) } else { call }.await.unwrap();
                // More than fits into the first window, so that the sender waits.
                for _ in 0..20 {
                    call.send(Raw::from(vec![1; 10_000])).await.unwrap();
                }
                assert_eq!(call.finish().await.unwrap().0.len(), 200_000);

                let call = channel.bidi::<Raw, Raw>(&CHAT);
                let mut call =
                    if let Some(limit) = timeout { call.timeout(limit) } else { call }.await.unwrap();
                call.send(Raw::from("x")).await.unwrap();
                assert_eq!(call.next().await.unwrap(), Some(Raw::from("x")));
                call.half_close();
                assert_eq!(call.next().await.unwrap(), None);
            });
        }
    }
}

#[test]
fn calls_in_the_general_form_need_no_runtime() {
    let (_runtime, server) = serving();
    for channel in channels(&server) {
        let mut call = Call::new(ECHO, Messages::one(Bytes::from_static(b"hi")));
        call.deadline = Some(tokio::time::Instant::now() + LONG);
        block_on(async {
            let mut reply = channel.call(call).await.unwrap();
            assert!(matches!(reply.messages.next().await, Item::Message(message) if message == "hi"));
            assert!(matches!(reply.messages.next().await, Item::End(status) if status.is_ok()));
        });
    }
}

#[test]
fn channel_recovers_when_the_runtime_of_its_connection_is_gone() {
    let (_runtime, server) = serving();
    for channel in channels(&server) {
        for _ in 0..3 {
            let runtime = current_thread();
            let call = channel.unary::<_, Raw>(&ECHO, Raw::from("hi")).timeout(LONG);
            assert_eq!(runtime.block_on(call.into_future()).unwrap(), Raw::from("hi"));
        }
    }
}

#[test]
fn channel_recovers_when_the_runtime_ended_while_it_connected() {
    let (runtime, server) = serving();
    // Accepts at the port of the channel, and says nothing; the real server comes later, behind it.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let channel = Channel::new(&listener.local_addr().unwrap().to_string()).unwrap();
    let (accepted, connecting) = std::sync::mpsc::channel();
    let target = server.target();
    thread::spawn(move || {
        let silent = listener.accept().unwrap();
        accepted.send(()).unwrap();
        // From the second connection on, bytes go through.
        let (inner, _) = listener.accept().unwrap();
        inner.set_nonblocking(true).unwrap();
        runtime.block_on(async move {
            let mut inner = tokio::net::TcpStream::from_std(inner).unwrap();
            let mut outer = tokio::net::TcpStream::connect(target).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut inner, &mut outer).await;
        });
        drop(silent);
    });
    let first = current_thread();
    let call = channel.unary::<_, Raw>(&ECHO, Raw::from("hi")).into_future();
    let call = first.spawn(call);
    first.block_on(async { eventually("connecting", || connecting.try_recv().is_ok()).await });
    drop(first);
    drop(call);
    let call = channel.unary::<_, Raw>(&ECHO, Raw::from("hi")).timeout(LONG);
    assert_eq!(current_thread().block_on(call.into_future()).unwrap(), Raw::from("hi"));
}

#[test]
fn channel_recovers_when_the_runtime_ended_during_backoff() {
    let (server_runtime, server) = serving();
    let address = "inprocess:comes-during-backoff";
    let channel = Channel::builder(address).backoff(LONG, LONG).build().unwrap();
    let first = current_thread();
    let call = channel.unary::<_, Raw>(&ECHO, Raw::from("hi")).timeout(LONG);
    assert_eq!(first.block_on(call.into_future()).unwrap_err().code(), Code::Unavailable);
    drop((first, server));
    let bound = server_runtime.block_on(Server::builder().service(Echo::default()).bind(address)).unwrap();
    server_runtime.spawn(bound.run());
    let call = channel.unary::<_, Raw>(&ECHO, Raw::from("hi")).timeout(Duration::from_secs(5));
    assert_eq!(current_thread().block_on(call.into_future()).unwrap(), Raw::from("hi"));
}
