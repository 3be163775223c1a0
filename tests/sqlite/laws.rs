//! Runs the conformance laws of the kit against the SQLite store.

use std::sync::Mutex;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};
use statewise::authenticator::BoxFuture;
use statewise::clock::Timestamp;
use statewise::store::SqliteStore;
use statewise::store::contract::Handle;
use statewise::testkit::{EditBytes, StoreFixture};

use super::alternating::Alternating;
use super::file::{Folder, options, pool, store};
use super::runtime::{block_on, spread};

/// Opens a new file for each store, shared by several connections.
struct Files {
    connections: u32,
    busy_timeout: Duration,
    /// Removed when the test ends.
    folders: Mutex<Vec<Folder>>,
}

impl Files {
    fn new(connections: u32, busy_timeout: Duration) -> Self {
        Self {
            connections,
            busy_timeout,
            folders: Mutex::default(),
        }
    }

    fn options(&self) -> SqliteConnectOptions {
        let folder = Folder::new();
        let options = options(&folder.file())
            .busy_timeout(self.busy_timeout)
            // No test simulates a power failure, so syncing is off for speed.
            .synchronous(SqliteSynchronous::Off);
        self.folders.lock().unwrap().push(folder);
        options
    }
}

impl StoreFixture for Files {
    type Store = SqliteStore;

    async fn open(&self) -> SqliteStore {
        store(pool(self.options(), self.connections).await).await
    }

    async fn advance(&self, _: &SqliteStore, _: Duration) {}

    async fn rewrite(
        &self,
        _: &SqliteStore,
        handle: Handle,
        _: Timestamp,
        edit: EditBytes<'_>,
    ) -> bool {
        let files: Vec<_> = self
            .folders
            .lock()
            .unwrap()
            .iter()
            .map(Folder::file)
            .collect();
        for file in files {
            let pool = pool(options(&file), 1).await;
            let select = "SELECT fields FROM statewise_sessions WHERE handle = ?";
            let select = sqlx::query_scalar(select).bind(&handle.as_bytes()[..]);
            let Some::<Vec<u8>>(mut fields) = select.fetch_optional(&pool).await.unwrap() else {
                continue;
            };
            edit(&mut fields);
            let update = "UPDATE statewise_sessions SET fields = ? WHERE handle = ?";
            let update = sqlx::query(update).bind(fields);
            let update = update.bind(&handle.as_bytes()[..]).execute(&pool).await;
            return update.unwrap().rows_affected() == 1;
        }
        false
    }

    async fn spread(&self, futures: Vec<BoxFuture<'static, ()>>) {
        spread(futures).await;
    }
}

/// The database reports at once that it is busy, and the store tries again.
mod impatient_pool {
    use super::{Duration, Files, block_on};

    statewise::testkit::session_store_laws!(Files::new(3, Duration::ZERO), block_on = block_on);
}

/// Alternates calls between two nodes.
struct TwoNodes(Files);

impl StoreFixture for TwoNodes {
    type Store = Alternating<SqliteStore>;

    async fn open(&self) -> Self::Store {
        let options = self.0.options();
        let one = store(pool(options.clone(), 2).await).await;
        Alternating::new(one, store(pool(options, 2).await).await)
    }

    async fn advance(&self, _: &Self::Store, _: Duration) {}

    async fn spread(&self, futures: Vec<BoxFuture<'static, ()>>) {
        spread(futures).await;
    }
}

mod two_nodes {
    use super::{Duration, Files, TwoNodes, block_on};

    statewise::testkit::session_store_laws!(
        TwoNodes(Files::new(2, Duration::from_secs(1))),
        block_on = block_on
    );
}

/// Behind a `CachedStore`.
mod cached {
    use super::{Duration, Files, block_on};

    statewise::testkit::session_store_laws!(
        crate::cached::Cached::over(Files::new(4, Duration::from_secs(1))),
        block_on = block_on
    );
}

mod pool_of_four {
    use super::{Duration, Files, block_on};

    statewise::testkit::session_store_laws!(
        Files::new(4, Duration::from_secs(1)),
        block_on = block_on
    );
}

mod strategies {
    use super::{Duration, Files, block_on};

    crate::strategies::strategy_laws!(Files::new(4, Duration::from_secs(1)), block_on = block_on);
}
