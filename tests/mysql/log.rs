//! One MariaDB for all tests of the binary, and separate tables for each log.

#[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
mod reader;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions};
use sqlx::{AssertSqlSafe, MySqlPool};
use statewise::authenticator::BoxFuture;
use statewise::revocation::MySqlLog;
use statewise::revocation::log::RevocationLog;
use statewise::store::{MySql, mysql};
use statewise::testkit::LogFixture;

use super::log_cases::{self as cases, Named, all, append, facts, holds, now, patiently};
use super::runtime::{self, block_on, spread};
use super::support::servers::mariadb::MariaDbServer;

/// The server, and the pools of two nodes.
struct Shared {
    server: MariaDbServer,
    pools: [MySqlPool; 2],
}

/// `None`, after printing the reason, if this machine has no such server.
fn shared() -> Option<&'static Shared> {
    static SHARED: OnceLock<Option<Shared>> = OnceLock::new();
    let start = || {
        let server = MariaDbServer::start()?;
        let pools = [pool(&server, 8), pool(&server, 8)];
        Some(Shared { server, pools })
    };
    SHARED.get_or_init(start).as_ref()
}

/// A pool that connects on demand.
fn pool(server: &MariaDbServer, connections: u32) -> MySqlPool {
    let _runtime = runtime::runtime().enter();
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
fn table() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("ended_{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A database with a deadline that suits a busy machine.
fn database(pool: &MySqlPool, table: &str) -> MySql {
    let builder = MySql::over(pool.clone()).log_table(table);
    builder.deadline(Duration::from_secs(60)).build().unwrap()
}

/// A log in a table that exists.
async fn migrated(pool: &MySqlPool, table: &str) -> MySqlLog {
    let database = database(pool, table);
    database.migrate().await.unwrap();
    database.revocations()
}

async fn sql(pool: &MySqlPool, table: &str, statement: &str) {
    let head = format!("{table}_head");
    let statement = statement.replace("{log}", table).replace("{head}", &head);
    let statement = sqlx::raw_sql(AssertSqlSafe(statement));
    statement.execute(pool).await.unwrap();
}

/// Runs a test if there is a server.
fn with_server(test: impl AsyncFnOnce(&'static Shared)) {
    if let Some(shared) = shared() {
        block_on(test(shared));
    }
}

/// Opens separate tables for each log; every other node uses the other pool.
struct Tables;

impl Tables {
    fn node(table: String) -> Named<MySqlLog> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let shared = shared().expect("a law is run only if there is a server");
        let turn = NEXT.fetch_add(1, Ordering::Relaxed) as usize;
        Named {
            log: database(&shared.pools[turn % 2], &table).revocations(),
            table,
        }
    }
}

impl LogFixture for Tables {
    type Log = Named<MySqlLog>;

    const OWN_CLOCK: bool = true;

    async fn open(&self) -> Self::Log {
        let node = Self::node(table());
        // The log is created at its first use.
        let schema = mysql::schema("statewise_sessions", &node.table).unwrap();
        sql(&shared().unwrap().pools[0], &node.table, &schema).await;
        node
    }

    async fn again(&self, log: &Self::Log) -> Self::Log {
        Self::node(log.table.clone())
    }

    async fn advance(&self, log: &Self::Log, by: Duration) {
        expire(&log.table, by.as_secs()).await;
    }

    async fn spread(&self, futures: Vec<BoxFuture<'static, ()>>) {
        spread(futures).await;
    }
}

async fn expire(table: &str, seconds: u64) {
    let pool = &shared().unwrap().pools[0];
    let shift = format!("UPDATE {{log}} SET stays_until = stays_until - {seconds}");
    sql(pool, table, &shift).await;
}

fn if_served(law: impl Future<Output = ()>) {
    if shared().is_some() {
        block_on(law);
    }
}

mod laws {
    use super::{Tables, if_served};

    statewise::testkit::revocation_log_laws!(Tables, block_on = if_served);
}

#[test]
fn a_killed_server_keeps_acknowledged_writes() {
    block_on(async {
        // The server syncs, as by default.
        let Some(server) = MariaDbServer::with(&[]) else {
            return;
        };
        let pool = pool(&server, 4);
        let database = database(&pool, "statewise_revocations");
        database.migrate().await.unwrap();
        database.require_durable().await.unwrap();
        let log = database.revocations();
        let mut acknowledged = Vec::new();
        for round in 1..4 {
            for count in [1, 3, 300] {
                let facts = facts(count, 1_000);
                let stamp = append(&log, &facts).await;
                acknowledged.push((facts, stamp));
            }
            server.kill9();
            let hasty = MySql::over(pool.clone()).deadline(Duration::from_millis(300));
            let hasty = Arc::new(hasty.build().unwrap().revocations());
            cases::all_unavailable(&hasty, Duration::from_millis(300)).await;
            server.restart();
            let head = patiently(async || log.head(now()).await).await;
            assert_eq!(head, acknowledged.last().unwrap().1, "round {round}");
            holds(&log, &acknowledged).await;
        }
    });
}

#[test]
fn a_paused_server_is_unavailable_within_the_deadline() {
    block_on(async {
        let Some(server) = MariaDbServer::start() else {
            return;
        };
        let pool = pool(&server, 8);
        let patient = migrated(&pool, "statewise_revocations").await;
        append(&patient, &facts(3, 1_000)).await;
        let deadline = Duration::from_millis(300);
        let hasty = MySql::over(pool.clone()).deadline(deadline);
        let log = Arc::new(hasty.build().unwrap().revocations());
        patiently(async || log.head(now()).await).await;
        server.pause();
        cases::all_unavailable(&log, deadline).await;
        server.resume();
        let page = patiently(async || log.read(1, 9, now()).await).await;
        // A dropped append is present or not; nothing else is.
        assert!([3, 5].contains(&page.entries.len()));
        patiently(async || log.append(&facts(1, 9), now()).await).await;
    });
}

#[test]
fn concurrent_migrations_succeed() {
    with_server(async |shared| {
        for _ in 0..3 {
            let table = table();
            let mut tasks = Vec::new();
            for node in 0..8 {
                let table = table.clone();
                tasks.push(tokio::spawn(async move {
                    let log = migrated(&shared.pools[node % 2], &table).await;
                    log.head(now()).await.unwrap()
                }));
            }
            let mut seen = Vec::new();
            for task in tasks {
                seen.push(task.await.unwrap());
            }
            seen.dedup();
            assert_eq!(seen.len(), 1, "more than one log was created");
        }
    });
}

#[test]
fn new_entries_are_not_trimmed() {
    with_server(async |shared| {
        let table = table();
        let nodes = [0, 1].map(|node| database(&shared.pools[node], &table));
        nodes[0].migrate().await.unwrap();
        let logs = nodes.map(|node| Arc::new(node.revocations()));
        cases::new_entries_are_not_trimmed(logs, async || expire(&table, 100_000).await).await;
    });
}

#[test]
fn a_log_without_its_data_gets_another_incarnation() {
    with_server(async |shared| {
        let (pool, table) = (&shared.pools[0], table());
        let database = database(pool, &table);
        database.migrate().await.unwrap();
        let log = database.revocations();
        cases::lost_data_begins_another_incarnation(&log, async |statement| {
            sql(pool, &table, statement).await;
        })
        .await;
        let before = all(&log).await.incarnation;
        sql(pool, &table, "DROP TABLE {log}, {head}").await;
        cases::assert_unavailable("no table", &log.head(now()).await);
        database.migrate().await.unwrap();
        assert_ne!(all(&log).await.incarnation, before);
    });
}

#[test]
fn damaged_entries_are_unavailable() {
    with_server(async |shared| {
        let (pool, table) = (&shared.pools[0], table());
        let log = migrated(pool, &table).await;
        let bytes = |bytes: &[u8]| {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("X'{hex}'")
        };
        let run = async |statement: &str| sql(pool, &table, statement).await;
        cases::damaged_entries_are_unavailable(&log, run, bytes).await;
    });
}

/// A foreign transaction that locks the head row.
#[test]
fn a_foreign_lock_makes_writes_unavailable() {
    with_server(async |shared| {
        let (pool, table) = (&shared.pools[0], table());
        migrated(pool, &table).await;
        let hasty = MySql::over(pool.clone()).log_table(&table);
        let hasty = hasty.deadline(Duration::from_millis(300)).build();
        let log = hasty.unwrap().revocations();
        let mut holding = pool.begin().await.unwrap();
        let lock = format!("SELECT * FROM {table}_head FOR UPDATE");
        sqlx::raw_sql(AssertSqlSafe(lock))
            .fetch_all(&mut *holding)
            .await
            .unwrap();
        let append = log.append(&facts(1, 9), now()).await;
        cases::assert_unavailable("append", &append);
        cases::assert_unavailable("fence", &log.fence(now()).await);
        // Readers do not wait.
        let head = patiently(async || log.head(now()).await).await;
        assert_eq!(head.position(), 0);
        holding.rollback().await.unwrap();
        patiently(async || log.append(&facts(1, 9), now()).await).await;
    });
}

/// A deposed primary answers nothing, even to a user with all rights.
#[test]
fn a_read_only_server_is_unavailable() {
    block_on(async {
        let Some(server) = MariaDbServer::start() else {
            return;
        };
        let pool = pool(&server, 4);
        let log = Arc::new(migrated(&pool, "statewise_revocations").await);
        let stamp = append(&*log, &facts(3, 1_000)).await;
        sql(&pool, "", "SET GLOBAL read_only = 1").await;
        cases::all_unavailable(&log, Duration::from_secs(60)).await;
        for refused in [
            log.read(0, 9, now()).await.map(drop),
            log.append(&facts(1, 9), now()).await.map(drop),
            log.fence(now()).await,
        ] {
            let text = cases::chain(&refused.unwrap_err());
            assert!(text.contains("the database accepts no writes"), "{text}");
        }
        sql(&pool, "", "SET GLOBAL read_only = 0").await;
        assert_eq!(log.head(now()).await.unwrap(), stamp);
    });
}

/// Appends of many nodes under each isolation level that a connection may have.
#[test]
fn races_succeed_under_every_isolation() {
    with_server(async |shared| {
        for level in ["REPEATABLE READ", "SERIALIZABLE", "READ COMMITTED"] {
            let options: MySqlConnectOptions = shared.server.url().parse().unwrap();
            let set = format!("SET SESSION TRANSACTION ISOLATION LEVEL {level}");
            let pool = MySqlPoolOptions::new().max_connections(8);
            let pool = pool.after_connect(move |connection, _| {
                let set = AssertSqlSafe(set.clone());
                Box::pin(async move { sqlx::raw_sql(set).execute(connection).await.map(drop) })
            });
            let pool = pool.connect_lazy_with(options);
            let log = Arc::new(migrated(&pool, &table()).await);
            let mut tasks = Vec::new();
            for _ in 0..8 {
                let log = Arc::clone(&log);
                tasks.push(tokio::spawn(async move {
                    for _ in 0..20 {
                        append(&*log, &facts(2, 1_000)).await;
                        log.fence(now()).await.unwrap();
                        all(&*log).await;
                    }
                }));
            }
            for task in tasks {
                task.await.unwrap();
            }
            assert_eq!(all(&*log).await.entries.len(), 320, "{level}");
        }
    });
}

#[test]
fn a_server_that_does_not_sync_is_not_durable() {
    with_server(async |shared| {
        let database = MySql::over(shared.pools[0].clone()).table("unsynced");
        let database = database
            .log_table(table())
            .deadline(Duration::from_secs(60));
        let database = database.build().unwrap();
        let unknown = database.require_durable().await;
        assert!(unknown.is_err_and(|error| error.is_misuse()), "no table");
        database.migrate().await.unwrap();
        let refused = database.require_durable().await;
        assert!(refused.is_err_and(|error| error.is_misuse()));
    });
}
