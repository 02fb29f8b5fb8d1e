//! The other end of a connection: an HTTP/2 peer that says whatever the input tells it to.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use spanwire_faults::frame::{PREFACE, flag, kind};
use spanwire_faults::{Fields, Frame, grpc, indexed_literal, references};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf, split};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::Input;
use crate::input::pieces;

/// How many bytes a repetition may say at once: enough for a flood of small frames, too little to make a run slow.
const MOST_REPEATED: usize = 32 * 1024;

/// Which side the peer plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// It calls, and speaks first.
    Client,
    /// It answers.
    Server,
}

/// The methods that calls are made to.
pub const METHODS: [&str; 6] = [
    "/fuzz.Echo/Unary",
    "/fuzz.Echo/Down",
    "/fuzz.Echo/Up",
    "/fuzz.Echo/Bidi",
    "/fuzz.Echo/Slow",
    "/fuzz.Echo/None",
];

/// What went over a connection.
#[derive(Debug, Default)]
pub struct Transcript {
    /// What the peer said.
    pub sent: Vec<u8>,
    /// What it was told.
    pub heard: Vec<u8>,
}

/// Runs one connection until the script ends or says that the connection does, or until the engine closes it.
pub async fn play(input: &mut Input<'_>, pipe: DuplexStream, side: Side) -> Transcript {
    let (read, write) = split(pipe);
    let ears = Arc::new(Ears::default());
    let listening = tokio::spawn(ears.clone().listen(read));
    let mut peer = Peer { side, write, sent: Vec::new(), last: Vec::new(), next_stream: 1, ears };
    let how = input.byte();
    if how & 1 == 0 {
        let opened = peer.open(how).await;
        while opened && !input.is_empty() && peer.step(input).await {}
    } else {
        // Bytes as they are, such as those of a recorded connection.
        let cuts = input.bytes();
        for piece in pieces(input.rest(), cuts) {
            if !peer.say(piece).await {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    // It goes at once, or stays for a while and says nothing.
    if how & 2 == 0 {
        peer.ears.open(true);
        sleep(Duration::from_millis(if how & 32 == 0 { 100 } else { 100_000 })).await;
    }
    let Peer { write, sent, ears, .. } = peer;
    listening.abort();
    let _ = listening.await;
    drop(write);
    let heard = std::mem::take(&mut *ears.heard.lock().unwrap_or_else(PoisonError::into_inner));
    Transcript { sent, heard }
}

/// Reads what the engine sends, unless it is told not to.
#[derive(Debug, Default)]
struct Ears {
    heard: Mutex<Vec<u8>>,
    closed: AtomicBool,
    changed: Notify,
}

impl Ears {
    fn open(&self, open: bool) {
        self.closed.store(!open, Ordering::Relaxed);
        self.changed.notify_one();
    }

    async fn listen(self: Arc<Self>, mut read: ReadHalf<DuplexStream>) {
        let mut buffer = BytesMut::new();
        loop {
            while self.closed.load(Ordering::Relaxed) {
                self.changed.notified().await;
            }
            if !matches!(read.read_buf(&mut buffer).await, Ok(1..)) {
                return;
            }
            let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
            heard.extend_from_slice(&buffer.split());
        }
    }
}

struct Peer {
    side: Side,
    write: WriteHalf<DuplexStream>,
    sent: Vec<u8>,
    /// What was said last, to be said again.
    last: Vec<u8>,
    next_stream: u32,
    ears: Arc<Ears>,
}

impl Peer {
    /// What a connection begins with, or less of it.
    async fn open(&mut self, how: u8) -> bool {
        let mut opening = Vec::new();
        if self.side == Side::Client && how & 4 == 0 {
            opening.extend_from_slice(PREFACE);
        }
        if how & 8 == 0 {
            opening.extend_from_slice(&Frame::settings(&[]).encode());
        }
        if how & 16 == 0 {
            opening.extend_from_slice(&Frame::settings_ack().encode());
        }
        let open = self.say(&opening).await;
        // Lets the calls of a client begin.
        sleep(Duration::from_millis(1)).await;
        open
    }

    /// `false`: the engine has closed the connection, or takes nothing more.
    async fn say(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            match timeout(Duration::from_secs(5), self.write.write(bytes)).await {
                Ok(Ok(taken @ 1..)) => {
                    self.sent.extend_from_slice(&bytes[..taken]);
                    bytes = &bytes[taken..];
                }
                _ => return false,
            }
        }
        true
    }

    /// One line of the script. `false`: the connection is over.
    async fn step(&mut self, input: &mut Input<'_>) -> bool {
        let op = input.byte();
        let frame = match op % 16 {
            0..=2 => self.head(input),
            3..=5 => self.data(input),
            6 => Frame::rst(self.stream(input), input.number() >> 28).encode(),
            7 => {
                let windows = [0, 1, 100, 65_535, 1 << 20, 0x7fff_ffff, 0x8000_0000, 16_384, 16_777_215];
                let entries: Vec<_> = (0..input.below(4))
                    .map(|_| (u16::from(input.byte() % 9), input.pick(&windows)))
                    .collect();
                let frame = Frame::settings(&entries);
                if op & 0x10 == 0 { frame.encode() } else { Frame::settings_ack().encode() }
            }
            8 => {
                let opaque = [input.byte(); 8];
                if op & 0x10 == 0 { Frame::ping(opaque) } else { Frame::ping_ack(opaque) }.encode()
            }
            9 => {
                let increments = [0, 1, 1_000, 65_535, 0x7fff_ffff, 0x8000_0000];
                Frame::window_update(self.stream(input), input.pick(&increments)).encode()
            }
            10 => {
                let last = input.pick(&[0, 1, 3, 5, 7, 0x7fff_ffff]);
                Frame::goaway(last, input.number() >> 28, input.bytes()).encode()
            }
            11 => {
                let (kind, flags) = (input.byte() % 12, input.byte());
                let stream = self.stream(input);
                let frame = Frame::new(kind, flags, stream, input.bytes().to_vec());
                if op & 0x10 == 0 { frame } else { frame.claiming_length(input.number() >> 8) }.encode()
            }
            12 => {
                let spans = [1, 20, 300, 5_000, 11_000, 65_000, 400_000, 8_000_000];
                sleep(Duration::from_millis(input.pick(&spans))).await;
                return true;
            }
            13 => {
                self.ears.open(op & 0x10 != 0);
                return true;
            }
            14 => {
                let most = MOST_REPEATED / self.last.len().max(1);
                self.last.repeat(usize::from(input.byte()).min(most)).into()
            }
            _ if op == 0xff => return false,
            _ => input.bytes().to_vec().into(),
        };
        if !self.say(&frame).await {
            return false;
        }
        if op % 16 != 14 {
            self.last = frame.to_vec();
        }
        // Several frames may arrive at once, or each by itself.
        for _ in 0..op >> 6 {
            tokio::task::yield_now().await;
        }
        true
    }

    fn stream(&mut self, input: &mut Input<'_>) -> u32 {
        let choice = input.byte();
        match choice {
            0..128 => 1 + 2 * u32::from(choice % 8),
            128..192 => self.next_stream,
            192..224 => 0,
            _ => u32::from(choice - 224),
        }
    }

    /// A header block: right at first, then changed as the input says.
    fn head(&mut self, input: &mut Input<'_>) -> Bytes {
        let how = input.byte();
        let (stream, fields) = match self.side {
            Side::Client => {
                let stream = if how & 0x80 == 0 { self.next_stream } else { self.stream(input) };
                self.next_stream = self.next_stream.max(stream.saturating_add(2) | 1);
                (stream, Fields::grpc_request(input.pick(&METHODS)))
            }
            Side::Server => {
                let stream = self.stream(input);
                let code = u32::from(input.byte() % 18);
                let fields = match how >> 5 & 3 {
                    0 => Fields::grpc_response(),
                    1 => Fields::grpc_trailers(0, ""),
                    2 => Fields::grpc_trailers(code, "as the input says"),
                    _ => Fields::grpc_response().with("grpc-status", code.to_string()),
                };
                (stream, fields)
            }
        };
        let fields = (0..input.below(4)).fold(fields, |fields, _| change(fields, input));
        let mut block = BytesMut::from(&fields.encode()[..]);
        if how & 2 != 0 {
            block.extend_from_slice(&indexed_literal(b"x-indexed", input.bytes()));
            block.extend_from_slice(&references(usize::from(input.byte())));
        }
        if how & 4 != 0 {
            block.extend_from_slice(input.bytes());
        }
        let end = if how & 1 != 0 { flag::END_STREAM } else { 0 };
        if how & 8 == 0 {
            return Frame::headers(stream, block).with_flag(end).encode();
        }
        // In as many frames as the input says, with padding perhaps.
        let rest = block.split_off(block.len() / 2);
        let first = Frame::headers(stream, block.freeze()).without_flag(flag::END_HEADERS).with_flag(end);
        let first = if how & 16 == 0 { first } else { first.padded(input.byte()) };
        let mut frames = BytesMut::from(&first.encode()[..]);
        let size = usize::from(input.byte()).max(1);
        let mut parts = rest.chunks(size).peekable();
        while let Some(part) = parts.next() {
            let end = if parts.peek().is_none() { flag::END_HEADERS } else { 0 };
            frames.extend_from_slice(&Frame::continuation(stream, part.to_vec()).with_flag(end).encode());
        }
        frames.freeze()
    }

    /// A message, whole or not, or bytes that are none.
    fn data(&mut self, input: &mut Input<'_>) -> Bytes {
        let how = input.byte();
        let stream = match self.side {
            Side::Client if how & 0x80 == 0 => self.next_stream.saturating_sub(2),
            _ => self.stream(input),
        };
        let times = 1 << (2 * (how >> 5 & 3));
        let payload = input.bytes().repeat(times);
        let content = match how >> 1 & 3 {
            0 | 1 => grpc::message(&payload),
            2 => grpc::prefixed(input.byte() & 3, input.number() >> 12, &payload),
            _ => Bytes::from(payload),
        };
        let frame = Frame::data(stream, content);
        let frame = if how & 1 != 0 { frame.end_stream() } else { frame };
        if how & 16 == 0 { frame } else { frame.padded(input.byte()) }.encode()
    }
}

/// Fields that change what a call means, each with values that do.
const FIELDS: [(&str, &[&str]); 16] = [
    (":path", &["/fuzz.Echo/Up", "fuzz.Echo/Unary", "", "/", "*"]),
    (":method", &["GET", "CONNECT", "POST", ""]),
    (":scheme", &["https", "", "ftp"]),
    (":authority", &["", "a:b", "[::1]:5"]),
    (":status", &["200", "100", "503", "404", "0", "99", "204"]),
    ("host", &["other", "", "a b"]),
    ("te", &["trailers", "gzip", ""]),
    (
        "content-type",
        &["application/grpc", "application/grpc+proto", "text/html", "application/grpc-web", ""],
    ),
    ("grpc-timeout", &["1S", "10m", "0n", "99999999H", "1", "-1S", "100000000n"]),
    ("grpc-encoding", &["gzip", "identity", "zstd", "deflate", "br", ""]),
    ("grpc-accept-encoding", &["gzip", "identity,zstd", "", ",,"]),
    ("grpc-status", &["0", "1", "14", "17", "00", "x", ""]),
    ("grpc-message", &["all%20well", "%", "%FF", ""]),
    ("grpc-status-details-bin", &["CAU", "CAU=", "*", ""]),
    ("content-length", &["0", "5", "18446744073709551615", "x"]),
    ("connection", &["close", ""]),
];

fn change(fields: Fields, input: &mut Input<'_>) -> Fields {
    let (how, (name, values)) = (input.byte(), input.pick(&FIELDS));
    match how % 4 {
        0 => fields.set(name, input.pick(values)),
        1 => fields.with(name, input.pick(values)),
        2 => fields.without(name),
        _ => fields.with(input.bytes(), input.bytes()),
    }
}

/// What was said on one stream.
#[derive(Debug, Default)]
pub struct Stream {
    /// The contents of its DATA frames, up to its end.
    pub body: Vec<u8>,
    /// How many header blocks began.
    pub heads: usize,
    /// It ended by END_STREAM.
    pub ended: bool,
    /// It ended by END_STREAM on a header block behind the first.
    pub trailers: bool,
    /// It was reset.
    pub reset: bool,
}

/// The streams of a direction, from the bytes of its frames. What is said behind the end of a stream is given to
/// `late`.
#[must_use]
pub fn streams(bytes: &[u8], mut late: impl FnMut(&Frame)) -> BTreeMap<u32, Stream> {
    let mut buffer = BytesMut::from(bytes.strip_prefix(PREFACE).unwrap_or(bytes));
    let mut streams: BTreeMap<u32, Stream> = BTreeMap::new();
    while let Some(frame) = Frame::parse(&mut buffer) {
        if !matches!(frame.kind, kind::DATA | kind::HEADERS | kind::RST_STREAM) {
            continue;
        }
        let stream = streams.entry(frame.stream).or_default();
        if stream.ended || stream.reset {
            late(&frame);
            continue;
        }
        match frame.kind {
            kind::DATA => stream.body.extend_from_slice(&frame.content()),
            kind::HEADERS => stream.heads += 1,
            _ => stream.reset = true,
        }
        stream.ended = frame.kind != kind::RST_STREAM && frame.has(flag::END_STREAM);
        stream.trailers = stream.ended && frame.kind == kind::HEADERS && stream.heads > 1;
    }
    streams
}
