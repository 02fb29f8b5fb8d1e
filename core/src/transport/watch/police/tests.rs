use spanwire_wire::reset::CANCEL;

use super::*;

/// A police on a virtual clock, with frames named by what they are.
struct Beat {
    police: Police,
    facts: WireFacts,
    now: Instant,
}

impl Beat {
    fn new(limits: Policing) -> Self {
        Self { police: Police::new(limits), facts: WireFacts::default(), now: Instant::now() }
    }

    fn server() -> Self {
        Self::new(Policing::server())
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    fn read(&mut self, kind: u8, flags: u8, stream: u32, length: u32) -> Option<Limit> {
        let head = FrameHead { length, kind, flags, stream };
        self.police.control_read(head, &self.facts, &mut Moment::at(self.now));
        self.police.exceeded()
    }

    fn write(&mut self, kind: u8, flags: u8, stream: u32, length: u32) -> Option<Limit> {
        if kind == kind::RST_STREAM {
            self.police.reset_written(stream, CANCEL, &self.facts, &mut Moment::at(self.now));
        } else {
            self.police.frame_written(FrameHead { length, kind, flags, stream });
        }
        self.police.exceeded()
    }

    fn ping(&mut self) -> Option<Limit> {
        self.read(kind::PING, 0, 0, 8)
    }

    fn reset(&mut self, stream: u32) -> Option<Limit> {
        self.read(kind::RST_STREAM, 0, stream, 4)
    }

    /// A new call begins.
    fn open(&mut self, stream: u32) {
        assert!(self.facts.raise_read_stream(stream));
        self.police.headers_read(Some(stream));
    }

    fn batch_ends(&mut self) {
        self.police.batch_ends(&self.facts);
    }
}

const MINUTE: Duration = Duration::from_secs(60);
const MS: Duration = Duration::from_millis(1);
const PRIORITY: u8 = 2;

#[test]
fn the_third_early_ping_ends_the_connection() {
    let mut beat = Beat::server();
    assert_eq!(beat.ping(), None);
    assert_eq!(beat.ping(), None);
    assert_eq!(beat.ping(), None);
    assert_eq!(beat.ping(), Some(Limit::Pings));
}

#[test]
fn pings_at_the_permitted_rate_are_free_for_ever() {
    let mut beat = Beat::server();
    for n in 0..1000_u64 {
        assert_eq!(beat.ping(), None);
        // A timer that is up to a second off, now early, now late.
        beat.pass(5 * MINUTE - Duration::from_millis(n * 97 % 1000));
    }
    for _ in 0..3 {
        assert_eq!(beat.ping(), None);
        beat.pass(5 * MINUTE - Duration::from_millis(1001));
    }
    assert_eq!(beat.ping(), Some(Limit::Pings));
}

#[test]
fn headers_and_data_sent_forgive_pings() {
    let mut beat = Beat::server();
    for kind in [kind::HEADERS, kind::DATA].into_iter().cycle().take(1000) {
        assert_eq!(beat.ping(), None);
        assert_eq!(beat.ping(), None);
        assert_eq!(beat.ping(), None);
        beat.write(kind, 0, 1, 0);
    }
    // Nothing else does.
    for kind in [kind::PING, kind::SETTINGS, kind::WINDOW_UPDATE] {
        beat.write(kind, 1, 0, 0);
        beat.ping();
    }
    assert_eq!(beat.ping(), Some(Limit::Pings));
}

#[test]
fn without_calls_two_hours_must_pass() {
    let mut beat = Beat::server();
    beat.facts.set_live_calls(0);
    for _ in 0..50 {
        assert_eq!(beat.ping(), None);
        beat.pass(120 * MINUTE);
    }
    for _ in 0..2 {
        assert_eq!(beat.ping(), None);
        beat.pass(119 * MINUTE);
    }
    beat.ping();
    beat.facts.set_live_calls(1);
    for _ in 0..50 {
        beat.pass(5 * MINUTE);
        assert_eq!(beat.ping(), None);
    }
    beat.facts.set_live_calls(0);
    beat.pass(5 * MINUTE);
    assert_eq!(beat.ping(), Some(Limit::Pings));
}

#[test]
fn pings_without_calls_can_be_permitted() {
    let mut limits = Policing::server();
    if let Some(ping) = &mut limits.ping {
        ping.permit_without_calls = true;
    }
    let mut beat = Beat::new(limits);
    beat.facts.set_live_calls(0);
    for _ in 0..50 {
        assert_eq!(beat.ping(), None);
        beat.pass(5 * MINUTE);
    }
}

#[test]
fn a_client_takes_any_number_of_pings_and_resets() {
    let mut beat = Beat::new(Policing { ping: None, floods: FloodLimits::client_default() });
    for stream in 0..10_000 {
        assert_eq!(beat.ping(), None);
        assert_eq!(beat.reset(stream * 2 + 1), None);
    }
}

#[test]
fn rapid_reset_is_stopped() {
    let mut beat = Beat::server();
    let mut resets = 0;
    for stream in (1..).step_by(2) {
        beat.open(stream);
        resets += 1;
        if beat.reset(stream).is_some() {
            break;
        }
    }
    assert_eq!(beat.police.exceeded(), Some(Limit::Resets));
    // The allowance counts a tenth: 256 + (1000 - 25.6), and the one too many.
    assert_eq!(resets, 1231);
}

#[test]
fn rapid_reset_in_small_batches_is_stopped() {
    let mut beat = Beat::server();
    let mut stream = 1;
    for batch in 1.. {
        for _ in 0..200 {
            beat.open(stream);
            beat.reset(stream);
            stream += 2;
        }
        beat.batch_ends();
        beat.pass(MS);
        if beat.police.exceeded().is_some() {
            assert!(batch <= 52, "{batch}");
            return;
        }
    }
}

#[test]
fn thousands_of_short_deadlines_are_honest() {
    let mut beat = Beat::server();
    // 5 000 calls, 50 in flight, each reset unanswered 1 to 5 ms after it began.
    let mut stream = 1;
    for _ in 0..100 {
        let first = stream;
        for _ in 0..50 {
            beat.open(stream);
            stream += 2;
        }
        beat.batch_ends();
        beat.pass(3 * MS);
        for open in (first..stream).step_by(2) {
            assert_eq!(beat.reset(open), None);
        }
    }
}

#[test]
fn a_crowd_cancelled_at_once_is_honest() {
    let mut beat = Beat::server();
    for stream in (1..=399).step_by(2) {
        beat.open(stream);
    }
    for stream in (1..=399).step_by(2) {
        assert_eq!(beat.reset(stream), None);
    }
}

#[test]
fn resets_of_answered_calls_are_free() {
    let mut beat = Beat::server();
    for stream in (1..=200_001).step_by(2) {
        beat.open(stream);
        beat.write(kind::HEADERS, 0, stream, 20);
        assert_eq!(beat.reset(stream), None);
        // Status and RST_STREAM(NO_ERROR) to a client that is still sending.
        assert_eq!(beat.write(kind::RST_STREAM, 0, stream, 4), None);
    }
}

#[test]
fn answered_calls_earn_a_few_resets() {
    let mut beat = Beat::server();
    // A third cancelled in the middle of the request, a third over a limit, a third good.
    for stream in (1..=60_001).step_by(6) {
        beat.open(stream);
        beat.open(stream + 2);
        beat.open(stream + 4);
        beat.write(kind::HEADERS, 1, stream + 2, 20);
        beat.write(kind::RST_STREAM, 0, stream + 2, 4);
        beat.write(kind::HEADERS, 0, stream + 4, 20);
        beat.write(kind::HEADERS, 1, stream + 4, 20);
        assert_eq!(beat.reset(stream), None);
    }
}

#[test]
fn an_old_stream_may_always_be_reset() {
    let mut beat = Beat::server();
    for stream in (1..=20_001).step_by(2) {
        beat.open(stream);
    }
    for stream in (1..=11_001).step_by(2) {
        assert_eq!(beat.reset(stream), None);
    }
}

#[test]
fn made_you_reset_is_stopped() {
    let mut beat = Beat::server();
    let exceeded_at = (1..).step_by(2).find(|stream| {
        beat.open(*stream);
        beat.batch_ends();
        beat.write(kind::RST_STREAM, 0, *stream, 4).is_some()
    });
    assert_eq!(exceeded_at, Some(2001));
}

#[test]
fn a_full_reset_bucket_drains() {
    let mut beat = Beat::server();
    for stream in (1..=1999).step_by(2) {
        assert_eq!(beat.write(kind::RST_STREAM, 0, stream, 4), None);
    }
    for stream in (2001..=20_001).step_by(2) {
        // 100 a second, in steps smaller than a millisecond of drain.
        for _ in 0..100 {
            beat.pass(MS / 10);
            beat.write(kind::PING, 1, 0, 8);
        }
        assert_eq!(beat.write(kind::RST_STREAM, 0, stream, 4), None);
    }
    assert_eq!(beat.write(kind::RST_STREAM, 0, 20_003, 4), Some(Limit::Resets));
}

#[test]
fn settings_are_limited_in_number_and_length() {
    let mut beat = Beat::server();
    for _ in 0..100 {
        assert_eq!(beat.read(kind::SETTINGS, 0, 0, 32 * 6), None);
    }
    beat.pass(100 * MS);
    assert_eq!(beat.read(kind::SETTINGS, 0, 0, 0), None);
    assert_eq!(beat.read(kind::SETTINGS, 0, 0, 0), Some(Limit::Settings));

    let mut beat = Beat::server();
    assert_eq!(beat.read(kind::SETTINGS, 0, 0, 33 * 6), Some(Limit::SettingsEntries));
}

#[test]
fn eight_continuations_are_enough_for_a_block() {
    let mut beat = Beat::server();
    for stream in [1, 3, 5] {
        beat.open(stream);
        for _ in 0..7 {
            assert_eq!(beat.read(kind::CONTINUATION, 0, stream, 0), None);
        }
        assert_eq!(beat.read(kind::CONTINUATION, 4, stream, 0), None);
    }
    beat.open(7);
    for _ in 0..8 {
        assert_eq!(beat.read(kind::CONTINUATION, 0, 7, 16_384), None);
    }
    assert_eq!(beat.read(kind::CONTINUATION, 4, 7, 1), Some(Limit::Continuations));
}

#[test]
fn frames_that_do_nothing_are_limited() {
    for kind in [PRIORITY, kind::WINDOW_UPDATE, 0xbe] {
        let mut beat = Beat::server();
        let free = if kind == kind::WINDOW_UPDATE { 100 } else { 0 };
        for _ in 0..free + 10_000 {
            assert_eq!(beat.read(kind, 0, 0, 4), None);
        }
        beat.pass(Duration::from_secs(1));
        for _ in 0..330 {
            assert_eq!(beat.read(kind, 0, 0, 4), None);
        }
        assert_eq!(beat.read(kind, 0, 0, 4), Some(Limit::Glitches));
    }
}

#[test]
fn acknowledgements_of_nothing_are_limited() {
    let mut beat = Beat::server();
    for _ in 0..20_000 {
        beat.write(kind::PING, 0, 0, 8);
        beat.write(kind::SETTINGS, 0, 0, 0);
        assert_eq!(beat.read(kind::PING, 1, 0, 8), None);
        assert_eq!(beat.read(kind::SETTINGS, 1, 0, 0), None);
    }
    for _ in 0..10_000 {
        assert_eq!(beat.read(kind::PING, 1, 0, 8), None);
    }
    assert_eq!(beat.read(kind::SETTINGS, 1, 0, 0), Some(Limit::Glitches));
}

#[test]
fn window_updates_of_an_honest_reader_are_free() {
    // Frame size, and the bytes after which the reader gives credit back, to the stream and the connection.
    for (length, step) in [(16_384, 600), (16_384, 256), (600, 600), (60, 10), (1, 1)] {
        let mut beat = Beat::server();
        for _ in 0..20_000 {
            beat.write(kind::DATA, 0, 1, length);
            for _ in 0..length.div_ceil(step) {
                assert_eq!(beat.read(kind::WINDOW_UPDATE, 0, 1, 4), None);
                assert_eq!(beat.read(kind::WINDOW_UPDATE, 0, 0, 4), None);
            }
        }
    }
}

#[test]
fn acknowledgements_that_wait_stop_the_reader() {
    let mut beat = Beat::new(Policing { ping: None, ..Policing::server() });
    for _ in 0..1000 {
        beat.ping();
        assert!(!beat.police.must_stop_reading());
    }
    beat.read(kind::SETTINGS, 0, 0, 0);
    assert!(beat.police.must_stop_reading());
    beat.write(kind::SETTINGS, 1, 0, 0);
    assert!(!beat.police.must_stop_reading());
    beat.ping();
    assert!(beat.police.must_stop_reading());
    beat.write(kind::PING, 1, 0, 8);
    assert!(!beat.police.must_stop_reading());
}

#[test]
fn the_first_limit_exceeded_stays() {
    let mut beat = Beat::server();
    beat.read(kind::SETTINGS, 0, 0, 600);
    for _ in 0..10 {
        assert_eq!(beat.ping(), Some(Limit::SettingsEntries));
    }
}

/// The server refuses a stream that came.
fn refuse(beat: &mut Beat, stream: u32) -> Option<Limit> {
    beat.open(stream);
    beat.police.reset_written(stream, REFUSED_STREAM, &beat.facts, &mut Moment::at(beat.now));
    beat.police.exceeded()
}

#[test]
fn streams_opened_before_the_limit_was_known_are_refused_for_free_and_then_no_more() {
    let mut beat = Beat::server();
    beat.write(kind::SETTINGS, 0, 0, 12);
    let mut streams = (1..).step_by(2);
    for stream in streams.by_ref().take(5000) {
        beat.open(stream);
    }
    // The acknowledgement passes before the streams that came with it are refused.
    beat.read(kind::SETTINGS, 1, 0, 0);
    for stream in (1..).step_by(2).take(5000) {
        beat.police.reset_written(stream, REFUSED_STREAM, &beat.facts, &mut Moment::at(beat.now));
        assert_eq!(beat.police.exceeded(), None);
    }
    for stream in streams.by_ref().take(1000) {
        assert_eq!(refuse(&mut beat, stream), None);
    }
    assert_eq!(refuse(&mut beat, streams.next().unwrap()), Some(Limit::Resets));
}

#[test]
fn who_never_acknowledges_is_not_refused_for_ever() {
    let mut beat = Beat::server();
    let mut streams = (1..).step_by(2);
    for stream in streams.by_ref().take(11_000) {
        assert_eq!(refuse(&mut beat, stream), None);
    }
    assert_eq!(refuse(&mut beat, streams.next().unwrap()), Some(Limit::Resets));
}
