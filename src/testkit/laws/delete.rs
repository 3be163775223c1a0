//! DELETE and SCOPE: a login ends.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::store::contract::{Created, Limit, Load, Record, Scope, SessionStore, Update, Updated};
use crate::testkit::executor::yield_now;
use crate::testkit::faulty::YieldingStore;
use crate::testkit::fixture::StoreFixture;
use crate::testkit::model::stamp;
use crate::testkit::random::seed;
use crate::testkit::sample::Sample;
use crate::testkit::world::{World, boxed, lock};

/// Removals of one row at once.
const REMOVALS: usize = 64;

/// A removed row is gone: for loads, authoritative or not, for lists and for limits.
/// Rejects a store that marks rows and forgets to check the mark.
pub async fn delete_01_removed_is_gone<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let row = Sample::of("alice").at(world.now());
    let other = Sample::of("alice").at(world.now());
    world.put(&row).await;
    world.put(&other).await;
    assert!(world.get(&row).await.is_some());
    assert_eq!(world.remove(&row).await, 1);
    world.assert_gone(&row, "after its removal").await;
    let load = Load::new().authoritative();
    let found = world.store.load(row.handle(), load, world.now()).await;
    let found = found.expect("load answers");
    assert!(found.is_none(), "found by an authoritative load");
    let listed = world.list("alice", 10).await;
    let listed: Vec<_> = listed.iter().map(Record::handle).collect();
    assert_eq!(listed, [other.handle()]);
    let third = Sample::of("alice").at(world.now());
    let created = world.create(&third, Limit::Reject(2)).await;
    let stored = matches!(created, Created::Stored { .. });
    assert!(stored, "a removed row counts for the limit");
}

/// Removing a missing row is no error and counts zero. Rejects a store that fails the second
/// logout.
pub async fn delete_02_removing_twice_is_fine<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let row = Sample::of("alice").at(world.now());
    world.put(&row).await;
    for count in [1, 0, 0] {
        assert_eq!(world.remove(&row).await, count, "rows removed");
        assert_eq!(world.remove_subject("alice", Scope::all()).await, 0);
    }
}

/// Of many removals of one row at once, one counts it. That call redeems a ticket. Rejects a store
/// that looks and removes in two steps, even without an await between them, and one that counts
/// each removal.
pub async fn ticket_01_one_removal_counts<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let now = world.now();
    for round in 0..20 {
        let row = Sample::of("alice").at(now);
        world.put(&row).await;
        let (handle, counted) = (row.handle(), Arc::new(AtomicU64::new(0)));
        let waiting = Arc::new(AtomicUsize::new(REMOVALS));
        let remove = |_| {
            let (store, counted) = (Arc::clone(&world.store), Arc::clone(&counted));
            let waiting = Arc::clone(&waiting);
            boxed(async move {
                waiting.fetch_sub(1, Ordering::SeqCst);
                while waiting.load(Ordering::SeqCst) > 0 {
                    thread::yield_now();
                    yield_now().await;
                }
                let removed = store.remove(handle, "alice", now).await;
                let count = removed.expect("remove answers").count;
                counted.fetch_add(count, Ordering::SeqCst);
            })
        };
        world.run(round, (0..REMOVALS).map(remove).collect()).await;
        let counted = counted.load(Ordering::SeqCst);
        assert_eq!(counted, 1, "removals of one row that counted it");
    }
}

/// A load that was in flight while a login was removed leaves no copy that a later load could
/// answer. Rejects a cache that is filled late.
pub async fn delete_05_no_late_fill<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let now = world.now();
    for round in 0..50 {
        let row = Sample::of("alice").at(now);
        world.put(&row).await;
        let handle = row.handle();
        let load = |_| {
            let store = Arc::clone(&world.store);
            boxed(async move {
                for _ in 0..5 {
                    let found = store.load(handle, Load::new(), now).await;
                    found.expect("load answers");
                }
            })
        };
        let mut acts: Vec<_> = (0..3).map(load).collect();
        let store = Arc::clone(&world.store);
        acts.push(boxed(async move {
            let removed = store.remove(handle, "alice", now).await;
            assert_eq!(removed.expect("remove answers").count, 1);
            let found = store.load(handle, Load::new(), now).await;
            let found = found.expect("load answers");
            assert!(found.is_none(), "found after its removal");
        }));
        world.run(round, acts).await;
        let found = world.get(&row).await;
        assert!(found.is_none(), "found after its removal");
    }
}

/// `remove_subject` removes every row that was created before the call, also while further rows of
/// the subject are being created. Rejects a store that removes what an earlier read had found.
pub async fn delete_06_ends_all_that_were_created_before<F: StoreFixture>(fixture: &F) {
    for round in 0..10 {
        let world = World::open(fixture).await;
        let now = world.now();
        let store = Arc::new(YieldingStore::new(Arc::clone(&world.store)));
        let created = Arc::new(Mutex::new(Vec::new()));
        let done = Arc::new(AtomicBool::new(false));
        let create = |_| {
            let (store, created) = (Arc::clone(&store), Arc::clone(&created));
            let done = Arc::clone(&done);
            boxed(async move {
                for _ in 0..20 {
                    let row = Sample::of("alice").at(now);
                    let stored = store.create(&row, Limit::Unlimited, now).await;
                    assert!(matches!(stored, Ok(Created::Stored { .. })), "{stored:?}");
                    lock(&created).push(row);
                    if done.load(Ordering::SeqCst) {
                        break;
                    }
                }
            })
        };
        let mut acts: Vec<_> = (0..3).map(create).collect();
        let (store, all) = (Arc::clone(&store), Arc::clone(&created));
        acts.push(boxed(async move {
            for _ in 0..5 {
                yield_now().await;
            }
            let before: Vec<Record> = lock(&all).clone();
            let removed = store.remove_subject("alice", Scope::all(), now).await;
            let _ = removed.expect("remove_subject answers");
            done.store(true, Ordering::SeqCst);
            for row in before {
                let found = store.load(row.handle(), Load::new(), now).await;
                let found = found.expect("load answers");
                let seed = seed() + round;
                assert!(found.is_none(), "remove_subject left a row, seed {seed}");
            }
        }));
        world.run(round, acts).await;
        world.remove_subject("alice", Scope::all()).await;
        let listed = world.list("alice", 100).await;
        assert!(listed.is_empty(), "remove_subject left a row");
    }
}

/// A removal covers the rows of its scope: all, all but one, or those stamped before a position in
/// the revocation log. Rows without a stamp, and rows stamped in another incarnation of the log,
/// count as before. Rejects a store that compares positions of different logs.
pub async fn scope_01_selects_the_right_rows<F: StoreFixture>(fixture: &F) {
    for case in 0..6 {
        let world = World::open(fixture).await;
        let now = world.now();
        let rows = [
            Sample::of("alice").at(now),
            Sample::of("alice").stamp(1, 5).at(now),
            Sample::of("alice").stamp(1, 9).at(now),
            Sample::of("alice").stamp(1, 10).at(now),
            Sample::of("alice").stamp(2, 1).at(now),
            Sample::of("alice").stamp(0, 99).at(now),
        ];
        for row in &rows {
            world.put(row).await;
        }
        let bob = Sample::of("bob").at(now);
        world.put(&bob).await;
        let at_nine = stamp(9).expect("a position");
        let keep = rows[1].handle();
        let (scope, left): (_, &[usize]) = match case {
            0 => (Scope::all(), &[]),
            1 => (Scope::others(keep), &[1]),
            2 => (Scope::all().before(at_nine), &[2, 3]),
            3 => (Scope::others(keep).before(at_nine), &[1, 2, 3]),
            4 => (Scope::others(bob.handle()), &[]),
            _ => {
                // The last stamp of a row counts.
                let change = Update {
                    stamp: stamp(12),
                    ..Update::default()
                };
                let updated = world.store.update(keep, 0, &change, now).await;
                assert!(matches!(updated, Ok(Updated::Done { .. })));
                (Scope::all().before(at_nine), &[1, 2, 3])
            }
        };
        let removed = world.remove_subject("alice", scope).await;
        let expected = (rows.len() - left.len()) as u64;
        assert_eq!(removed, expected, "rows removed for {scope:?}");
        for (at, row) in rows.iter().enumerate() {
            let found = world.get(row).await.is_some();
            assert_eq!(found, left.contains(&at), "row {at} after {scope:?}");
        }
        let found = world.get(&bob).await;
        assert!(found.is_some(), "the row of another subject was removed");
    }
}
