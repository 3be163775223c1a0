//! How long entries stay.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::revocation::log::{Draft, Fact, MARGIN, Page, RevocationLog};
use crate::testkit::log_fixture::LogFixture;
use crate::testkit::log_laws::world::{LONG, World, draft, drafts, names};

const MARGIN_SECS: u64 = MARGIN.as_secs();
/// Seconds that may pass while a law runs, on a clock of the log's own.
const SLACK: u64 = 50;
/// Appends after which whatever may go is gone, if each takes away a little more than it adds.
const ROUNDS: u64 = 100;

/// The last moment, counted from when it was appended, at which an entry must still be there.
fn stays<F: LogFixture>(life: u64) -> u64 {
    life + MARGIN_SECS - if F::OWN_CLOCK { SLACK } else { 1 }
}

/// An entry stays for its life and the margin, and goes some appends later, from the front only: a
/// long-lived one keeps all behind it. Rejects a log that forgets the margin, one that takes out
/// whatever has had its time, which leaves a gap, one that counts entries, and one that grows for
/// ever.
pub async fn log_05_nothing_goes_early<F: LogFixture>(fixture: &F) {
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
        assert_eq!(page.first, first, "the first that is there");
        let head = world.head().await.position();
        assert_eq!(page.entries.last().map(|entry| entry.position), Some(head));
        // From the front only.
        assert_eq!(names(&page.entries), (first..=head).collect::<Vec<_>>());
        let page = world.read(first - 1, 1).await;
        assert_eq!(
            page.entries[0].position, first,
            "places before it count as it"
        );
        first
    };
    world.advance(stays::<F>(100)).await;
    for _ in 0..4 {
        world.append(&[draft(next(), LONG)]).await;
        assert_eq!(there(&world).await, 1, "one went early");
    }
    world.append(&[]).await;
    assert_eq!(there(&world).await, 1, "one went early");

    // The first two may go, and the third one keeps the others.
    world.advance(100 + MARGIN_SECS + 1 - stays::<F>(100)).await;
    let mut rounds = 0;
    while there(&world).await < 3 {
        rounds += 1;
        assert!(rounds < ROUNDS, "it does not go");
        world.append(&[draft(next(), LONG)]).await;
    }
    world
        .advance(stays::<F>(500) - (100 + MARGIN_SECS + 1))
        .await;
    for _ in 0..4 {
        world.append(&[draft(next(), LONG)]).await;
        assert_eq!(there(&world).await, 3, "one went early");
    }
    world.advance(500 + MARGIN_SECS + 1 - stays::<F>(500)).await;
    let mut rounds = 0;
    while there(&world).await < 6 {
        rounds += 1;
        assert!(rounds < ROUNDS, "it does not go");
        world.append(&[draft(next(), LONG)]).await;
    }
    assert_eq!(there(&world).await, 6);

    // However many have had their time at once, single appends take them away.
    let mut many = World::open(fixture).await;
    let short: Vec<_> = (1..=200).map(|name| draft(name, 1)).collect();
    many.append(&short).await;
    many.advance(1 + MARGIN_SECS + 1).await;
    for name in 201..=400 {
        many.append(&[draft(name, LONG)]).await;
    }
    assert_eq!(there(&many).await, 201, "what has had its time stays");
}

/// When all entries have had their time, the head stays where it was, with its mark, and positions
/// go on. Rejects a log whose counter is its last entry, which gives places out again: logins would
/// stand behind what ends them.
pub async fn log_06_goes_on_when_all_is_gone<F: LogFixture>(fixture: &F) {
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
        // An append of nothing may take away all that has had its time.
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
        assert_eq!(node.head(world.now()).await.expect("a head"), appended);
        assert_eq!(world.head().await, appended, "round {round}");
    }
    let last = world.head().await.position();
    let appended = world.append(&drafts([last + 1])).await;
    assert_eq!(appended.position(), last + 1);
    let page = world.read(last + 1, 9).await;
    assert_eq!(names(&page.entries), [last + 1]);
}

/// An entry that has had its time behind one that has not keeps its place and says nothing any
/// more; before that, it says what it said. Rejects a log whose new readers have to make room for
/// all that ever was behind the entry that lives longest.
pub async fn log_14_what_has_had_its_time_says_nothing<F: LogFixture>(fixture: &F) {
    let mut world = World::open(fixture).await;
    let said = [draft(1, LONG), draft(2, 100), draft(3, 0), draft(4, 500)];
    world.append(&said).await;
    let expected = |nothing: [bool; 4]| {
        let fact = |(draft, nothing): (&Draft, bool)| match nothing {
            true => Fact::Nothing,
            false => draft.fact,
        };
        said.iter().zip(nothing).map(fact).collect::<Vec<_>>()
    };
    let facts = |page: &Page| -> Vec<_> { page.entries.iter().map(|entry| entry.fact).collect() };
    let page = world.all().await;
    assert_eq!(facts(&page), expected([false; 4]));
    world.advance(stays::<F>(100)).await;
    let page = world.all().await;
    assert_eq!(facts(&page)[..2], expected([false; 4])[..2], "said no more");
    world.advance(100 + MARGIN_SECS + 1 - stays::<F>(100)).await;
    for node in [Arc::clone(&world.log), world.again().await] {
        let page = node.read(1, 9, world.now()).await.expect("a page");
        assert_eq!(facts(&page), expected([false, true, true, false]));
        assert_eq!(names(&page.entries), [1, 2, 3, 4], "nonces stay");
        assert_eq!((page.first, page.more), (1, false));
    }
}

/// Where entries go by a clock of the log's own, a caller whose clock is ahead takes nothing away,
/// and one whose clock is behind keeps nothing. Rejects a server that believes its callers.
pub async fn log_13_goes_by_its_own_clock<F: LogFixture>(fixture: &F) {
    if !F::OWN_CLOCK {
        return;
    }
    let mut world = World::open(fixture).await;
    for (now, name) in [(Timestamp::MAX, 1), (Timestamp::MIN, 2)] {
        let appended = world.log.append(&[draft(name, 100)], now).await;
        appended.expect("it takes entries");
    }
    for name in 3..=6 {
        let appended = world.log.append(&[draft(name, LONG)], Timestamp::MAX).await;
        appended.expect("it takes entries");
        world.log.head(Timestamp::MAX).await.expect("a head");
        world.log.fence(Timestamp::MAX).await.expect("a write");
        let page = world.log.read(1, 9, Timestamp::MAX).await;
        assert_eq!(page.expect("a page").first, 1, "by a caller's clock");
    }
    world.advance(100 + MARGIN_SECS + 1).await;
    for name in 7..=10 {
        let appended = world.log.append(&[draft(name, LONG)], Timestamp::MIN).await;
        appended.expect("it takes entries");
    }
    assert_eq!(world.all().await.first, 3, "by a caller's clock");
}
