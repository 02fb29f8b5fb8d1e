//! Calls through interceptors or to the fallback: plain messages in, a reply out, sent as it comes.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use super::call::Request;
use super::context::{Context, Facts, RequestMetadata};
use super::handler::{Run, UnaryAnswer};
use super::responder::CallShared;
use crate::Status;
use crate::middleware::{BoxFuture, Call, Item, Messages, Reply, Side, Source, slot};
use crate::streaming::{Sending, Streaming};

/// The whole call, up to its final status.
pub(crate) fn run(shared: Arc<CallShared>, request: Request) -> BoxFuture<'static, Status> {
    let Request { route, receive } = request;
    let facts = &shared.facts;
    let call = Call {
        side: Side::Server,
        method: facts.method.clone(),
        metadata: facts.metadata.take(),
        deadline: facts.deadline,
        peer: Some(shared.peer.clone()),
        messages: Messages::from_source(receive),
        extensions: facts.extensions.clone(),
    };
    let outer = shared.clone();
    let reply = route.interceptors.clone().run(call, move |call| match (&route.run, &route.fallback) {
        (Some(run), _) => Box::pin(handle(run.clone(), call, shared)),
        (None, Some(fallback)) => fallback.call(call),
        (None, None) => Box::pin(async { Err(Status::unimplemented("no handler")) }),
    });
    Box::pin(async move {
        match reply.await {
            Ok(reply) => send(&outer, reply).await,
            Err(status) => status,
        }
    })
}

/// Sends a reply; gives its final status.
async fn send(shared: &CallShared, mut reply: Reply) -> Status {
    shared.lock().headers = reply.headers;
    let mut ahead = None;
    loop {
        // Headers go out when it turns out that nothing follows at once: an early failure stays Trailers-Only.
        let next = poll_fn(|cx| {
            let polled = reply.messages.poll_item(cx);
            if polled.is_pending() {
                // A closed stream shows at the next message; the call's own task sees it even earlier.
                let _ = shared.lock().send_head();
            }
            polled
        });
        let item = match ahead.take() {
            Some(item) => item,
            None => next.await,
        };
        let message = match item {
            Item::Message(message) => message,
            Item::End(status) => return status,
        };
        let mut frame = match shared.framing().frame(message, true) {
            Ok(frame) => frame,
            Err(status) => return status,
        };
        // The handler lives in its messages: while one of them waits for room it runs on, up to the next.
        let sent = poll_fn(|cx| {
            let sent = shared.lock().poll_send(cx, &mut frame);
            if sent.is_pending()
                && ahead.is_none()
                && let Poll::Ready(item) = reply.messages.poll_item(cx)
            {
                ahead = Some(item);
            }
            sent
        });
        if sent.await.is_err() {
            return Status::cancelled("the client is gone");
        }
    }
}

/// The handler at the end of the chain, as a reply.
async fn handle(run: Run, mut call: Call, outer: Arc<CallShared>) -> Result<Reply, Status> {
    let facts = Facts {
        method: call.method.clone(),
        metadata: RequestMetadata::from(std::mem::take(&mut call.metadata)),
        deadline: call.deadline,
        extensions: std::mem::take(&mut call.extensions),
    };
    let shared = CallShared::captured(outer, facts);
    match run {
        Run::Unary(run) => {
            let message = match call.messages.next().await {
                Item::Message(message) => message,
                Item::End(status) if status.is_ok() => {
                    return Err(Status::unimplemented("request has no message where one is due"));
                }
                Item::End(status) => return Err(status),
            };
            let UnaryAnswer { frame, status } = run(message, Context::new(shared.clone()))?.await;
            let headers = shared.take_headers();
            match frame {
                Some(frame) => {
                    Ok(Reply { headers, messages: Messages::one_with_status(frame.into_message(), status) })
                }
                None => Ok(Reply { headers, messages: Messages::empty(status) }),
            }
        }
        Run::Stream(run) => {
            let (slot, replies) = slot();
            let requests = Streaming::messages(call.messages);
            let running =
                run(requests, Sending::slot(slot, Some(shared.clone())), Context::new(shared.clone()));
            let mut source = Running { running: Some(running), replies };
            // The reply exists when the handler said its first word: a message, its headers, or its end.
            let first = poll_fn(|cx| match source.poll_item(cx) {
                Poll::Ready(item) => Poll::Ready(Some(item)),
                Poll::Pending => shared.lock().poll_released(cx).map(|()| None),
            })
            .await;
            let headers = shared.take_headers();
            let mut first = first;
            Ok(Reply {
                headers,
                messages: Messages::from_poll_fn(move |cx| match first.take() {
                    Some(item) => Poll::Ready(item),
                    None => source.poll_item(cx),
                }),
            })
        }
    }
}

/// A handler that runs while its replies are read.
struct Running {
    running: Option<BoxFuture<'static, Status>>,
    replies: Messages,
}

impl Source for Running {
    fn poll_item(&mut self, cx: &mut TaskContext<'_>) -> Poll<Item> {
        let mut status = None;
        if let Some(running) = &mut self.running
            && let Poll::Ready(ended) = running.as_mut().poll(cx)
        {
            self.running = None;
            status = Some(ended);
        }
        // The last message may still lie in the slot when the handler has returned.
        if let Poll::Ready(Item::Message(message)) = self.replies.poll_item(cx) {
            if let Some(status) = status {
                self.running = Some(Box::pin(async { status }));
            }
            return Poll::Ready(Item::Message(message));
        }
        match status {
            Some(status) => Poll::Ready(Item::End(status)),
            None => Poll::Pending,
        }
    }
}
