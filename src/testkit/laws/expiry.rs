//! EXPIRY: a login expires.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::store::contract::{Limit, Load, Record, Rotated, SessionStore, Swept, Updated};
use crate::testkit::faulty::YieldingStore;
use crate::testkit::fixture::StoreFixture;
use crate::testkit::laws::read::hundred_seconds;
use crate::testkit::random::seed;
use crate::testkit::sample::Sample;
use crate::testkit::world::{World, assert_same, boxed, lock};

/// Calls after which two rounds of a sweep must be complete.
const MAX_SWEEPS: usize = 100_000;

/// A login expires after its idle timeout, or at its deadline however much it is used, whichever
/// comes first. Rejects a store that knows only one of the two.
pub async fn expiry_01_the_first_limit_ends_it<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let sample = Sample::of("alice").idle(200).absolute(1_000);
    let (unused, used) = (sample.at(world.now()), sample.at(world.now()));
    world.put(&unused).await;
    world.put(&used).await;
    for passed in (100..1_000).step_by(100) {
        world.advance(100).await;
        let found = world.use_now(&used).await;
        assert!(found.is_some(), "expired after {passed} of 1000 s in use");
        if passed == 200 {
            let context = "after its idle timeout";
            world.assert_gone(&unused, context).await;
        }
    }
    world.advance(100).await;
    world.assert_gone(&used, "after its deadline").await;
}

/// A row that expired before it was created is not found. Rejects a store that takes a time in the
/// past for no time.
pub async fn expiry_02_the_past_has_expired<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let now = world.now();
    for row in [
        Sample::of("alice").absolute(0).at(now),
        Sample::of("alice").idle(0).at(now),
        Sample::of("alice").at(now.saturating_sub(100_000)),
    ] {
        // A store may take it or not.
        let _ = world.create(&row, Limit::Unlimited).await;
        world.assert_gone(&row, "although it has expired").await;
    }
}

/// The longest timeouts do not overflow, and the row expires at the end of time.
/// Rejects arithmetic that wraps.
pub async fn expiry_04_no_lifetime_overflows<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let endless = Sample::of("alice").idle(u64::MAX).absolute(u64::MAX);
    let endless = endless.at(world.now());
    world.put(&endless).await;
    assert_same(world.get(&endless).await.as_ref(), &endless);
    world.clock.set(Timestamp::MAX);
    world.assert_gone(&endless, "at the end of time").await;
}

/// A clock that is set back revives no row that was found expired, by any method, and none that was
/// removed. Rejects a store that answers "expired" and keeps the row.
pub async fn expiry_06_a_clock_set_back_revives_nothing<F: StoreFixture>(fixture: &F) {
    let hour = Duration::from_secs(3_600);
    let world = World::open(fixture).await;
    let removed = Sample::of("alice").at(world.now());
    world.put(&removed).await;
    assert_eq!(world.remove(&removed).await, 1);
    world.clock.turn_back(hour);
    world.assert_gone(&removed, "after its removal").await;

    for method in ["load", "a load that notes the use", "rotate", "update"] {
        for sample in hundred_seconds() {
            let world = World::open(fixture).await;
            let row = sample.at(world.now());
            world.put(&row).await;
            world.advance(100).await;
            let rotation = Sample::rotation_of(&row);
            let expired = match method {
                "load" => world.get(&row).await.is_none(),
                "rotate" => matches!(world.rotate(&row, &rotation).await, Rotated::Absent),
                "update" => matches!(world.write(&row, 0, b"1").await, Updated::Absent),
                _ => world.use_now(&row).await.is_none(),
            };
            assert!(expired, "{method} found an expired row");
            world.clock.turn_back(hour);
            let found = world.get(&row).await;
            assert!(found.is_none(), "{method} found it expired, and it revived");
        }
    }
}

/// Sweeping removes the expired rows and no others, in bounded steps. Rejects a sweep that locks
/// all callers out, and one that skips rows.
pub async fn expiry_07_sweeps_the_expired<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let mut alive = Vec::new();
    for at in 0..400 {
        let sample = Sample::of(format!("user {at}"));
        if at % 20 == 0 {
            let row = sample.at(world.now());
            world.put(&row).await;
            alive.push(row);
        }
        world.put(&sample.idle(100).at(world.now())).await;
    }
    let swept = async |limit| {
        let swept = world.store.sweep(limit, world.now()).await;
        swept.expect("sweep answers")
    };
    assert_eq!(swept(1_000).await.removed, 0, "live rows that were swept");
    world.advance(100).await;
    // Two whole rounds see every row, wherever the current round stands.
    let (mut removed, mut rounds, mut calls) = (0, 0, 0);
    while rounds < 2 {
        let Swept { removed: now, more } = swept(50).await;
        assert!(now <= 200, "one step of 50 removed {now} rows");
        removed += now;
        rounds += u32::from(!more);
        calls += 1;
        assert!(
            calls < MAX_SWEEPS,
            "sweep always answers that there is more"
        );
    }
    assert!(removed <= 400, "{removed} rows swept where 400 expired");
    if F::SWEEPS {
        assert_eq!(removed, 400, "expired rows that were swept");
    }
    for row in &alive {
        assert!(world.get(row).await.is_some(), "a live row was swept");
    }
}

/// A noted use saves a live login from the sweep, even if the sweep began before.
/// Rejects a sweep that looks first and deletes later.
pub async fn expiry_08_a_touch_saves_from_the_sweep<F: StoreFixture>(fixture: &F) {
    for round in 0..20 {
        let world = World::open(fixture).await;
        let rows: Vec<_> = (0..20)
            .map(|at| Sample::of(format!("user {at}")).idle(100).at(world.now()))
            .collect();
        for row in &rows {
            world.put(row).await;
        }
        world.clock.advance(Duration::from_secs(95));
        let now = world.now();
        // The clock of the sweeping node is ahead.
        let ahead = now.saturating_add(5);
        let store = Arc::new(YieldingStore::new(Arc::clone(&world.store)));
        let survivors = Arc::new(Mutex::new(Vec::new()));
        let sweeper = Arc::clone(&store);
        let mut acts = vec![boxed(async move {
            for _ in 0..20 {
                sweeper.sweep(5, ahead).await.expect("sweep answers");
            }
        })];
        for rows in rows.chunks(5).map(<[Record]>::to_vec) {
            let (store, survivors) = (Arc::clone(&store), Arc::clone(&survivors));
            acts.push(boxed(async move {
                for row in rows {
                    let touched = store.touch(&[(row.handle(), now)], now).await;
                    touched.expect("touch answers");
                    let load = Load::new().touch(row.idle());
                    let found = store.load(row.handle(), load, now).await;
                    lock(&survivors).extend(found.expect("load answers"));
                }
            }));
        }
        world.run(round, acts).await;
        world.clock.set(ahead);
        let survivors = lock(&survivors).clone();
        for row in survivors {
            let (found, seed) = (world.get(&row).await, seed() + round);
            assert!(
                found.is_some(),
                "swept after its use was noted, seed {seed}"
            );
        }
    }
}
