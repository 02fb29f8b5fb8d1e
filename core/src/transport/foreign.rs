//! Streams that are no streams of HTTP/2 by themselves: those of HTTP/1.1, and those that are translated on their way.
//!
//! Above the seam they are halves like all others. They are behind a pointer, so that a program which has none is linked
//! without them.

use std::fmt::Debug;
use std::task::{Context, Poll};

use http::HeaderMap;

use super::header_list::Unsent;
use super::stream::{SendClosed, SendPart, StreamEvent};
use crate::message::Frame;

/// The sending half, as [`SendPart`] has it.
pub(crate) trait ForeignSend: Debug + Send {
    /// Sends as much of `frame` as there is room for; ready when all of it is on its way.
    fn poll_send(&mut self, cx: &mut Context<'_>, frame: &mut Frame) -> Poll<Result<(), SendClosed>>;

    /// Takes the whole frame, whatever room there is; `end` closes our half behind it.
    fn send_now(&mut self, frame: Frame, end: bool) -> Result<(), SendClosed>;

    /// Closes our half with trailers.
    fn trailers(&mut self, trailers: HeaderMap) -> Result<(), Unsent>;

    /// Whether some bytes could be sent now.
    fn has_room(&self) -> bool;

    /// Whether the peer has room for all that was handed over, and for more.
    fn has_room_behind(&mut self) -> bool;

    /// The number of the HTTP/2 stream below, if there is one; else 0.
    fn id(&self) -> u32;

    /// Gives the stream up.
    fn reset(&mut self, code: u32);

    /// Ready when the peer gave the stream up, or is gone. Like HTTP/2's it keeps one waker for this and for room.
    fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<u32>;
}

/// The receiving half, as [`RecvPart`](super::RecvPart) has it.
pub(crate) trait ForeignRecv: Debug + Send {
    /// The next event; nothing is asked for behind one that ends the stream.
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<StreamEvent>;

    /// Whether a good end is all that is left to come.
    fn at_end(&self) -> bool;
}

/// The way to answer a request, as [`Respond`](super::server::Respond) has it.
pub(crate) trait ForeignRespond: Debug + Send {
    /// Sends the head; with `end` the answer is complete.
    fn send(&mut self, head: http::Response<()>, end: bool) -> Result<SendPart, Unsent>;

    /// Gives the request up.
    fn reset(&mut self, code: u32);

    /// Ready when the client gave the call up, or is gone.
    fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<u32>;
}
