//! What a connection of HTTP/1.1 does on the wire, seen from below hyper.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;

use crate::transport::io::Io;

/// What was read and written.
#[derive(Debug, Default)]
pub(super) struct Wire {
    read: AtomicU64,
    written: AtomicU64,
    blocked: AtomicBool,
    /// The connection cannot go on.
    pub(super) dead: CancellationToken,
}

impl Wire {
    /// Bytes read so far.
    pub(super) fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Bytes written so far.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Whether something waits to be written.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked.load(Ordering::Relaxed)
    }

    fn wrote(&self, done: &Poll<io::Result<usize>>) {
        self.blocked.store(done.is_pending(), Ordering::Relaxed);
        if let Poll::Ready(Ok(bytes)) = done {
            self.written.fetch_add(*bytes as u64, Ordering::Relaxed);
        }
    }
}

/// The stream under hyper.
#[derive(Debug)]
pub(super) struct Counted {
    io: Io,
    wire: Arc<Wire>,
}

impl Counted {
    pub(super) fn new(io: Io, wire: Arc<Wire>) -> Self {
        Counted { io, wire }
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let done = Pin::new(&mut self.io).poll_read(cx, buf);
        self.wire.read.fetch_add((buf.filled().len() - before) as u64, Ordering::Relaxed);
        done
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.io).poll_write(cx, buf);
        self.wire.wrote(&done);
        done
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.wire.wrote(&done);
        done
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.io).poll_flush(cx);
        // TLS takes what it is given, and writes it here.
        self.wire.blocked.fetch_or(done.is_pending(), Ordering::Relaxed);
        done
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
