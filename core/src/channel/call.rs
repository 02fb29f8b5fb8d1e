//! One call of a client: opening its stream, as often as that is safe, and reading the answer.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use http::header::AUTHORIZATION;
use spanwire_wire::call::{ClientCall, ClientEvent, Exceeded, Excess, ResponseKind};
use spanwire_wire::encoding::{Encoding, EncodingSet};
use spanwire_wire::reset::{CANCEL, REFUSED_STREAM};
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::balance::PickInfo;
use super::config::MethodConfig;
use super::control::Placed;
use super::credentials::Credentials;
use super::hedge_plan::HedgingPolicy;
use super::retry::{Retries, Throttle};
use super::subchannel::Subchannel;
use super::{Channel, options::CallOptions};
use crate::message::Framing;
use crate::observe::{self, CallWatch, ReceivedMessage, StreamWatch, Why};
use crate::timer::{Deadline, Timer, after};
use crate::transport::client::{GoingAway, Opened, StreamTag, Unopened};
use crate::transport::{Peer, RecvPart, SendPart, StreamEvent, StreamFailure};
use crate::{Metadata, Method, Sent, Status};

/// How often a call looks for another connection when the ones it is given close under its hands. Each
/// round needs a new connection, which backoff spaces; the bound only guards against a fault of ours.
const MAX_OPENS: u32 = 16;

/// Tells a server how often the call was made before (gRFC A6).
const PREVIOUS_ATTEMPTS: http::HeaderName = http::HeaderName::from_static("grpc-previous-rpc-attempts");

/// All that is needed to open a call's stream, also a second time.
pub(crate) struct Prepared {
    channel: Channel,
    pub(crate) method: Method,
    metadata: Metadata,
    pub(crate) deadline: Option<Instant>,
    pub(crate) framing: Framing,
    max_recv_bytes: usize,
    wait_for_ready: bool,
    /// What the service config says of the method.
    config: Option<Arc<MethodConfig>>,
    /// Who is told of the call.
    watch: Option<Arc<dyn CallWatch>>,
}

/// What happened to earlier attempts of a call.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Attempts {
    opened: u32,
    /// Those for which there was no stream.
    unopened: u32,
    retries: Retries,
    /// Why the next one is made.
    why: Why,
    /// Earliest start of the next attempt.
    not_before: Option<Instant>,
    /// Connections that closed between being chosen and being used.
    missed: u32,
    refused: bool,
}

impl Prepared {
    pub(crate) fn new(channel: Channel, method: Method, options: CallOptions) -> Result<Self, Status> {
        let config = channel.configured().service.method(method.path()).cloned();
        let said = config.as_deref();
        let deadline = options.effective_deadline();
        let configured = said.and_then(|said| said.timeout).map(|timeout| after(Instant::now(), timeout));
        let deadline = deadline.into_iter().chain(configured).min();
        let smaller = |own: Option<usize>, said: Option<usize>| own.into_iter().chain(said).min();
        if let Some(mistake) = options.mistake {
            return Err(mistake.with_sent(Sent::NotSent));
        }
        let defaults = channel.defaults();
        Ok(Prepared {
            framing: Framing {
                max_send_bytes: smaller(options.max_send_bytes, said.and_then(|said| said.max_send_bytes))
                    .unwrap_or(defaults.max_send_bytes),
                encoding: options.encoding.or(defaults.encoding).unwrap_or(Encoding::Identity),
            },
            max_recv_bytes: smaller(options.max_recv_bytes, said.and_then(|said| said.max_recv_bytes))
                .unwrap_or(defaults.max_recv_bytes),
            wait_for_ready: options
                .wait_for_ready
                .or(said.and_then(|said| said.wait_for_ready))
                .unwrap_or(false),
            config,
            watch: channel.watch().map(|watch| {
                let parent = options.trace.or_else(observe::current);
                watch.begin(&method, options.metadata.as_headers(), parent)
            }),
            channel,
            method,
            metadata: options.metadata,
            deadline,
        })
    }

    /// How the call is hedged, if it is.
    pub(crate) fn hedging(&self) -> Option<&HedgingPolicy> {
        self.config.as_deref().and_then(|config| config.hedging.as_ref())
    }

    /// The call has ended, for whoever watches it.
    pub(crate) fn ended(&self, status: &Status) {
        if let Some(watch) = &self.watch {
            watch.ended(status);
        }
    }

    /// The call has ended before anything was sent: its request cannot be.
    pub(crate) fn unsent(&self, status: Status) -> Status {
        let status = status.with_sent(Sent::NotSent);
        self.ended(&status);
        status
    }

    /// See [`Channel::throttle`].
    pub(crate) fn throttle(&self) -> Option<Arc<Throttle>> {
        self.channel.throttle()
    }

    /// Where what the call needs besides its own task runs.
    pub(crate) fn runtime(&self) -> Option<Handle> {
        self.channel.spawner().handle()
    }

    /// Opens the stream on a usable connection, waiting for one, and for room on it, if need be. What fails is tried again as
    /// the service config has it (gRFC A6): to a policy, a server that cannot be reached is as good as one that is down.
    pub(crate) async fn open(&self, attempts: &mut Attempts) -> Result<(SendPart, Receive), Status> {
        loop {
            let status = match self.open_once(attempts).await {
                Ok(opened) => return Ok(opened),
                Err(status) => status,
            };
            attempts.unopened += 1;
            let status = status.with_attempts(attempts.count());
            let policy = self.config.as_deref().and_then(|config| config.retry.as_ref());
            let mut retries = attempts.retries;
            let pause = retries.after(&status, false, policy, self.throttle().as_deref());
            let Some(pause) = pause.filter(|pause| in_time(self.deadline, *pause)) else {
                return Err(status);
            };
            attempts.turned_away(Again::Policy(retries, pause));
        }
    }

    async fn open_once(&self, attempts: &mut Attempts) -> Result<(SendPart, Receive), Status> {
        if let Some(start) = attempts.not_before.take() {
            let mut timer = Box::new(Timer::default());
            poll_fn(|cx| timer.poll(Some(start), cx)).await;
        }
        let watch = self.watch.as_ref().map(|call| call.attempt(attempts.why, attempts.retries.made()));
        let opened = self.open_watched(attempts, watch.as_ref()).await;
        if let (Some(watch), Err(status)) = (&watch, &opened) {
            watch.ended(status);
        }
        opened
    }

    async fn open_watched(
        &self,
        attempts: &mut Attempts,
        watch: Option<&Arc<dyn StreamWatch>>,
    ) -> Result<(SendPart, Receive), Status> {
        let token = match self.channel.credentials() {
            Some(credentials) if !self.metadata.contains(AUTHORIZATION.as_str()) => {
                Some(match credentials.at_hand() {
                    Some(token) => token,
                    None => Box::pin(self.token(credentials)).await?,
                })
            }
            _ => None,
        };
        loop {
            let Placed { connection, slot, watcher } = match self.connection_now() {
                Some(ready) => ready,
                // Boxed, so that the usual call does not carry the state of waiting.
                None => Box::pin(self.connection()).await?,
            };
            let mut head = self.head(attempts, token.as_ref())?;
            if let Some(watch) = watch {
                watch.inject(head.headers_mut());
            }
            match connection.open(slot, head) {
                Ok(Opened { mut send, recv, tag }) => {
                    attempts.opened += 1;
                    send.set_watch(watch.cloned());
                    return Ok((send, Receive::new(self, recv, tag, *attempts, watcher, watch.cloned())));
                }
                Err(Unopened::TooLarge(excess)) => {
                    let status =
                        Status::resource_exhausted(format!("the server does not take the request: {excess}"));
                    return Err(status.with_sent(Sent::NotSent));
                }
                // It closed between being chosen and being used; nothing was sent.
                Err(Unopened::Closed(status)) if attempts.missed >= MAX_OPENS => {
                    return Err(status.with_sent(Sent::NotSent));
                }
                Err(Unopened::Closed(_)) => {
                    attempts.missed += 1;
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    /// The call's token, before the deadline.
    async fn token(&self, credentials: &Credentials) -> Result<HeaderValue, Status> {
        let (mut deadline, mut header) = (Deadline::new(self.deadline), pin!(credentials.header()));
        let result = poll_fn(|cx| match header.as_mut().poll(cx) {
            Poll::Pending => {
                deadline.poll(cx).map(|()| Err(deadline_exceeded("while it waited for a bearer token")))
            }
            ready => ready,
        })
        .await;
        result.map_err(|status| status.with_sent(Sent::NotSent))
    }

    /// A connection with room for one more call, if there is one at hand.
    fn connection_now(&self) -> Option<Placed> {
        if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return None;
        }
        self.channel.control().place_now(self.pick_info())
    }

    /// A connection with room for one more call, before the deadline.
    async fn connection(&self) -> Result<Placed, Status> {
        let mut deadline = Deadline::new(self.deadline);
        if deadline.passed() {
            return Err(deadline_exceeded("before it was sent").with_sent(Sent::NotSent));
        }
        let mut placed = pin!(self.channel.control().place(self.pick_info(), self.wait_for_ready));
        let result = poll_fn(|cx| match placed.as_mut().poll(cx) {
            Poll::Pending => deadline
                .poll(cx)
                .map(|()| Err(deadline_exceeded("while it waited for a connection with room for it"))),
            ready => ready,
        })
        .await;
        result.map_err(|status| status.with_sent(Sent::NotSent))
    }

    fn head(&self, attempts: &Attempts, token: Option<&HeaderValue>) -> Result<http::Request<()>, Status> {
        let path = self.method.to_http().map_err(|status| status.with_sent(Sent::NotSent))?;
        let timeout = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let template = self.channel.template();
        let mut head = template.request(path, timeout, self.framing.encoding, self.metadata.clone());
        if attempts.retries.made() > 0 {
            head.headers_mut().insert(PREVIOUS_ATTEMPTS, attempts.retries.made().into());
        }
        if let Some(token) = token {
            head.headers_mut().insert(AUTHORIZATION, token.clone());
        }
        Ok(head)
    }

    /// What balancing may look at.
    fn pick_info(&self) -> PickInfo<'_> {
        PickInfo::new(&self.method, &self.metadata)
    }

    fn response_kind(&self) -> ResponseKind {
        if self.method.kind().one_response() { ResponseKind::One } else { ResponseKind::Many }
    }
}

/// Whether an attempt after this pause could begin before the deadline. One that cannot would only hide why the call fails.
fn in_time(deadline: Option<Instant>, pause: Duration) -> bool {
    deadline.is_none_or(|end| after(Instant::now(), pause) < end)
}

pub(crate) fn deadline_exceeded(when: &str) -> Status {
    Status::deadline_exceeded(format!("the call's deadline passed {when}"))
}

/// What [`Receive`] yields.
pub(crate) enum Received {
    Headers(Metadata),
    Message(Bytes),
    /// The end of the call, once.
    Done(Status),
    /// The call may be made again: the server's application never saw this attempt, or the service config says so. The
    /// status is the call's if it is not.
    Retry {
        status: Status,
        again: Again,
    },
}

/// Why a call may be made again.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Again {
    /// Nobody worked on it. `refused`: by the server's word.
    Unseen { refused: bool },
    /// It failed, and is worth another attempt after this pause.
    Policy(Retries, Duration),
}

/// The answering half of one attempt.
pub(crate) struct Receive {
    recv: RecvPart,
    machine: ClientCall,
    tag: StreamTag,
    attempts: Attempts,
    watcher: Option<Arc<Subchannel>>,
    channel: Channel,
    config: Option<Arc<MethodConfig>>,
    deadline: Deadline,
    max_metadata_bytes: u32,
    /// The connection is gone: what was not written by now never will be.
    connection_over: bool,
    /// This side reset the stream, because its sending half gave up.
    given_up: bool,
    /// Who is told of the attempt.
    watch: Option<Arc<dyn StreamWatch>>,
}

impl Receive {
    fn new(
        prepared: &Prepared,
        recv: RecvPart,
        tag: StreamTag,
        attempts: Attempts,
        watcher: Option<Arc<Subchannel>>,
        watch: Option<Arc<dyn StreamWatch>>,
    ) -> Self {
        let limits = prepared.channel.limits();
        let machine = ClientCall::new(prepared.response_kind(), prepared.max_recv_bytes, EncodingSet::all());
        Receive {
            recv,
            machine: machine.with_limits(limits),
            tag,
            attempts,
            watcher,
            channel: prepared.channel.clone(),
            config: prepared.config.clone(),
            deadline: Deadline::new(prepared.deadline),
            max_metadata_bytes: u32::try_from(limits.max_metadata_bytes).unwrap_or(u32::MAX),
            connection_over: false,
            given_up: false,
            watch,
        }
    }

    /// The HTTP/2 code to reset the stream with, if the call was over before the stream was.
    pub(crate) fn needs_reset(&self) -> Option<u32> {
        self.machine.needs_reset()
    }

    /// Whether the message that came last had come compressed.
    pub(crate) fn last_compressed(&self) -> bool {
        self.machine.last_compressed()
    }

    /// See [`StreamTag::going_away`].
    pub(crate) fn going_away(&self) -> GoingAway {
        self.tag.going_away()
    }

    /// Whether the call ended because our own sending half gave it up.
    pub(crate) fn was_given_up(&self) -> bool {
        self.given_up
    }

    pub(crate) fn attempts(&self) -> Attempts {
        self.attempts
    }

    /// Counts the attempts that were begun beside this one, too.
    pub(crate) fn count_attempts(&mut self, all: u32) {
        (self.attempts.opened, self.attempts.unopened) = (all, 0);
    }

    /// Whether any of the request may have reached the server.
    pub(crate) fn was_written(&self) -> bool {
        self.tag.written()
    }

    pub(crate) fn peer(&self) -> &Peer {
        self.tag.peer()
    }

    /// The next thing that the server says. After `Done` or `Retry` there is nothing more.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Received> {
        loop {
            if let Some(received) = self.received() {
                return Poll::Ready(received);
            }
            if let Some(retry) = ready!(self.poll_stream(cx)) {
                return Poll::Ready(retry);
            }
        }
    }

    /// Ready when the response has begun, of which nothing is taken out: `None`. Else the end of the attempt.
    pub(crate) fn poll_begun(&mut self, cx: &mut Context<'_>) -> Poll<Option<Received>> {
        loop {
            if self.machine.has_headers() {
                return Poll::Ready(None);
            }
            if let Some(end) = self.received() {
                return Poll::Ready(Some(end));
            }
            if let Some(retry) = ready!(self.poll_stream(cx)) {
                return Poll::Ready(Some(retry));
            }
        }
    }

    fn received(&mut self) -> Option<Received> {
        Some(match self.machine.poll_event()? {
            ClientEvent::Headers(headers) => Received::Headers(headers),
            ClientEvent::Message(message) => {
                if let Some(watch) = &self.watch {
                    watch.received(ReceivedMessage {
                        wire_bytes: self.machine.last_wire_len(),
                        decompressed_bytes: self.machine.last_compressed().then_some(message.len()),
                    });
                }
                Received::Message(message)
            }
            ClientEvent::Done(status) => {
                if status.is_ok() {
                    self.tag.succeed();
                }
                self.count_excess();
                self.end(status)
            }
        })
    }

    /// Has the machine take in what the stream brings next; gives only that the attempt was turned away.
    fn poll_stream(&mut self, cx: &mut Context<'_>) -> Poll<Option<Received>> {
        match self.recv.poll_event(cx) {
            Poll::Ready(StreamEvent::Headers { status, headers, end }) => {
                self.machine.on_headers(status, headers, end);
            }
            Poll::Ready(StreamEvent::Data(data)) => self.machine.on_data(data),
            Poll::Ready(StreamEvent::Trailers(_)) if self.tag.was_cut() => {
                self.machine.fail(Status::resource_exhausted(format!(
                    "trailers are larger than max_metadata_bytes ({} bytes)",
                    self.max_metadata_bytes
                )));
            }
            Poll::Ready(StreamEvent::Trailers(trailers)) => self.machine.on_trailers(trailers),
            Poll::Ready(StreamEvent::End) => self.machine.on_end(),
            Poll::Ready(StreamEvent::Failed(failure)) => {
                if let Some(retry) = self.may_retry(&failure) {
                    return Poll::Ready(Some(retry));
                }
                self.given_up = matches!(failure, StreamFailure::LocalReset(CANCEL));
                self.connection_over =
                    !matches!(failure, StreamFailure::Reset(_) | StreamFailure::LocalReset(_));
                self.fail(&failure);
            }
            Poll::Pending => {
                ready!(self.deadline.poll(cx));
                self.machine.fail(deadline_exceeded("before the server answered in full"));
            }
        }
        Poll::Ready(None)
    }

    /// The end of this attempt: of the call, or not.
    fn end(&self, status: Status) -> Received {
        if let Some(watcher) = &self.watcher {
            watcher.calls().ended(&status);
        }
        self.tell_end(&status);
        let mut retries = self.attempts.retries;
        let policy = self.config.as_ref().and_then(|config| config.retry.as_ref());
        let hedging = self.config.as_ref().and_then(|config| config.hedging.as_ref());
        let throttle = self.channel.throttle();
        if let (Some(hedging), Some(throttle)) = (hedging, &throttle) {
            hedging.account(&status, throttle);
        }
        let pause = retries.after(&status, self.machine.has_headers(), policy, throttle.as_deref());
        let status = self.finished(status);
        let Some(pause) = pause else { return Received::Done(status) };
        if self.given_up || !in_time(self.deadline.at(), pause) {
            return Received::Done(status);
        }
        Received::Retry { status, again: Again::Policy(retries, pause) }
    }

    fn tell_end(&self, status: &Status) {
        if let Some(watch) = &self.watch {
            watch.ended(status);
        }
    }

    fn count_excess(&self) {
        let counters = self.tag.counters();
        match self.machine.exceeded() {
            Some(Exceeded::Message) => counters.message_bytes.hit(),
            Some(Exceeded::Metadata(Excess::Bytes(_))) => counters.metadata_bytes.hit(),
            Some(Exceeded::Metadata(Excess::Fields(_))) => counters.metadata_fields.hit(),
            None => {}
        }
    }

    fn fail(&mut self, failure: &StreamFailure) {
        match failure {
            StreamFailure::Reset(code) => self.machine.on_reset(*code, self.deadline.passed()),
            StreamFailure::LocalReset(CANCEL) if self.deadline.passed() => {
                self.machine.fail(deadline_exceeded("before the server answered in full"));
            }
            other => self.machine.fail(self.tag.failure_status(other, self.max_metadata_bytes)),
        }
    }

    /// Transparent retry (gRFC A6): always while the request was not processed, once if it was refused.
    fn may_retry(&self, failure: &StreamFailure) -> Option<Received> {
        if self.machine.has_headers() || self.attempts.opened >= MAX_OPENS || self.deadline.passed() {
            return None;
        }
        let (again, refused) = match failure {
            StreamFailure::Reset(REFUSED_STREAM) => (!self.attempts.refused, true),
            StreamFailure::Reset(_) | StreamFailure::LocalReset(_) => (false, false),
            _ => (self.tag.unprocessed(), false),
        };
        // Whoever may try again was certainly not served.
        let status = || {
            self.finished(self.tag.failure_status(failure, self.max_metadata_bytes)).with_sent(Sent::NotSent)
        };
        again.then(|| {
            let status = status();
            self.tell_end(&status);
            Received::Retry { status, again: Again::Unseen { refused } }
        })
    }

    /// Adds what only this side knows.
    fn finished(&self, status: Status) -> Status {
        if status.is_ok() {
            return status;
        }
        let sent = match status.sent() {
            Sent::MaybeSent if self.machine.has_headers() => Sent::Answered,
            // What is not written may still be, for as long as there is a connection.
            Sent::MaybeSent if self.connection_over && self.tag.unprocessed() => Sent::NotSent,
            known => known,
        };
        status
            .with_sent(sent)
            .with_attempts(self.attempts.count())
            .with_peer(self.tag.peer().addr().to_string())
    }
}

impl Attempts {
    /// Of an attempt that `made` others were begun before.
    pub(crate) fn behind(made: u32) -> Self {
        let why = if made == 0 { Why::First } else { Why::Hedge };
        Attempts { retries: Retries::behind(made), why, ..Attempts::default() }
    }

    /// How many attempts were begun.
    pub(crate) fn count(&self) -> u32 {
        self.opened + self.unopened
    }

    /// Takes note of how the last attempt ended, before the next one: a refusal counts, and so does a retry; that nobody
    /// saw it does not (gRFC A6).
    pub(crate) fn turned_away(&mut self, again: Again) {
        match again {
            Again::Unseen { refused } => {
                self.refused |= refused;
                self.why = Why::Unseen;
            }
            Again::Policy(retries, pause) => {
                self.retries = retries;
                self.why = Why::Retry;
                self.not_before = Some(after(Instant::now(), pause));
                // Of the new attempt nothing is known yet.
                self.refused = false;
            }
        }
    }
}
