//! The room that a server gives: how many streams a client may have open on a connection.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::Semaphore;

/// Places for calls, taken in the order in which they were asked for. Their number follows the server's
/// SETTINGS, up and down.
#[derive(Debug)]
pub(crate) struct Room {
    free: Semaphore,
    /// The limit that `free` and the places in use add up to, but for `excess`.
    limit: Mutex<usize>,
    /// Places in use above the limit: they are not given back.
    excess: AtomicUsize,
}

impl Room {
    pub(crate) fn new(limit: usize) -> Self {
        let limit = limit.min(Semaphore::MAX_PERMITS);
        Room { free: Semaphore::new(limit), limit: Mutex::new(limit), excess: AtomicUsize::new(0) }
    }

    /// Takes a place, waiting for one if need be. `false`: there will be none any more.
    pub(crate) async fn take(&self) -> bool {
        match self.free.acquire().await {
            Ok(place) => {
                place.forget();
                true
            }
            Err(_) => false,
        }
    }

    /// Takes a place if there is one and nobody waits for it.
    pub(crate) fn take_now(&self) -> bool {
        self.free.try_acquire().map(tokio::sync::SemaphorePermit::forget).is_ok()
    }

    pub(crate) fn give_back(&self) {
        let fewer = |excess: usize| excess.checked_sub(1);
        if self.excess.load(Ordering::Relaxed) > 0
            && self.excess.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer).is_ok()
        {
            return;
        }
        self.free.add_permits(1);
    }

    /// Follows a new limit of the server. Calls that are open stay open.
    pub(crate) fn set_limit(&self, limit: usize) {
        let new = limit.min(Semaphore::MAX_PERMITS);
        let mut limit = self.limit.lock().unwrap_or_else(PoisonError::into_inner);
        if new > *limit {
            let mut more = new - *limit;
            let spare = |excess: usize| Some(excess.saturating_sub(more));
            if let Ok(excess) = self.excess.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spare) {
                more -= excess.min(more);
            }
            self.free.add_permits(more);
        } else {
            let fewer = *limit - new;
            let taken = self.free.forget_permits(fewer);
            self.excess.fetch_add(fewer - taken, Ordering::Relaxed);
        }
        *limit = new;
    }

    /// Turns away everyone who waits, and everyone who comes.
    pub(crate) fn close(&self) {
        self.free.close();
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    /// Whether a place can be had without waiting.
    fn take(room: &Room) -> Option<bool> {
        match pin!(room.take()).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(taken) => Some(taken),
            Poll::Pending => None,
        }
    }

    #[test]
    fn places_are_limited_and_come_back() {
        let room = Room::new(2);
        assert_eq!([take(&room), take(&room), take(&room)], [Some(true), Some(true), None]);
        room.give_back();
        assert_eq!([take(&room), take(&room)], [Some(true), None]);
    }

    #[test]
    fn a_limit_that_falls_below_the_calls_in_use_holds_when_they_end() {
        let room = Room::new(3);
        assert_eq!([take(&room), take(&room), take(&room)], [Some(true); 3]);
        room.set_limit(1);
        room.give_back();
        room.give_back();
        assert_eq!(take(&room), None);
        room.give_back();
        assert_eq!([take(&room), take(&room)], [Some(true), None]);
    }

    #[test]
    fn a_limit_that_rises_again_uses_up_the_excess_first() {
        let room = Room::new(2);
        assert_eq!([take(&room), take(&room)], [Some(true); 2]);
        room.set_limit(0);
        room.set_limit(3);
        assert_eq!([take(&room), take(&room)], [Some(true), None]);
        room.give_back();
        room.give_back();
        assert_eq!([take(&room), take(&room), take(&room)], [Some(true), Some(true), None]);
    }

    #[test]
    fn unlimited_is_possible_and_closing_turns_everyone_away() {
        let room = Room::new(usize::MAX);
        room.set_limit(usize::MAX);
        assert_eq!(take(&room), Some(true));
        room.close();
        assert_eq!(take(&room), Some(false));
    }
}
