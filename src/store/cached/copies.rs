//! Copies of rows, and of the knowledge that there is none: bounded in number and age.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::Timestamp;
use crate::handle::{Handle, Stamp, partition};
use crate::session::record::Record;

/// Parts with a lock each; partitions of subjects are divided among them.
const SHARDS: usize = 64;

/// What a store answered, and when it was asked.
#[derive(Clone, Debug)]
pub(super) struct Copy {
    /// `None` where it had no row.
    pub(super) row: Option<Record>,
    /// Before the store was asked: what was removed later is known to the view, or will be.
    pub(super) asked_at: Timestamp,
    /// Where the view stood then: whatever ended the logins of a subject up to there had been
    /// removed from the store, so that a row that was there has survived it.
    pub(super) seen: Stamp,
}

impl Copy {
    /// Whether it is as young as `seconds`, by a clock that was not set back.
    fn is_within(&self, seconds: u64, now: Timestamp) -> bool {
        now >= self.asked_at && now.saturating_since(self.asked_at) < seconds
    }

    /// Whether it says more than `other` about the same row.
    fn is_ahead_of(&self, other: &Self) -> bool {
        let age = |copy: &Self| {
            let row = copy.row.as_ref();
            (
                copy.asked_at,
                copy.seen.position(),
                row.map(|row| (row.version(), row.generation(), row.confirmed)),
            )
        };
        age(self) > age(other)
    }
}

pub(super) struct Copies {
    shards: Box<[Mutex<Shard>]>,
    /// Copies of each generation of a shard.
    half: usize,
    /// Seconds.
    max_age: u64,
}

/// Two generations: when the younger one is full, it becomes the older one, which is forgotten.
/// Whatever is asked for meanwhile moves to the younger one, so that what is in use stays.
#[derive(Default)]
struct Shard {
    young: HashMap<Handle, Copy>,
    old: HashMap<Handle, Copy>,
}

impl Copies {
    pub(super) fn new(capacity: usize, max_age: u64) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            half: capacity.div_ceil(2 * SHARDS),
            max_age,
        }
    }

    fn shard(&self, partition: u16) -> MutexGuard<'_, Shard> {
        let shard = &self.shards[usize::from(partition) % SHARDS];
        // Nothing under the lock runs code of others, so that a panic leaves nothing half done.
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The copy of a row, if it is young enough.
    #[inline]
    pub(super) fn get(&self, handle: Handle, now: Timestamp) -> Option<Copy> {
        let mut shard = self.shard(handle.partition());
        let copy = match shard.young.get(&handle) {
            Some(copy) => copy.clone(),
            None => {
                let copy = shard.old.remove(&handle)?;
                self.insert(&mut shard, handle, copy.clone());
                copy
            }
        };
        copy.is_within(self.max_age, now).then_some(copy)
    }

    /// Keeps a copy, unless there is one that is ahead of it.
    pub(super) fn put(&self, handle: Handle, copy: Copy) {
        let mut shard = self.shard(handle.partition());
        let known = shard.young.get(&handle).or_else(|| shard.old.get(&handle));
        if known.is_none_or(|known| !known.is_ahead_of(&copy)) {
            shard.old.remove(&handle);
            self.insert(&mut shard, handle, copy);
        }
    }

    fn insert(&self, shard: &mut Shard, handle: Handle, copy: Copy) {
        if shard.young.len() >= self.half {
            shard.old = std::mem::take(&mut shard.young);
        }
        shard.young.insert(handle, copy);
    }

    /// Changes the copy of a row, if there is one.
    pub(super) fn change(&self, handle: Handle, change: impl FnOnce(&mut Record)) {
        let mut shard = self.shard(handle.partition());
        let Shard { young, old } = &mut *shard;
        let copy = young.get_mut(&handle).or_else(|| old.get_mut(&handle));
        if let Some(row) = copy.and_then(|copy| copy.row.as_mut()) {
            change(row);
        }
    }

    pub(super) fn forget(&self, handle: Handle) {
        let mut shard = self.shard(handle.partition());
        shard.young.remove(&handle);
        shard.old.remove(&handle);
    }

    pub(super) fn forget_subject(&self, subject: &str) {
        let mut shard = self.shard(partition(subject));
        let stays = |_: &Handle, copy: &mut Copy| {
            let row = copy.row.as_ref();
            row.is_none_or(|row| row.subject() != subject)
        };
        shard.young.retain(stays);
        shard.old.retain(stays);
    }

    pub(super) fn len(&self) -> usize {
        let lens = self.shards.iter().map(|shard| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.young.len() + shard.old.len()
        });
        lens.sum()
    }
}
