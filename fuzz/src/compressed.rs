//! Compressed messages, honest and not, against the limit on what comes out of them.

use bytes::Bytes;
use peak_alloc::PeakAlloc;
use spanwire_wire::Encoding;
use spanwire_wire::encoding::{DecompressError, compress, decompress};

use crate::Input;

/// What a decompressor needs for itself, whatever the message.
const DECODER: usize = 256 * 1024;

/// One message: as it comes, or compressed here, perhaps from many times as many bytes, perhaps with faults.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let encoding = input.pick(&Encoding::ALL);
    let limit = input.pick(&[0, 1, 64, 1_000, 4_096, 65_536, 1 << 20, usize::MAX]);
    match input.below(4) {
        0 | 1 => drop(check(encoding, input.rest(), limit)),
        2 => {
            let times = 1 << input.below(12);
            let mut plain = input.rest().repeat(times);
            plain.truncate(1 << 18);
            let message = compress(encoding, &plain).expect("there is memory");
            assert_eq!(
                check(encoding, &message, limit),
                (plain.len() <= limit).then_some(Bytes::from(plain))
            );
        }
        _ => {
            let times = 1 << input.below(8);
            let (fault, with) = (usize::from(input.byte()) << 8 | usize::from(input.byte()), input.byte());
            let mut message =
                compress(encoding, &input.rest().repeat(times)).expect("there is memory").to_vec();
            let at = fault % message.len().max(1);
            match with {
                0 => message.truncate(at),
                1 => message.push(0),
                _ => message.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= with),
            }
            check(encoding, &message, limit);
        }
    }
}

fn check(encoding: Encoding, message: &[u8], limit: usize) -> Option<Bytes> {
    let before = PeakAlloc.current_usage();
    PeakAlloc.reset_peak_usage();
    let plain = decompress(encoding, message, limit);
    let taken = PeakAlloc.peak_usage().saturating_sub(before);
    // While the output grows the old and the new one are there at once, the new one never above the limit.
    assert!(
        taken <= limit.saturating_add(1).saturating_mul(2).saturating_add(DECODER),
        "{encoding}: {taken} bytes for {} with the limit {limit}",
        message.len()
    );
    match plain {
        Ok(plain) => {
            assert!(plain.len() <= limit);
            // The limit is exact, at the byte before and after.
            if limit <= 1 << 20 {
                assert_eq!(decompress(encoding, message, plain.len()).as_ref(), Ok(&plain));
                if let Some(less) = plain.len().checked_sub(1) {
                    assert_eq!(decompress(encoding, message, less), Err(DecompressError::TooLarge));
                }
            }
            Some(plain)
        }
        Err(DecompressError::TooLarge) => {
            assert!(limit < usize::MAX);
            None
        }
        Err(DecompressError::Corrupt(how)) => {
            assert!(!how.is_empty());
            None
        }
    }
}
