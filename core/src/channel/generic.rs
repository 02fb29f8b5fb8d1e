//! Calls as middleware sees them: plain messages in, a reply out. The slow path, taken only where there are
//! interceptors or a proxy.

use std::future::poll_fn;
use std::task::Poll;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::call::{Prepared, deadline_exceeded};
use super::options::CallOptions;
use super::{Channel, stream};
use crate::channel::stream::ClientSend;
use crate::message::Message;
use crate::middleware::{BoxFuture, Call, Item, Messages, Reply, Source};
use crate::observe;
use crate::streaming::Streaming;
use crate::timer::Deadline;
use crate::{Method, Sent, Status};

/// Sends a call through the channel's interceptors.
pub(crate) fn intercepted(
    channel: Channel,
    method: Method,
    mut options: CallOptions,
    messages: Messages,
) -> BoxFuture<'static, Result<Reply, Status>> {
    let deadline = options.effective_deadline();
    // The call may be made where nobody knows of the handler any more.
    options.trace = options.trace.or_else(observe::current);
    if let Some(mistake) = options.mistake {
        return Box::pin(async move { Err(mistake.with_sent(Sent::NotSent)) });
    }
    let mut call = Call::new(method, messages);
    call.metadata = options.metadata.clone();
    call.deadline = deadline;
    let interceptors = channel.interceptors().clone();
    within(deadline, interceptors.run(call, move |call| Box::pin(transport(channel, call, options))))
}

/// The deadline holds for the interceptors too, not only for the call that they make.
pub(crate) fn within(
    deadline: Option<Instant>,
    mut chain: BoxFuture<'static, Result<Reply, Status>>,
) -> BoxFuture<'static, Result<Reply, Status>> {
    let Some(deadline) = deadline else { return chain };
    let mut deadline = Deadline::new(Some(deadline));
    Box::pin(async move {
        let reply = poll_fn(|cx| match chain.as_mut().poll(cx) {
            Poll::Pending => deadline.poll(cx).map(|()| Err(deadline_exceeded("in an interceptor"))),
            ready => ready,
        });
        let mut reply = reply.await?;
        let mut messages = reply.messages;
        reply.messages = Messages::from_poll_fn(move |cx| match messages.poll_item(cx) {
            Poll::Pending => deadline.poll(cx).map(|()| Item::End(deadline_exceeded("in the answer"))),
            ready => ready,
        });
        Ok(reply)
    })
}

/// The same for a call whose reply is not awaited at once. It runs on its own task, because the caller may
/// only send for a while.
pub(crate) fn streaming<T: Message>(
    channel: Channel,
    method: Method,
    options: CallOptions,
    messages: Messages,
) -> Streaming<T> {
    let Some(runtime) = channel.spawner().handle() else {
        return Streaming::reply(Box::pin(async { Err(no_runtime()) }));
    };
    let task = AbortOnDrop(runtime.spawn(intercepted(channel, method, options, messages)));
    Streaming::reply(Box::pin(async move {
        let mut task = task;
        match (&mut task.0).await {
            Ok(reply) => reply,
            Err(error) if error.is_panic() => Err(Status::internal("an interceptor panicked")),
            Err(_) => Err(Status::cancelled("the runtime is shutting down")),
        }
    }))
}

pub(crate) fn no_runtime() -> Status {
    Status::internal("no tokio runtime here, and no thread for one").with_sent(Sent::NotSent)
}

/// A task that ends with whoever waits for it.
pub(crate) struct AbortOnDrop<T>(pub(crate) JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The end of the chain: the call goes to the server.
pub(crate) async fn transport(
    channel: Channel,
    call: Call,
    mut options: CallOptions,
) -> Result<Reply, Status> {
    options.metadata = call.metadata;
    options.deadline = call.deadline;
    options.timeout = None;
    if call.deadline.is_some_and(|at| at <= tokio::time::Instant::now()) {
        return Err(deadline_exceeded("before it was sent").with_sent(Sent::NotSent));
    }
    channel.settle(&mut options).await;
    let prepared = Prepared::new(channel.clone(), call.method, options)?;
    let framing = prepared.framing;
    let Some(runtime) = channel.spawner().handle() else { return Err(no_runtime()) };
    let (send, mut receive) = stream::start(prepared).await?;
    let pump = AbortOnDrop(runtime.spawn(pump(call.messages, send, framing)));
    let mut first = poll_fn(|cx| receive.poll_headers_or_item(cx)).await;
    let headers = receive.take_headers().unwrap_or_default();
    let messages = Messages::from_poll_fn(move |cx| {
        let _pump = &pump;
        match first.take() {
            Some(item) => Poll::Ready(item),
            None => receive.poll_item(cx),
        }
    });
    Ok(Reply { headers, messages })
}

/// Carries the request messages to the server.
async fn pump(mut messages: Messages, mut send: ClientSend, framing: crate::message::Framing) {
    loop {
        match messages.next().await {
            Item::Message(bytes) => {
                let sent = match framing.frame(bytes, true).and_then(|frame| send.put_frame(frame)) {
                    Ok(()) => poll_fn(|cx| send.poll_flush(cx)).await,
                    Err(error) => Err(error),
                };
                // The call is over already, or this message ends it.
                if let Err(status) = sent {
                    return send.give_up(status);
                }
            }
            Item::End(status) if status.is_ok() => return send.half_close(),
            Item::End(status) => return send.give_up(status),
        }
    }
}
