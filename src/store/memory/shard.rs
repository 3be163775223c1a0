//! One part of the memory store: rows by handle, and handles by subject.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Timestamp;
use crate::handle::Handle;
use crate::session::ask::{Limit, Load, Scope};
use crate::session::listing::Cursor;
use crate::session::record::Record;

/// The rows of some partitions. All logins of one subject are in one shard, so that the index
/// and the rows are behind one lock.
#[derive(Debug, Default)]
pub(super) struct Shard<H> {
    rows: HashMap<RowKey, Row, BuildHasherDefault<HandleHasher>>,
    /// By a keyed hash of the subject: subjects are of any length and in the users' hands.
    /// Two subjects may share an entry; the rows tell them apart.
    subjects: HashMap<u64, Handles>,
    hasher: H,
}

#[derive(Debug)]
struct Row {
    record: Record,
    /// Beside the record, so that a use is noted under a shared lock.
    last_seen: AtomicU64,
}

impl Row {
    fn new(record: Record) -> Self {
        let last_seen = AtomicU64::new(record.last_seen().unix());
        Self { record, last_seen }
    }

    /// The record as it is now.
    fn read(&self) -> Record {
        let mut record = self.record.clone();
        record.last_seen = Timestamp::from_unix(self.last_seen.load(Ordering::Relaxed));
        record
    }

    fn is_alive(&self, now: Timestamp) -> bool {
        let last_seen = Timestamp::from_unix(self.last_seen.load(Ordering::Relaxed));
        now < self.record.deadline() && now < last_seen.saturating_add(self.record.idle())
    }
}

/// What a shared look at a row found.
pub(super) enum Found {
    Alive(Record),
    Over,
    Absent,
}

/// What became of a change.
pub(super) enum Changed<T> {
    Alive(T, Record),
    Over,
    Absent,
}

impl<H: BuildHasher> Shard<H> {
    /// Finds a row. Needs no exclusive access.
    pub(super) fn load(&self, handle: Handle, load: Load, now: Timestamp) -> Found {
        let Some(row) = self.rows.get(&RowKey(handle)) else {
            return Found::Absent;
        };
        let record = row.read();
        if record.is_alive_for(load.touch, now) {
            Found::Alive(record)
        } else {
            Found::Over
        }
    }

    /// Notes a use behind the read. Needs no exclusive access.
    pub(super) fn touch(&self, handle: Handle, seen_at: Timestamp) {
        if let Some(row) = self.rows.get(&RowKey(handle))
            && row.read().touch(seen_at)
        {
            row.last_seen.fetch_max(seen_at.unix(), Ordering::Relaxed);
        }
    }

    pub(super) fn contains(&self, handle: Handle) -> bool {
        self.rows.contains_key(&RowKey(handle))
    }

    /// Changes a live row by `change`. Removes one that is over, so that a clock set back does not
    /// revive it.
    pub(super) fn change<T>(
        &mut self,
        handle: Handle,
        now: Timestamp,
        change: impl FnOnce(&mut Record) -> T,
    ) -> Changed<T> {
        let Some(row) = self.rows.get_mut(&RowKey(handle)) else {
            return Changed::Absent;
        };
        let mut record = row.read();
        if !record.is_alive(now) {
            self.remove(handle);
            return Changed::Over;
        }
        let outcome = change(&mut record);
        *row = Row::new(record.clone());
        Changed::Alive(outcome, record)
    }

    pub(super) fn insert(&mut self, record: Record) {
        let handle = record.handle();
        let subject = self.hasher.hash_one(record.subject());
        self.rows.insert(RowKey(handle), Row::new(record));
        self.subjects
            .entry(subject)
            .and_modify(|handles| handles.add(handle))
            .or_insert(Handles::One(handle));
    }

    pub(super) fn remove(&mut self, handle: Handle) -> bool {
        let Some(row) = self.rows.remove(&RowKey(handle)) else {
            return false;
        };
        let subject = self.hasher.hash_one(row.record.subject());
        if let Entry::Occupied(mut handles) = self.subjects.entry(subject)
            && handles.get_mut().take_out(handle)
        {
            handles.remove();
        }
        true
    }

    /// The rows of a subject, alive or over.
    fn of_subject<'s>(&'s self, subject: &'s str) -> impl Iterator<Item = &'s Row> {
        let handles = self.subjects.get(&self.hasher.hash_one(subject));
        handles
            .into_iter()
            .flat_map(Handles::iter)
            .filter_map(|handle| self.rows.get(&RowKey(handle)))
            .filter(move |row| row.record.subject() == subject)
    }

    /// The live logins of a subject behind a place in their list, in no order.
    pub(super) fn cursors(
        &self,
        subject: &str,
        after: Option<Cursor>,
        now: Timestamp,
    ) -> Vec<Cursor> {
        self.of_subject(subject)
            .filter(|row| row.is_alive(now))
            .map(|row| Cursor::from(&row.record))
            .filter(|cursor| after.is_none_or(|after| *cursor > after))
            .collect()
    }

    pub(super) fn read(&self, handle: Handle) -> Option<Record> {
        self.rows.get(&RowKey(handle)).map(Row::read)
    }

    /// Removes the logins of a subject that `scope` covers; how many there were.
    pub(super) fn remove_subject(&mut self, subject: &str, scope: &Scope) -> usize {
        let covered: Vec<_> = self
            .of_subject(subject)
            .filter(|row| row.record.is_in(scope))
            .map(|row| row.record.handle())
            .collect();
        covered
            .iter()
            .filter(|handle| self.remove(**handle))
            .count()
    }

    /// Which logins must go so that one more fits the limit; `None` if the limit forbids it.
    pub(super) fn victims(
        &self,
        subject: &str,
        limit: Limit,
        now: Timestamp,
    ) -> Option<Vec<Handle>> {
        let (most, evicts) = match limit {
            Limit::Unlimited => return Some(Vec::new()),
            Limit::Reject(most) => (most, false),
            Limit::EvictOldest(most) => (most, true),
        };
        let mut alive = self.cursors(subject, None, now);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let excess = (alive.len() + 1).saturating_sub(most);
        if excess > 0 && !evicts {
            return None;
        }
        alive.sort_unstable();
        let victims = alive.into_iter().take(excess);
        Some(victims.map(|cursor| cursor.handle).collect())
    }

    /// Removes what is over, at most `budget` rows; how many there were.
    pub(super) fn purge(&mut self, budget: usize, now: Timestamp) -> usize {
        let over: Vec<_> = self
            .rows
            .iter()
            .filter(|(_, row)| !row.is_alive(now))
            .map(|(key, _)| key.0)
            .take(budget)
            .collect();
        over.iter().filter(|handle| self.remove(**handle)).count()
    }
}

/// The handles of one subject: nearly always one.
#[derive(Debug)]
enum Handles {
    One(Handle),
    /// A set, so that ending all sessions of one who has very many is not quadratic.
    Many(HashSet<RowKey, BuildHasherDefault<HandleHasher>>),
}

impl Handles {
    fn iter(&self) -> impl Iterator<Item = Handle> {
        let (one, many) = match self {
            Self::One(one) => (Some(*one), None),
            Self::Many(many) => (None, Some(many)),
        };
        one.into_iter()
            .chain(many.into_iter().flatten().map(|key| key.0))
    }

    fn add(&mut self, handle: Handle) {
        match self {
            Self::One(one) => *self = Self::Many([*one, handle].map(RowKey).into_iter().collect()),
            Self::Many(many) => {
                many.insert(RowKey(handle));
            }
        }
    }

    /// Takes one out; whether none is left.
    fn take_out(&mut self, handle: Handle) -> bool {
        match self {
            Self::One(one) => *one == handle,
            Self::Many(many) => {
                many.remove(&RowKey(handle));
                many.is_empty()
            }
        }
    }
}

/// A handle that hashes to its own random half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct RowKey(Handle);

impl Hash for RowKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [.., a, b, c, d, e, f, g, h] = *self.0.as_bytes();
        state.write_u64(u64::from_be_bytes([a, b, c, d, e, f, g, h]));
    }
}

/// Takes the key as it is: stored handles are drawn by the server, so that nobody can make two of
/// them meet, and a lookup inserts nothing.
#[derive(Debug, Default)]
struct HandleHasher(u64);

impl Hasher for HandleHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = word;
    }
}
