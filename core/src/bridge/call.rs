//! Calls of a client.
//!
//! ```text
//! unary   ─ job on the lane ─► the answer ─► Done
//! stream  ─ job on the lane ─► opening ─► open: messages out as there is room, in as there is credit ─► Done
//! any     ─ cancel, last handle dropped, deadline, engine gone ─► Done
//! ```

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::OpError;
use super::channel::ReportTo;
use super::event::{Event, EventKind, Outcome, Received};
use super::flow::{Flow, Inflow, Outflow, Outgoing, Room, Sent as OutflowSent};
use super::lane::{Lane, tell, tell_now};
use super::sync::Mutex;
use crate::channel::{self, CallOptions, unary};
use crate::message::Raw;
use crate::middleware::BoxFuture;
use crate::streaming::{Sending, Streaming};
use crate::timer::Deadline;
use crate::{Channel, Connectivity, Kind, Method, PeerAddr, Sent, Status};

/// A client's call, as its host holds it. Dropping the last one cancels a call that still runs; its `Done` comes all the
/// same.
#[derive(Debug)]
pub struct Call {
    cell: Arc<Cell>,
}

/// What the host's handles and the call's task share.
#[derive(Debug)]
pub(crate) struct Cell {
    flow: Mutex<Flow>,
    lane: Arc<Lane>,
    one_request: bool,
    max_send_bytes: usize,
    /// By what number the host knows the call.
    handle: AtomicU64,
}

impl Call {
    pub(crate) fn new(lane: &Arc<Lane>, method: &Method, credit: u32, max_send_bytes: usize) -> Self {
        Call {
            cell: Arc::new(Cell {
                // The only answer of a call is always wanted.
                flow: Mutex::new(Flow::new(credit.max(u32::from(method.kind().one_response())))),
                lane: lane.clone(),
                one_request: method.kind().one_request(),
                max_send_bytes,
                handle: AtomicU64::new(0),
            }),
        }
    }

    /// A unary call, whose only message is part of its beginning.
    pub(crate) fn unary(lane: &Arc<Lane>) -> Self {
        let call = Call::new(lane, &Method::new("", Kind::Unary), 0, usize::MAX);
        call.cell.flow.lock().closed = true;
        call
    }

    /// The number by which the host knows the call, which its events carry. To be set before the call begins.
    pub fn set_handle(&self, handle: u64) {
        self.cell.handle.store(handle, Ordering::Relaxed);
    }

    /// Queues a message. It is on its way when this comes back, or will be when there is room.
    ///
    /// # Errors
    /// [`OpError::Over`] when the call has ended or is half-closed, [`OpError::Blocked`] while it is full,
    /// [`OpError::Argument`] for a message above `max_send_message_bytes`, or a second one where the method has one.
    pub fn send(&self, message: Outgoing) -> Result<Room, OpError> {
        self.cell.lane.check()?;
        let (len, max) = (message.message.len(), self.cell.max_send_bytes);
        if len > max {
            return Err(OpError::Argument(format!(
                "message of {len} bytes is larger than max_send_message_bytes ({max})"
            )));
        }
        let mut message = Some(Outgoing { last: message.last || self.cell.one_request, ..message });
        self.cell.change(|flow| flow.send(&mut message))
    }

    /// Says that no more messages follow. Further calls do nothing.
    ///
    /// # Errors
    /// [`OpError::Over`]: the call has ended.
    pub fn half_close(&self) -> Result<(), OpError> {
        self.cell.lane.check()?;
        self.cell.change(|flow| {
            if flow.over {
                return Err(OpError::CALL_OVER);
            }
            flow.closed = true;
            Ok(())
        })
    }

    /// Lets so many messages more arrive.
    ///
    /// # Errors
    /// [`OpError::Over`]: the call has ended.
    pub fn grant(&self, messages: u32) -> Result<(), OpError> {
        self.cell.lane.check()?;
        self.cell.change(|flow| {
            if flow.over {
                return Err(OpError::CALL_OVER);
            }
            flow.grant(messages);
            Ok(())
        })
    }

    /// Ends the call with CANCELLED, from any thread and as often as one likes. A call that has ended stays as it is.
    ///
    /// # Errors
    /// [`OpError::Forked`], [`OpError::ShutDown`].
    pub fn cancel(&self) -> Result<(), OpError> {
        self.cell.lane.check()?;
        self.cell.change(|flow| flow.cancelled = true);
        Ok(())
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.cell.lane.check().is_ok() {
            self.cell.handle.store(0, Ordering::Relaxed);
            self.cell.change(|flow| flow.cancelled |= !flow.over);
        }
    }
}

impl Cell {
    /// Changes what the task looks at, and wakes it.
    fn change<T>(&self, change: impl FnOnce(&mut Flow) -> T) -> T {
        let mut flow = self.flow.lock();
        let result = change(&mut flow);
        let task = flow.take_task();
        drop(flow);
        self.lane.wake(task);
        result
    }
}

/// Reports the end of a call that has begun, once: also when its task is dropped or panics.
#[derive(Debug)]
struct Report {
    to: ReportTo,
    cell: Option<Arc<Cell>>,
    open: bool,
}

impl Report {
    fn new(to: ReportTo, cell: Option<Arc<Cell>>) -> Self {
        Report { to, cell, open: false }
    }

    /// From here on the call has begun, and will have its end.
    fn armed(mut self) -> Self {
        self.open = true;
        self
    }

    fn event(&self, kind: EventKind) -> Event {
        let handle = self.cell.as_ref().map_or(0, |cell| cell.handle.load(Ordering::Relaxed));
        Event::of_operation(self.to.tag, handle, self.to.attachment.clone(), kind)
    }

    fn tell(&self, kind: EventKind) {
        tell_now(&self.to.queue, self.event(kind));
    }

    fn done(&mut self, outcome: Outcome) {
        if self.closes() {
            self.tell(EventKind::Done(outcome));
        }
    }

    /// Ends the call, if it has not ended before.
    fn closes(&mut self) -> bool {
        let open = std::mem::replace(&mut self.open, false);
        if open && let Some(cell) = &self.cell {
            let left = cell.flow.lock().end();
            drop(left);
        }
        open
    }

    fn failed(&mut self, status: Status) {
        self.done(Outcome::failed(status));
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        if self.closes() {
            let status = if std::thread::panicking() {
                Status::internal("a fault in the engine ended the call: please report it")
            } else {
                Status::cancelled("the engine was shut down")
            };
            tell(&self.to.queue, self.event(EventKind::Done(Outcome::failed(status))));
        }
    }
}

/// A call that ends before it begins.
pub(crate) fn refuse(status: Status, to: ReportTo, call: Option<&Call>) -> BoxFuture<'static, ()> {
    let mut report = Report::new(to, call.map(|call| call.cell.clone())).armed();
    Box::pin(async move { report.failed(status) })
}

fn cancelled() -> Status {
    Status::cancelled("the call was cancelled by its caller")
}

/// A unary call on its way to its lane, in the place where it stays: it is too large to be moved much.
pub(crate) fn unary(
    channel: Channel,
    method: Method,
    request: Outgoing,
    options: CallOptions,
    to: ReportTo,
    call: Option<&Call>,
) -> BoxFuture<'static, ()> {
    let report = Report::new(to, call.map(|call| call.cell.clone())).armed();
    let answer = unary::raw(channel, method, options, request.message, !request.plain);
    match &report.cell {
        None => Box::pin(async move {
            let mut report = report;
            report.done(answer.await.into());
        }),
        Some(_) => Box::pin(Cancellable { call: Box::pin(answer), report }),
    }
}

impl From<Result<unary::Answer, Status>> for Outcome {
    fn from(result: Result<unary::Answer, Status>) -> Self {
        match result {
            Ok(answer) => Outcome {
                status: answer.status,
                headers: (!answer.headers.is_empty()).then(|| Box::new(answer.headers)),
                message: Some(Received { bytes: answer.message, compressed: answer.compressed }),
                peer: Some(answer.peer),
                attempts: answer.attempts,
            },
            Err(status) => Outcome::failed(status),
        }
    }
}

/// The wait for another state of a channel, which must not keep that channel.
pub(crate) fn watch(
    mut states: watch::Receiver<Connectivity>,
    known: Connectivity,
    deadline: Option<Instant>,
    closed: CancellationToken,
    to: ReportTo,
    call: Option<&Call>,
) -> BoxFuture<'static, ()> {
    let report = Report::new(to, call.map(|call| call.cell.clone())).armed();
    let wait = async move {
        let mut deadline = Deadline::new(deadline);
        let gone = || Status::cancelled("the channel was closed");
        let state = tokio::select! {
            biased;
            () = closed.cancelled() => Err(gone()),
            state = states.wait_for(|state| *state != known) => state.map(|state| *state).map_err(|_| gone()),
            () = poll_fn(|cx| deadline.poll(cx)) => {
                Err(channel::call::deadline_exceeded("while the channel stayed in its state"))
            }
        };
        match state {
            Ok(state) => Outcome {
                status: Status::ok(),
                headers: None,
                message: Some(Received { bytes: Bytes::copy_from_slice(&[state as u8]), compressed: false }),
                peer: None,
                attempts: 0,
            },
            Err(status) => Outcome::failed(status.with_attempts(0).with_sent(Sent::NotSent)),
        }
    };
    Box::pin(Cancellable { call: Box::pin(wait), report })
}

/// Something with one answer that its host can cancel.
struct Cancellable<F> {
    call: Pin<Box<F>>,
    report: Report,
}

impl<F: Future<Output: Into<Outcome>>> Future for Cancellable<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if let Some(cell) = &this.report.cell {
            let mut flow = cell.flow.lock();
            flow.register(cx);
            if flow.cancelled {
                drop(flow);
                this.report.failed(cancelled());
                return Poll::Ready(());
            }
        }
        let result = ready!(this.call.as_mut().poll(cx));
        this.report.done(result.into());
        Poll::Ready(())
    }
}

/// A stream on its way to its lane. It begins when it is armed.
pub(crate) fn stream(
    channel: Channel,
    method: Method,
    options: CallOptions,
    to: ReportTo,
    call: &Call,
) -> Stream {
    Stream {
        deadline: Deadline::new(options.deadline),
        stage: Stage::Opening(Box::pin(channel::open(channel, method, options))),
        report: Report::new(to, Some(call.cell.clone())),
        cell: call.cell.clone(),
    }
}

type Opening = BoxFuture<'static, Result<(Sending<Raw>, Streaming<Raw>), Status>>;

/// The task of a stream.
pub(crate) struct Stream {
    cell: Arc<Cell>,
    stage: Stage,
    deadline: Deadline,
    report: Report,
}

#[allow(clippy::large_enum_variant, reason = "a task has one, for most of its life the larger one")]
enum Stage {
    Opening(Opening),
    Open { inflow: Inflow, outflow: Option<Outflow>, peer: Option<PeerAddr> },
}

impl Future for Stream {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut flow = this.cell.flow.lock();
        flow.register(cx);
        let (ended, credit) = (flow.cancelled || this.report.to.queue.is_closed(), flow.credit());
        let (in_line, closed) = (flow.in_line(), flow.closed);
        drop(flow);
        if ended {
            // What is not open yet has sent nothing.
            let opening = matches!(this.stage, Stage::Opening(_));
            this.report.failed(if opening { cancelled().with_sent(Sent::NotSent) } else { cancelled() });
            return Poll::Ready(());
        }
        if let Stage::Opening(opening) = &mut this.stage {
            match ready!(opening.as_mut().poll(cx)) {
                Ok((sending, streaming)) => {
                    let (inflow, outflow) = (Inflow::new(streaming), Some(Outflow::new(sending)));
                    this.stage = Stage::Open { inflow, outflow, peer: None };
                }
                Err(status) => {
                    this.report.failed(status);
                    return Poll::Ready(());
                }
            }
        }
        this.send(cx, in_line, closed);
        ready!(this.receive(cx, credit));
        Poll::Ready(())
    }
}

impl Stream {
    /// From here on the call has begun, and will have its end.
    pub(crate) fn armed(mut self) -> Self {
        self.report = self.report.armed();
        self
    }

    /// Sends the messages that were in line, behind which the host had or had not closed its side.
    fn send(&mut self, cx: &mut Context<'_>, in_line: usize, closed: bool) {
        let Stage::Open { outflow, .. } = &mut self.stage else { return };
        let Some(out) = outflow else { return };
        let cell = &self.cell;
        let sent = out.poll(cx, in_line, || cell.flow.lock().take_next());
        let writable = cell.flow.lock().has_room_again();
        match sent {
            OutflowSent::All if closed => {
                out.half_close();
                *outflow = None;
            }
            OutflowSent::All | OutflowSent::Waits => {}
            // The receiving half says why. What is still in line goes with the call.
            OutflowSent::Failed(_) => {
                // Dropping it would cancel what the server has ended in its own way.
                out.half_close();
                *outflow = None;
            }
        }
        if writable {
            self.report.tell(EventKind::Writable);
        }
    }

    /// Ready when the call is over.
    fn receive(&mut self, cx: &mut Context<'_>, credit: u64) -> Poll<()> {
        let Stage::Open { inflow, peer, .. } = &mut self.stage else { return Poll::Pending };
        // Known only while the call runs.
        if peer.is_none() {
            *peer = inflow.streaming().peer().map(|peer| peer.addr().clone());
        }
        let arrived = inflow.poll(cx, credit);
        if let Some(headers) = arrived.headers {
            self.report.tell(EventKind::Headers(headers));
        }
        if !arrived.messages.is_empty() {
            self.cell.flow.lock().spend(arrived.messages.len());
            self.report.tell(EventKind::Messages { messages: arrived.messages, end: false });
        }
        if let Some(status) = arrived.end {
            let (peer, attempts) = (peer.take(), inflow.streaming().attempts());
            self.report.done(Outcome { status, headers: None, message: None, peer, attempts });
            return Poll::Ready(());
        }
        // The stream looks after its deadline while it is read. Unread messages must not make it last longer.
        ready!(self.deadline.poll(cx));
        let status = channel::call::deadline_exceeded("while messages waited for the caller to take them");
        self.report.failed(status.with_sent(Sent::Answered));
        Poll::Ready(())
    }
}
