//! Random numbers that follow from a seed (SplitMix64).

use std::ops::RangeInclusive;
use std::time::Duration;

/// A source of random numbers.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The numbers of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A source of its own, so that one part's need for numbers does not change another's.
    #[must_use]
    pub fn fork(&mut self) -> Random {
        Random(self.bits())
    }

    /// One of `range`.
    pub fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        range.start() + self.bits() % (range.end() - range.start() + 1)
    }

    /// So many milliseconds of `range`.
    pub fn ms(&mut self, range: RangeInclusive<u64>) -> Duration {
        Duration::from_millis(self.within(range))
    }

    /// `true` in so many of a hundred cases.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.bits() % 100 < percent
    }

    /// One of `items`.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.bits() as usize % items.len()]
    }

    /// A size: each order of magnitude up to `most` is as likely as the next.
    pub fn size(&mut self, most: u64) -> usize {
        let bits = u64::from(u64::BITS - most.leading_zeros());
        let magnitude = self.within(0..=bits);
        (self.bits() % (1_u64 << magnitude)).min(most) as usize
    }
}
