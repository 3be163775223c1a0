//! The embedded database: the laws of stores and logs, and what can go wrong with a file.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test fails by panicking"
)]

use statewise::store::Redb;
use statewise::testkit::block_on;

#[path = "../stores/cached.rs"]
mod cached;
mod device;
#[cfg(unix)]
mod file;
mod folder;
mod group;
mod kill;
#[path = "../stores/late_save.rs"]
mod late_save;
mod log;
mod rows;
#[path = "../strategies/mod.rs"]
mod strategies;

mod laws {
    use std::time::Duration;

    use statewise::store::{Redb, RedbStore};
    use statewise::testkit::StoreFixture;

    use super::folder::Folder;

    /// Opens stores in files that are unlinked at once, so that no test leaves a file behind.
    struct RedbFixture;

    impl StoreFixture for RedbFixture {
        type Store = RedbStore;

        async fn open(&self) -> RedbStore {
            let folder = Folder::in_memory();
            let redb = Redb::open(folder.file()).build();
            redb.expect("a new file is opened").sessions()
        }

        async fn advance(&self, _: &RedbStore, _: Duration) {}
    }

    statewise::testkit::session_store_laws!(RedbFixture);

    mod strategies {
        crate::strategies::strategy_laws!(super::RedbFixture);
    }

    /// The laws through a cache in the memory of the node.
    mod cached {
        statewise::testkit::session_store_laws!(crate::cached::Cached::over(super::RedbFixture));
    }
}

#[test]
fn a_late_save_does_not_undo_a_logout() {
    let folder = folder::Folder::in_memory();
    let redb = Redb::open(folder.file()).build().unwrap();
    let nodes = [redb.sessions(), redb.sessions()];
    block_on(late_save::a_late_save_does_not_undo_a_logout(nodes));
}
