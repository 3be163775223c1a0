//! The laws, on one server.

use std::future::Future;
use std::sync::OnceLock;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use statewise::authenticator::BoxFuture;
use statewise::store::RedisStore;
use statewise::store::contract::Handle;
use statewise::testkit::StoreFixture;

use crate::common::{admin, multiplexed, run, shift, spread, store};
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

    async fn corrupt(&self, store: &Self::Store, handle: Handle) -> bool {
        let pattern = format!("{}*:s:*", store.prefix());
        let script = r"
            for _, key in ipairs(redis.call('KEYS', ARGV[1])) do
                if string.find(redis.call('GET', key), ARGV[2], 1, true) then
                    redis.call('SET', key, 'junk', 'KEEPTTL')
                    return 1
                end
            end
            return 0
        ";
        let mut connection = admin(server().unwrap()).await;
        let mut command = redis::cmd("EVAL");
        command
            .arg(script)
            .arg(0)
            .arg(pattern)
            .arg(handle.as_bytes());
        let changed: u64 = command.query_async(&mut connection).await.unwrap();
        changed == 1
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
