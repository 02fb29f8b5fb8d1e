//! Handlers whose call ends while they look elsewhere: senders in tasks of their own, handlers that never return,
//! tasks that hold a token.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{LONG, TestServer, behind_interceptors, pass, raw};
use spanwire::middleware::{Call, Messages, Reply};
use spanwire::server::{Context, Handler, Service};
use spanwire::{Raw, Sending, Status, Streaming};
use spanwire_faults::frame::setting;
use spanwire_faults::{Event, Fields, Frame, RawClient, reason};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What a handler or one of its tasks says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Said {
    /// The handler was called.
    Started,
    /// It got a request.
    Asked,
    /// It ended, by itself or not.
    Gone,
    /// Its token fired.
    Cancelled,
    /// Its sender's message was taken.
    Sent,
    /// Its sender's message was not taken.
    NotSent,
}

type Report = UnboundedSender<Said>;

/// Says that the handler is gone.
struct Guard(Report);

impl Guard {
    fn new(report: &Report) -> Self {
        report.send(Said::Started).ok();
        Guard(report.clone())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.send(Said::Gone).ok();
    }
}

struct Elsewhere(Arc<Report>);

type Requests = Streaming<Raw>;
type Replies = Sending<Raw>;

/// Sends more than the client has room for, in a task of its own that keeps the sender afterwards. The first message
/// goes because there is some room; the second, the one that is spoken of, waits until there is some again.
fn send_elsewhere(report: &Report, mut replies: Replies) {
    let report = report.clone();
    tokio::spawn(async move {
        let _ = replies.send(raw([7; 10])).await;
        let sent = replies.send(raw([7; 100])).await;
        report.send(if sent.is_ok() { Said::Sent } else { Said::NotSent }).ok();
        std::future::pending::<()>().await;
        drop(replies);
    });
}

fn watch_token(report: &Report, context: &Context) {
    let (report, token) = (report.clone(), context.cancellation());
    tokio::spawn(async move {
        token.cancelled().await;
        report.send(Said::Cancelled).ok();
    });
}

impl Service for Elsewhere {
    fn name(&self) -> &'static str {
        "test.Elsewhere"
    }

    fn methods(&self) -> Vec<(&'static str, Handler)> {
        vec![
            // Reads while its sender waits.
            (
                "Read",
                Handler::bidi(
                    self.0.clone(),
                    |report, mut requests: Requests, replies, context| async move {
                        let _guard = Guard::new(&report);
                        send_elsewhere(&report, replies);
                        loop {
                            match requests.next().await {
                                Ok(Some(_)) => report.send(Said::Asked).unwrap(),
                                Ok(None) => return (Ok(()), context),
                                Err(status) => return (Err(status), context),
                            }
                        }
                    },
                ),
            ),
            // Does neither read nor send nor return.
            (
                "Wait",
                Handler::bidi(self.0.clone(), |report, _: Requests, replies: Replies, context| async move {
                    let _guard = Guard::new(&report);
                    watch_token(&report, &context);
                    send_elsewhere(&report, replies);
                    std::future::pending::<(Result<(), Status>, Context)>().await
                }),
            ),
            // Returns at the first request.
            (
                "Return",
                Handler::bidi(
                    self.0.clone(),
                    |report, mut requests: Requests, replies: Replies, context| async move {
                        let _guard = Guard::new(&report);
                        send_elsewhere(&report, replies);
                        (requests.next().await.map(drop), context)
                    },
                ),
            ),
            // Returns what its reader says, while a task holds its token.
            (
                "Token",
                Handler::bidi(
                    self.0.clone(),
                    |report, mut requests: Requests, _: Replies, context| async move {
                        let _guard = Guard::new(&report);
                        watch_token(&report, &context);
                        (requests.next().await.map(drop), context)
                    },
                ),
            ),
            // Says its headers and nothing more.
            (
                "Head",
                Handler::bidi(self.0.clone(), |report, _: Requests, _: Replies, mut context| async move {
                    let _guard = Guard::new(&report);
                    watch_token(&report, &context);
                    let _ = context.send_headers();
                    std::future::pending::<(Result<(), Status>, Context)>().await
                }),
            ),
        ]
    }
}

/// A server of [`Elsewhere`] and what its handlers say.
struct Scene {
    server: TestServer,
    said: UnboundedReceiver<Said>,
    /// Then a message counts as sent when the chain has it, whatever the client has room for.
    intercepted: bool,
}

impl Scene {
    async fn new(intercepted: bool) -> Self {
        let (report, said) = unbounded_channel();
        let server = TestServer::with(|builder| {
            let silent = report.clone();
            // Answers what no service has: with headers, and nothing after them.
            let fallback = move |_: Call| {
                let guard = Guard::new(&silent);
                let messages = Messages::from_poll_fn(move |_| {
                    let _ = &guard;
                    Poll::Pending
                });
                async { Ok(Reply::new(messages)) }
            };
            let builder = builder.service(Elsewhere(Arc::new(report))).fallback(fallback);
            if intercepted { builder.interceptor(pass) } else { builder }
        })
        .await;
        Scene { server, said, intercepted: intercepted || behind_interceptors() }
    }

    /// A client that takes ten bytes of each stream.
    async fn narrow_client(&self) -> RawClient {
        RawClient::connect_with(self.server.address(), &[(setting::INITIAL_WINDOW_SIZE, 10)], 1 << 24).await
    }

    async fn next(&mut self) -> Said {
        let said = tokio::time::timeout(Duration::from_secs(5), self.said.recv()).await;
        said.expect("the handler says nothing").unwrap()
    }

    /// Waits until all of these were said, in any order; a message that was sent already cannot fail any more.
    async fn expect<const N: usize>(&mut self, all: [Said; N]) {
        let mut due = BTreeSet::from(all);
        if self.intercepted {
            due.remove(&Said::NotSent);
        }
        while !due.is_empty() {
            let said = match tokio::time::timeout(Duration::from_secs(5), self.said.recv()).await {
                Ok(said) => said.unwrap(),
                Err(_) => panic!("never said: {due:?}"),
            };
            assert!(due.remove(&said), "{said:?} was said, due are {due:?}");
        }
    }
}

/// Opens a call whose sender is blocked when this returns.
async fn blocked(scene: &mut Scene, client: &mut RawClient, method: &str) -> u32 {
    let stream = client.call(&format!("/test.Elsewhere/{method}")).await;
    if scene.intercepted {
        scene.expect([Said::Started, Said::Sent]).await;
    } else {
        assert_eq!(scene.next().await, Said::Started);
    }
    client.wait("DATA", |event| matches!(event, Event::Data { data, .. } if data.len() == 10)).await;
    stream
}

/// The call's own task runs, twice, while a sender in another task is blocked; then there is room.
async fn read_on(intercepted: bool) {
    let mut scene = Scene::new(intercepted).await;
    let mut client = scene.narrow_client().await;
    let stream = blocked(&mut scene, &mut client, "Read").await;
    for _ in 0..2 {
        client.grpc_message(stream, b"x").await;
        assert_eq!(scene.next().await, Said::Asked);
    }
    client.window_update(stream, 1000).await;
    if !scene.intercepted {
        assert_eq!(scene.next().await, Said::Sent);
    }
    let mut missing = 5 + 105;
    while missing > 0 {
        let rest = client.wait("DATA", |event| matches!(event, Event::Data { .. })).await;
        let Event::Data { data, .. } = rest else { panic!("{rest}") };
        missing -= data.len();
    }
}

#[tokio::test]
async fn a_sender_in_another_task_goes_on_when_there_is_room_again() {
    read_on(false).await;
}

#[tokio::test]
async fn a_handler_behind_interceptors_reads_on_while_a_reply_waits_for_room() {
    read_on(true).await;
}

#[tokio::test]
async fn a_reset_ends_a_handler_and_its_sender_in_another_task() {
    let mut scene = Scene::new(false).await;
    let mut client = scene.narrow_client().await;
    let stream = blocked(&mut scene, &mut client, "Wait").await;
    client.rst(stream, reason::CANCEL).await;
    scene.expect([Said::Gone, Said::Cancelled, Said::NotSent]).await;
}

#[tokio::test]
async fn a_lost_connection_ends_a_handler_and_its_sender_in_another_task() {
    let mut scene = Scene::new(false).await;
    let mut client = scene.narrow_client().await;
    blocked(&mut scene, &mut client, "Wait").await;
    drop(client);
    scene.expect([Said::Gone, Said::Cancelled, Said::NotSent]).await;
}

#[tokio::test]
async fn the_end_of_grace_reaches_a_handler_and_its_sender_in_another_task() {
    let mut scene = Scene::new(false).await;
    let mut client = scene.narrow_client().await;
    blocked(&mut scene, &mut client, "Wait").await;
    let handle = scene.server.handle().clone();
    tokio::join!(handle.shutdown(Duration::from_millis(20)), client.wait_closed());
    scene.expect([Said::Gone, Said::Cancelled, Said::NotSent]).await;
}

#[tokio::test]
async fn a_handlers_return_ends_its_sender_in_another_task_and_a_kept_sender_holds_nothing_up() {
    let mut scene = Scene::new(false).await;
    let mut client = scene.narrow_client().await;
    let stream = blocked(&mut scene, &mut client, "Return").await;
    client.grpc_message(stream, b"x").await;
    scene.expect([Said::Gone, Said::NotSent]).await;
    // What counts as sent is owed to the client.
    client.window_update(stream, 1000).await;
    // The sender still exists; the call does not, so the drain has nothing to wait for.
    let handle = scene.server.handle().clone();
    let drained = async { tokio::join!(handle.shutdown(LONG), client.wait_closed()) };
    tokio::time::timeout(Duration::from_secs(3), drained)
        .await
        .expect("the drain waits for a call that is over");
}

#[tokio::test]
async fn headers_and_reset_in_one_write_start_no_handler_wherever_it_is() {
    for (path, intercepted) in [
        ("/test.Elsewhere/Head", false),
        ("/test.Elsewhere/Head", true),
        ("/test.Nobody/Silent", false),
        ("/test.Nobody/Silent", true),
    ] {
        let mut scene = Scene::new(intercepted).await;
        let mut client = RawClient::connect(scene.server.address()).await;
        let stream = client.take_stream();
        let head = Frame::headers(stream, Fields::grpc_request(path).encode());
        client.send_all(&[head, Frame::rst(stream, reason::CANCEL)]).await;
        client.sync().await;
        assert_eq!(client.unary("/test.Probe/Echo", b"hi").await.grpc_status(), Some("0"));
        assert!(scene.said.try_recv().is_err(), "{path} {intercepted}");
        assert_eq!(scene.server.handle().stats().total_calls, 1, "{path} {intercepted}");
    }
}

#[tokio::test]
async fn a_token_fires_when_the_handler_notices_the_cancellation_first() {
    for intercepted in [false, true] {
        let mut scene = Scene::new(intercepted).await;
        let mut client = RawClient::connect(scene.server.address()).await;
        let stream = client.call("/test.Elsewhere/Token").await;
        assert_eq!(scene.next().await, Said::Started);
        client.rst(stream, reason::CANCEL).await;
        scene.expect([Said::Gone, Said::Cancelled]).await;
    }
}

#[tokio::test]
async fn a_token_does_not_fire_for_a_call_that_ends_well() {
    let mut scene = Scene::new(false).await;
    let mut client = RawClient::connect(scene.server.address()).await;
    let stream = client.call("/test.Elsewhere/Token").await;
    assert_eq!(scene.next().await, Said::Started);
    client.half_close(stream).await;
    assert_eq!(scene.next().await, Said::Gone);
    assert_eq!(client.answer(stream).await.grpc_status(), Some("0"));
    client.sync().await;
    assert!(scene.said.try_recv().is_err());
}
