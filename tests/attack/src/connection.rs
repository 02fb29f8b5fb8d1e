//! One attacking connection: it writes as fast as the server takes it, and counts what comes back.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use spanwire_faults::frame::{PREFACE, kind};
use spanwire_faults::{Frame, Io, reason};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};

use crate::tls;

/// What the server answered, over all connections of an attack.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Connections that the attack opened.
    pub connections: usize,
    /// Frames (or other pieces) that were handed to the system.
    pub sent: usize,
    /// How many had been sent when the server first ended a connection or reset a stream.
    pub sent_before_reaction: Option<usize>,
    /// GOAWAY, by code and debug data.
    pub go_aways: BTreeMap<(u32, String), usize>,
    /// RST_STREAM, by code.
    pub resets: BTreeMap<u32, usize>,
    /// Header blocks: answers, or the beginnings of them.
    pub headers: usize,
    /// Connections that the server closed.
    pub closed: usize,
    /// Whether the server let us wait: it stopped reading.
    pub stopped_reading: bool,
}

/// [`Seen`], shared between the writer and the reader of a connection.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    seen: Arc<Mutex<Seen>>,
    news: Arc<Notify>,
}

impl Tally {
    /// What was seen until now.
    pub fn seen(&self) -> Seen {
        self.lock().clone()
    }

    /// A call of a script was answered.
    pub fn note_answer(&self) {
        let mut seen = self.lock();
        seen.sent += 1;
        seen.headers += 1;
    }

    /// A script saw the server close a connection.
    pub fn note_closed(&self) {
        let mut seen = self.lock();
        seen.sent += 1;
        seen.closed += 1;
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, frame: &Frame) {
        let word = |at: usize| {
            let bytes = frame.payload.get(at..at + 4).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
            bytes.map(u32::from_be_bytes).unwrap_or_default()
        };
        let mut seen = self.lock();
        match frame.kind {
            kind::HEADERS => seen.headers += 1,
            kind::RST_STREAM => {
                *seen.resets.entry(word(0)).or_default() += 1;
                // Streams that were answered early are closed so, in all politeness.
                if word(0) != reason::NO_ERROR {
                    seen.reacted();
                }
            }
            kind::GOAWAY => {
                let text = String::from_utf8_lossy(frame.payload.get(8..).unwrap_or_default()).into_owned();
                *seen.go_aways.entry((word(4), text)).or_default() += 1;
                seen.reacted();
            }
            _ => return,
        }
        drop(seen);
        self.news.notify_waiters();
    }
}

impl Seen {
    fn reacted(&mut self) {
        self.sent_before_reaction.get_or_insert(self.sent);
    }

    /// How often the server ended a connection.
    pub fn ends(&self) -> usize {
        self.closed.max(self.go_aways.values().sum())
    }

    /// What it answered, without numbers.
    pub fn kinds(&self) -> String {
        let mut words: Vec<String> = Vec::new();
        for (code, text) in self.go_aways.keys() {
            let space = if text.is_empty() { "" } else { " " };
            words.push(format!("GOAWAY {}{space}{text}", reason::name(*code)));
        }
        let resets = self.resets.keys().filter(|code| **code != reason::NO_ERROR);
        words.extend(resets.map(|code| format!("RST {}", reason::name(*code))));
        if self.go_aways.is_empty() && self.closed > 0 {
            words.push("closed".to_owned());
        }
        if words.is_empty() {
            words.push(if self.headers > 0 { "answers" } else { "nothing" }.to_owned());
        }
        words.join(", ")
    }

    /// In words, for the table.
    pub fn describe(&self) -> String {
        let mut words: Vec<String> = Vec::new();
        for ((code, text), count) in &self.go_aways {
            let space = if text.is_empty() { "" } else { " " };
            words.push(format!("GOAWAY {}{space}{text} ×{count}", reason::name(*code)));
        }
        for (code, count) in self.resets.iter().filter(|(code, _)| **code != reason::NO_ERROR) {
            words.push(format!("RST {} ×{count}", reason::name(*code)));
        }
        if self.go_aways.is_empty() && self.closed > 0 {
            words.push(format!("closed ×{}", self.closed));
        }
        if self.stopped_reading {
            words.push("reads no more".into());
        }
        if words.is_empty() {
            words.push(format!("{} sent, {} answers", self.sent, self.headers));
        } else if let Some(sent) = self.sent_before_reaction {
            words.push(format!("after {sent}"));
        }
        words.join(", ")
    }
}

/// One piece of an attack.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// What to write.
    pub wire: BytesMut,
    /// Of how many frames it is made.
    pub frames: usize,
    /// Whether to wait for a further header block before the next batch.
    pub then_wait: bool,
    /// Whether nothing follows: the connection is held as it is.
    pub then_hold: bool,
}

impl Batch {
    /// A batch of frames.
    pub fn of(frames: impl IntoIterator<Item = Frame>) -> Self {
        let mut batch = Self::default();
        for frame in frames {
            batch.wire.extend_from_slice(&frame.encode());
            batch.frames += 1;
        }
        batch
    }

    /// The last batch of its connection.
    pub fn hold(mut self) -> Self {
        self.then_hold = true;
        self
    }

    /// A batch after which the server has to answer something.
    pub fn wait(mut self) -> Self {
        self.then_wait = true;
        self
    }
}

/// The ids of the streams that one connection opens.
#[derive(Debug)]
pub struct Streams(u32);

impl Streams {
    /// The next id.
    pub fn next_id(&mut self) -> u32 {
        self.0 += 2;
        self.0 - 2
    }
}

impl Default for Streams {
    fn default() -> Self {
        Self(1)
    }
}

/// How long and how an attack goes on.
#[derive(Clone, Debug)]
pub struct Field {
    /// The server.
    pub address: SocketAddr,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// When to stop.
    pub until: Instant,
    /// What is seen.
    pub tally: Tally,
}

impl Field {
    /// Whether time is up.
    pub fn over(&self) -> bool {
        Instant::now() >= self.until
    }

    /// A connection below HTTP/2.
    ///
    /// # Errors
    /// What connecting ended in.
    pub async fn connect(&self) -> std::io::Result<Box<dyn Io>> {
        self.tally.lock().connections += 1;
        let tcp = TcpStream::connect(self.address).await?;
        tcp.set_nodelay(true)?;
        Ok(if self.tls { Box::new(tls::connect(tcp, &[b"h2"]).await?) } else { Box::new(tcp) })
    }

    /// Opens a connection and writes batch after batch until the server ends it, or time is up.
    ///
    /// # Errors
    /// What connecting ended in.
    pub async fn flood(
        &self,
        settings: &[(u16, u32)],
        reads: bool,
        mut next: impl FnMut(&mut Streams) -> Batch,
    ) -> std::io::Result<()> {
        let (reader, mut writer) = tokio::io::split(self.connect().await?);
        let mut opening = BytesMut::from(PREFACE);
        opening.extend_from_slice(&Frame::settings(settings).encode());
        // The reader holds one end of this; when it drops it, the connection is over.
        let (reading, mut ended) = watch::channel(());
        let reader = tokio::spawn(self.clone().read(reader, reads, reading));
        let mut streams = Streams::default();
        let mut written = writer.write_all(&opening).await;
        while written.is_ok() && !self.over() {
            let batch = next(&mut streams);
            let answers = self.tally.lock().headers;
            match self.write(&mut writer, &batch, &mut ended).await {
                ControlFlow::Continue(result) => written = result,
                ControlFlow::Break(()) => break,
            }
            if batch.then_wait {
                self.wait_until(&mut ended, |seen| seen.headers > answers).await;
            } else if batch.then_hold {
                self.wait_until(&mut ended, |_| false).await;
            }
        }
        if written.is_err() && !reads {
            self.tally.lock().closed += 1;
        }
        if !self.over() && reads {
            // It is over, and what it said is on its way.
            tokio::time::timeout(Duration::from_secs(1), ended.changed()).await.ok();
        }
        reader.abort();
        Ok(())
    }

    /// Writes one batch; breaks when the connection or time ends first.
    async fn write(
        &self,
        writer: &mut WriteHalf<Box<dyn Io>>,
        batch: &Batch,
        ended: &mut watch::Receiver<()>,
    ) -> ControlFlow<(), std::io::Result<()>> {
        /// A write that takes so long waits for a server that does not read.
        const BLOCKED: Duration = Duration::from_millis(200);
        let began = Instant::now();
        tokio::select! {
            biased;
            written = async { writer.write_all(&batch.wire).await?; writer.flush().await } => {
                self.tally.lock().sent += batch.frames;
                ControlFlow::Continue(written)
            }
            _ = ended.changed() => ControlFlow::Break(()),
            () = tokio::time::sleep_until(self.until.into()) => {
                self.tally.lock().stopped_reading |= began.elapsed() > BLOCKED;
                ControlFlow::Break(())
            }
        }
    }

    /// Waits for `wanted`, the end of the connection or of time.
    async fn wait_until(&self, ended: &mut watch::Receiver<()>, wanted: impl Fn(&Seen) -> bool) {
        loop {
            let news = self.tally.news.notified();
            if self.over() || wanted(&self.tally.lock()) {
                return;
            }
            tokio::select! {
                () = news => {}
                _ = ended.changed() => return,
                () = tokio::time::sleep_until(self.until.into()) => {}
            }
        }
    }

    /// Reads and counts until the server ends the connection. Holds `reading` until then.
    async fn read(self, mut reader: ReadHalf<Box<dyn Io>>, reads: bool, reading: watch::Sender<()>) {
        if !reads {
            return std::future::pending().await;
        }
        let mut buffer = BytesMut::with_capacity(64 * 1024);
        while reader.read_buf(&mut buffer).await.is_ok_and(|read| read > 0) {
            while let Some(frame) = Frame::parse(&mut buffer) {
                let is_end = frame.kind == kind::GOAWAY && frame.payload.get(4..8) != Some(&[0; 4][..]);
                self.tally.note(&frame);
                if is_end {
                    return;
                }
            }
        }
        let mut seen = self.tally.lock();
        seen.closed += 1;
        seen.reacted();
        drop(seen);
        drop(reading);
    }

    /// Writes bytes that need not be frames, and reads to the end: what came, if the server ended the connection in time.
    ///
    /// # Errors
    /// When it did not.
    pub async fn ends_after(&self, bytes: &[u8], patience: Duration) -> Result<Bytes, String> {
        self.tally.lock().connections += 1;
        let mut tcp = TcpStream::connect(self.address).await.map_err(|error| error.to_string())?;
        tcp.write_all(bytes).await.ok();
        let mut came = Vec::new();
        match tokio::time::timeout(patience, tcp.read_to_end(&mut came)).await {
            Ok(_) => {
                self.tally.note_closed();
                Ok(came.into())
            }
            Err(_) => Err(format!("still open {patience:?} after \"{}\"", bytes.escape_ascii())),
        }
    }
}
