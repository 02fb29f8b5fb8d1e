//! Limits on what a peer may send, and the accounts behind them.
//!
//! Every limit has two sides: it must stop an attack, and it must never stop honest traffic. Hence buckets that drain,
//! and allowances in proportion to real work, instead of counters over the life of a connection.

use std::time::Duration;

use spanwire_wire::reset::REFUSED_STREAM;
use tokio::time::Instant;

use super::facts::{Limit, WireFacts};
use super::scan::{FrameHead, kind};
use crate::transport::limits::{FloodLimits, Rate};

/// How often a client may ping (gRFC A8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PingPolicy {
    /// Between two pings while there are calls.
    pub(crate) min_interval: Duration,
    /// Between two pings while there are none.
    pub(crate) min_interval_without_calls: Duration,
    /// Applies `min_interval` without calls too.
    pub(crate) permit_without_calls: bool,
    /// Pings that may come too early before the next one ends the connection. Every HEADERS or DATA frame sent to the
    /// client forgives them all.
    pub(crate) max_strikes: u32,
}

/// What a peer may do to a connection, as plain data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Policing {
    /// Pings; `None` allows any number.
    pub(crate) ping: Option<PingPolicy>,
    pub(crate) floods: FloodLimits,
}

impl PingPolicy {
    /// What a server lets its clients do.
    pub(crate) fn server_default() -> Self {
        Self {
            min_interval: Duration::from_secs(5 * 60),
            min_interval_without_calls: Duration::from_secs(2 * 60 * 60),
            permit_without_calls: false,
            max_strikes: 2,
        }
    }
}

#[cfg(test)]
impl Policing {
    pub(super) fn server() -> Self {
        Self { ping: Some(PingPolicy::server_default()), floods: FloodLimits::server_default() }
    }
}

/// How much earlier than permitted a ping may come without a strike: a timer and a network are never exact.
const PING_TOLERANCE: Duration = Duration::from_secs(1);

/// Resets in one batch of reads, of calls that came in the same batch, that still count as late ones. As many as a
/// client may have calls open by default: a busy server sees a crowd of short deadlines pass in one batch.
const HASTY_ALLOWANCE: u32 = 256;

/// What a reset costs, in thousandths of the bucket's unit. A call that was reset in the very batch of bytes that
/// brought it never had a chance: this is what floods are made of. Other resets cost a tenth: short deadlines make many.
const HASTY_COST: u64 = 1000;
const LATE_COST: u64 = 100;

/// Free resets earned by every call that was answered, and how many can be saved up.
const RESETS_PER_ANSWER: u32 = 2;
const MAX_FREE_RESETS: u32 = 1000;

/// WINDOW_UPDATE frames an honest reader may send: some per DATA frame, some more by its size, a few per call.
const UPDATES_PER_DATA: u64 = 20;
const DATA_BYTES_PER_UPDATE: u64 = 128;
const UPDATES_PER_CALL: u64 = 2;
const MAX_FREE_UPDATES: u64 = 1 << 20;

/// A bucket that drains with time.
#[derive(Debug, Default)]
struct Bucket {
    /// In thousandths.
    level: u64,
    drained_at: Option<Instant>,
}

impl Bucket {
    /// Adds `cost` thousandths; `false` when that is more than the bucket holds.
    fn pour(&mut self, cost: u64, rate: Rate, now: Instant) -> bool {
        let since = now.saturating_duration_since(*self.drained_at.get_or_insert(now));
        let micros = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
        let drained = micros.saturating_mul(u64::from(rate.per_second)) / 1000;
        if drained > 0 {
            self.level = self.level.saturating_sub(drained);
            self.drained_at = Some(now);
        }
        self.level = self.level.saturating_add(cost);
        self.level <= u64::from(rate.burst) * 1000
    }
}

/// Which of the last streams were answered, one bit each.
///
/// A bit belongs to a stream for as long as no more than [`Answered::STREAMS`] were opened after it; a reset of an older
/// stream is no rush and is not counted at all. Grows with the streams, to half a kilobyte.
#[derive(Debug, Default)]
struct Answered(Vec<u64>);

impl Answered {
    const STREAMS: u32 = 4096;

    fn place(stream: u32) -> (usize, u64) {
        let slot = (stream / 2) % Self::STREAMS;
        ((slot / 64) as usize, 1 << (slot % 64))
    }

    fn get(&self, stream: u32) -> bool {
        let (word, bit) = Self::place(stream);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }

    fn set(&mut self, stream: u32, answered: bool) {
        let (word, bit) = Self::place(stream);
        if answered && word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        match self.0.get_mut(word) {
            Some(word) if answered => *word |= bit,
            Some(word) => *word &= !bit,
            None => {}
        }
    }
}

/// The moment, asked of the clock at most once per batch and only if a frame needs it.
#[derive(Debug, Default)]
pub(super) struct Moment(Option<Instant>);

impl Moment {
    #[cfg(test)]
    pub(super) fn at(now: Instant) -> Self {
        Self(Some(now))
    }

    fn get(&mut self) -> Instant {
        *self.0.get_or_insert_with(Instant::now)
    }
}

/// Resets and answers of calls.
#[derive(Debug)]
struct ResetAccount {
    rate: Rate,
    bucket: Bucket,
    answered: Answered,
    free: u32,
    /// Streams from here on came in the current batch of reads.
    batch_begins_at: u32,
    hasty: u32,
    /// The last stream that a client opened before it knew our SETTINGS, once it does.
    settled_at: Option<u32>,
    /// How many of those may still be refused for free.
    early_refusals: u32,
}

impl ResetAccount {
    fn new(rate: Rate, early_refusals: u32) -> Self {
        Self {
            rate,
            bucket: Bucket::default(),
            answered: Answered::default(),
            free: 0,
            batch_begins_at: 0,
            hasty: 0,
            settled_at: None,
            early_refusals,
        }
    }

    fn on_answer(&mut self, stream: u32) {
        if !self.answered.get(stream) {
            self.answered.set(stream, true);
            self.free = (self.free + RESETS_PER_ANSWER).min(MAX_FREE_RESETS);
        }
    }

    /// Whether a reset of `stream` needs no counting.
    fn is_free(&mut self, stream: u32, newest: u32) -> bool {
        let old = newest.saturating_sub(stream) / 2 >= Answered::STREAMS;
        if old || self.answered.get(stream) {
            return true;
        }
        let free = self.free > 0;
        self.free = self.free.saturating_sub(1);
        free
    }

    fn cost_of_peer_reset(&mut self, stream: u32) -> u64 {
        if stream < self.batch_begins_at {
            return LATE_COST;
        }
        self.hasty += 1;
        if self.hasty > HASTY_ALLOWANCE { HASTY_COST } else { LATE_COST }
    }
}

/// Holds a peer to its [`Policing`].
///
/// Every frame is reported, in its order, before it goes on. The first limit that is exceeded stays.
#[derive(Debug)]
pub(super) struct Police {
    limits: Policing,
    exceeded: Option<Limit>,
    resets: Option<ResetAccount>,
    settings: Bucket,
    glitches: Bucket,
    free_updates: u64,
    strikes: u32,
    last_ping: Option<Instant>,
    continuations: u32,
    pending_acks: u32,
    /// Pings and SETTINGS of ours that the peer has yet to acknowledge.
    pings_out: u32,
    settings_out: u32,
}

impl Police {
    pub(super) fn new(limits: Policing) -> Self {
        let resets =
            limits.floods.resets.map(|rate| ResetAccount::new(rate, limits.floods.max_early_refusals));
        Self {
            limits,
            exceeded: None,
            resets,
            settings: Bucket::default(),
            glitches: Bucket::default(),
            // What a peer may say while a connection is set up.
            free_updates: 100,
            strikes: 0,
            last_ping: None,
            continuations: 0,
            pending_acks: 0,
            pings_out: 0,
            settings_out: 0,
        }
    }

    /// The limit the peer has exceeded.
    pub(super) fn exceeded(&self) -> Option<Limit> {
        self.exceeded
    }

    /// Whether so many acknowledgements wait that nothing more should be read.
    pub(super) fn must_stop_reading(&self) -> bool {
        self.pending_acks > self.limits.floods.max_pending_acks
    }

    /// All that was there has been read: calls that came so far get their chance now.
    pub(super) fn batch_ends(&mut self, facts: &WireFacts) {
        if let Some(resets) = &mut self.resets {
            resets.batch_begins_at = facts.max_read_stream() + 1;
            resets.hasty = 0;
        }
    }

    /// A HEADERS frame came, for a new call or (`None`) with trailers.
    pub(super) fn headers_read(&mut self, new: Option<u32>) {
        self.continuations = 0;
        let Some(stream) = new else { return };
        self.allow_updates(UPDATES_PER_CALL);
        if let Some(resets) = &mut self.resets {
            resets.answered.set(stream, false);
        }
    }

    /// A frame other than HEADERS and DATA came.
    pub(super) fn control_read(&mut self, head: FrameHead, facts: &WireFacts, moment: &mut Moment) {
        match head.kind {
            kind::RST_STREAM => self.reset_read(head.stream, facts, moment),
            kind::PING if head.is_ack() => match self.pings_out.checked_sub(1) {
                Some(left) => self.pings_out = left,
                None => self.glitch(moment),
            },
            kind::SETTINGS if head.is_ack() => match self.settings_out.checked_sub(1) {
                Some(left) => {
                    self.settings_out = left;
                    if let Some(resets) = &mut self.resets {
                        resets.settled_at.get_or_insert(facts.max_read_stream());
                    }
                }
                None => self.glitch(moment),
            },
            kind::PING => {
                self.pending_acks += 1;
                self.ping_read(facts.has_calls(), moment);
            }
            kind::SETTINGS => {
                self.pending_acks += 1;
                self.settings_read(head, moment);
            }
            kind::PUSH_PROMISE => self.continuations = 0,
            kind::CONTINUATION => {
                self.continuations += 1;
                if self.continuations > self.limits.floods.max_continuations {
                    self.exceed(Limit::Continuations);
                } else if head.ends_headers() {
                    self.continuations = 0;
                }
            }
            kind::GOAWAY => {}
            kind::WINDOW_UPDATE if self.free_updates > 0 => self.free_updates -= 1,
            _ => self.glitch(moment),
        }
    }

    /// A frame was written; a reset, once its code is known, is told to [`Police::reset_written`].
    pub(super) fn frame_written(&mut self, head: FrameHead) {
        match head.kind {
            kind::DATA => {
                self.forgive_pings();
                self.allow_updates(UPDATES_PER_DATA + u64::from(head.length) / DATA_BYTES_PER_UPDATE);
            }
            kind::HEADERS => {
                self.forgive_pings();
                self.allow_updates(UPDATES_PER_CALL);
                if let Some(resets) = &mut self.resets {
                    resets.on_answer(head.stream);
                }
            }
            kind::PING if head.is_ack() => self.pending_acks = self.pending_acks.saturating_sub(1),
            kind::PING => self.pings_out += 1,
            kind::SETTINGS if head.is_ack() => self.pending_acks = self.pending_acks.saturating_sub(1),
            kind::SETTINGS => self.settings_out += 1,
            _ => {}
        }
    }

    /// A RST_STREAM was written, with this code.
    pub(super) fn reset_written(&mut self, stream: u32, code: u32, facts: &WireFacts, moment: &mut Moment) {
        let Some(resets) = &mut self.resets else { return };
        let unknowing = code == REFUSED_STREAM && resets.settled_at.is_none_or(|last| stream <= last);
        if unknowing && let Some(left) = resets.early_refusals.checked_sub(1) {
            resets.early_refusals = left;
        } else if !resets.is_free(stream, facts.max_read_stream())
            && !resets.bucket.pour(HASTY_COST, resets.rate, moment.get())
        {
            self.exceed(Limit::Resets);
        }
    }

    fn exceed(&mut self, limit: Limit) {
        self.exceeded.get_or_insert(limit);
    }

    fn forgive_pings(&mut self) {
        self.strikes = 0;
        self.last_ping = None;
    }

    fn allow_updates(&mut self, more: u64) {
        self.free_updates = (self.free_updates + more).min(MAX_FREE_UPDATES);
    }

    fn glitch(&mut self, moment: &mut Moment) {
        if !self.glitches.pour(1000, self.limits.floods.control_frames, moment.get()) {
            self.exceed(Limit::Glitches);
        }
    }

    fn reset_read(&mut self, stream: u32, facts: &WireFacts, moment: &mut Moment) {
        let Some(resets) = &mut self.resets else { return };
        if resets.is_free(stream, facts.max_read_stream()) {
            return;
        }
        let cost = resets.cost_of_peer_reset(stream);
        if !resets.bucket.pour(cost, resets.rate, moment.get()) {
            self.exceed(Limit::Resets);
        }
    }

    fn settings_read(&mut self, head: FrameHead, moment: &mut Moment) {
        const ENTRY: u32 = 6;
        if head.length / ENTRY > self.limits.floods.max_settings_entries {
            self.exceed(Limit::SettingsEntries);
        } else if !self.settings.pour(1000, self.limits.floods.settings, moment.get()) {
            self.exceed(Limit::Settings);
        }
    }

    fn ping_read(&mut self, has_calls: bool, moment: &mut Moment) {
        let Some(policy) = self.limits.ping else { return };
        let now = moment.get();
        let interval = if has_calls || policy.permit_without_calls {
            policy.min_interval
        } else {
            policy.min_interval_without_calls
        };
        let allowed_early = PING_TOLERANCE.min(interval / 10);
        let last = self.last_ping.replace(now);
        if last
            .is_some_and(|last| now.saturating_duration_since(last).saturating_add(allowed_early) < interval)
        {
            self.strikes += 1;
            if self.strikes > policy.max_strikes {
                self.exceed(Limit::Pings);
            }
        }
    }
}

#[cfg(test)]
mod tests;
