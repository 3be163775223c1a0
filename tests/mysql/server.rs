//! One MariaDB for all tests of the binary, and a separate table for each store.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sqlx::MySqlPool;
use sqlx::mysql::MySqlPoolOptions;
use statewise::store::MySqlStore;

use super::support::servers::mariadb::MariaDb;

/// The server, and a pool in the runtime of the tests.
pub(crate) struct Shared {
    pub(crate) server: MariaDb,
    pub(crate) pool: MySqlPool,
}

/// `None`, after printing the reason, if this machine has no such server.
pub(crate) fn shared() -> Option<&'static Shared> {
    static SHARED: OnceLock<Option<Shared>> = OnceLock::new();
    let start = || {
        let server = MariaDb::start()?;
        let pool = pool(&server, 12);
        Some(Shared { server, pool })
    };
    SHARED.get_or_init(start).as_ref()
}

/// A pool that connects on demand.
pub(crate) fn pool(server: &MariaDb, connections: u32) -> MySqlPool {
    let _runtime = super::runtime::runtime().enter();
    MySqlPoolOptions::new()
        .max_connections(connections)
        .test_before_acquire(false)
        .acquire_timeout(Duration::from_secs(60))
        .connect_lazy(&server.url())
        .unwrap()
}

/// A name that no other test uses.
pub(crate) fn table() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("logins_{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A store in its own table, with a deadline that suits a busy machine.
pub(crate) async fn store(pool: &MySqlPool) -> MySqlStore {
    let store = MySqlStore::sqlx(pool.clone())
        .table(table())
        .deadline(Duration::from_secs(60))
        .build()
        .unwrap();
    store.migrate().await.unwrap();
    store
}
