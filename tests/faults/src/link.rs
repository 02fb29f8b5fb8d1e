//! One connection as a script sees it: frames out, events in, and a transcript of both.

use crate::frame::{flag, kind, setting};
use crate::{Event, Fields, Frame, Headers, grpc, reason};
use bytes::{Bytes, BytesMut};
use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Any transport that a [`Link`] can run over: TCP, TLS, a pair in memory.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// One end of a connection, below HTTP/2's rules.
///
/// Sending never fails a test by itself: when the other side is gone the transcript says so, and the next wait
/// sees [`Event::Closed`].
pub struct Link {
    /// Whether SETTINGS and PING are acknowledged as they are read. On by default.
    pub acknowledge: bool,
    /// How long any wait may take before it panics. 5 s by default.
    pub patience: Duration,
    io: Box<dyn Io>,
    unread: BytesMut,
    decoder: fluke_hpack::Decoder<'static>,
    block: Option<(Frame, BytesMut)>,
    passed: VecDeque<Event>,
    transcript: Vec<String>,
    data_bytes: usize,
    closed: Option<bool>,
    windows: Windows,
    settings_out: usize,
}

/// What the other side allows us to send. A script may send more: that is its business.
struct Windows {
    connection: i64,
    initial: i64,
    /// Streams whose window differs from `initial`, and by how much.
    streams: HashMap<u32, i64>,
}

impl Link {
    /// A link over an open transport; nothing is sent or read.
    pub fn new(io: impl Io + 'static) -> Self {
        Self {
            acknowledge: true,
            patience: Duration::from_secs(5),
            io: Box::new(io),
            unread: BytesMut::new(),
            decoder: fluke_hpack::Decoder::new(),
            block: None,
            passed: VecDeque::new(),
            transcript: Vec::new(),
            data_bytes: 0,
            closed: None,
            windows: Windows { connection: 65_535, initial: 65_535, streams: HashMap::new() },
            settings_out: 0,
        }
    }

    // ---- out ----

    /// Sends one frame.
    pub async fn send(&mut self, frame: Frame) {
        let wire = frame.encode();
        self.note(&frame);
        self.write(&wire).await;
    }

    /// Sends several frames in one write, so that the other side reads them together.
    pub async fn send_all(&mut self, frames: &[Frame]) {
        let mut wire = BytesMut::new();
        for frame in frames {
            self.note(frame);
            wire.extend_from_slice(&frame.encode());
        }
        self.write(&wire).await;
    }

    /// Sends bytes that need not be frames.
    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        self.transcript.push(format!(
            "> {} bytes \"{}\"",
            bytes.len(),
            bytes[..bytes.len().min(60)].escape_ascii()
        ));
        self.write(bytes).await;
    }

    /// Sends HEADERS of these fields, split into CONTINUATION frames of 16 KiB where they are longer.
    pub async fn fields(&mut self, stream: u32, fields: &Fields, end_stream: bool) {
        const CHUNK: usize = 16_384;
        let mut block = fields.encode();
        let first = block.split_to(block.len().min(CHUNK));
        let mut frames = vec![Frame::headers(stream, first).without_flag(flag::END_HEADERS)];
        while !block.is_empty() {
            let next = block.split_to(block.len().min(CHUNK));
            frames.push(Frame::continuation(stream, next));
        }
        if end_stream {
            frames[0].flags |= flag::END_STREAM;
        }
        if let Some(last) = frames.last_mut() {
            last.flags |= flag::END_HEADERS;
        }
        self.transcript
            .push(format!("> HEADERS {stream}{} {fields:?}", if end_stream { " END_STREAM" } else { "" }));
        let wire: Vec<u8> = frames.iter().flat_map(|frame| frame.encode()).collect();
        self.write(&wire).await;
    }

    /// Sends one DATA frame, as it stands.
    pub async fn data(&mut self, stream: u32, payload: &[u8]) {
        self.send(Frame::data(stream, Bytes::copy_from_slice(payload))).await;
    }

    /// Sends a gRPC message in DATA frames of at most 16 KiB.
    pub async fn grpc_message(&mut self, stream: u32, body: &[u8]) {
        self.send_all(&message_frames(stream, body)).await;
    }

    /// Sends RST_STREAM.
    pub async fn rst(&mut self, stream: u32, code: u32) {
        self.send(Frame::rst(stream, code)).await;
    }

    /// Sends GOAWAY.
    pub async fn goaway(&mut self, last_stream: u32, code: u32, debug: &str) {
        self.send(Frame::goaway(last_stream, code, debug.as_bytes())).await;
    }

    /// Sends SETTINGS.
    pub async fn settings(&mut self, entries: &[(u16, u32)]) {
        self.send(Frame::settings(entries)).await;
    }

    /// Sends WINDOW_UPDATE; stream 0 is the connection.
    pub async fn window_update(&mut self, stream: u32, increment: u32) {
        self.send(Frame::window_update(stream, increment)).await;
    }

    /// Sends PING.
    pub async fn ping(&mut self, opaque: &[u8; 8]) {
        self.send(Frame::ping(*opaque)).await;
    }

    /// Ends our half of the transport; what the other side still says can be read.
    pub async fn shut_down(&mut self) {
        self.transcript.push("> END OF FILE".into());
        self.io.shutdown().await.ok();
    }

    // ---- in ----

    /// The next event, first of those that an earlier wait passed over.
    pub async fn next(&mut self) -> Event {
        match self.passed.pop_front() {
            Some(event) => event,
            None => self.read("anything").await,
        }
    }

    /// The first event that `wanted` accepts, also among those passed over; `what` names it in the panic.
    ///
    /// Events that are not wanted stay for later waits.
    ///
    /// # Panics
    /// When the connection ends first, or [`Link::patience`] does.
    pub async fn wait(&mut self, what: &str, mut wanted: impl FnMut(&Event) -> bool) -> Event {
        if let Some(event) = self.take_passed(&mut wanted) {
            return event;
        }
        loop {
            let event = self.read(what).await;
            if wanted(&event) {
                return event;
            }
            let over = matches!(event, Event::Closed { .. });
            self.passed.push_back(event);
            assert!(!over, "the connection ended while waiting for {what}\n{}", self.transcript());
        }
    }

    /// Waits for RST_STREAM of a stream and gives its code.
    pub async fn wait_reset(&mut self, stream: u32) -> u32 {
        let what = format!("RST_STREAM {stream}");
        match self
            .wait(&what, |event| matches!(event, Event::Reset { stream: id, .. } if *id == stream))
            .await
        {
            Event::Reset { code, .. } => code,
            other => unreachable!("{other}"),
        }
    }

    /// Waits for GOAWAY and gives its last stream, code and debug data.
    pub async fn wait_goaway(&mut self) -> (u32, u32, String) {
        match self.wait("GOAWAY", |event| matches!(event, Event::GoAway { .. })).await {
            Event::GoAway { last_stream, code, debug } => {
                (last_stream, code, String::from_utf8_lossy(&debug).into_owned())
            }
            other => unreachable!("{other}"),
        }
    }

    /// Waits until the other side ends the connection; true when it did so in order, false for a TCP reset.
    pub async fn wait_closed(&mut self) -> bool {
        matches!(
            self.wait("the end", |event| matches!(event, Event::Closed { .. })).await,
            Event::Closed { clean: true }
        )
    }

    /// Waits until everything sent so far was processed by the other side's HTTP/2 layer, by a SETTINGS round trip.
    ///
    /// # Panics
    /// When the connection ends first, or [`Link::patience`] does.
    pub async fn sync(&mut self) {
        self.settings(&[]).await;
        self.settled().await;
    }

    /// Waits until the other side has acknowledged all our SETTINGS.
    ///
    /// # Panics
    /// When the connection ends first, or [`Link::patience`] does.
    pub async fn settled(&mut self) {
        while self.settings_out > 0 {
            let event = self.read("SETTINGS ACK").await;
            let over = matches!(event, Event::Closed { .. });
            if event != Event::SettingsAck {
                self.passed.push_back(event);
            }
            assert!(!over, "the connection ended while waiting for SETTINGS ACK\n{}", self.transcript());
        }
    }

    /// Takes the first event that `wanted` accepts out of those passed over, without reading.
    pub fn take_passed(&mut self, wanted: impl FnMut(&Event) -> bool) -> Option<Event> {
        let at = self.passed.iter().position(wanted)?;
        self.passed.remove(at)
    }

    /// The events that waits passed over and nobody has taken yet, oldest first.
    pub fn passed(&self) -> impl Iterator<Item = &Event> {
        self.passed.iter()
    }

    /// How many bytes of DATA the other side would take on a stream now: the smaller of both windows, as far as
    /// its frames have been read.
    pub fn room(&self, stream: u32) -> i64 {
        let own = self.windows.initial + self.windows.streams.get(&stream).copied().unwrap_or(0);
        own.min(self.windows.connection)
    }

    /// How many bytes of DATA the other side would take on the connection now.
    pub fn connection_room(&self) -> i64 {
        self.windows.connection
    }

    /// Reads until there is room for `bytes` of DATA on a stream.
    ///
    /// # Panics
    /// When no window is given back within [`Link::patience`].
    pub async fn wait_room(&mut self, stream: u32, bytes: usize) {
        while self.room(stream) < bytes as i64 {
            let event = self.read("WINDOW_UPDATE").await;
            let over = matches!(event, Event::Closed { .. });
            self.passed.push_back(event);
            assert!(!over, "the connection ended while waiting for room\n{}", self.transcript());
        }
    }

    /// Payload bytes of all DATA frames read, padding included: what counts against the window.
    pub fn data_bytes(&self) -> usize {
        self.data_bytes
    }

    /// Everything that went over the link, one line for each frame: `>` is ours, `<` is theirs.
    pub fn transcript(&self) -> String {
        const SHOWN: usize = 60;
        // Runs of frames that differ only in their payload are one line and a count.
        let mut lines: Vec<(&str, usize)> = Vec::new();
        for line in &self.transcript {
            let kind = |line: &str| line.split(" bytes \"").next().map(str::to_owned);
            match lines.last_mut() {
                Some((last, count)) if kind(last) == kind(line) => *count += 1,
                _ => lines.push((line, 1)),
            }
        }
        let mut text = String::from("transcript:\n");
        let skipped = lines.len().saturating_sub(SHOWN);
        if skipped > 0 {
            let _ = writeln!(text, "  … {skipped} lines");
        }
        for (line, count) in &lines[skipped..] {
            let _ = match count {
                1 => writeln!(text, "  {line}"),
                _ => writeln!(text, "  {line} (×{count})"),
            };
        }
        text
    }

    /// Reads exactly `count` bytes that are no frames, as the preface.
    ///
    /// # Panics
    /// When the connection ends first, or [`Link::patience`] does.
    pub async fn read_bytes(&mut self, count: usize) -> Bytes {
        while self.unread.len() < count {
            let more = self.fill("bytes").await;
            assert!(more, "the connection ended after {} of {count} bytes", self.unread.len());
        }
        let bytes = self.unread.split_to(count).freeze();
        self.transcript.push(format!("< {count} bytes \"{}\"", bytes.escape_ascii()));
        bytes
    }

    /// Reads whatever comes until the other side ends the connection, without taking it for frames.
    pub async fn read_to_end(&mut self) -> Bytes {
        while self.fill("the end").await {}
        self.unread.split().freeze()
    }

    /// One event from the wire; `what` is what the caller hopes for.
    async fn read(&mut self, what: &str) -> Event {
        loop {
            if let Some(frame) = Frame::parse(&mut self.unread) {
                if let Some(event) = self.event(frame) {
                    self.transcript.push(format!("< {event}"));
                    self.acknowledge(&event).await;
                    return event;
                }
            } else if !self.fill(what).await {
                let event = Event::Closed { clean: self.closed == Some(true) && self.unread.is_empty() };
                self.transcript.push(format!("< {event}"));
                return event;
            }
        }
    }

    /// Reads more bytes; false at the end of the connection. May be cancelled without loss.
    async fn fill(&mut self, what: &str) -> bool {
        if self.closed.is_some() {
            return false;
        }
        match tokio::time::timeout(self.patience, self.io.read_buf(&mut self.unread)).await {
            Ok(Ok(0)) => self.closed = Some(true),
            Ok(Ok(_)) => return true,
            Ok(Err(_)) => self.closed = Some(false),
            Err(_) => panic!("no {what} within {:?}\n{}", self.patience, self.transcript()),
        }
        false
    }

    fn event(&mut self, frame: Frame) -> Option<Event> {
        let word = |at: usize| {
            let bytes = frame.payload.get(at..at + 4)?;
            Some(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
        };
        let opaque = || <[u8; 8]>::try_from(&frame.payload[..]).ok();
        let event = match frame.kind {
            kind::HEADERS | kind::CONTINUATION => return self.header_block(frame),
            kind::DATA => {
                self.data_bytes += frame.payload.len();
                let (stream, end_stream) = (frame.stream, frame.has(flag::END_STREAM));
                Some(Event::Data { stream, data: frame.content(), end_stream })
            }
            kind::RST_STREAM => word(0).map(|code| Event::Reset { stream: frame.stream, code }),
            kind::SETTINGS if frame.has(flag::ACK) => {
                self.settings_out = self.settings_out.saturating_sub(1);
                Some(Event::SettingsAck)
            }
            kind::SETTINGS => Some(Event::Settings(
                frame
                    .payload
                    .chunks_exact(6)
                    .map(|entry| {
                        let value = u32::from_be_bytes([entry[2], entry[3], entry[4], entry[5]]);
                        (u16::from_be_bytes([entry[0], entry[1]]), value)
                    })
                    .collect(),
            )),
            kind::PING if frame.has(flag::ACK) => opaque().map(Event::PingAck),
            kind::PING => opaque().map(Event::Ping),
            kind::GOAWAY => word(0).zip(word(4)).map(|(last_stream, code)| Event::GoAway {
                last_stream,
                code,
                debug: frame.payload.slice(8..),
            }),
            kind::WINDOW_UPDATE => {
                word(0).map(|increment| Event::WindowUpdate { stream: frame.stream, increment })
            }
            _ => None,
        };
        match &event {
            Some(Event::WindowUpdate { stream: 0, increment }) => {
                self.windows.connection += i64::from(*increment)
            }
            Some(Event::WindowUpdate { stream, increment }) => {
                *self.windows.streams.entry(*stream).or_default() += i64::from(*increment);
            }
            Some(Event::Settings(entries)) => {
                let initial = entries.iter().rfind(|entry| entry.0 == setting::INITIAL_WINDOW_SIZE);
                self.windows.initial = initial.map_or(self.windows.initial, |entry| i64::from(entry.1));
            }
            _ => {}
        }
        Some(event.unwrap_or(Event::Other(frame)))
    }

    fn header_block(&mut self, frame: Frame) -> Option<Event> {
        let (first, mut block) = match (frame.kind, self.block.take()) {
            (kind::HEADERS, _) => {
                let content = BytesMut::from(&frame.content()[..]);
                (frame.clone(), content)
            }
            (_, Some((first, mut block))) => {
                block.extend_from_slice(&frame.payload);
                (first, block)
            }
            (_, None) => return Some(Event::Other(frame)),
        };
        if !frame.has(flag::END_HEADERS) {
            self.block = Some((first, block));
            return None;
        }
        let block = block.split();
        let fields = match Fields::decode(&mut self.decoder, &block) {
            Ok(fields) => fields,
            Err(error) => panic!("a header block that is not HPACK: {error}\n{}", self.transcript()),
        };
        let end_stream = first.has(flag::END_STREAM);
        Some(Event::Headers(Headers { stream: first.stream, fields, end_stream }))
    }

    async fn acknowledge(&mut self, event: &Event) {
        if !self.acknowledge {
            return;
        }
        match event {
            Event::Settings(_) => self.send(Frame::settings_ack()).await,
            Event::Ping(opaque) => self.send(Frame::ping_ack(*opaque)).await,
            _ => {}
        }
    }

    async fn write(&mut self, wire: &[u8]) {
        let done = async {
            self.io.write_all(wire).await?;
            self.io.flush().await
        };
        match tokio::time::timeout(self.patience, done).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.transcript.push(format!("  (not sent: {error})")),
            Err(_) => panic!(
                "{} bytes were not taken within {:?}\n{}",
                wire.len(),
                self.patience,
                self.transcript()
            ),
        }
    }

    fn note(&mut self, frame: &Frame) {
        let Frame { kind, flags, stream, payload, claimed_length } = frame;
        if *kind == kind::SETTINGS && !frame.has(flag::ACK) {
            self.settings_out += 1;
        }
        if *kind == kind::DATA {
            self.windows.connection -= payload.len() as i64;
            *self.windows.streams.entry(*stream).or_default() -= payload.len() as i64;
        }
        let shown = payload.slice(..payload.len().min(48));
        let mut line = match *kind {
            kind::DATA => format!("> DATA {stream}"),
            kind::HEADERS => format!("> HEADERS {stream}"),
            kind::RST_STREAM if payload.len() == 4 => {
                let code = u32::from_be_bytes([payload[0], payload[1], payload[2], payload[3]]);
                format!("> RST_STREAM {stream} {}", reason::name(code))
            }
            kind::SETTINGS => "> SETTINGS".into(),
            kind::PING => "> PING".into(),
            kind::GOAWAY => "> GOAWAY".into(),
            kind::WINDOW_UPDATE => format!("> WINDOW_UPDATE {stream}"),
            other => format!("> frame type {other} on {stream}"),
        };
        let _ = write!(line, " flags {flags:#x} {} bytes \"{}\"", payload.len(), shown.escape_ascii());
        if let Some(length) = claimed_length {
            let _ = write!(line, " claiming {length}");
        }
        self.transcript.push(line);
    }
}

/// A gRPC message as DATA frames of at most 16 KiB.
pub(crate) fn message_frames(stream: u32, body: &[u8]) -> Vec<Frame> {
    let mut wire = grpc::message(body);
    let mut frames = Vec::new();
    while !wire.is_empty() {
        frames.push(Frame::data(stream, wire.split_to(wire.len().min(16_384))));
    }
    frames
}
