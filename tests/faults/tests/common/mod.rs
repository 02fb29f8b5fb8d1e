//! What the fault tests share: a service whose handlers report what they see, and calls against scripts.
#![allow(dead_code, unused_imports, unreachable_pub, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod clock;
pub mod fault;
mod probe;

pub use clock::FrozenClock;
pub use probe::{Seen, TestServer};

use spanwire::middleware::{Call, Next, Reply};
use spanwire::{Channel, ChannelBuilder, Code, Kind, Method, Raw, Response, Status};
use spanwire_faults::{Event, Link, RawConnection, RawServer};
use std::time::Duration;

/// A method of each kind; raw servers answer them, [`TestServer`] has handlers of its own.
pub const UNARY: Method = Method::new("/test.Peer/Unary", Kind::Unary);
/// See [`UNARY`].
pub const DOWN: Method = Method::new("/test.Peer/Down", Kind::ServerStreaming);
/// See [`UNARY`].
pub const UP: Method = Method::new("/test.Peer/Up", Kind::ClientStreaming);
/// See [`UNARY`].
pub const BIDI: Method = Method::new("/test.Peer/Bidi", Kind::Bidi);

/// A deadline that no test should reach.
pub const LONG: Duration = Duration::from_secs(10);

/// A channel with default options.
pub fn channel(server: &RawServer) -> Channel {
    build(Channel::builder(&server.target()))
}

/// The channel of a builder.
pub fn build(builder: ChannelBuilder) -> Channel {
    let builder = if behind_interceptors() { builder.interceptor(pass) } else { builder };
    builder.build().unwrap()
}

/// Whether all channels and servers of the tests have an interceptor, which takes calls another way through the
/// engine: `SPANWIRE_FAULTS_INTERCEPTED=1`.
pub fn behind_interceptors() -> bool {
    std::env::var_os("SPANWIRE_FAULTS_INTERCEPTED").is_some()
}

/// An interceptor that changes nothing.
pub async fn pass(call: Call, next: Next) -> Result<Reply, Status> {
    next.run(call).await
}

/// A message of plain bytes.
pub fn raw(text: impl AsRef<[u8]>) -> Raw {
    Raw(text.as_ref().to_vec().into())
}

/// Makes one unary call whose request the server reads whole before it plays `answer`.
///
/// The connection stays open until the call has ended.
pub async fn unary_against(
    answer: impl AsyncFnOnce(&mut RawConnection, u32),
) -> Result<Response<Raw>, Status> {
    let server = RawServer::bind().await;
    let channel = channel(&server);
    let play = async {
        let mut connection = server.accept().await;
        let (request, _) = connection.whole_request().await;
        answer(&mut connection, request.stream).await;
        connection
    };
    let call = async { channel.unary::<Raw, Raw>(&UNARY, raw("hi")).timeout(LONG).response().await };
    let (outcome, _connection) = tokio::join!(call, play);
    outcome
}

/// The status of [`unary_against`]; an answer counts as OK.
pub async fn unary_status(answer: impl AsyncFnOnce(&mut RawConnection, u32)) -> Status {
    unary_against(answer).await.err().unwrap_or_else(Status::ok)
}

/// Makes one server-streaming call against `answer`, reads it to the end: the messages and the status.
pub async fn stream_against(answer: impl AsyncFnOnce(&mut RawConnection, u32)) -> (Vec<Raw>, Status) {
    let server = RawServer::bind().await;
    let channel = channel(&server);
    let play = async {
        let mut connection = server.accept().await;
        let (request, _) = connection.whole_request().await;
        answer(&mut connection, request.stream).await;
        connection
    };
    let call = async {
        let mut messages = Vec::new();
        let mut stream = match channel.server_streaming::<Raw, Raw>(&DOWN, raw("hi")).timeout(LONG).await {
            Ok(stream) => stream,
            Err(status) => return (messages, status),
        };
        loop {
            match stream.next().await {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => return (messages, Status::ok()),
                Err(status) => return (messages, status),
            }
        }
    };
    let (outcome, _connection) = tokio::join!(call, play);
    outcome
}

/// Waits until no more than `expected` tasks live in this test's runtime; their number if that does not happen.
pub async fn tasks_end(expected: usize) -> Result<(), usize> {
    let metrics = tokio::runtime::Handle::current().metrics();
    let patience = std::time::Instant::now() + Duration::from_secs(3);
    while metrics.num_alive_tasks() > expected {
        if std::time::Instant::now() > patience {
            return Err(metrics.num_alive_tasks());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

/// So many seconds.
pub fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// One unary call.
pub async fn call(channel: &Channel, body: &str) -> Result<Raw, Status> {
    channel.unary::<Raw, Raw>(&UNARY, raw(body)).timeout(LONG).await
}

/// Lets the ping that measures the bandwidth be over, so that the next one is somebody else's.
pub async fn no_ping_is_out(link: &mut Link) {
    for _ in 0..2 {
        link.sync().await;
        while link.take_passed(is_ping).is_some() {}
    }
}

/// Whether it is a PING that wants an answer.
pub fn is_ping(event: &Event) -> bool {
    matches!(event, Event::Ping(_))
}

/// Calls again on the same channel and expects that the server's answer comes through.
pub async fn assert_recovers(channel: &Channel, server: &RawServer) {
    let call = channel.unary::<Raw, Raw>(&UNARY, raw("again")).timeout(LONG);
    let play = async {
        let mut connection = server.accept().await;
        let (request, _) = connection.whole_request().await;
        connection.reply(request.stream, b"recovered").await;
        connection
    };
    let (outcome, _connection) = tokio::join!(call.into_future(), play);
    assert_eq!(outcome.map_err(|status| status.to_string()), Ok(raw("recovered")));
}

/// Asserts a status' code, and that its message names `part`.
#[track_caller]
pub fn assert_status(status: &Status, code: Code, part: &str) {
    assert_eq!(status.code(), code, "{status}");
    assert!(status.message().contains(part), "{part:?} is not in: {status}");
}
