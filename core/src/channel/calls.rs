//! The call builders: what the methods of a generated client return.

use std::future::{Future, IntoFuture, poll_fn};
use std::marker::PhantomData;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use super::options::{CallOptions, call_options};
use super::{Channel, generic, stream, unary};
use crate::channel::call::Prepared;
use crate::message::{self, Message};
use crate::middleware::{BoxFuture, Item, Messages, slot};
use crate::streaming::{Sending, Streaming};
use crate::{Metadata, Method, PeerAddr, Sent, Status};

/// A response with everything that came with it.
#[derive(Clone, Debug)]
pub struct Response<T> {
    /// The message.
    pub message: T,
    /// The leading metadata.
    pub headers: Metadata,
    /// The metadata that came with the status.
    pub trailers: Metadata,
    /// The server that answered; `None` on a channel with interceptors, which may have answered themselves.
    pub peer: Option<PeerAddr>,
    /// How many attempts were begun: more than one if the first was turned away unprocessed (gRFC A6). 1 on a
    /// channel with interceptors.
    pub attempts: u32,
    /// Whether the message came compressed; `false` behind interceptors, which see it decompressed.
    pub compressed: bool,
}

/// A unary call, to be awaited.
#[derive(Debug)]
#[must_use = "a call is made when it is awaited"]
pub struct UnaryCall<Req, Resp> {
    channel: Channel,
    method: Method,
    request: Req,
    options: CallOptions,
    _response: PhantomData<fn() -> Resp>,
}

/// A server-streaming call, to be awaited; gives the stream as soon as the request is on its way.
#[derive(Debug)]
#[must_use = "a call is made when it is awaited"]
pub struct ServerStreamingCall<Req, Resp> {
    channel: Channel,
    method: Method,
    request: Req,
    options: CallOptions,
    _response: PhantomData<fn() -> Resp>,
}

/// A client-streaming call, to be awaited; gives the open call.
#[derive(Debug)]
#[must_use = "a call is made when it is awaited"]
pub struct ClientStreamingCall<Req, Resp> {
    channel: Channel,
    method: Method,
    options: CallOptions,
    _messages: PhantomData<fn(Req) -> Resp>,
}

/// A bidirectional call, to be awaited; gives the open call.
#[derive(Debug)]
#[must_use = "a call is made when it is awaited"]
pub struct BidiCall<Req, Resp> {
    channel: Channel,
    method: Method,
    options: CallOptions,
    _messages: PhantomData<fn(Req) -> Resp>,
}

impl<Req, Resp> UnaryCall<Req, Resp> {
    pub(crate) fn new(channel: Channel, method: Method, request: Req) -> Self {
        UnaryCall { channel, method, request, options: CallOptions::default(), _response: PhantomData }
    }

    call_options!();
}

impl<Req: Message, Resp: Message> UnaryCall<Req, Resp> {
    /// Makes the call and gives the response with its metadata.
    ///
    /// # Errors
    /// The call's status, if it is not OK.
    pub async fn response(mut self) -> Result<Response<Resp>, Status> {
        if !self.channel.interceptors().is_empty() {
            let messages = Messages::one(message::encoded(&self.request));
            let reply = generic::intercepted(self.channel, self.method, self.options, messages).await?;
            return collect_one(reply).await;
        }
        self.channel.settle(&mut self.options).await;
        let prepared = Prepared::new(self.channel, self.method, self.options)?;
        let frame = prepared.framing.encode(&self.request, true).map_err(|status| prepared.unsent(status))?;
        let answer = unary::call(&prepared, frame).await?;
        Ok(Response {
            message: message::decode(answer.message).map_err(|status| status.with_sent(Sent::Answered))?,
            headers: answer.headers,
            trailers: answer.status.metadata().clone(),
            peer: Some(answer.peer),
            attempts: answer.attempts,
            compressed: answer.compressed,
        })
    }
}

impl<Req: Message, Resp: Message> IntoFuture for UnaryCall<Req, Resp> {
    type Output = Result<Resp, Status>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.response().await.map(|response| response.message) })
    }
}

impl<Req, Resp> ServerStreamingCall<Req, Resp> {
    pub(crate) fn new(channel: Channel, method: Method, request: Req) -> Self {
        ServerStreamingCall {
            channel,
            method,
            request,
            options: CallOptions::default(),
            _response: PhantomData,
        }
    }

    call_options!();
}

impl<Req: Message, Resp: Message> IntoFuture for ServerStreamingCall<Req, Resp> {
    type Output = Result<Streaming<Resp>, Status>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(mut self) -> Self::IntoFuture {
        Box::pin(async move {
            if !self.channel.interceptors().is_empty() {
                let messages = Messages::one(message::encoded(&self.request));
                return Ok(generic::streaming(self.channel, self.method, self.options, messages));
            }
            self.channel.settle(&mut self.options).await;
            let prepared = Prepared::new(self.channel, self.method, self.options)?;
            let frame =
                prepared.framing.encode(&self.request, true).map_err(|status| prepared.unsent(status))?;
            let (send, receive) = stream::start(prepared).await?;
            let mut receive = receive.with_request(send, frame);
            // Small requests are gone. Of a large one this is the first part; the rest follows as the answer is read.
            poll_fn(|cx| {
                receive.poll_request(cx);
                Poll::Ready(())
            })
            .await;
            Ok(Streaming::client(receive))
        })
    }
}

impl<Req, Resp> ClientStreamingCall<Req, Resp> {
    pub(crate) fn new(channel: Channel, method: Method) -> Self {
        ClientStreamingCall { channel, method, options: CallOptions::default(), _messages: PhantomData }
    }

    call_options!();
}

impl<Req: Message, Resp: Message> IntoFuture for ClientStreamingCall<Req, Resp> {
    type Output = Result<ClientStream<Req, Resp>, Status>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let (sending, streaming) = open(self.channel, self.method, self.options).await?;
            Ok(ClientStream { sending, streaming, ahead: LookAhead::default() })
        })
    }
}

impl<Req, Resp> BidiCall<Req, Resp> {
    pub(crate) fn new(channel: Channel, method: Method) -> Self {
        BidiCall { channel, method, options: CallOptions::default(), _messages: PhantomData }
    }

    call_options!();
}

impl<Req: Message, Resp: Message> IntoFuture for BidiCall<Req, Resp> {
    type Output = Result<Duplex<Req, Resp>, Status>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let (sending, streaming) = open(self.channel, self.method, self.options).await?;
            Ok(Duplex { sending, streaming, ahead: LookAhead::default() })
        })
    }
}

/// Opens a call whose messages are sent and read one by one, whatever its kind.
pub(crate) async fn open<Req: Message, Resp: Message>(
    channel: Channel,
    method: Method,
    mut options: CallOptions,
) -> Result<(Sending<Req>, Streaming<Resp>), Status> {
    if !channel.interceptors().is_empty() {
        let (slot, messages) = slot();
        return Ok((Sending::slot(slot, None), generic::streaming(channel, method, options, messages)));
    }
    channel.settle(&mut options).await;
    let (send, receive) = stream::start(Prepared::new(channel, method, options)?).await?;
    Ok((Sending::client(send), Streaming::client(receive)))
}

/// An open client-streaming call. Dropping it cancels it.
#[derive(Debug)]
pub struct ClientStream<Req, Resp> {
    streaming: Streaming<Resp>,
    sending: Sending<Req>,
    ahead: LookAhead,
}

impl<Req: Message, Resp: Message> ClientStream<Req, Resp> {
    /// Sends one message; see [`Sending::send`].
    ///
    /// # Errors
    /// If the call is over, its status. RESOURCE_EXHAUSTED for a message that is too large.
    pub async fn send(&mut self, message: Req) -> Result<(), Status> {
        let sent = self.ahead.send(&mut self.sending, &mut self.streaming, message).await;
        let Err(error) = sent else { return Ok(()) };
        if error.code() != crate::Code::Cancelled {
            return Err(error);
        }
        // The server ended the call early: its status says why, unless it was satisfied.
        match poll_fn(|cx| self.streaming.poll_failure(cx)).await {
            Some(status) => Err(status),
            None => Err(error),
        }
    }

    /// See [`Sending::compress_next`].
    pub fn compress_next(&mut self, compress: bool) {
        self.sending.compress_next(compress);
    }

    /// Says that all is sent, and waits for the response.
    ///
    /// # Errors
    /// The call's status, if it is not OK.
    pub async fn finish(self) -> Result<Resp, Status> {
        self.response().await.map(|response| response.message)
    }

    /// Like [`ClientStream::finish`], with the metadata.
    ///
    /// # Errors
    /// The call's status, if it is not OK.
    pub async fn response(mut self) -> Result<Response<Resp>, Status> {
        self.sending.half_close();
        let message = self.streaming.next().await?;
        let peer = self.streaming.peer().map(|peer| peer.addr().clone());
        let Some(message) = message else {
            return Err(Status::unimplemented("response has no message where one is due"));
        };
        let (compressed, attempts) = (self.streaming.last_compressed(), self.streaming.attempts());
        // The end carries the trailers.
        self.streaming.next().await?;
        let trailers = self.streaming.trailers().cloned().unwrap_or_default();
        let headers = self.streaming.headers().await.cloned().unwrap_or_default();
        Ok(Response { message, headers, trailers, peer, attempts, compressed })
    }
}

/// An open bidirectional call. Dropping it cancels it.
#[derive(Debug)]
pub struct Duplex<Req, Resp> {
    streaming: Streaming<Resp>,
    sending: Sending<Req>,
    ahead: LookAhead,
}

impl<Req: Message, Resp: Message> Duplex<Req, Resp> {
    /// Sends one message; see [`Sending::send`].
    ///
    /// # Errors
    /// As [`Sending::send`].
    pub async fn send(&mut self, message: Req) -> Result<(), Status> {
        self.ahead.send(&mut self.sending, &mut self.streaming, message).await
    }

    /// See [`Sending::compress_next`].
    pub fn compress_next(&mut self, compress: bool) {
        self.sending.compress_next(compress);
    }

    /// Says that no more messages follow; the server may still answer.
    pub fn half_close(&mut self) {
        self.sending.half_close();
    }

    /// The next response message; see [`Streaming::next`].
    ///
    /// # Errors
    /// The call's status, if it is not OK.
    pub async fn next(&mut self) -> Result<Option<Resp>, Status> {
        self.ahead.reader_polls();
        self.streaming.next().await
    }

    /// The response's leading metadata; see [`Streaming::headers`].
    ///
    /// # Errors
    /// The call's status, if it ended before the metadata came.
    pub async fn headers(&mut self) -> Result<&Metadata, Status> {
        self.ahead.reader_polls();
        self.streaming.headers().await
    }

    /// The metadata that came with the status; `None` until the end was reached.
    #[must_use]
    pub fn trailers(&self) -> Option<&Metadata> {
        self.streaming.trailers()
    }

    /// How many attempts the call has taken so far; see [`Streaming::attempts`].
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.streaming.attempts()
    }

    /// The two directions, to be used by different tasks. Dropping the receiving one cancels the call.
    #[must_use]
    pub fn split(self) -> (Sending<Req>, Streaming<Resp>) {
        (self.sending, self.streaming)
    }
}

/// Watches the answer while the caller only sends, so that a call that the server has ended takes no more.
///
/// The answer is polled when it has something new, not with every message: its waker leaves a note here.
#[derive(Debug, Default)]
struct LookAhead(Arc<Note>);

#[derive(Debug, Default)]
struct Note {
    /// The answer was polled, and has not woken us since.
    quiet: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl Wake for Note {
    fn wake(self: Arc<Self>) {
        self.quiet.store(false, Ordering::Release);
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            task.wake();
        }
    }
}

impl LookAhead {
    /// Somebody else polls the answer: its waker is not the note any more.
    fn reader_polls(&self) {
        self.0.quiet.store(false, Ordering::Release);
    }

    async fn send<Req: Message, Resp: Message>(
        &self,
        sending: &mut Sending<Req>,
        streaming: &mut Streaming<Resp>,
        message: Req,
    ) -> Result<(), Status> {
        let mut send = pin!(sending.send(message));
        poll_fn(|cx| {
            if !self.0.quiet.swap(true, Ordering::AcqRel) {
                streaming.poll_peek(&mut Context::from_waker(&Waker::from(self.0.clone())));
            }
            let sent = send.as_mut().poll(cx);
            if sent.is_pending() {
                *self.0.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
                if !self.0.quiet.load(Ordering::Acquire) {
                    cx.waker().wake_by_ref();
                }
            }
            sent
        })
        .await
    }
}

/// The single message of a reply, with its metadata.
async fn collect_one<T: Message>(mut reply: crate::middleware::Reply) -> Result<Response<T>, Status> {
    let mut message = None;
    loop {
        match reply.messages.next().await {
            Item::Message(bytes) => message = Some(bytes),
            Item::End(status) if status.is_ok() => {
                let Some(bytes) = message else {
                    return Err(Status::unimplemented("response has no message where one is due"));
                };
                let trailers = status.metadata().clone();
                let decoded = message::decode(bytes).map_err(|status| status.with_sent(Sent::Answered));
                return Ok(Response {
                    message: decoded?,
                    headers: reply.headers,
                    trailers,
                    peer: None,
                    attempts: 1,
                    compressed: false,
                });
            }
            Item::End(status) => return Err(status),
        }
    }
}
