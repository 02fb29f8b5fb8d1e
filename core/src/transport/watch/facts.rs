//! What the frames of a connection have told so far, to be read by whoever holds the connection.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use spanwire_wire::reset::ENHANCE_YOUR_CALM;

use crate::stats::{Count, Counters};
use crate::transport::header_list::UNLIMITED;
use crate::transport::linger::Lingering;

/// Debug data kept of a received GOAWAY, in bytes.
pub(super) const MAX_GO_AWAY_DEBUG: usize = 1024;

/// How much of what costs time to read, in frames, a connection reads before others have their turn.
const WORK_A_TURN: u64 = 512;

/// Bytes of a header block that cost about as much as a frame: each may stand for a whole field.
const BLOCK_BYTES_A_FRAME: u64 = 128;

/// A number that one task writes and others read: a load and a store, never a locked instruction.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, amount: u64) {
        self.0.store(self.get().wrapping_add(amount), Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Facts about one connection, counted from its frames.
///
/// The task that drives the connection writes them; anyone may read them, a moment late. Frames count when their header
/// has passed, which for those received is before the HTTP/2 layer has seen them.
#[derive(Debug)]
pub(crate) struct WireFacts {
    pub(super) read_bytes: Counter,
    pub(super) read_frames: Counter,
    pub(super) read_data_bytes: Counter,
    work: Counter,
    turn_ends: AtomicU64,
    pub(super) written_frames: Counter,
    pub(super) written_headers: Counter,
    pub(super) written_data: Counter,
    pub(super) go_aways_written: Counter,
    pub(super) resets_read: Counter,
    pub(super) resets_written: Counter,
    pub(super) pings_read: Counter,
    pub(super) settings_read: Counter,
    pub(super) glitches_read: Counter,
    max_written_stream: AtomicU32,
    max_read_stream: AtomicU32,
    last_data_stream: AtomicU32,
    longest_block: AtomicU64,
    header_list_limit: AtomicU32,
    has_cut_block: AtomicBool,
    cut_blocks: Mutex<Vec<u32>>,
    live_calls: AtomicU32,
    limit_exceeded: AtomicU8,
    has_go_away: AtomicBool,
    go_away: Mutex<Option<GoAway>>,
    /// Answers that the client has not taken.
    pub(crate) lingering: Arc<Lingering>,
}

impl Default for WireFacts {
    fn default() -> Self {
        Self {
            read_bytes: Counter::default(),
            read_frames: Counter::default(),
            read_data_bytes: Counter::default(),
            work: Counter::default(),
            turn_ends: AtomicU64::new(u64::MAX),
            written_frames: Counter::default(),
            written_headers: Counter::default(),
            written_data: Counter::default(),
            go_aways_written: Counter::default(),
            resets_read: Counter::default(),
            resets_written: Counter::default(),
            pings_read: Counter::default(),
            settings_read: Counter::default(),
            glitches_read: Counter::default(),
            max_written_stream: AtomicU32::new(0),
            max_read_stream: AtomicU32::new(0),
            last_data_stream: AtomicU32::new(0),
            longest_block: AtomicU64::new(u64::MAX),
            header_list_limit: AtomicU32::new(UNLIMITED),
            has_cut_block: AtomicBool::new(false),
            cut_blocks: Mutex::new(Vec::new()),
            // Whoever never says how many calls there are is not punished for pings without calls.
            live_calls: AtomicU32::new(u32::MAX),
            limit_exceeded: AtomicU8::new(0),
            has_go_away: AtomicBool::new(false),
            go_away: Mutex::new(None),
            lingering: Arc::default(),
        }
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        $($(#[$doc])* pub(crate) fn $name(&self) -> u64 { self.$name.get() })+
    };
}

impl WireFacts {
    counters! {
        /// Bytes received, frame headers and preface included.
        read_bytes,
        /// Frames received, of any type: the sign of life that keepalive goes by.
        read_frames,
        /// Payload bytes of the DATA frames received, padding included, as flow control counts them.
        read_data_bytes,
        /// Frames sent, of any type.
        written_frames,
        /// HEADERS frames sent.
        written_headers,
        /// DATA frames sent.
        written_data,
        /// GOAWAY frames sent.
        go_aways_written,
        /// RST_STREAM frames received.
        resets_read,
        /// RST_STREAM frames sent.
        resets_written,
        /// PING frames received that are no acknowledgement.
        pings_read,
        /// SETTINGS frames received that are no acknowledgement.
        settings_read,
        /// PRIORITY, WINDOW_UPDATE and unknown frames received.
        glitches_read,
    }

    /// From here on the connection may read as much as it may in one turn. Who never says so may read for ever.
    pub(crate) fn begin_turn(&self) {
        self.turn_ends.store(self.work.get() + WORK_A_TURN, Ordering::Relaxed);
    }

    /// Whether it has read that much.
    pub(super) fn is_turn_over(&self) -> bool {
        self.work.get() >= self.turn_ends.load(Ordering::Relaxed)
    }

    /// A frame was read, with so many bytes of a header block.
    pub(super) fn worked(&self, block_bytes: u32) {
        self.work.add(1 + u64::from(block_bytes) / BLOCK_BYTES_A_FRAME);
    }

    /// The highest stream whose HEADERS were sent; 0 for none.
    pub(crate) fn max_written_stream(&self) -> u32 {
        self.max_written_stream.load(Ordering::Relaxed)
    }

    /// The highest stream whose HEADERS were received; 0 for none.
    pub(crate) fn max_read_stream(&self) -> u32 {
        self.max_read_stream.load(Ordering::Relaxed)
    }

    /// The stream of the DATA frame received last; 0 for none. When the connection broke on it, this is the call
    /// that it was meant for.
    pub(crate) fn last_data_stream(&self) -> u32 {
        self.last_data_stream.load(Ordering::Relaxed)
    }

    pub(super) fn set_last_data_stream(&self, stream: u32) {
        self.last_data_stream.store(stream, Ordering::Relaxed);
    }

    /// Whether a header block of this stream was too long for the layer above to show it whole.
    pub(crate) fn was_cut(&self, stream: u32) -> bool {
        self.has_cut_block.load(Ordering::Relaxed)
            && self.cut_blocks.lock().unwrap_or_else(PoisonError::into_inner).contains(&stream)
    }

    /// The largest header list that the peer takes, as it said last.
    pub(crate) fn header_list_limit(&self) -> u32 {
        self.header_list_limit.load(Ordering::Relaxed)
    }

    pub(super) fn set_header_list_limit(&self, bytes: u32) {
        self.header_list_limit.store(bytes, Ordering::Relaxed);
    }

    /// Sets how long a header block may be on the wire, in bytes, before the layer above cuts it without a word, as h2
    /// does with trailers. (h2's limit is on the decoded size, which is never much below the encoded one.)
    pub(crate) fn set_longest_block(&self, bytes: u64) {
        self.longest_block.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn longest_block(&self) -> u64 {
        self.longest_block.load(Ordering::Relaxed)
    }

    pub(super) fn add_cut_block(&self, stream: u32) {
        /// Only streams that are still open matter, and no peer of ours has more.
        const KEPT: usize = 256;
        let mut cut = self.cut_blocks.lock().unwrap_or_else(PoisonError::into_inner);
        if cut.last() != Some(&stream) {
            if cut.len() == KEPT {
                cut.remove(0);
            }
            cut.push(stream);
        }
        self.has_cut_block.store(true, Ordering::Relaxed);
    }

    pub(super) fn raise_written_stream(&self, stream: u32) {
        if stream > self.max_written_stream() {
            self.max_written_stream.store(stream, Ordering::Relaxed);
        }
    }

    /// Whether `stream` is the first of its number or above.
    pub(super) fn raise_read_stream(&self, stream: u32) -> bool {
        let new = stream > self.max_read_stream();
        if new {
            self.max_read_stream.store(stream, Ordering::Relaxed);
        }
        new
    }

    /// Tells how many calls the connection has now. To be called by the task that drives the connection.
    ///
    /// Without calls a client may ping far less often. Never called means that there always are some.
    pub(crate) fn set_live_calls(&self, calls: usize) {
        self.live_calls.store(u32::try_from(calls).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    pub(super) fn has_calls(&self) -> bool {
        self.live_calls.load(Ordering::Relaxed) > 0
    }

    /// A request came in that the driver has not counted yet.
    pub(super) fn call_begins(&self) {
        if !self.has_calls() {
            self.set_live_calls(1);
        }
    }

    /// The limit that ended this connection.
    pub(crate) fn limit_exceeded(&self) -> Option<Limit> {
        let number = self.limit_exceeded.load(Ordering::Relaxed);
        Limit::ALL.into_iter().find(|limit| *limit as u8 == number)
    }

    pub(super) fn set_limit_exceeded(&self, limit: Limit) {
        self.limit_exceeded.store(limit as u8, Ordering::Relaxed);
    }

    /// Whether a GOAWAY has come: one load, for the path of every call.
    pub(crate) fn has_go_away(&self) -> bool {
        self.has_go_away.load(Ordering::Acquire)
    }

    /// The GOAWAY received. Of several, the lowest last stream (it may only go down), and the code and debug data of the
    /// last that told an error, or else of the last.
    pub(crate) fn go_away(&self) -> Option<GoAway> {
        if !self.has_go_away() {
            return None;
        }
        self.lock_go_away().clone()
    }

    pub(super) fn add_go_away(&self, mut new: GoAway) {
        let mut kept = self.lock_go_away();
        if let Some(old) = kept.take() {
            let last_stream_id = old.last_stream_id.min(new.last_stream_id);
            if new.code == 0 && old.code != 0 {
                new = old;
            }
            new.last_stream_id = last_stream_id;
        }
        *kept = Some(new);
        self.has_go_away.store(true, Ordering::Release);
    }

    /// The value is replaced as a whole, so a panic elsewhere leaves it good.
    fn lock_go_away(&self) -> MutexGuard<'_, Option<GoAway>> {
        self.go_away.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A received GOAWAY frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GoAway {
    /// Streams above this one were not processed.
    pub(crate) last_stream_id: u32,
    /// The HTTP/2 error code.
    pub(crate) code: u32,
    /// Debug data, up to 1 KiB.
    pub(crate) debug: Bytes,
}

impl GoAway {
    /// `None` if the payload is too short for a GOAWAY; the HTTP/2 layer will say so.
    pub(super) fn parse(payload: &[u8]) -> Option<Self> {
        let (last, rest) = payload.split_first_chunk()?;
        let (code, debug) = rest.split_first_chunk()?;
        Some(Self {
            last_stream_id: u32::from_be_bytes(*last) & 0x7fff_ffff,
            code: u32::from_be_bytes(*code),
            debug: Bytes::copy_from_slice(debug),
        })
    }

    /// Whether the server closed the connection because of our pings (gRFC A8).
    pub(crate) fn is_too_many_pings(&self) -> bool {
        self.code == ENHANCE_YOUR_CALM && self.debug.as_ref() == b"too_many_pings"
    }
}

/// A limit on what a peer may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Limit {
    /// Pings closer together than permitted.
    Pings = 1,
    /// Calls opened only to be reset, or driven into a reset by us.
    Resets = 2,
    /// SETTINGS frames.
    Settings = 3,
    /// Entries in one SETTINGS frame.
    SettingsEntries = 4,
    /// CONTINUATION frames in one header block.
    Continuations = 5,
    /// Frames that cost the sender little and do nothing.
    Glitches = 6,
}

impl Limit {
    const ALL: [Self; 6] = [
        Self::Pings,
        Self::Resets,
        Self::Settings,
        Self::SettingsEntries,
        Self::Continuations,
        Self::Glitches,
    ];

    pub(super) fn counter(self, counters: &Counters) -> &Count {
        match self {
            Self::Pings => &counters.pings,
            Self::Resets => &counters.resets,
            Self::Settings => &counters.settings,
            Self::SettingsEntries => &counters.settings_entries,
            Self::Continuations => &counters.continuations,
            Self::Glitches => &counters.control_frames,
        }
    }

    /// The name in the GOAWAY's debug data and in error texts.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pings => "too_many_pings",
            Self::Resets => "too_many_resets",
            Self::Settings => "too_many_settings",
            Self::SettingsEntries => "too_many_settings_entries",
            Self::Continuations => "too_many_continuations",
            Self::Glitches => "too_many_control_frames",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
