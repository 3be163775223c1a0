//! Shared helpers of the Redis tests.

#![allow(
    dead_code,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a part of the tests: each binary uses some of it, and a test fails by panicking"
)]

use std::future::Future;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::AsyncConnectionConfig;
use redis::aio::{
    ConnectionLike, ConnectionManager, ConnectionManagerConfig, MultiplexedConnection,
};
use statewise::authenticator::BoxFuture;
use statewise::store::contract::Handle;
use statewise::store::{Redis, RedisBuilder, RedisStore};
use statewise::testkit::EditBytes;
use tokio::runtime::{Builder, Runtime};

use crate::support::servers::redis::RedisServer;

/// Deadline that even a busy machine meets, so that a test fails for its own reason only.
pub(crate) const PATIENT: Duration = Duration::from_secs(60);

/// One runtime for all tests of a binary, because connections are bound to their runtime.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let built = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build();
        built.expect("a runtime starts")
    })
}

pub(crate) fn run<F: Future>(future: F) -> F::Output {
    runtime().block_on(future)
}

/// Runs futures on the runtime, each in its own task.
pub(crate) async fn spread(futures: Vec<BoxFuture<'static, ()>>) {
    let tasks: Vec<_> = futures.into_iter().map(tokio::spawn).collect();
    for task in tasks {
        if let Err(error) = task.await {
            std::panic::resume_unwind(error.into_panic());
        }
    }
}

/// Returns a prefix that no other test uses.
pub(crate) fn prefix() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("test {}:", COUNT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn client(server: &RedisServer) -> redis::Client {
    redis::Client::open(server.app_url()).expect("a URL of a socket")
}

/// Opens a connection that may run any command.
pub(crate) async fn admin(server: &RedisServer) -> MultiplexedConnection {
    let client = redis::Client::open(server.url()).expect("a URL of a socket");
    let connection = client.get_multiplexed_async_connection();
    connection.await.expect("a connection")
}

/// Opens a connection that many tasks can share.
pub(crate) async fn multiplexed(server: &RedisServer) -> MultiplexedConnection {
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    let client = client(server);
    let connection = client.get_multiplexed_async_connection_with_config(&config);
    connection.await.expect("a connection")
}

/// Opens a connection that reconnects.
pub(crate) async fn manager(server: &RedisServer) -> ConnectionManager {
    managed(client(server)).await
}

pub(crate) async fn managed(client: redis::Client) -> ConnectionManager {
    let config = ConnectionManagerConfig::new()
        .set_response_timeout(None)
        .set_connection_timeout(Some(PATIENT))
        .set_number_of_retries(50)
        .set_min_delay(Duration::from_millis(5))
        .set_max_delay(Duration::from_millis(100));
    let connection = client.get_connection_manager_with_config(config);
    connection.await.expect("a connection")
}

/// Builder with a prefix of its own, and a deadline for a busy machine.
pub(crate) fn patient<C>(connection: C) -> RedisBuilder<C>
where
    C: ConnectionLike + Clone + Send + Sync + 'static,
{
    Redis::over(connection).prefix(prefix()).deadline(PATIENT)
}

/// Store with a prefix of its own, and a deadline for a busy machine.
pub(crate) fn store<C>(connection: C) -> RedisStore<C>
where
    C: ConnectionLike + Clone + Send + Sync + 'static,
{
    patient(connection).build().unwrap().sessions()
}

/// Command that shortens the time to live of all keys with a prefix, to simulate elapsed time. A
/// script, so that it is atomic.
pub(crate) fn shift<'a>(prefix: &'a str, by: &'a str) -> [&'a str; 5] {
    let script = r"
        local escaped = string.gsub(ARGV[1], '[%*%?%[%]\\]', '\\%0')
        for _, key in ipairs(redis.call('KEYS', escaped .. '*')) do
            local left = redis.call('PTTL', key)
            if left >= 0 then
                redis.call('PEXPIRE', key, string.format('%.0f', left - tonumber(ARGV[2])))
            end
        end
        return 1";
    ["EVAL", script, "0", prefix, by]
}

/// Command that shortens the life of the entries of a revocation log, to simulate elapsed time.
pub(crate) fn shift_log<'a>(prefix: &'a str, by: &'a str) -> [&'a str; 5] {
    let script = r"
        local escaped = string.gsub(ARGV[1], '[%*%?%[%]\\]', '\\%0')
        for _, key in ipairs(redis.call('KEYS', escaped .. '{log}:e')) do
            local entries = redis.call('XRANGE', key, '-', '+')
            redis.call('DEL', key)
            for _, entry in ipairs(entries) do
                local fields = entry[2]
                fields[4] = string.format('%.0f', fields[4] - ARGV[2])
                redis.call('XADD', key, entry[1], unpack(fields))
            end
        end
        return 1";
    ["EVAL", script, "0", prefix, by]
}

/// Opens two stores with the same keys and a connection each, like two nodes of a service.
pub(crate) async fn two_nodes(server: &RedisServer) -> [RedisStore<MultiplexedConnection>; 2] {
    let one = store(multiplexed(server).await);
    let other = patient(multiplexed(server).await).prefix(one.prefix());
    [one, other.build().unwrap().sessions()]
}

/// Returns the keys of the rows of a store.
pub(crate) fn row_keys(server: &RedisServer, prefix: &str) -> Vec<String> {
    let keys = server.ask(&["KEYS", &format!("{prefix}*:s:*")]).unwrap();
    keys.lines().map(str::to_owned).collect()
}

/// Returns how often the server ran each command since its statistics were reset.
pub(crate) fn commands(server: &RedisServer) -> Vec<(String, u64)> {
    let stats = server.ask(&["INFO", "commandstats"]).unwrap();
    let calls = |line: &str| {
        let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        let (calls, _) = rest.split_once(',')?;
        let ours = matches!(
            name,
            "info" | "config|resetstat" | "ping" | "client|setinfo"
        );
        (!ours).then(|| (name.to_owned(), calls.parse().unwrap()))
    };
    stats.lines().filter_map(calls).collect()
}

/// Edits the bytes of a row on a server. Returns whether it is there.
pub(crate) async fn rewrite(
    mut connection: MultiplexedConnection,
    prefix: &str,
    handle: Handle,
    edit: EditBytes<'_>,
) -> bool {
    let mut keys = redis::cmd("KEYS");
    let keys: Vec<Vec<u8>> = keys
        .arg(format!("{prefix}*:s:*"))
        .query_async(&mut connection)
        .await
        .unwrap();
    for key in keys {
        let mut get = redis::cmd("GET");
        let row = get.arg(&key).query_async(&mut connection).await;
        // Rows of other tests may be gone.
        let Some::<Vec<u8>>(mut row) = row.unwrap() else {
            continue;
        };
        if row.windows(16).any(|bytes| bytes == handle.as_bytes()) {
            edit(&mut row);
            let mut set = redis::cmd("SET");
            let set = set.arg(&key).arg(row).arg("KEEPTTL");
            let () = set.query_async(&mut connection).await.unwrap();
            return true;
        }
    }
    false
}
