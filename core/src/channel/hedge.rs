//! A hedged call (gRFC A6): several attempts at once, of which the first that is answered is the call.
//!
//! ```text
//! plan says when ─► Opening ─► Open ─ answer begins ─► won: the others are reset
//!                      ▲        │ ├─ turned away unseen ─► Opening, the same attempt
//!                      └────────┘ └─ failed ─► the call, if fatal; else the next attempt, or the last failure
//! ```
//!
//! All attempts send from one log of what the caller has said so far, each at its own place in it. A request that grows
//! beyond the log before it is complete is left to the attempt that is the furthest.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use spanwire_wire::reset::CANCEL;
use tokio::time::Instant;

use super::call::{Attempts, Prepared, Receive, Received};
use super::hedge_plan::{HedgePlan, HedgingPolicy};
use super::outgoing::{Logged, Outgoing, Progress};
use crate::middleware::BoxFuture;
use crate::timer::Timer;
use crate::transport::SendPart;
use crate::{Sent, Status};

/// The attempt that became the call.
pub(crate) struct Won {
    pub(crate) send: SendPart,
    pub(crate) receive: Receive,
    pub(crate) progress: Progress,
}

/// Makes the attempts until one of them is answered.
///
/// # Errors
/// The status of a call that ended before: for one with any number of answers it may be OK.
pub(crate) async fn run(
    prepared: &Prepared,
    policy: &HedgingPolicy,
    outgoing: &Outgoing,
) -> Result<Won, Status> {
    let mut hedge = Hedge {
        prepared,
        policy,
        outgoing,
        plan: HedgePlan::new(Instant::now()),
        attempts: Vec::new(),
        begun: 0,
        sent: Sent::NotSent,
        last: None,
        timer: Timer::default(),
    };
    poll_fn(|cx| hedge.poll(cx)).await
}

struct Hedge<'a> {
    prepared: &'a Prepared,
    policy: &'a HedgingPolicy,
    outgoing: &'a Outgoing,
    plan: HedgePlan,
    attempts: Vec<Attempt<'a>>,
    /// Attempts, with those of one that was turned away and began anew.
    begun: u32,
    /// How far the request got with those that failed.
    sent: Sent,
    /// How the last one failed.
    last: Option<Status>,
    timer: Timer,
}

type Opening<'a> = BoxFuture<'a, Result<(SendPart, Receive), Status>>;

enum Attempt<'a> {
    Opening(Opening<'a>),
    Open(Box<Won>),
}

impl Drop for Hedge<'_> {
    fn drop(&mut self) {
        for attempt in &mut self.attempts {
            if let Attempt::Open(stream) = attempt {
                stream.send.reset(CANCEL);
            }
        }
    }
}

impl<'a> Hedge<'a> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Won, Status>> {
        if let Some(cause) = self.outgoing.watch_log(cx) {
            let cause = cause.with_sent(Sent::NotSent);
            return Poll::Ready(Err(self.end(cause)));
        }
        loop {
            let (now, throttle) = (Instant::now(), self.prepared.throttle());
            while let Some(before) = self.plan.begin(now, self.policy, throttle.as_deref()) {
                self.attempts.push(Attempt::Opening(open(self.prepared, Attempts::behind(before))));
            }
            let mut index = 0;
            while index < self.attempts.len() {
                let Poll::Ready(end) = self.poll_attempt(index, cx) else {
                    index += 1;
                    continue;
                };
                let Some(status) = end else { return Poll::Ready(Ok(self.win(index))) };
                self.attempts.remove(index);
                if status.is_ok() || !self.plan.goes_on(&status, now, self.policy) {
                    return Poll::Ready(Err(self.end(status)));
                }
                self.sent = further(self.sent, status.sent());
                self.last = Some(status);
            }
            if self.outgoing.is_log_full()
                && let Some(furthest) = self.furthest()
            {
                return Poll::Ready(Ok(self.win(furthest)));
            }
            let next = self.plan.next();
            // What cannot begin in time is not waited for: it would only hide why the call fails.
            let in_time = next.filter(|at| self.prepared.deadline.is_none_or(|end| *at < end));
            if self.attempts.is_empty()
                && in_time.is_none()
                && let Some(last) = self.last.take()
            {
                return Poll::Ready(Err(self.end(last)));
            }
            // One that failed has brought it forward.
            if in_time.is_none_or(|at| at > now) {
                ready!(self.timer.poll(in_time, cx));
            }
        }
    }

    /// Ready with `None` when the answer has begun, else with the attempt's end.
    fn poll_attempt(&mut self, index: usize, cx: &mut Context<'_>) -> Poll<Option<Status>> {
        let attempt = &mut self.attempts[index];
        loop {
            match attempt {
                Attempt::Opening(opening) => match ready!(opening.as_mut().poll(cx)) {
                    Ok((send, receive)) => {
                        self.begun += 1;
                        let stream = Won { send, receive, progress: Progress::default() };
                        *attempt = Attempt::Open(Box::new(stream));
                    }
                    Err(status) => {
                        self.begun += 1;
                        return Poll::Ready(Some(status));
                    }
                },
                Attempt::Open(stream) => {
                    stream.send(self.outgoing, cx);
                    match ready!(stream.receive.poll_begun(cx)) {
                        None => return Poll::Ready(None),
                        Some(Received::Retry { again, .. }) => {
                            let mut attempts = stream.receive.attempts();
                            attempts.turned_away(again);
                            *attempt = Attempt::Opening(open(self.prepared, attempts));
                        }
                        Some(Received::Done(status)) => {
                            stream.end();
                            return Poll::Ready(Some(status));
                        }
                        // They come with the headers at the earliest.
                        Some(Received::Headers(_) | Received::Message(_)) => return Poll::Ready(None),
                    }
                }
            }
        }
    }

    fn win(&mut self, index: usize) -> Won {
        match self.attempts.remove(index) {
            Attempt::Open(mut won) => {
                won.receive.count_attempts(self.begun);
                *won
            }
            Attempt::Opening(_) => unreachable!("only an open attempt is answered, or sends"),
        }
    }

    /// The open attempt that has sent the most.
    fn furthest(&self) -> Option<usize> {
        let open = self.attempts.iter().enumerate().filter_map(|(index, attempt)| match attempt {
            Attempt::Open(stream) => Some((stream.progress.sent_messages, index)),
            Attempt::Opening(_) => None,
        });
        // Of several the one that began first.
        open.max_by_key(|(sent, index)| (*sent, usize::MAX - index)).map(|(_, index)| index)
    }

    /// The call's status: what it says of the request holds for all attempts.
    fn end(&mut self, status: Status) -> Status {
        let written = self.attempts.iter().any(|attempt| match attempt {
            Attempt::Open(stream) => stream.receive.was_written(),
            Attempt::Opening(_) => false,
        });
        let sent = further(self.sent, if written { Sent::MaybeSent } else { Sent::NotSent });
        let sent = further(sent, status.sent());
        status.with_sent(sent).with_attempts(self.begun)
    }
}

fn open(prepared: &Prepared, mut attempts: Attempts) -> Opening<'_> {
    Box::pin(async move { prepared.open(&mut attempts).await })
}

/// Of two attempts, how far the request got with the one that got further.
fn further(one: Sent, other: Sent) -> Sent {
    match (one, other) {
        (Sent::Answered, _) | (_, Sent::Answered) => Sent::Answered,
        (Sent::MaybeSent, _) | (_, Sent::MaybeSent) => Sent::MaybeSent,
        (Sent::NotSent, Sent::NotSent) => Sent::NotSent,
    }
}

impl Won {
    /// Sends of the log as much as the server takes.
    fn send(&mut self, outgoing: &Outgoing, cx: &mut Context<'_>) {
        let progress = &mut self.progress;
        while !progress.half_closed {
            let mut frame = match progress.unsent.take() {
                Some(frame) => frame,
                None => match outgoing.logged(progress.sent_messages) {
                    Logged::Frame(frame) => {
                        progress.sent_messages += 1;
                        frame
                    }
                    Logged::End => {
                        progress.half_closed = true;
                        // An error shows in the answer, here and below.
                        let _ = self.send.end();
                        return;
                    }
                    Logged::NothingYet => return,
                },
            };
            let last = matches!(outgoing.logged(progress.sent_messages), Logged::End);
            match self.send.poll_send(cx, &mut frame, last) {
                Poll::Ready(Ok(())) => progress.half_closed = last,
                Poll::Ready(Err(_)) => progress.half_closed = true,
                Poll::Pending => {
                    progress.unsent = Some(frame);
                    return;
                }
            }
        }
    }

    /// Its answer has ended: the rest of the request is of no use.
    fn end(&mut self) {
        if let Some(code) = self.receive.needs_reset().or((!self.progress.half_closed).then_some(CANCEL)) {
            self.send.reset(code);
        }
    }
}
