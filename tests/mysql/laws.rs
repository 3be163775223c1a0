//! The laws of the kit.

use std::sync::Mutex;
use std::time::Duration;

use statewise::authenticator::BoxFuture;
use statewise::clock::Timestamp;
use statewise::store::MySqlStore;
use statewise::store::contract::Handle;
use statewise::testkit::{EditBytes, StoreFixture};

use super::alternating::Alternating;
use super::runtime;
use super::server::{database, shared, store_in, table};

/// Opens a new table for each store, over one pool.
#[derive(Default)]
struct Tables(Mutex<Vec<String>>);

impl StoreFixture for Tables {
    type Store = MySqlStore;

    async fn open(&self) -> MySqlStore {
        let shared = shared().expect("a law is run only if there is a server");
        let table = table();
        self.0.lock().unwrap().push(table.clone());
        store_in(&shared.pool, &table).await
    }

    async fn advance(&self, _: &MySqlStore, _: Duration) {}

    async fn rewrite(
        &self,
        _: &MySqlStore,
        handle: Handle,
        _: Timestamp,
        edit: EditBytes<'_>,
    ) -> bool {
        let pool = &shared()
            .expect("a law is run only if there is a server")
            .pool;
        let tables = self.0.lock().unwrap().clone();
        for table in tables {
            let select = format!("SELECT fields FROM {table} WHERE handle = ?");
            let select = sqlx::query_scalar(sqlx::AssertSqlSafe(select));
            let select = select.bind(&handle.as_bytes()[..]);
            let Some::<Vec<u8>>(mut fields) = select.fetch_optional(pool).await.unwrap() else {
                continue;
            };
            edit(&mut fields);
            let update = format!("UPDATE {table} SET fields = ? WHERE handle = ?");
            let update = sqlx::query(sqlx::AssertSqlSafe(update)).bind(fields);
            let update = update.bind(&handle.as_bytes()[..]).execute(pool).await;
            return update.unwrap().rows_affected() == 1;
        }
        false
    }

    async fn spread(&self, futures: Vec<BoxFuture<'static, ()>>) {
        runtime::spread(futures).await;
    }
}

/// Runs a law if there is a server.
fn if_served(law: impl Future<Output = ()>) {
    if shared().is_some() {
        runtime::block_on(law);
    }
}

/// Alternates calls between two nodes.
struct TwoNodes;

impl StoreFixture for TwoNodes {
    type Store = Alternating<MySqlStore>;

    async fn open(&self) -> Self::Store {
        let shared = shared().expect("a law is run only if there is a server");
        let table = table();
        let one = store_in(&shared.pool, &table).await;
        Alternating::new(one, database(&shared.pool, &table).sessions())
    }

    async fn advance(&self, _: &Self::Store, _: Duration) {}

    async fn spread(&self, futures: Vec<BoxFuture<'static, ()>>) {
        runtime::spread(futures).await;
    }
}

mod one_node {
    use super::{Tables, if_served};

    statewise::testkit::session_store_laws!(Tables::default(), block_on = if_served);
}

/// Behind a `CachedStore`.
mod cached {
    use super::{Tables, if_served};

    statewise::testkit::session_store_laws!(
        crate::cached::Cached::over(Tables::default()),
        block_on = if_served
    );
}

mod two_nodes {
    use super::{TwoNodes, if_served};

    statewise::testkit::session_store_laws!(TwoNodes, block_on = if_served);
}

mod strategies {
    use super::{Tables, if_served};

    crate::strategies::strategy_laws!(Tables::default(), block_on = if_served);
}
