//! Stores on one server, each in its own table.

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use statewise::authenticator::BoxFuture;
use statewise::clock::Timestamp;
use statewise::store::contract::{Handle, SessionStore};
use statewise::store::postgres::Link;
use statewise::store::{Postgres, PostgresBuilder, PostgresStore};
use statewise::testkit::{EditBytes, StoreFixture};
use tokio::runtime::{Builder, Runtime};

use crate::support::servers::postgres::PostgresServer;

/// The server of the laws. It ends with the process.
static SERVER: LazyLock<Option<PostgresServer>> = LazyLock::new(PostgresServer::start);

/// One runtime for all tests, so that connections outlive the test that opened them.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = Builder::new_multi_thread();
    builder
        .worker_threads(4)
        .enable_all()
        .build()
        .expect("a runtime")
});

/// Runs a test on the runtime, unless there is no server.
pub(crate) fn block_on(future: impl Future<Output = ()>) {
    if SERVER.is_some() {
        RUNTIME.block_on(future);
    }
}

/// Runs a test that starts its own server.
pub(crate) fn run(future: impl Future<Output = ()>) {
    RUNTIME.block_on(future);
}

pub(crate) fn server() -> &'static PostgresServer {
    SERVER.as_ref().expect("a server")
}

/// Starts a server of its own for a test. It lives as long as the process, so that tasks may hold it.
pub(crate) fn private_server() -> Option<&'static PostgresServer> {
    PostgresServer::start().map(|server| &*Box::leak(Box::new(server)))
}

/// A name that no other store uses.
pub(crate) fn table() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("laws_{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Builds a database with a deadline that suits a busy machine.
pub(crate) fn patient<L: Link>(builder: PostgresBuilder<L>) -> Postgres<L> {
    let builder = builder.deadline(Duration::from_secs(60));
    builder.build().expect("a table name")
}

async fn spread(futures: Vec<BoxFuture<'static, ()>>) {
    let tasks: Vec<_> = futures.into_iter().map(tokio::spawn).collect();
    for task in tasks {
        task.await.expect("no panic");
    }
}

/// Opens the stores of another fixture and runs their upkeep with long pauses, so that uses wait in
/// the queue.
#[derive(Debug)]
pub(crate) struct Behind<F>(pub(crate) F);

/// A store that ends its upkeep on drop.
#[derive(Debug)]
pub(crate) struct Upkept<S> {
    store: S,
    upkeep: tokio::task::AbortHandle,
}

impl<S> Drop for Upkept<S> {
    fn drop(&mut self) {
        self.upkeep.abort();
    }
}

impl<S: SessionStore> SessionStore for Upkept<S> {
    statewise::testkit::forward_session_store! {
        store: create, load, change, rotate, update, confirm, touch, remove, remove_subject, list, sweep,
            begin, staleness, upkeep
    }
}

impl<F: StoreFixture> StoreFixture for Behind<F> {
    type Store = Upkept<F::Store>;

    async fn open(&self) -> Self::Store {
        let store = self.0.open().await;
        let upkeep = store.upkeep();
        upkeep.tick().await.expect("nothing to do yet");
        let run = upkeep.run(|_| tokio::time::sleep(Duration::from_millis(40)));
        let upkeep = tokio::spawn(run).abort_handle();
        Upkept { store, upkeep }
    }

    async fn advance(&self, store: &Self::Store, by: Duration) {
        self.0.advance(&store.store, by).await;
    }

    fn spread(&self, futures: Vec<BoxFuture<'static, ()>>) -> impl Future<Output = ()> + Send {
        self.0.spread(futures)
    }
}

#[cfg(feature = "sqlx-postgres")]
pub(crate) use with_sqlx::{SqlxFixture, pool_of, sqlx_pool};

#[cfg(feature = "sqlx-postgres")]
mod with_sqlx {
    use sqlx::PgPool;
    use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
    use statewise::store::postgres::Sqlx;

    use super::*;

    static POOL: LazyLock<PgPool> = LazyLock::new(|| sqlx_pool(server(), 24));

    /// A pool of that many connections. It connects on demand.
    pub(crate) fn sqlx_pool(server: &PostgresServer, connections: u32) -> PgPool {
        pool_of(
            PgConnectOptions::new_without_pgpass().socket(server.folder()),
            connections,
        )
    }

    pub(crate) fn pool_of(options: PgConnectOptions, connections: u32) -> PgPool {
        let options = options.username("postgres").database("postgres");
        PgPoolOptions::new()
            .max_connections(connections)
            // No reaper: see `pool` of the tests of SQLite.
            .idle_timeout(None)
            .max_lifetime(None)
            .acquire_timeout(Duration::from_secs(60))
            .connect_lazy_with(options)
    }

    /// Opens a new table for each store, over one pool.
    #[derive(Debug, Default)]
    pub(crate) struct SqlxFixture(Mutex<Vec<String>>);

    impl StoreFixture for SqlxFixture {
        type Store = PostgresStore<Sqlx>;

        async fn open(&self) -> Self::Store {
            let table = table();
            self.0.lock().expect("no panic").push(table.clone());
            let database = patient(Postgres::over(POOL.clone()).table(table));
            database.migrate().await.expect("a fresh table");
            database.sessions()
        }

        async fn advance(&self, _: &Self::Store, _: Duration) {}

        async fn rewrite(
            &self,
            _: &Self::Store,
            handle: Handle,
            _: Timestamp,
            edit: EditBytes<'_>,
        ) -> bool {
            let tables = self.0.lock().expect("no panic").clone();
            for table in tables {
                let select = format!("SELECT fields FROM {table} WHERE handle = $1");
                let select = sqlx::query_scalar(sqlx::AssertSqlSafe(select));
                let select = select.bind(&handle.as_bytes()[..]).fetch_optional(&*POOL);
                let Some::<Vec<u8>>(mut fields) = select.await.expect("an answer") else {
                    continue;
                };
                edit(&mut fields);
                let update = format!("UPDATE {table} SET fields = $1 WHERE handle = $2");
                let update = sqlx::query(sqlx::AssertSqlSafe(update)).bind(fields);
                let update = update.bind(&handle.as_bytes()[..]).execute(&*POOL).await;
                return update.expect("an update").rows_affected() == 1;
            }
            false
        }

        async fn spread(&self, futures: Vec<BoxFuture<'static, ()>>) {
            spread(futures).await;
        }
    }
}

#[cfg(feature = "tokio-postgres")]
pub(crate) use super::postgres_client::client_at;
#[cfg(feature = "tokio-postgres")]
pub(crate) use with_tokio_postgres::{PipelinedFixture, client_of};

#[cfg(feature = "tokio-postgres")]
mod with_tokio_postgres {
    use std::io;

    use statewise::store::postgres::Pipelined;
    use tokio_postgres::Client;

    use super::*;

    /// A connection to a server.
    pub(crate) async fn client_of(server: &PostgresServer) -> io::Result<Arc<Client>> {
        client_at(server.socket()).await
    }

    /// Opens a new table for each store, with two connections.
    #[derive(Debug, Default)]
    pub(crate) struct PipelinedFixture(Mutex<Vec<String>>);

    impl StoreFixture for PipelinedFixture {
        type Store = PostgresStore<Pipelined>;

        async fn open(&self) -> Self::Store {
            let table = table();
            self.0.lock().expect("no panic").push(table.clone());
            let builder = Postgres::connect(|| client_of(server())).connections(2);
            let database = patient(builder.table(table));
            database.migrate().await.expect("a fresh table");
            database.sessions()
        }

        async fn advance(&self, _: &Self::Store, _: Duration) {}

        async fn rewrite(
            &self,
            _: &Self::Store,
            handle: Handle,
            _: Timestamp,
            edit: EditBytes<'_>,
        ) -> bool {
            let tables = self.0.lock().expect("no panic").clone();
            let client = client_of(server()).await.expect("a connection");
            let handle = &handle.as_bytes()[..];
            for table in tables {
                let select = format!("SELECT fields FROM {table} WHERE handle = $1");
                let row = client.query_opt(&select, &[&handle]).await;
                let Some(row) = row.expect("an answer") else {
                    continue;
                };
                let mut fields: Vec<u8> = row.get(0);
                edit(&mut fields);
                let update = format!("UPDATE {table} SET fields = $1 WHERE handle = $2");
                let update = client.execute(&update, &[&fields, &handle]).await;
                return update.expect("an update") == 1;
            }
            false
        }

        async fn spread(&self, futures: Vec<BoxFuture<'static, ()>>) {
            spread(futures).await;
        }
    }
}
