//! What SQLite is set up to keep, and the making of its table.

use std::sync::Arc;

use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row as _, SqliteConnection};

use crate::error::{Error, Result};
use crate::store::sql::rowstore::{Driver as _, RowStore};
use crate::store::sql::sqlite::schema::schema_of;
use crate::store::sql::sqlite::{Connections, SqliteStore, Transact};
use crate::store::{Durability, Survives};

impl SqliteStore {
    /// What survives, as far as a connection of the pool can tell: a logout that was acknowledged
    /// survives a power failure with write-ahead logging and `synchronous(Full)`. Of a failover it
    /// knows nothing.
    ///
    /// | journal mode | synchronous | after a crash of the machine |
    /// |---|---|---|
    /// | `Wal`, `Truncate`, `Persist` | `Full`, `Extra` | all |
    /// | `Delete` | `Extra` | all |
    /// | any other, or in memory | any other | not all |
    ///
    /// # Errors
    ///
    /// *Unavailable* if the database could not answer.
    pub async fn durability(&self) -> Result<Durability> {
        self.0.in_time(self.0.durability()).await
    }

    /// Fails unless what was acknowledged survives a crash: to be called when a service starts.
    ///
    /// # Errors
    ///
    /// *Misuse* if it does not; *unavailable* if the database could not answer.
    pub async fn require_durable(&self) -> Result<()> {
        self.durability().await?.require(self.0.assumes_durable)
    }
}

impl RowStore<Connections> {
    /// The first row that a pragma of this database answers.
    async fn pragma(&self, name: &str) -> Result<Option<SqliteRow>> {
        let pragma: Arc<str> = match self.table.schema() {
            Some(schema) => format!("PRAGMA \"{schema}\".{name}").into(),
            None => format!("PRAGMA {name}").into(),
        };
        let rows = self.driver.rows(&pragma, &[]).await?;
        Ok(rows.into_iter().next())
    }

    async fn journal_mode(&self) -> Result<String> {
        let row = self.pragma("journal_mode").await?;
        Ok(row.and_then(|row| row.try_get(0).ok()).unwrap_or_default())
    }

    async fn durability(&self) -> Result<Durability> {
        let mode = self.journal_mode().await?;
        let row = self.pragma("synchronous").await?;
        let synchronous: Option<i64> = row.and_then(|row| row.try_get(0).ok());
        let crash = match (mode.as_str(), synchronous) {
            (_, None) => Survives::Unknown,
            ("wal" | "truncate" | "persist", Some(2..)) | ("delete", Some(3..)) => Survives::All,
            _ => Survives::NotAll,
        };
        Ok(Durability::new(crash, Survives::Unknown))
    }

    pub(super) async fn migrate(&self) -> Result<()> {
        match self.journal_mode().await?.as_str() {
            // A database in memory has no other.
            "wal" | "memory" => {
                let migration = Migration(schema_of(&self.table).into());
                self.driver.transact(&migration).await
            }
            _ => Err(Error::misuse(
                "the database has no write-ahead log, so that readers and writers shut each other \
                 out: open it with `journal_mode(SqliteJournalMode::Wal)`",
            )),
        }
    }
}

/// The table and its index, at once or not at all.
struct Migration(Arc<str>);

impl Transact for Migration {
    type Answer = ();

    async fn act(&self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let schema = AssertSqlSafe(Arc::clone(&self.0));
        sqlx::raw_sql(schema).execute(connection).await.map(drop)
    }
}
