//! Random numbers for jitter; none of them has to be a secret.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

thread_local! {
    /// Where the numbers of this thread are; nothing before the first one.
    static STATE: Cell<Option<u64>> = const { Cell::new(None) };
}

/// From 0 up to, not including, 1.
pub(crate) fn unit() -> f64 {
    // 53 bits are what a float holds.
    (bits() >> 11) as f64 / (1_u64 << 53) as f64
}

/// From 0 up to, not including, `end`; 0 if that is 0.
pub(crate) fn below(end: usize) -> usize {
    // The high half of the product: no bias that anybody could see.
    ((u128::from(bits()) * end as u128) >> 64) as usize
}

/// Puts `items` into a random order.
pub(crate) fn shuffle<T>(items: &mut [T]) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(last + 1));
    }
}

/// 64 of them.
pub(crate) fn bits() -> u64 {
    STATE.with(|state| {
        let last = state.get().unwrap_or_else(|| RandomState::new().hash_one(0_u8));
        let next = last.wrapping_add(0x9e37_79b9_7f4a_7c15);
        state.set(Some(next));
        mixed(next)
    })
}

/// The last step of SplitMix64.
fn mixed(state: u64) -> u64 {
    let mut bits = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Makes all jitter of this thread follow from `seed`, so that a run can be repeated exactly.
pub fn seed_this_thread(seed: u64) {
    STATE.set(Some(seed));
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
            STATE.set(seed);
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

    #[test]
    fn whole_numbers_and_orders_are_spread() {
        let mut counts = [0; 3];
        (0..3000).for_each(|_| counts[below(3)] += 1);
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
        assert_eq!(below(0), 0);
        let mut firsts = [0; 3];
        for _ in 0..3000 {
            let mut items = [0, 1, 2];
            shuffle(&mut items);
            firsts[items[0]] += 1;
            items.sort_unstable();
            assert_eq!(items, [0, 1, 2]);
        }
        assert!(firsts.iter().all(|count| (800..1200).contains(count)), "{firsts:?}");
    }
}
