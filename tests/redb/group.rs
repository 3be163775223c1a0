//! Group commit: waiting changes become one transaction, even if their callers have gone.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use statewise::clock::Timestamp;
use statewise::session::Limit;
use statewise::store::contract::{
    Created, Load, Page, Record, Rotated, Scope, SessionStore as _, Updated,
};
use statewise::store::{Redb, RedbStore};
use statewise::testkit::{Random, Sample, block_on, give_up_after, seed};

use super::device::{Device, Fault};

const NOW: Timestamp = Timestamp::from_unix(1_000_000);

fn load(store: &RedbStore, row: &Record) -> Option<Record> {
    block_on(store.load(row.handle(), Load::new(), NOW)).expect("the store answers")
}

fn create(store: &RedbStore, row: &Record) {
    let created = block_on(store.create(row, Limit::Unlimited, NOW));
    assert!(matches!(created, Ok(Created::Stored { .. })), "{created:?}");
}

/// Of a hundred logins, one is being synced when the other 99 arrive: two commits, not a hundred.
/// A call that changes nothing needs no commit. Rejects a store with one transaction per change.
#[test]
fn concurrent_changes_share_a_commit() {
    let device = Device::default();
    let redb = device.open();
    let store = redb.sessions();
    let (before, syncs) = (redb.commits(), device.syncs());
    let _held = device.hold();
    let spawn = || {
        let store = store.clone();
        thread::spawn(move || {
            let row = Sample::of("alice").at(NOW);
            create(&store, &row);
            row
        })
    };
    let first = spawn();
    device.wait_until_held();
    let others: Vec<_> = (0..99).map(|_| spawn()).collect();
    let started = Instant::now();
    while !format!("{store:?}").contains("waiting_changes: 99") {
        assert!(started.elapsed() < Duration::from_secs(30), "{store:?}");
        thread::yield_now();
    }
    device.release();
    let rows: Vec<_> = others
        .into_iter()
        .chain([first])
        .map(|task| task.join().unwrap())
        .collect();
    let commits = redb.commits() - before;
    println!(
        "100 creates: {commits} commits, {} syncs",
        device.syncs() - syncs
    );
    assert_eq!(commits, 2);
    assert!(rows.iter().all(|row| load(&store, row).is_some()));

    let (before, row) = (redb.commits(), &rows[0]);
    assert!(matches!(
        block_on(store.create(row, Limit::Unlimited, NOW)),
        Ok(Created::Duplicate)
    ));
    let full = Sample::of("alice").at(NOW);
    let full = block_on(store.create(&full, Limit::Reject(100), NOW));
    assert!(matches!(full, Ok(Created::LimitReached)));
    let change = Sample::update(b"1");
    assert!(matches!(
        block_on(store.update(row.handle(), 7, &change, NOW)),
        Ok(Updated::Conflict)
    ));
    let mut forged = Sample::rotation_of(row);
    forged.presented = forged.next;
    assert!(matches!(
        block_on(store.rotate(row.handle(), &forged, NOW)),
        Ok(Rotated::Unchanged(_))
    ));
    block_on(store.confirm(row.handle(), 0, NOW)).unwrap();
    let unknown = Sample::of("unknown").at(NOW).handle();
    let removed = block_on(store.remove(unknown, "unknown", NOW)).unwrap();
    assert_eq!(removed.count, 0);
    assert_eq!(block_on(store.sweep(100, NOW)).unwrap().removed, 0);
    assert_eq!(redb.commits(), before, "a commit without a change");
}

/// A future that is dropped after any poll leaves its change done or not done, and the store keeps
/// working. Rejects a store that needs the caller to complete a change.
#[test]
fn a_future_may_be_dropped_after_any_poll() {
    for act in [
        "create",
        "rotate",
        "update",
        "remove",
        "remove_subject",
        "load",
        "sweep",
    ] {
        for polls in 0..4 {
            let device = Device::default();
            let store = device.sessions();
            let row = Sample::of("alice").idle(100).data(b"0").at(NOW);
            let fresh = Sample::of("alice").at(NOW);
            create(&store, &row);
            let later = NOW.saturating_add(100);
            let _held = device.hold();
            let future = async {
                match act {
                    "create" => store.create(&fresh, Limit::Unlimited, NOW).await.map(drop),
                    "rotate" => store
                        .rotate(row.handle(), &Sample::rotation_of(&row), NOW)
                        .await
                        .map(drop),
                    "update" => store
                        .update(row.handle(), 0, &Sample::update(b"1"), NOW)
                        .await
                        .map(drop),
                    "remove" => store.remove(row.handle(), "alice", NOW).await.map(drop),
                    "remove_subject" => store
                        .remove_subject("alice", Scope::all(), NOW)
                        .await
                        .map(drop),
                    "load" => store.load(row.handle(), Load::new(), later).await.map(drop),
                    _ => store.sweep(10, later).await.map(drop),
                }
            };
            // A sync is delayed, so that no poll but these happens.
            let done = block_on(give_up_after(polls.min(1), future)).is_some();
            assert!(!done, "{act} was acknowledged before it was synced");
            device.release();
            // Changes are done in order: this one is done after the one that was dropped.
            let next = Sample::of("bob").at(NOW);
            create(&store, &next);
            assert!(load(&store, &next).is_some());
            let found = load(&store, &row);
            let begun = polls > 0;
            match act {
                "create" => assert_eq!(load(&store, &fresh).is_some(), begun),
                "rotate" => assert_eq!(found.unwrap().generation(), u32::from(begun)),
                "update" => assert_eq!(found.unwrap().version(), u64::from(begun)),
                _ => assert_eq!(found.is_none(), begun, "{act}"),
            }
        }
    }
}

/// The queue is bounded: a rush of logins becomes *unavailable* with a time to retry, while there
/// is still room for logouts, and no accepted change is lost. Rejects an unbounded queue.
#[test]
fn the_queue_is_bounded() {
    let device = Device::default();
    let store = device.sessions();
    let row = Sample::of("alice").at(NOW);
    create(&store, &row);
    let _held = device.hold();
    let mut rush = Vec::new();
    for _ in 0..10_000 {
        let row = Sample::of("rush").at(NOW);
        let answer = block_on(give_up_after(1, store.create(&row, Limit::Unlimited, NOW)));
        match answer {
            None => rush.push(row),
            Some(Err(error)) => {
                assert!(
                    error.is_unavailable() && error.retry_after().is_some(),
                    "{error:?}"
                );
                break;
            }
            Some(Ok(created)) => panic!("acknowledged before it was synced: {created:?}"),
        }
    }
    println!("{} creates waited", rush.len());
    assert!((1_000..5_000).contains(&rush.len()));
    let mut removal = Box::pin(store.remove(row.handle(), "alice", NOW));
    assert!(
        block_on(give_up_after(1, &mut removal)).is_none(),
        "there was no room for a logout"
    );
    device.release();
    assert_eq!(block_on(removal).unwrap().count, 1);
    assert!(load(&store, &row).is_none());
    assert!(rush.iter().all(|row| load(&store, row).is_some()));

    create(&store, &row);
    // The bytes of large changes are bounded.
    let _held = device.hold();
    let mut count = 0;
    let large = Sample::of("large").data(vec![1; 1 << 20]);
    while block_on(give_up_after(
        1,
        store.create(&large.at(NOW), Limit::Unlimited, NOW),
    ))
    .is_none()
    {
        count += 1;
        assert!(count < 80, "more than 64 MiB wait");
    }
    device.release();
    println!("{count} creates of a mebibyte waited");
    assert!(count > 30);
}

/// Power is lost at a random moment, with any part of the unsynced data: acknowledged rows exist,
/// removed ones do not, and the file opens. Rejects a commit that is acknowledged before it is
/// synced.
#[test]
fn acknowledged_changes_survive_a_loss_of_power() {
    let mut random = Random::new(seed());
    println!("seed {}", seed());
    for round in 0..40 {
        let device = Device::default();
        let store = device.sessions();
        let (mut alive, mut removed) = (Vec::new(), Vec::new());
        for _ in 0..random.below(40) {
            if alive.len() > 2 && random.once_in(3) {
                let row: Record = alive.swap_remove(random.below(alive.len()));
                assert_eq!(
                    block_on(store.remove(row.handle(), "alice", NOW))
                        .unwrap()
                        .count,
                    1
                );
                removed.push(row);
            } else {
                let row = Sample::of("alice")
                    .data(vec![3; random.below(3_000)])
                    .at(NOW);
                create(&store, &row);
                alive.push(row);
            }
        }
        // In half of the rounds, one more login waits for its sync.
        let _held = random.once_in(2).then(|| {
            let held = device.hold();
            let unsynced = Sample::of("alice").at(NOW);
            let create = store.create(&unsynced, Limit::Unlimited, NOW);
            assert!(block_on(give_up_after(1, create)).is_none());
            device.wait_until_held();
            held
        });
        let left = device.after_power_loss(&mut random);
        device.release();
        drop(store);
        let store = left.sessions();
        for row in &alive {
            assert!(load(&store, row).is_some(), "round {round}: a row was lost");
        }
        for row in &removed {
            assert!(
                load(&store, row).is_none(),
                "round {round}: a removed row exists"
            );
        }
        let listed = block_on(store.list("alice", Page::first(1_000), NOW)).unwrap();
        let extra = listed.records.len() - alive.len();
        assert!(extra <= 1, "round {round}");
    }
}

/// After the device has failed, all callers of the group get *unavailable*, nothing more is
/// written, rows in memory can still be read, and acknowledged changes exist when the database is
/// opened again. Rejects a store that acknowledges a failed write, and one that writes after a
/// failure.
#[test]
fn a_failing_device_loses_no_acknowledged_change() {
    for fault in [Fault::Full, Fault::Sync, Fault::Read] {
        let device = Device::default();
        let redb = device.open();
        let store = redb.sessions();
        let kept = Sample::of("alice").at(NOW);
        let ended = Sample::of("alice").at(NOW);
        create(&store, &kept);
        create(&store, &ended);
        assert_eq!(
            block_on(store.remove(ended.handle(), "alice", NOW))
                .unwrap()
                .count,
            1
        );
        device.fail(fault);
        let tries: Vec<_> = (0..8)
            .map(|_| {
                let store = store.clone();
                thread::spawn(move || {
                    let row = Sample::of("alice").data(vec![5; 300_000]).at(NOW);
                    (block_on(store.create(&row, Limit::Unlimited, NOW)), row)
                })
            })
            .collect();
        let tries: Vec<_> = tries.into_iter().map(|task| task.join().unwrap()).collect();
        if fault != Fault::Read {
            for (answer, _) in &tries {
                let error = answer.as_ref().expect_err("the device fails");
                assert!(error.is_unavailable(), "{fault:?}: {error:?}");
            }
            let error = block_on(store.remove(kept.handle(), "alice", NOW)).unwrap_err();
            assert!(error.is_unavailable() && error.retry_after().is_some());
            println!("{fault:?}: {error:?}");
            assert!(block_on(redb.durability()).is_err_and(|error| error.is_unavailable()));
            assert!(
                load(&store, &kept).is_some(),
                "a row in memory cannot be read"
            );
            // The device works again, but its content is uncertain.
            device.fail(None);
            let more = block_on(store.create(&ended, Limit::Unlimited, NOW));
            assert!(more.is_err_and(|error| error.is_unavailable()));
        }
        drop((redb, store));
        device.fail(None);
        let store = device.repaired().sessions();
        assert!(load(&store, &kept).is_some(), "{fault:?}: a row was lost");
        assert!(
            load(&store, &ended).is_none(),
            "{fault:?}: a removed row exists"
        );
        for (answer, row) in &tries {
            if answer.is_ok() {
                assert!(load(&store, row).is_some(), "{fault:?}: a row was lost");
            }
        }
        create(&store, &Sample::of("alice").at(NOW));
    }
}

/// While the application holds a write transaction of its own database, changes become
/// *unavailable* after the deadline, and lookups continue. Changes work again after the
/// transaction. Rejects a store that waits without a limit.
#[test]
fn a_change_waits_for_the_application_until_the_deadline() {
    let device = Device::default();
    let database = device.database();
    let builder = Redb::over(Arc::clone(&database)).deadline(Duration::from_millis(30));
    let store = builder.build().unwrap().sessions();
    let row = Sample::of("alice").at(NOW);
    create(&store, &row);
    let own = database.begin_write().unwrap();
    let error = block_on(store.remove(row.handle(), "alice", NOW)).unwrap_err();
    assert!(
        error.is_unavailable() && error.to_string().contains("holds a write"),
        "{error}"
    );
    assert!(load(&store, &row).is_some());
    own.abort().unwrap();
    assert_eq!(
        block_on(store.remove(row.handle(), "alice", NOW))
            .unwrap()
            .count,
        1
    );
}

/// The last handle may be dropped by a task that the writing thread polls. Rejects a thread that
/// waits for itself to end.
#[test]
fn the_last_handle_may_be_dropped_by_the_writing_thread() {
    use std::future::Future;
    use std::pin::Pin;
    use std::sync::{Mutex, mpsc};
    use std::task::{Context, Poll, Wake, Waker};

    type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

    /// Polls its task in the thread that wakes it.
    struct PollOnWake(Mutex<Option<Task>>);

    impl Wake for PollOnWake {
        fn wake(self: Arc<Self>) {
            let task = self.0.lock().unwrap().take();
            let waker = Waker::from(Arc::clone(&self));
            if let Some(mut task) = task
                && task.as_mut().poll(&mut Context::from_waker(&waker)) == Poll::Pending
            {
                *self.0.lock().unwrap() = Some(task);
            }
        }
    }

    let device = Device::default();
    let store = device.sessions();
    let _held = device.hold();
    let (done, ended) = mpsc::channel();
    let task: Task = Box::pin(async move {
        let row = Sample::of("alice").at(NOW);
        let created = store.create(&row, Limit::Unlimited, NOW).await;
        drop(store);
        done.send((created.is_ok(), row)).unwrap();
    });
    let task = Arc::new(PollOnWake(Mutex::new(Some(task))));
    Arc::clone(&task).wake();
    device.release();
    let (created, row) = ended.recv_timeout(Duration::from_secs(20)).unwrap();
    assert!(created);
    // The database is closed when the thread has ended.
    let started = Instant::now();
    while Arc::strong_count(&device.0) > 1 {
        assert!(started.elapsed() < Duration::from_secs(20), "never closed");
        thread::yield_now();
    }
    assert!(load(&device.sessions(), &row).is_some());
}
