//! UPDATE and CONFIRM: the uses of a login are noted.

use std::collections::BTreeSet;

use crate::store::contract::SessionStore;
use crate::testkit::fixture::StoreFixture;
use crate::testkit::sample::Sample;
use crate::testkit::world::{World, assert_same};

/// A use extends the idle timeout and never the deadline. Rejects a store that extends the only
/// expiry that it has.
pub async fn update_06_a_use_never_moves_the_deadline<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let row = Sample::of("alice").idle(100).absolute(250).at(world.now());
    world.put(&row).await;
    for _ in 0..3 {
        world.advance(80).await;
        let found = world.use_now(&row).await;
        let found = found.expect("alive as long as it is used");
        assert_eq!(found.deadline(), row.deadline(), "a use moved the deadline");
        assert!(found.expires_at() <= row.deadline());
    }
    world.advance(9).await;
    assert!(world.use_now(&row).await.is_some());
    world.advance(1).await;
    let found = world.use_now(&row).await;
    assert!(
        found.is_none(),
        "a use extended a login beyond its deadline"
    );

    let unused = Sample::of("alice").idle(100).at(world.now());
    world.put(&unused).await;
    world.advance(100).await;
    let found = world.use_now(&unused).await;
    assert!(found.is_none(), "the idle timeout was ignored");
}

/// A touch creates no row, brings none back, and never shortens a login, in whatever order uses
/// arrive. Rejects a store that notes uses by inserting, and one where the last touch wins.
pub async fn update_07_a_touch_never_inserts_or_shortens<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let row = Sample::of("alice").idle(100).at(world.now());
    let other = Sample::of("alice").idle(100).at(world.now());
    world.put(&row).await;
    world.put(&other).await;
    assert!(world.use_now(&row).await.is_some());
    assert_eq!(world.remove(&row).await, 1);
    world.advance(60).await;
    let now = world.now();
    let never = Sample::of("alice").at(now);
    let uses = [&row, &other, &never].map(|row| (row.handle(), now));
    let touched = world.store.touch(&uses, now).await;
    touched.expect("touch answers");
    world.assert_gone(&row, "brought back by touch").await;
    world.assert_gone(&never, "created by touch").await;
    assert_eq!(world.list("alice", 10).await.len(), 1);
    // The use in between was noted nevertheless, and left the version.
    world.advance(60).await;
    let found = world.get(&other).await;
    let found = found.expect("touch notes a use between two missing rows");
    assert_eq!(found.version(), 0);
    world.touch(&other, now.saturating_sub(30)).await;
    world.advance(30).await;
    let found = world.get(&other).await;
    assert!(found.is_some(), "a late touch shortened a login");
}

/// A use is noted at most once per throttle however often a login is loaded, and the login lives
/// as long as it is used. Rejects a load that writes each time, and one that never does.
pub async fn update_08_notes_uses_now_and_then<F: StoreFixture>(fixture: &F) {
    const USES: u64 = 60;
    let world = World::open(fixture).await;
    let row = Sample::of("alice").idle(800).at(world.now());
    world.put(&row).await;
    let throttle = row.touch_interval().as_secs();
    let step = throttle / 3;
    let mut last_seen = row.last_seen();
    let mut noted = BTreeSet::new();
    for _ in 0..USES {
        world.advance(step).await;
        let found = world.use_now(&row).await;
        let found = found.expect("alive as long as it is used");
        assert!(found.last_seen() >= last_seen, "a use was forgotten");
        last_seen = found.last_seen();
        noted.insert(last_seen);
    }
    let most = (USES * step / throttle) as usize + 1;
    let count = noted.len();
    assert!(
        count <= most,
        "{count} uses were noted where the throttle allows {most}"
    );
}

/// A use is noted after an hour, however long the idle timeout is. Rejects a store that waits for a
/// part of a long idle timeout.
pub async fn update_12_notes_a_use_every_hour<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let row = Sample::of("alice").idle(2_592_000).absolute(u64::MAX);
    let row = row.at(world.now());
    world.put(&row).await;
    for _ in 0..3 {
        world.advance(3_600).await;
        assert!(world.use_now(&row).await.is_some());
        let found = world.get(&row).await.expect("it is used");
        assert_eq!(found.last_seen(), world.now(), "a use was not noted");
    }
}

/// A load that is not to note a use notes none, and answers with the exact last use. Rejects a store
/// that extends a row whenever it reads it, and one that guesses the last use.
pub async fn passive_01_looking_is_no_use<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let row = Sample::of("alice").idle(900).at(world.now());
    world.put(&row).await;
    let mut last_seen = row.last_seen();
    for minute in 1..=20 {
        world.advance(60).await;
        if minute == 6 {
            assert!(world.use_now(&row).await.is_some());
            last_seen = world.now();
        }
        let found = world.get(&row).await.expect("it was used lately");
        assert_eq!(found.last_seen(), last_seen, "after {minute} minutes");
    }
    world.advance(60).await;
    world.assert_gone(&row, "kept alive by looking").await;
}

/// A confirmation counts for the generation that it names, creates no row, leaves the version, and
/// may come any number of times. The overlap counts from the first one, unless the caller's clock
/// is behind the rotation. Rejects a store that confirms whatever row is there.
pub async fn confirm_01_counts_for_its_generation<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let now = world.now();
    let row = Sample::of("alice").at(now);
    world.confirm(&row, 0, now).await;
    world
        .assert_gone(&row, "although only confirm was called")
        .await;
    world.put(&row).await;
    let mut expected = world.advance_row(&row, &Sample::rotation_of(&row)).await;
    for generation in [0, 2, u32::MAX] {
        world.confirm(&row, generation, now).await;
        assert_same(world.get(&row).await.as_ref(), &expected);
    }
    world.advance(60).await;
    assert!(expected.confirm(1, world.now()));
    for _ in 0..3 {
        world.confirm(&row, 1, world.now()).await;
        assert_same(world.get(&row).await.as_ref(), &expected);
        world.advance(7).await;
    }
    let rotation = Sample::rotation_of(&expected);
    let mut expected = world.advance_row(&row, &rotation).await;
    let behind = world.now().saturating_sub(5);
    assert!(expected.confirm(2, behind));
    world.confirm(&row, 2, behind).await;
    assert_same(world.get(&row).await.as_ref(), &expected);
}
