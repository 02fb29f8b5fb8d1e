//! The body of a request, on its way from hyper to the call.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use hyper::body::{Body as _, Incoming};
use tokio::time::{Instant, timeout};

use super::wire::Wire;
use crate::stats::Calls;
use crate::timer::{Timer, after};
use crate::transport::foreign::ForeignRecv;
use crate::transport::stream::{StreamEvent, StreamFailure};

/// As much of a request that nobody wants is read, and for so long, so that its client sees the answer: a connection that
/// is closed on data loses what was sent on it.
const LEFT_BYTES: usize = 64 * 1024;
const LEFT_TIME: Duration = Duration::from_secs(1);

/// The body of a request.
#[derive(Debug)]
pub(super) struct Request {
    /// Until it is dropped.
    body: Option<Incoming>,
    left: Left,
    /// How long a client may send nothing while somebody waits for it.
    stall: Option<Duration>,
    since: Option<Instant>,
    timer: Timer,
    wire: Arc<Wire>,
    calls: Arc<Calls>,
}

impl Request {
    /// What the call does not read of it goes to `left`.
    pub(super) fn new(
        body: Incoming,
        left: &Left,
        stall: Option<Duration>,
        wire: Arc<Wire>,
        calls: Arc<Calls>,
    ) -> Self {
        let timer = Timer::default();
        Request { body: Some(body), left: left.clone(), stall, since: None, timer, wire, calls }
    }
}

impl ForeignRecv for Request {
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<StreamEvent> {
        let Some(body) = &mut self.body else { return Poll::Ready(StreamEvent::End) };
        let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) else {
            let since = *self.since.get_or_insert_with(Instant::now);
            let end = self.stall.map(|stall| after(since, stall));
            return self.timer.poll(end, cx).map(|()| {
                self.calls.limits().stalled_streams.hit();
                self.wire.dead.cancel();
                lost("stall_timeout: the client sent nothing of its request for so long")
            });
        };
        self.since = None;
        Poll::Ready(match frame {
            None => StreamEvent::End,
            Some(Err(error)) => lost(&error.to_string()),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => StreamEvent::Data(data),
                Err(_) => StreamEvent::Trailers(HeaderMap::new()),
            },
        })
    }

    fn at_end(&self) -> bool {
        self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if let Some(body) = self.body.take().filter(|body| !body.is_end_stream()) {
            *self.left.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
        }
    }
}

fn lost(why: &str) -> StreamEvent {
    StreamEvent::Failed(StreamFailure::Lost(why.to_owned()))
}

/// What nobody read of a request.
#[derive(Clone, Debug, Default)]
pub(super) struct Left(Arc<Mutex<Option<Incoming>>>);

impl Left {
    /// Takes in the rest of a request that was answered without it, within bounds.
    pub(super) async fn take_in(self) {
        let left = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut body) = left else { return };
        let mut bytes = 0;
        let read = async {
            while bytes < LEFT_BYTES
                && let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await
            {
                bytes += frame.data_ref().map_or(0, Bytes::len);
            }
        };
        // The error is the time that has passed.
        let _ = timeout(LEFT_TIME, read).await;
    }
}
