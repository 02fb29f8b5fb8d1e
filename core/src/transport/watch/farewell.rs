//! How a connection ends whose peer exceeded a limit: with a GOAWAY that says why, if the peer lets it out.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use spanwire_wire::reset::ENHANCE_YOUR_CALM;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::facts::Limit;
use super::scan::kind;

/// How long a peer may take to receive its GOAWAY.
const PATIENCE: Duration = Duration::from_secs(1);

/// How many bytes of a peer that keeps sending are thrown away, in pieces of 4 KiB. To close a socket with unread bytes
/// would make the system discard the GOAWAY at the peer, so an honest peer gets this much time to fall silent.
pub(super) const DRAINED_READS: u32 = 64;

/// ```text
/// Write ─► Flush ─► Shutdown ─► Drain ─► Over        any error, or PATIENCE: ─► Over
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Write(usize),
    Flush,
    Shutdown,
    Drain(u32),
    Over,
}

/// The end of a connection.
#[derive(Debug)]
pub(super) struct Farewell {
    limit: Limit,
    frame: Vec<u8>,
    stage: Stage,
    patience: Pin<Box<Sleep>>,
}

impl Farewell {
    /// Streams above `last_stream` were not taken up.
    pub(super) fn new(limit: Limit, last_stream: u32) -> Self {
        let patience = Box::pin(tokio::time::sleep(PATIENCE));
        Self { limit, frame: go_away(limit, last_stream), stage: Stage::Write(0), patience }
    }

    /// Moves on as far as `io` lets it. `at_boundary` says that no frame is half written. Ready when it is over.
    pub(super) fn poll<T: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        io: &mut T,
        cx: &mut Context<'_>,
        at_boundary: bool,
    ) -> Poll<Limit> {
        if self.stage != Stage::Over {
            let begun = self.stage != Stage::Write(0);
            let done = at_boundary || begun;
            let gone = if done { self.advance(io, cx) } else { Poll::Pending };
            if gone.is_pending() && self.patience.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.stage = Stage::Over;
        }
        Poll::Ready(self.limit)
    }

    /// The result says only that nothing is left to do: an error ends the connection just as well.
    fn advance<T: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        io: &mut T,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            self.stage = match self.stage {
                Stage::Write(at) if at < self.frame.len() => {
                    match ready!(Pin::new(&mut *io).poll_write(cx, &self.frame[at..]))? {
                        0 => Stage::Over,
                        written => Stage::Write(at + written),
                    }
                }
                Stage::Write(_) => Stage::Flush,
                Stage::Flush => {
                    ready!(Pin::new(&mut *io).poll_flush(cx))?;
                    Stage::Shutdown
                }
                Stage::Shutdown => {
                    ready!(Pin::new(&mut *io).poll_shutdown(cx))?;
                    Stage::Drain(DRAINED_READS)
                }
                Stage::Drain(0) => Stage::Over,
                Stage::Drain(left) => {
                    let mut thrown_away = [0; 4096];
                    let mut buf = ReadBuf::new(&mut thrown_away);
                    ready!(Pin::new(&mut *io).poll_read(cx, &mut buf))?;
                    if buf.filled().is_empty() { Stage::Over } else { Stage::Drain(left - 1) }
                }
                Stage::Over => return Poll::Ready(Ok(())),
            };
        }
    }
}

fn go_away(limit: Limit, last_stream: u32) -> Vec<u8> {
    let debug = limit.name().as_bytes();
    let [_, length @ ..] = (8 + debug.len() as u32).to_be_bytes();
    let mut frame = Vec::with_capacity(17 + debug.len());
    frame.extend_from_slice(&length);
    frame.extend_from_slice(&[kind::GOAWAY, 0, 0, 0, 0, 0]);
    frame.extend_from_slice(&last_stream.to_be_bytes());
    frame.extend_from_slice(&ENHANCE_YOUR_CALM.to_be_bytes());
    frame.extend_from_slice(debug);
    frame
}
