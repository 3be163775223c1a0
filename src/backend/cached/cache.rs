//! Cache of rows, and of absent rows, bounded in number and age.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::Timestamp;
use crate::login::handle::{Handle, partition};
use crate::login::stamp::Stamp;
use crate::store::record::Record;

/// Number of shards, each with a lock. The partitions of subjects are divided among them.
const SHARDS: usize = 64;

/// Cached answer of the store.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The row; `None` if the store had none.
    pub(crate) row: Option<Record>,
    /// Time before the store was queried. The view knows of later removals, or will.
    pub(crate) queried_at: Timestamp,
    /// Position of the view before the store was queried. A removal of all logins of a subject up
    /// to this position had already been made in the store, so a row that was found has survived
    /// it.
    pub(crate) seen: Stamp,
    /// Count of the shard when the entry was stored.
    stored: u64,
}

impl Entry {
    /// Returns whether it is younger than `seconds`. A clock that was set back makes it too old.
    fn is_within(&self, seconds: u64, now: Timestamp) -> bool {
        now >= self.queried_at && now.saturating_since(self.queried_at) < seconds
    }
}

pub(crate) struct Cache {
    shards: Box<[Mutex<Shard>]>,
    /// Maximum number of entries in each generation of a shard.
    generation_capacity: usize,
    max_age_secs: u64,
}

/// Entries in two generations. When the young one is full, it becomes the old one, and the entries
/// of the old one are dropped. A hit moves an entry to the young one, so entries in use stay.
#[derive(Default)]
struct Shard {
    young: HashMap<Handle, Entry>,
    old: HashMap<Handle, Entry>,
    running: HashMap<Handle, Running>,
    /// Counts begun queries and stored entries, to order them.
    count: u64,
}

/// The running queries for one row.
#[derive(Default)]
struct Running {
    queries: usize,
    /// Counts creations and removals of the row. A query that began before one of them may have
    /// read the state before it, while another caller already knows the new state.
    invalidations: u64,
}

impl Shard {
    fn invalidations(&self, handle: Handle) -> u64 {
        let running = self.running.get(&handle);
        running.map_or(0, |running| running.invalidations)
    }

    /// Invalidates the running queries for a row.
    fn invalidate(&mut self, handle: Handle) {
        if let Some(running) = self.running.get_mut(&handle) {
            running.invalidations += 1;
        }
    }

    fn next_count(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    fn remove(&mut self, handle: Handle) {
        self.young.remove(&handle);
        self.old.remove(&handle);
    }
}

/// A running query: a read or a change of a row in the store.
pub(crate) struct Query<'c> {
    cache: &'c Cache,
    handle: Handle,
    invalidations: u64,
    /// Count of the shard when the query began.
    begun: u64,
    queried_at: Timestamp,
    seen: Stamp,
}

impl Query<'_> {
    /// Caches the answer of the store, unless the cached entry is newer. If their order is unknown,
    /// removes the entry.
    pub(crate) fn store(self, row: Option<Record>) {
        let invalidates = row.is_none();
        self.put(row, invalidates);
    }

    /// Caches a row that has been created.
    pub(crate) fn store_new(self, row: Record) {
        self.put(Some(row), true);
    }

    fn put(&self, row: Option<Record>, invalidates: bool) {
        let (handle, cache) = (self.handle, self.cache);
        let mut shard = cache.shard(handle.partition());
        let entry = Entry {
            row,
            queried_at: self.queried_at,
            seen: self.seen,
            stored: shard.next_count(),
        };
        let known = shard.young.get(&handle).or_else(|| shard.old.get(&handle));
        let is_newer = match known.map(|known| (known, &known.row, &entry.row)) {
            None | Some((_, None, None)) => true,
            // The counters never decrease, and a generation is confirmed at most once.
            Some((known, Some(old), Some(new))) => {
                let age = |row: &Record, queried_at| {
                    let counters = (row.version(), row.generation(), row.confirmed);
                    (counters, queried_at)
                };
                if age(new, entry.queried_at) < age(old, known.queried_at) {
                    return;
                }
                true
            }
            Some((known, ..)) => self.begun > known.stored,
        };
        let is_stored = is_newer && shard.invalidations(handle) == self.invalidations;
        if is_stored {
            shard.old.remove(&handle);
            cache.insert(&mut shard, handle, entry);
        } else {
            shard.remove(handle);
        }
        // Queries that began earlier must not cache an older state. Without an entry there is
        // nothing to compare them with.
        if invalidates || !is_stored {
            shard.invalidate(handle);
        }
    }
}

impl Drop for Query<'_> {
    fn drop(&mut self) {
        let mut shard = self.cache.shard(self.handle.partition());
        if let Some(running) = shard.running.get_mut(&self.handle) {
            running.queries -= 1;
            if running.queries == 0 {
                shard.running.remove(&self.handle);
            }
        }
    }
}

impl Cache {
    pub(crate) fn new(capacity: usize, max_age_secs: u64) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            generation_capacity: capacity.div_ceil(2 * SHARDS),
            max_age_secs,
        }
    }

    fn shard(&self, partition: u16) -> MutexGuard<'_, Shard> {
        let shard = &self.shards[usize::from(partition) % SHARDS];
        // Code that runs under the lock changes nothing of a shard, so a panic leaves none half changed.
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the entry of a row, if it is young enough.
    #[inline]
    pub(crate) fn get(&self, handle: Handle, now: Timestamp) -> Option<Entry> {
        let mut shard = self.shard(handle.partition());
        let entry = match shard.young.get(&handle) {
            Some(entry) => entry.clone(),
            None => {
                let entry = shard.old.remove(&handle)?;
                self.insert(&mut shard, handle, entry.clone());
                entry
            }
        };
        entry.is_within(self.max_age_secs, now).then_some(entry)
    }

    /// Passes the entry of a row to `look`, without a copy, if it is in the young generation and
    /// within the maximum age.
    #[inline]
    pub(crate) fn peek<T>(
        &self,
        handle: Handle,
        now: Timestamp,
        look: impl FnOnce(&Entry) -> Option<T>,
    ) -> Option<T> {
        let shard = self.shard(handle.partition());
        let entry = shard.young.get(&handle)?;
        entry
            .is_within(self.max_age_secs, now)
            .then(|| look(entry))?
    }

    /// Begins a query. Call it before you query the store, with the position of the view.
    pub(crate) fn begin(&self, handle: Handle, queried_at: Timestamp, seen: Stamp) -> Query<'_> {
        let mut shard = self.shard(handle.partition());
        let begun = shard.next_count();
        let running = shard.running.entry(handle).or_default();
        running.queries += 1;
        Query {
            cache: self,
            handle,
            invalidations: running.invalidations,
            begun,
            queried_at,
            seen,
        }
    }

    fn insert(&self, shard: &mut Shard, handle: Handle, entry: Entry) {
        if shard.young.len() >= self.generation_capacity {
            shard.old = std::mem::take(&mut shard.young);
        }
        shard.young.insert(handle, entry);
    }

    /// Changes the cached row, if there is one.
    pub(crate) fn change(&self, handle: Handle, change: impl FnOnce(&mut Record)) {
        let mut shard = self.shard(handle.partition());
        let Shard { young, old, .. } = &mut *shard;
        let entry = young.get_mut(&handle).or_else(|| old.get_mut(&handle));
        if let Some(row) = entry.and_then(|entry| entry.row.as_mut()) {
            change(row);
        }
    }

    /// Notes a use in the cached row, if there is one. Returns whether the store must note it too.
    pub(crate) fn touch(&self, handle: Handle, used_at: Timestamp) -> bool {
        let mut is_new = true;
        self.change(handle, |row| {
            is_new = row.touch(used_at) || row.last_seen() < used_at;
        });
        is_new
    }

    /// Removes the entry of a row that was created, changed or removed, and invalidates the running
    /// queries for it.
    pub(crate) fn forget(&self, handle: Handle) {
        let mut shard = self.shard(handle.partition());
        shard.remove(handle);
        shard.invalidate(handle);
    }

    pub(crate) fn forget_subject(&self, subject: &str) {
        let mut shard = self.shard(partition(subject));
        let stays = |_: &Handle, entry: &mut Entry| {
            let row = entry.row.as_ref();
            row.is_none_or(|row| row.subject() != subject)
        };
        shard.young.retain(stays);
        shard.old.retain(stays);
        // The subject of a running query is not known yet.
        let running = shard.running.values_mut();
        running.for_each(|running| running.invalidations += 1);
    }

    pub(crate) fn len(&self) -> usize {
        let lens = self.shards.iter().map(|shard| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.young.len() + shard.old.len()
        });
        lens.sum()
    }
}
