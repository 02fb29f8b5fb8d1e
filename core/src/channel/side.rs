//! Streams that a channel keeps open beside its calls, one for each connection: whether its server serves, and how much it
//! can bear.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::AUTHORIZATION;
use spanwire_wire::call::{ClientCall, ClientEvent, Limits, RequestTemplate, ResponseKind};
use spanwire_wire::encoding::{Encoding, EncodingSet};
use spanwire_wire::reset::CANCEL;
use tokio::time::Instant;

use super::backoff::{Backoff, BackoffConfig};
use super::credentials::Credentials;
use crate::message::Framing;
use crate::transport::client::{Connection, Opened, StreamTag, Unopened};
use crate::transport::{RecvPart, SendPart, StreamEvent, StreamFailure};
use crate::{Code, Metadata, Method, Status};

/// The largest message that is taken; a load report is some hundred bytes.
const MAX_RECV_BYTES: usize = 64 * 1024;

/// What it takes to make a call on a connection of the channel's.
#[derive(Debug)]
pub(crate) struct SideCalls {
    pub(crate) template: RequestTemplate,
    pub(crate) credentials: Option<Arc<Credentials>>,
    pub(crate) limits: Limits,
}

/// How many there are on the connections of a subchannel: they are no calls of the program's.
#[derive(Debug, Default)]
pub(crate) struct SideCount {
    live: AtomicUsize,
    opened: AtomicU64,
}

impl SideCount {
    /// Those that are open or wait for room.
    pub(crate) fn live(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    /// All there ever were.
    pub(crate) fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }
}

/// What becomes of a stream that is kept open.
#[derive(Debug)]
pub(crate) enum SideNews {
    /// It is opened, for the first time or again.
    Begun,
    Message(Bytes),
    /// It has ended, and is opened again after a pause.
    Ended(Status),
    /// The server does not have the method, so that is all.
    Unimplemented,
}

/// Keeps a stream open: one that has ended is opened again, at once if it brought anything, and otherwise with pauses that
/// grow (gRFC A17, A51). `hear` says what is wrong with a message, which ends the stream too.
pub(crate) async fn keep_open(
    connection: Arc<Connection>,
    calls: &SideCalls,
    count: &SideCount,
    backoff: BackoffConfig,
    (method, request): (Method, Bytes),
    mut hear: impl FnMut(SideNews) -> Result<(), Status>,
) {
    let mut backoff = Backoff::new(backoff);
    loop {
        let _ = hear(SideNews::Begun);
        backoff.start(Instant::now());
        let ended = {
            let _one = One::new(count);
            match SideCall::open(&connection, calls, count, &method, &request).await {
                Err(status) => status,
                Ok(mut call) => loop {
                    let message = poll_fn(|cx| call.poll_message(cx)).await;
                    match message.and_then(|message| hear(SideNews::Message(message))) {
                        Ok(()) => backoff.reset(),
                        Err(status) => break status,
                    }
                },
            }
        };
        if ended.code() == Code::Unimplemented {
            let _ = hear(SideNews::Unimplemented);
            return;
        }
        tracing::debug!(status = %ended, method = method.path(), "a stream beside the calls has ended");
        let _ = hear(SideNews::Ended(ended));
        tokio::time::sleep_until(backoff.failed(Instant::now())).await;
    }
}

/// Counts one while it is open.
struct One<'a>(&'a SideCount);

impl<'a> One<'a> {
    fn new(count: &'a SideCount) -> Self {
        count.live.fetch_add(1, Ordering::Relaxed);
        One(count)
    }
}

impl Drop for One<'_> {
    fn drop(&mut self) {
        self.0.live.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An open stream. Dropping it cancels it.
struct SideCall {
    send: SendPart,
    recv: RecvPart,
    machine: ClientCall,
    tag: StreamTag,
    max_metadata_bytes: u32,
}

impl Drop for SideCall {
    fn drop(&mut self) {
        self.send.reset(CANCEL);
    }
}

impl SideCall {
    async fn open(
        connection: &Connection,
        calls: &SideCalls,
        count: &SideCount,
        method: &Method,
        request: &Bytes,
    ) -> Result<Self, Status> {
        let token = match &calls.credentials {
            Some(credentials) => Some(credentials.header().await?),
            None => None,
        };
        let identity = Encoding::Identity;
        let mut head = calls.template.request(method.to_http()?, None, identity, Metadata::new());
        if let Some(token) = token {
            head.headers_mut().insert(AUTHORIZATION, token);
        }
        let closed = || Status::unavailable("the connection takes no more calls");
        let slot = connection.slot().await.ok_or_else(closed)?;
        count.opened.fetch_add(1, Ordering::Relaxed);
        let Opened { mut send, recv, mut tag } =
            connection.open(slot, head).map_err(|error| match error {
                Unopened::Closed(status) => status,
                Unopened::TooLarge(excess) => Status::resource_exhausted(excess.to_string()),
            })?;
        // It is no call of the program's, however it ends.
        tag.succeed();
        let framing = Framing { max_send_bytes: u32::MAX as usize, encoding: identity };
        // An error means that the stream is over already: the answer says why.
        let _ = send.send_now(framing.frame(request.clone(), false)?, true);
        let machine = ClientCall::new(ResponseKind::Many, MAX_RECV_BYTES, EncodingSet::all());
        let max_metadata_bytes = u32::try_from(calls.limits.max_metadata_bytes).unwrap_or(u32::MAX);
        Ok(SideCall { send, recv, machine: machine.with_limits(calls.limits), tag, max_metadata_bytes })
    }

    /// The next message; at the end the status, also if that is OK.
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Status>> {
        loop {
            match self.machine.poll_event() {
                Some(ClientEvent::Headers(_)) => continue,
                Some(ClientEvent::Message(message)) => return Poll::Ready(Ok(message)),
                Some(ClientEvent::Done(status)) => return Poll::Ready(Err(status)),
                None => {}
            }
            match ready!(self.recv.poll_event(cx)) {
                StreamEvent::Headers { status, headers, end } => {
                    self.machine.on_headers(status, headers, end);
                }
                StreamEvent::Data(data) => self.machine.on_data(data),
                StreamEvent::Trailers(trailers) => self.machine.on_trailers(trailers),
                StreamEvent::End => self.machine.on_end(),
                StreamEvent::Failed(StreamFailure::Reset(code)) => self.machine.on_reset(code, false),
                StreamEvent::Failed(failure) => {
                    self.machine.fail(self.tag.failure_status(&failure, self.max_metadata_bytes));
                }
            }
        }
    }
}
