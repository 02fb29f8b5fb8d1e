//! Entries by number. A number is never used for two entries, so what comes late finds nothing.

/// Entries of a loop, under numbers that are not 0.
#[derive(Debug)]
pub(crate) struct Table<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    entry: Option<T>,
}

impl<T> Table<T> {
    pub(crate) const fn new() -> Self {
        Table { slots: Vec::new(), free: Vec::new() }
    }

    pub(crate) fn insert(&mut self, entry: T) -> usize {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 1, entry: None });
            self.slots.len() as u32 - 1
        });
        let slot = &mut self.slots[index as usize];
        slot.entry = Some(entry);
        // Half of the bits each; a 32-bit system has room for 65 thousand.
        (slot.generation as usize) << (usize::BITS / 2) | index as usize
    }

    pub(crate) fn get(&self, key: usize) -> Option<&T> {
        let slot = self.slots.get(index(key))?;
        if slot.generation as usize == generation(key) { slot.entry.as_ref() } else { None }
    }

    pub(crate) fn remove(&mut self, key: usize) -> Option<T> {
        let slot =
            self.slots.get_mut(index(key)).filter(|slot| slot.generation as usize == generation(key))?;
        let entry = slot.entry.take()?;
        // 0 is no generation: a key is never 0.
        slot.generation = (slot.generation + 1) & mask() as u32;
        slot.generation += u32::from(slot.generation == 0);
        self.free.push(index(key) as u32);
        Some(entry)
    }
}

const fn mask() -> usize {
    (1 << (usize::BITS / 2)) - 1
}

const fn index(key: usize) -> usize {
    key & mask()
}

const fn generation(key: usize) -> usize {
    key >> (usize::BITS / 2)
}
