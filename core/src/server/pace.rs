//! Whether the handlers of a method begin quickly: then a call's first poll is made where the call arrived.
//!
//! In the connection's task that costs no task and no wake-up, and the answers of all calls that came together are
//! written together. But such calls run one after the other until each first waits for something, so where other threads
//! are there to run them, a method has to earn it first.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The longest beginning that is cheaper to run here than to hand to another thread, by a good margin.
const SHORT: Duration = Duration::from_micros(30);

/// So many in a row are evidence enough. A single long one takes it all back: it may be one that blocks its thread.
const TRUST: u32 = 64;

/// The short beginnings of a method's handlers, in a row.
#[derive(Debug, Default)]
pub(crate) struct Pace(AtomicU32);

impl Pace {
    pub(crate) fn is_quick(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= TRUST
    }

    /// A handler ran for so long until it first waited, or ended. Writes nothing once that is usual: all threads read it.
    pub(crate) fn began(&self, took: Duration) {
        if took > SHORT {
            self.0.store(0, Ordering::Relaxed);
        } else if !self.is_quick() {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quick_is_earned_and_lost_at_once() {
        let pace = Pace::default();
        for _ in 0..TRUST {
            assert!(!pace.is_quick());
            pace.began(SHORT);
        }
        assert!(pace.is_quick());
        pace.began(SHORT * 2);
        assert!(!pace.is_quick());
        pace.began(SHORT);
        assert!(!pace.is_quick(), "from the beginning again");
    }
}
