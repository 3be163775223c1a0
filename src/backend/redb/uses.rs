//! Uses of logins that are noted in memory and not written yet.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use crate::backend::redb::lock;
use crate::clock::Timestamp;
use crate::login::handle::Handle;
use crate::store::record::Record;

const SHARDS: usize = 16;
/// Unwritten uses per shard. Further ones are written before they are acknowledged.
const MAX_USES_PER_SHARD: usize = 4096;

/// A handle, and when its login was last used.
pub(crate) type Use = (Handle, Timestamp);

/// The last use of each login whose row does not contain it yet.
///
/// Every reader of a row overlays it, so that a use counts as soon as it is noted.
#[derive(Default)]
pub(crate) struct Uses {
    shards: [Mutex<HashMap<Handle, Noted>>; SHARDS],
    /// The logins with [`Noted::removing`].
    removing: Mutex<Vec<Handle>>,
    /// Held for writing while uses are forgotten, and for reading by [`hold`](Self::hold).
    gate: RwLock<()>,
}

/// The state of a login in memory.
#[derive(Clone, Copy, Default)]
pub(crate) struct Noted {
    /// The earliest time if no use is noted.
    used_at: Timestamp,
    /// Set while a transaction removes the row because it has expired. A use that is noted now does
    /// not prevent that, and readers must wait for the transaction.
    pub(crate) removing: bool,
}

impl Noted {
    /// Sets the last use of `row`, unless the row has a later one.
    pub(crate) fn overlay(self, row: &mut Record) {
        if self.used_at > row.last_seen() {
            row.set_last_seen(self.used_at);
        }
    }
}

impl Uses {
    fn shard(&self, handle: Handle) -> MutexGuard<'_, HashMap<Handle, Noted>> {
        // The last byte of a handle is random.
        lock(&self.shards[usize::from(handle.as_bytes()[15]) % SHARDS])
    }

    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    /// Returns the state of a login. Call it before you read the row: a use is forgotten only after
    /// it was committed.
    pub(crate) fn of(&self, handle: Handle) -> Noted {
        self.shard(handle).get(&handle).copied().unwrap_or_default()
    }

    /// Notes a use. Returns `false` if its shard is full.
    pub(crate) fn note(&self, handle: Handle, used_at: Timestamp) -> bool {
        let mut shard = self.shard(handle);
        let is_full = shard.len() >= MAX_USES_PER_SHARD;
        let noted = match shard.entry(handle) {
            Entry::Vacant(_) if is_full => return false,
            entry => entry.or_default(),
        };
        noted.used_at = noted.used_at.max(used_at);
        true
    }

    /// Overlays the noted use on `row`. Returns `true` if the row has expired: it may then be
    /// removed, and later uses do not count until [`end_removals`](Self::end_removals).
    pub(crate) fn begin_removal(&self, row: &mut Record, now: Timestamp) -> bool {
        let mut shard = self.shard(row.handle());
        let noted = shard.get(&row.handle()).copied().unwrap_or_default();
        noted.overlay(row);
        let removing = !row.is_alive(now);
        if removing {
            shard.insert(row.handle(), Noted { removing, ..noted });
            lock(&self.removing).push(row.handle());
        }
        removing
    }

    /// Lets uses count again, after the transaction was committed or has failed.
    pub(crate) fn end_removals(&self) {
        for handle in lock(&self.removing).drain(..) {
            if let Entry::Occupied(mut entry) = self.shard(handle).entry(handle) {
                entry.get_mut().removing = false;
                if entry.get().used_at == Timestamp::MIN {
                    entry.remove();
                }
            }
        }
    }

    /// Returns at most `limit` uses, in the order of their rows in the file.
    pub(crate) fn some(&self, limit: usize) -> Vec<Use> {
        let mut uses = Vec::new();
        for shard in &self.shards {
            let shard = lock(shard);
            let shard = shard.iter().map(|(handle, noted)| (*handle, noted.used_at));
            uses.extend(shard.take(limit - uses.len()));
        }
        uses.sort_unstable();
        uses
    }

    /// Forgets uses that were committed, except for logins that were used again since.
    pub(crate) fn forget(&self, committed: &[Use]) {
        let _gate = self.gate.write().unwrap_or_else(PoisonError::into_inner);
        for (handle, used_at) in committed {
            let mut shard = self.shard(*handle);
            if shard
                .get(handle)
                .is_some_and(|noted| noted.used_at <= *used_at)
            {
                shard.remove(handle);
            }
        }
    }

    /// Prevents uses from being forgotten while the guard is held. A reader of many rows takes it
    /// before it begins its snapshot.
    pub(crate) fn hold(&self) -> RwLockReadGuard<'_, ()> {
        self.gate.read().unwrap_or_else(PoisonError::into_inner)
    }
}
