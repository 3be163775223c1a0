//! The embedded database: the laws of stores and logs, and what can go wrong with a file.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test fails by panicking"
)]

use statewise::store::{Redb, RedbStore};
use statewise::testkit::block_on;

#[path = "../stores/cached.rs"]
mod cached;
#[path = "../stores/count.rs"]
mod count;
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
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use redb::{Database, TableDefinition};
    use statewise::clock::Timestamp;
    use statewise::store::contract::Handle;
    use statewise::store::{Redb, RedbStore};
    use statewise::testkit::{EditBytes, StoreFixture};

    use super::folder::Folder;

    /// Opens stores in files that are unlinked at once, so that no test leaves a file behind.
    #[derive(Debug, Default)]
    struct Files(Mutex<Vec<Arc<Database>>>);

    impl StoreFixture for Files {
        type Store = RedbStore;

        async fn open(&self) -> RedbStore {
            let folder = Folder::in_memory();
            let database = Arc::new(Database::create(folder.file()).expect("a new file"));
            let redb = Redb::over(Arc::clone(&database)).build().unwrap();
            self.0.lock().unwrap().push(database);
            redb.sessions()
        }

        async fn advance(&self, _: &RedbStore, _: Duration) {}

        async fn rewrite(
            &self,
            _: &RedbStore,
            handle: Handle,
            _: Timestamp,
            edit: EditBytes<'_>,
        ) -> bool {
            let rows = TableDefinition::<&[u8; 16], &[u8]>::new("statewise.sessions");
            let rewrite = |database: &Database| {
                let transaction = database.begin_write().unwrap();
                let mut table = transaction.open_table(rows).unwrap();
                let found = table.remove(handle.as_bytes()).unwrap();
                let found = found.map(|row| row.value().to_vec());
                let is_found = found.is_some();
                if let Some(mut row) = found {
                    edit(&mut row);
                    table.insert(handle.as_bytes(), &*row).unwrap();
                }
                drop(table);
                transaction.commit().unwrap();
                is_found
            };
            self.0
                .lock()
                .unwrap()
                .iter()
                .any(|database| rewrite(database))
        }
    }

    statewise::testkit::session_store_laws!(Files::default());

    mod strategies {
        crate::strategies::strategy_laws!(super::Files::default());
    }

    /// The laws through a cache in the memory of the node.
    mod cached {
        statewise::testkit::session_store_laws!(crate::cached::Cached::over(
            super::Files::default()
        ));

        mod strategies {
            use crate::laws::Files;

            crate::strategies::strategy_laws!(crate::cached::Cached::over(Files::default()));
        }
    }
}

#[test]
fn count_01_is_the_number_of_logins_that_verify() {
    let open = async || {
        let folder = folder::Folder::in_memory();
        Redb::open(folder.file()).build().unwrap().sessions()
    };
    let count = async |store: &RedbStore, now| store.count_live(now).unwrap();
    block_on(count::count_01_is_the_number_of_logins_that_verify(
        open, count,
    ));
}

#[test]
fn a_late_save_does_not_undo_a_logout() {
    let folder = folder::Folder::in_memory();
    let redb = Redb::open(folder.file()).build().unwrap();
    let nodes = [redb.sessions(), redb.sessions()];
    block_on(late_save::a_late_save_does_not_undo_a_logout(nodes));
}
