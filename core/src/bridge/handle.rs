//! Handles that are numbers: what a host may keep too long, use twice or make up, without harm.
//!
//! ```text
//! handle   check (1, always set) · kind · epoch · generation · index      the widths depend on the size of a pointer
//! ```
//!
//! A slot's generation goes up when its value is taken out, so an old handle never finds a new value. The epoch is that of
//! the process: a table begins anew in the child of a fork, and knows the handles of the parent by it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::OpError;
use super::sync::Mutex;

const INDEX_BITS: u32 = if usize::BITS >= 64 { 24 } else { 16 };
const GENERATION_BITS: u32 = if usize::BITS >= 64 { 31 } else { 12 };
const KIND_BITS: u32 = 3;
const EPOCH_BITS: u32 = usize::BITS - INDEX_BITS - GENERATION_BITS - KIND_BITS - 1;

/// The first chunk of slots; each further one is twice the one before.
const FIRST_CHUNK: usize = 64;
const CHUNKS: usize = INDEX_BITS as usize - 5;

/// A table of values of one type, reachable from all threads.
#[derive(Debug)]
pub struct Table<T> {
    chunks: [OnceLock<Box<[Slot<T>]>>; CHUNKS],
    free: Mutex<Free>,
    live: AtomicUsize,
    kind: usize,
    epoch: usize,
    /// How many processes came before this one, whose handles may turn up here.
    ancestors: usize,
}

#[derive(Debug)]
struct Free {
    indices: Vec<u32>,
    /// Slots that were never used begin here.
    next: u32,
}

#[derive(Debug)]
struct Slot<T>(Mutex<Entry<T>>);

#[derive(Debug)]
struct Entry<T> {
    generation: usize,
    value: Option<T>,
}

/// Why a handle leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// It is 0.
    Null,
    /// What it named was taken out, or it never named anything here.
    Stale,
    /// It was made by the parent of this process, before `fork`.
    Forked,
}

impl<T> Table<T> {
    /// An empty table for a process that is `epoch` forks away from the first one. Handles of tables with another `kind`
    /// (of 8) are not taken for its own.
    #[must_use]
    pub fn new(epoch: u32, kind: u8) -> Self {
        Table {
            chunks: [const { OnceLock::new() }; CHUNKS],
            free: Mutex::new(Free { indices: Vec::new(), next: 0 }),
            live: AtomicUsize::new(0),
            kind: kind as usize & mask(KIND_BITS),
            epoch: epoch as usize & mask(EPOCH_BITS),
            ancestors: epoch as usize,
        }
    }

    /// Keeps `value`; the handle is never 0.
    ///
    /// # Errors
    /// [`OpError::System`]: there are as many handles as a table can hold (16 million; 65 thousand on 32-bit systems).
    pub fn insert(&self, value: T) -> Result<usize, OpError> {
        let index = {
            let mut free = self.free.lock();
            match free.indices.pop() {
                Some(index) => index,
                None if (free.next as usize) < (1 << INDEX_BITS) => {
                    free.next += 1;
                    free.next - 1
                }
                None => {
                    return Err(OpError::System(
                        "too many handles: free those that are done with".to_owned(),
                    ));
                }
            }
        };
        let slot = self.slot_or_make(index as usize);
        let mut entry = slot.0.lock();
        entry.value = Some(value);
        self.live.fetch_add(1, Ordering::Relaxed);
        Ok(self.handle(index as usize, entry.generation))
    }

    /// Takes the value out; the handle and its copies are stale from here on.
    ///
    /// # Errors
    /// Why there is none.
    pub fn remove(&self, handle: usize) -> Result<T, Lost> {
        let (index, generation) = self.parts(handle)?;
        let slot = self.slot(index).ok_or(Lost::Stale)?;
        let mut entry = slot.0.lock();
        if entry.generation != generation {
            return Err(Lost::Stale);
        }
        let value = entry.value.take().ok_or(Lost::Stale)?;
        entry.generation = (generation + 1) & mask(GENERATION_BITS);
        let used_up = entry.generation == 0;
        drop(entry);
        self.live.fetch_sub(1, Ordering::Relaxed);
        // A slot whose generations are used up is left alone: the first handle to it would be good again.
        if !used_up {
            self.free.lock().indices.push(index as u32);
        }
        Ok(value)
    }

    /// How many values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn handle(&self, index: usize, generation: usize) -> usize {
        let top = (1 << KIND_BITS | self.kind) << EPOCH_BITS | self.epoch;
        (top << GENERATION_BITS | generation) << INDEX_BITS | index
    }

    fn parts(&self, handle: usize) -> Result<(usize, usize), Lost> {
        if handle == 0 {
            return Err(Lost::Null);
        }
        let high = handle >> INDEX_BITS;
        let (epoch, generation) = (high >> GENERATION_BITS, high & mask(GENERATION_BITS));
        if epoch >> EPOCH_BITS != 1 << KIND_BITS | self.kind {
            return Err(Lost::Stale);
        }
        let age = self.epoch.wrapping_sub(epoch) & mask(EPOCH_BITS);
        if age != 0 {
            return Err(if age <= self.ancestors { Lost::Forked } else { Lost::Stale });
        }
        Ok((handle & mask(INDEX_BITS), generation))
    }

    fn slot(&self, index: usize) -> Option<&Slot<T>> {
        let (chunk, offset) = place(index);
        self.chunks.get(chunk)?.get()?.get(offset)
    }

    fn slot_or_make(&self, index: usize) -> &Slot<T> {
        let (chunk, offset) = place(index);
        let slots = self.chunks[chunk].get_or_init(|| {
            let slot = || Slot(Mutex::new(Entry { generation: 0, value: None }));
            (0..FIRST_CHUNK << chunk).map(|_| slot()).collect()
        });
        &slots[offset]
    }
}

impl<T: Clone> Table<T> {
    /// A clone of the value.
    ///
    /// # Errors
    /// Why there is none.
    pub fn get(&self, handle: usize) -> Result<T, Lost> {
        let (index, generation) = self.parts(handle)?;
        let entry = self.slot(index).ok_or(Lost::Stale)?.0.lock();
        if entry.generation != generation {
            return Err(Lost::Stale);
        }
        entry.value.clone().ok_or(Lost::Stale)
    }
}

const fn mask(bits: u32) -> usize {
    (1 << bits) - 1
}

/// The chunk of an index, and where in it.
fn place(index: usize) -> (usize, usize) {
    let chunk = (index / FIRST_CHUNK + 1).ilog2() as usize;
    (chunk, index - FIRST_CHUNK * ((1 << chunk) - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_follow_each_other_without_a_gap() {
        let mut last = (0, 0);
        for index in 1..100_000 {
            let (chunk, offset) = place(index);
            let next =
                if last.1 + 1 == FIRST_CHUNK << last.0 { (last.0 + 1, 0) } else { (last.0, last.1 + 1) };
            assert_eq!((chunk, offset), next, "{index}");
            last = next;
        }
        assert!(place(mask(INDEX_BITS)).0 < CHUNKS);
    }

    #[test]
    fn handle_taken_out_is_stale_although_its_slot_is_used_again() {
        let table = Table::new(0, 1);
        let first = table.insert("first").unwrap();
        assert_eq!(table.get(first), Ok("first"));
        assert_eq!(table.remove(first), Ok("first"));
        let second = table.insert("second").unwrap();
        assert_ne!(first, second);
        assert_eq!(table.get(first), Err(Lost::Stale));
        assert_eq!(table.remove(first), Err(Lost::Stale));
        assert_eq!(table.get(second), Ok("second"));
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn made_up_handles_lead_nowhere() {
        let table = Table::new(0, 1);
        assert_eq!(table.get(0), Err(Lost::Null));
        table.insert(1).unwrap();
        for made_up in [1, 2, usize::MAX, usize::MAX / 2, 1 << (usize::BITS - 1), 0x1234_5678] {
            assert!(table.get(made_up).is_err(), "{made_up:x}");
        }
        let other = Table::new(0, 2);
        assert_eq!(table.get(other.insert(1).unwrap()), Err(Lost::Stale));
    }

    #[test]
    fn handles_of_the_parent_process_are_known_as_such() {
        let (parent, child) = (Table::new(0, 1), Table::new(1, 1));
        let handle = parent.insert(7).unwrap();
        child.insert(8).unwrap();
        assert_eq!(child.get(handle), Err(Lost::Forked));
        assert_eq!(child.remove(handle), Err(Lost::Forked));
        assert_eq!(parent.get(child.insert(9).unwrap()), Err(Lost::Stale), "nobody can have it here");
    }

    #[test]
    fn slot_with_used_up_generations_is_left_alone() {
        let table = Table::new(0, 1);
        let handle = table.insert(0).unwrap();
        table.slot(0).unwrap().0.lock().generation = mask(GENERATION_BITS);
        assert_eq!(table.get(handle), Err(Lost::Stale));
        let last = table.handle(0, mask(GENERATION_BITS));
        assert_eq!(table.remove(last), Ok(0));
        assert_ne!(table.insert(1).unwrap(), handle);
    }

    #[test]
    fn many_values_have_handles_of_their_own() {
        let table = Table::new(3, 1);
        let handles: Vec<_> = (0..1000).map(|value| table.insert(value).unwrap()).collect();
        for (value, handle) in handles.iter().enumerate() {
            assert_eq!(table.get(*handle), Ok(value));
        }
        for handle in handles {
            table.remove(handle).unwrap();
        }
        assert!(table.is_empty());
    }
}
