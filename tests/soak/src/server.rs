//! The server's process: a service whose calls can be ended in every way, and a line of JSON for each question.

use std::error::Error;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use spanwire::server::{Handler, Service};
use spanwire::{BoundServer, Kind, Method, Raw, Sending, Server, Status, Streaming};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::census::Census;

/// Answers with the request.
pub const ECHO: Method = Method::new("/soak.Soak/Echo", Kind::Unary);
/// Never answers.
pub const NEVER: Method = Method::new("/soak.Soak/Never", Kind::Unary);
/// Sends messages as large as the request for as long as it can.
pub const FLOOD: Method = Method::new("/soak.Soak/Flood", Kind::ServerStreaming);
/// Sends three messages as large as the request, and fails.
pub const BREAK: Method = Method::new("/soak.Soak/Break", Kind::ServerStreaming);
/// Reads to the end.
pub const UPLOAD: Method = Method::new("/soak.Soak/Upload", Kind::ClientStreaming);
/// Reads one message, and fails.
pub const ENOUGH: Method = Method::new("/soak.Soak/Enough", Kind::ClientStreaming);
/// Reads nothing, and never answers.
pub const UNREAD: Method = Method::new("/soak.Soak/Unread", Kind::ClientStreaming);
/// Sends back what it reads.
pub const CHAT: Method = Method::new("/soak.Soak/Chat", Kind::Bidi);

/// What the driving process says to a server's.
pub mod order {
    /// Print a [`Census`](crate::census::Census).
    pub const COUNT: &str = "count";
    /// Shut the second listener down and listen again.
    pub const RESTART: &str = "restart";
}

#[derive(Default)]
struct Soak {
    handlers: AtomicUsize,
    sent: AtomicU64,
}

/// A handler that runs.
struct Running(Arc<Soak>);

impl Running {
    fn new(soak: &Arc<Soak>) -> Self {
        soak.handlers.fetch_add(1, Relaxed);
        Running(soak.clone())
    }

    async fn send(&self, replies: &mut Sending<Raw>, message: &Raw) -> Result<(), Status> {
        replies.send(message.clone()).await?;
        self.0.sent.fetch_add(1, Relaxed);
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.handlers.fetch_sub(1, Relaxed);
    }
}

/// A message as large as `request` says.
fn sized(request: &Raw) -> Raw {
    let size = std::str::from_utf8(&request.0).ok().and_then(|text| text.parse().ok());
    Raw(vec![7; size.unwrap_or(0)].into())
}

async fn flood(running: Running, request: Raw, mut replies: Sending<Raw>) -> Result<(), Status> {
    let message = sized(&request);
    loop {
        running.send(&mut replies, &message).await?;
    }
}

async fn fail_midway(running: Running, request: Raw, mut replies: Sending<Raw>) -> Result<(), Status> {
    for _ in 0..3 {
        running.send(&mut replies, &sized(&request)).await?;
    }
    Err(Status::aborted("midway"))
}

async fn upload(_running: Running, mut requests: Streaming<Raw>) -> Result<Raw, Status> {
    while requests.next().await?.is_some() {}
    Ok(Raw::default())
}

async fn chat(
    _running: Running,
    mut requests: Streaming<Raw>,
    mut replies: Sending<Raw>,
) -> Result<(), Status> {
    while let Some(message) = requests.next().await? {
        replies.send(message).await?;
    }
    Ok(())
}

struct SoakService(Arc<Soak>);

impl Service for SoakService {
    fn name(&self) -> &'static str {
        "soak.Soak"
    }

    fn methods(&self) -> Vec<(&'static str, Handler)> {
        let soak = || self.0.clone();
        vec![
            (
                "Echo",
                Handler::unary(soak(), |soak, request: Raw, context| {
                    let running = Running::new(&soak);
                    async move {
                        let _running = running;
                        (Ok(request), context)
                    }
                }),
            ),
            (
                "Never",
                Handler::unary(soak(), |soak, _: Raw, context| {
                    let running = Running::new(&soak);
                    async move {
                        std::future::pending::<()>().await;
                        drop(running);
                        (Ok(Raw::default()), context)
                    }
                }),
            ),
            (
                "Flood",
                Handler::server_streaming(soak(), |soak, request, replies, context| {
                    let running = Running::new(&soak);
                    async move { (flood(running, request, replies).await, context) }
                }),
            ),
            (
                "Break",
                Handler::server_streaming(soak(), |soak, request, replies, context| {
                    let running = Running::new(&soak);
                    async move { (fail_midway(running, request, replies).await, context) }
                }),
            ),
            (
                "Upload",
                Handler::client_streaming(soak(), |soak, requests, context| {
                    let running = Running::new(&soak);
                    async move { (upload(running, requests).await, context) }
                }),
            ),
            (
                "Enough",
                Handler::client_streaming(soak(), |soak, mut requests: Streaming<Raw>, context| {
                    let running = Running::new(&soak);
                    async move {
                        let _running = running;
                        let first = requests.next().await;
                        (first.and_then(|_| Err::<Raw, _>(Status::aborted("enough"))), context)
                    }
                }),
            ),
            (
                "Unread",
                Handler::client_streaming(soak(), |soak, requests: Streaming<Raw>, context| {
                    let running = Running::new(&soak);
                    async move {
                        std::future::pending::<()>().await;
                        drop((requests, running));
                        (Ok(Raw::default()), context)
                    }
                }),
            ),
            (
                "Chat",
                Handler::bidi(soak(), |soak, requests, replies, context| {
                    let running = Running::new(&soak);
                    async move { (chat(running, requests, replies).await, context) }
                }),
            ),
        ]
    }
}

async fn bind(soak: &Arc<Soak>, address: &str) -> Result<BoundServer, spanwire::ServeError> {
    Server::builder().service(SoakService(soak.clone())).bind(address).await
}

/// Serves on a free port of 127.0.0.1, and on `second` (a Unix socket that can be restarted), until its input ends.
/// Prints the port first.
///
/// # Errors
/// Addresses that cannot be listened on, an input or an output that breaks.
pub async fn serve(second: &str) -> Result<(), Box<dyn Error>> {
    let soak = Arc::new(Soak::default());
    let first = bind(&soak, "127.0.0.1:0").await?;
    let mut out = std::io::stdout();
    writeln!(out, "{}", first.port().unwrap_or_default())?;
    tokio::spawn(first.run());
    let mut restartable = bind(&soak, second).await?;
    let mut handle = restartable.handle();
    tokio::spawn(restartable.run());
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = orders.next_line().await? {
        if line == order::RESTART {
            handle.shutdown(Duration::from_secs(5)).await;
            restartable = bind(&soak, second).await?;
            handle = restartable.handle();
            tokio::spawn(restartable.run());
        }
        let census = Census {
            handlers: soak.handlers.load(Relaxed),
            sent: soak.sent.load(Relaxed),
            ..Census::take()?
        };
        writeln!(out, "{}", serde_json::to_string(&census)?)?;
    }
    Ok(())
}
