//! LIMIT: how many logins a subject may have.

use std::sync::{Arc, Mutex};

use crate::store::contract::{Created, Limit, Load, Page, Record, SessionStore};
use crate::testkit::executor::interleave;
use crate::testkit::faulty::YieldingStore;
use crate::testkit::fixture::StoreFixture;
use crate::testkit::random::seed;
use crate::testkit::sample::Sample;
use crate::testkit::world::{World, assert_same, boxed, lock};

/// Of many concurrent creates for one subject, as many are stored as the limit allows, and the
/// others get [`Created::LimitReached`]. Expired rows do not count, and other subjects are left
/// alone. Rejects a store that counts first and inserts later.
pub async fn limit_01_rejects_above_the_limit<F: StoreFixture>(fixture: &F) {
    for round in 0..20 {
        let world = World::open(fixture).await;
        let other = Sample::of("bob").at(world.now());
        world.put(&other).await;
        let expired = Sample::of("alice").idle(1).at(world.now());
        world.put(&expired).await;
        world.advance(1).await;
        let stored = Arc::new(Mutex::new(0));
        let create = |_| {
            let (store, now) = (Arc::clone(&world.store), world.now());
            let (row, stored) = (Sample::of("alice").at(now), Arc::clone(&stored));
            boxed(async move {
                let created = store.create(&row, Limit::Reject(3), now).await;
                match created.expect("create answers") {
                    Created::Stored { evicted } => {
                        assert!(evicted.is_empty(), "Limit::Reject evicted a login");
                        *lock(&stored) += 1;
                    }
                    created => assert_eq!(created, Created::LimitReached),
                }
            })
        };
        world.run(round, (0..12).map(create).collect()).await;
        let (stored, seed) = (*lock(&stored), seed() + round);
        assert_eq!(stored, 3, "logins stored within a limit of 3, seed {seed}");
        assert_eq!(world.list("alice", 10).await.len(), 3);
        assert_same(world.get(&other).await.as_ref(), &other);
    }
}

/// [`Limit::EvictOldest`] ends the login with the earliest deadline in the same step as it stores
/// the new one: at no time are there more than the limit, and the stored login is always there.
/// Rejects a store that evicts before or after it inserts.
pub async fn limit_02_evicts_the_oldest<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let now = world.now();
    let limit = Limit::EvictOldest(3);
    // Stored neither in the order of their deadlines nor in its reverse.
    let rows =
        [500, 300, 400, 600, 700].map(|absolute| Sample::of("alice").absolute(absolute).at(now));
    let expected: [&[_]; 5] = [&[], &[], &[], &[rows[1].handle()], &[rows[2].handle()]];
    for (row, expected) in rows.iter().zip(expected) {
        match world.create(row, limit).await {
            Created::Stored { evicted } => assert_eq!(evicted, expected, "evicted logins"),
            created => panic!("create did not evict: {created:?}"),
        }
    }
    let left = world.list("alice", 10).await;
    let left: Vec<_> = left.iter().map(|row| row.deadline()).collect();
    assert_eq!(
        left,
        [500, 600, 700].map(|absolute| now.saturating_add(absolute))
    );

    Box::pin(keeps_within(fixture, limit)).await;
}

/// [`Limit::EvictLeastRecentlyUsed`] ends the least recently used login, even if another one has an
/// earlier deadline, in the same step as it stores the new one. Rejects a store that evicts by
/// deadline.
pub async fn limit_03_evicts_the_least_recently_used<F: StoreFixture>(fixture: &F) {
    // Boxed calls: their futures together would be too large for the stack of a test.
    let world = World::open(fixture).await;
    let limit = Limit::EvictLeastRecentlyUsed(3);
    let row = |absolute| Sample::of("alice").idle(8_000).absolute(absolute);
    // The phone has the earliest deadline and is used all the time.
    let phone = row(20_000).at(world.now());
    let browser = row(60_000).at(world.now());
    let tablet = row(50_000).at(world.now());
    for row in [&phone, &browser, &tablet] {
        Box::pin(evicts(&world, row, limit, &[])).await;
    }
    world.advance(1_500).await;
    let used = [&phone, &tablet].map(|row| Box::pin(world.use_now(row)));
    for used in used {
        assert!(used.await.is_some(), "a login that is used");
    }
    world.advance(1_500).await;
    assert!(Box::pin(world.use_now(&phone)).await.is_some(), "the phone");
    // It never was used, and its deadline is the latest.
    let kiosk = row(5_000).at(world.now());
    Box::pin(evicts(&world, &kiosk, limit, &[&browser])).await;
    world.advance(1_500).await;
    assert!(Box::pin(world.use_now(&phone)).await.is_some(), "the phone");
    // The kiosk has the nearest deadline, but the tablet was used before it.
    let laptop = row(70_000).at(world.now());
    Box::pin(evicts(&world, &laptop, limit, &[&tablet])).await;
    let watch = row(40_000).at(world.now());
    Box::pin(evicts(&world, &watch, limit, &[&kiosk])).await;
    // All were used in this second, so the deadline decides.
    let last = row(30_000).at(world.now());
    Box::pin(evicts(&world, &last, limit, &[&phone])).await;
    // A smaller limit evicts several at once.
    world.advance(1_500).await;
    assert!(
        Box::pin(world.use_now(&last)).await.is_some(),
        "the last one"
    );
    let only = row(10_000).at(world.now());
    let smaller = Limit::EvictLeastRecentlyUsed(2);
    Box::pin(evicts(&world, &only, smaller, &[&watch, &laptop])).await;
    assert_same(world.get(&last).await.as_ref(), &last);

    Box::pin(keeps_within(fixture, limit)).await;
}

/// Creates a row within a limit, which must evict the given rows.
async fn evicts<F: StoreFixture>(
    world: &World<'_, F>,
    row: &Record,
    limit: Limit,
    expected: &[&Record],
) {
    let mut expected: Vec<_> = expected.iter().map(|row| row.handle()).collect();
    expected.sort_unstable();
    match world.create(row, limit).await {
        Created::Stored { mut evicted } => {
            evicted.sort_unstable();
            assert_eq!(evicted, expected, "evicted logins");
        }
        created => panic!("create did not evict: {created:?}"),
    }
    for handle in expected {
        let load = Load::new();
        let found = world.store.load(handle, load, world.now()).await;
        assert!(found.expect("load answers").is_none(), "it was evicted");
    }
}

/// Asserts that of many logins at once each is stored, and at no time are there more than three.
async fn keeps_within<F: StoreFixture>(fixture: &F, limit: Limit) {
    for round in 0..10 {
        let world = World::open(fixture).await;
        let now = world.now();
        let store = Arc::new(YieldingStore::new(Arc::clone(&world.store)));
        let create = |_| {
            let (store, row) = (Arc::clone(&store), Sample::of("alice").at(now));
            boxed(async move {
                let created = store.create(&row, limit, now).await;
                assert!(matches!(created, Ok(Created::Stored { .. })), "{created:?}");
                let listed = store.list("alice", Page::first(100), now).await;
                let listed = listed.expect("list answers").records.len();
                assert!(listed <= 3, "{listed} live logins where 3 are allowed");
            })
        };
        interleave(seed() + round, (0..12).map(create).collect()).await;
        assert_eq!(world.list("alice", 10).await.len(), 3);
    }
}
