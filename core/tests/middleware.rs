//! Interceptors and tower layers, on both sides and for all kinds; proxies; deadlines that pass on.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use spanwire::middleware::{Call, Item, Messages, Next, Reply, Side};
use spanwire::server::{Handler, Service};
use spanwire::{Channel, Code, Context, Engine, Kind, Method, Raw, Server, Status};
use support::*;

type Log = Arc<Mutex<Vec<String>>>;

/// Writes down everything that passes.
fn recorder(
    log: &Log,
    name: &'static str,
) -> impl Fn(Call, Next) -> spanwire::middleware::BoxFuture<'static, Result<Reply, Status>> + use<> {
    let log = log.clone();
    move |mut call: Call, next: Next| {
        let (sent, received, ended, start) = (log.clone(), log.clone(), log.clone(), log.clone());
        Box::pin(async move {
            start.lock().unwrap().push(format!("{name} {:?} {}", call.side, call.method.name()));
            call.messages = call.messages.map(move |message| {
                sent.lock().unwrap().push(format!("{name} request {}", String::from_utf8_lossy(&message)));
                Ok(message)
            });
            let mut reply = next.run(call).await?;
            reply.messages = reply
                .messages
                .map(move |message| {
                    received
                        .lock()
                        .unwrap()
                        .push(format!("{name} response {}", String::from_utf8_lossy(&message)));
                    Ok(message)
                })
                .on_end(move |status| ended.lock().unwrap().push(format!("{name} end {:?}", status.code())));
            Ok(reply)
        })
    }
}

fn taken(log: &Log) -> Vec<String> {
    std::mem::take(&mut *log.lock().unwrap())
}

#[tokio::test]
async fn interceptors_of_both_sides_see_messages_and_status_of_a_unary_call() {
    let log = Log::default();
    let server =
        serve(Server::builder().service(Echo::default()).interceptor(recorder(&log, "server"))).await;
    let channel = server.builder().interceptor(recorder(&log, "client")).build().unwrap();
    let answer: Raw = channel.unary(&ECHO, Raw::from("hi")).await.unwrap();
    assert_eq!(answer, Raw::from("hi"));
    assert_eq!(
        taken(&log),
        [
            "client Client Echo",
            "client request hi",
            "server Server Echo",
            "server request hi",
            "server response hi",
            "server end Ok",
            "client response hi",
            "client end Ok"
        ]
    );
}

#[tokio::test]
async fn interceptors_see_every_message_of_the_streaming_kinds() {
    let log = Log::default();
    let server = serve(Server::builder().service(Echo::default()).interceptor(recorder(&log, "s"))).await;
    let channel = server.builder().interceptor(recorder(&log, "c")).build().unwrap();

    let mut stream = channel.server_streaming::<_, Raw>(&REPEAT, Raw::from("ab")).await.unwrap();
    while stream.next().await.unwrap().is_some() {}
    assert_eq!(taken(&log).iter().filter(|line| line.contains("response ab")).count(), 4);

    let mut call = channel.client_streaming::<Raw, Raw>(&JOIN).await.unwrap();
    for part in ["x", "y"] {
        call.send(Raw::from(part)).await.unwrap();
    }
    assert_eq!(call.finish().await.unwrap(), Raw::from("xy"));
    assert_eq!(taken(&log).iter().filter(|line| line.contains("request")).count(), 4);

    let mut call = channel.bidi::<Raw, Raw>(&CHAT).await.unwrap();
    for _ in 0..3 {
        call.send(Raw::from("z")).await.unwrap();
        assert_eq!(call.next().await.unwrap(), Some(Raw::from("z")));
    }
    assert_eq!(call.headers().await.unwrap().get("chat-header"), Some("first"));
    call.half_close();
    assert_eq!(call.next().await.unwrap(), None);
    assert_eq!(call.trailers().unwrap().get("chat-trailer"), Some("last"));
    let lines = taken(&log);
    assert_eq!(lines.iter().filter(|line| line.contains("request z")).count(), 6, "{lines:?}");
    assert_eq!(lines.iter().filter(|line| line.contains("response z")).count(), 6, "{lines:?}");
}

#[tokio::test]
async fn first_added_interceptor_is_the_outermost() {
    let log = Log::default();
    let builder = Server::builder().service(Echo::default());
    let server =
        serve(builder.interceptor(recorder(&log, "outer")).interceptor(recorder(&log, "inner"))).await;
    let _: Raw = server.channel().unary(&ECHO, Raw::from("m")).await.unwrap();
    let lines = taken(&log);
    assert_eq!(lines[0], "outer Server Echo");
    assert_eq!(lines[1], "inner Server Echo");
    assert_eq!(lines.last().unwrap(), "outer end Ok");
}

async fn require_key(call: Call, next: Next) -> Result<Reply, Status> {
    assert_eq!(call.side, Side::Server);
    if call.metadata.get("x-key") != Some("secret") {
        return Err(Status::unauthenticated("x-key is missing"));
    }
    next.run(call).await
}

#[tokio::test]
async fn interceptor_answers_without_the_handler() {
    let server = serve(Server::builder().service(Echo::default()).interceptor(require_key)).await;
    let channel = server.channel();
    let status = channel.unary::<_, Raw>(&ECHO, Raw::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    let _: Raw = channel.unary(&ECHO, Raw::default()).metadata("x-key", "secret").await.unwrap();
}

#[tokio::test]
async fn client_interceptor_changes_metadata_messages_and_status() {
    async fn change(mut call: Call, next: Next) -> Result<Reply, Status> {
        call.metadata.append("x-added", "yes").map_err(|error| Status::internal(error.to_string()))?;
        call.messages = call.messages.map(|message| Ok(Bytes::from(message.to_ascii_uppercase())));
        let mut reply = next.run(call).await?;
        reply.messages = reply.messages.on_end(|status| {
            if status.code() == Code::FailedPrecondition {
                *status = Status::aborted(format!("changed: {}", status.message()));
            }
        });
        Ok(reply)
    }
    let (server, _) = echo().await;
    let channel = server.builder().interceptor(change).build().unwrap();
    let response = channel.unary::<_, Raw>(&MIRROR, Raw::from("loud")).response().await.unwrap();
    assert_eq!(response.message, Raw::from("LOUD"));
    assert_eq!(response.headers.get("x-added"), Some("yes"));
    let status = channel.unary::<_, Raw>(&FAIL, Raw::from("why")).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Aborted, "changed: WHY"));
}

#[tokio::test]
async fn panic_in_a_server_interceptor_is_internal_on_that_call_alone() {
    async fn panics(call: Call, next: Next) -> Result<Reply, Status> {
        assert!(call.metadata.get("x-panic").is_none(), "on purpose");
        next.run(call).await
    }
    let server = serve(Server::builder().service(Echo::default()).interceptor(panics)).await;
    let channel = server.channel();
    let status = channel.unary::<_, Raw>(&ECHO, Raw::default()).metadata("x-panic", "1").await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    let _: Raw = channel.unary(&ECHO, Raw::default()).await.unwrap();
}

#[tokio::test]
async fn tower_layers_mount_on_both_sides() {
    let limit = || tower::limit::ConcurrencyLimitLayer::new(1);
    let server = serve(Server::builder().service(Echo::default()).layer(limit())).await;
    let channel = server.builder().layer(limit()).build().unwrap();
    let calls: Vec<_> = (0..20)
        .map(|n| tokio::spawn(channel.unary::<_, Raw>(&ECHO, Raw::from(format!("{n}"))).into_future()))
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn tower_timeout_becomes_a_status_that_names_it() {
    let layer = tower::timeout::TimeoutLayer::new(Duration::from_millis(30));
    let server = serve(Server::builder().service(Echo::default()).layer(layer)).await;
    let status = server.channel().unary::<_, Raw>(&SLEEP, Raw::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("timed out"), "{status}");
}

#[tokio::test]
async fn fallback_proxies_all_kinds_without_generated_code() {
    let (backend, _) = echo().await;
    let channel = backend.channel();
    let proxy = serve(Server::builder().fallback(move |call| channel.call(call))).await;
    let client = proxy.channel();
    let response =
        client.unary::<_, Raw>(&MIRROR, Raw::from("m")).metadata("x-a", "b").response().await.unwrap();
    assert_eq!(response.headers.get("x-a"), Some("b"));
    let status = client.unary::<_, Raw>(&FAIL, Raw::from("through")).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::FailedPrecondition, "through"));
    assert_eq!(status.details(), b"details");
    let mut call = client.bidi::<Raw, Raw>(&CHAT).await.unwrap();
    for _ in 0..3 {
        call.send(Raw::from("z")).await.unwrap();
        assert_eq!(call.next().await.unwrap(), Some(Raw::from("z")));
    }
    call.half_close();
    assert_eq!(call.next().await.unwrap(), None);
    assert_eq!(call.trailers().unwrap().get("chat-trailer"), Some("last"));
}

/// A service whose handler calls another one.
struct Nested(Channel);

impl Service for Nested {
    fn name(&self) -> &'static str {
        "test.Nested"
    }

    fn methods(&self) -> Vec<(&'static str, Handler)> {
        let channel = Arc::new(self.0.clone());
        vec![(
            "Ask",
            Handler::unary(channel, |channel: Arc<Channel>, request: Raw, context: Context| async move {
                // No timeout of its own.
                let result = channel.unary::<_, Raw>(&DEADLINE, request).await;
                (result, context)
            }),
        )]
    }
}

#[tokio::test]
async fn nested_calls_inherit_the_deadline() {
    let (backend, _) = echo().await;
    let front = serve(Server::builder().service(Nested(backend.channel()))).await;
    let ask = Method::new("/test.Nested/Ask", Kind::Unary);
    let call = front.channel().unary::<_, Raw>(&ask, Raw::default()).timeout(Duration::from_secs(20));
    let left: u64 = String::from_utf8(call.await.unwrap().0.to_vec()).unwrap().parse().unwrap();
    assert!((15_000..=20_000).contains(&left), "{left}");
    let without: Raw = front.channel().unary(&ask, Raw::default()).await.unwrap();
    assert_eq!(without, Raw::from("0"));
}

#[tokio::test]
async fn generic_call_gives_messages_and_status() {
    let (server, _) = echo().await;
    let call = Call::new(REPEAT, Messages::one(Bytes::from_static(b"ab")));
    let mut reply = server.channel().call(call).await.unwrap();
    assert!(matches!(reply.messages.next().await, Item::Message(m) if m == "ab"));
    assert!(matches!(reply.messages.next().await, Item::Message(_)));
    assert!(matches!(reply.messages.next().await, Item::End(status) if status.is_ok()));
}

#[test]
fn lanes_carry_interceptors_and_nested_calls() {
    let engine = Engine::new(1).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let backend = serve(Server::builder().service(Echo::default()).engine(&engine)).await;
        let channel = backend.builder().engine(&engine).build().unwrap();
        let front = serve(Server::builder().service(Nested(channel)).interceptor(pass).engine(&engine)).await;
        let ask = Method::new("/test.Nested/Ask", Kind::Unary);
        let _: Raw = front.channel().unary(&ask, Raw::default()).await.unwrap();
    });
}

async fn pass(call: Call, next: Next) -> Result<Reply, Status> {
    next.run(call).await
}
