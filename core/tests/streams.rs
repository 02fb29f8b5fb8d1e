//! Connections on byte streams that the program brings itself.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::stream::{self, Stream};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use spanwire::{
    Channel, ChannelBuilder, ClientTls, Code, Connectivity, Engine, PeerAddr, Raw, Server, ServerTls,
};
use support::*;
use tokio::io::{AsyncRead, AsyncWrite, join, split};
use tokio::sync::mpsc;

const GRACE: Duration = Duration::from_secs(10);

trait Bytes: AsyncRead + AsyncWrite + Send + Unpin + 'static {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Bytes for T {}

/// Two ends of a pipe, of a type that the engine has never heard of.
fn pipe() -> (impl Bytes, impl Bytes) {
    let (one, other) = tokio::io::duplex(16 * 1024);
    let ((one_read, one_write), (other_read, other_write)) = (split(one), split(other));
    (join(one_read, one_write), join(other_read, other_write))
}

type Accepted = io::Result<Box<dyn Bytes>>;

/// A way to connect, and the connections as a server takes them.
fn network() -> (mpsc::UnboundedSender<Accepted>, impl Stream<Item = Accepted>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (sender, stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver))))
}

fn through(sender: &mpsc::UnboundedSender<Accepted>) -> ChannelBuilder {
    let sender = sender.clone();
    Channel::builder("localhost").connector(move || {
        let (ours, theirs) = pipe();
        let sent = sender.send(Ok(Box::new(theirs)));
        async move { sent.map(|()| ours).map_err(|_| io::Error::other("nobody listens")) }
    })
}

#[tokio::test]
async fn calls_run_on_streams_of_the_programs_own() {
    let (sender, incoming) = network();
    let server = Server::builder().service(Echo::default()).bind_incoming(incoming).unwrap();
    assert_eq!(
        (server.local_addr(), server.target().as_str(), server.port()),
        (&PeerAddr::Custom, "custom", None)
    );
    let handle = server.handle();
    let running = tokio::spawn(server.run());
    let channel = through(&sender).build().unwrap();
    let response = channel.unary::<_, Raw>(&ECHO, Raw::from("hi")).response().await.unwrap();
    assert_eq!((response.message, response.peer), (Raw::from("hi"), Some(PeerAddr::Custom)));
    let large = Raw::from(vec![7; 1_000_000]);
    assert_eq!(channel.unary::<_, Raw>(&ECHO, large.clone()).await.unwrap(), large);

    handle.shutdown(GRACE).await;
    running.await.unwrap();
    let status = channel.unary::<_, Raw>(&ECHO, Raw::from("hi")).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unavailable, "cannot connect to localhost: nobody listens")
    );
}

#[tokio::test]
async fn a_connector_that_panics_is_a_failed_attempt() {
    let tries = Arc::new(AtomicUsize::new(0));
    let count = tries.clone();
    let channel = Channel::builder("localhost").connector(move || {
        assert!(count.fetch_add(1, Ordering::Relaxed) > 0, "before there is a future");
        async {
            tokio::task::yield_now().await;
            match Vec::<io::Result<tokio::io::DuplexStream>>::new().pop() {
                Some(stream) => stream,
                None => panic!("in the future"),
            }
        }
    });
    let channel = channel.build().unwrap();
    let status = channel.unary::<_, Raw>(&ECHO, Raw::from("hi")).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unavailable, "cannot connect to localhost: the connector panicked")
    );
    // The second attempt comes after the backoff, and fails as the first did; nobody tries again at once.
    let waiting = channel.unary::<_, Raw>(&ECHO, Raw::from("hi")).wait_for_ready(true);
    let status = waiting.timeout(Duration::from_millis(1500)).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!((2..=3).contains(&tries.load(Ordering::Relaxed)), "{tries:?} attempts");
}

#[tokio::test]
async fn a_server_ends_with_its_last_stream() {
    let (ours, theirs) = pipe();
    let server = Server::builder().service(Echo::default());
    let server = server.bind_incoming(stream::iter([io::Result::Ok(theirs)])).unwrap();
    let running = tokio::spawn(server.run());
    let once = std::sync::Mutex::new(Some(ours));
    let channel = Channel::builder("once").connector(move || {
        let stream = once.lock().unwrap().take();
        async move { stream.ok_or_else(|| io::ErrorKind::NotConnected.into()) }
    });
    let channel = channel.build().unwrap();
    assert_eq!(channel.unary::<_, Raw>(&ECHO, Raw::from("hi")).await.unwrap(), Raw::from("hi"));
    drop(channel);
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn errors_pause_and_the_connection_cap_holds() {
    let (sender, incoming) = network();
    let server =
        Server::builder().max_connections(1).service(Echo::default()).bind_incoming(incoming).unwrap();
    tokio::spawn(server.run());
    sender.send(Err(io::Error::other("out of everything"))).unwrap();
    let first = through(&sender).build().unwrap();
    first.unary::<_, Raw>(&ECHO, Raw::default()).await.unwrap();
    // The second stream is not served until the first is over.
    let second = through(&sender).build().unwrap();
    let call = second.unary::<_, Raw>(&ECHO, Raw::default()).timeout(Duration::from_secs(5));
    assert_eq!(call.await.unwrap_err().code(), Code::DeadlineExceeded);
    drop(first);
    second.unary::<_, Raw>(&ECHO, Raw::default()).wait_for_ready(true).timeout(GRACE).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_connector_that_fails_or_hangs_is_backed_off_from() {
    let attempts = Arc::new(AtomicUsize::new(0));
    let count = attempts.clone();
    let channel = Channel::builder("nowhere").connect_timeout(Duration::from_secs(3)).connector(move || {
        let attempt = count.fetch_add(1, Ordering::SeqCst);
        async move {
            if attempt > 0 {
                std::future::pending::<()>().await;
            }
            io::Result::<tokio::io::DuplexStream>::Err(io::Error::other("no way"))
        }
    });
    let channel = channel.build().unwrap();
    let status = channel.unary::<Raw, Raw>(&ECHO, Raw::default()).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "cannot connect to nowhere: no way"));
    assert_eq!(channel.connectivity(), Connectivity::TransientFailure);
    // After the pause it is tried again, whether or not somebody calls; until then the last failure is everybody's.
    tokio::time::sleep(Duration::from_millis(1300)).await;
    assert_eq!(attempts.load(Ordering::SeqCst), 2);
    let status = channel.unary::<Raw, Raw>(&ECHO, Raw::default()).await.unwrap_err();
    assert_eq!(status.message(), "cannot connect to nowhere: no way");
    tokio::time::sleep(Duration::from_secs(3)).await;
    let status = channel.unary::<Raw, Raw>(&ECHO, Raw::default()).await.unwrap_err();
    assert!(status.message().contains("connect_timeout (3s)"), "{status}");
}

#[tokio::test]
async fn tls_runs_on_streams_of_the_programs_own() {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (sender, incoming) = network();
    let tls = ServerTls::from_pem(cert.pem(), signing_key.serialize_pem());
    let server = Server::builder().tls(tls).service(Echo::default()).bind_incoming(incoming).unwrap();
    tokio::spawn(server.run());
    let channel = through(&sender).tls(ClientTls::new().with_ca_pem(cert.pem())).build().unwrap();
    assert_eq!(channel.unary::<_, Raw>(&ECHO, Raw::from("hi")).await.unwrap(), Raw::from("hi"));
}

#[tokio::test]
async fn an_engine_spreads_them_over_its_lanes() {
    let engine = Engine::new(2).unwrap();
    let (sender, incoming) = network();
    let lanes = Arc::new(std::sync::Mutex::new(std::collections::BTreeSet::new()));
    let seen = lanes.clone();
    let note = move |call, next: spanwire::middleware::Next| {
        seen.lock().unwrap().insert(std::thread::current().name().map(str::to_owned));
        next.run(call)
    };
    let server = Server::builder().engine(&engine).interceptor(note).service(Echo::default());
    tokio::spawn(server.bind_incoming(incoming).unwrap().run());
    for _ in 0..2 {
        through(&sender).build().unwrap().unary::<_, Raw>(&ECHO, Raw::default()).await.unwrap();
    }
    assert_eq!(lanes.lock().unwrap().len(), 2);
}
