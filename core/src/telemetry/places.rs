//! Which cells a thread counts in: its own, as long as it lives, or those of all threads that came when none were left.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

/// More threads than this share.
const MOST: usize = 16;

/// How many threads have a place of their own.
pub(super) fn most() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from).min(MOST))
}

/// Where a thread counts, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Below [`most`], or beyond: that of all others.
    pub(super) index: usize,
    pub(super) adding: Adding,
}

/// Whether other threads add to the same cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Adding {
    /// None do: what it costs to make an addition one step can be saved.
    Alone,
    Together,
}

impl Adding {
    pub(super) fn add(self, cell: &AtomicU64, more: u64) {
        match self {
            Adding::Alone => {
                cell.store(cell.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
            }
            Adding::Together => {
                cell.fetch_add(more, Ordering::Relaxed);
            }
        }
    }
}

/// Where threads count that have no place of their own.
pub(super) const SHARED: Place = Place { index: usize::MAX, adding: Adding::Together };

/// The place of this thread.
pub(super) fn mine() -> Place {
    static PLACES: Places = Places::new();
    thread_local! {
        static MINE: Lease = PLACES.lease(most());
    }
    // When a thread ends, its place may be gone before what still counts.
    MINE.try_with(|lease| lease.place).unwrap_or(SHARED)
}

/// The places that threads can have.
#[derive(Debug)]
struct Places(Mutex<Given>);

#[derive(Debug)]
struct Given {
    /// Those below were given to somebody once.
    next: usize,
    /// And of those, these were given back.
    back: Vec<usize>,
}

/// A place, until it is dropped.
#[derive(Debug)]
struct Lease {
    place: Place,
    from: &'static Places,
}

impl Places {
    const fn new() -> Self {
        Places(Mutex::new(Given { next: 0, back: Vec::new() }))
    }

    /// One of so many. Nobody waits for it: after a fork, the thread that is at it may not exist.
    fn lease(&'static self, most: usize) -> Lease {
        let index = self.0.try_lock().ok().and_then(|mut given| {
            let next = given.next;
            given.back.pop().or_else(|| {
                given.next += usize::from(next < most);
                (next < most).then_some(next)
            })
        });
        let place = index.map_or(SHARED, |index| Place { index, adding: Adding::Alone });
        Lease { place, from: self }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // One that cannot be given back now is lost: the next thread shares.
        if self.place != SHARED
            && let Ok(mut given) = self.from.0.try_lock()
        {
            given.back.push(self.place.index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_given_to_one_at_a_time_and_again() {
        let places: &'static Places = Box::leak(Box::new(Places::new()));
        let [first, second, third] = [(); 3].map(|()| places.lease(2));
        let places_of = [&first, &second, &third].map(|lease| (lease.place.index, lease.place.adding));
        assert_eq!(places_of, [(0, Adding::Alone), (1, Adding::Alone), (usize::MAX, Adding::Together)]);
        drop(first);
        assert_eq!(places.lease(2).place.index, 0, "that thread has ended");
        let again = places.lease(2);
        assert_eq!(again.place.index, 0, "and so has this one");
        assert_eq!(places.lease(2).place, SHARED);
        let lock = places.0.lock().unwrap();
        assert_eq!(places.lease(2).place, SHARED, "nobody waits");
        drop(third);
        drop(lock);
    }

    #[test]
    fn both_ways_add() {
        let cell = AtomicU64::new(1);
        Adding::Alone.add(&cell, 2);
        Adding::Together.add(&cell, 3);
        assert_eq!(cell.load(Ordering::Relaxed), 6);
    }
}
