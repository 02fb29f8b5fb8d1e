//! Calls with one request message: sent whole, and again if no server worked on them.

use std::future::poll_fn;
use std::task::Poll;

use bytes::Bytes;
use spanwire_wire::reset::CANCEL;

use super::call::{Attempts, Prepared, Receive, Received};
use super::{CallOptions, Channel};
use crate::message::{Encoded, Frame};
use crate::transport::{SEND_NOW_BYTES, SendPart};
use crate::{Metadata, Method, PeerAddr, Sent, Status};

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
    options: CallOptions,
    request: Encoded,
    compress: bool,
) -> Result<Answer, Status> {
    let prepared = Prepared::new(channel, method, options)?;
    let framed = prepared.framing.frame(request, compress);
    call(&prepared, framed.map_err(|status| status.with_sent(Sent::NotSent))?).await
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
    let mut attempts = Attempts::default();
    loop {
        let (send, receive) = prepared.open(&mut attempts).await?;
        let mut stream = Guarded { send, receive, over: false };
        let mut unsent = Some(request.clone());
        if request.len() <= SEND_NOW_BYTES
            && let Some(frame) = unsent.take()
        {
            // An error means that the stream is over already: the answer says why.
            let _ = stream.send.send_now(frame, true);
        }
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
                    end => return Poll::Ready(end),
                }
            }
        })
        .await;
        stream.end(unsent.is_none());
        match end {
            Received::Retry { again, .. } => attempts.turned_away(again),
            Received::Done(status) if status.is_ok() => {
                let peer = stream.receive.peer().addr().clone();
                let compressed = stream.receive.last_compressed();
                // The wire state machine gives OK only after a message.
                return match message {
                    Some(message) => {
                        Ok(Answer { message, headers, status, peer, compressed, attempts: attempts.count() })
                    }
                    None => Err(Status::unimplemented("response has no message where one is due")),
                };
            }
            Received::Done(status) => return Err(status),
            Received::Headers(_) | Received::Message(_) => {}
        }
    }
}
