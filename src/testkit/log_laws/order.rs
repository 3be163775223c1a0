//! Many who append, and some who read.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::revocation::log::{Entry, Nonce, RevocationLog};
use crate::testkit::executor::{interleave, yield_now};
use crate::testkit::log_fixture::LogFixture;
use crate::testkit::log_laws::world::{World, assert_side_by_side, drafts, name};
use crate::testkit::random::{Random, seed};
use crate::testkit::world::boxed;

const WRITERS: u64 = 4;
const READERS: usize = 2;
const APPENDS: u64 = 40;

/// What has been acknowledged so far.
#[derive(Default)]
struct Acknowledged {
    /// The last place.
    position: AtomicU64,
    /// Names and the place of the last one, for each append.
    appends: Mutex<Vec<(Vec<u64>, u64)>>,
    writing: AtomicUsize,
    over: AtomicBool,
}

impl Acknowledged {
    fn note(&self, names: Vec<u64>, position: u64) {
        let mut appends = self.appends.lock().unwrap_or_else(PoisonError::into_inner);
        appends.push((names, position));
        self.position.fetch_max(position, Ordering::SeqCst);
    }
}

/// Ends the readers, also when the writer panics.
struct Writing(Arc<Acknowledged>);

impl Drop for Writing {
    fn drop(&mut self) {
        if self.0.writing.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.over.store(true, Ordering::SeqCst);
        }
    }
}

/// While several nodes append, whoever follows the log by place and nonce finds no gap and misses
/// nothing that was acknowledged before a read was sent; each append is there once. Rejects
/// positions from a sequence, which gives out a place before it is decided that it is taken, reads
/// from a copy that lags behind, and a batch into which another one is put.
pub async fn log_04_readers_miss_nothing<F: LogFixture>(fixture: &F) {
    for round in 0..2 {
        let seed = seed().wrapping_add(round);
        let world = World::open(fixture).await;
        let now = world.now();
        let acknowledged = Arc::new(Acknowledged::default());
        acknowledged
            .writing
            .store(WRITERS as usize, Ordering::SeqCst);
        let mut futures = Vec::new();
        for writer in 0..WRITERS {
            let (log, acknowledged) = (world.again().await, Arc::clone(&acknowledged));
            let mut random = Random::new(seed.wrapping_mul(31).wrapping_add(writer));
            futures.push(boxed(async move {
                let _writing = Writing(Arc::clone(&acknowledged));
                for turn in 0..APPENDS {
                    let first = (writer << 32) + turn * 4;
                    let count = 1 + random.below(3) as u64;
                    let names: Vec<_> = (first..first + count).collect();
                    let drafts = drafts(names.iter().copied());
                    let stamp = log.append(&drafts, now).await.expect("it takes entries");
                    acknowledged.note(names, stamp.position());
                    if random.once_in(2) {
                        yield_now().await;
                    }
                }
            }));
        }
        let followed = Arc::new(Mutex::new(Vec::new()));
        for reader in 0..READERS {
            let (log, acknowledged) = (world.again().await, Arc::clone(&acknowledged));
            let followed = Arc::clone(&followed);
            let mut random = Random::new(seed.wrapping_mul(37).wrapping_add(reader as u64));
            futures.push(boxed(async move {
                let mut seen: Vec<Entry> = Vec::new();
                loop {
                    let over = acknowledged.over.load(Ordering::SeqCst);
                    let due = acknowledged.position.load(Ordering::SeqCst);
                    let head = log.head(now).await.expect("a head");
                    assert!(
                        head.position() >= due,
                        "seed {seed}: the head is older than an append"
                    );
                    loop {
                        let from = seen.last().map_or(1, |entry| entry.position);
                        let limit = [1, 2, 5, usize::MAX][random.below(4)];
                        let page = log.read(from, limit, now).await.expect("a page");
                        let mut entries = page.entries.into_iter().peekable();
                        if let Some(last) = seen.last() {
                            let again = entries.next().map(|entry| entry.nonce);
                            assert_eq!(again, Some(last.nonce), "seed {seed}: another log");
                        }
                        let alone = entries.peek().is_none();
                        seen.extend(entries);
                        if !page.more {
                            break;
                        }
                        if alone && limit == 1 {
                            // A reader that takes one at a time would read that one for ever.
                            let next = log.read(from + 1, 1, now).await.expect("a page");
                            seen.extend(next.entries);
                        }
                    }
                    assert_side_by_side(&seen);
                    let last = seen.last().map_or(0, |entry| entry.position);
                    assert!(
                        last >= due,
                        "seed {seed}: {due} was acknowledged, and {last} is the last that was read"
                    );
                    if over {
                        break;
                    }
                    yield_now().await;
                }
                assert_eq!(seen.first().map(|entry| entry.position), Some(1));
                let mut followed = followed.lock().unwrap_or_else(PoisonError::into_inner);
                followed.push(seen);
            }));
        }
        if round == 0 {
            interleave(seed, futures).await;
        } else {
            fixture.spread(futures).await;
        }
        let everything = world.all().await.entries;
        let followed = followed.lock().unwrap_or_else(PoisonError::into_inner);
        for seen in &*followed {
            assert!(*seen == everything, "seed {seed}: a reader saw another log");
        }
        assert_eq!(followed.len(), READERS, "seed {seed}");
        let appends = acknowledged
            .appends
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        assert_each_once(&everything, &appends, seed);
    }
}

fn assert_each_once(everything: &[Entry], appends: &[(Vec<u64>, u64)], seed: u64) {
    let mut count = 0;
    for (names, last) in appends {
        let end = usize::try_from(*last).unwrap_or(usize::MAX);
        let there = end
            .checked_sub(names.len())
            .and_then(|begin| everything.get(begin..end));
        let there: Vec<_> = there.unwrap_or_default().iter().map(name).collect();
        assert_eq!(
            there, *names,
            "seed {seed}: appended up to {last}, and not there"
        );
        count += names.len();
    }
    assert_eq!(everything.len(), count, "seed {seed}: nobody appended that");
    let mut nonces: Vec<Nonce> = everything.iter().map(|entry| entry.nonce).collect();
    nonces.sort_unstable();
    nonces.dedup();
    assert_eq!(nonces.len(), count, "seed {seed}: something is there twice");
}

/// However many nodes meet a fresh log at the same time, it begins once: all see one incarnation,
/// which stays. Rejects a log that each of them begins, when what one has written is lost to the
/// others.
pub async fn log_12_begins_once<F: LogFixture>(fixture: &F) {
    for round in 0..4 {
        let seed = seed().wrapping_add(round);
        let world = World::open(fixture).await;
        let now = world.now();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut futures = Vec::new();
        for node in 0..8_u64 {
            let (log, seen) = (world.again().await, Arc::clone(&seen));
            futures.push(boxed(async move {
                let incarnation = match node % 4 {
                    0 => log.head(now).await.expect("a head").incarnation(),
                    1 => log.read(1, 9, now).await.expect("a page").incarnation,
                    2 => {
                        let appended = log.append(&drafts([node]), now).await;
                        appended.expect("a place").incarnation()
                    }
                    _ => {
                        log.fence(now).await.expect("it takes writes");
                        log.head(now).await.expect("a head").incarnation()
                    }
                };
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.push(incarnation);
            }));
        }
        if round % 2 == 0 {
            interleave(seed, futures).await;
        } else {
            fixture.spread(futures).await;
        }
        let page = world.all().await;
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        assert_eq!(*seen, [page.incarnation; 8], "seed {seed}");
        let mut names: Vec<_> = page.entries.iter().map(name).collect();
        names.sort_unstable();
        assert_eq!(names, [2, 6], "seed {seed}");
        assert_eq!(page.first, 1);
    }
}
