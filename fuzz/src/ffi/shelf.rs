//! Handles that the script has, had, or makes up.

use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::world::World;
use crate::Input;

/// A handle, and what is known of it.
pub(super) struct Item<T> {
    pub(super) number: usize,
    pub(super) more: T,
    /// Freeing it has begun.
    ending: AtomicBool,
    /// When freeing it was done, by the clock of the world; 0 before.
    ended_at: AtomicU64,
}

impl<T> Item<T> {
    pub(super) fn ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }

    pub(super) fn ended(&self) -> bool {
        self.ended_at.load(Ordering::SeqCst) != 0
    }

    /// Whether it was freed before this moment.
    pub(super) fn ended_before(&self, moment: u64) -> bool {
        let ended = self.ended_at.load(Ordering::SeqCst);
        ended != 0 && ended < moment
    }

    /// To be called before it is freed: whether nobody else has begun to.
    pub(super) fn ends(&self) -> bool {
        !self.ending.swap(true, Ordering::SeqCst)
    }

    /// To be called when it was freed.
    pub(super) fn is_gone(&self, now: u64) {
        self.ends();
        let _ = self.ended_at.compare_exchange(0, now, Ordering::SeqCst, Ordering::SeqCst);
    }
}

/// All handles of one kind, live and stale.
pub(super) struct Shelf<T>(Mutex<Vec<Arc<Item<T>>>>);

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Shelf(Mutex::default())
    }
}

impl<T> Shelf<T> {
    pub(super) fn all(&self) -> Vec<Arc<Item<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub(super) fn find(&self, number: usize) -> Option<Arc<Item<T>>> {
        let items = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        items.iter().rev().find(|item| item.number == number).cloned()
    }

    /// The one with this number, which `more` is for if it is new.
    pub(super) fn find_or_put(&self, number: usize, more: impl FnOnce() -> T) -> Arc<Item<T>> {
        let mut items = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(item) = items.iter().rev().find(|item| item.number == number) {
            return item.clone();
        }
        let (ending, ended_at) = Default::default();
        items.push(Arc::new(Item { number, more: more(), ending, ended_at }));
        items[items.len() - 1].clone()
    }

    pub(super) fn put(&self, number: usize, more: T) -> Arc<Item<T>> {
        let mut more = Some(more);
        let item = self.find_or_put(number, || more.take().expect("it is used once"));
        assert!(more.is_none(), "a handle was given twice: {number:#x}");
        item
    }

    /// One of the newest that nobody has freed yet.
    pub(super) fn recent_live(&self, back: usize) -> Option<Arc<Item<T>>> {
        let items = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let live = || items.iter().rev().filter(|item| !item.ending());
        live().nth(back.checked_rem(live().count())?).cloned()
    }

    /// One of the newest, which may be stale.
    pub(super) fn recent(&self, back: usize) -> Option<Arc<Item<T>>> {
        let items = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let back = back.checked_rem(items.len())?;
        Some(items[items.len() - 1 - back].clone())
    }
}

/// A handle that is about to be used.
pub(super) struct Chosen<T> {
    pub(super) number: usize,
    pub(super) item: Option<Arc<Item<T>>>,
}

impl<T> Chosen<T> {
    pub(super) fn of(item: &Arc<Item<T>>) -> Self {
        Chosen { number: item.number, item: Some(item.clone()) }
    }

    pub(super) fn pointer<H>(&self) -> *mut H {
        ptr::without_provenance_mut(self.number)
    }
}

/// What is known of a handle, of whatever kind.
pub(super) trait Known {
    /// It is certain that there is nothing behind it.
    fn dead(&self) -> bool;
    /// There may be nothing behind it.
    fn doubtful(&self) -> bool;
}

impl<T> Known for Chosen<T> {
    fn dead(&self) -> bool {
        self.item.as_ref().is_none_or(|item| item.ended())
    }

    fn doubtful(&self) -> bool {
        self.item.as_ref().is_none_or(|item| item.ending())
    }
}

/// An engine where none is the default one.
pub(super) struct OrDefault<'c, T>(pub(super) &'c Chosen<T>);

impl<T> Known for OrDefault<'_, T> {
    fn dead(&self) -> bool {
        self.0.number != 0 && self.0.dead()
    }

    fn doubtful(&self) -> bool {
        self.0.number != 0 && self.0.doubtful()
    }
}

impl World {
    /// A handle of the shelf as a rule, and sometimes one that is none.
    pub(super) fn choose<T>(&self, input: &mut Input<'_>, shelf: &Shelf<T>) -> Chosen<T> {
        let which = input.byte();
        let number = match which {
            0..0xd0 => shelf.recent_live(which.into()).or(shelf.recent(0)).map_or(0, |item| item.number),
            0xd0..0xe8 => shelf.recent(which.into()).map_or(0, |item| item.number),
            0xe8..0xf0 => made_up(input, shelf.recent(0).map_or(1 << 63, |item| item.number)),
            0xf0..0xf4 => 0,
            _ => self.any_number(which.into()),
        };
        Chosen { number, item: shelf.find(number) }
    }

    /// A handle of some kind.
    fn any_number(&self, which: usize) -> usize {
        let kinds = [
            self.engines.recent(0).map(|item| item.number),
            self.queues.recent(0).map(|item| item.number),
            self.channels.recent(0).map(|item| item.number),
            self.calls.recent(0).map(|item| item.number),
            self.servers.recent(0).map(|item| item.number),
            self.server_calls.recent(0).map(|item| item.number),
        ];
        kinds[which % kinds.len()].unwrap_or_default()
    }
}

/// A number that cannot be a handle, however close it comes to one.
fn made_up(input: &mut Input<'_>, handle: usize) -> usize {
    let place = 0u64;
    match input.below(8) {
        0 => (input.number() as usize) << 16 | input.number() as usize >> 16,
        1 => handle & !(1 << 63),
        2 => handle | 7 << 60,
        3 => handle ^ 1 << (55 + input.below(5)),
        4 => handle ^ 1 << 54,
        5 => handle | 0xff_ffff,
        6 => input.byte().into(),
        _ => (&raw const place).addr(),
    }
}
