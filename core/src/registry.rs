//! The channels and servers of this process, for channelz: nothing is put down before a program asks for that.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// A number that no other channel, address, connection or server of this process has.
pub(crate) fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Those of one kind, which it does not keep alive.
#[derive(Debug)]
pub(crate) struct Registry<T> {
    is_on: AtomicBool,
    living: Mutex<BTreeMap<u64, Weak<T>>>,
}

impl<T> Registry<T> {
    pub(crate) const fn new() -> Self {
        Registry { is_on: AtomicBool::new(false), living: Mutex::new(BTreeMap::new()) }
    }

    /// From here on they are put down.
    pub(crate) fn turn_on(&self) {
        self.is_on.store(true, Ordering::Relaxed);
    }

    /// Puts one down, if that is wanted.
    pub(crate) fn add(&self, one: &Arc<T>) {
        if !self.is_on.load(Ordering::Relaxed) {
            return;
        }
        let mut living = self.lock();
        // Now and then, so that it costs little and what is left of the dead does not add up.
        if living.len().is_power_of_two() {
            living.retain(|_, one| one.strong_count() > 0);
        }
        living.insert(next_id(), Arc::downgrade(one));
    }

    pub(crate) fn get(&self, id: u64) -> Option<Arc<T>> {
        self.lock().get(&id)?.upgrade()
    }

    /// Those that live, in the order of their numbers.
    pub(crate) fn all(&self) -> Vec<(u64, Arc<T>)> {
        self.lock().iter().filter_map(|(id, one)| Some((*id, one.upgrade()?))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Weak<T>>> {
        self.living.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_put_down_before_it_is_turned_on_and_nothing_is_kept_alive() {
        let registry = Registry::new();
        let early = Arc::new(0);
        registry.add(&early);
        registry.turn_on();
        let (one, two) = (Arc::new(1), Arc::new(2));
        registry.add(&one);
        registry.add(&two);
        let all = registry.all();
        assert_eq!(all.iter().map(|(_, one)| **one).collect::<Vec<_>>(), [1, 2]);
        assert!(all[0].0 < all[1].0);
        assert_eq!(registry.get(all[1].0).as_deref(), Some(&2));
        assert_eq!(registry.get(u64::MAX), None);
        let id = all[0].0;
        drop((all, one));
        assert_eq!((registry.get(id), registry.all().len()), (None, 1));
    }

    #[test]
    fn the_dead_do_not_add_up() {
        let registry = Registry::new();
        registry.turn_on();
        let kept = Arc::new(0);
        registry.add(&kept);
        (1..1000).for_each(|number| registry.add(&Arc::new(number)));
        assert!(registry.lock().len() < 5, "{}", registry.lock().len());
        assert_eq!(registry.all().len(), 1);
    }
}
