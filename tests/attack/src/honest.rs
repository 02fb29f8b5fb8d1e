//! Honest traffic that looks like an attack from afar: no guard may stop it. What fails, panics.
#![allow(clippy::unwrap_used, reason = "honest traffic fails by panicking")]

use std::pin::Pin;
use std::time::Duration;

use futures_util::future::{join_all, poll_immediate};
use spanwire::{Channel, ChannelBuilder, Code, Kind, Method, Raw, Status};
use spanwire_faults::frame::setting;
use spanwire_faults::{Fields, Frame, RawClient, RawServer, grpc, reason};

/// The methods of [`Target`](crate::target::Target).
pub const ECHO: Method = Method::new("/attack.Target/Echo", Kind::Unary);
/// Never answers.
pub const WAIT: Method = Method::new("/attack.Target/Wait", Kind::Unary);
const WHO_AM_I: Method = Method::new("/attack.Target/WhoAmI", Kind::Unary);
const DOWN: Method = Method::new("/attack.Target/Down", Kind::ServerStreaming);
const STALL: Method = Method::new("/attack.Target/Stall", Kind::ClientStreaming);
const UP: Method = Method::new("/attack.Target/Up", Kind::ClientStreaming);

/// A deadline that no call here should reach.
const LONG: Duration = Duration::from_secs(60);

/// A message above which [`fates`] expects a server to refuse.
pub const FATES_LIMIT: &str = "--max-recv-message-bytes=10000";

/// One kind of honest traffic.
pub struct Honest {
    /// Its name, for choosing it.
    pub name: &'static str,
    /// In words, for the table.
    pub what: &'static str,
    /// Flags of the server.
    pub server: &'static [&'static str],
    /// Plays it against the server at this address.
    pub play: fn(String) -> Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl std::fmt::Debug for Honest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Honest").field("name", &self.name).finish_non_exhaustive()
    }
}

/// All kinds.
pub fn all() -> Vec<Honest> {
    let one = |name, what, play| Honest { name, what, server: &[], play };
    vec![
        one("small_messages", "10 000 messages of 600 bytes, with a pause of two seconds", |target| {
            Box::pin(async move { small_messages(&target).await })
        }),
        one("short_deadlines", "5000 calls with deadlines of 1 to 5 ms, 50 at a time", |target| {
            Box::pin(async move { short_deadlines(&target).await })
        }),
        one("cancelled_at_once", "200 calls cancelled at once, then 200 more", |target| {
            Box::pin(async move { cancelled_at_once(&target).await })
        }),
        one("ping_after_answer", "a ping after each of 500 answers", |target| {
            Box::pin(async move { ping_after_answer(&target).await })
        }),
        one("hundred_fields", "a hundred fields of metadata, 7.9 KiB", |target| {
            Box::pin(async move { hundred_fields(&target).await })
        }),
        one("answers_reset", "600 answers reset by their client", |target| {
            Box::pin(async move { answers_reset(&target).await })
        }),
        Honest {
            server: &[FATES_LIMIT],
            ..one(
                "every_fate",
                "3000 calls: a third cancelled in their bodies, a third too large",
                |target| Box::pin(async move { every_fate(&target).await }),
            )
        },
        one("frames_of_a_byte", "a message of 20 kB in frames of one byte", |target| {
            Box::pin(async move { frames_of_a_byte(&target).await })
        }),
    ]
}

/// A channel with these settings.
pub fn channel(target: &str, change: impl FnOnce(ChannelBuilder) -> ChannelBuilder) -> Channel {
    change(Channel::builder(target)).build().unwrap()
}

/// A message.
pub fn raw(text: impl AsRef<[u8]>) -> Raw {
    Raw(text.as_ref().to_vec().into())
}

/// One call.
///
/// # Errors
/// Its status.
pub async fn echo(channel: &Channel, message: &[u8]) -> Result<Raw, Status> {
    channel.unary::<Raw, Raw>(&ECHO, raw(message)).timeout(LONG).await
}

/// Which connection the channel has, as its server sees it.
pub async fn connection(channel: &Channel) -> Raw {
    channel.unary::<Raw, Raw>(&WHO_AM_I, raw("")).timeout(LONG).await.unwrap()
}

fn plain(target: &str) -> Channel {
    channel(target, |channel| channel)
}

/// Many small messages wait for a reader that pauses.
pub async fn small_messages(target: &str) {
    let channel = plain(target);
    let mut stream =
        channel.server_streaming::<Raw, Raw>(&DOWN, raw("10000 600")).timeout(LONG).await.unwrap();
    for n in 0..10_000 {
        if n == 1000 {
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        assert_eq!(stream.next().await.unwrap().unwrap().0.len(), 600);
    }
    assert_eq!(stream.next().await.unwrap(), None);
    assert_eq!(echo(&channel, b"still here").await.unwrap(), raw("still here"));
}

/// Thousands of calls end by deadlines of milliseconds.
pub async fn short_deadlines(target: &str) {
    let channel = plain(target);
    let before = connection(&channel).await;
    let hundred = async || {
        for n in 0..100 {
            let timeout = Duration::from_millis(1 + n % 5);
            let status = channel.unary::<Raw, Raw>(&WAIT, raw("")).timeout(timeout).await.unwrap_err();
            assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
        }
    };
    join_all((0..50).map(|_| hundred())).await;
    assert_eq!(connection(&channel).await, before, "no call needed another connection");
}

/// Two hundred calls are cancelled at once.
pub async fn cancelled_at_once(target: &str) {
    let channel = plain(target);
    let before = connection(&channel).await;
    let mut calls = Vec::new();
    for _ in 0..200 {
        let mut call = channel.unary::<Raw, Raw>(&WAIT, raw("")).into_future();
        assert!(poll_immediate(&mut call).await.is_none(), "it waits");
        calls.push(call);
    }
    // What is answered after them shows that they all went out.
    assert_eq!(connection(&channel).await, before);
    drop(calls);
    for _ in 0..200 {
        assert_eq!(echo(&channel, b"hi").await.unwrap(), raw("hi"));
    }
    assert_eq!(connection(&channel).await, before, "no call needed another connection");
}

/// A client measures the way after every answer.
pub async fn ping_after_answer(target: &str) {
    let mut client = RawClient::connect(target.parse().unwrap()).await;
    for _ in 0..500 {
        assert_eq!(client.unary(ECHO.path(), b"hi").await.grpc_status(), Some("0"));
        client.ping(b"measured").await;
    }
    assert_eq!(client.unary(ECHO.path(), b"hi").await.grpc_status(), Some("0"));
}

/// Much metadata, but not too much.
pub async fn hundred_fields(target: &str) {
    let channel = plain(target);
    let mut call = channel.unary::<Raw, Raw>(&ECHO, raw("hi")).timeout(LONG);
    for n in 0..100 {
        // 39 bytes and the 40 that a name and its place count: 7.9 KiB in all.
        call = call.metadata(&format!("x-field-{n:03}"), &"v".repeat(37));
    }
    assert_eq!(call.await.unwrap(), raw("hi"));
}

/// Answers that their client resets make room for more.
pub async fn answers_reset(target: &str) {
    // No window: every answer stays where it is, but for its headers.
    let settings = [(setting::INITIAL_WINDOW_SIZE, 0)];
    let mut client = RawClient::connect_with(target.parse().unwrap(), &settings, 0).await;
    for _ in 0..600 {
        let stream = client.call(ECHO.path()).await;
        client.last_message(stream, b"hi").await;
        client.wait_headers(stream).await;
        client.rst(stream, reason::CANCEL).await;
    }
}

async fn every_fate(target: &str) {
    let channel = plain(target);
    let before = connection(&channel).await;
    join_all((0..30).map(|_| fates(&channel, 100))).await;
    assert_eq!(connection(&channel).await, before, "no call needed another connection");
}

/// Calls of which a third succeeds, a third is over [`FATES_LIMIT`], and a third is cancelled inside of its body.
pub async fn fates(channel: &Channel, count: usize) {
    for n in 0..count {
        match n % 3 {
            0 => assert_eq!(echo(channel, &[7; 9000]).await.unwrap().0.len(), 9000),
            1 => {
                let status = echo(channel, &[7; 12_000]).await.unwrap_err();
                assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
            }
            _ => {
                // Of half of them nothing is read before the end.
                let method = if n % 2 == 0 { &UP } else { &STALL };
                let mut stream = channel.client_streaming::<Raw, Raw>(method).timeout(LONG).await.unwrap();
                for _ in 0..3 {
                    stream.send(raw([7; 9000])).await.unwrap();
                }
                drop(stream);
            }
        }
    }
}

/// A message in frames of one byte, to a server and then from one to our client.
pub async fn frames_of_a_byte(target: &str) {
    let body = [7; 20_000];
    let bytes = grpc::message(&body);
    let frames =
        |stream: u32| -> Vec<Frame> { bytes.iter().map(|byte| Frame::data(stream, vec![*byte])).collect() };

    let mut client = RawClient::connect(target.parse().unwrap()).await;
    let stream = client.call(ECHO.path()).await;
    client.send_all(&frames(stream)).await;
    client.half_close(stream).await;
    let answer = client.answer(stream).await;
    assert_eq!(answer.grpc_status(), Some("0"), "{:?}", answer.last_fields());
    assert_eq!(answer.messages()[0].1, &body[..]);

    let server = RawServer::bind().await;
    let channel = plain(&server.target());
    let play = async {
        let mut connection = server.accept().await;
        let (request, _) = connection.whole_request().await;
        connection.headers(request.stream).await;
        connection.send_all(&frames(request.stream)).await;
        connection.fields(request.stream, &Fields::grpc_trailers(0, ""), true).await;
        connection
    };
    let call = async { echo(&channel, b"").await };
    let (answer, _connection) = tokio::join!(call, play);
    assert_eq!(answer.unwrap(), raw(body));
}
