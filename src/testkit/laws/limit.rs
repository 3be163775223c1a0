//! The limit per subject: LIMIT.

use std::sync::{Arc, Mutex, PoisonError};

use crate::store::contract::{Created, Limit, SessionStore};
use crate::testkit::executor::interleave;
use crate::testkit::faulty::YieldingStore;
use crate::testkit::fixture::StoreFixture;
use crate::testkit::random::seed;
use crate::testkit::sample::Sample;
use crate::testkit::world::{World, assert_same, boxed};

/// Of many concurrent creates for one subject, as many store as the limit has room for, others
/// are told so, and no other subject is touched. Rejects a store that counts first and inserts
/// then.
pub async fn limit_01_rejects_what_is_too_much<F: StoreFixture>(fixture: &F) {
    for round in 0..20 {
        let world = World::open(fixture).await;
        let now = world.now();
        let other = Sample::of("bob").at(now);
        world.put(&other).await;
        let over = Sample::of("alice").idle(1).at(now);
        world.put(&over).await;
        world.advance(1).await;
        let stored = Arc::new(Mutex::new(0));
        let create = |_| {
            let (store, now) = (Arc::clone(&world.store), world.now());
            let (row, stored) = (Sample::of("alice").at(now), Arc::clone(&stored));
            boxed(async move {
                let created = store.create(&row, Limit::Reject(3), now).await;
                match created.expect("the store answers a create") {
                    Created::Stored { evicted } => {
                        assert!(evicted.is_empty(), "a login had to go");
                        *stored.lock().unwrap_or_else(PoisonError::into_inner) += 1;
                    }
                    created => assert_eq!(created, Created::LimitReached),
                }
            })
        };
        if round % 2 == 0 {
            interleave(seed() + round, (0..12).map(create).collect()).await;
        } else {
            fixture.spread((0..12).map(create).collect()).await;
        }
        let stored = *stored.lock().unwrap_or_else(PoisonError::into_inner);
        assert_eq!(
            stored,
            3,
            "as many were stored as the limit allows, seed {}",
            seed()
        );
        assert_eq!(world.list("alice", 10).await.len(), 3);
        assert_same(world.get(&other).await.as_ref(), &other);
    }
}

/// With eviction a further login ends the one with the earliest deadline, in the same step: at
/// no time are there more than the limit, and nobody is left without the login that was stored.
/// Rejects a store that evicts before or after it inserts.
pub async fn limit_02_evicts_the_oldest<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let now = world.now();
    let limit = Limit::EvictOldest(3);
    // Stored neither in the order of their deadlines nor in its reverse.
    let rows =
        [500, 300, 400, 600, 700].map(|absolute| Sample::of("alice").absolute(absolute).at(now));
    let evicted = async |at: usize| match world.store.create(&rows[at], limit, now).await {
        Ok(Created::Stored { evicted }) => evicted,
        created => panic!("a login was not stored: {created:?}"),
    };
    for at in 0..3 {
        assert!(evicted(at).await.is_empty());
    }
    assert_eq!(
        evicted(3).await,
        [rows[1].handle()],
        "the earliest deadline goes first"
    );
    assert_eq!(evicted(4).await, [rows[2].handle()]);
    let left: Vec<_> = world
        .list("alice", 10)
        .await
        .iter()
        .map(|row| row.deadline())
        .collect();
    assert_eq!(
        left,
        [500, 600, 700].map(|absolute| now.saturating_add(absolute))
    );

    for round in 0..10 {
        let world = World::open(fixture).await;
        let now = world.now();
        let store = Arc::new(YieldingStore::new(Arc::clone(&world.store)));
        let create = |_| {
            let (store, row) = (Arc::clone(&store), Sample::of("alice").at(now));
            boxed(async move {
                let created = store.create(&row, limit, now).await;
                assert!(matches!(created, Ok(Created::Stored { .. })), "{created:?}");
                let listed = store
                    .list("alice", crate::store::contract::Page::first(100), now)
                    .await;
                let listed = listed.expect("the store answers a list").records.len();
                assert!(listed <= 3, "{listed} live logins where 3 are allowed");
            })
        };
        interleave(seed() + round, (0..12).map(create).collect()).await;
        assert_eq!(world.list("alice", 10).await.len(), 3);
    }
}
