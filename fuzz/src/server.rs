//! A whole server, and a client that sends it whatever the input says.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use futures_util::stream;
use spanwire::server::{Handler, Service};
use spanwire::{Context, Encoding, Raw, Sending, Server, Status, Streaming};
use spanwire_faults::Frame;
use spanwire_faults::frame::kind;
use tokio::time::{sleep, timeout};

use crate::Input;
use crate::body::{self, Ending};
use crate::peer::{Side, play, streams};

/// One connection, from its first byte until the server has let go of it. The time is virtual.
pub fn run(data: &[u8]) {
    crate::let_h2_tear_down();
    let mut input = Input::new(data);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let how = input.byte();
        let (ours, theirs) = tokio::io::duplex(input.pick(&[64 * 1024, 100, 4096]));
        let running = Arc::new(AtomicUsize::new(0));
        let streams_at_once = if how & 1 == 0 { 256 } else { 2 };
        let recv = if how & 2 == 0 { 4 << 20 } else { 1_000 };
        let server = Server::builder()
            .max_concurrent_streams(streams_at_once)
            .max_recv_message_bytes(recv)
            .service(Echo(running.clone()))
            .bind_incoming(stream::iter([Ok(theirs)]));
        let server = tokio::spawn(server.expect("a server").run());
        let transcript = play(&mut input, ours, Side::Client).await;
        let ended = timeout(Duration::from_secs(600), server).await;
        ended.expect("the server holds on to a connection that is gone").expect("the server does not panic");
        assert_eq!(running.load(Ordering::Relaxed), 0, "handlers go on without their call");
        check(&transcript.heard, &transcript.sent);
    });
}

/// Whether these are bytes that a server may send.
fn check(heard: &[u8], sent: &[u8]) {
    let first = Frame::parse(&mut BytesMut::from(heard));
    assert!(first.is_none_or(|frame| frame.kind == kind::SETTINGS), "a connection begins with SETTINGS");
    let opened = streams(sent, |_| {});
    for (id, answer) in streams(heard, |frame| {
        // A reset may follow an answer that needed no more of the request.
        assert_eq!(frame.kind, kind::RST_STREAM, "a stream goes on behind its end: {frame:?}");
    }) {
        assert!(id == 0 || opened.contains_key(&id), "stream {id} was never asked for");
        assert!(answer.body.is_empty() || answer.heads > 0, "data before headers");
        if answer.trailers {
            let (_, ending) = body::split(&answer.body, usize::MAX, Encoding::Gzip);
            assert_ne!(ending, Ending::Cut, "an answer ends inside a message");
        }
    }
}

/// A service with all four kinds; counts the handlers that run.
#[derive(Debug, Default)]
pub struct Echo(Arc<AtomicUsize>);

struct Running(Arc<AtomicUsize>);

impl Running {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Running(count.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Service for Echo {
    fn name(&self) -> &'static str {
        "fuzz.Echo"
    }

    fn methods(&self) -> Vec<(&'static str, Handler)> {
        let count = &self.0;
        vec![
            ("Unary", Handler::unary(count.clone(), unary)),
            ("Slow", Handler::unary(count.clone(), slow)),
            ("Down", Handler::server_streaming(count.clone(), down)),
            ("Up", Handler::client_streaming(count.clone(), up)),
            ("Bidi", Handler::bidi(count.clone(), bidi)),
        ]
    }
}

type Count = Arc<AtomicUsize>;

async fn unary(count: Count, request: Raw, mut context: Context) -> (Result<Raw, Status>, Context) {
    let _running = Running::new(&count);
    if request.0.first() == Some(&1) {
        context.set_compression(Encoding::Gzip);
    }
    (Ok(request), context)
}

async fn slow(count: Count, request: Raw, context: Context) -> (Result<Raw, Status>, Context) {
    let _running = Running::new(&count);
    sleep(Duration::from_secs(u64::from(request.0.first().copied().unwrap_or(255)))).await;
    (Err(Status::aborted("slow")), context)
}

async fn down(
    count: Count,
    request: Raw,
    mut replies: Sending<Raw>,
    context: Context,
) -> (Result<(), Status>, Context) {
    let _running = Running::new(&count);
    for size in request.0.iter().take(16) {
        if let Err(status) = replies.send(Raw::from(vec![7; usize::from(*size) * 100])).await {
            return (Err(status), context);
        }
    }
    (Ok(()), context)
}

async fn up(count: Count, mut requests: Streaming<Raw>, context: Context) -> (Result<Raw, Status>, Context) {
    let _running = Running::new(&count);
    let mut total = 0;
    loop {
        match requests.next().await {
            Ok(Some(message)) => total += message.0.len(),
            Ok(None) => return (Ok(Raw::from(total.to_string())), context),
            Err(status) => return (Err(status), context),
        }
        // Some leave early.
        if total > 2_000 {
            return (Err(Status::out_of_range("enough")), context);
        }
    }
}

async fn bidi(
    count: Count,
    mut requests: Streaming<Raw>,
    mut replies: Sending<Raw>,
    context: Context,
) -> (Result<(), Status>, Context) {
    let _running = Running::new(&count);
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
}
