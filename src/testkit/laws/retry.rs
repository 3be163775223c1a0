//! RETRY: after a lost answer the caller makes the same call again.

use std::sync::Arc;

use crate::store::contract::{Created, Limit, Rotated, SessionStore};
use crate::testkit::faulty::{Fault, FaultyStore};
use crate::testkit::fixture::StoreFixture;
use crate::testkit::sample::Sample;
use crate::testkit::world::{World, assert_same};

/// A rotation that lost its answer has advanced the row, and the same rotation finds it unchanged,
/// now and after the overlap. Rejects a store that advances twice.
pub async fn retry_01_rotating_again_is_safe<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let row = Sample::of("alice").at(world.now());
    world.put(&row).await;
    let rotation = Sample::rotation_of(&row);
    let mut expected = row.clone();
    assert!(expected.rotate(&rotation, world.now()));
    let store = FaultyStore::new(Arc::clone(&world.store));
    store.fail_nth(1, Fault::LosesAnswer);
    let lost = store.rotate(row.handle(), &rotation, world.now()).await;
    assert!(lost.is_err_and(|error| error.is_unavailable()));
    for seconds in [0, 5, 60] {
        world.advance(seconds).await;
        match world.rotate(&row, &rotation).await {
            Rotated::Unchanged(row) => assert_same(Some(&row), &expected),
            rotated => panic!("rotate was not unchanged the second time: {rotated:?}"),
        }
    }
}

/// A create that lost its answer has stored the row, and the same record is a duplicate: no second
/// login, and no eviction. Rejects a store that counts a row twice.
pub async fn retry_04_creating_again_is_safe<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let store = FaultyStore::new(Arc::clone(&world.store));
    let now = world.now();
    let other = Sample::of("alice").absolute(10).at(now);
    world.put(&other).await;
    for limit in [
        Limit::Reject(2),
        Limit::EvictOldest(2),
        Limit::EvictLeastRecentlyUsed(2),
    ] {
        let row = Sample::of("alice").at(now);
        store.fail_nth(1, Fault::LosesAnswer);
        let lost = store.create(&row, limit, now).await;
        assert!(lost.is_err_and(|error| error.is_unavailable()));
        let again = world.create(&row, limit).await;
        assert_eq!(again, Created::Duplicate, "{limit:?}");
        assert_eq!(world.list("alice", 10).await.len(), 2);
        assert_same(world.get(&row).await.as_ref(), &row);
        assert_same(world.get(&other).await.as_ref(), &other);
        assert_eq!(world.remove(&row).await, 1);
    }
}
