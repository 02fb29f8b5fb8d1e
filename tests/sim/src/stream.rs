//! One connection: two directions of bytes that are delayed, cut into pieces, held up and lost.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::{Random, Trace};

/// How a connection ends before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Both ends learn of it; what is under way still arrives.
    Reset,
    /// Both ends learn of it; what is under way is lost.
    Lost,
    /// Nothing arrives any more, in either direction, and nobody is told.
    Dark,
    /// Nothing that the client sends arrives any more, and nobody is told.
    ClientUnheard,
    /// Nothing that the server sends arrives any more, and nobody is told.
    ServerUnheard,
}

/// What one direction does to bytes.
#[derive(Clone, Debug)]
pub(crate) struct Path {
    pub(crate) latency: (u64, u64),
    /// Most bytes of one read or write.
    pub(crate) piece: usize,
    /// Most bytes under way; the writer waits for room.
    pub(crate) capacity: usize,
}

#[derive(Debug)]
struct Direction {
    path: Path,
    under_way: VecDeque<(Instant, Vec<u8>)>,
    queued: usize,
    latest: Option<Instant>,
    written: u64,
    /// The writer closed it; its end arrives then.
    ends: Option<Instant>,
    dark: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Direction {
    fn new(path: Path) -> Self {
        Direction {
            path,
            under_way: VecDeque::new(),
            queued: 0,
            latest: None,
            written: 0,
            ends: None,
            dark: false,
            reader: None,
            writer: None,
        }
    }

    fn wake(&mut self) {
        self.reader.take().into_iter().chain(self.writer.take()).for_each(Waker::wake);
    }

    /// When what is sent now arrives: never before what was sent earlier.
    fn arrival(&mut self, random: &mut Random) -> Instant {
        let (least, most) = self.path.latency;
        let at = Instant::now() + Duration::from_millis(random.within(least..=most));
        let at = self.latest.map_or(at, |latest| at.max(latest));
        self.latest = Some(at);
        at
    }
}

/// A connection between a client (side 0) and a server (side 1). Direction 0 is what the client writes.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) number: u64,
    random: Random,
    trace: Trace,
    directions: [Direction; 2],
    /// Which ends are still held by somebody.
    held: [bool; 2],
    broken: bool,
    /// What happens when one direction has carried so many bytes.
    plan: Option<(usize, u64, Fate)>,
}

impl Connection {
    pub(crate) fn open(
        number: u64,
        mut random: Random,
        trace: Trace,
        paths: [Path; 2],
        plan: Option<(usize, u64, Fate)>,
    ) -> (Arc<Mutex<Connection>>, SimStream, SimStream) {
        let gathers = random.percent(50);
        let directions = paths.map(Direction::new);
        let held = [true, true];
        let connection = Connection { number, random, trace, directions, held, broken: false, plan };
        let connection = Arc::new(Mutex::new(connection));
        let end = |side| SimStream { connection: connection.clone(), side, gathers, sleep: None };
        let (client, server) = (end(0), end(1));
        (connection, client, server)
    }

    pub(crate) fn is_held(&self) -> bool {
        self.held.contains(&true)
    }

    pub(crate) fn note_state(&self) {
        let states = self.directions.each_ref().map(|direction| {
            let waits = (direction.reader.is_some(), direction.writer.is_some());
            let Direction { queued, written, dark, path, .. } = direction;
            format!("{written} bytes, {queued} of {} under way, dark {dark}, waits {waits:?}", path.capacity)
        });
        self.trace.note(format_args!("connection {}, held {:?}: {states:?}", self.number, self.held));
    }

    pub(crate) fn end(&mut self, fate: Fate) {
        if self.broken {
            return;
        }
        self.trace.note(format_args!("connection {}: {fate:?}", self.number));
        match fate {
            Fate::Reset => self.broken = true,
            Fate::Lost => {
                self.broken = true;
                self.directions.iter_mut().for_each(|direction| direction.under_way.clear());
            }
            Fate::Dark => self.directions.iter_mut().for_each(|direction| direction.dark = true),
            Fate::ClientUnheard => self.directions[0].dark = true,
            Fate::ServerUnheard => self.directions[1].dark = true,
        }
        self.directions.iter_mut().for_each(Direction::wake);
    }

    fn write(&mut self, side: usize, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let direction = &mut self.directions[side];
        if self.broken || direction.ends.is_some() {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        if !self.held[1 - side] && self.directions[1 - side].ends.is_some_and(|at| at <= Instant::now()) {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        let direction = &mut self.directions[side];
        let room = direction.path.capacity.saturating_sub(direction.queued);
        if room == 0 {
            direction.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let mut taken = bytes.len().min(room).min(direction.path.piece);
        if taken > 1 && self.random.percent(30) {
            taken = self.random.within(1..=taken as u64) as usize;
        }
        let arrives = direction.arrival(&mut self.random);
        direction.under_way.push_back((arrives, bytes[..taken].to_vec()));
        direction.queued += taken;
        direction.written += taken as u64;
        if let Some(waker) = direction.reader.take() {
            waker.wake();
        }
        self.trace.bytes(self.number, side, &bytes[..taken]);
        if let Some((of, after, fate)) = self.plan
            && self.directions[of].written >= after
        {
            self.plan = None;
            self.end(fate);
        }
        Poll::Ready(Ok(taken))
    }

    /// Ready bytes go into `buffer`; else the moment at which to look again, if there is one.
    fn read(&mut self, side: usize, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Result<(), Wait> {
        let now = Instant::now();
        let direction = &mut self.directions[1 - side];
        direction.reader = Some(cx.waker().clone());
        if direction.dark {
            return Err(if self.broken { Wait::Failed(ErrorKind::ConnectionReset) } else { Wait::Wake });
        }
        let mut room = buffer.remaining().min(direction.path.piece);
        if room > 1 && self.random.percent(30) {
            room = self.random.within(1..=room as u64) as usize;
        }
        let mut read = 0;
        while read < room
            && let Some((arrives, bytes)) = direction.under_way.front_mut()
            && *arrives <= now
        {
            let part = bytes.len().min(room - read);
            buffer.put_slice(&bytes[..part]);
            read += part;
            if part == bytes.len() {
                direction.under_way.pop_front();
            } else {
                bytes.drain(..part);
            }
        }
        if read > 0 {
            direction.queued -= read;
            if let Some(waker) = direction.writer.take() {
                waker.wake();
            }
            return Ok(());
        }
        if let Some((arrives, _)) = direction.under_way.front() {
            return Err(Wait::Until(*arrives));
        }
        match direction.ends {
            _ if self.broken => Err(Wait::Failed(ErrorKind::ConnectionReset)),
            Some(ends) if ends <= now => Ok(()),
            Some(ends) => Err(Wait::Until(ends)),
            None => Err(Wait::Wake),
        }
    }

    /// The writer of `side` is done.
    fn close(&mut self, side: usize) {
        let direction = &mut self.directions[side];
        if direction.ends.is_none() {
            direction.ends = Some(direction.arrival(&mut self.random));
        }
        self.directions.iter_mut().for_each(Direction::wake);
    }
}

/// Why there is nothing to read.
enum Wait {
    Wake,
    Until(Instant),
    Failed(ErrorKind),
}

/// One end of a connection.
#[derive(Debug)]
pub struct SimStream {
    connection: Arc<Mutex<Connection>>,
    side: usize,
    /// Whether it takes several buffers in one write.
    gathers: bool,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl AsyncRead for SimStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            let waited = this.connection.lock().unwrap().read(this.side, cx, buffer);
            match waited {
                Ok(()) => return Poll::Ready(Ok(())),
                Err(Wait::Wake) => return Poll::Pending,
                Err(Wait::Failed(kind)) => return Poll::Ready(Err(kind.into())),
                Err(Wait::Until(at)) => {
                    let sleep = this.sleep.get_or_insert_with(|| Box::pin(sleep_until(at)));
                    if sleep.deadline() != at {
                        sleep.as_mut().reset(at);
                    }
                    if sleep.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                }
            }
        }
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.connection.lock().unwrap().write(self.side, cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let bytes =
            buffers.iter().flat_map(|buffer| buffer.iter().copied()).take(128 * 1024).collect::<Vec<_>>();
        self.poll_write(cx, &bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.gathers
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.lock().unwrap().close(self.side);
        Poll::Ready(Ok(()))
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        let mut connection = self.connection.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        connection.held[self.side] = false;
        let name = ["client", "server"][self.side];
        connection.trace.note(format_args!("connection {}: the {name} leaves", connection.number));
        connection.close(self.side);
    }
}
