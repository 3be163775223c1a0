//! Order: several nodes append, and others read.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::revocation::log::{Entry, Nonce, RevocationLog};
use crate::testkit::executor::{interleave, yield_now};
use crate::testkit::log_fixture::LogFixture;
use crate::testkit::log_laws::world::{World, Writing, assert_side_by_side, drafts, name};
use crate::testkit::random::{Random, seed};
use crate::testkit::world::{boxed, lock};

const WRITERS: u64 = 4;
const READERS: usize = 2;
const APPENDS: u64 = 40;
/// Entries that the writers append at most.
const MAX_ENTRIES: usize = 3 * WRITERS as usize * APPENDS as usize;
/// Pages that a reader takes at most, if each brings one entry.
const MAX_PAGES: usize = 2 * MAX_ENTRIES;

/// Acknowledged appends.
#[derive(Default)]
struct Acknowledged {
    /// The last position.
    position: AtomicU64,
    /// Names of each append, with the position of the last one.
    appends: Mutex<Vec<(Vec<u64>, u64)>>,
}

impl Acknowledged {
    fn note(&self, names: Vec<u64>, position: u64) {
        lock(&self.appends).push((names, position));
        self.position.fetch_max(position, Ordering::SeqCst);
    }
}

/// While several nodes append, a reader that follows the log by position and nonce finds no gap and
/// misses no entry that was acknowledged before its read was sent. Each append is there once.
/// Rejects positions from a sequence, which assigns a position before the entry is committed, reads
/// from a copy that lags behind, and a batch that another one interrupts.
pub async fn log_04_readers_miss_nothing<F: LogFixture>(fixture: &F) {
    for round in 0..2 {
        let seed = seed().wrapping_add(round);
        let world = World::open(fixture).await;
        let now = world.now();
        let acknowledged = Arc::new(Acknowledged::default());
        let writing = Writing::of(WRITERS as usize);
        let mut futures = Vec::new();
        for writer in 0..WRITERS {
            let (log, acknowledged) = (world.again().await, Arc::clone(&acknowledged));
            let writing = writing.clone();
            let mut random = Random::new(seed.wrapping_mul(31).wrapping_add(writer));
            futures.push(boxed(async move {
                let _writing = writing.guard();
                for turn in 0..APPENDS {
                    let first = (writer << 32) + turn * 4;
                    let count = 1 + random.below(3) as u64;
                    let names: Vec<_> = (first..first + count).collect();
                    let drafts = drafts(names.iter().copied());
                    let stamp = log.append(&drafts, now).await.expect("append answers");
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
            let (followed, writing) = (Arc::clone(&followed), writing.clone());
            let mut random = Random::new(seed.wrapping_mul(37).wrapping_add(reader as u64));
            futures.push(boxed(async move {
                let mut seen: Vec<Entry> = Vec::new();
                loop {
                    let done = writing.is_done();
                    let due = acknowledged.position.load(Ordering::SeqCst);
                    let head = log.head(now).await.expect("head answers");
                    assert!(
                        head.position() >= due,
                        "the head is older than an acknowledged append, seed {seed}"
                    );
                    let mut pages = 0;
                    loop {
                        pages += 1;
                        let endless = pages > MAX_PAGES || seen.len() > MAX_ENTRIES;
                        assert!(!endless, "read always answers that there is more");
                        let from = seen.last().map_or(1, |entry| entry.position);
                        let limit = [1, 2, 5, usize::MAX][random.below(4)];
                        let page = log.read(from, limit, now).await.expect("read answers");
                        let mut entries = page.entries.into_iter().peekable();
                        if let Some(last) = seen.last() {
                            let again = entries.next().map(|entry| entry.nonce);
                            assert_eq!(again, Some(last.nonce), "another log, seed {seed}");
                        }
                        let alone = entries.peek().is_none();
                        seen.extend(entries);
                        if !page.more {
                            break;
                        }
                        if alone && limit == 1 {
                            // A page of one would always hold the entry that is known.
                            let next = log.read(from + 1, 1, now).await.expect("read answers");
                            seen.extend(next.entries);
                        }
                    }
                    assert_side_by_side(&seen);
                    let last = seen.last().map_or(0, |entry| entry.position);
                    assert!(
                        last >= due,
                        "{due} was acknowledged, and the last entry read is {last}, seed {seed}"
                    );
                    if done {
                        break;
                    }
                    yield_now().await;
                }
                assert_eq!(seen.first().map(|entry| entry.position), Some(1));
                lock(&followed).push(seen);
            }));
        }
        if round == 0 {
            interleave(seed, futures).await;
        } else {
            fixture.spread(futures).await;
        }
        let everything = world.all().await.entries;
        let followed = lock(&followed);
        for seen in &*followed {
            assert!(
                *seen == everything,
                "a reader saw other entries, seed {seed}"
            );
        }
        assert_eq!(followed.len(), READERS, "seed {seed}");
        assert_each_once(&everything, &lock(&acknowledged.appends), seed);
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
            "entries of the append up to {last}, seed {seed}"
        );
        count += names.len();
    }
    assert_eq!(everything.len(), count, "entries in the log, seed {seed}");
    let mut nonces: Vec<Nonce> = everything.iter().map(|entry| entry.nonce).collect();
    nonces.sort_unstable();
    nonces.dedup();
    assert_eq!(nonces.len(), count, "distinct nonces, seed {seed}");
}

/// Any number of nodes that open a fresh log at the same time see one incarnation, which stays.
/// Rejects a log that each node begins on its own, so that the entries of one are lost to the
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
                    0 => log.head(now).await.expect("head answers").incarnation(),
                    1 => log.read(1, 9, now).await.expect("read answers").incarnation,
                    2 => {
                        let appended = log.append(&drafts([node]), now).await;
                        appended.expect("append answers").incarnation()
                    }
                    _ => {
                        log.fence(now).await.expect("fence answers");
                        log.head(now).await.expect("head answers").incarnation()
                    }
                };
                lock(&seen).push(incarnation);
            }));
        }
        if round % 2 == 0 {
            interleave(seed, futures).await;
        } else {
            fixture.spread(futures).await;
        }
        let page = world.all().await;
        assert_eq!(*lock(&seen), [page.incarnation; 8], "seed {seed}");
        let mut names: Vec<_> = page.entries.iter().map(name).collect();
        names.sort_unstable();
        assert_eq!(names, [2, 6], "seed {seed}");
        assert_eq!(page.first, 1);
    }
}
