//! least_request (gRFC A48): of a few addresses chosen at random, the one with the fewest calls under way gets the call.

use std::sync::Arc;

use tokio::time::Instant;

use super::super::subchannel::Subchannel;
use super::everywhere::Placing;
use super::{Pick, PickEach, PickInfo};
use crate::random;

/// See the [module](self).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LeastRequest {
    /// How many are looked at for each call: from 2 to 10.
    pub(crate) choices: usize,
}

impl Default for LeastRequest {
    fn default() -> Self {
        LeastRequest { choices: 2 }
    }
}

struct Fewest {
    ready: Vec<Arc<Subchannel>>,
    choices: usize,
}

impl PickEach for Fewest {
    fn pick(&self, _: PickInfo<'_>) -> Pick<'_> {
        Pick::on(fewest(&self.ready, self.choices, |subchannel| subchannel.live_calls()))
    }
}

/// The first of the best of `choices` entries, each of which is any of `all`.
fn fewest<T>(all: &[T], choices: usize, calls: impl Fn(&T) -> usize) -> &T {
    let mut best = &all[random::below(all.len())];
    let mut least = calls(best);
    for _ in 1..choices {
        let other = &all[random::below(all.len())];
        let count = calls(other);
        if count < least {
            (best, least) = (other, count);
        }
    }
    best
}

impl Placing for LeastRequest {
    fn picker(&self, ready: Vec<Arc<Subchannel>>, _: Instant) -> Arc<dyn PickEach> {
        Arc::new(Fewest { ready, choices: self.choices })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // gRFC A48: the distribution of the power of two choices
    #[test]
    fn busier_ones_get_less_in_the_proportion_of_chance() {
        // Of two choices among three, the busiest is taken only if it is chosen twice: 1/9; the middle one 3/9.
        let calls = [0, 1, 2];
        let mut counts = [0_usize; 3];
        (0..90_000).for_each(|_| counts[*fewest(&calls, 2, |calls| *calls)] += 1);
        for (count, ninths) in counts.into_iter().zip([5, 3, 1]) {
            let expected = 10_000 * ninths;
            assert!(count.abs_diff(expected) < expected / 10 + 200, "{counts:?}");
        }
    }

    #[test]
    fn more_choices_find_the_idle_one_more_often() {
        let calls = [9, 9, 9, 0];
        let found = |choices| (0..10_000).filter(|_| *fewest(&calls, choices, |calls| *calls) == 0).count();
        // 1 - (3/4)^choices
        assert!(found(2).abs_diff(4375) < 300 && found(10).abs_diff(9437) < 300);
    }
}
