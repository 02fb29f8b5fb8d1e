//! The sending half of a stream.

use std::fmt;
use std::task::{Context, Poll};

use h2::Reason;

use crate::Frame;

/// Sends data and trailers on one stream.
pub struct SendStream(pub(crate) h2::SendStream<Frame>);

impl SendStream {
    /// Hands data over, whatever the peer's windows. `end` closes our half behind it.
    ///
    /// # Errors
    /// The stream is closed.
    pub fn send_data(&mut self, data: Frame, end: bool) -> Result<(), h2::Error> {
        self.0.send_data(data, end)
    }

    /// Sends trailers, which close our half.
    ///
    /// # Errors
    /// The stream is closed.
    pub fn send_trailers(&mut self, trailers: http::HeaderMap) -> Result<(), h2::Error> {
        self.0.send_trailers(trailers)
    }

    /// Resets the stream.
    pub fn send_reset(&mut self, reason: Reason) {
        self.0.send_reset(reason);
    }

    /// Asks for room for so many bytes in all.
    pub fn reserve_capacity(&mut self, bytes: usize) {
        self.0.reserve_capacity(bytes);
    }

    /// How many bytes have room now.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// Ready when there is more room than there was; `None` when the stream is closed.
    pub fn poll_capacity(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<usize, h2::Error>>> {
        self.0.poll_capacity(cx)
    }

    /// Ready when the peer has reset the stream.
    pub fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<Result<Reason, h2::Error>> {
        self.0.poll_reset(cx)
    }

    /// The stream's number.
    #[must_use]
    pub fn stream_id(&self) -> u32 {
        self.0.stream_id().as_u32()
    }
}

impl fmt::Debug for SendStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendStream").finish_non_exhaustive()
    }
}
