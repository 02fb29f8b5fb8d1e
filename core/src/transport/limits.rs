//! What a peer may do to a connection, as options; and what no option may be.

use std::fmt;
use std::time::Duration;

use super::{Http2, Keepalive};

/// So many at once, and so many a second after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many may come at once.
    pub burst: u32,
    /// How many are forgotten with every second that passes.
    pub per_second: u32,
}

impl Rate {
    /// `burst` at once, `per_second` after that.
    #[must_use]
    pub const fn new(burst: u32, per_second: u32) -> Self {
        Rate { burst, per_second }
    }
}

/// How much of what costs a peer nothing it may send on one connection. What exceeds a limit ends the connection
/// with GOAWAY(ENHANCE_YOUR_CALM) and the limit's name; [`LimitCounts`](crate::LimitCounts) counts it.
///
/// The defaults are wide enough for honest traffic. To change one:
///
/// ```
/// use spanwire::{FloodLimits, Rate, Server};
///
/// let limits = FloodLimits { resets: Some(Rate::new(5_000, 500)), ..FloodLimits::server_default() };
/// let server = Server::builder().flood_limits(limits);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FloodLimits {
    /// Resets of calls that got no answer, the peer's and our own (rapid reset, CVE-2023-44487; "made you reset",
    /// CVE-2025-8671). `None` allows any number, as a client does.
    pub resets: Option<Rate>,
    /// Streams beyond `max_concurrent_streams` that a client may open before it knows of that limit; refusing them
    /// is not counted among the resets.
    pub max_early_refusals: u32,
    /// SETTINGS frames.
    pub settings: Rate,
    /// Entries in one SETTINGS frame.
    pub max_settings_entries: u32,
    /// PRIORITY and unknown frames, WINDOW_UPDATE beyond what data calls for, and acknowledgements of nothing.
    pub control_frames: Rate,
    /// CONTINUATION frames in one header block, whatever their size.
    pub max_continuations: u32,
    /// Acknowledgements of PING and SETTINGS that may wait to be written before nothing more is read.
    pub max_pending_acks: u32,
    /// What unread small DATA frames may add up to, each counted as 256 less its length. It bounds the memory that a
    /// flood of tiny frames can take, some 10 MB by default.
    pub small_data_budget: usize,
}

impl FloodLimits {
    /// What a server lets its clients do.
    #[must_use]
    pub fn server_default() -> Self {
        FloodLimits { resets: Some(Rate::new(1000, 100)), ..Self::client_default() }
    }

    /// What a client lets its server do: reset as it likes, and otherwise the same.
    #[must_use]
    pub fn client_default() -> Self {
        FloodLimits {
            resets: None,
            max_early_refusals: 10_000,
            settings: Rate::new(100, 10),
            max_settings_entries: 32,
            control_frames: Rate::new(10_000, 330),
            max_continuations: 8,
            max_pending_acks: 1000,
            // Room for the 62 832 five-byte frames of an official interop case, which arrive faster than a reader
            // is scheduled.
            small_data_budget: 16 << 20,
        }
    }

    pub(crate) fn check(&self) -> Result<(), BadOption> {
        let rates = [
            ("flood_limits.resets", self.resets),
            ("flood_limits.settings", Some(self.settings)),
            ("flood_limits.control_frames", Some(self.control_frames)),
        ];
        for (name, rate) in rates {
            check(rate.is_none_or(|rate| rate.burst > 0), name, &rate, "a burst of 0 allows none at all")?;
        }
        let some = [
            ("flood_limits.max_settings_entries", self.max_settings_entries as usize),
            ("flood_limits.max_pending_acks", self.max_pending_acks as usize),
            ("flood_limits.small_data_budget", self.small_data_budget),
        ];
        some.into_iter().try_for_each(|(name, value)| at_least_one(name, value))
    }
}

/// An option with a value that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadOption {
    pub(crate) setting: &'static str,
    pub(crate) value: String,
    pub(crate) reason: &'static str,
}

pub(crate) fn check(
    good: bool,
    setting: &'static str,
    value: &dyn fmt::Debug,
    reason: &'static str,
) -> Result<(), BadOption> {
    if good { Ok(()) } else { Err(BadOption { setting, value: format!("{value:?}"), reason }) }
}

pub(crate) fn at_least_one(setting: &'static str, value: usize) -> Result<(), BadOption> {
    check(value > 0, setting, &value, "it must be at least 1")
}

/// `None` is no limit; zero would end everything before it begins.
pub(crate) fn some_time(setting: &'static str, value: Option<Duration>) -> Result<(), BadOption> {
    check(
        value != Some(Duration::ZERO),
        setting,
        &value.unwrap_or_default(),
        "it must be longer than nothing",
    )
}

/// The largest window that HTTP/2 has.
pub(super) const MAX_WINDOW: u32 = (1 << 31) - 1;

impl Http2 {
    pub(crate) fn check(&self) -> Result<(), BadOption> {
        let Http2 { stream_window, max_stream_window, connection_window, .. } = *self;
        at_least_one("stream_window_bytes", stream_window as usize)?;
        check(
            stream_window <= max_stream_window,
            "stream_window_bytes",
            &stream_window,
            "it is above max_stream_window_bytes: raise that too",
        )?;
        let too_wide = "HTTP/2 has no window above 2^31-1 bytes";
        check(max_stream_window <= MAX_WINDOW, "max_stream_window_bytes", &max_stream_window, too_wide)?;
        check(connection_window <= MAX_WINDOW, "connection_window_bytes", &connection_window, too_wide)?;
        let narrow = "HTTP/2 has no connection window below 65535 bytes";
        check(connection_window >= 65_535, "connection_window_bytes", &connection_window, narrow)?;
        at_least_one("send_buffer_bytes", self.send_buffer)?;
        let buffer = u32::try_from(self.send_buffer).is_ok();
        check(buffer, "send_buffer_bytes", &self.send_buffer, "it is above 2^32-1 bytes")?;
        at_least_one("max_metadata_bytes", self.max_metadata_bytes as usize)?;
        at_least_one("max_concurrent_streams", self.max_concurrent_streams as usize)?;
        self.floods.check()
    }
}

impl Keepalive {
    pub(crate) fn check(&self) -> Result<(), BadOption> {
        some_time("keepalive.interval", Some(self.interval))?;
        some_time("keepalive.timeout", Some(self.timeout))
    }
}
