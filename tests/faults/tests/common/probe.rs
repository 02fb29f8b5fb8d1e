//! A Spanwire server whose handlers do one odd thing each and report how they fared.

use spanwire::server::{Context, Handler, Service};
use spanwire::{Code, Encoding, Raw, Sending, Server, ServerBuilder, ServerHandle, Status, Streaming};
use spanwire_wire::metadata::Value;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};

/// What became of a handler; the text is the method's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Seen {
    /// It was called.
    Started(&'static str),
    /// It returned.
    Finished(&'static str),
    /// It was dropped before it returned, or returned what its reader said: CANCELLED.
    Cancelled(&'static str),
}

/// A running server of `test.Probe` on a free port.
pub struct TestServer {
    address: SocketAddr,
    handle: ServerHandle,
    seen: mpsc::UnboundedReceiver<Seen>,
    probe: Arc<Probe>,
    intercepted: Arc<AtomicUsize>,
    _running: tokio::task::JoinHandle<()>,
}

impl TestServer {
    /// Serves with default options.
    pub async fn start() -> Self {
        Self::with(|builder| builder).await
    }

    /// Serves with the options that `change` sets.
    pub async fn with(change: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Self {
        let (report, seen) = mpsc::unbounded_channel();
        let probe = Arc::new(Probe {
            report,
            calls: AtomicUsize::new(0),
            sent: AtomicUsize::new(0),
            go: Notify::new(),
            peers: Mutex::default(),
        });
        let mut builder = Server::builder().service(ProbeService(probe.clone()));
        if super::behind_interceptors() {
            builder = builder.interceptor(super::pass);
        }
        let builder = change(builder);
        let bound = builder.bind("127.0.0.1:0").await.unwrap();
        let address = match bound.local_addr() {
            spanwire::PeerAddr::Tcp(address) => *address,
            other => panic!("bound to {other}"),
        };
        let handle = bound.handle();
        let running = tokio::spawn(bound.run());
        Self { address, handle, seen, probe, intercepted: Arc::default(), _running: running }
    }

    /// Serves behind an interceptor that counts the calls, see [`TestServer::intercepted`].
    pub async fn behind_interceptor() -> Self {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = count.clone();
        let mut server = Self::with(|builder| {
            builder.interceptor(move |call, next: spanwire::middleware::Next| {
                counted.fetch_add(1, Ordering::SeqCst);
                next.run(call)
            })
        })
        .await;
        server.intercepted = count;
        server
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens, as a channel's target.
    pub fn target(&self) -> String {
        self.address.to_string()
    }

    /// To shut it down.
    pub fn handle(&self) -> &ServerHandle {
        &self.handle
    }

    /// How many handlers were called.
    pub fn calls(&self) -> usize {
        self.probe.calls.load(Ordering::SeqCst)
    }

    /// Over how many connections calls came.
    pub fn connections(&self) -> usize {
        self.probe.peers.lock().unwrap().len()
    }

    /// How many calls the interceptor saw.
    pub fn intercepted(&self) -> usize {
        self.intercepted.load(Ordering::SeqCst)
    }

    /// How many messages `Flood` has handed over.
    pub fn sent(&self) -> usize {
        self.probe.sent.load(Ordering::SeqCst)
    }

    /// Lets one waiting `Gate` handler go on.
    pub fn open_gate(&self) {
        self.probe.go.notify_one();
    }

    /// Waits until `method`'s handler is called.
    pub async fn started(&mut self, method: &str) {
        loop {
            if let Seen::Started(name) = self.report().await
                && name == method
            {
                return;
            }
        }
    }

    /// How the next handler to end ended.
    pub async fn ended(&mut self) -> Seen {
        loop {
            match self.report().await {
                Seen::Started(_) => {}
                ended => return ended,
            }
        }
    }

    async fn report(&mut self) -> Seen {
        let report = tokio::time::timeout(Duration::from_secs(10), self.seen.recv()).await;
        report.expect("no handler reported within 10 s").expect("the server lives")
    }
}

struct Probe {
    report: mpsc::UnboundedSender<Seen>,
    calls: AtomicUsize,
    sent: AtomicUsize,
    go: Notify,
    peers: Mutex<HashSet<String>>,
}

/// Reports the end of a handler, also when its future is dropped.
struct Guard(Arc<Probe>, &'static str, bool);

impl Guard {
    fn new(probe: &Arc<Probe>, name: &'static str, context: &Context) -> Self {
        probe.peers.lock().unwrap().insert(context.peer().addr().to_string());
        probe.calls.fetch_add(1, Ordering::SeqCst);
        probe.report.send(Seen::Started(name)).ok();
        Self(probe.clone(), name, false)
    }
}

impl Guard {
    /// A handler that ends because its reader says CANCELLED was cancelled, too.
    fn finish<T>(&mut self, outcome: (Result<T, Status>, Context)) -> (Result<T, Status>, Context) {
        self.2 = !matches!(&outcome.0, Err(status) if status.code() == Code::Cancelled);
        outcome
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let ended = if self.2 { Seen::Finished(self.1) } else { Seen::Cancelled(self.1) };
        self.0.report.send(ended).ok();
    }
}

struct ProbeService(Arc<Probe>);

impl Service for ProbeService {
    fn name(&self) -> &'static str {
        "test.Probe"
    }

    fn methods(&self) -> Vec<(&'static str, Handler)> {
        let probe = &self.0;
        vec![
            unary(probe, "Echo", |_, message, mut context| async move {
                let echoed = echo_metadata(&mut context).map(|()| message);
                (echoed, context)
            }),
            unary(probe, "Metadata", |_, _, context| async move { (Ok(describe(&context)), context) }),
            unary(probe, "Deadline", |_, _, context| async move {
                // Rounded up, so that the time spent on the way does not show.
                let left = context.time_remaining().map(|left| (left.as_millis() as u64).div_ceil(1000));
                (Ok(text(left.map_or("none".to_owned(), |left| left.to_string()))), context)
            }),
            unary(probe, "Fail", |_, message, context| async move { (Err(status_from(&message)), context) }),
            unary(probe, "Details", |_, message, context| async move {
                (Err(Status::invalid_argument("see details").with_details(message.0)), context)
            }),
            // Answers with OK and so many bytes of metadata in the trailers.
            unary(probe, "Trail", |_, message, mut context| async move {
                let long = "t".repeat(number(&message));
                let set = context.trailers_mut().append("x-trail", &long);
                (set.map(|()| message).map_err(|error| Status::internal(error.to_string())), context)
            }),
            unary(probe, "Never", |_, _, _| std::future::pending()),
            unary(probe, "Gate", |probe, message, context| async move {
                probe.go.notified().await;
                (Ok(message), context)
            }),
            unary(probe, "Panic", |_, _, _| async move { panic!("the handler's own panic") }),
            // Answers with so many zeros, compressed if the client can read gzip.
            unary(probe, "Inflate", |_, message, mut context| async move {
                context.set_compression(Encoding::Gzip);
                (Ok(Raw(vec![0; number(&message)].into())), context)
            }),
            down(probe, "Count", |_, message, mut replies, context| async move {
                for n in 0..number(&message) {
                    if let Err(status) = replies.send(text(n.to_string())).await {
                        return (Err(status), context);
                    }
                }
                (Ok(()), context)
            }),
            // Sends messages of the given size until it is stopped.
            down(probe, "Flood", |probe, message, mut replies, context| async move {
                let chunk = Raw(vec![7; number(&message)].into());
                loop {
                    if let Err(status) = replies.send(chunk.clone()).await {
                        return (Err(status), context);
                    }
                    probe.sent.fetch_add(1, Ordering::SeqCst);
                }
            }),
            // Lets another task send one message, behind echoed metadata, and never ends.
            down(probe, "Elsewhere", |_, message, mut replies, mut context| async move {
                let _ = echo_metadata(&mut context);
                tokio::spawn(async move { replies.send(message).await });
                std::future::pending().await
            }),
            down(probe, "FailStream", |_, message, _, context| async move {
                (Err(status_from(&message)), context)
            }),
            up(probe, "Upload", |_, mut requests, context| async move {
                (count(&mut requests).await.map(|(count, _)| text(format!("{count} messages"))), context)
            }),
            up(probe, "EnoughUp", |_, mut requests, context| async move {
                let enough = requests.next().await.and_then(|_| Err(Status::resource_exhausted("enough")));
                (enough, context)
            }),
            // Takes one message, and no more until the gate opens.
            up(probe, "Stalled", |probe, mut requests, context| async move {
                let _ = requests.next().await;
                probe.go.notified().await;
                (count(&mut requests).await.map(|(_, bytes)| text(bytes.to_string())), context)
            }),
            chat(probe, "Chat", |_, mut requests, mut replies, context| async move {
                (echo(&mut requests, &mut replies).await, context)
            }),
            chat(probe, "EnoughChat", |_, mut requests, _, context| async move {
                let enough = requests.next().await.and_then(|_| Err(Status::resource_exhausted("enough")));
                (enough, context)
            }),
            chat(probe, "HeadersFirst", |_, mut requests, _, mut context| async move {
                let early = context.append_header("x-early", "1").and_then(|()| context.send_headers());
                (early.and(count(&mut requests).await.map(drop)), context)
            }),
        ]
    }
}

type Named = (&'static str, Handler);

fn unary<F, Fut>(probe: &Arc<Probe>, name: &'static str, run: F) -> Named
where
    F: Fn(Arc<Probe>, Raw, Context) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = (Result<Raw, Status>, Context)> + Send + 'static,
{
    let handler = Handler::unary(probe.clone(), move |probe: Arc<Probe>, request: Raw, context: Context| {
        let mut guard = Guard::new(&probe, name, &context);
        let running = run(probe, request, context);
        async move { guard.finish(running.await) }
    });
    (name, handler)
}

fn down<F, Fut>(probe: &Arc<Probe>, name: &'static str, run: F) -> Named
where
    F: Fn(Arc<Probe>, Raw, Sending<Raw>, Context) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = (Result<(), Status>, Context)> + Send + 'static,
{
    let handler = Handler::server_streaming(
        probe.clone(),
        move |probe: Arc<Probe>, request: Raw, replies, context: Context| {
            let mut guard = Guard::new(&probe, name, &context);
            let running = run(probe, request, replies, context);
            async move { guard.finish(running.await) }
        },
    );
    (name, handler)
}

fn up<F, Fut>(probe: &Arc<Probe>, name: &'static str, run: F) -> Named
where
    F: Fn(Arc<Probe>, Streaming<Raw>, Context) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = (Result<Raw, Status>, Context)> + Send + 'static,
{
    let handler =
        Handler::client_streaming(probe.clone(), move |probe: Arc<Probe>, requests, context: Context| {
            let mut guard = Guard::new(&probe, name, &context);
            let running = run(probe, requests, context);
            async move { guard.finish(running.await) }
        });
    (name, handler)
}

fn chat<F, Fut>(probe: &Arc<Probe>, name: &'static str, run: F) -> Named
where
    F: Fn(Arc<Probe>, Streaming<Raw>, Sending<Raw>, Context) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = (Result<(), Status>, Context)> + Send + 'static,
{
    let handler =
        Handler::bidi(probe.clone(), move |probe: Arc<Probe>, requests, replies, context: Context| {
            let mut guard = Guard::new(&probe, name, &context);
            let running = run(probe, requests, replies, context);
            async move { guard.finish(running.await) }
        });
    (name, handler)
}

async fn count(requests: &mut Streaming<Raw>) -> Result<(usize, usize), Status> {
    let (mut messages, mut bytes) = (0, 0);
    while let Some(message) = requests.next().await? {
        messages += 1;
        bytes += message.0.len();
    }
    Ok((messages, bytes))
}

async fn echo(requests: &mut Streaming<Raw>, replies: &mut Sending<Raw>) -> Result<(), Status> {
    while let Some(message) = requests.next().await? {
        replies.send(message).await?;
    }
    Ok(())
}

/// Sends the request's `echo-` entries back, in headers and in trailers.
fn echo_metadata(context: &mut Context) -> Result<(), Status> {
    let metadata = context.metadata().clone();
    let wrong = |error: spanwire::MetadataError| Status::internal(error.to_string());
    for (name, value) in metadata.iter().filter(|(name, _)| name.starts_with("echo-")) {
        match value {
            Value::Ascii(value) => {
                let value = String::from_utf8_lossy(value);
                context.append_header(name, &value)?;
                context.trailers_mut().append(name, &value).map_err(wrong)?;
            }
            Value::Binary(value) => {
                context.append_header_bin(name, &value)?;
                context.trailers_mut().append_bin(name, &value).map_err(wrong)?;
            }
        }
    }
    Ok(())
}

/// The metadata as the handler sees them: a `name: value` line for each entry, binary values as hex.
fn describe(context: &Context) -> Raw {
    let lines = context.metadata().iter().map(|(name, value)| match value {
        Value::Ascii(value) => format!("{name}: {}\n", value.escape_ascii()),
        Value::Binary(value) => {
            format!("{name}: {}\n", value.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
        }
    });
    text(lines.collect::<String>())
}

/// `5 not here` is NOT_FOUND with the message `not here`.
fn status_from(message: &Raw) -> Status {
    let message = String::from_utf8_lossy(&message.0);
    let (code, text) = message.split_once(' ').unwrap_or((&message, ""));
    Status::new(code.parse().ok().and_then(Code::from_u32).unwrap(), text)
}

fn number(message: &Raw) -> usize {
    String::from_utf8_lossy(&message.0).parse().unwrap()
}

fn text(text: impl Into<String>) -> Raw {
    Raw(text.into().into_bytes().into())
}
