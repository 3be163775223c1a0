//! ROTATE: a row gets its next credential.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::login::step_up::StepUp;
use crate::store::contract::{Load, Record, Rotated, Rotation, SessionStore, Update, Updated};
use crate::store::record::UNDERIVED;
use crate::testkit::faulty::YieldingStore;
use crate::testkit::fixture::StoreFixture;
use crate::testkit::random::seed;
use crate::testkit::sample::Sample;
use crate::testkit::world::{World, assert_same, boxed, lock};

/// A row is there at every moment of a rotation: a load sees it as it was before or as it is
/// after, and never the old one again. Rejects a store that removes the row before it writes the
/// next one.
pub async fn rotate_01_a_row_is_there_at_every_moment<F: StoreFixture>(fixture: &F) {
    for round in 0..20 {
        let world = World::open(fixture).await;
        let now = world.now();
        let row = Sample::of("alice").at(now);
        world.put(&row).await;
        let (handle, rotation) = (row.handle(), Sample::rotation_of(&row));
        let mut rotated = row.clone();
        assert!(rotated.rotate(&rotation, now));
        let store = Arc::new(YieldingStore::new(Arc::clone(&world.store)));
        let rotator = Arc::clone(&store);
        let mut acts = vec![boxed(async move {
            let rotated = rotator.rotate(handle, &rotation, now).await;
            assert!(matches!(rotated, Ok(Rotated::Done(_))), "{rotated:?}");
        })];
        for _ in 0..5 {
            let (store, row, rotated) = (Arc::clone(&store), row.clone(), rotated.clone());
            acts.push(boxed(async move {
                let mut generation = 0;
                for _ in 0..3 {
                    let found = store.load(handle, Load::new(), now).await;
                    let found = found.expect("load answers");
                    let found = found.expect("the row is there during a rotation");
                    assert!(found.generation() >= generation, "an older row came back");
                    generation = found.generation();
                    let expected = if generation == 0 { &row } else { &rotated };
                    assert_same(Some(&found), expected);
                }
            }));
        }
        world.run(round, acts).await;
        assert_same(world.get(&row).await.as_ref(), &rotated);
    }
}

/// Of many concurrent rotations with one proof, one advances the row, and all others see the row
/// that it made. Rejects a store that lets two rotations win.
pub async fn rotate_03_one_rotation_wins<F: StoreFixture>(fixture: &F) {
    for round in 0..40 {
        let world = World::open(fixture).await;
        let now = world.now();
        let row = Sample::of("alice").at(now);
        world.put(&row).await;
        let rows = Arc::new(Mutex::new((Vec::<Record>::new(), Vec::<Record>::new())));
        let rotate = |_| {
            let (store, rows) = (Arc::clone(&world.store), Arc::clone(&rows));
            let (handle, rotation) = (row.handle(), Sample::rotation_of(&row));
            boxed(async move {
                let rotated = store.rotate(handle, &rotation, now).await;
                match rotated.expect("rotate answers") {
                    Rotated::Done(row) => {
                        let own = row.current == rotation.next;
                        assert!(own, "rotate stored the credential of another caller");
                        lock(&rows).0.push(row);
                    }
                    Rotated::Unchanged(row) => lock(&rows).1.push(row),
                    Rotated::Absent => panic!("rotate found no row"),
                }
            })
        };
        world.run(round, (0..12).map(rotate).collect()).await;
        let (advanced, unchanged) = lock(&rows).clone();
        let seed = seed() + round;
        assert_eq!(advanced.len(), 1, "rotations that won, seed {seed}");
        assert_eq!(advanced[0].generation(), 1);
        for row in &unchanged {
            assert_same(Some(row), &advanced[0]);
        }
        assert_same(world.get(&row).await.as_ref(), &advanced[0]);
    }
}

/// A rotation keeps all that it does not name: data, roles, device, acr, stamp and version.
/// Rejects a store that writes the whole row from what the caller knew.
pub async fn rotate_04_keeps_all_other_fields<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let sample = Sample::of("alice")
        .role("a")
        .device("phone")
        .acr("aal2")
        .data([0xff; 300])
        .stamp(3, 4);
    let row = sample.at(world.now());
    world.put(&row).await;
    let updated = world.write(&row, 0, &[0xfe; 400]).await;
    assert!(matches!(updated, Updated::Done { .. }));
    let mut expected = world.get(&row).await.expect("the row is there");
    world.advance(60).await;
    let rotation = Sample::rotation_of(&row);
    assert!(expected.rotate(&rotation, world.now()));
    let rotated = world.advance_row(&row, &rotation).await;
    assert_same(Some(&rotated), &expected);
    assert_same(world.get(&row).await.as_ref(), &expected);
}

/// Any number of rotations count as uses, and leave the beginning and the deadline of a login as
/// they were. Rejects a rotation that is a new login, and one that forgets to extend the row's own
/// time to live.
pub async fn rotate_05_keeps_beginning_and_deadline<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let first = Sample::of("alice").idle(150).absolute(1_000);
    let first = first.at(world.now());
    world.put(&first).await;
    let mut current = first.clone();
    for generation in 1..=9 {
        world.advance(100).await;
        let rotation = Sample::rotation_of(&current);
        current = world.advance_row(&first, &rotation).await;
        assert_eq!(current.generation(), generation);
        assert_eq!(current.created_at(), first.created_at());
        assert_eq!(current.deadline(), first.deadline());
        assert_same(world.get(&first).await.as_ref(), &current);
    }
    world.advance(100).await;
    let late = world.rotate(&first, &Sample::rotation_of(&current)).await;
    assert!(
        matches!(late, Rotated::Absent),
        "rotated at the deadline: {late:?}"
    );
}

/// A shorter idle timeout, which a rotation brings, counts at once. Rejects a store that remembers
/// an earlier expiry.
pub async fn update_09_a_shorter_life_counts_at_once<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let row = Sample::of("alice").idle(1_000).at(world.now());
    world.put(&row).await;
    world.advance(60).await;
    let shorter = Rotation {
        idle: Duration::from_secs(100),
        ..Sample::rotation_of(&row)
    };
    world.advance_row(&row, &shorter).await;
    world.advance(100).await;
    world
        .assert_gone(&row, "after the idle timeout that a rotation brought")
        .await;
}

/// A rotation never lengthens the idle timeout of a row, whatever the strategy of the node has, and
/// an endless one stays endless. Rejects a store that takes the idle timeout of each rotation.
pub async fn life_01_a_rotation_never_lengthens_the_idle_timeout<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    for idle in [Duration::from_secs(30_000), Duration::from_secs(u64::MAX)] {
        let row = Sample::of("alice").idle(600).at(world.now());
        let endless = Sample::of("alice").idle(u64::MAX).at(world.now());
        for row in [&row, &endless] {
            world.put(row).await;
            let longer = Rotation {
                idle,
                ..Sample::rotation_of(row)
            };
            let mut expected = row.clone();
            assert!(expected.rotate(&longer, world.now()));
            let rotated = world.advance_row(row, &longer).await;
            assert_eq!(rotated.idle(), row.idle().min(idle), "the idle timeout");
            assert_same(world.get(row).await.as_ref(), &expected);
        }
        world.advance(599).await;
        assert!(world.get(&row).await.is_some(), "gone before its timeout");
        world.advance(1).await;
        world.assert_gone(&row, "after its idle timeout").await;
        assert!(world.get(&endless).await.is_some());
    }
}

/// A step-up is a rotation without a seed, which waits for no overlap, and then an update. Both come
/// back as they were written, beside the class of the login, and stay through updates and rotations.
/// Rejects a store that keeps to an overlap that a rotation does not have, and one that forgets the
/// step-up when it writes an update.
pub async fn step_01_a_step_up_comes_back<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let row = Sample::of("alice").acr("aal1").data(b"7").at(world.now());
    world.put(&row).await;
    let mut expected = world.advance_row(&row, &Sample::rotation_of(&row)).await;
    for (version, acr) in (0..).step_by(2).zip(["aal2", "a class of many words"]) {
        let (handle, now) = (row.handle(), world.now());
        let rotation = Rotation {
            seed: UNDERIVED,
            overlap: Duration::ZERO,
            ..Sample::rotation_of(&expected)
        };
        assert!(expected.rotate(&rotation, now));
        assert_same(Some(&world.advance_row(&row, &rotation).await), &expected);
        let step = StepUp {
            since: expected.generation(),
            at: now,
            until: now.saturating_add(600),
            acr: acr.to_owned(),
        };
        let step_up = Update {
            step: Some(step),
            ..Update::default()
        };
        let demotion = Update {
            roles: Some(vec!["reader".to_owned()]),
            ..Update::default()
        };
        for (version, update) in [(version, step_up), (version + 1, demotion)] {
            assert!(expected.update(version, &update));
            let updated = world.store.update(handle, version, &update, now).await;
            assert!(matches!(updated, Ok(Updated::Done { .. })), "{updated:?}");
            assert_same(world.get(&row).await.as_ref(), &expected);
        }
        let found = world.get(&row).await.expect("the row is there");
        assert_eq!(found.fields.acr(), Some("aal1"), "the class of the login");
        assert_eq!(found.fields.step().map(|step| step.acr), Some(acr));
        assert!(found.is_stepped(expected.generation(), now));
        world.advance(60).await;
        let rotation = Sample::rotation_of(&expected);
        assert!(expected.rotate(&rotation, world.now()));
        world.advance_row(&row, &rotation).await;
        assert_same(world.get(&row).await.as_ref(), &expected);
    }
}

/// A row that is missing or was removed is not rotated, and a wrong proof changes nothing.
/// Rejects a rotation that creates a row, and one that does not compare.
pub async fn rotate_06_rotates_only_what_is_there<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let row = Sample::of("alice").at(world.now());
    let right = Sample::rotation_of(&row);
    assert!(matches!(world.rotate(&row, &right).await, Rotated::Absent));
    world
        .assert_gone(&row, "although only rotate was called")
        .await;
    world.put(&row).await;
    let next = Rotation {
        presented: right.next,
        ..right
    };
    let generation = |generation| Rotation {
        generation,
        ..right
    };
    for wrong in [next, generation(1), generation(u32::MAX)] {
        match world.rotate(&row, &wrong).await {
            Rotated::Unchanged(unchanged) => assert_same(Some(&unchanged), &row),
            rotated => panic!("rotate accepted a wrong proof: {rotated:?}"),
        }
    }
    assert_same(world.get(&row).await.as_ref(), &row);
    assert_eq!(world.remove(&row).await, 1);
    assert!(matches!(world.rotate(&row, &right).await, Rotated::Absent));
    world.assert_gone(&row, "brought back by rotate").await;
}

/// A row does not advance again within the overlap of its last rotation, and does after it.
/// Rejects a store that forgets when a row was rotated.
pub async fn rotate_07_rests_in_the_overlap<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let row = Sample::of("alice").at(world.now());
    world.put(&row).await;
    let rotated = world.advance_row(&row, &Sample::rotation_of(&row)).await;
    let next = Sample::rotation_of(&rotated);
    world.advance(next.overlap.as_secs() - 1).await;
    match world.rotate(&row, &next).await {
        Rotated::Unchanged(row) => assert_same(Some(&row), &rotated),
        rotated => panic!("rotate within the overlap was {rotated:?}"),
    }
    world.advance(1).await;
    world.advance_row(&row, &next).await;
}
