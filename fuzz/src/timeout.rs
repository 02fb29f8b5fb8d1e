//! `grpc-timeout` as text and as a span of time.

use std::time::Duration;

use spanwire_wire::timeout::{encode, parse};

use crate::Input;

/// The input as a header's value, and as a span.
pub fn run(data: &[u8]) {
    read(data);
    let mut input = Input::new(data);
    let seconds = u64::from(input.number()) << input.below(33);
    write(Duration::new(seconds, input.number() % 1_000_000_000));
    write(Duration::from_nanos(u64::from(input.number()) >> input.below(32)));
}

fn read(text: &[u8]) {
    let read = parse(text);
    assert_eq!(read.ok(), model(text), "{}", text.escape_ascii());
    if let Ok(Some(span)) = read {
        // A number that had eight digits fits into eight digits, so nothing is rounded.
        assert_eq!(parse(encode(span).as_bytes()), Ok(Some(span)));
    }
}

/// `None`: no timeout. `Some(None)`: no limit.
fn model(text: &[u8]) -> Option<Option<Duration>> {
    let text = std::str::from_utf8(text).ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    let nanos = match unit {
        "n" => 1,
        "u" => 1_000,
        "m" => 1_000_000,
        "S" => 1_000_000_000,
        "M" => 60_000_000_000,
        "H" => 3_600_000_000_000,
        _ => return None,
    };
    // What does not fit into 64 bits is no limit; only hours can be as many.
    let total = u128::from(number) * nanos;
    if total > i64::MAX as u128 && unit == "H" {
        return Some(None);
    }
    Some(Some(Duration::new((total / 1_000_000_000) as u64, (total % 1_000_000_000) as u32)))
}

fn write(span: Duration) {
    let text = encode(span);
    assert!(text.len() <= 9);
    match parse(text.as_bytes()) {
        Ok(Some(read)) => {
            assert!(read >= span, "{span:?} became the shorter {read:?}");
            assert!(read - span <= span / 1_000 + Duration::from_nanos(1), "{span:?} became {read:?}");
        }
        Ok(None) => assert!(span > Duration::from_secs(290 * 365 * 24 * 3600), "{span:?} became no limit"),
        Err(error) => panic!("{span:?} became {text:?}: {error}"),
    }
}
