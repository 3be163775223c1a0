//! The laws on the embedded store, and what only a store in a file can break.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;

#[path = "stores/cached.rs"]
mod cached;
#[path = "store_redb/device.rs"]
mod device;
#[cfg(unix)]
#[path = "store_redb/file.rs"]
mod file;
#[path = "store_redb/folder.rs"]
mod folder;
#[path = "store_redb/group.rs"]
mod group;
#[path = "store_redb/kill.rs"]
mod kill;
#[path = "stores/late_save.rs"]
mod late_save;
#[path = "store_redb/log.rs"]
mod log;
#[path = "store_redb/rows.rs"]
mod rows;

mod laws {
    use std::time::Duration;

    use statewise::store::RedbStore;
    use statewise::testkit::StoreFixture;

    use super::folder::Folder;

    /// Opens stores whose files have no name any more, so that none is left behind.
    struct RedbFixture;

    impl StoreFixture for RedbFixture {
        type Store = RedbStore;

        async fn open(&self) -> RedbStore {
            let folder = Folder::in_memory();
            RedbStore::open(folder.file()).expect("a fresh file is opened")
        }

        async fn advance(&self, _: &RedbStore, _: Duration) {}
    }

    statewise::testkit::session_store_laws!(RedbFixture);

    /// With copies in the memory of the node.
    mod cached {
        statewise::testkit::session_store_laws!(crate::cached::Cached::over(super::RedbFixture));
    }
}

#[test]
fn a_late_save_does_not_undo_a_logout() {
    let folder = folder::Folder::in_memory();
    let store = Arc::new(statewise::store::RedbStore::open(folder.file()).unwrap());
    let nodes = [Arc::clone(&store), store];
    let case = late_save::a_late_save_does_not_undo_a_logout(nodes);
    statewise::testkit::block_on(case);
}
