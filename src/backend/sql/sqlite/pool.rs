//! The application's pool of connections to SQLite.

use std::fmt;
use std::sync::Arc;

use sqlx::sqlite::SqliteRow;
use sqlx::{Connection as _, Row as _, SqliteConnection, SqlitePool};
use tokio::sync::Mutex;

use crate::backend::durability::{Durability, Survives};
use crate::backend::sql::failure::Failure;
use crate::backend::sql::generic::driver::{Act, Dialect, Driver, Migration, Mode, client};
use crate::backend::sql::generic::pause::Pause;
use crate::backend::sql::sqlite::schema::{DIALECT, READ_ONLY, schema_of};
use crate::backend::sql::table::{Table, Tables};
use crate::error::{Error, Result};

const EXCLUSIVE: &str = "the pragma `locking_mode` locks out other connections: set it to `normal`";

/// The application's pool of connections, and the queue of its writers.
pub struct Pool {
    pool: SqlitePool,
    /// Held by the call that writes. SQLite has one writer: other calls that write wait here, in
    /// order, and occupy no connection meanwhile.
    writer: Mutex<()>,
}

client!(SqliteConnection, SqliteRow);

/// Returns true if another connection was writing, so that the act may be tried again.
fn is_busy(failure: &Failure) -> bool {
    let Failure::Refused(code) = failure else {
        return false;
    };
    // The lower byte is the code without its reason: busy, or locked within a shared cache.
    code.parse::<u32>()
        .is_ok_and(|code| matches!(code & 0xff, 5 | 6))
}

impl Pool {
    pub(crate) fn new(pool: SqlitePool) -> Self {
        Self {
            pool,
            writer: Mutex::new(()),
        }
    }

    /// Returns the first row of a pragma of the database that a table is in.
    async fn pragma(&self, table: &Table, name: &str) -> Result<Option<SqliteRow>, Failure> {
        let pragma = match table.schema() {
            Some(schema) => format!("PRAGMA \"{schema}\".{name}"),
            None => format!("PRAGMA {name}"),
        };
        let rows = self.rows(&pragma.into(), &[]).await?;
        Ok(rows.into_iter().next())
    }

    async fn journal_mode(&self, table: &Table) -> Result<String, Failure> {
        let row = self.pragma(table, "journal_mode").await?;
        Ok(row.and_then(|row| row.try_get(0).ok()).unwrap_or_default())
    }

    async fn crash(&self, table: &Table) -> Result<Survives, Failure> {
        let mode = self.journal_mode(table).await?;
        let row = self.pragma(table, "synchronous").await?;
        let synchronous: Option<i64> = row.and_then(|row| row.try_get(0).ok());
        Ok(match (mode.as_str(), synchronous) {
            (_, None) => Survives::Unknown,
            ("wal" | "truncate" | "persist", Some(2..)) | ("delete", Some(3..)) => Survives::All,
            _ => Survives::NotAll,
        })
    }
}

impl Driver for Pool {
    type Connection = SqliteConnection;

    const DIALECT: Dialect = DIALECT;

    async fn run<A: Act<SqliteConnection>>(
        &self,
        mode: Mode,
        act: &A,
    ) -> Result<A::Answer, Failure> {
        let _turn = if mode == Mode::Read {
            None
        } else {
            Some(self.writer.lock().await)
        };
        let mut pause = Pause::new();
        loop {
            let mut connection = self.pool.acquire().await?;
            let answer = if mode == Mode::Transaction {
                transaction(&mut connection, act).await
            } else {
                act.run(&mut connection).await
            };
            match answer {
                Ok(answer) => return Ok(answer),
                // The database itself ended an earlier transaction of this connection, as it does
                // when the disk is full, and the client takes it for open.
                Err(sqlx::Error::InvalidSavePointStatement) => connection.close_on_drop(),
                Err(error) => {
                    let failure = Failure::from(error);
                    if !is_busy(&failure) {
                        if mode == Mode::Transaction {
                            connection.close_on_drop();
                        }
                        return Err(failure);
                    }
                }
            }
            drop(connection);
            pause.wait().await;
        }
    }

    async fn migrate(&self, tables: &Tables) -> Result<()> {
        for table in [&tables.sessions, &tables.log] {
            // A database in memory has no other journal mode than its own.
            if !["wal", "memory"].contains(&self.journal_mode(table).await?.as_str()) {
                return Err(Error::misuse(
                    "the database has no write-ahead log, so readers and writers block each \
                     other: open it with `journal_mode(SqliteJournalMode::Wal)`",
                ));
            }
        }
        let migration = Migration(schema_of(tables).into());
        match self.run(Mode::Transaction, &migration).await {
            Err(Failure::ReadOnlyFile) => Err(Error::misuse(READ_ONLY)),
            migrated => Ok(migrated?),
        }
    }

    async fn unfit_settings(&self, tables: &Tables) -> Result<Vec<String>, Failure> {
        let mut unfit = Vec::new();
        for table in [&tables.sessions, &tables.log] {
            let mode = self.pragma(table, "locking_mode").await?;
            let mode: Option<String> = mode.and_then(|row| row.try_get(0).ok());
            if mode.is_some_and(|mode| mode == "exclusive") {
                unfit.push(EXCLUSIVE.to_owned());
            }
        }
        Ok(unfit)
    }

    async fn durability(&self, tables: &Tables) -> Result<Option<Durability>, Failure> {
        let crash = match self.crash(&tables.sessions).await? {
            Survives::All => self.crash(&tables.log).await?,
            crash => crash,
        };
        Ok(Some(Durability::new(crash, Survives::Unknown)))
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the pool: its options contain a path.
        f.debug_struct("Pool")
            .field("connections", &self.pool.size())
            .finish_non_exhaustive()
    }
}

/// Runs an act in a transaction that may write from its beginning, so that no other write comes in
/// between.
async fn transaction<A: Act<SqliteConnection>>(
    connection: &mut SqliteConnection,
    act: &A,
) -> Result<A::Answer, sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let answer = act.run(&mut transaction).await?;
    transaction.commit().await?;
    Ok(answer)
}
