//! The two directions of a call as users see them: typed messages in, typed messages out.

use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use crate::channel::stream::{ClientReceive, ClientSend};
use crate::message::{self, Frame, Message};
use crate::middleware::{BoxFuture, Item, Messages, Reply, SlotSender, Source};
use crate::server::{CallShared, ServerReceive};
use crate::{Metadata, Peer, Sent, Status};

/// Messages that arrive, in order. Reading is by demand: a reader that pauses pauses the sender.
///
/// On a client, dropping it before its end cancels the call.
pub struct Streaming<T> {
    source: From,
    headers: Option<Metadata>,
    end: Option<Status>,
    /// Taken from the source, but not by the reader yet; see [`Streaming::poll_peek`].
    peeked: Option<Item>,
    _message: PhantomData<fn() -> T>,
}

enum From {
    Client(Box<ClientReceive>),
    Server(Box<ServerReceive>),
    Messages(Messages),
    /// Behind interceptors, until their reply is there.
    Reply(BoxFuture<'static, Result<Reply, Status>>),
}

impl<T: Message> Streaming<T> {
    fn new(source: From) -> Self {
        Streaming { source, headers: None, end: None, peeked: None, _message: PhantomData }
    }

    pub(crate) fn client(receive: ClientReceive) -> Self {
        Streaming::new(From::Client(Box::new(receive)))
    }

    pub(crate) fn server(receive: ServerReceive) -> Self {
        Streaming::new(From::Server(Box::new(receive)))
    }

    pub(crate) fn messages(messages: Messages) -> Self {
        Streaming::new(From::Messages(messages))
    }

    pub(crate) fn reply(reply: BoxFuture<'static, Result<Reply, Status>>) -> Self {
        Streaming::new(From::Reply(reply))
    }

    /// The same source for messages of another type.
    pub(crate) fn cast<U: Message>(self) -> Streaming<U> {
        Streaming {
            source: self.source,
            headers: self.headers,
            end: self.end,
            peeked: self.peeked,
            _message: PhantomData,
        }
    }

    /// The next message; `None` after the last one.
    ///
    /// Dropping the future loses nothing: the next call continues.
    ///
    /// # Errors
    /// The status of a call that ended otherwise than OK. On a server: the client cancelled, or sent
    /// something malformed.
    pub async fn next(&mut self) -> Result<Option<T>, Status> {
        poll_fn(|cx| self.poll_message(cx)).await
    }

    /// See [`Streaming::next`].
    pub fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<T>, Status>> {
        if let Some(status) = &self.end {
            return Poll::Ready(if status.is_ok() { Ok(None) } else { Err(status.clone()) });
        }
        Poll::Ready(match ready!(self.poll_item(cx)) {
            Item::Message(bytes) => match message::decode(bytes) {
                Ok(message) => Ok(Some(message)),
                Err(status) => {
                    let status = status.with_sent(Sent::Answered);
                    // What follows cannot be understood either: give the call up.
                    self.source = From::Messages(Messages::empty(Status::ok()));
                    self.end = Some(status.clone());
                    Err(status)
                }
            },
            Item::End(status) => {
                self.end = Some(status.clone());
                if status.is_ok() { Ok(None) } else { Err(status) }
            }
        })
    }

    /// Looks one item ahead, so that a caller that only sends notices the end of the call.
    pub(crate) fn poll_peek(&mut self, cx: &mut Context<'_>) {
        if self.peeked.is_none()
            && self.end.is_none()
            && let Poll::Ready(item) = self.poll_item(cx)
        {
            self.peeked = Some(item);
        }
    }

    /// Ready when nothing but the end is left to read. Looks one message ahead, and does not take it.
    pub(crate) fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_peek(cx);
        match (&self.peeked, &self.end) {
            (Some(Item::End(_)), _) | (None, Some(_)) => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }

    /// The response's leading metadata, if they have arrived; once.
    pub(crate) fn take_headers(&mut self) -> Option<Metadata> {
        self.headers.take()
    }

    /// How the call ended, if it failed, without taking anything that the reader has not seen. Ready when
    /// that is known: at the next item.
    pub(crate) fn poll_failure(&mut self, cx: &mut Context<'_>) -> Poll<Option<Status>> {
        self.poll_peek(cx);
        match (&self.peeked, &self.end) {
            (Some(Item::End(status)), _) | (None, Some(status)) => {
                Poll::Ready((!status.is_ok()).then(|| status.clone()))
            }
            (Some(Item::Message(_)), _) => Poll::Ready(None),
            (None, None) => Poll::Pending,
        }
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Item> {
        if let Some(item) = self.peeked.take() {
            return Poll::Ready(item);
        }
        loop {
            match &mut self.source {
                From::Client(receive) => {
                    let item = ready!(receive.poll_headers_or_item(cx));
                    if let Some(headers) = receive.take_headers() {
                        self.headers = Some(headers);
                    }
                    if let Some(item) = item {
                        return Poll::Ready(item);
                    }
                }
                From::Server(receive) => return receive.poll_item(cx),
                From::Messages(messages) => return messages.poll_item(cx),
                From::Reply(reply) => match ready!(reply.as_mut().poll(cx)) {
                    Ok(reply) => {
                        self.headers = Some(reply.headers);
                        self.source = From::Messages(reply.messages);
                    }
                    Err(status) => return Poll::Ready(Item::End(status)),
                },
            }
        }
    }

    /// The response's leading metadata, awaited; empty if the call failed before there were any.
    ///
    /// # Errors
    /// The call's status, if it ended before the metadata came.
    pub async fn headers(&mut self) -> Result<&Metadata, Status> {
        poll_fn(|cx| self.poll_headers(cx)).await?;
        Ok(self.headers.get_or_insert_default())
    }

    fn poll_headers(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        // Without metadata, and already known to have failed: that is the answer.
        if self.headers.as_ref().is_none_or(Metadata::is_empty)
            && let Some(Item::End(status)) = &self.peeked
            && !status.is_ok()
        {
            return Poll::Ready(Err(status.clone()));
        }
        while self.headers.is_none() {
            // What was peeked has passed the headers: there were none.
            match &self.peeked {
                Some(Item::End(status)) if !status.is_ok() => return Poll::Ready(Err(status.clone())),
                Some(_) => return Poll::Ready(Ok(())),
                None => {}
            }
            if let Some(status) = &self.end {
                return Poll::Ready(if status.is_ok() { Ok(()) } else { Err(status.clone()) });
            }
            match &mut self.source {
                From::Client(receive) => {
                    let item = ready!(receive.poll_headers_or_item(cx));
                    self.headers = receive.take_headers();
                    match item {
                        Some(Item::End(status)) => self.end = Some(status),
                        message => self.peeked = message,
                    }
                }
                From::Reply(reply) => match ready!(reply.as_mut().poll(cx)) {
                    Ok(reply) => {
                        self.source = From::Messages(reply.messages);
                        // A call that failed before it had metadata shows that at once.
                        if reply.headers.is_empty() {
                            self.poll_peek(cx);
                        }
                        if let Some(Item::End(status)) = &self.peeked
                            && !status.is_ok()
                        {
                            return Poll::Ready(Err(status.clone()));
                        }
                        self.headers = Some(reply.headers);
                    }
                    Err(status) => self.end = Some(status),
                },
                From::Server(_) | From::Messages(_) => return Poll::Ready(Ok(())),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// The metadata that came with the status; `None` until the end was reached.
    #[must_use]
    pub fn trailers(&self) -> Option<&Metadata> {
        self.end.as_ref().map(Status::metadata)
    }

    /// How the call ended; `None` until the end was reached.
    #[must_use]
    pub fn status(&self) -> Option<&Status> {
        self.end.as_ref()
    }

    /// Whether the message that came last had come compressed; `false` behind interceptors, which see
    /// messages decompressed.
    #[must_use]
    pub fn last_compressed(&self) -> bool {
        match &self.source {
            From::Client(receive) => receive.last_compressed(),
            From::Server(receive) => receive.last_compressed(),
            From::Messages(_) | From::Reply(_) => false,
        }
    }

    /// How many attempts the call has taken so far; 1 on a server, and behind interceptors.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        match &self.source {
            From::Client(receive) => receive.attempts(),
            _ => 1,
        }
    }

    /// The server that answers, on a client without interceptors and while the call runs.
    #[must_use]
    pub fn peer(&self) -> Option<&Peer> {
        match &self.source {
            From::Client(receive) => receive.peer(),
            _ => None,
        }
    }
}

impl<T: Message> Stream for Streaming<T> {
    type Item = Result<T, Status>;

    /// As [`Streaming::next`]; an error is the last item.
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.end.is_some() {
            return Poll::Ready(None);
        }
        self.poll_message(cx).map(Result::transpose)
    }
}

impl<T> fmt::Debug for Streaming<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streaming").field("end", &self.end).finish_non_exhaustive()
    }
}

/// Messages to send, in order. `send` waits while the peer (or the network) has no room.
pub struct Sending<T> {
    sink: To,
    compress: bool,
    _message: PhantomData<fn(T)>,
}

enum To {
    Client(ClientSend),
    Server {
        shared: Arc<CallShared>,
        unsent: Option<Frame>,
    },
    /// Moved out by `cast`.
    Gone,
    /// Towards interceptors; on a server `shared` collects the headers.
    Slot {
        slot: SlotSender,
        shared: Option<Arc<CallShared>>,
    },
}

impl<T: Message> Sending<T> {
    fn new(sink: To) -> Self {
        Sending { sink, compress: true, _message: PhantomData }
    }

    pub(crate) fn client(send: ClientSend) -> Self {
        Sending::new(To::Client(send))
    }

    pub(crate) fn server(shared: Arc<CallShared>) -> Self {
        Sending::new(To::Server { shared, unsent: None })
    }

    pub(crate) fn slot(slot: SlotSender, shared: Option<Arc<CallShared>>) -> Self {
        Sending::new(To::Slot { slot, shared })
    }

    /// The same sink for messages of another type.
    pub(crate) fn cast<U: Message>(mut self) -> Sending<U> {
        let sink = std::mem::replace(&mut self.sink, To::Gone);
        Sending { sink, compress: self.compress, _message: PhantomData }
    }

    /// Sends one message; ready when the connection has taken all of it.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED: the message is larger than `max_send_message_bytes`; nothing was sent and the
    /// call goes on. CANCELLED: the call is over; on a client its status comes from the receiving half.
    pub async fn send(&mut self, message: T) -> Result<(), Status> {
        let mut message = Some(message);
        poll_fn(|cx| self.poll_send(cx, &mut message)).await
    }

    /// See [`Sending::send`]: takes `message` when there is room, and is ready when the connection has all of it.
    pub(crate) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        message: &mut Option<T>,
    ) -> Poll<Result<(), Status>> {
        if message.take_if(|message| self.append(message)).is_some() {
            return Poll::Ready(Ok(()));
        }
        // A message that a dropped `send` left behind goes first: half of it may be out already.
        ready!(self.poll_flush(cx))?;
        let Some(next) = message.take() else { return Poll::Ready(Ok(())) };
        match &mut self.sink {
            To::Client(send) => {
                send.set_compress(self.compress);
                send.put(&next)?;
            }
            To::Server { shared, unsent } => {
                let framing = shared.framing();
                *unsent = Some(framing.encode(&next, self.compress)?);
            }
            To::Slot { slot, shared } => {
                match slot.poll_ready(cx) {
                    Poll::Ready(Ok(())) => slot.put(message::encoded(&next)),
                    Poll::Ready(Err(())) => return Poll::Ready(Err(gone())),
                    Poll::Pending => {
                        *message = Some(next);
                        return Poll::Pending;
                    }
                }
                if let Some(shared) = shared {
                    let _ = shared.lock().send_head();
                }
            }
            To::Gone => {}
        }
        self.poll_flush(cx)
    }

    /// The short way of a small message behind others, while there is room.
    fn append(&mut self, message: &T) -> bool {
        match &mut self.sink {
            To::Client(send) => {
                send.set_compress(self.compress);
                send.append(message)
            }
            To::Server { shared, unsent: None } => shared.lock().append(message, self.compress),
            To::Server { .. } | To::Slot { .. } | To::Gone => false,
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        match &mut self.sink {
            To::Client(send) => send.poll_flush(cx),
            To::Server { shared, unsent } => {
                let Some(frame) = unsent else { return Poll::Ready(Ok(())) };
                let sent = ready!(shared.lock().poll_send(cx, frame));
                *unsent = None;
                Poll::Ready(sent.map_err(|_| gone()))
            }
            To::Slot { .. } | To::Gone => Poll::Ready(Ok(())),
        }
    }

    /// Whether the following messages are compressed, on a call that has a compression. On by default.
    pub fn compress_next(&mut self, compress: bool) {
        self.compress = compress;
    }

    /// On a client: says that no more messages follow; the server may still answer. Dropping a client's
    /// `Sending` without this cancels the call, so that a server never takes a cut-off upload for a whole
    /// one. On a server it does nothing: the handler's return ends the call.
    pub fn half_close(&mut self) {
        match &mut self.sink {
            To::Client(send) => send.half_close(),
            To::Slot { slot, shared: None } => slot.end(Status::ok()),
            To::Server { .. } | To::Slot { .. } | To::Gone => {}
        }
    }
}

/// Why a call ended whose sender went away.
const DROPPED: &str = "the sending half was dropped without half_close";

fn gone() -> Status {
    Status::cancelled("the call is over: nobody takes this message")
}

impl<T> Drop for Sending<T> {
    fn drop(&mut self) {
        match &mut self.sink {
            To::Client(send) => send.give_up(Status::cancelled(DROPPED)),
            To::Slot { slot, shared: None } => slot.end(Status::cancelled(DROPPED)),
            To::Server { .. } | To::Slot { .. } | To::Gone => {}
        }
    }
}

impl<T> fmt::Debug for Sending<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sending").field("compress", &self.compress).finish_non_exhaustive()
    }
}
