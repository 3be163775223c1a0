//! Hash table of rows: an index of small slots, and the rows themselves in one vector.
//!
//! A slot holds a part of the hash together with the position of the row, so a search reads one
//! cache line of the index and then the row. `hashbrown::HashTable<u32>` keeps hash bits and
//! positions apart. With 1 000 000 sessions it was 18 % slower to verify, 8 % slower to rotate and
//! 6 % slower to create. With up to 100 000 sessions it was equally fast, and it used 4 % less
//! memory (`cargo bench --bench scale`, 2026-11-28).

use crate::backend::memory::row::Row;
use crate::login::handle::Handle;

/// Bits of a slot for the position of the row.
const POSITION_BITS: u32 = 22;
/// Maximum number of rows of a table: 4 194 303, so that no slot with a row equals [`EMPTY`].
pub(crate) const MAX_ROWS: usize = (1 << POSITION_BITS) - 1;
/// A slot without a row.
const EMPTY: Slot = Slot(u32::MAX);
/// Minimum number of slots of an index that is not empty.
const MIN_SLOTS: usize = 8;
/// A removal of more than one in this many rows rebuilds the index, instead of changing it row by
/// row.
const REBUILDS_FROM: usize = 4;
/// Maximum number of rows that a removal of few rows moves to a smaller memory.
const MAX_ROWS_MOVED: usize = 2048;

/// Position of a row, with a part of the hash that excludes most other handles.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Slot(u32);

impl Slot {
    fn new(tag: u32, at: usize) -> Self {
        // The position fits: a table has at most `MAX_ROWS` rows.
        Self(tag << POSITION_BITS | at as u32)
    }

    fn tag(self) -> u32 {
        self.0 >> POSITION_BITS
    }

    fn at(self) -> usize {
        self.0 as usize & MAX_ROWS
    }
}

#[derive(Default)]
pub(crate) struct Table {
    /// Open addressing with linear probing. The length is a power of two, and at most three
    /// quarters of the slots are occupied.
    slots: Vec<Slot>,
    rows: Vec<Row>,
}

/// Returns the last eight bytes of a handle, which are random. Clients choose handles only for
/// searches and never for insertions, so an attacker cannot provoke collisions.
fn hash(handle: Handle) -> u64 {
    let [.., a, b, c, d, e, f, g, h] = *handle.as_bytes();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

fn tag(handle: Handle) -> u32 {
    (hash(handle) >> (32 + POSITION_BITS)) as u32
}

impl Table {
    #[inline]
    pub(crate) fn get(&self, handle: Handle) -> Option<&Row> {
        let slot = self.find(handle)?;
        self.rows.get(self.slots[slot].at())
    }

    pub(crate) fn get_mut(&mut self, handle: Handle) -> Option<&mut Row> {
        let slot = self.find(handle)?;
        self.rows.get_mut(self.slots[slot].at())
    }

    /// Returns all rows in no particular order. A removal moves the last row into the gap.
    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Inserts a row. Its handle must be new, and the table must have fewer than [`MAX_ROWS`].
    pub(crate) fn insert(&mut self, row: Row) {
        if (self.rows.len() + 1) * 4 > self.slots.len() * 3 {
            drop(self.rebuild((self.slots.len() * 2).max(MIN_SLOTS)));
        }
        if self.rows.len() == self.rows.capacity() {
            // Grow by a tenth instead of doubling: the rows take most of the memory.
            self.rows.reserve_exact((self.rows.len() / 10).max(4));
        }
        self.add_to_index(row.handle(), self.rows.len());
        self.rows.push(row);
    }

    /// Removes a row, if there is one.
    pub(crate) fn remove(&mut self, handle: Handle) -> Option<Row> {
        let slot = self.find(handle)?;
        let at = self.slots[slot].at();
        self.remove_from_index(slot);
        let removed = self.rows.swap_remove(at);
        if let Some(moved) = self.rows.get(at) {
            let moved = moved.handle();
            let old = self.rows.len();
            let mut slot = self.start(moved);
            while self.slots[slot].at() != old {
                slot = self.next(slot);
            }
            self.slots[slot] = Slot::new(tag(moved), at);
        }
        Some(removed)
    }

    /// Removes the rows at some positions, which are in ascending order. If they are many, leaves
    /// them in their memory, moves the others to a new one, and rebuilds the index.
    pub(crate) fn remove_all(&mut self, positions: &[usize]) -> Discarded {
        let mut discarded = Discarded::default();
        if positions.len() > self.rows.len() / REBUILDS_FROM {
            for (to, from) in positions.iter().enumerate() {
                self.rows.swap(to, *from);
            }
            let kept = self.rows.split_off(positions.len());
            discarded.rows = std::mem::replace(&mut self.rows, kept);
            discarded.index = self.rebuild_for_rows();
        } else {
            // The last one first, because a removal moves the last row.
            for at in positions.iter().rev() {
                let handle = self.rows[*at].handle();
                discarded.rows.extend(self.remove(handle));
            }
            if self.rows.len() < MAX_ROWS_MOVED.min(self.rows.capacity() / 2) {
                let mut rows = Vec::with_capacity(self.rows.len() + self.rows.len() / 8);
                rows.append(&mut self.rows);
                discarded.buffer = std::mem::replace(&mut self.rows, rows);
                discarded.index = self.rebuild_for_rows();
            }
        }
        discarded
    }

    fn start(&self, handle: Handle) -> usize {
        hash(handle) as usize & (self.slots.len() - 1)
    }

    fn next(&self, slot: usize) -> usize {
        (slot + 1) & (self.slots.len() - 1)
    }

    fn is_empty(&self, slot: usize) -> bool {
        self.slots[slot] == EMPTY
    }

    /// Returns the slot of a row.
    #[inline]
    fn find(&self, handle: Handle) -> Option<usize> {
        if self.slots.is_empty() {
            return None;
        }
        let mut slot = self.start(handle);
        while !self.is_empty(slot) {
            let known = self.slots[slot];
            let is_it = |row: &Row| row.handle() == handle;
            if known.tag() == tag(handle) && self.rows.get(known.at()).is_some_and(is_it) {
                return Some(slot);
            }
            slot = self.next(slot);
        }
        None
    }

    /// Adds a row to the index, which must have an empty slot.
    fn add_to_index(&mut self, handle: Handle, at: usize) {
        let mut slot = self.start(handle);
        while !self.is_empty(slot) {
            slot = self.next(slot);
        }
        self.slots[slot] = Slot::new(tag(handle), at);
    }

    /// Empties a slot, and moves later slots into the gap if a search could otherwise miss them.
    fn remove_from_index(&mut self, mut gap: usize) {
        let mut slot = self.next(gap);
        while !self.is_empty(slot) {
            let row = &self.rows[self.slots[slot].at()];
            let start = self.start(row.handle());
            // Move the slot if the gap is between its first choice and the slot itself.
            let mask = self.slots.len() - 1;
            if (slot.wrapping_sub(start) & mask) >= (slot.wrapping_sub(gap) & mask) {
                self.slots[gap] = self.slots[slot];
                gap = slot;
            }
            slot = self.next(slot);
        }
        self.slots[gap] = EMPTY;
    }

    /// Replaces the index by one with `slots` slots, and returns the old one.
    fn rebuild(&mut self, slots: usize) -> Vec<Slot> {
        let old = std::mem::replace(&mut self.slots, vec![EMPTY; slots]);
        for at in 0..self.rows.len() {
            self.add_to_index(self.rows[at].handle(), at);
        }
        old
    }

    /// Replaces the index by one for the present rows, and returns the old one.
    fn rebuild_for_rows(&mut self) -> Vec<Slot> {
        let slots = (self.rows.len() * 4 / 3 + 1).next_power_of_two();
        self.rebuild(slots.max(MIN_SLOTS))
    }
}

/// Memory to be freed after the lock is released: returning memory to the system may take a
/// millisecond.
#[must_use = "drop it after the lock is released"]
#[derive(Default)]
pub(crate) struct Discarded {
    pub(crate) rows: Vec<Row>,
    buffer: Vec<Row>,
    index: Vec<Slot>,
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;
    use crate::clock::Timestamp;
    use crate::store::record::Record;
    use crate::testkit::{Random, Sample, seed};

    #[test]
    fn no_slot_with_a_row_is_empty() {
        for tag in [0, 1, u32::MAX >> POSITION_BITS] {
            for at in [0, 1, MAX_ROWS - 1] {
                let slot = Slot::new(tag, at);
                assert!(slot != EMPTY && slot.tag() == tag && slot.at() == at);
            }
        }
        // The first position that does not fit.
        assert!(Slot::new(u32::MAX >> POSITION_BITS, MAX_ROWS) == EMPTY);
    }

    #[test]
    fn behaves_like_a_map_over_random_insertions_and_removals() {
        let seed = seed();
        println!("seed {seed}");
        let mut random = Random::new(seed);
        let (mut table, mut map) = (Table::default(), HashMap::new());
        let mut handles = Vec::new();
        for step in 0..8_000u64 {
            // The table grows for a while and then shrinks, in turn.
            let grows = step % 2_000 < 1_200;
            if handles.is_empty() || random.below(10) < if grows { 7 } else { 3 } {
                let record = Sample::of("alice").at(Timestamp::from_unix(step));
                // Few different first slots, so that the searches collide.
                let mut bytes = *record.handle().as_bytes();
                bytes[14] = 0;
                bytes[15] &= 0x0f;
                let handle = Handle::from_bytes(bytes);
                if map.insert(handle, step).is_none() {
                    let record = Record {
                        handle,
                        version: step,
                        ..record
                    };
                    table.insert(Row::new(&record));
                    handles.push(handle);
                }
            } else if random.below(25) > 0 {
                let handle = handles.swap_remove(random.below(handles.len()));
                assert!(table.remove(handle).is_some() && map.remove(&handle).is_some());
                assert!(table.remove(handle).is_none());
            } else {
                // Few, many or all rows at once.
                let every = [100, 10, 4, 2, 1][random.below(5)];
                let positions = (0..table.rows().len()).filter(|_| random.once_in(every));
                let positions: Vec<_> = positions.collect();
                let meant: Vec<_> = positions
                    .iter()
                    .map(|at| table.rows()[*at].handle())
                    .collect();
                let removed = table.remove_all(&positions).rows;
                let removed: HashSet<_> = removed.iter().map(Row::handle).collect();
                assert_eq!(removed, meant.into_iter().collect());
                handles.retain(|handle| !removed.contains(handle));
                map.retain(|handle, _| !removed.contains(handle));
            }
            assert_eq!(table.rows().len(), map.len());
            if step % 97 == 0 {
                for (handle, version) in &map {
                    let row = table.get(*handle).expect("it was inserted");
                    assert_eq!(row.read().version(), *version);
                }
            }
        }
    }
}
