//! One MariaDB for all tests of the binary, and a separate table for each store.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sqlx::MySqlPool;
use sqlx::mysql::MySqlPoolOptions;
use statewise::store::{MySql, MySqlStore};

use super::support::servers::mariadb::MariaDbServer;

/// The server, and a pool in the runtime of the tests.
pub(crate) struct Shared {
    pub(crate) server: MariaDbServer,
    pub(crate) pool: MySqlPool,
}

/// `None`, after printing the reason, if this machine has no such server.
pub(crate) fn shared() -> Option<&'static Shared> {
    static SHARED: OnceLock<Option<Shared>> = OnceLock::new();
    let start = || {
        let server = MariaDbServer::start()?;
        let pool = pool(&server, 12);
        Some(Shared { server, pool })
    };
    SHARED.get_or_init(start).as_ref()
}

/// A pool that connects on demand.
pub(crate) fn pool(server: &MariaDbServer, connections: u32) -> MySqlPool {
    let _runtime = super::runtime::runtime().enter();
    MySqlPoolOptions::new()
        .max_connections(connections)
        // No reaper: see `pool` of the tests of SQLite.
        .idle_timeout(None)
        .max_lifetime(None)
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

/// A database with a table of its own for sessions, and a deadline that suits a busy machine.
pub(crate) fn database(pool: &MySqlPool, table: &str) -> MySql {
    let builder = MySql::over(pool.clone()).table(table);
    builder.deadline(Duration::from_secs(60)).build().unwrap()
}

/// A store in a table that exists.
pub(crate) async fn store_in(pool: &MySqlPool, table: &str) -> MySqlStore {
    let database = database(pool, table);
    database.migrate().await.unwrap();
    database.sessions()
}

/// A store in a table of its own.
pub(crate) async fn store(pool: &MySqlPool) -> MySqlStore {
    store_in(pool, &table()).await
}
