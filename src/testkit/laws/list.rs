//! LIST: the logins of a subject, page by page.

use std::collections::{BTreeMap, HashSet};

use crate::store::contract::{Page, Record, SessionStore};
use crate::testkit::fixture::StoreFixture;
use crate::testkit::sample::Sample;
use crate::testkit::world::{World, check_page};

/// Pages hold each live login exactly once, by deadline and then by handle, for every length of a
/// page, and also while other logins come and go. Rejects offsets, cursors that compare the
/// deadline alone, and a page that begins with the last row of the page before.
pub async fn list_01_pages_hold_each_login_once<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let now = world.now();
    let mut rows = BTreeMap::new();
    for at in 0..30 {
        // Seven rows share a deadline, which is more than some pages hold.
        let row = Sample::of("alice").absolute(50_000 + at / 7).at(now);
        world.put(&row).await;
        rows.insert((row.deadline(), row.handle()), row);
    }
    world.put(&Sample::of("alice").idle(1).at(now)).await;
    world.put(&Sample::of("bob").at(now)).await;
    world.advance(1).await;
    let expected: Vec<_> = rows.values().map(Record::handle).collect();
    for limit in [1, 2, 3, 7, 29, 30, 31, 1_000] {
        let listed = world.list("alice", limit).await;
        let listed: Vec<_> = listed.iter().map(Record::handle).collect();
        let count = listed.len();
        assert!(
            listed == expected,
            "pages of {limit}: {count} listed, not the 30 live ones"
        );
    }
    // After every page one listed login ends and another one begins.
    let mut page = Page::first(4);
    let mut listed = HashSet::new();
    // Each page takes at least one of the 30 rows.
    for _ in 0..=rows.len() {
        let listing = world.store.list("alice", page, world.now()).await;
        let listing = listing.expect("list answers");
        let checked = check_page(&listing.records, listing.next, page);
        checked.unwrap_or_else(|wrong| panic!("{wrong}"));
        for row in &listing.records {
            assert!(listed.insert(row.handle()), "a login was listed twice");
        }
        let Some(next) = listing.next else {
            let complete = expected.iter().all(|handle| listed.contains(handle));
            assert!(complete, "a login was left out");
            return;
        };
        page = Page::after(next, 4);
        let removed = world.store.remove(next.handle, "alice", world.now()).await;
        assert_eq!(removed.expect("remove answers").count, 1);
        let fresh = Sample::of("alice").absolute(40_000).at(now);
        world.put(&fresh).await;
    }
    panic!("list has no end");
}
