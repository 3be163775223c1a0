//! Uses that are noted and not written yet.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use crate::clock::Timestamp;
use crate::login::handle::Handle;
use crate::store::record::Record;

/// Parts, each behind a lock of its own.
const SHARDS: usize = 16;
/// Logins in a part whose use is noted and not written: beyond it, uses are written at once.
const MOST: usize = 4096;

/// When logins were last used, for as long as their rows do not say so.
///
/// It lies over the rows: whoever reads one looks here first, so that a use counts from the moment
/// that it is noted. What is here was judged against the row and only moves forward.
#[derive(Default)]
pub(crate) struct Touches {
    shards: [Mutex<HashMap<Handle, Noted>>; SHARDS],
    /// Entries in all parts, so that there is nothing to look for while there are none.
    count: AtomicUsize,
    /// Held while entries are taken away, against those who read many rows by one snapshot.
    gate: RwLock<()>,
}

/// What is noted of a login.
#[derive(Clone, Copy, Default)]
pub(crate) struct Noted {
    /// When it was last used; the beginning of time if that is not noted here.
    seen_at: Timestamp,
    /// Found over by a change that is not committed yet: no use counts any more.
    pub(crate) doomed: bool,
}

impl Noted {
    /// Lays it over the row.
    pub(crate) fn over(self, row: &mut Record) {
        if self.seen_at > row.last_seen() {
            row.set_last_seen(self.seen_at);
        }
    }
}

impl Touches {
    fn shard(&self, handle: Handle) -> MutexGuard<'_, HashMap<Handle, Noted>> {
        // The random part of a handle.
        let at = usize::from(handle.as_bytes()[15]) % SHARDS;
        self.shards[at]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// What is noted of a login. To be asked before the row is read: what is taken away from here
    /// has been committed before.
    pub(crate) fn of(&self, handle: Handle) -> Noted {
        if self.is_empty() {
            return Noted::default();
        }
        self.shard(handle).get(&handle).copied().unwrap_or_default()
    }

    /// Notes a use that the row, under what is noted already, takes for one. `false` if there is
    /// no room for it.
    pub(crate) fn note(&self, handle: Handle, seen_at: Timestamp) -> bool {
        let mut shard = self.shard(handle);
        let size = shard.len();
        match shard.entry(handle) {
            Entry::Occupied(mut entry) => {
                let noted = entry.get_mut();
                noted.seen_at = noted.seen_at.max(seen_at);
            }
            Entry::Vacant(_) if size >= MOST => return false,
            Entry::Vacant(entry) => {
                entry.insert(Noted {
                    seen_at,
                    doomed: false,
                });
                // Under the lock, so that the count is never behind.
                self.count.fetch_add(1, Ordering::AcqRel);
            }
        }
        true
    }

    /// Judges a row under what is noted. If it is over, no use counts any more until the change
    /// has been committed or given up: a use that is noted now would be noted of a removed row.
    pub(crate) fn doom(&self, row: &mut Record, is_over: impl FnOnce(&Record) -> bool) -> bool {
        let handle = row.handle();
        let mut shard = self.shard(handle);
        let noted = shard.get(&handle).copied().unwrap_or_default();
        noted.over(row);
        if !is_over(row) {
            return false;
        }
        let doomed = Noted {
            doomed: true,
            ..noted
        };
        if shard.insert(handle, doomed).is_none() {
            self.count.fetch_add(1, Ordering::AcqRel);
        }
        true
    }

    /// Lets uses count again.
    pub(crate) fn spare(&self, handle: Handle) {
        let mut shard = self.shard(handle);
        if let Entry::Occupied(mut entry) = shard.entry(handle) {
            entry.get_mut().doomed = false;
            if entry.get().seen_at == Timestamp::MIN {
                entry.remove();
                self.count.fetch_sub(1, Ordering::AcqRel);
            }
        }
    }

    /// Some of what is to be written, at most `most`.
    pub(crate) fn some(&self, most: usize) -> Vec<(Handle, Timestamp)> {
        let mut some = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let seen = shard.iter().map(|(handle, noted)| (*handle, noted.seen_at));
            some.extend(seen.take(most - some.len()));
        }
        // In the order of the rows, which lie side by side.
        some.sort_unstable();
        some
    }

    /// Takes away what has been committed, but for what was noted since.
    pub(crate) fn written(&self, written: &[(Handle, Timestamp)]) {
        let _gate = self.gate.write().unwrap_or_else(PoisonError::into_inner);
        for (handle, seen_at) in written {
            let mut shard = self.shard(*handle);
            if let Entry::Occupied(entry) = shard.entry(*handle)
                && entry.get().seen_at <= *seen_at
                && !entry.get().doomed
            {
                entry.remove();
                self.count.fetch_sub(1, Ordering::AcqRel);
            }
        }
    }

    /// While it is held, nothing is taken away: for who reads rows by a snapshot that was made
    /// under it.
    pub(crate) fn hold(&self) -> RwLockReadGuard<'_, ()> {
        self.gate.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Touches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Touches")
            .field("count", &self.len())
            .finish()
    }
}
