//! Sessions in the memory of this process.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::backend::memory::shard::{Outcome, Shard};
use crate::backend::memory::table::Row;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::login::handle::{Handle, partition};
use crate::store::answer::{Changed, Created, Removed, Swept};
use crate::store::ask::{Limit, Load, Scope};
use crate::store::listing::{Listing, Page};
use crate::store::record::Record;
use crate::store::session_store::{ChangeFn, SessionStore};

/// Rows that a shard is sized for: few enough to look through under its lock in microseconds.
const ROWS_PER_SHARD: usize = 256;
/// Partitions of handles, and so the most shards there can be.
const PARTITIONS: usize = 4096;
/// Rows that a search for room removes at most, under one lock.
const SEARCH: usize = 256;
/// Shards that a sweep looks through at most.
const SHARDS_PER_SWEEP: usize = 64;

/// Sessions in the memory of this process: for one node, and for tests.
///
/// Bounded: a store that is full of live sessions refuses new ones and ends none. What it holds
/// is gone with the process. Reads share their lock, and a use is noted without an exclusive one,
/// behind the read, so that only a proven credential keeps a session alive; no lock is held over anything but the store's own short steps.
///
/// ```
/// use statewise::store::MemoryStore;
///
/// let store = MemoryStore::with_capacity(100_000)?;
/// assert_eq!((store.len(), store.capacity()), (0, 100_000));
/// # Ok::<(), statewise::Error>(())
/// ```
pub struct MemoryStore {
    shards: Box<[Padded]>,
    /// By how many bits a partition is shortened to the number of its shard.
    shift: u32,
    capacity: usize,
    count: AtomicUsize,
    swept_to: AtomicUsize,
    /// The second in which the whole store was last looked through for room, plus one.
    searched_at: AtomicU64,
}

/// Apart by two cache lines, so that the locks of neighbours do not get in each other's way.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Padded(RwLock<Shard>);

impl Padded {
    // A panic cannot leave a shard half changed; nothing under its lock runs code of others.
    fn read(&self) -> RwLockReadGuard<'_, Shard> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Shard> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryStore {
    /// A store for at most `sessions` live sessions. Takes memory as they come.
    ///
    /// # Errors
    ///
    /// *Misuse* if `sessions` is zero.
    pub fn with_capacity(sessions: usize) -> Result<Self> {
        if sessions == 0 {
            return Err(Error::misuse(
                "the capacity of the memory store is zero, so that nobody could log in: \
                 say how many sessions it may hold",
            ));
        }
        let shards = sessions.div_ceil(ROWS_PER_SHARD).min(PARTITIONS);
        let shards = shards.next_power_of_two();
        Ok(Self {
            shards: (0..shards).map(|_| Padded::default()).collect(),
            shift: PARTITIONS.trailing_zeros() - shards.trailing_zeros(),
            capacity: sessions,
            count: AtomicUsize::new(0),
            swept_to: AtomicUsize::new(0),
            searched_at: AtomicU64::new(0),
        })
    }

    /// How many sessions it holds, those included that are over and not swept yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many sessions it may hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    fn shard(&self, partition: u16) -> &Padded {
        // In range: twelve bits, shortened to the number of shards.
        &self.shards[usize::from(partition) >> self.shift]
    }

    fn reserve(&self) -> bool {
        let more = |count: usize| (count < self.capacity).then_some(count + 1);
        self.count
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .is_ok()
    }

    fn release(&self, rows: usize) {
        self.count.fetch_sub(rows, Ordering::Relaxed);
    }

    fn purge(&self, shard: &Padded, budget: usize, now: Timestamp) -> usize {
        let mut rows = shard.write();
        let rubbish = rows.purge(budget, now);
        let purged = rubbish.rows.len();
        // Before the lock is gone: whoever finds nothing more here shall find the room.
        self.release(purged);
        drop(rows);
        drop(rubbish);
        purged
    }

    /// Looks for room that sessions which are over still take. At most once in a second it looks
    /// through everything in vain, so that a full store is not made slow by those it refuses.
    fn make_room(&self, now: Timestamp) -> bool {
        if self.searched_at.load(Ordering::Relaxed) == now.unix() + 1 {
            return false;
        }
        let start = self.swept_to.load(Ordering::Relaxed);
        for step in 0..self.shards.len() {
            let turn = start.wrapping_add(step);
            if self.purge(&self.shards[turn % self.shards.len()], SEARCH, now) > 0 {
                self.swept_to.store(turn, Ordering::Relaxed);
                return true;
            }
        }
        self.searched_at.store(now.unix() + 1, Ordering::Relaxed);
        // Somebody else may have made room meanwhile.
        self.len() < self.capacity
    }

    /// Lets the turn that was taken last be taken again, if nobody has taken another since.
    fn give_back(&self, turn: usize) {
        let next = turn.wrapping_add(1);
        let order = Ordering::Relaxed;
        let _ = self.swept_to.compare_exchange(next, turn, order, order);
    }

    /// Removes a row that was found over, so that a clock set back does not revive what was
    /// refused; unless it was used in the meantime.
    #[cold]
    fn remove_over(&self, handle: Handle, now: Timestamp) {
        let mut shard = self.shard(handle.partition()).write();
        let is_over = |row: &Row| !row.is_alive(now);
        if shard.find(handle).is_some_and(is_over) && shard.remove(handle).is_some() {
            self.release(1);
        }
    }

    fn insert(&self, record: &Record, limit: Limit, now: Timestamp) -> Created {
        let mut shard = self.shard(record.handle().partition()).write();
        if shard.contains(record.handle()) {
            return Created::Duplicate;
        }
        let Some(evicted) = shard.victims(record.subject(), limit, now) else {
            return Created::LimitReached;
        };
        if evicted.is_empty() && !self.reserve() {
            return Created::Full;
        }
        for handle in &evicted {
            shard.remove(*handle);
        }
        shard.insert(record.clone());
        drop(shard);
        // The new row takes the place of the first that was evicted.
        self.release(evicted.len().saturating_sub(1));
        Created::Stored { evicted }
    }
}

impl SessionStore for MemoryStore {
    async fn create(&self, record: &Record, limit: Limit, now: Timestamp) -> Result<Created> {
        loop {
            match self.insert(record, limit, now) {
                Created::Full if self.make_room(now) => {}
                created => return Ok(created),
            }
        }
    }

    async fn load(&self, handle: Handle, _load: Load, now: Timestamp) -> Result<Option<Record>> {
        match self.shard(handle.partition()).read().find(handle) {
            None => return Ok(None),
            Some(row) if row.is_alive(now) => return Ok(Some(row.read())),
            Some(_) => {}
        }
        self.remove_over(handle, now);
        Ok(None)
    }

    async fn change(
        &self,
        handle: Handle,
        now: Timestamp,
        change: ChangeFn<'_>,
    ) -> Result<Option<Changed>> {
        let mut shard = self.shard(handle.partition()).write();
        match shard.change(handle, now, change) {
            Outcome::Alive(changed) => return Ok(Some(changed)),
            Outcome::Over => self.release(1),
            Outcome::Absent => {}
        }
        Ok(None)
    }

    async fn touch(&self, uses: &[(Handle, Timestamp)], _now: Timestamp) -> Result<()> {
        for (handle, seen_at) in uses {
            let shard = self.shard(handle.partition()).read();
            shard.touch(*handle, *seen_at);
        }
        Ok(())
    }

    async fn remove(&self, handle: Handle, _subject: &str, _now: Timestamp) -> Result<Removed> {
        let removed = self.shard(handle.partition()).write().remove(handle);
        let removed = usize::from(removed.is_some());
        self.release(removed);
        Ok(Removed::at_once(removed as u64))
    }

    async fn remove_subject(
        &self,
        subject: &str,
        scope: Scope,
        _now: Timestamp,
    ) -> Result<Removed> {
        let shard = self.shard(partition(subject));
        let rubbish = shard.write().remove_subject(subject, &scope);
        let removed = rubbish.rows.len();
        self.release(removed);
        Ok(Removed::at_once(removed as u64))
    }

    async fn list(&self, subject: &str, page: Page, now: Timestamp) -> Result<Listing> {
        let shard = self.shard(partition(subject)).read();
        let mut cursors = shard.cursors(subject, page.after, now);
        let limit = page.limit.max(1);
        let more = cursors.len() > limit;
        if more {
            // Only what is on the page is put in order, and only that is copied.
            cursors.select_nth_unstable(limit - 1);
        }
        cursors.truncate(limit);
        cursors.sort_unstable();
        let next = cursors.last().copied().filter(|_| more);
        let handles = cursors.into_iter().map(|cursor| cursor.handle);
        let records = handles.filter_map(|handle| shard.read(handle)).collect();
        Ok(Listing::new(records, next))
    }

    async fn sweep(&self, limit: usize, now: Timestamp) -> Result<Swept> {
        let (mut removed, limit) = (0, limit.max(1));
        for _ in 0..SHARDS_PER_SWEEP {
            // Wraps where the shards, a power of two, begin anew.
            let turn = self.swept_to.fetch_add(1, Ordering::Relaxed);
            let shard = turn % self.shards.len();
            removed += self.purge(&self.shards[shard], limit - removed, now);
            if removed >= limit {
                // There may be more in this shard: it comes again.
                self.give_back(turn);
                return Ok(Swept::new(removed as u64, true));
            }
            if shard + 1 == self.shards.len() {
                return Ok(Swept::new(removed as u64, false));
            }
        }
        Ok(Swept::new(removed as u64, true))
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("sessions", &self.len())
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}
