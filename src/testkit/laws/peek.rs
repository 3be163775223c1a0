//! PEEK: a login is shown in place.

use std::time::Duration;

use crate::store::contract::{Peeked, Scope, SessionStore};
use crate::testkit::fixture::StoreFixture;
use crate::testkit::sample::Sample;
use crate::testkit::world::World;

const HALF_A_MINUTE: Duration = Duration::from_secs(30);
const TEN_MINUTES: Duration = Duration::from_secs(600);

/// `peek` answers what `load` would answer at that moment: after every kind of change, at expiry and
/// with a clock that was set back. Rejects a store that shows an old copy of a row, and one that
/// shows a row that has expired or was removed.
pub async fn peek_01_shows_what_load_answers<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let sample = Sample::of("alice").idle(100).absolute(100_000);
    let row = sample.clone().at(world.now());
    let never = sample.clone().at(world.now());
    world
        .assert_peek(&never, "of a handle that is unknown")
        .await;
    world.put(&row).await;
    world.assert_peek(&row, "after create").await;
    world.advance(60).await;
    world.touch(&row, world.now()).await;
    world.assert_peek(&row, "after a touch").await;
    let rotated = world.advance_row(&row, &Sample::rotation_of(&row)).await;
    world.assert_peek(&row, "after a rotation").await;
    world.confirm(&row, rotated.generation(), world.now()).await;
    world.assert_peek(&row, "after a confirmation").await;
    world.write(&row, 0, b"data").await;
    world.assert_peek(&row, "after an update").await;
    world.clock.turn_back(HALF_A_MINUTE);
    world.assert_peek(&row, "with a clock set back").await;
    world.clock.advance(HALF_A_MINUTE);
    world.advance(TEN_MINUTES.as_secs()).await;
    world.assert_peek(&row, "of an expired row").await;
    assert!(world.get(&row).await.is_none(), "load finds an expired row");
    // After `Absent`, the strategy does not call `load`, which would remove the expired row.
    let unloaded = sample.clone().at(world.now());
    world.put(&unloaded).await;
    world.advance(TEN_MINUTES.as_secs()).await;
    let peeked = world.store.peek(unloaded.handle(), world.now(), |_| ());
    world.clock.turn_back(TEN_MINUTES);
    assert!(
        peeked != Peeked::Absent || world.get(&unloaded).await.is_none(),
        "peek answers that an expired row is absent, and it is found with a clock set back"
    );
    world
        .assert_peek(
            &row,
            "with a clock set back after load found the row expired",
        )
        .await;
    world.clock.advance(TEN_MINUTES);

    let [removed, with_subject] = [sample.clone(), sample].map(|sample| sample.at(world.now()));
    world.put(&removed).await;
    world.put(&with_subject).await;
    world.assert_peek(&removed, "before a removal").await;
    world.assert_peek(&with_subject, "before a removal").await;
    world.remove(&removed).await;
    world.assert_peek(&removed, "after a removal").await;
    world.remove_subject("alice", Scope::all()).await;
    world
        .assert_peek(&with_subject, "after the removal of its subject")
        .await;
    let swept = world.store.sweep(10, world.now()).await;
    swept.expect("sweep answers");
    world.assert_peek(&never, "after a sweep").await;
}
