//! Batches: several facts in one append.

use crate::revocation::log::{Entry, RevocationLog};
use crate::testkit::executor::{give_up_after, interleave, yield_now};
use crate::testkit::log_fixture::LogFixture;
use crate::testkit::log_laws::world::{LONG, World, Writing, all, draft, drafts, names};
use crate::testkit::random::seed;
use crate::testkit::world::boxed;

/// Entries in a batch.
const SIZE: u64 = 7;
/// Entries in a batch that is larger than any block of a backend.
const LARGE: u64 = 3_000;
/// Polls after which an append is dropped, at most.
const MAX_POLLS: usize = 24;

/// Names of the entries of a batch. Each name determines its batch.
fn batch(number: u64) -> std::ops::Range<u64> {
    number * SIZE..(number + 1) * SIZE
}

/// Asserts that each batch is complete, side by side and in order, or absent. Answers the present
/// ones.
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

/// Every read sees a batch as a whole, in its order, or not at all, however large it is. Rejects a
/// log that writes one entry after the other, and one that splits a large batch.
pub async fn log_08_a_batch_is_one_step<F: LogFixture>(fixture: &F) {
    for round in 0..2 {
        let seed = seed().wrapping_add(round);
        let world = World::open(fixture).await;
        let now = world.now();
        let writing = Writing::of(2);
        let mut futures = Vec::new();
        for writer in 0..2 {
            let (log, writing) = (world.again().await, writing.clone());
            futures.push(boxed(async move {
                let _writing = writing.guard();
                for turn in 0..25 {
                    let drafts = drafts(batch(2 * turn + writer));
                    log.append(&drafts, now).await.expect("append answers");
                    yield_now().await;
                }
            }));
        }
        let (log, writing) = (world.again().await, writing.clone());
        futures.push(boxed(async move {
            loop {
                let done = writing.is_done();
                let page = all(&*log, 1, now).await;
                assert_whole(&page.entries, "half a batch was read");
                let head = log.head(now).await.expect("head answers").position();
                assert_eq!(head % SIZE, 0, "the head is inside of a batch, seed {seed}");
                if done {
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
        let mut there = assert_whole(&entries, "half a batch is stored");
        there.sort_unstable();
        assert_eq!(there, (0..50).collect::<Vec<_>>(), "seed {seed}");
    }

    let world = World::open(fixture).await;
    let (log, now) = (world.again().await, world.now());
    let writing = Writing::of(1);
    let guard = writing.guard();
    let reader = boxed(async move {
        loop {
            let done = writing.is_done();
            let head = log.head(now).await.expect("head answers").position();
            let there = all(&*log, 1, now).await.entries.len() as u64;
            assert!(there == 0 || there == LARGE, "{there} of {LARGE}");
            assert!(head == 0 || head == LARGE, "the head is at {head}");
            if done {
                break;
            }
            yield_now().await;
        }
    });
    let (log, now) = (world.again().await, world.now());
    let writer = boxed(async move {
        let _writing = guard;
        let appended = log.append(&drafts(0..LARGE), now).await;
        assert_eq!(appended.expect("append answers").position(), LARGE);
    });
    interleave(seed(), vec![reader, writer]).await;
    let entries = world.all().await.entries;
    assert_eq!(names(&entries), (0..LARGE).collect::<Vec<_>>());
}

/// The same drafts, appended again, are entries again, at later positions: after a loss a node must
/// append its facts behind the lost ones. Rejects a log that uses the nonce as a key.
pub async fn log_09_the_same_drafts_are_appended_again<F: LogFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let known = drafts(1..=3);
    for round in 1..=4 {
        let appended = world.append(&known).await;
        assert_eq!(appended.position(), 3 * round);
        assert_eq!(appended.mark(), known[2].nonce.mark());
    }
    // The same draft twice in one batch.
    let twice = [known[0], known[0]];
    assert_eq!(world.append(&twice).await.position(), 14);
    let entries = world.all().await.entries;
    assert_eq!(names(&entries), [1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 1]);
}

/// An append that is dropped at any of its steps is there as a whole or not at all, and leaves no
/// gap: the next ones continue. Rejects a log that reserves positions and writes in two steps.
pub async fn log_10_may_be_dropped_at_every_step<F: LogFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let other = world.again().await;
    let mut acknowledged = Vec::new();
    for polls in 1..=MAX_POLLS {
        let number = 2 * polls as u64;
        let dropped = drafts(batch(number));
        let append = world.log.append(&dropped, world.now());
        if let Some(appended) = give_up_after(polls, append).await {
            appended.expect("append answers");
            acknowledged.push(number);
        }
        let appended = other.append(&drafts(batch(number + 1)), world.now()).await;
        let appended = appended.expect("the next append answers");
        acknowledged.push(number + 1);
        let page = world.all().await;
        let context = format!("dropped after {polls} polls");
        let there = assert_whole(&page.entries, &context);
        for number in &acknowledged {
            let times = there.iter().filter(|there| *there == number).count();
            assert_eq!(times, 1, "{context}: batch {number}");
        }
        let head = world.head().await;
        assert!(head.position() >= appended.position(), "{context}");
        assert_eq!(page.first, 1);
    }
    let before = world.head().await.position();
    let appended = world.append(&[draft(0, LONG)]).await;
    assert!(appended.position() > before);
}
