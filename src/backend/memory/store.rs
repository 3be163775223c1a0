//! Session store in the memory of this process.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::backend::memory::row::Row;
use crate::backend::memory::shard::Shard;
use crate::backend::memory::table::MAX_ROWS;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::login::handle::{Handle, partition};
use crate::store::answer::{Changed, Created, LiveCount, Peeked, Removed, Swept};
use crate::store::ask::{Limit, Load, Scope};
use crate::store::listing::{Listing, Page};
use crate::store::record::Record;
use crate::store::record_ref::RecordRef;
use crate::store::session_store::{ChangeFn, SessionStore};

/// Target number of rows per shard, for stores of up to about a million sessions: a scan of a shard
/// takes microseconds.
const ROWS_PER_SHARD: usize = 256;
/// Number of partitions of handles, and maximum number of shards.
const PARTITIONS: usize = 4096;
/// Minimum number of shards, so that threads on many cores seldom wait for the same lock.
const MIN_SHARDS: usize = 64;
/// Maximum number of expired rows that a full store removes under one lock.
const MAX_ROWS_PER_SEARCH: usize = 256;
/// Maximum number of shards that a sweep visits.
const MAX_SHARDS_PER_SWEEP: usize = 64;

/// Sessions in the memory of this process, for a service with one node, and for tests.
///
/// Bounded: a store that is full of live sessions refuses new ones, and ends none. It also refuses
/// more than 4 194 303 sessions in one shard, which has all sessions of a subject. The sessions end
/// with the process. Loads and recorded uses take a shared lock; only the
/// removal of an expired row takes the exclusive one. A load does not count as a
/// use: only `touch`, called after verification, keeps a session alive. No lock is held across an
/// `await`.
///
/// ```
/// use statewise::store::MemoryStore;
///
/// let store = MemoryStore::with_capacity(100_000)?;
/// assert_eq!((store.len(), store.capacity()), (0, 100_000));
/// # Ok::<(), statewise::Error>(())
/// ```
pub struct MemoryStore {
    shards: Box<[CachePadded]>,
    /// Number of bits to shift a partition right by, to get the index of its shard.
    shift: u32,
    capacity: usize,
    max_rows_per_shard: usize,
    count: AtomicUsize,
    /// Counts visited shards. Modulo the number of shards, the next one to visit.
    swept_to: AtomicUsize,
    /// One plus the Unix second of the last search of all shards that found no expired row; 0
    /// before the first.
    searched_at: AtomicU64,
}

/// Aligned to two cache lines, to avoid false sharing between the locks.
#[derive(Default)]
#[repr(align(128))]
struct CachePadded {
    rows: RwLock<Shard>,
    /// One plus the Unix second of the last search of this shard that left it full; 0 before the
    /// first.
    searched_at: AtomicU64,
}

impl CachePadded {
    // A panic cannot leave a shard half changed: code of the caller under its lock works on a copy.
    fn read(&self) -> RwLockReadGuard<'_, Shard> {
        self.rows.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Shard> {
        self.rows.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryStore {
    /// Creates a store for at most `sessions` live sessions. Memory is allocated as they come.
    ///
    /// # Errors
    ///
    /// *Misuse* if `sessions` is zero.
    pub fn with_capacity(sessions: usize) -> Result<Self> {
        if sessions == 0 {
            return Err(Error::misuse(
                "the capacity of the memory store is zero, so no login could be stored: set the \
                 maximum number of sessions",
            ));
        }
        let shards = sessions.div_ceil(ROWS_PER_SHARD);
        let shards = shards.clamp(MIN_SHARDS, PARTITIONS).next_power_of_two();
        Ok(Self {
            shards: (0..shards).map(|_| CachePadded::default()).collect(),
            shift: PARTITIONS.trailing_zeros() - shards.trailing_zeros(),
            capacity: sessions,
            max_rows_per_shard: MAX_ROWS,
            count: AtomicUsize::new(0),
            swept_to: AtomicUsize::new(0),
            searched_at: AtomicU64::new(0),
        })
    }

    /// Counts the sessions that have not expired at `now`, and their users. Exact for a store at
    /// rest: a login or a logout during the call may be counted or not. It visits all sessions, under
    /// the shared lock of one shard at a time: call it for a statistic, not for each request.
    ///
    /// A session counts until the timeouts with which it was stored. An authenticator with shorter
    /// timeouts may reject some of the counted sessions.
    ///
    /// ```
    /// use statewise::clock::{Clock, SystemClock};
    /// use statewise::store::MemoryStore;
    ///
    /// let store = MemoryStore::with_capacity(100_000)?;
    /// if let Some(now) = SystemClock.now() {
    ///     let live = store.count_live(now);
    ///     println!("{} users are online, with {} logins", live.subjects, live.logins);
    /// }
    /// # Ok::<(), statewise::Error>(())
    /// ```
    #[must_use]
    pub fn count_live(&self, now: Timestamp) -> LiveCount {
        let mut live = LiveCount::default();
        for shard in &self.shards {
            let shard = shard.read().count_live(now);
            live.logins += shard.logins;
            // A subject is in one shard only.
            live.subjects += shard.subjects;
        }
        live
    }

    /// Returns the number of sessions, including expired ones that are not swept yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Returns whether the store has no sessions.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the maximum number of sessions.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    fn shard(&self, partition: u16) -> &CachePadded {
        // In range: the shift reduces 12 bits to the number of shards.
        &self.shards[usize::from(partition) >> self.shift]
    }

    /// Counts one more row, unless the store is full.
    fn reserve(&self) -> bool {
        let more = |count: usize| (count < self.capacity).then_some(count + 1);
        self.count
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .is_ok()
    }

    fn release(&self, rows: usize) {
        self.count.fetch_sub(rows, Ordering::Relaxed);
    }

    /// Removes at most `limit` expired rows of a shard, and returns their number.
    fn remove_expired(&self, shard: &CachePadded, limit: usize, now: Timestamp) -> usize {
        let (mut removed, mut end) = (0, usize::MAX);
        // From the last row to the first, because a removal moves the last row into the gap. If
        // many rows are removed at once meanwhile, the next search finds what this one misses.
        while end > 0 && removed < limit {
            let mut rows = shard.write();
            let discarded = rows.remove_expired(&mut end, limit - removed, now);
            // Under the lock: a search that finds no more expired rows here must see the reduced
            // count.
            self.release(discarded.rows.len());
            drop(rows);
            removed += discarded.rows.len();
        }
        removed
    }

    /// Removes some expired rows, and returns whether there may be room now in the shard of
    /// `partition`. Searches a full shard, or all shards of a full store, in vain at most once per
    /// second, so that refused logins do not slow down the store.
    fn make_room(&self, partition: u16, now: Timestamp) -> bool {
        let (shard, second) = (self.shard(partition), now.unix() + 1);
        if shard.read().len() >= self.max_rows_per_shard {
            // Room in another shard is of no use.
            let has_room = shard.searched_at.load(Ordering::Relaxed) != second
                && self.remove_expired(shard, MAX_ROWS_PER_SEARCH, now) > 0;
            if !has_room {
                shard.searched_at.store(second, Ordering::Relaxed);
            }
            return has_room;
        }
        if self.searched_at.load(Ordering::Relaxed) == second {
            return false;
        }
        let start = self.swept_to.load(Ordering::Relaxed);
        for step in 0..self.shards.len() {
            let turn = start.wrapping_add(step);
            if self.remove_expired(
                &self.shards[turn % self.shards.len()],
                MAX_ROWS_PER_SEARCH,
                now,
            ) > 0
            {
                self.swept_to.store(turn, Ordering::Relaxed);
                return true;
            }
        }
        self.searched_at.store(second, Ordering::Relaxed);
        // Another caller may have made room meanwhile.
        self.len() < self.capacity
    }

    /// Makes the last visited shard the next one again, unless another sweep has gone on.
    fn revisit(&self, turn: usize) {
        let next = turn.wrapping_add(1);
        let order = Ordering::Relaxed;
        let _ = self.swept_to.compare_exchange(next, turn, order, order);
    }

    /// Removes a row that was found expired, so that a clock that is set back does not revive it.
    /// Keeps it if it has been used meanwhile.
    #[cold]
    fn remove_if_expired(&self, handle: Handle, now: Timestamp) {
        let mut shard = self.shard(handle.partition()).write();
        let is_expired = |row: &Row| !row.is_alive(now);
        if shard.find(handle).is_some_and(is_expired) && shard.remove(handle).is_some() {
            self.release(1);
        }
    }

    fn insert(&self, record: &Record, limit: Limit, now: Timestamp) -> Created {
        let mut shard = self.shard(record.handle().partition()).write();
        if shard.find(record.handle()).is_some() {
            return Created::Duplicate;
        }
        let Some(evicted) = shard.to_evict(record.subject(), limit, now) else {
            return Created::LimitReached;
        };
        let fits = shard.len() < self.max_rows_per_shard;
        if evicted.is_empty() && !(fits && self.reserve()) {
            return Created::Full;
        }
        for handle in &evicted {
            shard.remove(*handle);
        }
        shard.insert(record);
        drop(shard);
        // The new row takes the place of the first evicted one.
        self.release(evicted.len().saturating_sub(1));
        Created::Stored { evicted }
    }
}

impl SessionStore for MemoryStore {
    async fn create(&self, record: &Record, limit: Limit, now: Timestamp) -> Result<Created> {
        let partition = record.handle().partition();
        loop {
            match self.insert(record, limit, now) {
                Created::Full if self.make_room(partition, now) => {}
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
        self.remove_if_expired(handle, now);
        Ok(None)
    }

    #[inline]
    fn peek<T>(
        &self,
        handle: Handle,
        now: Timestamp,
        look: impl FnOnce(RecordRef<'_>) -> T,
    ) -> Peeked<T> {
        let shard = self.shard(handle.partition()).read();
        match shard.find(handle).map(Row::peek) {
            None => Peeked::Absent,
            Some(record) if record.is_alive(now) => Peeked::Live(look(record)),
            // `load` removes it.
            Some(_) => Peeked::NeedsLoad,
        }
    }

    async fn change(
        &self,
        handle: Handle,
        now: Timestamp,
        change: ChangeFn<'_>,
    ) -> Result<Option<Changed>> {
        let mut shard = self.shard(handle.partition()).write();
        let rows = shard.len();
        let changed = shard.change(handle, now, change);
        // An expired row has been removed.
        self.release(rows - shard.len());
        Ok(changed)
    }

    async fn touch(&self, uses: &[(Handle, Timestamp)], _now: Timestamp) -> Result<()> {
        for (handle, seen_at) in uses {
            let shard = self.shard(handle.partition()).read();
            if let Some(row) = shard.find(*handle) {
                row.touch(*seen_at);
            }
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
        let discarded = shard.write().remove_subject(subject, &scope);
        let removed = discarded.rows.len();
        self.release(removed);
        Ok(Removed::at_once(removed as u64))
    }

    async fn list(&self, subject: &str, page: Page, now: Timestamp) -> Result<Listing> {
        let shard = self.shard(partition(subject)).read();
        let mut cursors = shard.cursors(subject, page.after, now);
        let limit = page.limit.max(1);
        let more = cursors.len() > limit;
        if more {
            // Sort and copy only the rows of the page.
            cursors.select_nth_unstable(limit - 1);
        }
        cursors.truncate(limit);
        cursors.sort_unstable();
        let next = cursors.last().copied().filter(|_| more);
        let handles = cursors.into_iter().map(|cursor| cursor.handle);
        let records = handles
            .filter_map(|handle| shard.find(handle).map(Row::read))
            .collect();
        Ok(Listing::new(records, next))
    }

    async fn sweep(&self, limit: usize, now: Timestamp) -> Result<Swept> {
        let (mut removed, limit) = (0, limit.max(1));
        for _ in 0..MAX_SHARDS_PER_SWEEP {
            // The number of shards is a power of two, so the order survives an overflow of the
            // counter.
            let turn = self.swept_to.fetch_add(1, Ordering::Relaxed);
            let shard = turn % self.shards.len();
            removed += self.remove_expired(&self.shards[shard], limit - removed, now);
            if removed >= limit {
                // This shard may have more expired rows.
                self.revisit(turn);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::{Sample, block_on};

    const NOW: Timestamp = Timestamp::from_unix(1_000_000);

    fn create(store: &MemoryStore, subject: &str, limit: Limit, now: Timestamp) -> Created {
        block_on(store.create(&Sample::of(subject).at(now), limit, now)).unwrap()
    }

    #[test]
    fn a_full_shard_refuses_logins_of_its_subjects_only() {
        let mut store = MemoryStore::with_capacity(100).unwrap();
        store.max_rows_per_shard = 3;
        let stored = Created::Stored { evicted: vec![] };
        for _ in 0..3 {
            assert_eq!(create(&store, "alice", Limit::Unlimited, NOW), stored);
        }
        let shard = |subject| partition(subject) >> store.shift;
        let mut others = ["bob", "carol", "dave"].into_iter();
        let other = others.find(|other| shard(other) != shard("alice"));
        let other = other.expect("a subject in another shard");
        // An expired session elsewhere is not removed: that would not make room.
        let early = NOW.saturating_sub(90_000);
        assert_eq!(create(&store, other, Limit::Unlimited, early), stored);
        assert_eq!(
            create(&store, "alice", Limit::Unlimited, NOW),
            Created::Full
        );
        assert_eq!(store.len(), 4);
        // A limit makes room.
        let evicts = create(&store, "alice", Limit::EvictOldest(3), NOW);
        assert!(matches!(evicts, Created::Stored { evicted } if evicted.len() == 1));
        assert_eq!(create(&store, other, Limit::Unlimited, NOW), stored);
        assert_eq!(store.len(), 5);
        // Expired sessions of the shard make room.
        let later = NOW.saturating_add(3_600);
        assert_eq!(create(&store, "alice", Limit::Unlimited, later), stored);
        assert_eq!(store.len(), 3);
        assert_eq!(store.shard(partition("alice")).read().len(), 1);
    }

    #[test]
    fn a_full_shard_is_searched_in_vain_once_per_second() {
        let mut store = MemoryStore::with_capacity(100).unwrap();
        store.max_rows_per_shard = 1;
        let row = Sample::of("alice").at(NOW);
        let create =
            |row: &Record, now| block_on(store.create(row, Limit::Unlimited, now)).unwrap();
        let stored = Created::Stored { evicted: vec![] };
        assert_eq!(create(&row, NOW), stored);
        let other = Sample::of("alice").at(NOW);
        assert_eq!(create(&other, NOW), Created::Full);
        // A row that has expired, which a second search would find.
        let _ = block_on(store.remove(row.handle(), "alice", NOW)).unwrap();
        let early = NOW.saturating_sub(90_000);
        assert_eq!(create(&Sample::of("alice").at(early), early), stored);
        assert_eq!(create(&other, NOW), Created::Full);
        assert_eq!(create(&other, NOW.saturating_add(1)), stored);
        assert_eq!(store.len(), 1);
    }

    #[test]
    fn a_sweep_of_a_large_shard_finds_all_expired_rows() {
        let later = NOW.saturating_add(60);
        for every in [1, 2, 7, 1_999] {
            let store = MemoryStore::with_capacity(10_000).unwrap();
            let rows = (0..2_000).map(|turn| {
                let idle = if turn % every == 0 { 60 } else { 3_600 };
                Sample::of("alice").idle(idle).at(NOW)
            });
            let rows: Vec<_> = rows.collect();
            for row in &rows {
                block_on(store.create(row, Limit::Unlimited, NOW)).unwrap();
            }
            let alive = rows.iter().filter(|row| row.is_alive(later));
            let alive: Vec<_> = alive.map(Record::handle).collect();
            let shard = store.shard(partition("alice"));
            assert_eq!(store.remove_expired(shard, 1, later), 1);
            let expired = rows.len() - alive.len() - 1;
            assert_eq!(store.remove_expired(shard, usize::MAX, later), expired);
            assert_eq!(store.len(), alive.len());
            let rows = shard.read();
            assert!(alive.iter().all(|handle| rows.find(*handle).is_some()));
        }
    }
}
