//! Copies of rows, and of the knowledge that there is none: bounded in number and age.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::Timestamp;
use crate::login::handle::{Handle, partition};
use crate::login::stamp::Stamp;
use crate::store::record::Record;

/// Parts with a lock each; partitions of subjects are divided among them.
const SHARDS: usize = 64;

/// What a store answered, and when it was asked.
#[derive(Clone, Debug)]
pub(crate) struct Copy {
    /// `None` where it had no row.
    pub(crate) row: Option<Record>,
    /// Before the store was asked: what was removed later is known to the view, or will be.
    pub(crate) asked_at: Timestamp,
    /// Where the view stood then: whatever ended the logins of a subject up to there had been
    /// removed from the store, so that a row that was there has survived it.
    pub(crate) seen: Stamp,
    /// When it was kept, by the count of its shard.
    kept: u64,
}

impl Copy {
    /// Whether it is as young as `seconds`, by a clock that was not set back.
    fn is_within(&self, seconds: u64, now: Timestamp) -> bool {
        now >= self.asked_at && now.saturating_since(self.asked_at) < seconds
    }
}

pub(crate) struct Copies {
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
    asking: HashMap<Handle, Asking>,
    /// Counts the questions to the store, and the answers that were kept.
    count: u64,
}

/// Those who ask the store for a row at the moment.
#[derive(Default)]
struct Asking {
    count: usize,
    /// How often the row came or went meanwhile: whoever had asked before may have seen it as it
    /// was, when somebody else has been told already how it is.
    turns: u64,
}

impl Shard {
    fn turns(&self, handle: Handle) -> u64 {
        self.asking.get(&handle).map_or(0, |asking| asking.turns)
    }

    fn turn(&mut self, handle: Handle) {
        if let Some(asking) = self.asking.get_mut(&handle) {
            asking.turns += 1;
        }
    }

    fn next(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    fn remove(&mut self, handle: Handle) {
        self.young.remove(&handle);
        self.old.remove(&handle);
    }
}

/// Somebody asks the store for a row, or changes it there.
pub(crate) struct Ask<'c> {
    copies: &'c Copies,
    handle: Handle,
    turns: u64,
    /// When it was asked, by the count of the shard.
    asked: u64,
    asked_at: Timestamp,
    seen: Stamp,
}

impl Ask<'_> {
    /// Keeps what the store has answered, unless there is a copy that is ahead of it. Where it
    /// cannot be told which is later, there is none from then on.
    pub(crate) fn keep(self, row: Option<Record>) {
        let is_turn = row.is_none();
        self.put(row, is_turn);
    }

    /// Keeps a row that has been made.
    pub(crate) fn keep_new(self, row: Record) {
        self.put(Some(row), true);
    }

    fn put(&self, row: Option<Record>, is_turn: bool) {
        let (handle, copies) = (self.handle, self.copies);
        let mut shard = copies.shard(handle.partition());
        let copy = Copy {
            row,
            asked_at: self.asked_at,
            seen: self.seen,
            kept: shard.next(),
        };
        let known = shard.young.get(&handle).or_else(|| shard.old.get(&handle));
        let is_later = match known.map(|known| (known, &known.row, &copy.row)) {
            None | Some((_, None, None)) => true,
            // None of these ever falls, and a credential is confirmed within its generation.
            Some((known, Some(old), Some(new))) => {
                let age = |row: &Record, asked_at| {
                    let counts = (row.version(), row.generation(), row.confirmed);
                    (counts, asked_at)
                };
                if age(new, copy.asked_at) < age(old, known.asked_at) {
                    return;
                }
                true
            }
            Some((known, ..)) => self.asked > known.kept,
        };
        let is_kept = is_later && shard.turns(handle) == self.turns;
        if is_kept {
            shard.old.remove(&handle);
            copies.insert(&mut shard, handle, copy);
        } else {
            shard.remove(handle);
        }
        // Nor may anybody keep what was before it, whom no copy tells.
        if is_turn || !is_kept {
            shard.turn(handle);
        }
    }
}

impl Drop for Ask<'_> {
    fn drop(&mut self) {
        let mut shard = self.copies.shard(self.handle.partition());
        if let Some(asking) = shard.asking.get_mut(&self.handle) {
            asking.count -= 1;
            if asking.count == 0 {
                shard.asking.remove(&self.handle);
            }
        }
    }
}

impl Copies {
    pub(crate) fn new(capacity: usize, max_age: u64) -> Self {
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
    pub(crate) fn get(&self, handle: Handle, now: Timestamp) -> Option<Copy> {
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

    /// Somebody is about to ask the store, where the view stands at `seen`.
    pub(crate) fn ask(&self, handle: Handle, asked_at: Timestamp, seen: Stamp) -> Ask<'_> {
        let mut shard = self.shard(handle.partition());
        let asked = shard.next();
        let asking = shard.asking.entry(handle).or_default();
        asking.count += 1;
        Ask {
            copies: self,
            handle,
            turns: asking.turns,
            asked,
            asked_at,
            seen,
        }
    }

    fn insert(&self, shard: &mut Shard, handle: Handle, copy: Copy) {
        if shard.young.len() >= self.half {
            shard.old = std::mem::take(&mut shard.young);
        }
        shard.young.insert(handle, copy);
    }

    /// Changes the copy of a row, if there is one.
    pub(crate) fn change(&self, handle: Handle, change: impl FnOnce(&mut Record)) {
        let mut shard = self.shard(handle.partition());
        let Shard { young, old, .. } = &mut *shard;
        let copy = young.get_mut(&handle).or_else(|| old.get_mut(&handle));
        if let Some(row) = copy.and_then(|copy| copy.row.as_mut()) {
            change(row);
        }
    }

    /// Notes a use in the copy of a row, if there is one. Whether the store does not know of it.
    pub(crate) fn touch(&self, handle: Handle, used_at: Timestamp) -> bool {
        let mut is_news = true;
        self.change(handle, |row| {
            is_news = row.touch(used_at) || row.last_seen() < used_at;
        });
        is_news
    }

    /// Forgets a row that has come or gone, and whatever is on its way about it.
    pub(crate) fn forget(&self, handle: Handle) {
        let mut shard = self.shard(handle.partition());
        shard.remove(handle);
        shard.turn(handle);
    }

    pub(crate) fn forget_subject(&self, subject: &str) {
        let mut shard = self.shard(partition(subject));
        let stays = |_: &Handle, copy: &mut Copy| {
            let row = copy.row.as_ref();
            row.is_none_or(|row| row.subject() != subject)
        };
        shard.young.retain(stays);
        shard.old.retain(stays);
        // Whose rows are asked for is not known yet.
        let asking = shard.asking.values_mut();
        asking.for_each(|asking| asking.turns += 1);
    }

    pub(crate) fn len(&self) -> usize {
        let lens = self.shards.iter().map(|shard| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.young.len() + shard.old.len()
        });
        lens.sum()
    }
}
