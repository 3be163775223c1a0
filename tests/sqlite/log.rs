//! One file for each log.

#[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
mod reader;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, SqlitePool};
use statewise::authenticator::BoxFuture;
use statewise::revocation::SqliteLog;
use statewise::revocation::log::RevocationLog;
use statewise::store::{Sqlite, sqlite};
use statewise::testkit::LogFixture;

use super::log_cases::{self as cases, Named, all, append, facts, holds};
use super::runtime::{block_on, spread};

/// A folder that is removed on drop.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("statewise-log-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("revocations.db")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn pool(file: PathBuf, synchronous: SqliteSynchronous) -> SqlitePool {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous)
        .busy_timeout(Duration::from_millis(50));
    let pool = SqlitePoolOptions::new().max_connections(3);
    let pool = pool.test_before_acquire(false).connect_with(options);
    pool.await.unwrap()
}

fn database(pool: &SqlitePool) -> Sqlite {
    let builder = Sqlite::over(pool.clone()).deadline(Duration::from_secs(60));
    builder.build().unwrap()
}

/// A log in a table that exists.
async fn migrated(pool: &SqlitePool) -> SqliteLog {
    let database = database(pool);
    database.migrate().await.unwrap();
    database.revocations()
}

async fn sql(pool: &SqlitePool, statement: &str) {
    let statement = statement
        .replace("{log}", "statewise_revocations")
        .replace("{head}", "statewise_revocations_head");
    let statement = sqlx::raw_sql(AssertSqlSafe(statement));
    statement.execute(pool).await.unwrap();
}

/// Opens a new file for each log, and another pool for each node.
#[derive(Default)]
struct Files(Mutex<Vec<Folder>>);

impl Files {
    async fn node(&self, file: String) -> Named<SqliteLog> {
        let pool = pool(PathBuf::from(&file), SqliteSynchronous::Off).await;
        // The log is created at its first use.
        sqlx::raw_sql(sqlite::SCHEMA).execute(&pool).await.unwrap();
        Named {
            log: database(&pool).revocations(),
            table: file,
        }
    }
}

impl LogFixture for Files {
    type Log = Named<SqliteLog>;

    async fn open(&self) -> Self::Log {
        let folder = Folder::new();
        let file = folder.file();
        self.0.lock().unwrap().push(folder);
        self.node(file.to_str().unwrap().to_owned()).await
    }

    async fn again(&self, log: &Self::Log) -> Self::Log {
        self.node(log.table.clone()).await
    }

    async fn advance(&self, _: &Self::Log, _: Duration) {}

    async fn spread(&self, futures: Vec<BoxFuture<'static, ()>>) {
        spread(futures).await;
    }
}

mod laws {
    use super::{Files, block_on};

    statewise::testkit::revocation_log_laws!(Files::default(), block_on = block_on);
}

/// A durable log in a folder.
async fn fresh() -> (Folder, SqlitePool, SqliteLog) {
    let folder = Folder::new();
    let pool = pool(folder.file(), SqliteSynchronous::Full).await;
    let log = migrated(&pool).await;
    database(&pool).require_durable().await.unwrap();
    (folder, pool, log)
}

#[test]
fn a_reopened_file_keeps_acknowledged_writes() {
    block_on(async {
        let (folder, mut open, mut log_now) = fresh().await;
        let mut acknowledged = Vec::new();
        for round in 1..4 {
            let facts = facts(round, 1_000);
            let stamp = append(&log_now, &facts).await;
            acknowledged.push((facts, stamp));
            open.close().await;
            open = pool(folder.file(), SqliteSynchronous::Full).await;
            log_now = migrated(&open).await;
            assert_eq!(log_now.head(cases::now()).await.unwrap(), stamp);
            holds(&log_now, &acknowledged).await;
        }
    });
}

#[test]
fn concurrent_migrations_succeed() {
    block_on(async {
        let folder = Folder::new();
        // The file is in WAL mode from here on.
        let _first = pool(folder.file(), SqliteSynchronous::Off).await;
        let mut tasks = Vec::new();
        for _ in 0..8 {
            let file = folder.file();
            tasks.push(tokio::spawn(async move {
                let log = migrated(&pool(file, SqliteSynchronous::Off).await).await;
                log.head(cases::now()).await.unwrap()
            }));
        }
        let mut seen = Vec::new();
        for task in tasks {
            seen.push(task.await.unwrap());
        }
        seen.dedup();
        assert_eq!(seen.len(), 1, "more than one log was created");
    });
}

#[test]
fn a_file_without_write_ahead_logging_is_refused() {
    block_on(async {
        let folder = Folder::new();
        let options = SqliteConnectOptions::new().filename(folder.file());
        let options = options
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Delete);
        let pool = SqlitePool::connect_with(options).await.unwrap();
        let refused = database(&pool).migrate().await;
        assert!(refused.is_err_and(|error| error.is_misuse()));
    });
}

#[test]
fn a_file_that_does_not_sync_is_not_durable() {
    block_on(async {
        let folder = Folder::new();
        let database = database(&pool(folder.file(), SqliteSynchronous::Normal).await);
        database.migrate().await.unwrap();
        let refused = database.require_durable().await;
        assert!(refused.is_err_and(|error| error.is_misuse()));
    });
}

#[test]
fn new_entries_are_not_trimmed() {
    block_on(async {
        let (folder, _pool, log_here) = fresh().await;
        let there = database(&pool(folder.file(), SqliteSynchronous::Full).await).revocations();
        let logs = [Arc::new(log_here), Arc::new(there)];
        cases::new_entries_are_not_trimmed(logs, async || ()).await;
    });
}

#[test]
fn a_log_without_its_data_gets_another_incarnation() {
    block_on(async {
        let (_folder, pool, log) = fresh().await;
        cases::lost_data_begins_another_incarnation(&log, async |statement| {
            sql(&pool, statement).await;
        })
        .await;
        let before = all(&log).await.incarnation;
        sql(&pool, "DROP TABLE {log}; DROP TABLE {head}").await;
        cases::assert_unavailable("no table", &log.head(cases::now()).await);
        database(&pool).migrate().await.unwrap();
        assert_ne!(all(&log).await.incarnation, before);
    });
}

#[test]
fn damaged_entries_are_unavailable() {
    block_on(async {
        let (_folder, pool, log) = fresh().await;
        let bytes = |bytes: &[u8]| {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("X'{hex}'")
        };
        let run = async |statement: &str| sql(&pool, statement).await;
        cases::damaged_entries_are_unavailable(&log, run, bytes).await;
    });
}

/// Another process that keeps a write transaction open.
#[test]
fn a_foreign_transaction_makes_writes_unavailable() {
    block_on(async {
        let (_folder, pool, patient) = fresh().await;
        let stamp = append(&patient, &facts(3, 1_000)).await;
        let hasty = Sqlite::over(pool.clone()).deadline(Duration::from_millis(200));
        let log = hasty.build().unwrap().revocations();
        let writing = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
        let append = log.append(&facts(1, 9), cases::now()).await;
        cases::assert_unavailable("append", &append);
        cases::assert_unavailable("fence", &log.fence(cases::now()).await);
        // Readers do not block writers.
        let head = cases::patiently(async || log.head(cases::now()).await).await;
        assert_eq!(head, stamp);
        writing.rollback().await.unwrap();
        cases::patiently(async || log.append(&facts(1, 9), cases::now()).await).await;
        assert_eq!(all(&log).await.entries.len(), 4);
    });
}
