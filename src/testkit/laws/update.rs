//! UPDATE: a login changes.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::login::handle::Handle;
use crate::store::contract::{Load, Record, Rotated, Rotation, SessionStore, Update, Updated};
use crate::testkit::faulty::YieldingStore;
use crate::testkit::fixture::StoreFixture;
use crate::testkit::laws::read::hundred_seconds;
use crate::testkit::random::seed;
use crate::testkit::sample::Sample;
use crate::testkit::world::{World, assert_same, boxed};

/// Attempts of a client that counts to ten beside seven others.
const MAX_ATTEMPTS: usize = 10_000;

/// An update changes the fields that it names, raises the version by one, and leaves everything
/// else. Rejects a store that writes the whole row from what the caller knew.
pub async fn update_01_changes_only_the_named_fields<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let row = Sample::of("alice")
        .role("a")
        .device("phone")
        .acr("aal2")
        .data(b"1")
        .stamp(1, 7)
        .at(world.now());
    world.put(&row).await;
    world.advance(50).await;
    let roles = Update {
        roles: Some(vec!["b".to_owned(), "c".to_owned()]),
        ..Update::default()
    };
    let device = Update {
        device: Some(Some("tablet".to_owned())),
        ..Update::default()
    };
    let changes = [roles, Sample::update(b"2"), device, Update::default()];
    for (version, change) in (0..).zip(changes) {
        let mut expected = world.get(&row).await.expect("the row is there");
        assert!(expected.update(version, &change));
        let (handle, now) = (row.handle(), world.now());
        let updated = world.store.update(handle, version, &change, now).await;
        match updated.expect("update answers") {
            Updated::Done { record: row, .. } => assert_same(Some(&row), &expected),
            updated => panic!("update was not done: {updated:?}"),
        }
        let found = world.get(&row).await.expect("the row is there");
        assert_same(Some(&found), &expected);
        assert_eq!(found.version(), version + 1);
        assert_eq!(found.created_at(), row.created_at());
        assert_eq!(found.deadline(), row.deadline());
    }
}

/// A write that finds no live row and must leave it so.
#[derive(Clone, Copy, Debug)]
enum LateWrite {
    Update,
    Rotate,
    Confirm,
    Touch,
    TouchingLoad,
}

impl LateWrite {
    const ALL: [Self; 5] = [
        Self::Update,
        Self::Rotate,
        Self::Confirm,
        Self::Touch,
        Self::TouchingLoad,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Update => "update",
            Self::Rotate => "rotate",
            Self::Confirm => "confirm",
            Self::Touch => "touch",
            Self::TouchingLoad => "a load that notes the use",
        }
    }

    /// Makes the call. Answers whether it found no row, where the answer tells.
    async fn call<S: SessionStore>(
        self,
        store: &S,
        handle: Handle,
        rotation: &Rotation,
        now: Timestamp,
    ) -> bool {
        match self {
            Self::Update => {
                let updated = store.update(handle, 0, &Sample::update(b"late"), now).await;
                matches!(updated, Ok(Updated::Absent))
            }
            Self::Rotate => {
                let rotated = store.rotate(handle, rotation, now).await;
                matches!(rotated, Ok(Rotated::Absent))
            }
            Self::Confirm => store.confirm(handle, 0, now).await.is_ok(),
            Self::Touch => store.touch(&[(handle, now)], now).await.is_ok(),
            Self::TouchingLoad => {
                let load = Load::new().touch(Duration::from_secs(80));
                let found = store.load(handle, load, now).await;
                matches!(found, Ok(None))
            }
        }
    }

    /// Makes the call on a row that has ended, and asserts that it stays so.
    async fn assert_leaves_absent<F: StoreFixture>(self, world: &World<'_, F>, row: &Record) {
        let (name, rotation) = (self.name(), Sample::rotation_of(row));
        let absent = self
            .call(&*world.store, row.handle(), &rotation, world.now())
            .await;
        assert!(absent, "{name} found a row that has ended");
        let context = format!("because it was brought back by {name}");
        world.assert_gone(row, &context).await;
    }
}

/// Once a removal has returned, no update, rotation, confirmation or touch brings the row back,
/// whether it comes later or was in flight. Rejects an upsert (CVE-2025-46336).
pub async fn update_02_never_resurrects_a_removed_row<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let now = world.now();
    for write in LateWrite::ALL {
        let row = Sample::of("alice").at(now);
        world.put(&row).await;
        assert!(world.get(&row).await.is_some());
        assert_eq!(world.remove(&row).await, 1);
        write.assert_leaves_absent(&world, &row).await;
    }

    for (round, write) in (0..50).zip(LateWrite::ALL.into_iter().cycle()) {
        let row = Sample::of("bob").idle(80).at(now);
        world.put(&row).await;
        let store = Arc::new(YieldingStore::new(Arc::clone(&world.store)));
        let handle = row.handle();
        let late = |_| {
            let (store, rotation) = (Arc::clone(&store), Sample::rotation_of(&row));
            boxed(async move {
                let later = now.saturating_add(20);
                write.call(&*store, handle, &rotation, later).await;
            })
        };
        let mut acts: Vec<_> = (0..10).map(late).collect();
        let remover = Arc::clone(&store);
        acts.push(boxed(async move {
            let removed = remover.remove(handle, "bob", now).await;
            assert_eq!(removed.expect("remove answers").count, 1);
        }));
        // Each method has its turn interleaved and spread.
        world.run(round / 5, acts).await;
        let (name, seed) = (write.name(), seed() + round / 5);
        let context = format!("because it was brought back by {name}, seed {seed}");
        world.assert_gone(&row, &context).await;
    }
}

/// No update, rotation, confirmation or touch revives an expired login. Rejects a store that
/// checks expiry only when it reads.
pub async fn update_03_never_revives_an_expired_login<F: StoreFixture>(fixture: &F) {
    for sample in hundred_seconds() {
        let world = World::open(fixture).await;
        let rows = LateWrite::ALL.map(|_| sample.at(world.now()));
        for row in &rows {
            world.put(row).await;
        }
        world.advance(100).await;
        for (write, row) in LateWrite::ALL.into_iter().zip(&rows) {
            write.assert_leaves_absent(&world, row).await;
        }
    }
}

/// Of several updates with one version one is done, and the others meet a conflict that changes
/// nothing. Rejects a store that lets the last one win.
pub async fn update_04_loses_no_update<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let stale = Sample::of("alice").at(world.now());
    world.put(&stale).await;
    let updated = world.write(&stale, 0, b"1").await;
    assert!(
        matches!(updated, Updated::Done { .. }),
        "update was not done: {updated:?}"
    );
    for expected in [0, 2] {
        let updated = world.write(&stale, expected, b"2").await;
        assert!(
            matches!(updated, Updated::Conflict),
            "update of version {expected} found version 1: {updated:?}"
        );
    }
    let found = world.get(&stale).await.expect("the row is there");
    assert_eq!(found.fields.data(), Some(&b"1"[..]), "a stale update won");

    let row = Sample::of("bob").data(b"0").at(world.now());
    world.put(&row).await;
    let now = world.now();
    // Eight clients count to ten each: they read, add one and write.
    let client = |_| {
        let (store, handle) = (Arc::clone(&world.store), row.handle());
        boxed(async move {
            let mut done = 0;
            for _ in 0..MAX_ATTEMPTS {
                if done == 10 {
                    return;
                }
                let found = store.load(handle, Load::new(), now).await;
                let found = found.expect("load answers").expect("the row is there");
                let count = std::str::from_utf8(found.fields.data().expect("data")).expect("text");
                let next = count.parse::<u64>().expect("a number") + 1;
                let change = Sample::update(next.to_string());
                match store.update(handle, found.version(), &change, now).await {
                    Ok(Updated::Done { .. }) => done += 1,
                    Ok(Updated::Conflict) => {}
                    updated => panic!("update was {updated:?}"),
                }
            }
            panic!("update answered a conflict {MAX_ATTEMPTS} times");
        })
    };
    fixture.spread((0..8).map(client).collect()).await;
    let found = world.get(&row).await.expect("the row is there");
    let count = found.fields.data().map(String::from_utf8_lossy);
    assert_eq!(count.as_deref(), Some("80"), "an update was lost");
    assert_eq!(found.version(), 80);
}

/// Parallel updates, rotations and touches of one row never make a row that none of them wrote,
/// and rotations and touches cause no conflict. Rejects a store that writes rows in pieces.
pub async fn update_05_tears_no_row<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let now = world.now();
    let row = Sample::of("alice").role("0").data(b"0").at(now);
    world.put(&row).await;
    let writer = |client: usize| {
        let (store, handle) = (Arc::clone(&world.store), row.handle());
        boxed(async move {
            for turn in 0..20 {
                let found = store.load(handle, Load::new(), now).await;
                let found = found.expect("load answers").expect("the row is there");
                let roles = found.fields.roles().collect::<String>();
                let data = found.fields.data().expect("data");
                let whole = roles.as_bytes() == data;
                assert!(whole, "roles of one write, data of another");
                assert_eq!(found.subject(), "alice");
                if client < 4 {
                    let text = format!("{client}/{turn}");
                    let change = Update {
                        roles: Some(vec![text.clone()]),
                        data: Some(Some(text.into_bytes())),
                        ..Update::default()
                    };
                    drop(store.update(handle, found.version(), &change, now).await);
                } else {
                    let (rotation, generation) = (Sample::rotation_of(&found), found.generation());
                    let rotated = store.rotate(handle, &rotation, now).await;
                    rotated.expect("rotate answers");
                    let touched = store.touch(&[(handle, now)], now).await;
                    touched.expect("touch answers");
                    let confirmed = store.confirm(handle, generation, now).await;
                    confirmed.expect("confirm answers");
                }
            }
        })
    };
    fixture.spread((0..8).map(writer).collect()).await;

    let found = world.get(&row).await.expect("the row is there");
    let rotation = Rotation {
        overlap: Duration::ZERO,
        ..Sample::rotation_of(&found)
    };
    world.advance_row(&row, &rotation).await;
    world.touch(&row, now).await;
    let updated = world.write(&row, found.version(), b"1").await;
    assert!(
        matches!(updated, Updated::Done { .. }),
        "rotate or touch caused a conflict: {updated:?}"
    );
}

/// Taking away all roles, or all data, and setting data of no bytes are changes like any other.
/// Rejects a store that takes "nothing" for "unchanged".
pub async fn update_11_emptying_is_a_change<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let row = Sample::of("bob").role("admin").data(b"profile");
    let row = row.at(world.now());
    world.put(&row).await;
    let no_data = Update {
        data: Some(None),
        ..Update::default()
    };
    let no_roles = Update {
        roles: Some(Vec::new()),
        ..Update::default()
    };
    let mut expected = row.clone();
    for (version, change) in (0..).zip([Sample::update(b""), no_data, no_roles]) {
        assert!(expected.update(version, &change));
        let (handle, now) = (row.handle(), world.now());
        let updated = world.store.update(handle, version, &change, now).await;
        assert!(matches!(updated, Ok(Updated::Done { .. })), "{updated:?}");
        assert_same(world.get(&row).await.as_ref(), &expected);
    }
    assert_eq!(expected.fields.data(), None);
}
