//! Tests for every store behind a connection pool.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use statewise::Result;
use statewise::clock::Timestamp;
use statewise::session::{Limit, Removed};
use statewise::store::contract::{
    Created, Load, Page, Record, Rotated, Rotation, Scope, SessionStore, Updated,
};
use statewise::testkit::{Sample, give_up_after};

pub(crate) fn now() -> Timestamp {
    Timestamp::from_unix(1_800_000_000)
}

pub(crate) fn later(seconds: u64) -> Timestamp {
    now().saturating_add(seconds)
}

pub(crate) async fn put(store: &impl SessionStore, row: &Record) {
    let created = store.create(row, Limit::Unlimited, now()).await.unwrap();
    assert!(matches!(created, Created::Stored { .. }), "{created:?}");
}

pub(crate) async fn get(store: &impl SessionStore, row: &Record) -> Option<Record> {
    store.load(row.handle(), Load::new(), now()).await.unwrap()
}

pub(crate) async fn count(store: &impl SessionStore, subject: &str) -> usize {
    let listing = store.list(subject, Page::first(10_000), now()).await;
    listing.unwrap().records.len()
}

pub(crate) fn is_unavailable<T>(answer: &Result<T>) -> bool {
    answer.as_ref().is_err_and(|error| error.is_unavailable())
}

/// Repeats a call until it succeeds, as a client does after *unavailable*. A short deadline may
/// expire on a busy machine.
pub(crate) async fn patiently<T>(ask: impl AsyncFn() -> Result<T>) -> T {
    let begun = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(error) => assert!(begun.elapsed() < Duration::from_secs(60), "{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Fifty concurrent logins of one subject on several nodes, with a concurrent observer: never more
/// than the limit, and exactly the limit at the end. Rejects counting before the lock.
pub(crate) async fn the_limit_holds_under_concurrent_logins<S: SessionStore>(nodes: Vec<Arc<S>>) {
    for limit in [Limit::Reject(3), Limit::EvictOldest(3)] {
        let subject = format!("{limit:?}");
        let mut tasks = Vec::new();
        for login in 0..50 {
            let store = Arc::clone(&nodes[login % nodes.len()]);
            let row = Sample::of(&subject).at(now());
            tasks.push(tokio::spawn(async move {
                let created = store.create(&row, limit, now()).await.unwrap();
                (row, created)
            }));
        }
        let watched = Arc::clone(&nodes[0]);
        let name = subject.clone();
        let watcher = tokio::spawn(async move {
            for _ in 0..100 {
                let alive = count(&*watched, &name).await;
                assert!(alive <= 3, "{alive} at once");
            }
        });
        let (mut stored, mut refused, mut evicted) = (0, 0, BTreeSet::new());
        for task in tasks {
            match task.await.unwrap() {
                (row, Created::Stored { evicted: gone }) => {
                    stored += 1;
                    assert!(!gone.contains(&row.handle()));
                    for handle in gone {
                        assert!(evicted.insert(handle), "evicted twice");
                    }
                }
                (_, Created::LimitReached) => refused += 1,
                (_, created) => panic!("{created:?}"),
            }
        }
        watcher.await.unwrap();
        assert_eq!(count(&*nodes[0], &subject).await, 3);
        match limit {
            Limit::Reject(_) => assert_eq!((stored, refused, evicted.len()), (3, 47, 0)),
            _ => assert_eq!((stored, refused, evicted.len()), (50, 0, 47)),
        }
    }
}

/// A hundred users share a pool of one connection. Rejects a store that needs two connections for
/// one call.
pub(crate) async fn a_pool_of_one_serves_a_hundred<S: SessionStore>(store: Arc<S>) {
    let begun = Instant::now();
    let tasks: Vec<_> = (0..100)
        .map(|user| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let row = Sample::of(format!("user {user}")).idle(100).at(now());
                let limit = Limit::EvictOldest(2);
                store.create(&row, limit, now()).await.unwrap();
                assert!(get(&*store, &row).await.is_some());
                let rotation = Sample::rotation_of(&row);
                let rotated = store.rotate(row.handle(), &rotation, now()).await.unwrap();
                assert!(matches!(rotated, Rotated::Done(_)));
                store
                    .touch(&[(row.handle(), later(50))], later(50))
                    .await
                    .unwrap();
                // The lookup finds an expired row and must write to remove it.
                let found = store.load(row.handle(), Load::new(), later(150)).await;
                let found = found.unwrap();
                assert!(found.is_none());
                assert!(get(&*store, &row).await.is_none());
                store.sweep(10, now()).await.unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert!(begun.elapsed() < Duration::from_secs(60));
}

/// Drops every call after every number of polls. The rows are intact, the connection serves the
/// next call, and other nodes see acknowledged changes. Rejects a connection that returns to the
/// pool within a transaction or before its answer was read.
pub(crate) async fn a_dropped_call_leaves_whole_rows<S: SessionStore>(store: &S, other: &S) {
    for act in [
        "create",
        "evict",
        "load",
        "bury",
        "rotate",
        "update",
        "confirm",
        "touch",
        "remove",
        "remove subject",
        "list",
        "sweep",
    ] {
        let mut polls = 0;
        loop {
            let subject = format!("{act} {polls}");
            let row = Sample::of(&subject).idle(100).data(b"0").at(now());
            put(store, &row).await;
            let (handle, fresh) = (row.handle(), Sample::of(&subject).at(now()));
            let rotation: Rotation = Sample::rotation_of(&row);
            let began = async {
                match act {
                    "create" => drop(store.create(&fresh, Limit::Unlimited, now()).await.unwrap()),
                    "evict" => {
                        drop(
                            store
                                .create(&fresh, Limit::EvictOldest(1), now())
                                .await
                                .unwrap(),
                        );
                    }
                    "load" => drop(store.load(handle, Load::new(), now()).await.unwrap()),
                    "bury" => drop(store.load(handle, Load::new(), later(100)).await.unwrap()),
                    "rotate" => drop(store.rotate(handle, &rotation, now()).await.unwrap()),
                    "update" => {
                        let change = Sample::update(b"1");
                        drop(store.update(handle, 0, &change, now()).await.unwrap());
                    }
                    "confirm" => store.confirm(handle, 0, now()).await.unwrap(),
                    "touch" => store.touch(&[(handle, later(9))], later(9)).await.unwrap(),
                    "remove" => {
                        let _ = store.remove(handle, &subject, now()).await.unwrap();
                    }
                    "remove subject" => {
                        let scope = Scope::all();
                        let _ = store.remove_subject(&subject, scope, now()).await.unwrap();
                    }
                    "list" => drop(store.list(&subject, Page::first(9), now()).await.unwrap()),
                    _ => drop(store.sweep(1_000, now()).await.unwrap()),
                }
            };
            let done = give_up_after(polls, began).await.is_some();
            // The next call on the same connection, and its effect on another one.
            let next = Sample::of("next").at(now());
            put(store, &next).await;
            assert!(
                get(other, &next).await.is_some(),
                "{act}, after {polls} polls"
            );
            let removed: Removed = store.remove(next.handle(), "next", now()).await.unwrap();
            assert_eq!(removed.count, 1, "{act}, after {polls} polls");
            assert!(
                get(other, &next).await.is_none(),
                "{act}, after {polls} polls"
            );
            let alive = count(other, &subject).await;
            let expected = match act {
                "create" => 1..=2,
                "evict" => 1..=1,
                "bury" | "remove" | "remove subject" => 0..=1,
                _ => 1..=1,
            };
            assert!(
                expected.contains(&alive),
                "{act}, after {polls} polls: {alive}"
            );
            // The dropped call has completed or not; it can be repeated.
            if let Some(found) = get(other, &row).await {
                let change = Sample::update(b"2");
                let version = found.version();
                let updated = store.update(handle, version, &change, now()).await.unwrap();
                // The dropped call may still have been running when the row was read.
                assert!(matches!(
                    updated,
                    Updated::Done { .. } | Updated::Conflict | Updated::Absent
                ));
            }
            let _ = store
                .remove_subject(&subject, Scope::all(), now())
                .await
                .unwrap();
            assert_eq!(count(other, &subject).await, 0);
            if done {
                break;
            }
            polls += 1;
            assert!(polls < 500, "{act} never ends");
        }
    }
}

/// Several nodes create the table at once. Rejects a migration that fails beside another one.
pub(crate) async fn concurrent_migrations_succeed<F>(migrations: Vec<F>)
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let tasks: Vec<_> = migrations.into_iter().map(tokio::spawn).collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
}

/// Valid table names: reserved words, and two of maximum length that a truncating database would
/// confuse.
pub(crate) const WELCOME: [&str; 3] = [
    "order",
    "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnna",
    "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnb",
];

/// Calls that change rows leave a row of a newer format as it is, and calls that end logins remove
/// it. `damage` turns a row into one. Rejects a statement that treats the columns of another
/// version as its own.
pub(crate) async fn a_row_of_a_newer_format_is_not_changed<S, D>(store: &S, damage: D)
where
    S: SessionStore,
    D: AsyncFn(&Record) -> i64,
{
    let row = Sample::of("alice").idle(100).at(now());
    put(store, &row).await;
    let handle = row.handle();
    damage(&row).await;
    let refused = |error: statewise::Error| error.is_unreadable();
    assert!(
        store
            .load(handle, Load::new(), later(200))
            .await
            .is_err_and(refused)
    );
    let rotation = Sample::rotation_of(&row);
    assert!(
        store
            .rotate(handle, &rotation, now())
            .await
            .is_err_and(refused)
    );
    let change = Sample::update(b"1");
    assert!(
        store
            .update(handle, 0, &change, now())
            .await
            .is_err_and(refused)
    );
    store
        .touch(&[(handle, later(50))], later(50))
        .await
        .unwrap();
    store.confirm(handle, 0, now()).await.unwrap();
    for _ in 0..2 {
        store.sweep(100, later(1_000)).await.unwrap();
    }
    assert_eq!(
        damage(&row).await,
        row.last_seen().unix() as i64,
        "it was changed"
    );
    let removed = store.remove(handle, "alice", now()).await.unwrap();
    assert_eq!(removed.count, 1, "swept, or not removed");
}

/// A use recorded during a change of the row is kept. Rejects a change that overwrites the
/// last-seen time.
pub(crate) async fn a_use_during_a_change_is_kept<S: SessionStore>(nodes: [Arc<S>; 2]) {
    for round in 0..150 {
        let row = Sample::of("alice").idle(100).at(now());
        put(&*nodes[0], &row).await;
        let handle = row.handle();
        let changes: Vec<_> = (0..3)
            .map(|at| {
                let store = Arc::clone(&nodes[0]);
                tokio::spawn(async move {
                    for _ in 0..at {
                        tokio::task::yield_now().await;
                    }
                    let change = Sample::update(b"1");
                    store.update(handle, 0, &change, now()).await.unwrap();
                })
            })
            .collect();
        nodes[1]
            .touch(&[(handle, later(50))], later(50))
            .await
            .unwrap();
        for change in changes {
            change.await.unwrap();
        }
        let found = get(&*nodes[1], &row).await.unwrap();
        assert_eq!(found.last_seen(), later(50), "round {round}");
        assert_eq!(found.version(), 1);
    }
}

/// A damaged row concerns one user only: it is *unreadable* there, it does not end a list, and it
/// can be removed. `damage` applies an assignment to a row. Rejects a removal that reads first, and
/// a list that starts again at a row without a valid deadline.
pub(crate) async fn a_damaged_row_affects_one_user<S: SessionStore>(
    store: &S,
    damages: &[&str],
    damage: impl AsyncFn(&Record, &str),
) {
    let unreadable = |error: statewise::Error| error.is_unreadable();
    for what in damages {
        let rows = [(); 4].map(|()| Sample::of("alice").at(now()));
        for row in &rows {
            put(store, row).await;
        }
        for row in &rows[1..3] {
            damage(row, what).await;
        }
        let damaged = &rows[1];
        let handle = damaged.handle();
        let found = store.load(handle, Load::new(), now()).await;
        assert!(found.is_err_and(unreadable), "{what}");
        let rotation = Sample::rotation_of(damaged);
        let rotated = store.rotate(handle, &rotation, now()).await;
        assert!(rotated.is_err_and(unreadable), "{what}");
        let updated = store.update(handle, 0, &Sample::update(b"1"), now()).await;
        assert!(updated.is_err_and(unreadable), "{what}");
        assert_eq!(count(store, "alice").await, 2, "{what}");
        let (mut page, mut pages, mut listed) = (Page::first(1), 0, 0);
        loop {
            let listing = store.list("alice", page, now()).await.unwrap();
            (pages, listed) = (pages + 1, listed + listing.records.len());
            assert!(pages <= rows.len(), "{what}: the list does not end");
            match listing.next {
                Some(next) => page = Page::after(next, 1),
                None => break,
            }
        }
        assert_eq!(listed, 2, "{what}");
        let removed = store.remove(handle, "alice", now()).await.unwrap();
        assert_eq!(removed.count, 1, "{what}");
        let removed = store.remove_subject("alice", Scope::all(), now()).await;
        assert_eq!(removed.unwrap().count, 3, "{what}");
    }
}

/// Pending uses count at once on their own node, and on the other node after the flush. They
/// neither revive nor shorten a session there.
pub(crate) async fn pending_uses_reach_the_other_node<S: SessionStore>(one: &S, other: &S) {
    let rows: Vec<_> = (0..300)
        .map(|user| Sample::of(format!("user {user}")).idle(100).at(now()))
        .collect();
    for row in &rows {
        put(one, row).await;
    }
    let upkeep = one.upkeep();
    upkeep.tick().await.unwrap();
    let used_at = |time| -> Vec<_> { rows.iter().map(|row| (row.handle(), time)).collect() };
    one.touch(&used_at(later(60)), later(60)).await.unwrap();
    let seen_by = async |store: &S| {
        let mut seen = 0;
        for row in &rows {
            let found = get(store, row).await.unwrap();
            seen += usize::from(found.last_seen() == later(60));
        }
        seen
    };
    assert_eq!(seen_by(one).await, 300, "a pending use does not count");
    assert_eq!(seen_by(other).await, 0, "a use was not pending");
    while upkeep.tick().await.unwrap() < Some(Duration::from_millis(100)) {}
    assert_eq!(seen_by(other).await, 300);
    for time in [later(160), later(30)] {
        other.touch(&used_at(time), time).await.unwrap();
    }
    assert_eq!(seen_by(other).await, 300, "revived or shortened");
}
