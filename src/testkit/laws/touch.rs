//! Uses are noted: the part of UPDATE that is about them, and CONFIRM.

use std::sync::Arc;
use std::time::Duration;

use crate::authenticator::Authenticator;
use crate::store::contract::{Load, Rotated, SessionStore};
use crate::store::record::touch_interval;
use crate::testkit::faulty::{FaultyStore, Method};
use crate::testkit::fixture::StoreFixture;
use crate::testkit::sample::Sample;
use crate::testkit::world::{ABSOLUTE, IDLE, World, assert_accepted, assert_same, login, secret};

/// A use carries the idle time on, and never the deadline. Rejects a store that slides the only
/// expiry that it has.
pub async fn update_06_a_use_never_moves_the_deadline<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let row = Sample::of("alice").idle(100).absolute(250).at(world.now());
    world.put(&row).await;
    for _ in 0..3 {
        world.advance(80).await;
        let found = world
            .use_now(&row)
            .await
            .expect("alive as long as it is used");
        assert_eq!(found.deadline(), row.deadline(), "a use moved the deadline");
        assert!(found.expires_at() <= row.deadline());
    }
    world.advance(9).await;
    assert!(world.use_now(&row).await.is_some());
    world.advance(1).await;
    assert!(
        world.use_now(&row).await.is_none(),
        "carried beyond its deadline"
    );

    let unused = Sample::of("alice").idle(100).at(world.now());
    world.put(&unused).await;
    world.advance(100).await;
    assert!(
        world.use_now(&unused).await.is_none(),
        "the idle time was forgotten"
    );
}

/// A touch of a login that has ended, or never began, makes none.
/// Rejects a store that notes uses by inserting.
pub async fn update_07_a_touch_never_inserts<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let row = Sample::of("alice").idle(100).at(world.now());
    let other = Sample::of("alice").idle(100).at(world.now());
    world.put(&row).await;
    world.put(&other).await;
    assert!(world.use_now(&row).await.is_some());
    let removed = world.store.remove(row.handle(), "alice", world.now()).await;
    assert_eq!(removed.expect("an answer").count, 1);
    world.advance(60).await;
    let now = world.now();
    let never = Sample::of("alice").at(now);
    let uses = [
        (row.handle(), now),
        (other.handle(), now),
        (never.handle(), now),
    ];
    world
        .store
        .touch(&uses, now)
        .await
        .expect("the store answers a touch");
    assert!(
        world.use_now(&row).await.is_none(),
        "a touch brought a login back"
    );
    assert!(
        world.use_now(&never).await.is_none(),
        "a touch made a login"
    );
    assert_eq!(world.list("alice", 10).await.len(), 1);
    // The one in between was noted nevertheless, and keeps its version.
    world.advance(60).await;
    let found = world.get(&other).await.expect("a use that was noted");
    assert_eq!(found.version(), 0);
    // Late and early news never shorten.
    let early = now.saturating_sub(30);
    let uses = [(other.handle(), early)];
    world
        .store
        .touch(&uses, world.now())
        .await
        .expect("an answer");
    world.advance(30).await;
    assert!(
        world.get(&other).await.is_some(),
        "a late touch shortened a login"
    );
}

/// However often a login is used, its use is noted once per throttle, and it lives as long as it
/// is used. Rejects a write per request.
pub async fn update_08_notes_uses_now_and_then<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let store = Arc::new(FaultyStore::new(Arc::clone(&world.store)));
    let auth = world.auth_over(Arc::clone(&store));
    let issued = login(&auth, "alice").await;
    let began = world.now();
    // As the documentation of sessions promises.
    let throttle = IDLE / 8;
    assert_eq!(touch_interval(IDLE), Duration::from_secs(throttle));
    let mut expires_at = issued.expires_at();
    let mut noted = std::collections::BTreeSet::new();
    while world.now().saturating_since(began) + throttle < ABSOLUTE {
        world.advance(throttle / 3).await;
        let identity = auth
            .verify(secret(&issued))
            .await
            .expect("alive as long as it is used");
        assert!(
            identity.expires_at() >= expires_at,
            "a use shortened the login"
        );
        expires_at = identity.expires_at();
        noted.insert(expires_at);
    }
    let most = usize::try_from(ABSOLUTE / throttle).expect("a small number") + 1;
    assert!(
        noted.len() <= most,
        "{} uses were noted where {most} will do",
        noted.len()
    );
    assert!(
        store.calls_of(Method::Touch) <= most,
        "every use was written"
    );
}

/// Verifying a session that nothing changed, and whose use was noted lately, only reads.
/// Rejects a strategy that saves after each request.
pub async fn update_10_verifying_only_reads<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let store = Arc::new(FaultyStore::new(Arc::clone(&world.store)));
    let auth = world.auth_over(Arc::clone(&store));
    let issued = login(&auth, "alice").await;
    let row = world
        .store
        .load(issued.identity().handle, Load::new(), world.now())
        .await;
    let before = row.expect("an answer").expect("the row is there").encode();
    store.reset();
    for _ in 0..20 {
        assert_accepted(&auth, secret(&issued), "alice").await;
    }
    assert_eq!((store.calls(), store.calls_of(Method::Load)), (20, 20));
    let row = world
        .store
        .load(issued.identity().handle, Load::new(), world.now())
        .await;
    let after = row.expect("an answer").expect("the row is there").encode();
    assert!(before == after, "verifying changed the row");
}

/// A confirmation counts for the generation that it names, makes no row, raises no version, is as
/// good as many, and says when it was, unless by a clock that is behind. Rejects a store that writes
/// it to whatever is there.
pub async fn confirm_01_never_inserts<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let now = world.now();
    let row = Sample::of("alice").at(now);
    world
        .store
        .confirm(row.handle(), 0, now)
        .await
        .expect("an answer");
    assert!(world.get(&row).await.is_none(), "a confirmation made a row");
    world.put(&row).await;
    let rotated = world
        .store
        .rotate(row.handle(), &Sample::rotation_of(&row), now)
        .await;
    let Ok(Rotated::Advanced(mut expected)) = rotated else {
        panic!("the row did not advance: {rotated:?}");
    };
    for generation in [0, 2, u32::MAX] {
        world
            .store
            .confirm(row.handle(), generation, now)
            .await
            .expect("an answer");
        assert_same(world.get(&row).await.as_ref(), &expected);
    }
    world.advance(60).await;
    let later = world.now();
    assert!(expected.confirm(1, later));
    for _ in 0..3 {
        world
            .store
            .confirm(row.handle(), 1, world.now())
            .await
            .expect("an answer");
        assert_same(world.get(&row).await.as_ref(), &expected);
        world.advance(7).await;
    }
    let Ok(Rotated::Advanced(mut expected)) = world
        .store
        .rotate(row.handle(), &Sample::rotation_of(&expected), world.now())
        .await
    else {
        panic!("the row did not advance again");
    };
    let behind = world.now().saturating_sub(5);
    assert!(expected.confirm(2, behind));
    world
        .store
        .confirm(row.handle(), 2, behind)
        .await
        .expect("an answer");
    assert_same(world.get(&row).await.as_ref(), &expected);
}
