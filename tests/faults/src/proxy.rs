//! A proxy in memory between a channel and a server, which passes frames on, or does to them what a fault says.
//!
//! It knows frames and no more: who speaks, of what kind, on which stream. Nothing of it depends on time, so that under a
//! paused clock every run is the same.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::sync::mpsc::UnboundedSender;

use crate::Frame;
use crate::frame::{PREFACE, kind};

/// More than a test has under way: nobody waits for a pipe, only for windows.
const PIPE_BYTES: usize = 16 << 20;

/// TLS: type, version and length of a record, and the type of one that is encrypted.
const RECORD_HEADER: usize = 5;
const APPLICATION_DATA: u8 = 23;

/// Who says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The channel.
    Client,
    /// The server.
    Server,
}

/// What is done to the bytes that pass.
#[derive(Clone, Copy)]
pub struct Fault {
    /// When the client has connected, before anything was said.
    pub begin: fn(&mut Passage),
    /// With each frame. It goes on only by [`Passage::pass`].
    pub frame: fn(&mut Passage, Side, Frame),
}

impl Fault {
    /// None.
    pub const NONE: Fault = Fault { begin: |_| {}, frame: |passage, from, frame| passage.pass(from, &frame) };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// Bytes pass without being looked at.
    Unread,
    Silent,
    Ended,
    Reset,
}

/// One connection through the proxy.
pub struct Passage {
    /// How many connections there were before.
    pub connection: usize,
    /// How many requests were begun by all connections so far, with the one whose headers are at hand.
    pub requests: usize,
    state: State,
    to_client: BytesMut,
    to_server: BytesMut,
    /// Who is told no more, and sees an orderly end.
    ended: Option<Side>,
    /// Encrypted records of the client that pass before one is spoiled.
    unspoiled: Option<usize>,
}

impl Passage {
    /// Passes a frame on.
    pub fn pass(&mut self, from: Side, frame: &Frame) {
        let to = if from == Side::Client { &mut self.to_server } else { &mut self.to_client };
        to.extend_from_slice(&frame.encode());
    }

    /// Says something to the client in the server's name, or a part of something.
    pub fn tell_client(&mut self, bytes: &[u8]) {
        self.to_client.extend_from_slice(bytes);
    }

    /// Passes everything on from here without looking at it: it may be TLS.
    pub fn leave_alone(&mut self) {
        self.state = State::Unread;
    }

    /// Like [`leave_alone`](Self::leave_alone), but one encrypted TLS record of the client comes to the server with another
    /// last byte, behind so many that are left alone.
    pub fn spoil_record(&mut self, behind: usize) {
        self.state = State::Unread;
        self.unspoiled = Some(behind);
    }

    /// This side sees an orderly end of what the other one says, behind what was said, and may go on speaking.
    pub fn end_for(&mut self, side: Side) {
        self.ended = Some(side);
    }

    /// Nothing more passes, and nobody is told.
    pub fn fall_silent(&mut self) {
        self.state = State::Silent;
    }

    /// Both sides see an orderly end of the connection, behind what was said.
    pub fn end(&mut self) {
        self.state = State::Ended;
    }

    /// The client sees that the connection was reset, the server its end.
    pub fn reset(&mut self) {
        self.state = State::Reset;
    }
}

/// See the [module](self).
pub struct FaultProxy {
    fault: Fault,
    connections: AtomicUsize,
    requests: Arc<AtomicUsize>,
    to_server: UnboundedSender<DuplexStream>,
}

impl FaultProxy {
    /// A proxy whose connections to the server come out of the other end of `to_server`.
    pub fn new(fault: Fault, to_server: UnboundedSender<DuplexStream>) -> Self {
        FaultProxy { fault, connections: AtomicUsize::new(0), requests: Arc::default(), to_server }
    }

    /// How many requests were begun so far.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// Connects.
    ///
    /// # Errors
    /// There is no server any more.
    pub fn dial(&self) -> io::Result<ClientEnd> {
        let (near, client) = tokio::io::duplex(PIPE_BYTES);
        let (far, server) = tokio::io::duplex(PIPE_BYTES);
        self.to_server.send(far).map_err(|_| io::ErrorKind::ConnectionRefused)?;
        let passage = Passage {
            connection: self.connections.fetch_add(1, Ordering::SeqCst),
            requests: 0,
            state: State::Open,
            to_client: BytesMut::new(),
            to_server: BytesMut::new(),
            ended: None,
            unspoiled: None,
        };
        let was_reset = Arc::new(AtomicBool::new(false));
        let pump = Pump {
            fault: self.fault,
            passage,
            client,
            server,
            requests: self.requests.clone(),
            newest_stream: 0,
            was_reset: was_reset.clone(),
        };
        tokio::spawn(pump.run());
        Ok(ClientEnd { near, was_reset })
    }
}

struct Pump {
    fault: Fault,
    passage: Passage,
    client: DuplexStream,
    server: DuplexStream,
    requests: Arc<AtomicUsize>,
    newest_stream: u32,
    was_reset: Arc<AtomicBool>,
}

impl Pump {
    /// Until one side is gone. An error of a pipe means no more than that.
    async fn run(mut self) {
        let (mut from_client, mut from_server) = (BytesMut::new(), BytesMut::new());
        let mut greeted = false;
        (self.fault.begin)(&mut self.passage);
        loop {
            if !greeted && self.passage.state == State::Open && from_client.len() >= PREFACE.len() {
                greeted = true;
                self.passage.to_server.extend_from_slice(&from_client.split_to(PREFACE.len()));
            }
            if self.passage.state == State::Unread {
                self.pass_unread(&mut from_client);
                self.passage.to_client.extend_from_slice(&from_server.split());
            }
            while greeted && let Some(frame) = self.next(&mut from_client) {
                self.count(&frame);
                (self.fault.frame)(&mut self.passage, Side::Client, frame);
            }
            while let Some(frame) = self.next(&mut from_server) {
                (self.fault.frame)(&mut self.passage, Side::Server, frame);
            }
            let (to_client, to_server) = (self.passage.to_client.split(), self.passage.to_server.split());
            let ended = |side| self.passage.ended == Some(side);
            if tell(&mut self.client, &to_client, ended(Side::Client)).await.is_err()
                | tell(&mut self.server, &to_server, ended(Side::Server)).await.is_err()
            {
                return;
            }
            match self.passage.state {
                State::Open | State::Unread => {}
                State::Ended => return,
                State::Reset => return self.was_reset.store(true, Ordering::SeqCst),
                State::Silent => {
                    while self.client.read_buf(&mut BytesMut::with_capacity(4096)).await.is_ok_and(|n| n > 0)
                    {
                    }
                    return;
                }
            }
            let read = tokio::select! {
                biased;
                read = self.client.read_buf(&mut from_client) => read,
                read = self.server.read_buf(&mut from_server) => read,
            };
            if read.ok().is_none_or(|bytes| bytes == 0) {
                return;
            }
        }
    }

    /// The next frame, while frames are looked at.
    fn next(&self, from: &mut BytesMut) -> Option<Frame> {
        (self.passage.state == State::Open).then(|| Frame::parse(from)).flatten()
    }

    /// What the client says in TLS, record by record where one of them is to be spoiled.
    fn pass_unread(&mut self, from_client: &mut BytesMut) {
        while let Some(left) = self.passage.unspoiled
            && let Some(header) = from_client.first_chunk::<RECORD_HEADER>()
        {
            let length = RECORD_HEADER + usize::from(u16::from_be_bytes([header[3], header[4]]));
            let encrypted = header[0] == APPLICATION_DATA;
            if from_client.len() < length {
                return;
            }
            let mut record = from_client.split_to(length);
            if encrypted {
                self.passage.unspoiled = left.checked_sub(1);
                if left == 0 {
                    record[length - 1] ^= 1;
                }
            }
            self.passage.to_server.extend_from_slice(&record);
        }
        if self.passage.unspoiled.is_none() {
            self.passage.to_server.extend_from_slice(&from_client.split());
        }
    }

    fn count(&mut self, frame: &Frame) {
        if frame.kind == kind::HEADERS && frame.stream > self.newest_stream {
            self.newest_stream = frame.stream;
            self.passage.requests = self.requests.fetch_add(1, Ordering::SeqCst) + 1;
        }
    }
}

/// Says something to one side, and ends it there. What would be said behind that end is lost.
async fn tell(side: &mut DuplexStream, bytes: &[u8], end: bool) -> io::Result<()> {
    match side.write_all(bytes).await {
        Ok(()) if end => side.shutdown().await,
        Err(error) if !end => Err(error),
        _ => Ok(()),
    }
}

/// The client's end of a connection: it tells a reset from an end.
pub struct ClientEnd {
    near: DuplexStream,
    was_reset: Arc<AtomicBool>,
}

impl AsyncRead for ClientEnd {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = Pin::new(&mut self.near).poll_read(cx, into);
        let ended = matches!(read, Poll::Ready(Ok(()))) && into.filled().len() == before;
        if ended && self.was_reset.load(Ordering::SeqCst) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        read
    }
}

impl AsyncWrite for ClientEnd {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.near).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.near).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.near).poll_shutdown(cx)
    }
}
