//! The `grpc-timeout` header (`doc/PROTOCOL-HTTP2.md`, "Timeout"): at most eight digits and a unit.

use std::fmt;
use std::time::Duration;

use http::HeaderValue;

const MAX_DIGITS: usize = 8;
const TOO_LONG: u128 = 100_000_000;

/// Each unit with its length in nanoseconds, finest first.
const UNITS: [(u8, u128); 6] = [
    (b'n', 1),
    (b'u', 1_000),
    (b'm', 1_000_000),
    (b'S', 1_000_000_000),
    (b'M', 60_000_000_000),
    (b'H', 3_600_000_000_000),
];

/// Hours beyond this are no limit at all: 292 years, where the 64-bit nanoseconds of other
/// implementations end and where adding to a clock's reading could overflow.
const MAX_HOURS: u64 = (i64::MAX / 3_600_000_000_000) as u64;

/// Writes a timeout in the finest unit whose number has at most eight digits, rounded up so that the
/// server never gives up before the caller does.
///
/// Zero is `0n`; anything beyond `99999999H` (eleven thousand years) is written as that.
#[must_use]
pub fn encode(timeout: Duration) -> HeaderValue {
    let nanos = timeout.as_nanos();
    let fitting = UNITS.iter().map(|&(unit, length)| (nanos.div_ceil(length), unit));
    let (mut number, unit) =
        fitting.into_iter().find(|&(number, _)| number < TOO_LONG).unwrap_or((TOO_LONG - 1, b'H'));
    let mut text = [0_u8; MAX_DIGITS + 1];
    let mut at = MAX_DIGITS;
    text[at] = unit;
    loop {
        at -= 1;
        text[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    // Digits and a letter always make a header value.
    HeaderValue::from_bytes(&text[at..]).unwrap_or(HeaderValue::from_static("0n"))
}

/// Reads a timeout. `Ok(None)` means no limit: the hours are beyond what a clock can hold.
///
/// `0n` is read as zero although the specification asks for a positive number, because widely used
/// clients send it for a deadline that has passed.
///
/// # Errors
/// Any other text: no digit, more than eight, something else than digits, or an unknown unit.
pub fn parse(text: &[u8]) -> Result<Option<Duration>, TimeoutError> {
    let (&unit, digits) = text.split_last().ok_or(TimeoutError::Empty)?;
    let seconds_or_less: fn(u64) -> Duration = match unit {
        b'n' => Duration::from_nanos,
        b'u' => Duration::from_micros,
        b'm' => Duration::from_millis,
        b'S' => Duration::from_secs,
        b'M' => |minutes| Duration::from_secs(minutes * 60),
        b'H' => |hours| Duration::from_secs(hours * 3600),
        _ => return Err(TimeoutError::UnknownUnit),
    };
    if digits.is_empty() {
        return Err(TimeoutError::NoDigits);
    }
    if !digits.iter().all(u8::is_ascii_digit) {
        return Err(TimeoutError::NotDigits);
    }
    if digits.len() > MAX_DIGITS {
        return Err(TimeoutError::TooManyDigits);
    }
    let number = digits.iter().fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    Ok((unit != b'H' || number <= MAX_HOURS).then(|| seconds_or_less(number)))
}

/// Why a `grpc-timeout` cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeoutError {
    /// There is no text at all.
    Empty,
    /// There is a unit but no number.
    NoDigits,
    /// Something other than digits stands before the unit.
    NotDigits,
    /// The number has more than eight digits.
    TooManyDigits,
    /// The last character is none of `H M S m u n`.
    UnknownUnit,
}

impl fmt::Display for TimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TimeoutError::Empty => "it is empty",
            TimeoutError::NoDigits => "there is no number before the unit",
            TimeoutError::NotDigits => "only digits may stand before the unit",
            TimeoutError::TooManyDigits => "the number has more than 8 digits",
            TimeoutError::UnknownUnit => "the unit must be one of H M S m u n",
        })
    }
}

impl std::error::Error for TimeoutError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(timeout: Duration) -> String {
        encode(timeout).to_str().unwrap().to_owned()
    }

    // Wire checklist line 4.
    #[test]
    fn the_finest_unit_with_eight_digits_is_sent() {
        assert_eq!(text(Duration::from_nanos(99_999_999)), "99999999n");
        assert_eq!(text(Duration::from_nanos(100_000_000)), "100000u");
        assert_eq!(text(Duration::from_nanos(100_000_001)), "100001u");
        // Rounding up would make nine digits of microseconds, so the next unit is taken.
        assert_eq!(text(Duration::from_nanos(99_999_999_001)), "100000m");
        assert_eq!(text(Duration::from_secs(99_999_999)), "99999999S");
        assert_eq!(text(Duration::from_secs(100_000_000)), "1666667M");
        assert_eq!(text(Duration::MAX), "99999999H");
    }

    // Wire checklist line 5.
    #[test]
    fn zero_is_sent_and_read_as_expired() {
        assert_eq!(text(Duration::ZERO), "0n");
        assert_eq!(parse(b"0n"), Ok(Some(Duration::ZERO)));
        assert_eq!(parse(b"00000000H"), Ok(Some(Duration::ZERO)));
    }

    // Wire checklist line 5.
    #[test]
    fn a_negative_number_is_refused() {
        assert_eq!(parse(b"-1n"), Err(TimeoutError::NotDigits));
    }

    // Wire checklist line 4.
    #[test]
    fn hours_beyond_any_clock_are_no_limit() {
        assert_eq!(parse(b"2562047H"), Ok(Some(Duration::from_secs(2_562_047 * 3600))));
        assert_eq!(parse(b"2562048H"), Ok(None));
        assert_eq!(parse(b"99999999H"), Ok(None));
    }

    // Wire checklist line 4.
    #[test]
    fn a_ninth_digit_or_a_bad_text_is_an_error() {
        assert_eq!(parse(b"123456789n"), Err(TimeoutError::TooManyDigits));
        assert_eq!(parse(b"000000001n"), Err(TimeoutError::TooManyDigits));
        assert_eq!(parse(b""), Err(TimeoutError::Empty));
        assert_eq!(parse(b"n"), Err(TimeoutError::NoDigits));
        assert_eq!(parse(b"5"), Err(TimeoutError::UnknownUnit));
        assert_eq!(parse(b"5h"), Err(TimeoutError::UnknownUnit));
        assert_eq!(parse(b"1.5S"), Err(TimeoutError::NotDigits));
        assert_eq!(parse(b" 5S"), Err(TimeoutError::NotDigits));
    }

    proptest! {
        #[test]
        fn what_is_sent_reads_back_no_shorter(nanos in 0..=MAX_HOURS * 3_600_000_000_000) {
            let timeout = Duration::from_nanos(nanos);
            let sent = encode(timeout);
            prop_assert!(sent.len() <= 9);
            let read = parse(sent.as_bytes()).unwrap().unwrap();
            prop_assert!(read >= timeout);
            // Coarser units cost at most one part in 1 666 (just over eight digits of seconds, in minutes).
            prop_assert!(read - timeout <= timeout / 1_000 + Duration::from_nanos(1));
        }

        #[test]
        fn reading_never_panics(bytes in any::<Vec<u8>>()) {
            let _ = parse(&bytes);
        }
    }
}
