//! The waiters for the end of a login, ordered by login.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::login::handle::Handle;
use crate::revocation::fact::Fact;

/// Number of shards, each with its own lock; the partitions of handles are divided among them.
const SHARDS: usize = 64;

/// The waiters. Each waits until it is woken once.
///
/// The handles of one subject begin with its partition, so that its logins are neighbours here: a
/// fact wakes only waiters that it may concern, and costs in proportion to their number.
pub(super) struct Waiters {
    shards: Box<[Mutex<Shard>]>,
    next: AtomicU64,
}

/// Identifier of a waiter: its login and a unique number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WaiterId {
    handle: Handle,
    number: u64,
}

#[derive(Default)]
struct Shard {
    waiting: BTreeMap<WaiterId, Waiter>,
    /// The same waiters by the time of their next check.
    due: BTreeSet<(Timestamp, WaiterId)>,
}

struct Waiter {
    due: Timestamp,
    waker: Waker,
}

impl Shard {
    /// Removes a waiter and returns its waker. Foreign code: wake or drop it without the lock.
    fn take(&mut self, id: WaiterId) -> Option<Waker> {
        let waiter = self.waiting.remove(&id)?;
        self.due.remove(&(waiter.due, id));
        Some(waiter.waker)
    }

    fn take_between(&mut self, first: [u8; 16], last: [u8; 16]) -> Vec<Waker> {
        let id = |handle, number| WaiterId {
            handle: Handle::from_bytes(handle),
            number,
        };
        let waiting = self.waiting.range(id(first, 0)..=id(last, u64::MAX));
        let ids: Vec<_> = waiting.map(|(id, _)| *id).collect();
        ids.into_iter().filter_map(|id| self.take(id)).collect()
    }

    fn take_due(&mut self, now: Timestamp) -> Vec<Waker> {
        let due = self.due.iter().take_while(|(due, _)| *due <= now);
        let ids: Vec<_> = due.map(|(_, id)| *id).collect();
        ids.into_iter().filter_map(|id| self.take(id)).collect()
    }
}

impl Waiters {
    pub(super) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            next: AtomicU64::new(0),
        }
    }

    /// Returns the number of waiters.
    pub(super) fn len(&self) -> usize {
        let shards = self.shards.iter();
        shards.map(|shard| lock(shard).waiting.len()).sum()
    }

    /// Creates the identifier of a waiter for the end of a login. It does not wait yet.
    pub(super) fn new_id(&self, handle: Handle) -> WaiterId {
        WaiterId {
            handle,
            number: self.next.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Waits until a fact may concern the waiter, and until `due` at the latest, unless `check`
    /// fails. `check` returns the time of the next check.
    pub(super) fn poll(
        &self,
        id: WaiterId,
        mut due: Timestamp,
        waker: &Waker,
        check: impl Fn() -> Result<Timestamp>,
    ) -> Poll<Error> {
        loop {
            // Registered before the check: a fact that is applied in between wakes it.
            self.insert(id, due, waker);
            match check() {
                Ok(later) if later >= due => return Poll::Pending,
                Ok(sooner) => due = sooner,
                Err(error) => {
                    self.remove(id);
                    return Poll::Ready(error);
                }
            }
        }
    }

    fn insert(&self, id: WaiterId, due: Timestamp, waker: &Waker) {
        let waker = waker.clone();
        let mut shard = self.shard_of(id.handle.partition());
        let known = shard.waiting.get(&id);
        if known.is_some_and(|known| known.due == due && known.waker.will_wake(&waker)) {
            return;
        }
        let replaced = shard.take(id);
        shard.waiting.insert(id, Waiter { due, waker });
        shard.due.insert((due, id));
        drop(shard);
        drop(replaced);
    }

    /// Removes a waiter.
    pub(super) fn remove(&self, id: WaiterId) {
        let mut shard = self.shard_of(id.handle.partition());
        let waker = shard.take(id);
        drop(shard);
        drop(waker);
    }

    /// Wakes the waiters that facts may concern. Call it after the facts were applied.
    pub(super) fn notify(&self, facts: impl Iterator<Item = Fact>) {
        for fact in facts {
            let (partition, first, last) = match fact {
                Fact::Login(handle) => {
                    let own = *handle.as_bytes();
                    (handle.partition(), own, own)
                }
                Fact::Subject { subject, .. } => {
                    let partition = subject.partition();
                    let (mut first, mut last) = ([0; 16], [0xff; 16]);
                    first[..2].copy_from_slice(&(partition << 4).to_be_bytes());
                    last[..2].copy_from_slice(&(partition << 4 | 0xf).to_be_bytes());
                    (partition, first, last)
                }
                Fact::Everything { .. } => {
                    self.notify_due(Timestamp::MAX);
                    continue;
                }
                // They end no login.
                Fact::Key(_) | Fact::Changed { .. } | Fact::Nothing => continue,
            };
            let woken = self.shard_of(partition).take_between(first, last);
            woken.into_iter().for_each(Waker::wake);
        }
    }

    /// Wakes the waiters with a check due at `now`; [`Timestamp::MAX`] wakes all.
    pub(super) fn notify_due(&self, now: Timestamp) {
        for shard in &self.shards {
            let woken = lock(shard).take_due(now);
            woken.into_iter().for_each(Waker::wake);
        }
    }

    fn shard_of(&self, partition: u16) -> MutexGuard<'_, Shard> {
        lock(&self.shards[usize::from(partition) % SHARDS])
    }
}

// No foreign code runs under the lock, so a panic leaves nothing half done.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A fact that is applied right after the check wakes the waiter, whatever the check returned.
    #[test]
    fn no_fact_is_missed_between_the_check_and_the_wait() {
        let handle = Handle::of_subject(b"alice", [7; 16]);
        let later = Timestamp::from_unix(100);
        for answer in [later, Timestamp::MIN] {
            for fact in [Fact::Login(handle), Fact::Everything { before: None }] {
                let waiters = Waiters::new();
                let woken = Arc::<Woken>::default();
                let id = waiters.new_id(handle);
                let is_first = AtomicUsize::new(1);
                let check = || {
                    if is_first.fetch_min(0, Ordering::Relaxed) == 1 {
                        waiters.notify([fact].into_iter());
                    }
                    Ok(answer)
                };
                let polled = waiters.poll(id, later, &Waker::from(Arc::clone(&woken)), check);
                assert!(polled.is_pending());
                assert_eq!(woken.0.load(Ordering::Relaxed), 1);
            }
        }
    }

    /// A check that asks for an earlier time than the first one is woken earlier.
    #[test]
    fn the_last_check_decides_when_the_next_one_is_due() {
        let waiters = Waiters::new();
        let woken = Arc::<Woken>::default();
        let waker = Waker::from(Arc::clone(&woken));
        let id = waiters.new_id(Handle::of_subject(b"alice", [7; 16]));
        let [soon, later] = [10, 100].map(Timestamp::from_unix);
        let count = |now: u64| {
            waiters.notify_due(Timestamp::from_unix(now));
            woken.0.swap(0, Ordering::Relaxed)
        };
        assert!(waiters.poll(id, later, &waker, || Ok(soon)).is_pending());
        assert_eq!([count(9), count(10), count(100)], [0, 1, 0]);
        assert_eq!(waiters.len(), 0);
        assert!(waiters.poll(id, later, &waker, || Ok(later)).is_pending());
        assert_eq!([count(99), count(100), count(101)], [0, 1, 0]);
        waiters.remove(id);
        assert_eq!(waiters.len(), 0);
    }
}
