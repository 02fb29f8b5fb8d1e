//! A call that is cancelled, at each point of its life, in each kind, on either side.
//!
//! Time stands still, so what is seen is seen at once; and each row is followed by a call on the same connection.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{BIDI, DOWN, FrozenClock, LONG, Seen, TestServer, UNARY, UP, channel, raw, seconds, tasks_end};
use futures_util::future::{BoxFuture, FutureExt};
use spanwire::{Channel, ClientStream, Code, Duplex, Kind, Raw, Status, Streaming};
use spanwire_faults::frame::setting;
use spanwire_faults::{Event, Fields, Frame, RawClient, RawConnection, RawServer, grpc, reason};
use std::time::Duration;
use tokio::time::Instant;

const KINDS: [Kind; 4] = [Kind::Unary, Kind::ServerStreaming, Kind::ClientStreaming, Kind::Bidi];

/// When a call is cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// Before anything was sent for it.
    BeforeStart,
    /// While the other side has not even said hello; on a server, with the connection.
    InAVacuum,
    /// As soon as it was started.
    AtStart,
    /// When the server has seen its headers.
    Accepted,
    /// When all its requests were sent.
    HalfClosed,
    /// After a message in either direction, as far as the kind has them.
    RoundTrip,
    /// By its deadline, which gives it a status.
    Deadline,
}

const ALL: [When; 7] = [
    When::BeforeStart,
    When::InAVacuum,
    When::AtStart,
    When::Accepted,
    When::HalfClosed,
    When::RoundTrip,
    When::Deadline,
];

/// What a caller holds of a call; dropping it cancels the call.
enum Held {
    Answer(BoxFuture<'static, Result<Raw, Status>>),
    Replies(Streaming<Raw>),
    Requests(ClientStream<Raw, Raw>),
    Both(Duplex<Raw, Raw>),
}

/// Starts a call; those that have a request send it.
async fn start(channel: &Channel, kind: Kind, timeout: Duration) -> Held {
    match kind {
        Kind::Unary => {
            let call = channel.unary::<Raw, Raw>(&UNARY, raw("one")).timeout(timeout).into_future();
            let mut call: BoxFuture<'static, _> = Box::pin(call);
            assert!(call.as_mut().now_or_never().is_none());
            Held::Answer(call)
        }
        Kind::ServerStreaming => {
            Held::Replies(channel.server_streaming(&DOWN, raw("one")).timeout(timeout).await.unwrap())
        }
        Kind::ClientStreaming => {
            Held::Requests(channel.client_streaming(&UP).timeout(timeout).await.unwrap())
        }
        _ => Held::Both(channel.bidi(&BIDI).timeout(timeout).await.unwrap()),
    }
}

impl Held {
    async fn send(&mut self) {
        match self {
            Held::Requests(call) => call.send(raw("one")).await.unwrap(),
            Held::Both(call) => call.send(raw("one")).await.unwrap(),
            Held::Answer(_) | Held::Replies(_) => {}
        }
    }

    async fn read(&mut self) {
        let reply = match self {
            Held::Replies(replies) => replies.next().await.unwrap(),
            Held::Both(call) => call.next().await.unwrap(),
            Held::Answer(_) | Held::Requests(_) => return,
        };
        assert_eq!(reply, Some(raw("reply")));
    }

    /// The same call with nothing more to send.
    fn half_closed(self) -> Held {
        match self {
            Held::Requests(call) => {
                let mut answer: BoxFuture<'static, _> = Box::pin(call.finish());
                assert!(answer.as_mut().now_or_never().is_none());
                Held::Answer(answer)
            }
            Held::Both(mut call) => {
                call.half_close();
                Held::Both(call)
            }
            ended => ended,
        }
    }

    /// How the call ends if nobody cancels it.
    async fn status(self) -> Status {
        match self {
            Held::Answer(answer) => answer.await.unwrap_err(),
            Held::Replies(mut replies) => replies.next().await.unwrap_err(),
            Held::Requests(call) => call.finish().await.unwrap_err(),
            Held::Both(mut call) => call.next().await.unwrap_err(),
        }
    }
}

/// Whether the caller says by itself that it has sent everything.
fn ends_by_itself(kind: Kind) -> bool {
    matches!(kind, Kind::Unary | Kind::ServerStreaming)
}

/// What the server sees of a call until it is over: nothing, or headers, then perhaps END_STREAM, then RST_STREAM.
async fn assert_reset(connection: &mut RawConnection, stream: u32, may_end: bool, row: &str) {
    let end = connection
        .wait("the end of the stream", |event| match event {
            Event::Data { stream: id, end_stream, .. } => *id == stream && *end_stream && !may_end,
            Event::Reset { stream: id, .. } => *id == stream,
            _ => false,
        })
        .await;
    assert_eq!(end, Event::Reset { stream, code: reason::CANCEL }, "{row}\n{}", connection.transcript());
}

/// Cancels a call of our client at a raw server, and calls again.
async fn cancel_on_the_client(when: When, kind: Kind) {
    let row = format!("{when:?}, {kind:?}");
    let clock = FrozenClock::new();
    let server = RawServer::bind().await;
    let channel = channel(&server);
    let wide = [(setting::INITIAL_WINDOW_SIZE, 1 << 24)];
    let mut connection = if when == When::InAVacuum {
        // Streams begin without waiting for the connection; dropped before there is one, they never were.
        let vacuum = async {
            tokio::select! {
                biased;
                held = start(&channel, kind, LONG) => drop(held),
                () = tokio::task::yield_now() => {}
            }
        };
        let (mut connection, ()) = tokio::join!(server.accept_bare(), vacuum);
        connection.open(&wide, 1 << 24).await;
        connection
    } else {
        channel.connect();
        server.accept_with(&wide, 1 << 24).await
    };
    connection.sync().await;
    let timeout = if when == When::Deadline { seconds(2) } else { LONG };
    match when {
        When::InAVacuum => {}
        When::BeforeStart => {
            drop(channel.unary::<Raw, Raw>(&UNARY, raw("one")));
            drop(channel.server_streaming::<Raw, Raw>(&DOWN, raw("one")));
            drop(channel.client_streaming::<Raw, Raw>(&UP));
            drop(channel.bidi::<Raw, Raw>(&BIDI));
        }
        When::AtStart => drop(start(&channel, kind, timeout).await),
        When::Accepted | When::HalfClosed | When::RoundTrip | When::Deadline => {
            let (mut held, request) = tokio::join!(start(&channel, kind, timeout), connection.request());
            let stream = request.stream;
            let mut may_end = ends_by_itself(kind);
            if when == When::HalfClosed {
                held.send().await;
                held = held.half_closed();
                may_end = true;
                connection.body(stream).await;
            }
            if when == When::RoundTrip {
                held.send().await;
                connection.messages(stream).await;
                connection.headers(stream).await;
                if !matches!(kind, Kind::Unary | Kind::ClientStreaming) {
                    connection.grpc_message(stream, b"reply").await;
                }
                held.read().await;
            }
            if when == When::Deadline {
                // Asking for its answer is how an upload ends its requests.
                may_end |= kind == Kind::ClientStreaming;
                let (status, ()) = tokio::join!(held.status(), clock.advance(timeout));
                assert_eq!(status.code(), Code::DeadlineExceeded, "{row}: {status}");
            } else {
                drop(held);
            }
            assert_reset(&mut connection, stream, may_end, &row).await;
        }
    }
    // What was left of the cancelled call comes before this one: if anything, it ends with a reset.
    let again = async {
        let request = loop {
            let request = connection.request().await;
            connection.sync().await;
            let reset =
                |event: &Event| matches!(event, Event::Reset { stream, .. } if *stream == request.stream);
            match connection.take_passed(reset) {
                Some(Event::Reset { code, .. }) => assert_eq!(code, reason::CANCEL, "{row}"),
                _ => break request,
            }
        };
        connection.reply(request.stream, b"yes").await;
    };
    let began = Instant::now();
    let call = channel.unary::<Raw, Raw>(&UNARY, raw("again")).timeout(LONG);
    let (answer, ()) = tokio::join!(call.into_future(), again);
    assert_eq!(answer.map_err(|status| status.to_string()), Ok(raw("yes")), "{row}");
    assert_eq!(began.elapsed(), Duration::ZERO, "{row}: no timer was needed");
    drop(channel);
    connection.wait_closed().await;
    tokio::time::resume();
    assert_eq!(tasks_end(0).await, Ok(()), "{row}");
}

#[tokio::test]
async fn a_client_cancels_at_any_point() {
    for when in ALL {
        for kind in KINDS {
            cancel_on_the_client(when, kind).await;
        }
    }
}

/// The method of a kind whose handler does not end by itself.
fn handler(kind: Kind) -> &'static str {
    match kind {
        Kind::Unary => "Never",
        Kind::ServerStreaming => "Flood",
        Kind::ClientStreaming => "Stalled",
        _ => "Chat",
    }
}

/// Cancels a call of a raw client at our server, and calls again.
async fn cancel_on_the_server(when: When, kind: Kind) {
    let row = format!("{when:?}, {kind:?}");
    let clock = FrozenClock::new();
    let mut server = TestServer::start().await;
    // Without room, so that handlers that send have something to wait for.
    let mut client = RawClient::connect_with(server.address(), &[], 0).await;
    let method = handler(kind);
    let mut fields = Fields::grpc_request(&format!("/test.Probe/{method}"));
    if when == When::Deadline {
        fields = fields.with("grpc-timeout", "2S");
    }
    let request = grpc::message(b"1000");
    let stream = client.take_stream();
    let headers = Frame::headers(stream, fields.encode());
    let message = Frame::data(stream, request);
    let cancel = Frame::rst(stream, reason::CANCEL);
    match when {
        // What the server has to say of a call that it never saw is nothing.
        When::BeforeStart => {}
        When::AtStart => {
            client.send_all(&[headers, cancel.clone()]).await;
            client.sync().await;
        }
        _ => {
            // Kinds with one request have a handler once it is whole.
            let last = ends_by_itself(kind) || when == When::HalfClosed;
            let message = if last { message.end_stream() } else { message };
            client.send_all(&[headers, message]).await;
            server.started(method).await;
            if when == When::RoundTrip && matches!(kind, Kind::ServerStreaming | Kind::Bidi) {
                client.wait_headers(stream).await;
                client.wait("a reply", |event| matches!(event, Event::Data { .. })).await;
            }
        }
    }
    let began = Instant::now();
    match when {
        When::BeforeStart | When::AtStart => {}
        When::InAVacuum => {
            drop(client);
            assert_eq!(server.ended().await, Seen::Cancelled(method), "{row}");
            client = RawClient::connect(server.address()).await;
        }
        // A chat has nothing to wait for when its requests are over: it ended well, before the reset.
        When::HalfClosed if kind == Kind::Bidi => {
            assert_eq!(server.ended().await, Seen::Finished(method), "{row}");
            client.send(cancel).await;
        }
        When::Deadline => {
            clock.advance(seconds(2)).await;
            assert_eq!(server.ended().await, Seen::Cancelled(method), "{row}");
            let answer = client.answer(stream).await;
            let told = answer.grpc_status() == Some("4") || answer.reset == Some(reason::CANCEL);
            assert!(told, "{row}: {answer:?}");
        }
        _ => {
            client.send(cancel).await;
            assert_eq!(server.ended().await, Seen::Cancelled(method), "{row}");
        }
    }
    if when != When::Deadline {
        assert_eq!(began.elapsed(), Duration::ZERO, "{row}: no timer was needed");
    }
    client.window_update(0, 1 << 20).await;
    let again = client.unary("/test.Probe/Echo", b"again").await;
    assert_eq!(again.grpc_status(), Some("0"), "{row}: {again:?}");
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    drop(client);
    tokio::time::resume();
    assert!(tasks_end(tasks - 1).await.is_ok(), "{row}: the connection's task is left");
    server.handle().shutdown(LONG).await;
    assert_eq!(tasks_end(0).await, Ok(()), "{row}");
}

#[tokio::test]
async fn a_server_is_cancelled_at_any_point() {
    for when in ALL {
        for kind in KINDS {
            cancel_on_the_server(when, kind).await;
        }
    }
}
