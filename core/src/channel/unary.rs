//! Calls with one request message: sent whole, and again if no server worked on them.

use std::future::poll_fn;
use std::task::Poll;

use bytes::Bytes;
use spanwire_wire::reset::CANCEL;

use super::call::{Again, Attempts, Prepared, Receive, Received};
use super::hedge::{self, Won};
use super::hedge_plan::HedgingPolicy;
use super::outgoing::Outgoing;
use super::{CallOptions, Channel};
use crate::message::{Encoded, Frame};
use crate::transport::{SEND_NOW_BYTES, SendPart};
use crate::{Metadata, Method, PeerAddr, Status};

/// What came back from a call with one response.
pub(crate) struct Answer {
    pub(crate) message: Bytes,
    pub(crate) headers: Metadata,
    pub(crate) status: Status,
    pub(crate) peer: PeerAddr,
    pub(crate) compressed: bool,
    pub(crate) attempts: u32,
}

/// Makes a call whose messages are bytes, `compress`ed if the call is; for channels without interceptors.
pub(crate) async fn raw(
    channel: Channel,
    method: Method,
    mut options: CallOptions,
    request: Encoded,
    compress: bool,
) -> Result<Answer, Status> {
    channel.settle(&mut options).await;
    let prepared = Prepared::new(channel, method, options)?;
    let framed = prepared.framing.frame(request, compress);
    call(&prepared, framed.map_err(|status| prepared.unsent(status))?).await
}

/// A stream that is reset when it is dropped before its end.
struct Guarded {
    send: SendPart,
    receive: Receive,
    over: bool,
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if !self.over {
            self.send.reset(CANCEL);
        }
    }
}

impl Guarded {
    fn end(&mut self, request_sent: bool) {
        self.over = true;
        if let Some(code) = self.receive.needs_reset().or((!request_sent).then_some(CANCEL)) {
            self.send.reset(code);
        }
    }
}

/// Makes the call; everything is waited for inside.
pub(crate) async fn call(prepared: &Prepared, request: Frame) -> Result<Answer, Status> {
    if let Some(policy) = prepared.hedging() {
        // Boxed, so that the usual call does not carry the state of this one.
        return told(prepared, Box::pin(hedged(prepared, policy, request)).await);
    }
    let mut attempts = Attempts::default();
    loop {
        let (send, receive) =
            prepared.open(&mut attempts).await.inspect_err(|status| prepared.ended(status))?;
        let mut stream = Guarded { send, receive, over: false };
        let mut unsent = Some(request.clone());
        if request.len() <= SEND_NOW_BYTES
            && let Some(frame) = unsent.take()
        {
            // An error means that the stream is over already: the answer says why.
            let _ = stream.send.send_now(frame, true);
        }
        match answer(stream, unsent).await {
            Ok(result) => return told(prepared, result),
            Err(again) => attempts.turned_away(again),
        }
    }
}

/// Tells whoever watches the call how it ended.
fn told(prepared: &Prepared, result: Result<Answer, Status>) -> Result<Answer, Status> {
    prepared.ended(result.as_ref().map_or_else(|status| status, |answer| &answer.status));
    result
}

async fn hedged(prepared: &Prepared, policy: &HedgingPolicy, request: Frame) -> Result<Answer, Status> {
    let outgoing = Outgoing::hedged();
    // It is the first message, and refused is what follows a last one.
    let _ = outgoing.put(request, true);
    let Won { send, receive, progress } = hedge::run(prepared, policy, &outgoing).await?;
    let stream = Guarded { send, receive, over: false };
    match answer(stream, progress.unsent).await {
        Ok(result) => result,
        Err(_) => Err(Status::internal("a call that was answered was turned away")),
    }
}

/// Sends the rest of the request and reads the answer.
///
/// # Errors
/// The call may be made again.
async fn answer(mut stream: Guarded, mut unsent: Option<Frame>) -> Result<Result<Answer, Status>, Again> {
    let mut headers = Metadata::new();
    let mut message = None;
    let end = poll_fn(|cx| {
        loop {
            if let Some(frame) = &mut unsent
                && stream.send.poll_send(cx, frame, true).is_ready()
            {
                unsent = None;
            }
            match std::task::ready!(stream.receive.poll(cx)) {
                Received::Headers(received) => headers = received,
                Received::Message(received) => message = Some(received),
                Received::Done(status) => return Poll::Ready(Ok(status)),
                Received::Retry { again, .. } => return Poll::Ready(Err(again)),
            }
        }
    })
    .await;
    stream.end(unsent.is_none());
    let status = end?;
    if !status.is_ok() {
        return Ok(Err(status));
    }
    // The wire state machine gives OK only after a message.
    let Some(message) = message else {
        return Ok(Err(Status::unimplemented("response has no message where one is due")));
    };
    let peer = stream.receive.peer().addr().clone();
    let compressed = stream.receive.last_compressed();
    let attempts = stream.receive.attempts().count();
    Ok(Ok(Answer { message, headers, status, peer, compressed, attempts }))
}
