//! The laws of the kit.

use std::time::Duration;

use statewise::BoxFuture;
use statewise::store::MySqlStore;
use statewise::testkit::StoreFixture;

use super::runtime;
use super::server::{shared, store};

/// Opens a table of its own for each store, over one pool.
struct Tables;

impl StoreFixture for Tables {
    type Store = MySqlStore;

    async fn open(&self) -> MySqlStore {
        let shared = shared().expect("a law is run only if there is a server");
        store(&shared.pool).await
    }

    async fn advance(&self, _: &MySqlStore, _: Duration) {}

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

statewise::testkit::session_store_laws!(Tables, block_on = if_served);
