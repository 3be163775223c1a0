//! Those who wait for the end of a login, by login.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::login::handle::Handle;
use crate::revocation::fact::Fact;

/// Parts with a lock each; partitions of handles are divided among them.
const SHARDS: usize = 64;

/// Everybody who waits, each until woken once.
///
/// The logins of one subject are neighbours here, as their handles begin with its partition: a
/// fact wakes those whom it may concern, and what it costs goes by their number.
pub(crate) struct Waiters {
    shards: Box<[Mutex<Shard>]>,
    next: AtomicU64,
}

/// One who waits: the login, and a number that nobody else has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seat {
    handle: Handle,
    number: u64,
}

#[derive(Default)]
struct Shard {
    waiting: BTreeMap<Seat, Waiter>,
    /// The same by when they are to look again at the latest.
    due: BTreeSet<(Timestamp, Seat)>,
}

struct Waiter {
    due: Timestamp,
    waker: Waker,
}

impl Seat {
    /// All of them from one handle to another.
    fn between(first: [u8; 16], last: [u8; 16]) -> std::ops::RangeInclusive<Self> {
        let seat = |handle, number| Self {
            handle: Handle::from_bytes(handle),
            number,
        };
        seat(first, 0)..=seat(last, u64::MAX)
    }
}

impl Shard {
    /// Takes out who waits at `seat`. The waker belongs to others: to be woken or dropped where
    /// nothing is locked.
    fn take(&mut self, seat: Seat) -> Option<Waker> {
        let waiter = self.waiting.remove(&seat)?;
        self.due.remove(&(waiter.due, seat));
        Some(waiter.waker)
    }

    fn take_between(&mut self, first: [u8; 16], last: [u8; 16], woken: &mut Vec<Waker>) {
        let seats = self.waiting.range(Seat::between(first, last));
        let seats: Vec<_> = seats.map(|(seat, _)| *seat).collect();
        woken.extend(seats.into_iter().filter_map(|seat| self.take(seat)));
    }
}

impl Waiters {
    pub(crate) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            next: AtomicU64::new(0),
        }
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        let shards = self.shards.iter();
        shards.map(|shard| lock(shard).waiting.len()).sum()
    }

    /// A place for one who waits for the end of a login, and does not yet.
    pub(crate) fn seat(&self, handle: Handle) -> Seat {
        Seat {
            handle,
            number: self.next.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Waits at `seat` until something is told that may concern it, and until `due` at the latest,
    /// unless `look` finds why not to. It says when to look again at the latest.
    pub(crate) fn poll(
        &self,
        seat: Seat,
        mut due: Timestamp,
        waker: &Waker,
        look: impl Fn() -> Result<Timestamp>,
    ) -> Poll<Error> {
        loop {
            // Before it looks: what is told in between wakes it.
            self.wait(seat, due, waker);
            match look() {
                Ok(later) if later >= due => return Poll::Pending,
                Ok(sooner) => due = sooner,
                Err(error) => {
                    self.leave(seat);
                    return Poll::Ready(error);
                }
            }
        }
    }

    fn wait(&self, seat: Seat, due: Timestamp, waker: &Waker) {
        let waker = waker.clone();
        let mut shard = self.shard_of(seat.handle.partition());
        let known = shard.waiting.get(&seat);
        if known.is_some_and(|known| known.due == due && known.waker.will_wake(&waker)) {
            return;
        }
        let before = shard.take(seat);
        shard.waiting.insert(seat, Waiter { due, waker });
        shard.due.insert((due, seat));
        drop(shard);
        drop(before);
    }

    /// Waits no longer.
    pub(crate) fn leave(&self, seat: Seat) {
        let mut shard = self.shard_of(seat.handle.partition());
        let waker = shard.take(seat);
        drop(shard);
        drop(waker);
    }

    /// Wakes those whom facts may concern, which have been applied.
    pub(crate) fn tell(&self, facts: impl Iterator<Item = Fact>) {
        let mut woken = Vec::new();
        for fact in facts {
            match fact {
                Fact::Login(handle) => {
                    let own = *handle.as_bytes();
                    let mut shard = self.shard_of(handle.partition());
                    shard.take_between(own, own, &mut woken);
                }
                Fact::Subject { subject, .. } => {
                    let partition = subject.partition();
                    let (mut first, mut last) = ([0; 16], [0xff; 16]);
                    first[..2].copy_from_slice(&(partition << 4).to_be_bytes());
                    last[..2].copy_from_slice(&(partition << 4 | 0xf).to_be_bytes());
                    let mut shard = self.shard_of(partition);
                    shard.take_between(first, last, &mut woken);
                }
                Fact::Everything { .. } => self.take_all(&mut woken),
                // No login ends by them.
                Fact::Key(_) | Fact::Changed { .. } | Fact::Nothing => {}
            }
        }
        woken.into_iter().for_each(Waker::wake);
    }

    /// Wakes those who wait until `now` at the latest.
    pub(crate) fn tell_due(&self, now: Timestamp) {
        let mut woken = Vec::new();
        for shard in &self.shards {
            let mut shard = lock(shard);
            while let Some((due, seat)) = shard.due.first().copied()
                && due <= now
            {
                woken.extend(shard.take(seat));
            }
        }
        woken.into_iter().for_each(Waker::wake);
    }

    /// Wakes everybody.
    pub(crate) fn tell_all(&self) {
        let mut woken = Vec::new();
        self.take_all(&mut woken);
        woken.into_iter().for_each(Waker::wake);
    }

    fn take_all(&self, woken: &mut Vec<Waker>) {
        for shard in &self.shards {
            let Shard { waiting, .. } = std::mem::take(&mut *lock(shard));
            woken.extend(waiting.into_values().map(|waiter| waiter.waker));
        }
    }

    fn shard_of(&self, partition: u16) -> MutexGuard<'_, Shard> {
        lock(&self.shards[usize::from(partition) % SHARDS])
    }
}

// Nothing under the lock runs code of others, so that a panic leaves nothing half done.
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

    /// What is told at the very moment after a look wakes the one who looked, at whatever it looked.
    #[test]
    fn nothing_is_missed_between_the_look_and_the_wait() {
        let handle = Handle::of_subject(b"alice", [7; 16]);
        let later = Timestamp::from_unix(100);
        for answer in [later, Timestamp::MIN] {
            for told in [Fact::Login(handle), Fact::Everything { before: None }] {
                let waiters = Waiters::new();
                let woken = Arc::<Woken>::default();
                let seat = waiters.seat(handle);
                let is_first = AtomicUsize::new(1);
                let look = || {
                    if is_first.fetch_min(0, Ordering::Relaxed) == 1 {
                        waiters.tell([told].into_iter());
                    }
                    Ok(answer)
                };
                let polled = waiters.poll(seat, later, &Waker::from(Arc::clone(&woken)), look);
                assert!(polled.is_pending());
                assert_eq!(woken.0.load(Ordering::Relaxed), 1);
            }
        }
    }

    /// Whoever is to look again sooner than at first is woken sooner.
    #[test]
    fn the_time_to_look_again_is_the_last_that_was_said() {
        let waiters = Waiters::new();
        let woken = Arc::<Woken>::default();
        let waker = Waker::from(Arc::clone(&woken));
        let seat = waiters.seat(Handle::of_subject(b"alice", [7; 16]));
        let [soon, later] = [10, 100].map(Timestamp::from_unix);
        let count = |now: u64| {
            waiters.tell_due(Timestamp::from_unix(now));
            woken.0.swap(0, Ordering::Relaxed)
        };
        assert!(waiters.poll(seat, later, &waker, || Ok(soon)).is_pending());
        assert_eq!([count(9), count(10), count(100)], [0, 1, 0]);
        assert_eq!(waiters.len(), 0);
        assert!(waiters.poll(seat, later, &waker, || Ok(later)).is_pending());
        assert_eq!([count(99), count(100), count(101)], [0, 1, 0]);
        waiters.leave(seat);
        assert_eq!(waiters.len(), 0);
    }
}
