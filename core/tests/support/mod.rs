//! A service with all four kinds over plain bytes, and a channel to it, for the tests of the public API.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "each test file uses what it needs")]

pub mod health;
pub mod orca;
pub mod who;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use spanwire::server::{Handler, Service};
use spanwire::{
    Channel, ChannelBuilder, Context, Kind, Method, Raw, Server, ServerBuilder, ServerHandle, Status,
};

pub const ECHO: Method = Method::new("/test.Echo/Echo", Kind::Unary);
pub const REPEAT: Method = Method::new("/test.Echo/Repeat", Kind::ServerStreaming);
pub const JOIN: Method = Method::new("/test.Echo/Join", Kind::ClientStreaming);
pub const CHAT: Method = Method::new("/test.Echo/Chat", Kind::Bidi);
pub const FAIL: Method = Method::new("/test.Echo/Fail", Kind::Unary);
pub const PANIC: Method = Method::new("/test.Echo/Panic", Kind::Unary);
pub const SLEEP: Method = Method::new("/test.Echo/Sleep", Kind::Unary);
pub const DEADLINE: Method = Method::new("/test.Echo/Deadline", Kind::Unary);
pub const MIRROR: Method = Method::new("/test.Echo/Mirror", Kind::Unary);

/// What happened in the handlers.
#[derive(Debug, Default)]
pub struct Seen {
    pub started: AtomicUsize,
    pub dropped: AtomicUsize,
    pub notify: tokio::sync::Notify,
}

/// Counts a handler that ended by being dropped.
struct DropCount(Arc<Seen>);

impl Drop for DropCount {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, Ordering::SeqCst);
        self.0.notify.notify_waiters();
        self.0.notify.notify_one();
    }
}

#[derive(Clone, Debug, Default)]
pub struct Echo {
    pub seen: Arc<Seen>,
}

impl Service for Echo {
    fn name(&self) -> &'static str {
        "test.Echo"
    }

    fn methods(&self) -> Vec<(&'static str, Handler)> {
        let seen = self.seen.clone();
        vec![
            (
                "Echo",
                Handler::unary(seen.clone(), |_, request: Raw, context| async { (Ok(request), context) }),
            ),
            (
                "Repeat",
                Handler::server_streaming(seen.clone(), |_, request: Raw, mut replies, context| async move {
                    for _ in 0..request.0.len() {
                        if let Err(status) = replies.send(request.clone()).await {
                            return (Err(status), context);
                        }
                    }
                    (Ok(()), context)
                }),
            ),
            (
                "Join",
                Handler::client_streaming(
                    seen.clone(),
                    |_, mut requests: spanwire::Streaming<Raw>, context| async move {
                        let mut all = Vec::new();
                        loop {
                            match requests.next().await {
                                Ok(Some(message)) => all.extend_from_slice(&message.0),
                                Ok(None) => return (Ok(Raw::from(all)), context),
                                Err(status) => return (Err(status), context),
                            }
                        }
                    },
                ),
            ),
            (
                "Chat",
                Handler::bidi(
                    seen.clone(),
                    |_, mut requests: spanwire::Streaming<Raw>, mut replies, mut context| async move {
                        let _ = context.append_header("chat-header", "first");
                        context.trailers_mut().append("chat-trailer", "last").unwrap();
                        loop {
                            let result = match requests.next().await {
                                Ok(Some(message)) => replies.send(message).await,
                                Ok(None) => return (Ok(()), context),
                                Err(status) => Err(status),
                            };
                            if result.is_err() {
                                return (result, context);
                            }
                        }
                    },
                ),
            ),
            (
                "Fail",
                Handler::unary(seen.clone(), |_, request: Raw, context| async move {
                    let text = String::from_utf8_lossy(&request.0).into_owned();
                    let status = Status::failed_precondition(text).with_details(b"details".as_slice().into());
                    (Err::<Raw, _>(status), context)
                }),
            ),
            (
                "Panic",
                Handler::unary(seen.clone(), |_, request: Raw, context: Context| async move {
                    if request.0.is_empty() {
                        panic!("on purpose");
                    }
                    (Ok(request), context)
                }),
            ),
            (
                "Sleep",
                Handler::unary(seen.clone(), |seen, request: Raw, context| async move {
                    seen.started.fetch_add(1, Ordering::SeqCst);
                    seen.notify.notify_one();
                    let _count = DropCount(seen.clone());
                    tokio::time::sleep(Duration::from_secs(60)).await;
                    (Ok(request), context)
                }),
            ),
            (
                "Deadline",
                Handler::unary(seen.clone(), |_, _: Raw, context: Context| async move {
                    let left = context.time_remaining().map_or(0, |left| left.as_millis());
                    (Ok(Raw::from(left.to_string())), context)
                }),
            ),
            (
                "Mirror",
                Handler::unary(seen, |_, request: Raw, mut context: Context| async move {
                    let mut failed = Ok(());
                    let received = context.metadata().clone();
                    for (key, value) in received.iter().filter(|(key, _)| key.starts_with("x-")) {
                        failed = failed.and(match value {
                            spanwire::Value::Ascii(text) => {
                                context.append_header(key, std::str::from_utf8(text).unwrap_or_default())
                            }
                            spanwire::Value::Binary(bytes) => context.append_header_bin(key, bytes),
                        });
                    }
                    (failed.map(|()| request), context)
                }),
            ),
        ]
    }
}

/// A server on a port of its own, shut down when dropped.
pub struct Running {
    pub port: u16,
    pub handle: ServerHandle,
}

impl Running {
    pub fn target(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn channel(&self) -> Channel {
        self.builder().build().unwrap()
    }

    pub fn builder(&self) -> ChannelBuilder {
        Channel::builder(&self.target())
    }
}

pub async fn serve(builder: ServerBuilder) -> Running {
    let server = builder.bind("127.0.0.1:0").await.unwrap();
    let (port, handle) = (server.port().unwrap(), server.handle());
    tokio::spawn(server.run());
    Running { port, handle }
}

pub async fn echo() -> (Running, Echo) {
    let echo = Echo::default();
    (serve(Server::builder().service(echo.clone())).await, echo)
}

/// Waits until `condition` holds, for at most five seconds.
pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "not within five seconds: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
