//! Credentials are replaced: ROTATE.

use std::sync::{Arc, Mutex, PoisonError};

use crate::authenticator::Authenticator;
use crate::error::Rejection;
use crate::login::Login;
use crate::login::issued::Outcome;
use crate::session::{Replaced, Replacement};
use crate::store::contract::{Record, Rotated, Rotation, SessionStore};
use crate::testkit::executor::interleave;
use crate::testkit::faulty::YieldingStore;
use crate::testkit::fixture::StoreFixture;
use crate::testkit::random::seed;
use crate::testkit::sample::Sample;
use crate::testkit::world::{
    World, assert_accepted, assert_rejected, assert_same, boxed, login, rejection, secret,
};

/// After a rotation the new credential works; the old one works in the overlap and is refused after
/// it, and there is no moment at which neither works. Rejects a store that removes the old before
/// it writes the new.
pub async fn rotate_01_old_and_new_at_every_moment<F: StoreFixture>(fixture: &F) {
    for round in 0..20 {
        let world = World::open(fixture).await;
        let store = Arc::new(YieldingStore::new(Arc::clone(&world.store)));
        let auth = world.auth_over(store);
        let first = login(&auth, "alice").await;
        world.advance(60).await;
        let rotated = Mutex::new(None);
        let mut acts = vec![boxed(async {
            let answer = auth.refresh(secret(&first)).await.expect("a rotation");
            *rotated.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        })];
        for _ in 0..5 {
            acts.push(boxed(async {
                for _ in 0..3 {
                    assert_accepted(&auth, secret(&first), "alice").await;
                    let known = rotated
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .clone();
                    if let Some(second) = known {
                        assert_accepted(&auth, secret(&second), "alice").await;
                    }
                }
            }));
        }
        interleave(seed() + round, acts).await;
        let second = rotated.into_inner().unwrap_or_else(PoisonError::into_inner);
        let second = second.expect("a rotation");
        assert_eq!(second.outcome(), Outcome::Rotated);
        assert_ne!(secret(&first), secret(&second));
        assert_eq!(first.identity().id(), second.identity().id());
        // In use from now on.
        assert_accepted(&auth, secret(&second), "alice").await;
        world.advance(9).await;
        assert_accepted(&auth, secret(&first), "alice").await;
        world.advance(1).await;
        assert_accepted(&auth, secret(&second), "alice").await;
        assert_rejected(&auth, secret(&first), Rejection::Reused).await;
    }
}

/// A login ends the one that it replaces, and a change of roles asks for a rotation of the
/// credential, once. Rejects session fixation, and a privilege that an old credential gains.
pub async fn rotate_02_at_login_and_change_of_privilege<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let auth = world.auth();
    let old = login(&auth, "guest").await;
    let new = auth.issue(Login::new("alice").replaces(secret(&old))).await;
    let new = new.expect("a login is issued");
    assert_ne!(secret(&old), secret(&new));
    assert_ne!(old.identity().id(), new.identity().id());
    assert_rejected(&auth, secret(&old), Rejection::Unknown).await;
    assert_accepted(&auth, secret(&new), "alice").await;
    // Junk of any shape is passed over.
    for junk in ["", "junk", secret(&old), "a.b.c", &"x".repeat(70_000)] {
        let issued = auth.issue(Login::new("alice").replaces(junk)).await;
        let _ = issued.expect("what is no credential is passed over");
    }

    world.advance(60).await;
    let caller = auth.verify(secret(&new)).await.expect("it verifies");
    assert!(!caller.refresh_due());
    let same = auth
        .replace(&caller, Replacement::new().roles([""; 0]))
        .await;
    let Ok(Replaced::Done(session)) = same else {
        panic!("the replacement was {same:?}");
    };
    let caller = auth.verify(secret(&new)).await.expect("it verifies");
    assert!(!caller.refresh_due(), "the same roles ask for nothing");
    let done = auth
        .replace(&session, Replacement::new().roles(["admin"]))
        .await;
    assert!(matches!(done, Ok(Replaced::Done(_))));
    let caller = auth.verify(secret(&new)).await.expect("it verifies");
    assert!(caller.refresh_due() && caller.has_role("admin"));
    let rotated = auth.refresh(secret(&new)).await.expect("a rotation");
    assert_eq!(rotated.outcome(), Outcome::Rotated);
    let caller = auth.verify(secret(&rotated)).await.expect("it verifies");
    assert!(!caller.refresh_due() && caller.has_role("admin"));
}

/// Of many concurrent rotations with one proof, one advances the row, and all others see the row
/// that it made. Rejects a store that lets two win.
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
                let mut rows = rows.lock().unwrap_or_else(PoisonError::into_inner);
                match rotated.expect("the store answers a rotation") {
                    Rotated::Advanced(row) => {
                        assert!(
                            row.current == rotation.next,
                            "advanced to another's credential"
                        );
                        rows.0.push(row);
                    }
                    Rotated::Unchanged(row) => rows.1.push(row),
                    Rotated::Absent => panic!("the row is gone"),
                }
            })
        };
        let rotations = (0..12).map(rotate).collect();
        if round % 2 == 0 {
            interleave(seed() + round, rotations).await;
        } else {
            fixture.spread(rotations).await;
        }
        let (advanced, unchanged) = rows.lock().unwrap_or_else(PoisonError::into_inner).clone();
        assert_eq!(
            advanced.len(),
            1,
            "as many rotations won, seed {}",
            seed() + round
        );
        assert_eq!(advanced[0].generation(), 1);
        for row in &unchanged {
            assert_same(Some(row), &advanced[0]);
        }
        assert_same(world.get(&row).await.as_ref(), &advanced[0]);
    }
}

/// A rotation, which never saw the data, keeps it, with roles, device, class, stamp and version.
/// Rejects a store that writes rows anew.
pub async fn rotate_04_keeps_what_it_did_not_see<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let sample = Sample::of("alice")
        .role("a")
        .device("phone")
        .acr("aal2")
        .data([0xff; 300])
        .stamp(3, 4);
    let row = sample.at(world.now());
    world.put(&row).await;
    assert!(matches!(
        world.write(&row, 0, &[0xfe; 400]).await,
        crate::store::contract::Updated::Done(_)
    ));
    let mut expected = world.get(&row).await.expect("the row is there");
    world.advance(60).await;
    let rotation = Sample::rotation_of(&row);
    assert!(expected.rotate(&rotation, world.now()));
    let rotated = world
        .store
        .rotate(row.handle(), &rotation, world.now())
        .await;
    match rotated.expect("an answer") {
        Rotated::Advanced(row) => assert_same(Some(&row), &expected),
        rotated => panic!("the row did not advance: {rotated:?}"),
    }
    assert_same(world.get(&row).await.as_ref(), &expected);
}

/// However often a credential is rotated, its login began when it began and ends when it ends.
/// Rejects a rotation that is a new login.
pub async fn rotate_05_keeps_beginning_and_deadline<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let auth = world.auth();
    let mut issued = login(&auth, "alice").await;
    let first = issued.identity().clone();
    while world.now() < first.deadline.saturating_sub(1_000) {
        world.advance(1_000).await;
        issued = auth.refresh(secret(&issued)).await.expect("a rotation");
        assert_eq!(issued.outcome(), Outcome::Rotated);
        let identity = auth.verify(secret(&issued)).await.expect("it verifies");
        assert_eq!(identity.issued_at(), first.issued_at());
        assert_eq!(identity.authenticated_at(), first.authenticated_at());
        assert_eq!(identity.deadline(), first.deadline());
        assert!(identity.expires_at() <= first.deadline());
        assert_eq!(identity.id(), first.id());
    }
    let left = first.deadline.saturating_since(world.now());
    world.advance(left).await;
    assert_rejected(&auth, secret(&issued), Rejection::Unknown).await;
    assert_eq!(
        rejection(&auth.refresh(secret(&issued)).await),
        Some(Rejection::Unknown)
    );
}

/// A login that has ended is not rotated, and a wrong proof changes nothing.
/// Rejects a rotation that makes a row, and one that does not compare.
pub async fn rotate_06_rotates_only_what_is_there<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let now = world.now();
    let row = Sample::of("alice").at(now);
    let right = Sample::rotation_of(&row);
    let rotated = world.store.rotate(row.handle(), &right, now).await;
    assert!(matches!(rotated, Ok(Rotated::Absent)));
    assert!(world.get(&row).await.is_none(), "a rotation made a row");
    world.put(&row).await;
    for wrong in [
        Rotation {
            presented: right.next,
            ..right
        },
        Rotation {
            generation: 1,
            ..right
        },
        Rotation {
            generation: u32::MAX,
            ..right
        },
    ] {
        match world.store.rotate(row.handle(), &wrong, now).await {
            Ok(Rotated::Unchanged(unchanged)) => assert_same(Some(&unchanged), &row),
            rotated => panic!("a wrong proof was {rotated:?}"),
        }
    }
    assert_same(world.get(&row).await.as_ref(), &row);
    let removed = world.store.remove(row.handle(), "alice", now).await;
    assert_eq!(removed.expect("an answer").count, 1);
    let rotated = world.store.rotate(row.handle(), &right, now).await;
    assert!(matches!(rotated, Ok(Rotated::Absent)));
    assert!(world.get(&row).await.is_none(), "a rotation made a row");
}
