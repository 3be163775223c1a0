//! Several facts in one append.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::revocation::log::{Entry, RevocationLog};
use crate::testkit::executor::{give_up_after, interleave, yield_now};
use crate::testkit::log_fixture::LogFixture;
use crate::testkit::log_laws::world::{LONG, World, all, draft, drafts, names};
use crate::testkit::random::seed;
use crate::testkit::world::boxed;

/// Entries of each batch.
const SIZE: u64 = 7;
/// More than what is cut into pieces anywhere.
const LARGE: u64 = 3_000;
/// Polls after which an append is given up, at most.
const POLLS: usize = 24;

/// The names of a batch: of each the batch can be told.
fn batch(number: u64) -> std::ops::Range<u64> {
    number * SIZE..(number + 1) * SIZE
}

/// Each batch is whole, side by side and in its order, or not there at all. Answers which are.
fn assert_whole(entries: &[Entry], context: &str) -> Vec<u64> {
    let names = names(entries);
    names
        .chunks(SIZE as usize)
        .map(|names| {
            let number = names[0] / SIZE;
            assert_eq!(names, batch(number).collect::<Vec<_>>(), "{context}");
            number
        })
        .collect()
}

/// A batch is there as a whole, in its order, or not at all, whenever anybody reads, and however
/// large it is. Rejects a log that writes one after the other, and one that cuts a large batch into
/// pieces.
pub async fn log_08_a_batch_is_one_step<F: LogFixture>(fixture: &F) {
    for round in 0..2 {
        let seed = seed().wrapping_add(round);
        let world = World::open(fixture).await;
        let now = world.now();
        let writing = Arc::new(AtomicUsize::new(2));
        let mut futures = Vec::new();
        for writer in 0..2 {
            let (log, writing) = (world.again().await, Arc::clone(&writing));
            futures.push(boxed(async move {
                for turn in 0..25 {
                    let drafts = drafts(batch(2 * turn + writer));
                    // By hand, so that a failure does not leave the reader alone.
                    if log.append(&drafts, now).await.is_err() {
                        break;
                    }
                    yield_now().await;
                }
                writing.fetch_sub(1, Ordering::SeqCst);
            }));
        }
        let (log, writing) = (world.again().await, Arc::clone(&writing));
        futures.push(boxed(async move {
            loop {
                let over = writing.load(Ordering::SeqCst) == 0;
                let page = all(&*log, 1, now).await;
                assert_whole(&page.entries, "half a batch was read");
                let head = log.head(now).await.expect("a head").position();
                assert_eq!(head % SIZE, 0, "seed {seed}: a head within a batch");
                if over {
                    break;
                }
                yield_now().await;
            }
        }));
        if round == 0 {
            interleave(seed, futures).await;
        } else {
            fixture.spread(futures).await;
        }
        let entries = world.all().await.entries;
        let mut there = assert_whole(&entries, "half a batch is there");
        there.sort_unstable();
        assert_eq!(there, (0..50).collect::<Vec<_>>(), "seed {seed}");
    }

    let world = World::open(fixture).await;
    let (log, now) = (world.again().await, world.now());
    let reader = boxed(async move {
        loop {
            let head = log.head(now).await.expect("a head").position();
            let there = all(&*log, 1, now).await.entries.len() as u64;
            assert!(there == 0 || there == LARGE, "{there} of {LARGE}");
            assert!(head == 0 || head == LARGE, "the head is at {head}");
            if head > 0 {
                break;
            }
            yield_now().await;
        }
    });
    let (log, now) = (world.again().await, world.now());
    let writer = boxed(async move {
        let appended = log.append(&drafts(0..LARGE), now).await;
        assert_eq!(appended.expect("it is taken").position(), LARGE);
    });
    interleave(seed(), vec![reader, writer]).await;
    let entries = world.all().await.entries;
    assert_eq!(names(&entries), (0..LARGE).collect::<Vec<_>>());
}

/// The same drafts, appended again, stand again, at later places: what a node says once more after
/// a loss must be behind what it lost. Rejects a log that takes the nonce for a key.
pub async fn log_09_the_same_again_stands_again<F: LogFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let said = drafts(1..=3);
    for round in 1..=4 {
        let appended = world.append(&said).await;
        assert_eq!(appended.position(), 3 * round);
        assert_eq!(appended.mark(), said[2].nonce.mark());
    }
    // Twice in one batch, too.
    let twice = [said[0], said[0]];
    assert_eq!(world.append(&twice).await.position(), 14);
    let entries = world.all().await.entries;
    assert_eq!(names(&entries), [1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 1]);
}

/// An append that is given up at whichever of its steps is there as a whole or not at all, and
/// leaves no gap: the next ones go on. Rejects a log that takes places and writes in two steps.
pub async fn log_10_may_be_given_up_at_every_step<F: LogFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let other = world.again().await;
    let mut acknowledged = Vec::new();
    for polls in 1..=POLLS {
        let number = 2 * polls as u64;
        let given_up = drafts(batch(number));
        let append = world.log.append(&given_up, world.now());
        if let Some(appended) = give_up_after(polls, append).await {
            appended.expect("it takes entries");
            acknowledged.push(number);
        }
        let appended = other.append(&drafts(batch(number + 1)), world.now()).await;
        let appended = appended.expect("the next one goes on");
        acknowledged.push(number + 1);
        let page = world.all().await;
        let context = format!("given up after {polls} polls");
        let there = assert_whole(&page.entries, &context);
        for number in &acknowledged {
            let times = there.iter().filter(|there| *there == number).count();
            assert_eq!(times, 1, "{context}: batch {number}");
        }
        let head = world.head().await;
        assert!(head.position() >= appended.position(), "{context}");
        assert_eq!(page.first, 1);
    }
    // And alone.
    let before = world.head().await.position();
    let appended = world.append(&[draft(0, LONG)]).await;
    assert!(appended.position() > before);
}
