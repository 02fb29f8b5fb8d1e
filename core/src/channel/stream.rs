//! Calls that stay open: the two halves of a client's stream, and starting it again when nothing was lost.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use spanwire_wire::reset::CANCEL;

use super::call::{Attempts, Prepared, Receive, Received, deadline_exceeded};
use super::generic::{AbortOnDrop, no_runtime};
use super::hedge::{self, Won};
use super::outgoing::{Outgoing, Progress, Unsent};
use crate::message::{Frame, Message};
use crate::middleware::{BoxFuture, Item, Source};
use crate::timer::Deadline;
use crate::transport::SEND_NOW_BYTES;
use crate::{Metadata, Sent, Status};

/// The sending half.
pub(crate) struct ClientSend {
    outgoing: Outgoing,
    prepared: Arc<Prepared>,
    deadline: Deadline,
    compress: bool,
    /// A message that there was no room for yet, or its rest.
    unsent: Option<Unsent>,
    /// The message in line is the only one: its last byte closes our half.
    last: bool,
}

/// The receiving half. Dropping it cancels the call.
pub(crate) struct ClientReceive {
    outgoing: Outgoing,
    prepared: Arc<Prepared>,
    receive: Option<Receive>,
    attempts: Attempts,
    reopening: Option<Reopening>,
    headers: Option<Metadata>,
    request: Option<ClientSend>,
    done: bool,
}

/// The stream is being opened once more, or is one of several attempts; then it is with [`Outgoing`]. The error is the call's
/// end.
struct Reopening {
    outcome: BoxFuture<'static, Result<Receive, Status>>,
    hedged: bool,
}

/// Opens the call and gives its halves.
pub(crate) async fn start(prepared: Prepared) -> Result<(ClientSend, ClientReceive), Status> {
    let prepared = Arc::new(prepared);
    if prepared.hedging().is_some() {
        let outgoing = Outgoing::hedged();
        let attempts = hedge(prepared.clone(), outgoing.clone())?;
        return Ok(halves(prepared, outgoing, None, Some(attempts)));
    }
    let mut attempts = Attempts::default();
    let (stream, receive) =
        prepared.open(&mut attempts).await.inspect_err(|status| prepared.ended(status))?;
    let outgoing = Outgoing::new(stream, receive.going_away());
    Ok(halves(prepared, outgoing, Some(receive), None))
}

/// Makes the attempts of a hedged call on a task of their own: they go on while the caller only sends.
fn hedge(prepared: Arc<Prepared>, outgoing: Outgoing) -> Result<Reopening, Status> {
    let runtime = prepared.runtime().ok_or_else(no_runtime)?;
    let task = runtime.spawn(async move {
        let Some(policy) = prepared.hedging() else { return Err(Status::internal("no hedging policy")) };
        let Won { send, receive, progress } = hedge::run(&prepared, policy, &outgoing).await?;
        outgoing.restart(send, receive.going_away(), progress);
        Ok(receive)
    });
    let mut task = AbortOnDrop(task);
    let outcome = async move {
        (&mut task.0).await.unwrap_or_else(|_| Err(Status::cancelled("the runtime is shutting down")))
    };
    Ok(Reopening { outcome: Box::pin(outcome), hedged: true })
}

fn halves(
    prepared: Arc<Prepared>,
    outgoing: Outgoing,
    receive: Option<Receive>,
    reopening: Option<Reopening>,
) -> (ClientSend, ClientReceive) {
    let send = ClientSend {
        outgoing: outgoing.clone(),
        deadline: Deadline::new(prepared.deadline),
        prepared: prepared.clone(),
        compress: true,
        unsent: None,
        last: false,
    };
    let receive = ClientReceive {
        outgoing,
        prepared,
        attempts: receive.as_ref().map_or_else(Attempts::default, Receive::attempts),
        receive,
        reopening,
        headers: None,
        request: None,
        done: false,
    };
    (send, receive)
}

impl ClientSend {
    pub(crate) fn set_compress(&mut self, compress: bool) {
        self.compress = compress;
    }

    /// Sends a small message if that takes no more than to write it behind others.
    pub(crate) fn append<T: Message>(&mut self, message: &T) -> bool {
        self.unsent.is_none() && self.outgoing.append(message, self.prepared.framing, self.compress)
    }

    /// Puts a message in line; then [`ClientSend::poll_flush`] until it is gone.
    pub(crate) fn put<T: Message>(&mut self, message: &T) -> Result<(), Status> {
        self.put_frame(self.prepared.framing.encode(message, self.compress)?)
    }

    pub(crate) fn put_frame(&mut self, frame: Frame) -> Result<(), Status> {
        self.unsent = Some(self.outgoing.put(frame, self.last)?);
        Ok(())
    }

    /// Ready when everything put in line is with the connection.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        let Some(unsent) = &mut self.unsent else { return Poll::Ready(Ok(())) };
        if let Poll::Ready(sent) = self.outgoing.poll_send(cx, unsent, self.last) {
            self.unsent = None;
            return Poll::Ready(sent.map_err(|_| {
                // The call's own status comes from the receiving half.
                Status::cancelled(
                    "the call is over and takes no more messages; its status comes from the receiving half",
                )
            }));
        }
        ready!(self.deadline.poll(cx));
        self.unsent = None;
        let status = deadline_exceeded("while a message waited to be sent");
        // Half of the message may be out: nothing can follow it.
        self.outgoing.give_up(status.clone());
        Poll::Ready(Err(status))
    }

    /// Says that no more messages follow. Further calls do nothing.
    pub(crate) fn half_close(&mut self) {
        self.outgoing.half_close(self.unsent.take());
    }

    /// Ends the call with `cause`, unless everything was sent.
    pub(crate) fn give_up(&mut self, cause: Status) {
        if self.unsent.is_some() || !self.outgoing.is_half_closed() {
            self.outgoing.give_up(cause);
        }
    }
}

impl ClientReceive {
    /// For a call with one request: this half sends it, because there is no other.
    pub(crate) fn with_request(mut self, mut send: ClientSend, frame: Frame) -> Self {
        // Handed over whole, if it is small: a reader that comes late must not hold its request up.
        let small = frame.len() <= SEND_NOW_BYTES;
        send.last = !small;
        // Nothing was half-closed yet, the only error there is.
        let _ = send.put_frame(frame);
        if small {
            send.half_close();
        } else {
            self.request = Some(send);
        }
        self
    }

    /// Sends what is left of the only request.
    pub(crate) fn poll_request(&mut self, cx: &mut Context<'_>) {
        if self.request.as_mut().is_some_and(|send| send.poll_flush(cx).is_ready()) {
            self.request = None;
        }
    }

    /// The response's leading metadata, once they are there.
    pub(crate) fn take_headers(&mut self) -> Option<Metadata> {
        self.headers.take()
    }

    /// Whether the message that came last had come compressed.
    pub(crate) fn last_compressed(&self) -> bool {
        self.receive.as_ref().is_some_and(Receive::last_compressed)
    }

    pub(crate) fn attempts(&self) -> u32 {
        self.attempts.count()
    }

    pub(crate) fn peer(&self) -> Option<&crate::Peer> {
        self.receive.as_ref().map(Receive::peer)
    }

    /// Like `poll_item`, but also ready when the headers arrive: `None` then.
    pub(crate) fn poll_headers_or_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        self.poll_request(cx);
        loop {
            if let Some(reopening) = &mut self.reopening {
                // How far the attempts of a hedged call got is told by their end.
                if !reopening.hedged
                    && let Some(cause) = self.outgoing.watch_cause(cx)
                {
                    return Poll::Ready(Some(self.end(cause.with_sent(Sent::NotSent))));
                }
                match ready!(reopening.outcome.as_mut().poll(cx)) {
                    Ok(receive) => {
                        self.attempts = receive.attempts();
                        self.receive = Some(receive);
                    }
                    Err(status) => return Poll::Ready(Some(self.end(status))),
                }
                self.reopening = None;
            }
            let Some(receive) = &mut self.receive else {
                return Poll::Ready(Some(Item::End(Status::ok())));
            };
            match ready!(receive.poll(cx)) {
                Received::Headers(headers) => {
                    self.outgoing.commit();
                    self.headers = Some(headers);
                    return Poll::Ready(None);
                }
                Received::Message(message) => return Poll::Ready(Some(Item::Message(message))),
                Received::Done(status) => {
                    // A call that our own sending half gave up ends with its cause, not with the reset.
                    let cause = self.outgoing.take_cause().filter(|_| receive.was_given_up());
                    let status = match cause {
                        // A request that is not whole is not handled, where one message is the request.
                        Some(cause)
                            if self.prepared.method.kind().one_request()
                                && status.sent() != Sent::Answered =>
                        {
                            cause.with_sent(Sent::NotSent)
                        }
                        Some(cause) => cause.with_sent(status.sent()),
                        None => status,
                    };
                    return Poll::Ready(Some(self.end(status)));
                }
                Received::Retry { status, again } => {
                    self.attempts.turned_away(again);
                    if let Some(cause) = self.outgoing.take_cause() {
                        return Poll::Ready(Some(self.end(cause.with_sent(status.sent()))));
                    }
                    if !self.outgoing.detach() {
                        return Poll::Ready(Some(self.end(status)));
                    }
                    self.receive = None;
                    let (prepared, mut attempts) = (self.prepared.clone(), self.attempts);
                    let outgoing = self.outgoing.clone();
                    let outcome = Box::pin(async move {
                        let (stream, receive) = prepared.open(&mut attempts).await?;
                        outgoing.restart(stream, receive.going_away(), Progress::default());
                        Ok(receive)
                    });
                    self.reopening = Some(Reopening { outcome, hedged: false });
                }
            }
        }
    }

    fn end(&mut self, status: Status) -> Item {
        self.done = true;
        self.reopening = None;
        let reset = self.receive.take().and_then(|receive| receive.needs_reset());
        self.outgoing.close(reset);
        self.prepared.ended(&status);
        Item::End(status)
    }
}

impl Source for ClientReceive {
    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Item> {
        loop {
            if let Some(item) = ready!(self.poll_headers_or_item(cx)) {
                return Poll::Ready(item);
            }
        }
    }
}

impl Drop for ClientReceive {
    fn drop(&mut self) {
        if !self.done {
            self.outgoing.close(Some(CANCEL));
            self.prepared.ended(&Status::cancelled("the caller gave the call up"));
        }
    }
}
