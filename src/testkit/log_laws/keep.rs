//! Lifetimes: how long entries stay.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::revocation::log::{Draft, Fact, MARGIN, Page, RevocationLog};
use crate::testkit::log_fixture::LogFixture;
use crate::testkit::log_laws::world::{LONG, World, draft, drafts, names};

const MARGIN_SECS: u64 = MARGIN.as_secs();
/// Seconds that may pass on the log's own clock while a law runs.
const SLACK: u64 = 50;
/// Appends after which all expired entries are gone, if each removes a few more than it adds.
const MAX_APPENDS: u64 = 100;

/// Seconds after its append at which an entry must still be there.
fn stays<F: LogFixture>(life: u64) -> u64 {
    life + MARGIN_SECS - if F::OWN_CLOCK { SLACK } else { 1 }
}

/// An entry stays for its life and the margin. Later appends remove it, from the front only: a
/// long-lived entry keeps all behind it. Rejects a log that forgets the margin, one that removes
/// expired entries from the middle, which leaves a gap, one that keeps a number of entries, and one
/// that grows without limit.
pub async fn log_05_keeps_entries_for_their_life<F: LogFixture>(fixture: &F) {
    let mut world = World::open(fixture).await;
    let mut name = 0;
    let mut next = || {
        name += 1;
        name
    };
    // Short, long, short.
    for life in [100, 100, 500, 100, 0] {
        world.append(&[draft(next(), life)]).await;
    }
    let there = async |world: &World<'_, F>| {
        let page = world.all().await;
        let first = page.entries.first().expect("an entry").position;
        assert_eq!(page.first, first, "first of a page");
        let head = world.head().await.position();
        assert_eq!(page.entries.last().map(|entry| entry.position), Some(head));
        // No gap.
        assert_eq!(names(&page.entries), (first..=head).collect::<Vec<_>>());
        let page = world.read(first - 1, 1).await;
        assert_eq!(
            page.entries[0].position, first,
            "a position before the first entry counts as the first"
        );
        first
    };
    world.advance(stays::<F>(100)).await;
    for _ in 0..4 {
        world.append(&[draft(next(), LONG)]).await;
        assert_eq!(there(&world).await, 1, "an entry was removed early");
    }
    world.append(&[]).await;
    assert_eq!(there(&world).await, 1, "an entry was removed early");

    // The first two may be removed; the third one keeps the others.
    world.advance(100 + MARGIN_SECS + 1 - stays::<F>(100)).await;
    let mut rounds = 0;
    while there(&world).await < 3 {
        rounds += 1;
        assert!(rounds < MAX_APPENDS, "an expired entry stays");
        world.append(&[draft(next(), LONG)]).await;
    }
    world
        .advance(stays::<F>(500) - (100 + MARGIN_SECS + 1))
        .await;
    for _ in 0..4 {
        world.append(&[draft(next(), LONG)]).await;
        assert_eq!(there(&world).await, 3, "an entry was removed early");
    }
    world.advance(500 + MARGIN_SECS + 1 - stays::<F>(500)).await;
    let mut rounds = 0;
    while there(&world).await < 6 {
        rounds += 1;
        assert!(rounds < MAX_APPENDS, "an expired entry stays");
        world.append(&[draft(next(), LONG)]).await;
    }
    assert_eq!(there(&world).await, 6);

    // Single appends remove any number of entries that expire at once.
    let mut many = World::open(fixture).await;
    let short: Vec<_> = (1..=200).map(|name| draft(name, 1)).collect();
    many.append(&short).await;
    many.advance(1 + MARGIN_SECS + 1).await;
    for name in 201..=400 {
        many.append(&[draft(name, LONG)]).await;
    }
    assert_eq!(there(&many).await, 201, "expired entries stay");
}

/// After all entries have expired, the head keeps its position and mark, and positions continue.
/// Rejects a log that takes its last entry as the counter: it assigns positions twice, so that a
/// login could be stamped behind the entry that ends it.
pub async fn log_06_continues_after_all_have_expired<F: LogFixture>(fixture: &F) {
    let mut world = World::open(fixture).await;
    let beginning = world.head().await;
    for round in 0..3 {
        let before = world.head().await;
        let place = before.position();
        let appended = [draft(place + 1, 1), draft(place + 2, 1)];
        let appended = world.append(&appended).await;
        assert_eq!(appended.position(), place + 2);
        assert_eq!(appended.incarnation(), beginning.incarnation());
        world.advance(1 + MARGIN_SECS + 1).await;
        assert_eq!(world.head().await, appended, "round {round}");
        // An append of nothing may remove all expired entries.
        for _ in 0..3 {
            assert_eq!(world.append(&[]).await, appended);
        }
        let page = world.all().await;
        if page.entries.is_empty() {
            assert_eq!(page.first, appended.position() + 1);
            for from in [0, 1, appended.position(), appended.position() + 1] {
                let page = world.read(from, 9).await;
                assert_eq!((page.first, page.more), (appended.position() + 1, false));
                assert_eq!(page.entries, []);
            }
        }
        assert_eq!(page.incarnation, beginning.incarnation());
        let node = world.again().await;
        assert_eq!(
            node.head(world.now()).await.expect("head answers"),
            appended
        );
        assert_eq!(world.head().await, appended, "round {round}");
    }
    let last = world.head().await.position();
    let appended = world.append(&drafts([last + 1])).await;
    assert_eq!(appended.position(), last + 1);
    let page = world.read(last + 1, 9).await;
    assert_eq!(names(&page.entries), [last + 1]);
}

/// An expired entry behind a live one keeps its position and nonce and reads as
/// [`Fact::Nothing`]; before its expiry it reads as it was written. Rejects a log from which new
/// readers must load every entry behind the one that lives longest.
pub async fn log_14_an_expired_entry_reads_as_nothing<F: LogFixture>(fixture: &F) {
    let mut world = World::open(fixture).await;
    let drafts = [draft(1, LONG), draft(2, 100), draft(3, 0), draft(4, 500)];
    world.append(&drafts).await;
    let expected = |nothing: [bool; 4]| {
        let fact = |(draft, nothing): (&Draft, bool)| {
            if nothing { Fact::Nothing } else { draft.fact }
        };
        drafts.iter().zip(nothing).map(fact).collect::<Vec<_>>()
    };
    let facts = |page: &Page| -> Vec<_> { page.entries.iter().map(|entry| entry.fact).collect() };
    let page = world.all().await;
    assert_eq!(facts(&page), expected([false; 4]));
    world.advance(stays::<F>(100)).await;
    let page = world.all().await;
    let [first, second, ..] = facts(&page)[..] else {
        panic!("an entry was removed early");
    };
    let early = "an entry reads as nothing before its expiry";
    assert_eq!([first, second], expected([false; 4])[..2], "{early}");
    world.advance(100 + MARGIN_SECS + 1 - stays::<F>(100)).await;
    for node in [Arc::clone(&world.log), world.again().await] {
        let page = node.read(1, 9, world.now()).await.expect("read answers");
        assert_eq!(facts(&page), expected([false, true, true, false]));
        assert_eq!(
            names(&page.entries),
            [1, 2, 3, 4],
            "nonces of expired entries"
        );
        assert_eq!((page.first, page.more), (1, false));
    }
}

/// In a log with a clock of its own, a caller with a fast clock removes nothing, and one with a
/// slow clock keeps nothing. Rejects a server that uses the clock of its callers.
pub async fn log_13_uses_its_own_clock<F: LogFixture>(fixture: &F) {
    if !F::OWN_CLOCK {
        return;
    }
    let mut world = World::open(fixture).await;
    for (now, name) in [(Timestamp::MAX, 1), (Timestamp::MIN, 2)] {
        let appended = world.log.append(&[draft(name, 100)], now).await;
        appended.expect("append answers");
    }
    for name in 3..=6 {
        let appended = world.log.append(&[draft(name, LONG)], Timestamp::MAX).await;
        appended.expect("append answers");
        world.log.head(Timestamp::MAX).await.expect("head answers");
        world
            .log
            .fence(Timestamp::MAX)
            .await
            .expect("fence answers");
        let page = world.log.read(1, 9, Timestamp::MAX).await;
        assert_eq!(
            page.expect("read answers").first,
            1,
            "first entry, by a caller's clock"
        );
    }
    world.advance(100 + MARGIN_SECS + 1).await;
    for name in 7..=10 {
        let appended = world.log.append(&[draft(name, LONG)], Timestamp::MIN).await;
        appended.expect("append answers");
    }
    assert_eq!(
        world.all().await.first,
        3,
        "first entry, by a caller's clock"
    );
}
