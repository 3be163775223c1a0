//! CREATE: a login begins.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::store::contract::{Created, Limit, SessionStore};
use crate::testkit::executor::interleave;
use crate::testkit::fixture::StoreFixture;
use crate::testkit::random::seed;
use crate::testkit::sample::Sample;
use crate::testkit::world::{World, assert_same, boxed, lock};

/// A row can be read, exactly as it was given, as soon as `create` has returned. Rejects a store
/// that answers before it has stored.
pub async fn create_01_is_readable_at_once<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    for _ in 0..100 {
        let row = Sample::of("alice").role("admin").data([7; 80]);
        let row = row.at(world.now());
        world.put(&row).await;
        assert_same(world.get(&row).await.as_ref(), &row);
    }
}

/// Of a thousand concurrent creates with ten handles, ten are stored, and each caller that got
/// [`Created::Stored`] finds its own row. Rejects a store that looks first and then overwrites.
pub async fn create_02_never_overwrites<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let now = world.now();
    let rows: Vec<_> = (0..10)
        .map(|at| Sample::of(format!("user {at}")).at(now))
        .collect();
    let winners = Arc::new(Mutex::new(BTreeMap::new()));
    let create = |at: usize| {
        let (store, winners) = (Arc::clone(&world.store), Arc::clone(&winners));
        // The same handle with different data, which tells the creates apart.
        let mut row = rows[at % 10].clone();
        assert!(row.update(0, &Sample::update(at.to_string())));
        boxed(async move {
            let created = store.create(&row, Limit::Unlimited, now).await;
            match created.expect("create answers") {
                Created::Stored { .. } => {
                    let other = lock(&winners).insert(row.handle(), row);
                    assert!(other.is_none(), "create stored one handle twice");
                }
                created => assert_eq!(created, Created::Duplicate),
            }
        })
    };
    interleave(seed(), (0..500).map(create).collect()).await;
    // Eight callers at the same time, each with its share of the rest.
    let shares = (0..8).map(|share| {
        let creates = (500..1_000).filter(|at| at % 8 == share).map(create);
        let creates: Vec<_> = creates.collect();
        boxed(async move {
            for create in creates {
                create.await;
            }
        })
    });
    fixture.spread(shares.collect()).await;
    let winners = lock(&winners).clone();
    assert_eq!(winners.len(), 10, "stored rows for ten handles");
    for row in winners.values() {
        assert_same(world.get(row).await.as_ref(), row);
    }
}
