//! More than one connection to a server that takes few calls on each (gRFC A105), in virtual time, inside of the process.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use spanwire::server::{Handler, Service};
use spanwire::{Channel, ChannelBuilder, Connectivity, Kind, Method, Raw, Server, ServerHandle, Status};
use support::eventually;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

const HOLD: Method = Method::new("/test.Hold/Hold", Kind::Unary);
const SECOND: Duration = Duration::from_secs(1);

/// A server whose calls end when the test says so, and ways to connect to it.
struct Holding {
    /// The requests of the calls that have come, in order.
    come: Mutex<Vec<String>>,
    end: Semaphore,
    connections: tokio::sync::mpsc::UnboundedSender<tokio::io::DuplexStream>,
    /// So many attempts to connect are made, and from which one on they fail.
    attempts: AtomicUsize,
    fail_from: AtomicUsize,
}

struct Hold(Arc<Holding>);

impl Service for Hold {
    fn name(&self) -> &'static str {
        "test.Hold"
    }

    fn methods(&self) -> Vec<(&'static str, Handler)> {
        let handler = Handler::unary(Arc::new(self.0.clone()), |this, request: Raw, context| async move {
            this.come.lock().unwrap().push(String::from_utf8_lossy(&request.0).into_owned());
            this.end.acquire().await.unwrap().forget();
            (Ok(request), context)
        });
        vec![("Hold", handler)]
    }
}

impl Holding {
    /// A server that takes `streams` calls on each connection, and a channel to it.
    fn start(streams: u32) -> (Arc<Self>, ServerHandle, ChannelBuilder) {
        let (connections, accepted) = tokio::sync::mpsc::unbounded_channel();
        let this = Arc::new(Holding {
            come: Mutex::default(),
            end: Semaphore::new(0),
            connections,
            attempts: AtomicUsize::new(0),
            fail_from: AtomicUsize::new(usize::MAX),
        });
        let incoming = futures_util::stream::unfold(accepted, |mut accepted| async {
            accepted.recv().await.map(|stream| (io::Result::Ok(stream), accepted))
        });
        let server = Server::builder().service(Hold(this.clone())).max_concurrent_streams(streams);
        let server = server.bind_incoming(Box::pin(incoming)).unwrap();
        let handle = server.handle();
        tokio::spawn(server.run());
        let of_channel = this.clone();
        let channel = Channel::builder("hold.test:1").connector(move || {
            let this = of_channel.clone();
            async move {
                if this.attempts.fetch_add(1, Ordering::SeqCst) >= this.fail_from.load(Ordering::SeqCst) {
                    return Err(io::Error::other("no more"));
                }
                let (ours, theirs) = tokio::io::duplex(64 * 1024);
                this.connections.send(theirs).map_err(io::Error::other)?;
                Ok(ours)
            }
        });
        (this, handle, channel)
    }

    fn come(&self) -> usize {
        self.come.lock().unwrap().len()
    }

    fn attempts(&self) -> usize {
        self.attempts.load(Ordering::SeqCst)
    }
}

fn scaled(channel: ChannelBuilder, most: usize) -> Channel {
    let config = format!(r#"{{"connectionScaling": {{"maxConnectionsPerSubchannel": {most}}}}}"#);
    channel.service_config(config).build().unwrap()
}

/// Begins calls with these numbers, one after the other.
async fn begin(channel: &Channel, numbers: std::ops::Range<usize>) -> Vec<JoinHandle<Result<Raw, Status>>> {
    let mut calls = Vec::new();
    for number in numbers {
        let channel = channel.clone();
        calls.push(tokio::spawn(async move { channel.unary(&HOLD, Raw::from(number.to_string())).await }));
        tokio::time::sleep(SECOND / 100).await;
    }
    calls
}

#[tokio::test(start_paused = true)]
async fn connections_are_added_up_to_their_number_and_then_calls_wait_in_order() {
    let (server, _handle, channel) = Holding::start(2);
    let channel = scaled(channel, 3);
    let calls = begin(&channel, 0..2).await;
    assert_eq!((server.come(), server.attempts()), (2, 1), "there is room on the first");
    let more = begin(&channel, 2..10).await;
    assert_eq!((server.come(), server.attempts()), (6, 3));
    assert_eq!(channel.stats().total_connections, 3);
    server.end.add_permits(2);
    eventually("two ended, two began", || server.come() == 8).await;
    server.end.add_permits(8);
    for call in calls.into_iter().chain(more) {
        call.await.unwrap().unwrap();
    }
    let expected: Vec<_> = (0..10).map(|number| number.to_string()).collect();
    assert_eq!(*server.come.lock().unwrap(), expected);
    assert_eq!((server.attempts(), channel.stats().calls), (3, 0));
    server.end.add_permits(1);
    let again: Raw = channel.unary(&HOLD, Raw::from("again")).await.unwrap();
    assert_eq!((again, server.attempts()), (Raw::from("again"), 3), "none is closed, none is added");
}

#[tokio::test(start_paused = true)]
async fn one_connection_is_all_without_the_setting() {
    let (server, _handle, channel) = Holding::start(2);
    let channel = channel.build().unwrap();
    let _calls = begin(&channel, 0..5).await;
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!((server.come(), server.attempts()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn channel_permits_ten_unless_it_is_told_otherwise() {
    for (builder, most) in [(None, 10), (Some(2), 2)] {
        let (server, _handle, channel) = Holding::start(1);
        let channel = match builder {
            Some(most) => channel.max_connections_per_subchannel(most),
            None => channel,
        };
        let channel = scaled(channel, 100);
        let _calls = begin(&channel, 0..13).await;
        assert_eq!((server.come(), server.attempts()), (most, most));
    }
    let none = Channel::builder("a:1").max_connections_per_subchannel(0).build().unwrap_err();
    assert!(none.to_string().starts_with("max_connections_per_subchannel: 0 "), "{none}");
}

#[tokio::test(start_paused = true)]
async fn attempt_for_one_more_that_fails_is_made_again_after_its_pause() {
    let (server, _handle, channel) = Holding::start(1);
    let channel = scaled(channel, 2);
    server.fail_from.store(1, Ordering::SeqCst);
    let calls = begin(&channel, 0..3).await;
    assert_eq!((server.come(), server.attempts()), (1, 2));
    assert_eq!(channel.connectivity(), Connectivity::Ready, "there is a connection");
    tokio::time::sleep(SECOND * 3 / 2).await;
    assert_eq!((server.come(), server.attempts()), (1, 3), "after a second or so");
    server.fail_from.store(usize::MAX, Ordering::SeqCst);
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!((server.come(), server.attempts()), (2, 4));
    server.end.add_permits(3);
    for call in calls {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn no_attempt_is_made_when_nobody_waits_any_more() {
    let (server, _handle, channel) = Holding::start(1);
    let channel = scaled(channel, 2);
    server.fail_from.store(1, Ordering::SeqCst);
    let mut calls = begin(&channel, 0..2).await;
    assert_eq!(server.attempts(), 2);
    let waiting = calls.pop().unwrap();
    waiting.abort();
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!((server.come(), server.attempts()), (1, 2));
    server.end.add_permits(1);
    calls.pop().unwrap().await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn calls_that_wait_go_on_when_connections_are_lost() {
    let (server, handle, channel) = Holding::start(1);
    let channel = scaled(channel, 2);
    let _calls = begin(&channel, 0..2).await;
    let waiting = channel.clone();
    let waiting = tokio::spawn(async move { waiting.unary::<_, Raw>(&HOLD, Raw::from("waits")).await });
    tokio::time::sleep(SECOND).await;
    assert_eq!((server.come(), server.attempts()), (2, 2));
    // GOAWAY on all connections: calls under way may end, others look for new connections, of which there are none.
    server.fail_from.store(2, Ordering::SeqCst);
    let ending = tokio::spawn(async move { handle.shutdown(SECOND).await });
    let failed = waiting.await.unwrap().unwrap_err();
    assert_eq!((failed.code(), failed.sent()), (spanwire::Code::Unavailable, spanwire::Sent::NotSent));
    ending.await.unwrap();
}
