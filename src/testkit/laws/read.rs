//! READ: a login is found.

use crate::store::contract::{Created, Limit, Load, Record, Rotated, Scope, SessionStore, Updated};
use crate::testkit::fixture::{EditBytes, StoreFixture};
use crate::testkit::sample::Sample;
use crate::testkit::world::{World, assert_same, is_unreadable};

/// A field of a later version that this one must not overlook.
const CRITICAL_FIELD: [u8; 4] = [255, 2, 1, 1];

/// One login that expires after 100 seconds by its idle timeout, one by its deadline.
pub(super) fn hundred_seconds() -> [Sample; 2] {
    [
        Sample::of("alice").idle(100),
        Sample::of("alice").absolute(100),
    ]
}

/// A missing row is `None`, not an error. Rejects a store that fails for a missing row.
pub async fn read_01_missing_is_no_error<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let row = Sample::of("alice").at(world.now());
    assert!(world.get(&row).await.is_none());
    assert!(world.list("alice", 10).await.is_empty());
}

/// An expired row is absent before any sweep: for loads, lists and limits. Rejects a store that
/// leaves expiry to its sweeper.
pub async fn read_02_expired_is_none_before_any_sweep<F: StoreFixture>(fixture: &F) {
    for sample in hundred_seconds() {
        let world = World::open(fixture).await;
        let row = sample.at(world.now());
        world.put(&row).await;
        world.advance(101).await;
        let listed = world.list("alice", 10).await;
        assert!(listed.is_empty(), "an expired row is listed");
        let fresh = Sample::of("alice").at(world.now());
        let created = world.create(&fresh, Limit::Reject(1)).await;
        let stored = matches!(created, Created::Stored { .. });
        assert!(stored, "an expired row counts for the limit");
        let found = world.get(&row).await;
        assert!(found.is_none(), "an expired row is found");
    }
}

/// A row that expires exactly now has expired, and one that expires later has not, by either
/// timeout. Rejects a store that compares with the wrong sign.
pub async fn read_03_exactly_now_is_expired<F: StoreFixture>(fixture: &F) {
    for sample in hundred_seconds() {
        let world = World::open(fixture).await;
        let rows = [sample.at(world.now()), sample.at(world.now())];
        world.put(&rows[0]).await;
        world.put(&rows[1]).await;
        // Two seconds of room, since the time of a server passes while the law runs.
        world.advance(98).await;
        let found = world.get(&rows[0]).await;
        assert!(found.is_some(), "expired two seconds early");
        world.advance(2).await;
        let listed = world.list("alice", 10).await;
        assert!(listed.is_empty(), "listed at the moment of expiry");
        let found = world.get(&rows[0]).await;
        assert!(found.is_none(), "found at the moment of expiry");
        let rotation = Sample::rotation_of(&rows[1]);
        let rotated = world.rotate(&rows[1], &rotation).await;
        assert!(
            matches!(rotated, Rotated::Absent),
            "rotated at the moment of expiry"
        );
    }
}

/// If the bytes of a row do not decode, because they are damaged or have a critical field of a later
/// version, `load` and `change` are *unreadable*, never "no row", and
/// no change sees a row; `confirm` does not mend it; `list` passes over it, and both removals remove
/// it. Rejects a store that takes a damaged row for a missing one, and a logout that leaves it
/// behind.
///
/// Skipped, with a line on standard error, where the fixture has no
/// [`rewrite`](StoreFixture::rewrite).
pub async fn read_04_undecodable_is_an_error_until_removed<F: StoreFixture>(fixture: &F) {
    let is_damaged = |bytes: &mut Vec<u8>| {
        bytes.clear();
        bytes.extend([2, 1]);
    };
    let has_critical_field = |bytes: &mut Vec<u8>| bytes.extend(CRITICAL_FIELD);
    let edits: [EditBytes<'_>; 2] = [&is_damaged, &has_critical_field];
    let cases = edits
        .into_iter()
        .flat_map(|edit| [(edit, false), (edit, true)]);
    for (edit, by_subject) in cases {
        let world = World::open(fixture).await;
        let (row, whole) = (
            Sample::of("alice").at(world.now()),
            Sample::of("alice").at(world.now()),
        );
        world.put(&row).await;
        world.put(&whole).await;
        // Rotated, so that there is a first use to confirm.
        let row = world.advance_row(&row, &Sample::rotation_of(&row)).await;
        let rewritten = fixture.rewrite(&world.store, row.handle(), world.now(), edit);
        if !rewritten.await {
            skipped("read_04: the fixture cannot damage a row");
            return;
        }
        for load in [Load::new(), Load::new().authoritative()] {
            let found = world.store.load(row.handle(), load, world.now()).await;
            assert!(
                is_unreadable(&found),
                "load of a row that does not decode is not unreadable: {found:?}"
            );
        }
        let generation = row.generation();
        let confirmed = world.store.confirm(row.handle(), generation, world.now());
        let confirmed = confirmed.await;
        assert!(
            confirmed.is_ok() || is_unreadable(&confirmed),
            "confirm of a row that does not decode: {confirmed:?}"
        );
        let change = |row: &mut Record| -> bool { panic!("change was called with {row:?}") };
        let changed = world.store.change(row.handle(), world.now(), &change);
        let changed = changed.await;
        assert!(
            is_unreadable(&changed),
            "change of a row that does not decode is not unreadable: {changed:?}"
        );
        let rotation = Sample::rotation_of(&row);
        let rotated = world.store.rotate(row.handle(), &rotation, world.now());
        let rotated = rotated.await;
        assert!(
            is_unreadable(&rotated),
            "rotate of a row that does not decode is not unreadable: {rotated:?}"
        );
        let update = Sample::update("new");
        let updated = world.store.update(row.handle(), 0, &update, world.now());
        let updated = updated.await;
        assert!(
            is_unreadable(&updated),
            "update of a row that does not decode is not unreadable: {updated:?}"
        );
        let listed = world.list("alice", 1).await;
        assert_eq!(listed.len(), 1, "listed beside a row that does not decode");
        assert_same(listed.first(), &whole);
        if by_subject {
            let scope = Scope::others(whole.handle());
            world.remove_subject("alice", scope).await;
        } else {
            world.remove(&row).await;
        }
        let found = world.store.load(row.handle(), Load::new(), world.now());
        let found = found.await;
        let method = if by_subject {
            "remove_subject"
        } else {
            "remove"
        };
        assert!(
            matches!(found, Ok(None)),
            "{method} left a row that does not decode: {found:?}"
        );
        assert_same(world.get(&whole).await.as_ref(), &whole);
    }
}

/// Says on standard error that a law was skipped. The test harness does not capture it.
fn skipped(why: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "skipped {why}");
}

/// Looking for a missing row, noting its use, rotating, confirming or updating it creates none.
/// Rejects a store that inserts a row that it did not find.
pub async fn read_07_looking_creates_nothing<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let now = world.now();
    let row = Sample::of("alice").at(now);
    assert!(world.use_now(&row).await.is_none());
    let rotated = world.rotate(&row, &Sample::rotation_of(&row)).await;
    assert!(matches!(rotated, Rotated::Absent));
    assert!(matches!(world.write(&row, 0, b"1").await, Updated::Absent));
    world.confirm(&row, 0, now).await;
    world.touch(&row, now).await;
    world
        .assert_gone(&row, "although it was never created")
        .await;
}

/// A load answers with the row of its own handle. Rejects a store that mixes up the answers of a
/// connection (CVE-2023-28858).
pub async fn read_09_the_row_of_another_is_never_served<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    for _ in 0..50 {
        let row = Sample::of("carol").at(world.now());
        world.put(&row).await;
        let found = world.get(&row).await.map(|row| row.handle());
        assert_eq!(found, Some(row.handle()));
    }
}

/// Two stores never see each other's rows. Rejects a prefix or a table name that is ignored.
pub async fn read_10_two_stores_share_nothing<F: StoreFixture>(fixture: &F) {
    let one = World::open(fixture).await;
    let other = World::open(fixture).await;
    let row = Sample::of("alice").at(one.now());
    one.put(&row).await;
    other.assert_gone(&row, "in another store").await;
    assert_eq!(other.remove(&row).await, 0);
    assert_eq!(other.remove_subject("alice", Scope::all()).await, 0);
    other.put(&row).await;
    assert_same(one.get(&row).await.as_ref(), &row);
}

/// A subject with patterns, braces, quotes, zeros or line ends selects itself and no other subject,
/// in lists, limits and removals. Rejects a store that builds keys or statements from it.
pub async fn read_11_hostile_subjects_select_only_themselves<F: StoreFixture>(fixture: &F) {
    const SUBJECTS: &str = "alice|*|?|alice*|a?ice|[a-z]*|{alice}|}{|alice\0|\0|alice\n|alice | alice|\
        ALICE|%|_lice|a_ice|'|\"|' OR '1'='1|\\|alice:|:|été|e\u{301}te\u{301}|\u{202e}ecila|\
        alice\u{feff}|ａlice";
    let world = World::open(fixture).await;
    let rows: Vec<_> = SUBJECTS
        .split('|')
        .map(|subject| Sample::of(subject).at(world.now()))
        .collect();
    for row in &rows {
        let created = world.create(row, Limit::Reject(1)).await;
        let stored = matches!(created, Created::Stored { .. });
        assert!(stored, "{:?} counts for another subject", row.subject());
    }
    for row in &rows {
        let listed = world.list(row.subject(), 10).await;
        assert_eq!(listed.len(), 1, "rows listed for {:?}", row.subject());
        assert_same(listed.first(), row);
    }
    for (at, row) in rows.iter().enumerate() {
        let subject = row.subject();
        let removed = world.remove_subject(subject, Scope::all()).await;
        assert_eq!(removed, 1, "rows removed for {subject:?}");
        assert!(world.get(row).await.is_none());
        for other in &rows[at + 1..] {
            let found = world.get(other).await;
            assert!(found.is_some(), "{subject:?} removed another subject's row");
        }
    }
}
