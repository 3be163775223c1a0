//! Logins are listed: LIST.

use std::collections::{BTreeMap, HashSet};

use crate::store::contract::{Record, SessionStore};
use crate::testkit::fixture::StoreFixture;
use crate::testkit::sample::Sample;
use crate::testkit::world::World;

/// Pages hold each live login exactly once, by deadline and then by handle, whatever the length
/// of a page, and also while others come and go. Rejects offsets, and cursors that compare the
/// deadline alone.
pub async fn list_01_pages_hold_each_login_once<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let now = world.now();
    let mut rows = BTreeMap::new();
    for at in 0..30 {
        // Several share a deadline, even beyond the length of a page.
        let row = Sample::of("alice").absolute(50_000 + at / 7).at(now);
        world.put(&row).await;
        rows.insert((row.deadline(), row.handle()), row);
    }
    world.put(&Sample::of("alice").idle(1).at(now)).await;
    world.put(&Sample::of("bob").at(now)).await;
    world.advance(1).await;
    for limit in [1, 2, 3, 7, 29, 30, 31, 1_000] {
        let listed: Vec<_> = world
            .list("alice", limit)
            .await
            .iter()
            .map(Record::handle)
            .collect();
        let expected: Vec<_> = rows.keys().map(|(_, handle)| *handle).collect();
        assert!(
            listed == expected,
            "pages of {limit}: {} listed",
            listed.len()
        );
    }
    // Every page is followed by the end of a login that was listed and by the start of another.
    let mut page = crate::store::contract::Page::first(4);
    let mut listed = HashSet::new();
    loop {
        let listing = world.store.list("alice", page, world.now()).await;
        let listing = listing.expect("the store answers a list");
        for row in &listing.records {
            assert!(listed.insert(row.handle()), "a login was listed twice");
        }
        let Some(next) = listing.next else { break };
        page = crate::store::contract::Page::after(next, 4);
        let removed = world.store.remove(next.handle, "alice", world.now()).await;
        assert_eq!(removed.expect("an answer").count, 1);
        world
            .put(&Sample::of("alice").absolute(40_000).at(now))
            .await;
    }
    assert!(
        rows.keys().all(|(_, handle)| listed.contains(handle)),
        "a login was left out"
    );
}
