//! A process that opens the file of the log read-only.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, SqlitePool};
use statewise::Error;
use statewise::revocation::SqliteLog;
use statewise::revocation::log::RevocationLog as _;
use statewise::store::{Sqlite, sqlite};

use super::{Files, Named, append, block_on, database, facts, fresh, sql};
use crate::log_cases::{self as cases, now};
use crate::log_reader::{Paired, ReaderFixture, follows_with_read_rights};

async fn read_only(file: &Path) -> SqlitePool {
    let options = SqliteConnectOptions::new().filename(file).read_only(true);
    SqlitePoolOptions::new()
        .max_connections(3)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .connect_with(options)
        .await
        .unwrap()
}

fn reader(pool: &SqlitePool) -> SqliteLog {
    let builder = Sqlite::over(pool.clone()).deadline(std::time::Duration::from_secs(60));
    builder.build_log_reader().unwrap()
}

impl ReaderFixture for Files {
    type Reader = SqliteLog;

    async fn reader(&self, log: &Named<SqliteLog>) -> SqliteLog {
        reader(&read_only(&PathBuf::from(&log.table)).await)
    }
}

mod laws {
    use super::{Files, Paired, block_on};

    statewise::testkit::revocation_log_laws!(Paired(Files::default()), block_on = block_on);
}

#[test]
fn a_process_follows_with_a_read_only_file() {
    block_on(async {
        let (folder, pool, writer) = fresh().await;
        // A log that also writes can be read.
        writer.check().await.unwrap();
        let reader = reader(&read_only(&folder.file()).await);
        reader.check().await.unwrap();
        // SQLite has no rights: a table with another name cannot be read.
        follows_with_read_rights(
            Arc::new(writer),
            Arc::new(reader),
            async || {
                sql(
                    &pool,
                    "CREATE TABLE kept AS SELECT * FROM {log}; DROP TABLE {log}",
                )
                .await;
            },
            async || {
                sql(&pool, sqlite::SCHEMA).await;
                sql(
                    &pool,
                    "INSERT INTO {log} SELECT * FROM kept; DROP TABLE kept",
                )
                .await;
            },
        )
        .await;
    });
}

/// Nothing can be written, and a log without its counter is not begun.
#[test]
fn a_read_only_file_is_not_written() {
    block_on(async {
        let (folder, pool, writer) = fresh().await;
        append(&writer, &facts(3, 900)).await;
        let read_only = read_only(&folder.file()).await;
        let reader = reader(&read_only);
        let before = reader.read(0, 9, now()).await.unwrap();
        for statement in [
            "INSERT INTO {log} SELECT position + 9, nonce, fact, life, stays_until FROM {log}",
            "UPDATE {log} SET stays_until = 0",
            "DELETE FROM {log}",
            "DROP TABLE {log}",
            "UPDATE {head} SET position = 0",
            "DELETE FROM {head}",
            "PRAGMA user_version = 7",
        ] {
            let statement = statement
                .replace("{log}", "statewise_revocations")
                .replace("{head}", "statewise_revocations_head");
            let refused = sqlx::raw_sql(AssertSqlSafe(statement.clone()));
            let error = refused.execute(&read_only).await.expect_err(&statement);
            let code = error.as_database_error().and_then(|error| error.code());
            assert_eq!(code.as_deref(), Some("8"), "{statement}: {error}");
        }
        // Also through a log that is built to write.
        let writes = database(&read_only).revocations();
        for refused in [
            writes.append(&facts(1, 900), now()).await.map(drop),
            writes.fence(now()).await,
        ] {
            assert!(
                refused.as_ref().is_err_and(Error::is_unavailable),
                "{refused:?}"
            );
            let text = cases::chain(&refused.unwrap_err());
            let cause = "the database accepts no writes: open it without `read_only`";
            assert!(text.contains(cause), "{text}");
        }
        assert_eq!(reader.read(0, 9, now()).await.unwrap(), before);

        sql(&pool, "DELETE FROM {head}").await;
        let error = reader.check().await.unwrap_err();
        let text = error.to_string();
        assert!(
            error.is_unavailable() && text.contains("begins it"),
            "{error:?}"
        );
        sql(&pool, "DROP TABLE {log}").await;
        let reader = self::reader(&self::read_only(&folder.file()).await);
        let error = reader.check().await.unwrap_err();
        let text = error.to_string();
        assert!(
            error.is_misuse() && text.contains("statewise_revocations"),
            "{error:?}"
        );
    });
}
