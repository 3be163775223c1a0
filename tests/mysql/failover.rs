//! Primaries that are demoted, killed and replaced.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions};
use sqlx::{AssertSqlSafe, MySqlPool};
use statewise::revocation::log::RevocationLog as _;
use statewise::session::Limit;
use statewise::store::contract::{Created, Load, SessionStore as _};
use statewise::store::{MySql, MySqlStore};
use statewise::testkit::Sample;

use super::cases::{count, get, is_unavailable, now, put};
use super::runtime::block_on;
use super::stores_failover::{Failover, loses_no_confirmed_logout};
use super::support::servers::mariadb::MariaDbServer;
use super::support::servers::wait_until;

/// Two servers, one of which is the replica of the other, and a socket that leads to the primary.
struct Pair {
    servers: [MariaDbServer; 2],
    ports: [u16; 2],
    /// Of the test itself, one for each server.
    pools: [MySqlPool; 2],
    primary: AtomicUsize,
    moves: AtomicUsize,
    store: MySqlStore,
    node: MySql,
}

async fn sql(pool: &MySqlPool, text: String) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(text))
        .execute(pool)
        .await
        .map(drop)
}

async fn value(pool: &MySqlPool, text: String) -> Result<String, sqlx::Error> {
    let text = sqlx::query_scalar(AssertSqlSafe(text));
    text.fetch_one(pool).await
}

/// Lets the socket lead to a server.
fn lead(socket: &PathBuf, server: &MariaDbServer) {
    let fresh = socket.with_extension("new");
    std::os::unix::fs::symlink(server.socket(), &fresh).unwrap();
    std::fs::rename(fresh, socket).unwrap();
}

impl Pair {
    async fn start() -> Option<Self> {
        let listeners = [(); 2].map(|()| TcpListener::bind(("127.0.0.1", 0)).unwrap());
        let ports = listeners.map(|listener| listener.local_addr().unwrap().port());
        let start = |at: usize| {
            let (port, id) = (
                format!("--port={}", ports[at]),
                format!("--server-id={}", at + 1),
            );
            let network = [
                "--skip-networking=0",
                "--bind-address=127.0.0.1",
                &port,
                &id,
            ];
            let log = [
                "--log-bin",
                // A write of a killed server must not reach the disk after its restart.
                "--innodb-use-native-aio=0",
                "--log-slave-updates",
                "--innodb-flush-log-at-trx-commit=0",
            ];
            MariaDbServer::with(&[&network[..], &log[..]].concat())
        };
        let servers = [start(0)?, start(1)?];
        let pools = [&servers[0], &servers[1]].map(|server| {
            // A pool tries again while the server refuses connections.
            let options = MySqlPoolOptions::new().acquire_timeout(Duration::from_secs(1));
            options.connect_lazy(&server.url()).unwrap()
        });
        for pool in &pools {
            let user = "SET sql_log_bin = 0; CREATE USER replica@'%'; \
                 GRANT REPLICATION SLAVE ON *.* TO replica@'%'; SET sql_log_bin = 1; RESET MASTER";
            sql(pool, user.to_owned()).await.unwrap();
        }
        let socket = servers[0].folder().join("primary");
        lead(&socket, &servers[0]);
        let options = MySqlConnectOptions::new().username("root").socket(socket);
        let by_name = MySqlPoolOptions::new()
            .max_connections(4)
            .test_before_acquire(false)
            .connect_lazy_with(options.database("statewise"));
        let node = MySql::over(by_name).build().unwrap();
        let pair = Self {
            servers,
            ports,
            pools,
            primary: AtomicUsize::new(0),
            moves: AtomicUsize::new(0),
            store: node.sessions(),
            node,
        };
        pair.follow(1).await;
        pair.node.migrate().await.unwrap();
        assert!(pair.has_all().await);
        Some(pair)
    }

    fn primary(&self) -> usize {
        self.primary.load(Ordering::SeqCst)
    }

    /// Makes a server the replica of the other one, from its current position on.
    async fn follow(&self, at: usize) {
        let position = "SELECT @@gtid_binlog_pos".to_owned();
        let position = value(&self.pools[1 - at], position).await.unwrap();
        let port = self.ports[1 - at];
        let follow = format!(
            "SET GLOBAL read_only = 1; RESET MASTER; SET GLOBAL gtid_slave_pos = '{position}'; \
             CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {port}, \
             MASTER_USER = 'replica', MASTER_USE_GTID = slave_pos; START SLAVE"
        );
        sql(&self.pools[at], follow).await.unwrap();
    }

    /// Returns whether the replica has, within some time, all that the primary has now.
    async fn has_all(&self) -> bool {
        let primary = self.primary();
        let asked = async {
            let position = "SELECT @@gtid_binlog_pos".to_owned();
            let position = value(&self.pools[primary], position).await?;
            let wait = format!("SELECT CAST(MASTER_GTID_WAIT('{position}', 5) AS CHAR)");
            value(&self.pools[1 - primary], wait).await
        };
        asked.await.is_ok_and(|answer| answer == "0")
    }

    /// Makes the replica the primary. The name leads to it later.
    async fn promote(&self) {
        let at = 1 - self.primary();
        let promote = "STOP SLAVE; RESET SLAVE ALL; SET GLOBAL read_only = 0";
        sql(&self.pools[at], promote.to_owned()).await.unwrap();
        self.primary.store(at, Ordering::SeqCst);
    }

    fn move_name(&self) {
        let socket = self.servers[0].folder().join("primary");
        lead(&socket, &self.servers[self.primary()]);
        self.moves.fetch_add(1, Ordering::SeqCst);
    }
}

impl Failover for Pair {
    type Store = MySqlStore;

    fn store(&self) -> &MySqlStore {
        &self.store
    }

    fn connections(&self) -> u64 {
        self.moves.load(Ordering::SeqCst) as u64
    }

    async fn confirm(&self) -> bool {
        self.has_all().await
    }

    fn kill(&self) {
        self.servers[self.primary()].kill9();
    }

    fn wait_promoted(&self) {
        block_on(self.promote());
        self.move_name();
    }

    fn rejoin(&self) {
        let (old, new) = (1 - self.primary(), self.primary());
        self.servers[old].restart();
        // Only the old one may have the last writes: both begin with empty tables.
        let tables = [
            "sessions",
            "sessions_limit",
            "revocations",
            "revocations_head",
        ];
        let empty = tables
            .map(|table| format!("DELETE FROM statewise_{table}; "))
            .concat();
        block_on(async {
            sql(&self.pools[new], empty.clone()).await.unwrap();
            let connected = async || sql(&self.pools[old], "SELECT 1".to_owned()).await;
            while connected().await.is_err() {}
            let silent = format!("SET sql_log_bin = 0; {empty} SET sql_log_bin = 1");
            sql(&self.pools[old], silent).await.unwrap();
            self.follow(old).await;
        });
        wait_until(|| block_on(self.has_all()).then_some(()).ok_or("behind")).unwrap();
    }
}

/// A node stays connected to a primary that was demoted, as a user with all rights. Rejects a store
/// that keeps such a connection, and one that reads there.
#[test]
fn a_demoted_primary_is_left() {
    block_on(async {
        let Some(pair) = Pair::start().await else {
            return;
        };
        let store = &pair.store;
        let [alice, bob] = ["alice", "bob"].map(|name| Sample::of(name).at(now()));
        put(store, &alice).await;
        put(store, &bob).await;
        // Opens all connections of the pool.
        let load = || store.load(alice.handle(), Load::new(), now());
        let _ = tokio::join!(load(), load(), load(), load());
        assert!(pair.has_all().await);
        sql(&pair.pools[0], "SET GLOBAL read_only = 1".to_owned())
            .await
            .unwrap();
        pair.promote().await;
        let other = MySql::over(pair.pools[1].clone())
            .build()
            .unwrap()
            .sessions();
        let removed = other.remove(bob.handle(), "bob", now()).await.unwrap();
        assert_eq!(removed.count, 1);
        for _ in 0..5 {
            assert!(is_unavailable(
                &store.load(bob.handle(), Load::new(), now()).await
            ));
            assert!(is_unavailable(
                &store.remove(alice.handle(), "alice", now()).await
            ));
            assert!(is_unavailable(&pair.node.revocations().head(now()).await));
        }
        let _ = tokio::join!(load(), load(), load(), load());
        pair.move_name();
        // Each act finds the new primary at once.
        assert!(get(store, &bob).await.is_none());
        assert!(get(store, &alice).await.is_some());
        let fresh = Sample::of("alice").at(now());
        let created = store.create(&fresh, Limit::EvictOldest(1), now()).await;
        assert!(matches!(created.unwrap(), Created::Stored { .. }));
        assert_eq!(count(&other, "alice").await, 1);
        pair.node.revocations().fence(now()).await.unwrap();
    });
}

/// Rounds of failovers under load. Set `STATEWISE_FAILOVERS` for more of them.
#[test]
fn a_killed_primary_loses_no_confirmed_logout() {
    block_on(async {
        let Some(pair) = Pair::start().await else {
            return;
        };
        loses_no_confirmed_logout("MariaDB with a promoted replica", Arc::new(pair)).await;
    });
}
