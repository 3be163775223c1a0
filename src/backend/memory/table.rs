//! Rows, found by handle: a small index of places, and the rows themselves side by side.
//!
//! Instead of a `HashMap` of rows, half of whose large buckets are always empty: here the empty
//! places are eight bytes each, and a search touches one line of the index and then the row
//! (`cargo bench --bench scale` prints what a session takes).

use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Timestamp;
use crate::login::handle::Handle;
use crate::store::record::Record;

/// A place of the index that no row is at.
const EMPTY: Slot = Slot {
    tag: 0,
    at: u32::MAX,
};
/// The fewest places of an index that is not empty.
const LEAST: usize = 8;

#[derive(Debug)]
pub(crate) struct Row {
    record: Record,
    /// Beside the record, so that a use is noted under a shared lock.
    last_seen: AtomicU64,
}

impl Row {
    pub(crate) fn new(record: Record) -> Self {
        let last_seen = AtomicU64::new(record.last_seen().unix());
        Self { record, last_seen }
    }

    fn last_seen(&self) -> Timestamp {
        Timestamp::from_unix(self.last_seen.load(Ordering::Relaxed))
    }

    /// The record, but for when it was last seen.
    pub(crate) fn record(&self) -> &Record {
        &self.record
    }

    /// The record as it is now.
    #[inline]
    pub(crate) fn read(&self) -> Record {
        let mut record = self.record.clone();
        record.set_last_seen(self.last_seen());
        record
    }

    #[inline]
    pub(crate) fn is_alive(&self, now: Timestamp) -> bool {
        self.record.is_alive_if_seen(self.last_seen(), now)
    }

    /// Notes a use that the record accepts.
    pub(crate) fn touch(&self, seen_at: Timestamp) {
        if self.is_alive(seen_at) {
            self.last_seen.fetch_max(seen_at.unix(), Ordering::Relaxed);
        }
    }
}

/// Where a row is, with a part of its handle that tells it from most others.
#[derive(Clone, Copy, Debug)]
struct Slot {
    tag: u32,
    at: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Table {
    /// As many as a power of two, at most three quarters of them taken; searched from the place
    /// that a handle asks for to the next empty one.
    slots: Vec<Slot>,
    rows: Vec<Row>,
}

/// The random half of a handle. Stored handles are drawn by the server, so that nobody can make
/// two of them meet, and a search inserts nothing.
fn hash(handle: Handle) -> u64 {
    let [.., a, b, c, d, e, f, g, h] = *handle.as_bytes();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

fn tag(handle: Handle) -> u32 {
    (hash(handle) >> 32) as u32
}

impl Table {
    #[inline]
    pub(crate) fn get(&self, handle: Handle) -> Option<&Row> {
        let slot = self.find(handle)?;
        self.rows.get(self.slots[slot].at as usize)
    }

    pub(crate) fn get_mut(&mut self, handle: Handle) -> Option<&mut Row> {
        let slot = self.find(handle)?;
        self.rows.get_mut(self.slots[slot].at as usize)
    }

    /// All rows, in no order. A removal moves the last one to the place of the removed.
    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Adds a row whose handle is not there.
    pub(crate) fn insert(&mut self, row: Row) {
        if (self.rows.len() + 1) * 4 > self.slots.len() * 3 {
            drop(self.rebuild((self.slots.len() * 2).max(LEAST)));
        }
        if self.rows.len() == self.rows.capacity() {
            // By an eighth, not to double: the rows are what takes the memory.
            self.rows.reserve_exact((self.rows.len() / 8).max(4));
        }
        self.enter(row.record.handle(), self.rows.len());
        self.rows.push(row);
    }

    /// Removes a row, if it is there.
    pub(crate) fn remove(&mut self, handle: Handle) -> Option<Row> {
        let slot = self.find(handle)?;
        let at = self.slots[slot].at as usize;
        self.close(slot);
        let removed = self.rows.swap_remove(at);
        if let Some(moved) = self.rows.get(at) {
            let moved = moved.record.handle();
            let old = self.rows.len() as u32;
            let mut slot = self.start(moved);
            while self.slots[slot].at != old {
                slot = self.next(slot);
            }
            self.slots[slot].at = at as u32;
        }
        Some(removed)
    }

    /// Gives memory back that a smaller number of rows does not need.
    pub(crate) fn shrink(&mut self, rubbish: &mut Rubbish) {
        if self.rows.len() < self.rows.capacity() / 2 {
            let mut rows = Vec::with_capacity(self.rows.len() + self.rows.len() / 8);
            rows.append(&mut self.rows);
            rubbish.places.push(std::mem::replace(&mut self.rows, rows));
            let slots = (self.rows.len() * 4 / 3 + 1).next_power_of_two();
            rubbish.indexes.push(self.rebuild(slots.max(LEAST)));
        }
    }

    fn start(&self, handle: Handle) -> usize {
        hash(handle) as usize & (self.slots.len() - 1)
    }

    fn next(&self, slot: usize) -> usize {
        (slot + 1) & (self.slots.len() - 1)
    }

    fn is_empty(&self, slot: usize) -> bool {
        self.slots[slot].at == EMPTY.at
    }

    /// The place of a row in the index.
    #[inline]
    fn find(&self, handle: Handle) -> Option<usize> {
        if self.slots.is_empty() {
            return None;
        }
        let mut slot = self.start(handle);
        while !self.is_empty(slot) {
            let Slot { tag: known, at } = self.slots[slot];
            let is_it = |row: &Row| row.record.handle() == handle;
            if known == tag(handle) && self.rows.get(at as usize).is_some_and(is_it) {
                return Some(slot);
            }
            slot = self.next(slot);
        }
        None
    }

    /// Enters a row into the index, which has room.
    fn enter(&mut self, handle: Handle, at: usize) {
        let mut slot = self.start(handle);
        while !self.is_empty(slot) {
            slot = self.next(slot);
        }
        self.slots[slot] = Slot {
            tag: tag(handle),
            at: at as u32,
        };
    }

    /// Empties a place, and moves up those behind it that would no longer be found.
    fn close(&mut self, mut hole: usize) {
        let mut slot = self.next(hole);
        while !self.is_empty(slot) {
            let row = &self.rows[self.slots[slot].at as usize];
            let start = self.start(row.record.handle());
            // Whether the hole lies on the way from where the search begins to where the row is.
            let mask = self.slots.len() - 1;
            if (slot.wrapping_sub(start) & mask) >= (slot.wrapping_sub(hole) & mask) {
                self.slots[hole] = self.slots[slot];
                hole = slot;
            }
            slot = self.next(slot);
        }
        self.slots[hole] = EMPTY;
    }

    /// The index that was.
    fn rebuild(&mut self, slots: usize) -> Vec<Slot> {
        let old = std::mem::replace(&mut self.slots, vec![EMPTY; slots]);
        for at in 0..self.rows.len() {
            self.enter(self.rows[at].record.handle(), at);
        }
        old
    }
}

/// What is to be dropped when no lock is held: an allocator that gives memory back to the system
/// may take a millisecond.
#[must_use = "to be dropped behind the lock"]
#[derive(Debug, Default)]
pub(crate) struct Rubbish {
    pub(crate) rows: Vec<Row>,
    places: Vec<Vec<Row>>,
    indexes: Vec<Vec<Slot>>,
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::testkit::{Random, Sample, seed};

    /// Compared with a map, over many random insertions and removals.
    #[test]
    fn holds_what_a_map_holds() {
        let seed = seed();
        println!("seed {seed}");
        let mut random = Random::new(seed);
        let (mut table, mut map) = (Table::default(), HashMap::new());
        let mut handles = Vec::new();
        for step in 0..6_000u64 {
            // Grows for a while, then shrinks, and again.
            let grows = step % 2_000 < 1_200;
            if handles.is_empty() || random.below(10) < if grows { 7 } else { 3 } {
                let record = Sample::of("alice").at(Timestamp::from_unix(step));
                // Handles that ask for few places, so that their searches run into each other.
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
                    table.insert(Row::new(record));
                    handles.push(handle);
                }
            } else {
                let handle = handles.swap_remove(random.below(handles.len()));
                assert!(table.remove(handle).is_some() && map.remove(&handle).is_some());
                assert!(table.remove(handle).is_none());
                if random.below(50) == 0 {
                    table.shrink(&mut Rubbish::default());
                }
            }
            assert_eq!(table.rows().len(), map.len());
            if step % 97 == 0 {
                for (handle, version) in &map {
                    let row = table.get(*handle).expect("it was inserted");
                    assert_eq!(row.record().version(), *version);
                }
            }
        }
    }
}
