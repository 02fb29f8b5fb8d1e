//! The frame watcher: a byte stream between HTTP/2 and the socket (or TLS) that sees every frame header pass.
//!
//! The HTTP/2 layer answers PING and SETTINGS by itself, resets streams by itself, and shows none of it. What gRPC needs
//! to know of that (ping strikes, floods, a GOAWAY's debug data, which streams really went out) is read here, from the
//! nine bytes of each frame header. Bytes pass through untouched.
//!
//! ```text
//!   h2  ── write ──►  Watched ── scan what was accepted ──►  socket
//!   h2  ◄── read ───  Watched ◄── scan what came ──────────  socket
//!                        │ a limit is exceeded
//!                        ▼
//!    boundary ─► GOAWAY ─► flush ─► shutdown ─► drain ─► reads and writes fail
//! ```

use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, BytesMut};
use spanwire_wire::reset::REFUSED_STREAM;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub(crate) use self::facts::{GoAway, Limit, WireFacts};
use self::farewell::{DRAINED_READS, Farewell};
use self::police::{Moment, Police};
pub(crate) use self::police::{PingPolicy, Policing};
use self::scan::{FrameHead, FrameScanner, FrameSink, kind};
use self::settings::SettingsReader;
use crate::stats::Counters;

mod facts;
mod farewell;
mod police;
mod scan;
mod settings;
#[cfg(test)]
mod tests;

/// Which end of the connection this is: the client's bytes begin with a preface that is no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// We opened the connection.
    Client,
    /// We accepted it.
    Server,
}

/// The error that reads and writes end in when the peer exceeded a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LimitExceeded(pub(crate) Limit);

impl fmt::Display for LimitExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the peer exceeded a limit ({}); connection closed with ENHANCE_YOUR_CALM", self.0)
    }
}

impl std::error::Error for LimitExceeded {}

impl From<LimitExceeded> for io::Error {
    fn from(error: LimitExceeded) -> Self {
        io::Error::other(error)
    }
}

/// Most bytes that are held for a socket that takes none, so that reading goes on; see [`Watched::hold`].
const MAX_HELD: usize = 128 * 1024;

/// A byte stream whose HTTP/2 frames are watched.
///
/// To be polled by one task only, as the HTTP/2 layer does.
#[derive(Debug)]
pub(crate) struct Watched<T> {
    io: T,
    reader: FrameScanner,
    writer: FrameScanner,
    inspector: Inspector,
    farewell: Option<Box<Farewell>>,
    /// Waits for acknowledgements to be written before it reads on.
    paused_reader: Option<Waker>,
    /// Taken from HTTP/2, and not by the socket yet.
    held: BytesMut,
    /// A write waits, and nothing was read since.
    write_waits: bool,
}

impl<T> Watched<T> {
    /// Watches `io`, on which nothing was sent yet. Without `policing` nothing is limited.
    ///
    /// The facts live as long as anyone holds them, also after the connection.
    pub(crate) fn new(
        io: T,
        role: Role,
        policing: Option<Policing>,
        counters: Arc<Counters>,
    ) -> (Self, Arc<WireFacts>) {
        let facts = Arc::new(WireFacts::default());
        let (reader, writer) = match role {
            Role::Client => (FrameScanner::default(), FrameScanner::after_preface()),
            Role::Server => (FrameScanner::after_preface(), FrameScanner::default()),
        };
        let inspector = Inspector {
            facts: facts.clone(),
            counters,
            police: policing.map(Police::new),
            moment: Moment::default(),
            payload_of: 0,
            go_away: Vec::new(),
            settings: SettingsReader::default(),
            block_bytes: 0,
            reset: (0, 0),
            role,
        };
        let watched = Self {
            io,
            reader,
            writer,
            inspector,
            farewell: None,
            paused_reader: None,
            held: BytesMut::new(),
            write_waits: false,
        };
        (watched, facts)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Watched<T> {
    /// Begins the end of the connection if a limit is exceeded.
    fn check_limits(&mut self) {
        if self.farewell.is_none()
            && let Some(limit) = self.inspector.exceeded()
        {
            self.inspector.facts.set_limit_exceeded(limit);
            limit.counter(&self.inspector.counters).hit();
            let last_stream = match self.inspector.role {
                Role::Client => 0,
                Role::Server => self.inspector.facts.max_read_stream(),
            };
            tracing::debug!(limit = limit.name(), "the peer exceeded a limit: closing the connection");
            self.farewell = Some(Box::new(Farewell::new(limit, last_stream)));
        }
    }

    /// Moves the end on. Ready with the error once it is over; pending for ever without one.
    fn poll_farewell(&mut self, cx: &mut Context<'_>) -> Poll<LimitExceeded> {
        // An error here meets the goodbye as well.
        let released = self.farewell.is_some() && self.poll_release(cx).is_ready();
        let at_boundary = released && self.writer.bytes_to_boundary() == 0;
        match &mut self.farewell {
            Some(farewell) => farewell.poll(&mut self.io, cx, at_boundary).map(LimitExceeded),
            None => Poll::Pending,
        }
    }

    /// Gives the socket what is held.
    fn poll_release(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            match ready!(Pin::new(&mut self.io).poll_write(cx, &self.held))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.held.advance(written),
            }
            if self.held.is_empty() {
                self.held = BytesMut::new();
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Takes bytes that the socket does not take, if HTTP/2 waits with reading until it has written.
    ///
    /// h2 reads nothing while an acknowledgement or a ping of its own has to wait behind DATA that is half written. If
    /// the peer does likewise, both write and nobody reads, for ever. So the DATA is taken here, up to a bound: then
    /// the acknowledgement has room, and reading goes on.
    fn hold(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        // In a round of h2 that reads, it reads first. So a second write without a read between is one that does not.
        if !std::mem::replace(&mut self.write_waits, true) {
            return Poll::Pending;
        }
        let mut taken = 0;
        for buf in bufs {
            let part = &buf[..buf.len().min(MAX_HELD - self.held.len())];
            self.held.extend_from_slice(part);
            taken += part.len();
        }
        if taken == 0 {
            return Poll::Pending;
        }
        // The flush that follows waits for the socket: what has room now must not.
        cx.waker().wake_by_ref();
        Poll::Ready(Ok(taken))
    }

    /// Writes to the socket, after what is held.
    fn poll_write_on(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
        write: impl FnOnce(Pin<&mut T>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let result = match self.poll_release(cx) {
            Poll::Ready(Ok(())) => write(Pin::new(&mut self.io), cx),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        };
        let result = if result.is_pending() { self.hold(cx, bufs) } else { result };
        if let Poll::Ready(Ok(written)) = result {
            self.wrote(cx, bufs, written);
        }
        result
    }

    /// Takes note of the `written` first bytes of `bufs`.
    fn wrote(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>], mut written: usize) {
        self.inspector.moment = Moment::default();
        for buf in bufs {
            let part = &buf[..buf.len().min(written)];
            self.writer.scan(part, &mut Written(&mut self.inspector));
            written -= part.len();
            if written == 0 {
                break;
            }
        }
        self.check_limits();
        if self.farewell.is_some() {
            // It goes on with the next read, and nothing but this write can tell the reader.
            cx.waker().wake_by_ref();
        }
        let stopped = self.inspector.police.as_ref().is_some_and(Police::must_stop_reading);
        if !stopped && let Some(reader) = self.paused_reader.take() {
            reader.wake();
        }
    }

    /// Throws away what has come and will not be read: to close a socket with unread bytes would be a TCP reset, which a
    /// client of another protocol takes for a broken network.
    fn drop_unread(&mut self, cx: &mut Context<'_>) {
        let mut thrown_away = [0; 4096];
        for _ in 0..DRAINED_READS {
            let mut buf = ReadBuf::new(&mut thrown_away);
            let result = Pin::new(&mut self.io).poll_read(cx, &mut buf);
            if !matches!(result, Poll::Ready(Ok(()))) || buf.filled().is_empty() {
                return;
            }
        }
    }

    /// Lets a frame that is half written be finished, and no other be begun; then says goodbye.
    fn poll_last_write(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        ready!(self.poll_release(cx))?;
        let room = self.writer.bytes_to_boundary();
        if room == 0 {
            return self.poll_farewell(cx).map(|error| Err(error.into()));
        }
        let buf = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| buf);
        let buf = &buf[..buf.len().min(room)];
        let result = Pin::new(&mut self.io).poll_write(cx, buf);
        if let Poll::Ready(Ok(written)) = result {
            self.wrote(cx, &[IoSlice::new(buf)], written);
        }
        result
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Watched<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.write_waits = false;
        if this.farewell.is_some() {
            return this.poll_farewell(cx).map(|error| Err(error.into()));
        }
        if this.inspector.police.as_ref().is_some_and(Police::must_stop_reading) {
            if this.paused_reader.replace(cx.waker().clone()).is_none() {
                this.inspector.counters.pending_acks.hit();
            }
            return Poll::Pending;
        }
        if this.inspector.facts.is_turn_over() {
            // The runtime looks for what came for others before it comes back to this task.
            let _ = pin!(tokio::task::yield_now()).poll(cx);
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let result = Pin::new(&mut this.io).poll_read(cx, buf);
        match result {
            Poll::Ready(Ok(())) => {
                let new = &buf.filled()[before..];
                this.inspector.moment = Moment::default();
                this.inspector.facts.read_bytes.add(new.len() as u64);
                this.reader.scan(new, &mut Read(&mut this.inspector));
                this.check_limits();
                if this.farewell.is_some() {
                    buf.set_filled(before);
                    return this.poll_farewell(cx).map(|error| Err(error.into()));
                }
                if this.reader.is_foreign() {
                    this.drop_unread(cx);
                }
            }
            Poll::Pending => this.inspector.batch_ends(),
            Poll::Ready(Err(_)) => {}
        }
        result
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.farewell.is_some() {
            return this.poll_last_write(cx, &[IoSlice::new(buf)]);
        }
        this.poll_write_on(cx, &[IoSlice::new(buf)], |io, cx| io.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.farewell.is_some() {
            return this.poll_last_write(cx, bufs);
        }
        this.poll_write_on(cx, bufs, |io, cx| io.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_release(cx))?;
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_release(cx))?;
        Pin::new(&mut this.io).poll_shutdown(cx)
    }
}

/// What both directions report to.
#[derive(Debug)]
struct Inspector {
    facts: Arc<WireFacts>,
    counters: Arc<Counters>,
    police: Option<Police>,
    moment: Moment,
    /// The type of the frame whose payload is coming in.
    payload_of: u8,
    /// The payload of a GOAWAY that is coming in.
    go_away: Vec<u8>,
    settings: SettingsReader,
    /// Payload bytes so far of the header block that is coming in.
    block_bytes: u64,
    /// The stream and the code of a RST_STREAM that is going out.
    reset: (u32, u32),
    role: Role,
}

impl Inspector {
    fn exceeded(&self) -> Option<Limit> {
        self.police.as_ref().and_then(Police::exceeded)
    }

    fn batch_ends(&mut self) {
        if let Some(police) = &mut self.police {
            police.batch_ends(&self.facts);
        }
    }
}

impl Drop for Inspector {
    fn drop(&mut self) {
        let facts = &*self.facts;
        tracing::debug!(
            role = ?self.role,
            read_bytes = facts.read_bytes(),
            read_frames = facts.read_frames(),
            read_data_bytes = facts.read_data_bytes(),
            written_frames = facts.written_frames(),
            written_headers = facts.written_headers(),
            written_data = facts.written_data(),
            resets_read = facts.resets_read(),
            resets_written = facts.resets_written(),
            pings_read = facts.pings_read(),
            settings_read = facts.settings_read(),
            glitches_read = facts.glitches_read(),
            limit = facts.limit_exceeded().map(Limit::name),
            "HTTP/2 connection closed"
        );
    }
}

/// Frames that came in.
struct Read<'a>(&'a mut Inspector);

impl FrameSink for Read<'_> {
    fn frame(&mut self, head: FrameHead) -> bool {
        let Inspector { facts, counters, police, moment, block_bytes, .. } = &mut *self.0;
        facts.read_frames.add(1);
        let has_block = matches!(head.kind, kind::HEADERS | kind::CONTINUATION);
        facts.worked(if has_block { head.length } else { 0 });
        match head.kind {
            kind::DATA => {
                facts.read_data_bytes.add(u64::from(head.length));
                facts.set_last_data_stream(head.stream);
                return false;
            }
            kind::HEADERS => {
                *block_bytes = u64::from(head.length);
                let new = facts.raise_read_stream(head.stream);
                if new {
                    facts.call_begins();
                }
                if let Some(police) = police {
                    police.headers_read(new.then_some(head.stream));
                }
                return false;
            }
            kind::RST_STREAM => {
                facts.resets_read.add(1);
                if facts.lingering.count() > 0 {
                    facts.lingering.moved_on(head.stream, true);
                }
            }
            kind::PING if !head.is_ack() => facts.pings_read.add(1),
            // Counted at its end, when what it says is known.
            kind::SETTINGS if !head.is_ack() => {}
            kind::CONTINUATION => {
                let before = *block_bytes;
                *block_bytes += u64::from(head.length);
                if (before..*block_bytes).contains(&facts.longest_block()) {
                    facts.add_cut_block(head.stream);
                    counters.metadata_bytes.hit();
                }
            }
            kind::PING | kind::SETTINGS | kind::PUSH_PROMISE | kind::GOAWAY => {}
            _ => facts.glitches_read.add(1),
        }
        if let Some(police) = police {
            police.control_read(head, facts, moment);
        }
        self.0.payload_of = head.kind;
        head.kind == kind::GOAWAY || head.kind == kind::SETTINGS && !head.is_ack()
    }

    fn payload(&mut self, bytes: &[u8], last: bool) {
        const MAX: usize = 8 + facts::MAX_GO_AWAY_DEBUG;
        if self.0.payload_of == kind::SETTINGS {
            if let Some(limit) = self.0.settings.read(bytes, last) {
                self.0.facts.set_header_list_limit(limit);
            }
            self.0.facts.settings_read.add(u64::from(last));
            return;
        }
        let kept = &mut self.0.go_away;
        kept.extend_from_slice(&bytes[..bytes.len().min(MAX - kept.len())]);
        if last {
            if let Some(go_away) = GoAway::parse(kept) {
                self.0.facts.add_go_away(go_away);
            }
            kept.clear();
        }
    }
}

/// Frames that went out.
struct Written<'a>(&'a mut Inspector);

impl FrameSink for Written<'_> {
    fn frame(&mut self, head: FrameHead) -> bool {
        let Inspector { facts, police, .. } = &mut *self.0;
        facts.written_frames.add(1);
        if facts.lingering.count() > 0 && matches!(head.kind, kind::DATA | kind::HEADERS | kind::RST_STREAM) {
            facts.lingering.moved_on(head.stream, head.kind == kind::RST_STREAM || head.ends_stream());
        }
        match head.kind {
            kind::DATA => facts.written_data.add(1),
            kind::HEADERS => {
                facts.written_headers.add(1);
                facts.raise_written_stream(head.stream);
            }
            kind::RST_STREAM => {
                facts.resets_written.add(1);
                self.0.reset = (head.stream, 0);
                return true;
            }
            kind::GOAWAY => facts.go_aways_written.add(1),
            _ => {}
        }
        if let Some(police) = police {
            police.frame_written(head);
        }
        false
    }

    /// Of a RST_STREAM.
    fn payload(&mut self, bytes: &[u8], last: bool) {
        let Inspector { facts, counters, police, moment, reset: (stream, code), role, .. } = &mut *self.0;
        *code = bytes.iter().fold(*code, |code, byte| code << 8 | u32::from(*byte));
        if !last {
            return;
        }
        if *code == REFUSED_STREAM && *role == Role::Server {
            counters.refused_streams.hit();
        }
        if let Some(police) = police {
            police.reset_written(*stream, *code, facts, moment);
        }
    }
}
