//! The application's pool of connections to SQLite.

use std::fmt;
use std::sync::Arc;

use sqlx::pool::PoolConnection;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Connection as _, Row as _, Sqlite, SqliteConnection, SqlitePool};
use tokio::sync::Mutex;

use crate::backend::durability::{Durability, Survives};
use crate::backend::sql::client::{Client, Value, client};
use crate::backend::sql::failure::Cause;
use crate::backend::sql::pause::Pause;
use crate::backend::sql::table::Table;
use crate::error::{Error, Result};

client!(SqliteConnection, Sqlite, SqliteRow);

/// The pool, and the turn of the one that writes.
pub(crate) struct Pool {
    pool: SqlitePool,
    /// Held by the one call that writes. SQLite has one writer; who waits here waits in order, and
    /// keeps no connection from those who read.
    writer: Mutex<()>,
}

/// Whether somebody else was writing, so that it is worth trying again.
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    let code = code.and_then(|code| code.parse::<u32>().ok());
    // The lower byte is the code without its reason: busy, or locked within a shared cache.
    code.is_some_and(|code| matches!(code & 0xff, 5 | 6))
}

impl Pool {
    pub(crate) fn new(pool: SqlitePool) -> Self {
        Self {
            pool,
            writer: Mutex::new(()),
        }
    }

    async fn connection(&self) -> Result<PoolConnection<Sqlite>, Cause> {
        Ok(self.pool.acquire().await?)
    }

    /// The rows that a statement answers which does not write.
    pub(crate) async fn rows(
        &self,
        statement: &Arc<str>,
        values: &[Value<'_>],
    ) -> Result<Vec<SqliteRow>, Cause> {
        let mut pause = Pause::new();
        loop {
            let mut connection = self.connection().await?;
            match connection.rows(statement, values).await {
                Err(error) if is_busy(&error) => {}
                answer => return Ok(answer?),
            }
            drop(connection);
            pause.pass().await;
        }
    }

    /// Runs a statement that writes; how many rows it found to write.
    pub(crate) async fn write(
        &self,
        statement: &Arc<str>,
        values: &[Value<'_>],
    ) -> Result<u64, Cause> {
        let _turn = self.writer.lock().await;
        let mut pause = Pause::new();
        loop {
            let mut connection = self.connection().await?;
            match connection.write(statement, values).await {
                Err(error) if is_busy(&error) => {}
                answer => return Ok(answer?),
            }
            drop(connection);
            pause.pass().await;
        }
    }

    /// Runs several statements in one transaction, which has the right to write from its
    /// beginning, so that nobody else's write comes between.
    pub(crate) async fn transact<T>(&self, act: &impl Transact<Answer = T>) -> Result<T, Cause> {
        let _turn = self.writer.lock().await;
        let mut pause = Pause::new();
        loop {
            let mut connection = self.connection().await?;
            match run(&mut connection, act).await {
                Ok(answer) => return Ok(answer),
                Err(error) if is_busy(&error) => {}
                // An earlier transaction of this connection was ended by the database itself, as
                // a full disk does, and the client takes it for open.
                Err(sqlx::Error::InvalidSavePointStatement) => connection.close_on_drop(),
                Err(error) => {
                    connection.close_on_drop();
                    return Err(error.into());
                }
            }
            drop(connection);
            pause.pass().await;
        }
    }

    /// The first row that a pragma of a table's database answers.
    async fn pragma(&self, table: &Table, name: &str) -> Result<Option<SqliteRow>, Cause> {
        let pragma: Arc<str> = match table.schema() {
            Some(schema) => format!("PRAGMA \"{schema}\".{name}").into(),
            None => format!("PRAGMA {name}").into(),
        };
        let rows = self.rows(&pragma, &[]).await?;
        Ok(rows.into_iter().next())
    }

    async fn journal_mode(&self, table: &Table) -> Result<String, Cause> {
        let row = self.pragma(table, "journal_mode").await?;
        Ok(row.and_then(|row| row.try_get(0).ok()).unwrap_or_default())
    }

    /// What survives, as far as a connection of the pool can tell.
    pub(crate) async fn durability(&self, table: &Table) -> Result<Durability, Cause> {
        let mode = self.journal_mode(table).await?;
        let row = self.pragma(table, "synchronous").await?;
        let synchronous: Option<i64> = row.and_then(|row| row.try_get(0).ok());
        let crash = match (mode.as_str(), synchronous) {
            (_, None) => Survives::Unknown,
            ("wal" | "truncate" | "persist", Some(2..)) | ("delete", Some(3..)) => Survives::All,
            _ => Survives::NotAll,
        };
        Ok(Durability::new(crash, Survives::Unknown))
    }

    /// Applies a schema. `failed` says what the failure is.
    pub(crate) async fn migrate(
        &self,
        table: &Table,
        schema: String,
        failed: impl Fn(Cause) -> Error,
    ) -> Result<()> {
        match self.journal_mode(table).await.map_err(&failed)?.as_str() {
            // A database in memory has no other.
            "wal" | "memory" => {
                let migration = Migration(schema.into());
                self.transact(&migration).await.map_err(failed)
            }
            _ => Err(Error::misuse(
                "the database has no write-ahead log, so that readers and writers shut each other \
                 out: open it with `journal_mode(SqliteJournalMode::Wal)`",
            )),
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the pool itself, whose options have a path.
        f.debug_struct("Sqlite")
            .field("connections", &self.pool.size())
            .finish_non_exhaustive()
    }
}

/// Several statements that are one step.
pub(crate) trait Transact: Sync {
    type Answer: Send;

    fn act(
        &self,
        connection: &mut SqliteConnection,
    ) -> impl Future<Output = Result<Self::Answer, sqlx::Error>> + Send;
}

async fn run<T: Transact>(
    connection: &mut SqliteConnection,
    act: &T,
) -> Result<T::Answer, sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let answer = act.act(&mut transaction).await?;
    transaction.commit().await?;
    Ok(answer)
}

/// What a schema makes, at once or not at all.
struct Migration(Arc<str>);

impl Transact for Migration {
    type Answer = ();

    async fn act(&self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let schema = AssertSqlSafe(Arc::clone(&self.0));
        sqlx::raw_sql(schema).execute(connection).await.map(drop)
    }
}
