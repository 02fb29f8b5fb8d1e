//! When to ping: keepalive (gRFC A8) and the estimate of the bandwidth-delay product, as state machines without I/O.
//!
//! HTTP/2 below us has one ping at a time to give, so both share it:
//!
//! ```text
//!            on_data, or interval without a read            on_ping_sent
//!   idle ────────────────────────────────────► SendPing ──────────────────► out
//!    ▲                                                                        │ on_pong
//!    └────────────────────────────────────────────────────────────────────────┘
//!   out, and nothing read for `timeout` after the keepalive wanted an answer: Dead
//! ```

use std::time::Duration;

use tokio::time::Instant;

/// When to ask a silent peer whether it is still there.
///
/// A client's `interval` is at least 10 s; servers of other kinds close connections that ping more often than they
/// permit, by default every five minutes (gRFC A8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// How long nothing may be received before a ping is sent.
    pub interval: Duration,
    /// How long after that ping nothing may be received before the connection is given up.
    pub timeout: Duration,
    /// Whether to ping while no call is running. Servers permit that far less often, by default every two hours.
    pub permit_without_calls: bool,
}

impl Keepalive {
    /// Pings after `interval` of silence while calls are running, and waits 20 s for a sign of life.
    pub fn new(interval: Duration) -> Self {
        Self { interval, timeout: Duration::from_secs(20), permit_without_calls: false }
    }

    /// For clients on a phone, whose network goes away without a word: 60 s of silence, 15 s for the answer.
    pub fn mobile() -> Self {
        Self { timeout: Duration::from_secs(15), ..Self::new(Duration::from_secs(60)) }
    }

    /// What servers do if they are told nothing: 2 h of silence, 20 s for the answer, with or without calls.
    pub fn server_default() -> Self {
        Self { permit_without_calls: true, ..Self::new(Duration::from_secs(2 * 60 * 60)) }
    }

    /// The same with twice the interval, for a server that complained of too many pings.
    pub(crate) fn doubled(&self) -> Self {
        Self { interval: self.interval.saturating_mul(2), ..self.clone() }
    }
}

/// What the driver of a connection has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Nothing before this moment, unless something happens on the connection.
    Nothing(Option<Instant>),
    /// Send a ping, and report it as sent.
    SendPing,
    /// The peer is gone.
    Dead,
}

/// The keepalive of one connection.
#[derive(Debug)]
pub(crate) struct KeepaliveState {
    config: Keepalive,
    last_read: Instant,
    /// Since when a sign of life is overdue.
    waiting_since: Option<Instant>,
}

impl KeepaliveState {
    /// The least interval of a client (gRFC A8).
    const CLIENT_MIN: Duration = Duration::from_secs(10);
    /// The least interval of a server.
    const SERVER_MIN: Duration = Duration::from_secs(1);

    /// For a client's connection. An interval below 10 s is raised to that, with a warning.
    pub(crate) fn client(config: Keepalive, now: Instant) -> Self {
        Self::clamped(config, Self::CLIENT_MIN, now)
    }

    /// For a server's connection, which pings with or without calls. An interval below 1 s is raised to that.
    pub(crate) fn server(config: Keepalive, now: Instant) -> Self {
        Self::clamped(Keepalive { permit_without_calls: true, ..config }, Self::SERVER_MIN, now)
    }

    fn clamped(config: Keepalive, least: Duration, now: Instant) -> Self {
        if config.interval < least {
            tracing::warn!(interval = ?config.interval, used = ?least, "keepalive interval is too short");
        }
        Self::unclamped(Keepalive { interval: config.interval.max(least), ..config }, now)
    }

    /// Takes any interval: for tests that cannot wait.
    pub(crate) fn unclamped(config: Keepalive, now: Instant) -> Self {
        Self { config, last_read: now, waiting_since: None }
    }

    /// Something was received.
    pub(crate) fn on_activity(&mut self, now: Instant) {
        self.last_read = now;
        self.waiting_since = None;
    }

    /// What to do now. A ping already under way, whoever sent it (`ping_out`), is asked for no second time.
    fn poll(&mut self, now: Instant, has_calls: bool, ping_out: bool) -> Action {
        if let Some(since) = self.waiting_since {
            return match since.checked_add(self.config.timeout) {
                Some(end) if end <= now => Action::Dead,
                end => Action::Nothing(end),
            };
        }
        if !has_calls && !self.config.permit_without_calls {
            return Action::Nothing(None);
        }
        match self.last_read.checked_add(self.config.interval) {
            Some(due) if due <= now => {
                if !ping_out {
                    return Action::SendPing;
                }
                self.on_ping_sent(now);
                Action::Nothing(now.checked_add(self.config.timeout))
            }
            due => Action::Nothing(due),
        }
    }

    fn on_ping_sent(&mut self, now: Instant) {
        self.waiting_since = Some(now);
    }
}

/// Measures how much data is under way on a connection, and proposes a window that does not hold it up.
///
/// A ping is sent when data comes in. What is received until its answer fills a round trip; when that is two thirds of
/// the window or more, and more a second than ever, the window is what limits, and becomes twice what was received.
/// A round that changes nothing doubles the pause before the next, from 100 ms to 10 s.
#[derive(Debug)]
pub(crate) struct BdpEstimator {
    window: u32,
    max: u32,
    /// Data came since the last look.
    fresh: bool,
    /// When the ping went out, and the bytes received since.
    round: Option<(Instant, u64)>,
    /// Bytes a second, the most seen.
    bandwidth: f64,
    pause: Duration,
    not_before: Option<Instant>,
}

impl BdpEstimator {
    const FIRST_PAUSE: Duration = Duration::from_millis(100);
    const MAX_PAUSE: Duration = Duration::from_secs(10);

    /// Starts at `window` bytes and never proposes more than `max`.
    pub(crate) fn new(window: u32, max: u32) -> Self {
        Self {
            window,
            max,
            fresh: false,
            round: None,
            bandwidth: 0.0,
            pause: Duration::ZERO,
            not_before: None,
        }
    }

    /// So many bytes of DATA payload were received.
    pub(crate) fn on_data(&mut self, bytes: u64) {
        self.fresh = true;
        if let Some((_, received)) = &mut self.round {
            *received += bytes;
        }
    }

    /// Whether to begin a round. Asked only right after data came, so that the peer's ping policy, which forgives pings
    /// whenever it sends data, never minds.
    fn wants_ping(&mut self, now: Instant) -> bool {
        let fresh = std::mem::take(&mut self.fresh);
        let paused = self.not_before.is_some_and(|moment| now < moment);
        fresh && !paused && self.round.is_none() && self.window < self.max
    }

    fn on_ping_sent(&mut self, now: Instant) {
        self.round = Some((now, 0));
    }

    /// The round is over: a new window, in bytes, if the old one was too small.
    fn on_pong(&mut self, now: Instant) -> Option<u32> {
        let (sent, received) = self.round.take()?;
        let seconds = now.saturating_duration_since(sent).as_secs_f64().max(1e-6);
        let bandwidth = received as f64 / seconds;
        let full = received.saturating_mul(3) >= u64::from(self.window) * 2;
        if full && bandwidth > self.bandwidth {
            self.bandwidth = bandwidth;
            self.pause = Duration::ZERO;
            self.not_before = None;
            self.window = u32::try_from(received.saturating_mul(2)).unwrap_or(u32::MAX).min(self.max);
            return Some(self.window);
        }
        self.pause = (self.pause * 2).clamp(Self::FIRST_PAUSE, Self::MAX_PAUSE);
        self.not_before = Some(now + self.pause);
        None
    }
}

/// Decides about the one ping of a connection.
#[derive(Debug)]
pub(crate) struct Pinger {
    keepalive: Option<KeepaliveState>,
    bdp: Option<BdpEstimator>,
    ping_out: bool,
    /// Who asked for the ping that is to be sent.
    for_keepalive: bool,
    for_bdp: bool,
    /// The moment last answered. A later one is answered only when this has passed: with every read the keepalive moves
    /// on, and a timer that is moved with every read costs more than one that now and then rings too early.
    armed: Option<Instant>,
}

impl Pinger {
    /// Without either, never pings.
    pub(crate) fn new(keepalive: Option<KeepaliveState>, bdp: Option<BdpEstimator>) -> Self {
        Self { keepalive, bdp, ping_out: false, for_keepalive: false, for_bdp: false, armed: None }
    }

    /// A frame was received, of any kind.
    pub(crate) fn on_read(&mut self, now: Instant) {
        if let Some(keepalive) = &mut self.keepalive {
            keepalive.on_activity(now);
        }
    }

    /// So many bytes of DATA payload were received.
    pub(crate) fn on_data(&mut self, bytes: u64) {
        if let Some(bdp) = &mut self.bdp {
            bdp.on_data(bytes);
        }
    }

    /// What to do now. To be asked after every read and at the moment last answered.
    pub(crate) fn poll(&mut self, now: Instant, has_calls: bool) -> Action {
        let wish = match &mut self.keepalive {
            Some(keepalive) => keepalive.poll(now, has_calls, self.ping_out),
            None => Action::Nothing(None),
        };
        if wish == Action::Dead {
            return Action::Dead;
        }
        self.for_keepalive = wish == Action::SendPing;
        self.for_bdp = !self.ping_out && self.bdp.as_mut().is_some_and(|bdp| bdp.wants_ping(now));
        if self.for_keepalive || self.for_bdp {
            return Action::SendPing;
        }
        if let Action::Nothing(until) = wish {
            let early = self.armed.filter(|armed| *armed > now && until.is_some_and(|until| *armed < until));
            self.armed = early.or(until);
        }
        Action::Nothing(self.armed)
    }

    /// The ping that was asked for went out.
    pub(crate) fn on_ping_sent(&mut self, now: Instant) {
        self.ping_out = true;
        if self.for_keepalive
            && let Some(keepalive) = &mut self.keepalive
        {
            keepalive.on_ping_sent(now);
        }
        // A ping of the keepalive measures nothing: no data is coming in.
        if self.for_bdp
            && let Some(bdp) = &mut self.bdp
        {
            bdp.on_ping_sent(now);
        }
    }

    /// The answer came. `Some` is the window, in bytes, that the streams and the connection should have from now on.
    pub(crate) fn on_pong(&mut self, now: Instant) -> Option<u32> {
        self.ping_out = false;
        self.on_read(now);
        self.bdp.as_mut().and_then(|bdp| bdp.on_pong(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const MS: Duration = Duration::from_millis(1);

    /// 10 s and 3 s.
    fn keepalive(permit_without_calls: bool) -> Keepalive {
        Keepalive { interval: 10 * SECOND, timeout: 3 * SECOND, permit_without_calls }
    }

    fn pinger(config: Keepalive) -> (Pinger, Instant) {
        let start = Instant::now();
        (Pinger::new(Some(KeepaliveState::client(config, start)), None), start)
    }

    /// What [`Pinger::poll`] answers, with moments as time since `start`.
    fn poll(
        pinger: &mut Pinger,
        start: Instant,
        at: Duration,
        has_calls: bool,
    ) -> Result<Option<Duration>, Action> {
        match pinger.poll(start + at, has_calls) {
            Action::Nothing(until) => Ok(until.map(|until| until - start)),
            action => Err(action),
        }
    }

    #[test]
    fn a_silent_peer_is_pinged_and_then_dead() {
        let (mut pinger, start) = pinger(keepalive(false));
        assert_eq!(poll(&mut pinger, start, SECOND, true), Ok(Some(10 * SECOND)));
        assert_eq!(poll(&mut pinger, start, 10 * SECOND - MS, true), Ok(Some(10 * SECOND)));
        assert_eq!(poll(&mut pinger, start, 10 * SECOND, true), Err(Action::SendPing));
        pinger.on_ping_sent(start + 10 * SECOND);
        assert_eq!(poll(&mut pinger, start, 11 * SECOND, true), Ok(Some(13 * SECOND)));
        assert_eq!(poll(&mut pinger, start, 13 * SECOND - MS, true), Ok(Some(13 * SECOND)));
        assert_eq!(poll(&mut pinger, start, 13 * SECOND, true), Err(Action::Dead));
    }

    #[test]
    fn the_interval_counts_from_the_last_read() {
        let (mut pinger, start) = pinger(keepalive(false));
        for second in 0..100 {
            pinger.on_read(start + second * SECOND);
            assert!(poll(&mut pinger, start, second * SECOND, true).is_ok());
        }
        assert_eq!(poll(&mut pinger, start, 109 * SECOND - MS, true), Ok(Some(109 * SECOND)));
        assert_eq!(poll(&mut pinger, start, 109 * SECOND, true), Err(Action::SendPing));
        // The answer is a read too.
        pinger.on_ping_sent(start + 109 * SECOND);
        pinger.on_pong(start + 110 * SECOND);
        assert_eq!(poll(&mut pinger, start, 110 * SECOND, true), Ok(Some(120 * SECOND)));
    }

    #[test]
    fn the_timer_is_moved_only_when_it_rings() {
        let (mut pinger, start) = pinger(keepalive(false));
        assert_eq!(poll(&mut pinger, start, Duration::ZERO, true), Ok(Some(10 * SECOND)));
        pinger.on_read(start + 4 * SECOND);
        assert_eq!(poll(&mut pinger, start, 4 * SECOND, true), Ok(Some(10 * SECOND)));
        assert_eq!(poll(&mut pinger, start, 10 * SECOND, true), Ok(Some(14 * SECOND)));
        // An earlier moment is answered at once.
        assert_eq!(poll(&mut pinger, start, 14 * SECOND, true), Err(Action::SendPing));
        pinger.on_ping_sent(start + 14 * SECOND);
        assert_eq!(poll(&mut pinger, start, 14 * SECOND, true), Ok(Some(17 * SECOND)));
    }

    #[test]
    fn any_read_is_a_sign_of_life() {
        let (mut pinger, start) = pinger(keepalive(false));
        assert_eq!(poll(&mut pinger, start, 10 * SECOND, true), Err(Action::SendPing));
        pinger.on_ping_sent(start + 10 * SECOND);
        pinger.on_read(start + 12 * SECOND);
        assert_eq!(poll(&mut pinger, start, 13 * SECOND, true), Ok(Some(22 * SECOND)));
        // The answer never came. There is no second ping to send, but silence is still the end.
        assert_eq!(poll(&mut pinger, start, 22 * SECOND, true), Ok(Some(25 * SECOND)));
        assert_eq!(poll(&mut pinger, start, 25 * SECOND, true), Err(Action::Dead));
    }

    #[test]
    fn there_are_no_pings_without_calls_unless_permitted() {
        let (mut quiet, start) = pinger(keepalive(false));
        assert_eq!(poll(&mut quiet, start, 100 * SECOND, false), Ok(None));
        // The first call after a long silence asks at once.
        assert_eq!(poll(&mut quiet, start, 100 * SECOND, true), Err(Action::SendPing));
        quiet.on_ping_sent(start + 100 * SECOND);
        // A ping once sent is waited for, even when the call ends.
        assert_eq!(poll(&mut quiet, start, 103 * SECOND, false), Err(Action::Dead));

        let (mut permitted, start) = pinger(keepalive(true));
        assert_eq!(poll(&mut permitted, start, 10 * SECOND, false), Err(Action::SendPing));
    }

    #[test]
    fn short_intervals_are_raised() {
        let start = Instant::now();
        let short = Keepalive::new(MS);
        assert_eq!(KeepaliveState::client(short.clone(), start).config.interval, 10 * SECOND);
        assert_eq!(KeepaliveState::server(short.clone(), start).config.interval, SECOND);
        assert!(KeepaliveState::server(short.clone(), start).config.permit_without_calls);
        assert_eq!(KeepaliveState::unclamped(short, start).config.interval, MS);
        assert_eq!(KeepaliveState::client(Keepalive::mobile(), start).config, Keepalive::mobile());
    }

    #[test]
    fn an_endless_interval_means_never() {
        let (mut pinger, start) =
            pinger(Keepalive { timeout: Duration::MAX, ..Keepalive::new(Duration::MAX) });
        assert_eq!(poll(&mut pinger, start, 1_000_000 * SECOND, true), Ok(None));
        assert_eq!(Keepalive::new(Duration::MAX).doubled().interval, Duration::MAX);
        assert_eq!(Keepalive::mobile().doubled().interval, 120 * SECOND);
    }

    #[test]
    fn without_a_keepalive_silence_means_nothing() {
        let start = Instant::now();
        let mut pinger = Pinger::new(None, None);
        pinger.on_read(start);
        pinger.on_data(1);
        assert_eq!(pinger.poll(start + 1_000_000 * SECOND, true), Action::Nothing(None));
        assert_eq!(pinger.on_pong(start), None);
    }

    fn estimator() -> (Pinger, Instant) {
        (Pinger::new(None, Some(BdpEstimator::new(65_535, 1 << 20))), Instant::now())
    }

    /// One round trip of 10 ms that brings so many bytes.
    fn round(pinger: &mut Pinger, now: &mut Instant, bytes: u64) -> Option<u32> {
        pinger.on_data(1);
        assert_eq!(pinger.poll(*now, true), Action::SendPing);
        pinger.on_ping_sent(*now);
        for _ in 0..10 {
            *now += MS;
            pinger.on_data(bytes / 10);
            // Never a second ping while one is out.
            assert_eq!(pinger.poll(*now, true), Action::Nothing(None));
        }
        pinger.on_pong(*now)
    }

    #[test]
    fn the_window_grows_with_what_fills_it_up_to_the_limit() {
        let (mut pinger, mut now) = estimator();
        assert_eq!(round(&mut pinger, &mut now, 60_000), Some(120_000));
        assert_eq!(round(&mut pinger, &mut now, 120_000), Some(240_000));
        assert_eq!(round(&mut pinger, &mut now, 240_000), Some(480_000));
        assert_eq!(round(&mut pinger, &mut now, 480_000), Some(960_000));
        assert_eq!(round(&mut pinger, &mut now, 960_000), Some(1 << 20));
        pinger.on_data(1_000_000);
        assert_eq!(pinger.poll(now, true), Action::Nothing(None));
    }

    #[test]
    fn a_window_that_is_not_filled_stays_and_is_asked_for_less_and_less() {
        let (mut pinger, mut now) = estimator();
        let mut pauses = Vec::new();
        for _ in 0..9 {
            assert_eq!(round(&mut pinger, &mut now, 43_000), None);
            let begin = now;
            while pinger.poll(now, true) == Action::Nothing(None) {
                now += 10 * MS;
                pinger.on_data(1);
            }
            pauses.push((now - begin).as_millis());
        }
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
    }

    #[test]
    fn the_window_grows_from_two_thirds_on() {
        let (mut pinger, mut now) =
            (Pinger::new(None, Some(BdpEstimator::new(90_000, 1 << 20))), Instant::now());
        assert_eq!(round(&mut pinger, &mut now, 59_990), None);
        now += SECOND;
        assert_eq!(round(&mut pinger, &mut now, 60_000), Some(120_000));
    }

    #[test]
    fn more_data_without_more_bandwidth_is_no_reason_to_grow() {
        let (mut pinger, mut now) = estimator();
        assert_eq!(round(&mut pinger, &mut now, 60_000), Some(120_000));
        // Twice the data in twice the time: a queue is growing somewhere.
        pinger.on_data(1);
        assert_eq!(pinger.poll(now, true), Action::SendPing);
        pinger.on_ping_sent(now);
        pinger.on_data(120_000);
        now += 20 * MS;
        assert_eq!(pinger.on_pong(now), None);
    }

    #[test]
    fn silence_asks_for_no_estimate() {
        let (mut pinger, now) = estimator();
        assert_eq!(pinger.poll(now, true), Action::Nothing(None));
        assert_eq!(pinger.poll(now + 100 * SECOND, true), Action::Nothing(None));
    }

    #[test]
    fn the_ping_of_an_estimate_serves_the_keepalive_too() {
        let start = Instant::now();
        let keepalive = KeepaliveState::client(keepalive(false), start);
        let mut pinger = Pinger::new(Some(keepalive), Some(BdpEstimator::new(65_535, 1 << 20)));
        pinger.on_data(1);
        assert_eq!(poll(&mut pinger, start, Duration::ZERO, true), Err(Action::SendPing));
        pinger.on_ping_sent(start);
        // Nothing for 10 s: the ping out is the question, and 3 s more are the end.
        assert_eq!(poll(&mut pinger, start, 9 * SECOND, true), Ok(Some(10 * SECOND)));
        assert_eq!(poll(&mut pinger, start, 10 * SECOND, true), Ok(Some(13 * SECOND)));
        assert_eq!(poll(&mut pinger, start, 13 * SECOND, true), Err(Action::Dead));
    }
}
