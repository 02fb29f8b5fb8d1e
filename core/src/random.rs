//! Random numbers for jitter; none of them has to be a secret.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

thread_local! {
    /// Where the numbers of this thread are, if they have to come in an order that is known.
    static SEEDED: Cell<Option<u64>> = const { Cell::new(None) };
}

/// From 0 up to, not including, 1.
pub(crate) fn unit() -> f64 {
    let bits = SEEDED.with(|seeded| match seeded.get() {
        None => RandomState::new().hash_one(0_u8),
        Some(state) => {
            let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            seeded.set(Some(state));
            mixed(state)
        }
    });
    // 53 bits are what a float holds.
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// The last step of SplitMix64.
fn mixed(state: u64) -> u64 {
    let mut bits = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Makes all jitter of this thread follow from `seed`, so that a run can be repeated exactly.
pub fn seed_this_thread(seed: u64) {
    SEEDED.set(Some(seed));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ten() -> [f64; 10] {
        std::array::from_fn(|_| unit())
    }

    #[test]
    fn numbers_are_spread_and_a_seed_repeats_them() {
        for seed in [None, Some(7)] {
            SEEDED.set(seed);
            let numbers: Vec<_> = (0..1000).map(|_| unit()).collect();
            assert!(numbers.iter().all(|number| (0.0..1.0).contains(number)));
            let below_half = numbers.iter().filter(|number| **number < 0.5).count();
            assert!((400..600).contains(&below_half), "{below_half}");
        }
        seed_this_thread(7);
        let first = ten();
        assert_ne!(first, ten());
        seed_this_thread(7);
        assert_eq!(first, ten());
    }
}
