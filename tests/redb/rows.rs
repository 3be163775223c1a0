//! Rows in the tables, and the uses noted in memory.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use redb::{Database, ReadableDatabase as _, ReadableTableMetadata as _, TableDefinition};
use statewise::clock::Timestamp;
use statewise::session::Limit;
use statewise::store::contract::{Created, Load, Page, Record, Scope, SessionStore as _, Swept};
use statewise::store::{Redb, RedbStore};
use statewise::testkit::{Sample, block_on, give_up_after, interleave};

use super::device::Device;

const NOW: Timestamp = Timestamp::from_unix(1_000_000);
const ROWS: TableDefinition<'_, &[u8; 16], &[u8]> = TableDefinition::new("statewise.sessions");
/// Hash of the subject, deadline, and handle.
type IndexKey = (&'static [u8; 16], u64, &'static [u8; 16]);
const INDEX: TableDefinition<'_, IndexKey, ()> = TableDefinition::new("statewise.subjects");

fn after(seconds: u64) -> Timestamp {
    NOW.saturating_add(seconds)
}

fn sessions(database: &Arc<Database>) -> RedbStore {
    let redb = Redb::over(Arc::clone(database)).build();
    redb.unwrap().sessions()
}

fn create(store: &RedbStore, row: &Record) {
    let created = block_on(store.create(row, Limit::Unlimited, NOW));
    assert!(matches!(created, Ok(Created::Stored { .. })), "{created:?}");
}

fn load(store: &RedbStore, row: &Record, now: Timestamp) -> statewise::Result<Option<Record>> {
    block_on(store.load(row.handle(), Load::new(), now))
}

/// Returns the number of rows and of index entries.
fn lengths(database: &Database) -> (u64, u64) {
    let snapshot = database.begin_read().unwrap();
    let rows = snapshot.open_table(ROWS).unwrap().len().unwrap();
    (rows, snapshot.open_table(INDEX).unwrap().len().unwrap())
}

fn stored(database: &Database, row: &Record) -> Record {
    let snapshot = database.begin_read().unwrap();
    let rows = snapshot.open_table(ROWS).unwrap();
    let bytes = rows.get(row.handle().as_bytes()).unwrap().unwrap();
    Record::decode(bytes.value()).unwrap()
}

fn overwrite(database: &Database, row: &Record, bytes: &[u8]) {
    let transaction = database.begin_write().unwrap();
    transaction
        .open_table(ROWS)
        .unwrap()
        .insert(row.handle().as_bytes(), bytes)
        .unwrap();
    transaction.commit().unwrap();
}

/// A noted use waits for the thread that writes, and [`Upkeep::finish`](statewise::Upkeep::finish)
/// writes it at once. So does a use at least half of the idle timeout after the one before.
#[test]
fn uses_are_written_when_the_process_ends_and_when_the_one_before_is_old() {
    let database = Device::default().database();
    let store = sessions(&database);
    let rows = [(); 2].map(|()| Sample::of("alice").idle(1_800).at(NOW));
    rows.iter().for_each(|row| create(&store, row));
    let [noted, overdue] = [(&rows[0], 899), (&rows[1], 900)].map(|(row, seconds)| {
        let now = after(seconds);
        block_on(store.touch(&[(row.handle(), now)], now)).unwrap();
        stored(&database, row).last_seen()
    });
    assert_eq!((noted, overdue), (NOW, after(900)));
    block_on(store.upkeep().finish()).unwrap();
    assert_eq!(stored(&database, &rows[0]).last_seen(), after(899));
}

/// A row that does not decode, or that belongs to another handle, affects its own user only. It is
/// unreadable, not listed, not counted for the limit, not overwritten and not swept; a logout
/// removes it. Rejects a store that serves it, fails because of it, or cannot remove it.
#[test]
fn an_unreadable_row_can_be_removed() {
    for damage in 0..3 {
        for by_subject in [false, true] {
            let device = Device::default();
            let database = device.database();
            let store = sessions(&database);
            let (good, bad) = (Sample::of("alice").at(NOW), Sample::of("alice").at(NOW));
            create(&store, &good);
            create(&store, &bad);
            match damage {
                0 => overwrite(&database, &bad, b""),
                1 => {
                    let mut newer = bad.encode();
                    newer[0] = 2;
                    overwrite(&database, &bad, &newer);
                }
                _ => overwrite(&database, &bad, &good.encode()),
            }
            let unreadable = load(&store, &bad, NOW).unwrap_err();
            assert!(unreadable.is_unreadable() && !unreadable.is_rejected());
            let rotation = Sample::rotation_of(&bad);
            let rotated = block_on(store.rotate(bad.handle(), &rotation, NOW)).unwrap_err();
            assert!(rotated.is_unreadable() && !rotated.is_rejected());
            block_on(store.touch(
                &[(bad.handle(), after(1)), (good.handle(), after(1))],
                after(1),
            ))
            .unwrap();
            let listed = block_on(store.list("alice", Page::first(9), NOW)).unwrap();
            assert_eq!(listed.records.len(), 1);
            let again = block_on(store.create(&bad, Limit::Unlimited, NOW));
            assert!(matches!(again, Ok(Created::Duplicate)));
            let third = Sample::of("alice").at(NOW);
            let created = block_on(store.create(&third, Limit::Reject(2), NOW));
            assert!(matches!(created, Ok(Created::Stored { .. })));
            assert_eq!(block_on(store.sweep(100, after(50))).unwrap().removed, 0);
            let removed = if by_subject {
                block_on(store.remove_subject("alice", Scope::others(good.handle()), NOW))
            } else {
                block_on(store.remove(bad.handle(), "alice", NOW))
            };
            let expected = if by_subject { 2 } else { 1 };
            assert_eq!(removed.unwrap().count, expected);
            assert!(load(&store, &bad, NOW).unwrap().is_none());
            assert!(load(&store, &good, NOW).unwrap().is_some());
            let (rows, entries) = lengths(&database);
            assert_eq!(
                (rows, entries),
                (3 - expected, 3 - expected),
                "an index entry was left"
            );
        }
    }
}

/// A rotation is later than a noted use of the same row: writing the use does not set the row back.
/// Rejects a store that writes noted uses without looking at the row.
#[test]
fn a_noted_use_does_not_set_back_a_rotation() {
    let device = Device::default();
    let database = device.database();
    let store = sessions(&database);
    let row = Sample::of("alice").idle(100).at(NOW);
    create(&store, &row);
    block_on(store.touch(&[(row.handle(), after(49))], after(49))).unwrap();
    let rotation = Sample::rotation_of(&row);
    block_on(store.rotate(row.handle(), &rotation, after(60))).unwrap();
    assert_eq!(stored(&database, &row).last_seen(), after(60));
    drop(store);
    assert_eq!(stored(&database, &row).last_seen(), after(60));
}

/// A use counts at once for all readers of this store, is written about a second later, and is
/// written when the store is dropped. Rejects a store that needs an upkeep to write uses.
#[test]
fn uses_are_written_behind() {
    let device = Device::default();
    let database = device.database();
    let redb = Redb::over(Arc::clone(&database)).build().unwrap();
    let store = redb.sessions();
    let row = Sample::of("alice").idle(100).at(NOW);
    create(&store, &row);
    let before = redb.commits();
    // A chain of uses, each before half of the idle timeout. Together they are longer than it.
    for step in 1..=5 {
        let now = after(step * 40);
        block_on(store.touch(&[(row.handle(), now)], now)).unwrap();
        let found = load(&store, &row, now).unwrap().expect("alive");
        assert_eq!(found.last_seen(), now);
        let listed = block_on(store.list("alice", Page::first(2), now)).unwrap();
        assert_eq!(listed.records.len(), 1, "the list does not see the use");
    }
    let started = Instant::now();
    while stored(&database, &row).last_seen() != after(200) {
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "the use was not written"
        );
        thread::sleep(Duration::from_millis(5));
    }
    println!(
        "written after {:?}, in {} commits",
        started.elapsed(),
        redb.commits() - before
    );
    assert!(redb.commits() - before <= 3, "a commit for each use");
    block_on(store.touch(&[(row.handle(), after(245))], after(245))).unwrap();
    assert_eq!(
        load(&store, &row, after(344)).unwrap().unwrap().last_seen(),
        after(245)
    );
    // A use after the idle timeout does not revive the row, neither in memory nor in the file.
    block_on(store.touch(&[(row.handle(), after(400))], after(400))).unwrap();
    drop((redb, store));
    assert_eq!(stored(&database, &row).last_seen(), after(245));
    let store = sessions(&database);
    assert!(load(&store, &row, after(344)).unwrap().is_some());
    assert!(load(&store, &row, after(345)).unwrap().is_none());
    assert_eq!(lengths(&database), (0, 0));
}

/// While uses are being written, loads and lists still see them. Rejects a store that forgets a use
/// before every reader sees it in the row.
#[test]
fn no_use_is_overlooked_while_it_is_written() {
    let device = Device::default();
    let store = device.sessions();
    let rows: Vec<_> = (0..40)
        .map(|_| Sample::of("alice").idle(100).at(NOW))
        .collect();
    rows.iter().for_each(|row| create(&store, row));
    let (mut clock, mut rounds) = (NOW, 0);
    let started = Instant::now();
    while started.elapsed() < Duration::from_millis(2_500) || rounds < 20 {
        // Before half of the idle timeout, so that the uses wait to be written.
        clock = clock.saturating_add(40);
        let uses: Vec<_> = rows.iter().map(|row| (row.handle(), clock)).collect();
        block_on(store.touch(&uses, clock)).unwrap();
        let later = clock.saturating_add(99);
        for _ in 0..20 {
            let listed = block_on(store.list("alice", Page::first(100), later)).unwrap();
            assert_eq!(listed.records.len(), rows.len(), "a list overlooked a use");
        }
        for row in &rows {
            assert!(
                load(&store, row, later).unwrap().is_some(),
                "a load overlooked a use"
            );
        }
        rounds += 1;
        if rounds * 40 > 80_000 {
            break;
        }
    }
    println!("{rounds} rounds");
}

/// A use of an unknown handle is not noted. When the memory for uses is full, further uses are
/// written before they are acknowledged. Rejects a store that drops uses, or that notes any number
/// of them.
#[test]
fn uses_without_room_are_written_at_once() {
    let device = Device::default();
    let store = device.sessions();
    let unknown: Vec<_> = (0..2_000)
        .map(|_| (Sample::of("x").at(NOW).handle(), after(1)))
        .collect();
    block_on(store.touch(&unknown, after(1))).unwrap();
    assert!(format!("{store:?}").contains("noted_uses: 0"), "{store:?}");

    // All in one shard of the noted uses.
    let rows = std::iter::repeat_with(|| Sample::of("alice").idle(100).at(NOW));
    let rows: Vec<_> = rows
        .filter(|row| row.handle().as_bytes()[15].is_multiple_of(16))
        .take(4_200)
        .collect();
    create_all(&store, &rows);
    let _held = device.hold();
    let mut waits = 0;
    let touches = rows.iter().map(|row| {
        let uses = [(row.handle(), after(49))];
        let noted = block_on(give_up_after(1, async {
            store.touch(&uses, after(49)).await
        }));
        waits += usize::from(noted.is_none());
    });
    touches.for_each(drop);
    println!("{waits} uses waited to be written");
    assert_eq!(waits, 4_200 - 4_096);
    device.release();
    drop(store);
    let store = device.sessions();
    for row in &rows {
        assert!(
            load(&store, row, after(120)).unwrap().is_some(),
            "a use was lost"
        );
    }
}

fn create_all(store: &RedbStore, rows: &[Record]) {
    for rows in rows.chunks(2_000) {
        // At the same time, to share the commits.
        let futures = rows.iter().map(|row| {
            let created = store.create(row, Limit::Unlimited, NOW);
            Box::pin(async { created.await.map(|_| ()) })
                as statewise::authenticator::BoxFuture<'_, statewise::Result<()>>
        });
        let answers = block_on(interleave(0, futures.collect()));
        assert!(answers.into_iter().all(|answer| answer.is_ok()));
    }
}

/// Two handles with the same prefix share the rows: one never serves a row that the other
/// one removed. Another prefix has other rows. Rejects a store that caches rows.
#[test]
fn two_handles_on_one_database_share_the_rows() {
    let device = Device::default();
    let database = device.database();
    let open = |prefix: &str| {
        let builder = Redb::over(Arc::clone(&database)).prefix(prefix);
        builder.build().unwrap().sessions()
    };
    let (one, two, other) = (open("statewise"), open("statewise"), open("other"));
    for round in 0..50 {
        let row = Sample::of("alice").at(NOW);
        create(&one, &row);
        assert!(load(&two, &row, NOW).unwrap().is_some());
        assert!(load(&other, &row, NOW).unwrap().is_none());
        let (remover, reader) = if round % 2 == 0 {
            (&one, &two)
        } else {
            (&two, &one)
        };
        block_on(one.touch(&[(row.handle(), after(600))], after(600))).unwrap();
        assert_eq!(
            block_on(remover.remove(row.handle(), "alice", NOW))
                .unwrap()
                .count,
            1
        );
        for store in [reader, remover] {
            assert!(load(store, &row, NOW).unwrap().is_none());
        }
    }
    drop((one, two, other));
    assert_eq!(lengths(&database), (0, 0));
    // Both at the same time, with one limit.
    let (one, two) = (open("statewise"), open("statewise"));
    let tasks: Vec<_> = (0..16)
        .map(|at| {
            let store = if at % 2 == 0 { &one } else { &two }.clone();
            thread::spawn(move || {
                let row = Sample::of("alice").at(NOW);
                matches!(
                    block_on(store.create(&row, Limit::Reject(5), NOW)),
                    Ok(Created::Stored { .. })
                )
            })
        })
        .collect();
    let stored = tasks.into_iter().map(|task| task.join().unwrap());
    assert_eq!(stored.filter(|stored| *stored).count(), 5);
}

/// Of twenty thousand logins, half are expired: each step of a sweep is bounded, two rounds remove
/// all expired rows, and no live one. Rejects a sweep that never ends, and one that reads all rows
/// in one step.
#[test]
fn twenty_thousand_logins_are_swept_in_bounded_steps() {
    const COUNT: usize = 20_000;
    let device = Device::default();
    let database = device.database();
    let redb = Redb::over(Arc::clone(&database)).build().unwrap();
    let store = redb.sessions();
    let mut alive = HashMap::new();
    let rows: Vec<_> = (0..COUNT)
        .map(|at| {
            let sample = Sample::of(format!("user {}", at % 5_000));
            match at % 4 {
                0 => sample.idle(100),
                1 => sample.absolute(100),
                _ => sample,
            }
            .at(NOW)
        })
        .collect();
    let started = Instant::now();
    create_all(&store, &rows);
    println!(
        "{COUNT} created in {:?}, {} commits",
        started.elapsed(),
        redb.commits()
    );
    for row in &rows {
        if row.is_alive(after(200)) {
            alive.insert(row.handle(), row.clone());
        }
    }
    let (mut removed, mut rounds, mut steps, mut longest) = (0, 0, 0, Duration::ZERO);
    while rounds < 2 {
        let started = Instant::now();
        let swept: Swept = block_on(store.sweep(500, after(200))).unwrap();
        longest = longest.max(started.elapsed());
        assert!(swept.removed <= 500, "a step removed {}", swept.removed);
        removed += swept.removed;
        rounds += u32::from(!swept.more);
        steps += 1;
        assert!(steps < 1_000, "the sweep does not end");
    }
    println!("{removed} swept in {steps} steps, the longest {longest:?}");
    assert_eq!(removed as usize, COUNT / 2);
    assert!(steps >= COUNT / 2 / 500);
    assert_eq!(lengths(&database), (COUNT as u64 / 2, COUNT as u64 / 2));
    // Without expired rows, a sweep needs no commit.
    let before = redb.commits();
    while block_on(store.sweep(500, after(200))).unwrap().more {}
    assert_eq!(redb.commits(), before);
    for row in alive.values() {
        assert!(
            load(&store, row, after(200)).unwrap().is_some(),
            "a live row was swept"
        );
    }
}
