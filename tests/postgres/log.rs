//! One Postgres for all tests of the binary, and separate tables for each log.

#[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
mod reader;

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, PgPool};
use statewise::authenticator::BoxFuture;
use statewise::revocation::PostgresLog;
use statewise::revocation::log::{DynRevocationLog, RevocationLog};
use statewise::store::postgres::{Pipelined, Sqlx};
use statewise::store::{Postgres, postgres};
use statewise::testkit::LogFixture;
use tokio_postgres::Client;

use super::fixture::private_server;
use super::log_cases::{self as cases, Named, all, append, facts, holds, now, patiently};
use super::postgres_client::client_at;
use super::runtime::{self, block_on, spread};
use super::support::servers::postgres::PostgresServer;

const PATIENCE: Duration = Duration::from_secs(60);

/// The server of the laws. It ends with the process.
static SERVER: LazyLock<Option<PostgresServer>> = LazyLock::new(PostgresServer::start);
/// The pools of two nodes.
static POOLS: LazyLock<[PgPool; 2]> = LazyLock::new(|| [pool(server(), 8), pool(server(), 8)]);

fn server() -> &'static PostgresServer {
    SERVER.as_ref().expect("a server")
}

/// Runs a test if there is a server.
fn if_served(test: impl Future<Output = ()>) {
    if SERVER.is_some() {
        block_on(test);
    }
}

/// A pool that connects on demand.
fn pool(server: &PostgresServer, connections: u32) -> PgPool {
    pool_with(server, connections, &[])
}

fn pool_with(server: &PostgresServer, connections: u32, options: &[(&str, &str)]) -> PgPool {
    let _runtime = runtime::runtime().enter();
    let connect = PgConnectOptions::new_without_pgpass().socket(server.folder());
    let connect = connect.username("postgres").database("postgres");
    PgPoolOptions::new()
        .max_connections(connections)
        // No reaper: see `pool` of the tests of SQLite.
        .idle_timeout(None)
        .max_lifetime(None)
        .acquire_timeout(PATIENCE)
        .connect_lazy_with(connect.options(options.iter().copied()))
}

/// A connection to a server.
async fn client_of(server: &PostgresServer) -> io::Result<Arc<Client>> {
    client_at(server.socket()).await
}

/// A name that no other test uses.
fn table() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("ended_{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Another table of sessions for each log, because a test that applies the schema on its own takes
/// no lock.
fn sessions_for(log: &str) -> String {
    format!("{}_sessions", log.replace('.', "_"))
}

fn by_sqlx(pool: &PgPool, table: &str, deadline: Duration) -> Postgres<Sqlx> {
    let builder = Postgres::over(pool.clone()).table(sessions_for(table));
    let builder = builder.log_table(table);
    builder.deadline(deadline).build().unwrap()
}

fn pipelined(
    server: &'static PostgresServer,
    table: &str,
    deadline: Duration,
) -> Postgres<Pipelined> {
    let builder = Postgres::connect(|| client_of(server)).connections(2);
    let builder = builder.table(sessions_for(table)).log_table(table);
    builder.deadline(deadline).build().unwrap()
}

type Log = Arc<dyn DynRevocationLog>;

/// A log with each client, on one existing table.
async fn both(server: &'static PostgresServer, table: &str, deadline: Duration) -> [Log; 2] {
    let pool = pool(server, 8);
    by_sqlx(&pool, table, PATIENCE).migrate().await.unwrap();
    [
        Arc::new(by_sqlx(&pool, table, deadline).revocations()),
        Arc::new(pipelined(server, table, deadline).revocations()),
    ]
}

async fn sql(pool: &PgPool, table: &str, statement: &str) {
    let head = format!("{table}_head");
    let statement = statement.replace("{log}", table).replace("{head}", &head);
    let statement = sqlx::raw_sql(AssertSqlSafe(statement));
    statement.execute(pool).await.unwrap();
}

async fn expire(table: &str, seconds: u64) {
    let shift = format!("UPDATE {{log}} SET stays_until = stays_until - {seconds}");
    sql(&POOLS[0], table, &shift).await;
}

/// A table without its head row: the log is created at its first use.
async fn unused() -> String {
    let table = table();
    let schema = postgres::schema(&sessions_for(&table), &table).unwrap();
    sql(&POOLS[0], &table, &schema).await;
    table
}

/// Every other node uses the other pool.
struct BySqlx;

impl LogFixture for BySqlx {
    type Log = Named<PostgresLog<Sqlx>>;

    const OWN_CLOCK: bool = true;

    async fn open(&self) -> Self::Log {
        let table = unused().await;
        Named {
            log: by_sqlx(&POOLS[0], &table, PATIENCE).revocations(),
            table,
        }
    }

    async fn again(&self, log: &Self::Log) -> Self::Log {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let turn = NEXT.fetch_add(1, Ordering::Relaxed) as usize;
        Named {
            log: by_sqlx(&POOLS[turn % 2], &log.table, PATIENCE).revocations(),
            table: log.table.clone(),
        }
    }

    async fn advance(&self, log: &Self::Log, by: Duration) {
        expire(&log.table, by.as_secs()).await;
    }

    async fn spread(&self, futures: Vec<BoxFuture<'static, ()>>) {
        spread(futures).await;
    }
}

/// Every node has its own connections.
struct ByPipelined;

impl LogFixture for ByPipelined {
    type Log = Named<PostgresLog<Pipelined>>;

    const OWN_CLOCK: bool = true;

    async fn open(&self) -> Self::Log {
        let table = unused().await;
        Named {
            log: pipelined(server(), &table, PATIENCE).revocations(),
            table,
        }
    }

    async fn again(&self, log: &Self::Log) -> Self::Log {
        Named {
            log: pipelined(server(), &log.table, PATIENCE).revocations(),
            table: log.table.clone(),
        }
    }

    async fn advance(&self, log: &Self::Log, by: Duration) {
        expire(&log.table, by.as_secs()).await;
    }

    async fn spread(&self, futures: Vec<BoxFuture<'static, ()>>) {
        spread(futures).await;
    }
}

mod laws_by_sqlx {
    use super::{BySqlx, if_served};

    statewise::testkit::revocation_log_laws!(BySqlx, block_on = if_served);
}

mod laws_pipelined {
    use super::{ByPipelined, if_served};

    statewise::testkit::revocation_log_laws!(ByPipelined, block_on = if_served);
}

#[test]
fn a_killed_server_keeps_acknowledged_writes() {
    block_on(async {
        // The server syncs, as by default.
        let Some(server) = PostgresServer::with(&[]) else {
            return;
        };
        let server: &'static PostgresServer = Box::leak(Box::new(server));
        let logs = both(server, "statewise_revocations", PATIENCE).await;
        let durable = by_sqlx(&pool(server, 1), "statewise_revocations", PATIENCE);
        durable.require_durable().await.unwrap();
        let hasty = Duration::from_millis(300);
        let mut acknowledged = Vec::new();
        for round in 1..4 {
            for log in &logs {
                for count in [1, 3, 300] {
                    let facts = facts(count, 1_000);
                    let stamp = append(log, &facts).await;
                    acknowledged.push((facts, stamp));
                }
            }
            server.kill9();
            let pool = pool(server, 4);
            let by_sqlx = Arc::new(by_sqlx(&pool, "statewise_revocations", hasty).revocations());
            cases::all_unavailable(&by_sqlx, hasty).await;
            let by_other =
                Arc::new(pipelined(server, "statewise_revocations", hasty).revocations());
            cases::all_unavailable(&by_other, hasty).await;
            server.restart();
            for log in &logs {
                let head = patiently(async || log.head(now()).await).await;
                assert_eq!(head, acknowledged.last().unwrap().1, "round {round}");
                holds(log, &acknowledged).await;
            }
        }
        server.kill9();
    });
}

/// The server of a log with entries begins to refuse writes: each call names that cause. A reader
/// does not take the entries for damaged.
#[test]
fn a_server_without_writes_is_named_as_the_cause() {
    block_on(async {
        let Some(server) = private_server() else {
            return;
        };
        let pool = pool(server, 1);
        let logs = both(server, "statewise_revocations", PATIENCE).await;
        append(&logs[0], &facts(3, 1_000)).await;
        let silences = Arc::new(crate::silence::Silences::default());
        let builder = Postgres::over(pool.clone()).table(sessions_for("statewise_revocations"));
        let builder = builder.observer(silences.clone());
        let watched = builder.deadline(PATIENCE).build().unwrap().sessions();
        let expected = [
            "postgres silent Some(\"it accepts no writes\")",
            "postgres answers",
        ];
        for (to, cause) in [
            ("on", Some("the database accepts no writes")),
            ("off", None),
        ] {
            let set = format!("ALTER SYSTEM SET default_transaction_read_only = {to}");
            sql(&pool, "", &set).await;
            sql(&pool, "", "SELECT pg_reload_conf()").await;
            for log in &logs {
                // The reload reaches each process of the server a little later.
                let begun = std::time::Instant::now();
                while log.head(now()).await.is_err() != cause.is_some() {
                    assert!(begun.elapsed() < PATIENCE, "{to}");
                }
                for (what, answer) in [
                    ("read", log.read(0, 9, now()).await.map(drop)),
                    ("read after the end", log.read(9, 9, now()).await.map(drop)),
                    ("head", log.head(now()).await.map(drop)),
                    ("append", log.append(&facts(1, 9), now()).await.map(drop)),
                    ("fence", log.fence(now()).await),
                ] {
                    let found = answer.err().map(|error| cases::chain(&error));
                    let fits = match (&found, cause) {
                        (Some(found), Some(cause)) => found.contains(cause),
                        (found, cause) => found.is_none() && cause.is_none(),
                    };
                    assert!(fits, "{to}: {what}: {found:?}");
                }
            }
            // The outage has a line, and so has its end.
            let expected = &expected[..if cause.is_some() { 1 } else { 2 }];
            let begun = std::time::Instant::now();
            while silences.seen() != expected {
                let _ = watched.count_live(now()).await;
                assert!(begun.elapsed() < PATIENCE, "{:?}", silences.seen());
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        server.kill9();
    });
}

#[test]
fn a_paused_server_is_unavailable_within_the_deadline() {
    block_on(async {
        let Some(server) = private_server() else {
            return;
        };
        let deadline = Duration::from_millis(300);
        for log in both(server, "statewise_revocations", deadline).await {
            let before = patiently(async || log.append(&facts(3, 1_000), now()).await).await;
            let log = Arc::new(log);
            server.pause();
            cases::all_unavailable(&log, deadline).await;
            server.resume();
            let head = patiently(async || log.head(now()).await).await;
            // A dropped append is present or not; nothing else is.
            assert!([0, 2].contains(&(head.position() - before.position())));
            patiently(async || log.append(&facts(1, 9), now()).await).await;
        }
        server.kill9();
    });
}

#[test]
fn concurrent_migrations_succeed() {
    if_served(async {
        for _ in 0..3 {
            let table = table();
            let mut tasks = Vec::new();
            for node in 0..8 {
                let table = table.clone();
                tasks.push(tokio::spawn(async move {
                    if node % 2 == 0 {
                        let node = by_sqlx(&POOLS[node / 2 % 2], &table, PATIENCE);
                        node.migrate().await.unwrap();
                        node.revocations().head(now()).await.unwrap()
                    } else {
                        let node = pipelined(server(), &table, PATIENCE);
                        node.migrate().await.unwrap();
                        node.revocations().head(now()).await.unwrap()
                    }
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
    if_served(async {
        let table = table();
        let logs = both(server(), &table, PATIENCE).await.map(Arc::new);
        cases::new_entries_are_not_trimmed(logs, async || expire(&table, 100_000).await).await;
    });
}

#[test]
fn a_log_without_its_data_gets_another_incarnation() {
    if_served(async {
        let table = table();
        for log in both(server(), &table, PATIENCE).await {
            let run = async |statement: &str| sql(&POOLS[0], &table, statement).await;
            cases::lost_data_begins_another_incarnation(&log, run).await;
            let before = all(&log).await.incarnation;
            sql(&POOLS[0], &table, "DROP TABLE {log}, {head}").await;
            cases::assert_unavailable("no table", &log.head(now()).await);
            let node = by_sqlx(&POOLS[0], &table, PATIENCE);
            node.migrate().await.unwrap();
            assert_ne!(all(&node.revocations()).await.incarnation, before);
        }
    });
}

#[test]
fn damaged_entries_are_unavailable() {
    if_served(async {
        let bytes = |bytes: &[u8]| {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("'\\x{hex}'")
        };
        for client in 0..2 {
            let table = table();
            let log = &both(server(), &table, PATIENCE).await[client];
            let run = async |statement: &str| sql(&POOLS[0], &table, statement).await;
            cases::damaged_entries_are_unavailable(log, run, bytes).await;
            let run = async |statement: &str| sql(&POOLS[0], &table, statement).await;
            run("DELETE FROM {head}").await;
            append(log, &facts(2, 1_000)).await;
            // A type of a different length.
            run("UPDATE {log} SET fact = '\\x01' WHERE position = 1").await;
            cases::assert_unavailable("short", &log.read(1, 9, now()).await);
        }
    });
}

/// A foreign transaction that locks the head row.
#[test]
fn a_foreign_lock_makes_writes_unavailable() {
    if_served(async {
        let table = table();
        for log in both(server(), &table, Duration::from_millis(300)).await {
            patiently(async || log.head(now()).await).await;
            let mut holding = POOLS[0].begin().await.unwrap();
            let lock = format!("SELECT * FROM {table}_head FOR UPDATE");
            sqlx::raw_sql(AssertSqlSafe(lock))
                .fetch_all(&mut *holding)
                .await
                .unwrap();
            let append = log.append(&facts(1, 9), now()).await;
            cases::assert_unavailable("append", &append);
            cases::assert_unavailable("fence", &log.fence(now()).await);
            // Readers do not wait.
            patiently(async || log.head(now()).await).await;
            holding.rollback().await.unwrap();
            patiently(async || log.append(&facts(1, 9), now()).await).await;
        }
    });
}

/// A standby answers nothing, because its data may be outdated.
#[test]
fn a_replica_is_unavailable() {
    block_on(async {
        let Some(server) = PostgresServer::with(&[]) else {
            return;
        };
        let server: &'static PostgresServer = Box::leak(Box::new(server));
        let logs = both(server, "statewise_revocations", PATIENCE).await;
        append(&logs[0], &facts(3, 1_000)).await;
        server.kill9();
        let signal = server.folder().join("data/standby.signal");
        std::fs::write(&signal, "").unwrap();
        server.restart();
        let pool = pool(server, 2);
        let begun = std::time::Instant::now();
        // The standby can read the rows.
        while let Err(error) = sqlx::raw_sql("SELECT position FROM statewise_revocations_head")
            .fetch_one(&pool)
            .await
        {
            assert!(begun.elapsed() < PATIENCE, "{error}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        for log in logs {
            cases::all_unavailable(&Arc::new(log), PATIENCE).await;
        }
        server.kill9();
    });
}

/// Appends of many nodes under each isolation level that a connection may have.
#[test]
fn races_succeed_under_every_isolation() {
    if_served(async {
        for level in ["repeatable read", "serializable", "read committed"] {
            let option = [("default_transaction_isolation", level)];
            let pool = pool_with(server(), 8, &option);
            let node = by_sqlx(&pool, &table(), PATIENCE);
            node.migrate().await.unwrap();
            let log = Arc::new(node.revocations());
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

/// The public schema text creates the table that the log uses; reserved words are valid names.
#[test]
fn works_on_the_public_schema_and_under_any_name() {
    if_served(async {
        sql(&POOLS[0], "", postgres::SCHEMA).await;
        sql(&POOLS[0], "", postgres::SCHEMA).await;
        sql(&POOLS[0], "", "CREATE SCHEMA IF NOT EXISTS app").await;
        for name in ["statewise_revocations", "app.order", "user", "_a9"] {
            for log in both(server(), name, PATIENCE).await {
                append(&log, &facts(2, 9)).await;
                log.fence(now()).await.unwrap();
            }
            let node = by_sqlx(&POOLS[0], name, PATIENCE);
            assert_eq!(all(&node.revocations()).await.entries.len(), 4);
            // The server of the tests does not sync.
            let refused = node.require_durable().await;
            assert!(refused.is_err_and(|error| error.is_misuse()));
        }
    });
}
