//! Services and handlers: what a server runs for a method.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;

use super::context::Context;
use crate::message::{self, Frame, Framing, Message};
use crate::middleware::{BoxFuture, Call, Reply};
use crate::streaming::{Sending, Streaming};
use crate::{Kind, Raw, Status};

/// A named group of methods. Generated code implements it for `XServer<T>`; written by hand it serves
/// messages of any serialisation.
pub trait Service: Send + Sync + 'static {
    /// The full name: `package.Service`.
    fn name(&self) -> &'static str;

    /// The methods by name, without the service. Asked once, when the server is built.
    fn methods(&self) -> Vec<(&'static str, Handler)>;
}

/// The code behind one method. It is called once per call; its future is dropped when the client cancels or
/// the deadline passes, and a panic in it fails that call alone, with INTERNAL.
#[derive(Clone)]
pub struct Handler {
    kind: Kind,
    run: Run,
    /// It always waits for somebody else before it answers.
    waits: bool,
}

/// What a unary handler made, ready to be sent.
pub(crate) struct UnaryAnswer {
    pub(crate) frame: Option<Frame>,
    pub(crate) status: Status,
}

type RunUnary = dyn Fn(Bytes, Context) -> Result<BoxFuture<'static, UnaryAnswer>, Status> + Send + Sync;
type RunStream = dyn Fn(Streaming<Raw>, Sending<Raw>, Context) -> BoxFuture<'static, Status> + Send + Sync;

#[derive(Clone)]
pub(crate) enum Run {
    Unary(Arc<RunUnary>),
    Stream(Arc<RunStream>),
}

impl Handler {
    /// A unary method: `run(service, request, context)` gives the outcome and the context back.
    pub fn unary<T, Req, Resp, F, Fut>(service: Arc<T>, run: F) -> Handler
    where
        T: Send + Sync + 'static,
        Req: Message,
        Resp: Message,
        F: Fn(Arc<T>, Req, Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = (Result<Resp, Status>, Context)> + Send + 'static,
    {
        let run =
            move |request: Bytes, context: Context| -> Result<BoxFuture<'static, UnaryAnswer>, Status> {
                let shared = context.shared().clone();
                let running = run(service.clone(), message::decode(request)?, context);
                Ok(Box::pin(async move {
                    let (result, context) = running.await;
                    let framed = result.map_err(not_ok).and_then(|response| {
                        let framing: Framing = shared.framing();
                        framing.encode(&response, true)
                    });
                    answered(framed, context)
                }))
            };
        Handler { kind: Kind::Unary, run: Run::Unary(Arc::new(run)), waits: false }
    }

    /// A server-streaming method: `run(service, request, replies, context)`.
    pub fn server_streaming<T, Req, Resp, F, Fut>(service: Arc<T>, run: F) -> Handler
    where
        T: Send + Sync + 'static,
        Req: Message,
        Resp: Message,
        F: Fn(Arc<T>, Req, Sending<Resp>, Context) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = (Result<(), Status>, Context)> + Send + 'static,
    {
        Handler::stream(Kind::ServerStreaming, move |requests, replies, mut context| {
            let (run, service) = (run.clone(), service.clone());
            Box::pin(async move {
                let mut requests = requests.cast::<Req>();
                match only(&mut requests).await {
                    Ok(request) => {
                        context.set_request_compressed(requests.last_compressed());
                        ended(run(service, request, replies.cast(), context).await)
                    }
                    Err(status) => status,
                }
            })
        })
    }

    /// A client-streaming method: `run(service, requests, context)`.
    pub fn client_streaming<T, Req, Resp, F, Fut>(service: Arc<T>, run: F) -> Handler
    where
        T: Send + Sync + 'static,
        Req: Message,
        Resp: Message,
        F: Fn(Arc<T>, Streaming<Req>, Context) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = (Result<Resp, Status>, Context)> + Send + 'static,
    {
        Handler::stream(Kind::ClientStreaming, move |requests, replies, context| {
            let (run, service) = (run.clone(), service.clone());
            Box::pin(async move {
                let mut replies = replies.cast::<Resp>();
                let (result, context) = run(service, requests.cast(), context).await;
                match result {
                    Ok(response) => {
                        let sent = replies.send(response).await;
                        ended((sent, context))
                    }
                    Err(status) => context.into_status(not_ok(status)),
                }
            })
        })
    }

    /// A bidirectional method: `run(service, requests, replies, context)`.
    pub fn bidi<T, Req, Resp, F, Fut>(service: Arc<T>, run: F) -> Handler
    where
        T: Send + Sync + 'static,
        Req: Message,
        Resp: Message,
        F: Fn(Arc<T>, Streaming<Req>, Sending<Resp>, Context) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = (Result<(), Status>, Context)> + Send + 'static,
    {
        Handler::stream(Kind::Bidi, move |requests, replies, context| {
            let (run, service) = (run.clone(), service.clone());
            Box::pin(async move { ended(run(service, requests.cast(), replies.cast(), context).await) })
        })
    }

    /// A unary method that needs its request alone, and answers at once. For services that come with the engine: what is
    /// the same for all their methods is compiled once.
    pub(crate) fn at_once<Req: Message, Resp: Message>(run: fn(Req) -> Result<Resp, Status>) -> Handler {
        Handler::bytes_at_once(Arc::new(move |request| {
            run(message::decode(request)?).map(|response| message::encoded(&response))
        }))
    }

    fn bytes_at_once(run: Arc<dyn Fn(Bytes) -> Result<Bytes, Status> + Send + Sync>) -> Handler {
        Handler::raw_unary(false, move |request, context| {
            let run = run.clone();
            Ok(async move {
                let framing = context.shared().framing();
                let framed = run(request).map_err(not_ok).and_then(|response| framing.frame(response, true));
                answered(framed, context)
            })
        })
    }

    /// A unary method whose answer somebody else makes: `waits` unless that is as a rule done when the handler is first
    /// polled.
    pub(crate) fn raw_unary<Fut>(
        waits: bool,
        run: impl Fn(Bytes, Context) -> Result<Fut, Status> + Send + Sync + 'static,
    ) -> Handler
    where
        Fut: Future<Output = UnaryAnswer> + Send + 'static,
    {
        let run =
            move |request, context| Ok(Box::pin(run(request, context)?) as BoxFuture<'static, UnaryAnswer>);
        Handler { kind: Kind::Unary, run: Run::Unary(Arc::new(run)), waits }
    }

    /// A method of another kind whose messages somebody else reads and makes.
    pub(crate) fn raw_stream(
        kind: Kind,
        run: impl Fn(Streaming<Raw>, Sending<Raw>, Context) -> BoxFuture<'static, Status> + Send + Sync + 'static,
    ) -> Handler {
        Handler { waits: true, ..Handler::stream(kind, run) }
    }

    fn stream(
        kind: Kind,
        run: impl Fn(Streaming<Raw>, Sending<Raw>, Context) -> BoxFuture<'static, Status> + Send + Sync + 'static,
    ) -> Handler {
        Handler { kind, run: Run::Stream(Arc::new(run)), waits: false }
    }

    /// The kind of the method.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn run(&self) -> &Run {
        &self.run
    }

    /// Whether it only passes on what others do: such calls need no task of their own.
    pub(crate) fn waits(&self) -> bool {
        self.waits
    }
}

impl fmt::Debug for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handler").field("kind", &self.kind).finish_non_exhaustive()
    }
}

fn ended((result, context): (Result<(), Status>, Context)) -> Status {
    context.into_status(result.map_err(not_ok).err().unwrap_or_default())
}

fn answered(framed: Result<Frame, Status>, context: Context) -> UnaryAnswer {
    let (frame, status) = match framed {
        Ok(frame) => (Some(frame), Status::ok()),
        Err(status) => (None, status),
    };
    UnaryAnswer { frame, status: context.into_status(status) }
}

/// A handler that fails with OK would make a call succeed without its answer.
fn not_ok(status: Status) -> Status {
    if status.is_ok() { Status::internal("the handler failed with the status OK") } else { status }
}

/// The only message of a request that has one.
async fn only<T: Message>(requests: &mut Streaming<T>) -> Result<T, Status> {
    match requests.next().await? {
        Some(request) => Ok(request),
        None => Err(Status::unimplemented("request has no message where one is due")),
    }
}

/// Answers calls to methods that no service has: for proxies. The call's kind is unknown, so it comes as
/// bidirectional; [`Channel::call`](crate::Channel::call) takes it as it is.
pub trait Fallback: Send + Sync + 'static {
    /// Answers one call.
    fn call(&self, call: Call) -> BoxFuture<'static, Result<Reply, Status>>;
}

impl<F, Fut> Fallback for F
where
    F: Fn(Call) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Reply, Status>> + Send + 'static,
{
    fn call(&self, call: Call) -> BoxFuture<'static, Result<Reply, Status>> {
        Box::pin(self(call))
    }
}
