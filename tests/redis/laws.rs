//! The laws, on one server.

use std::future::Future;
use std::sync::OnceLock;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use statewise::authenticator::BoxFuture;
use statewise::clock::Timestamp;
use statewise::store::RedisStore;
use statewise::store::contract::Handle;
use statewise::testkit::{EditBytes, StoreFixture};

use crate::common::{admin, multiplexed, rewrite, run, shift, spread, store};
use crate::support::servers::redis::RedisServer;

fn server() -> Option<&'static RedisServer> {
    static SERVER: OnceLock<Option<RedisServer>> = OnceLock::new();
    SERVER.get_or_init(RedisServer::start).as_ref()
}

/// A store and its key prefix.
#[derive(Debug)]
struct Fixture;

/// Skips a law if there is no server.
fn on_a_server(law: impl Future<Output = ()>) {
    if server().is_some() {
        run(law);
    }
}

impl StoreFixture for Fixture {
    type Store = RedisStore<MultiplexedConnection>;

    const SWEEPS: bool = false;

    async fn open(&self) -> Self::Store {
        let connection = multiplexed(server().unwrap()).await;
        store(connection)
    }

    async fn advance(&self, store: &Self::Store, by: Duration) {
        let by = by.as_millis().to_string();
        let shifted = server().unwrap().ask(&shift(store.prefix(), &by));
        assert_eq!(shifted.as_deref(), Ok("1"));
    }

    async fn rewrite(
        &self,
        store: &Self::Store,
        handle: Handle,
        _: Timestamp,
        edit: EditBytes<'_>,
    ) -> bool {
        let connection = admin(server().unwrap()).await;
        rewrite(connection, store.prefix(), handle, edit).await
    }

    async fn spread(&self, futures: Vec<BoxFuture<'static, ()>>) {
        spread(futures).await;
    }
}

statewise::testkit::session_store_laws!(Fixture, block_on = on_a_server);

/// Behind a `CachedStore`.
mod cached {
    use super::{Fixture, on_a_server};

    statewise::testkit::session_store_laws!(
        crate::cached::Cached::over(Fixture),
        block_on = on_a_server
    );
}

mod strategies {
    use super::{Fixture, on_a_server};

    crate::strategies::strategy_laws!(Fixture, block_on = on_a_server);
}
