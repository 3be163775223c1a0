//! A log in SQLite, through the application's own pool of sqlx.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::SqliteRow;
use sqlx::{SqliteConnection, SqlitePool};

use crate::backend::durability::Durability;
use crate::backend::sql::client::{Client as _, Value};
use crate::backend::sql::failure::Cause;
use crate::backend::sql::log::append::{Append, Begin};
use crate::backend::sql::log::statements::Dialect;
use crate::backend::sql::log::tables::{Carrier, Tables, log};
use crate::backend::sql::log::{HEAD, TABLE, unanswered};
use crate::backend::sql::settings::Settings;
use crate::backend::sql::sqlite::pool::{Pool, Transact};
use crate::backend::sql::table::Table;
use crate::error::Result;
use crate::login::stamp::Stamp;

/// The schema for the default table, `statewise_revocations`, for those who apply their migrations
/// by a tool of their own; [`log_schema`] has it for a table of another name.
///
/// Applying it again changes nothing. The second table holds one row, which counts; the log makes
/// it at its first use.
pub const LOG_SCHEMA: &str = r#"CREATE TABLE IF NOT EXISTS "statewise_revocations" (
    "position" INTEGER NOT NULL PRIMARY KEY,
    "nonce" BLOB NOT NULL,
    "fact" BLOB NOT NULL,
    "life" INTEGER NOT NULL,
    "stays_until" INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS "statewise_revocations_head" (
    "id" INTEGER NOT NULL PRIMARY KEY CHECK ("id" = 1),
    "position" INTEGER NOT NULL,
    "incarnation" INTEGER NOT NULL,
    "nonce" BLOB NOT NULL,
    "first" INTEGER NOT NULL,
    "fenced" INTEGER NOT NULL
);
"#;

/// The schema for a table called `table`, which may be qualified by the name under which a
/// database is attached.
///
/// # Errors
///
/// *Misuse* if a name is not of at most 41 lower case letters, digits and underscores that do not
/// begin with a digit.
pub fn log_schema(table: &str) -> Result<String> {
    Ok(schema_of(&Table::parse(table)?))
}

fn schema_of(table: &Table) -> String {
    LOG_SCHEMA
        .replace(r#""statewise_revocations""#, &table.quoted("", '"'))
        .replace(r#""statewise_revocations_head""#, &table.quoted(HEAD, '"'))
}

const DIALECT: Dialect = Dialect {
    quote: '"',
    // Whoever writes here is the only one.
    lock: "",
    clock: "0",
    clock_and: "?",
    is_primary: "TRUE",
};

/// Revocations in SQLite, through the application's own [`SqlitePool`]: for the processes of one
/// machine, one of which writes at a time.
///
/// ```no_run
/// use std::time::Duration;
/// use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
/// use statewise::revocation::{RevocationView, SqliteLog};
///
/// # async fn open() -> Result<RevocationView, Box<dyn std::error::Error>> {
/// let options = SqliteConnectOptions::new()
///     .filename("revocations.db")
///     .create_if_missing(true)
///     .journal_mode(SqliteJournalMode::Wal)
///     .synchronous(SqliteSynchronous::Full);
/// let pool = SqlitePoolOptions::new().test_before_acquire(false).connect_with(options).await?;
/// let log = SqliteLog::sqlx(pool).build()?;
/// log.migrate().await?;
/// log.require_durable().await?;
/// let view = RevocationView::builder(log).max_lifetime(Duration::from_secs(24 * 3600)).build()?;
/// # Ok(view)
/// # }
/// ```
///
/// An append is one transaction, which has the right to write from its beginning. Entries stay by
/// the clock of the caller: an entry goes when somebody appends whose clock says that it has had
/// its time. Of the pool, what [`SqliteStore`](crate::store::SqliteStore) says goes here too:
/// write-ahead logging is expected, and `synchronous(Full)` is what makes a revocation survive a
/// power failure.
pub struct SqliteLog(Tables<Pool>);

log!(SqliteLog, "SqliteLog", |now| Some(now));

/// What a [`SqliteLog`] is told before it is built.
#[must_use = "a builder does nothing until it is built"]
pub struct SqliteLogBuilder {
    pool: SqlitePool,
    settings: Settings,
}

impl SqliteLogBuilder {
    /// The table, or `database.table` with the name under which a database is attached; what
    /// counts is beside it, under that name and `_head`. Default: `statewise_revocations`.
    pub fn table(mut self, table: impl Into<String>) -> Self {
        self.settings.table = table.into();
        self
    }

    /// How long an act may take, waiting for a connection included; then it is *unavailable*.
    /// Default: two seconds.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.settings.deadline = deadline;
        self
    }

    /// Vouches that the database keeps what it acknowledged, where the log cannot learn it; what
    /// is known to be lost stays refused by [`require_durable`](SqliteLog::require_durable).
    pub fn assume_durable(mut self) -> Self {
        self.settings.assumes_durable = true;
        self
    }

    /// The log. Asks the database nothing.
    ///
    /// # Errors
    ///
    /// *Misuse* for a table name that is not of lower case letters, digits and underscores, or a
    /// deadline of zero.
    pub fn build(self) -> Result<SqliteLog> {
        let pool = Pool::new(self.pool);
        Ok(SqliteLog(Tables::new(&self.settings, &DIALECT, pool)?))
    }
}

impl fmt::Debug for SqliteLogBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteLogBuilder")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl SqliteLog {
    /// A log in the database of a pool, which stays the application's.
    pub fn sqlx(pool: SqlitePool) -> SqliteLogBuilder {
        SqliteLogBuilder {
            pool,
            settings: Settings::new(TABLE),
        }
    }

    /// Makes the tables, if they are not there: [`LOG_SCHEMA`]. Any number of processes may do so at
    /// once.
    ///
    /// # Errors
    ///
    /// *Misuse* if the database is a file without write-ahead logging; *unavailable* if it could
    /// not answer.
    ///
    /// # Cancel safety
    ///
    /// Trying again is safe.
    pub async fn migrate(&self) -> Result<()> {
        let migrated = async {
            let table = &self.0.table;
            let migrated = self.0.carrier.migrate(table, schema_of(table), unanswered);
            migrated.await?;
            self.0.begin().await
        };
        self.0.in_time(migrated).await
    }

    /// What survives, as far as a connection of the pool can tell; the same as
    /// [`SqliteStore::durability`](crate::store::SqliteStore::durability).
    ///
    /// # Errors
    ///
    /// *Unavailable* if the database could not answer.
    pub async fn durability(&self) -> Result<Durability> {
        let known = async {
            let known = self.0.carrier.durability(&self.0.table).await;
            known.map_err(unanswered)
        };
        self.0.in_time(known).await
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

impl Carrier for Pool {
    type Row = SqliteRow;

    async fn rows(
        &self,
        statement: &Arc<str>,
        values: &[Value<'_>],
    ) -> Result<Vec<SqliteRow>, Cause> {
        self.rows(statement, values).await
    }

    async fn write(&self, statement: &Arc<str>) -> Result<u64, Cause> {
        self.write(statement, &[]).await
    }

    async fn append(&self, append: &Append<'_>) -> Result<Stamp, Cause> {
        self.transact(append).await
    }

    async fn begin(&self, begin: &Begin<'_>) -> Result<(), Cause> {
        self.transact(begin).await
    }
}

impl Transact for Append<'_> {
    type Answer = Stamp;

    async fn act(&self, connection: &mut SqliteConnection) -> Result<Stamp, sqlx::Error> {
        self.run(connection).await
    }
}

impl Transact for Begin<'_> {
    type Answer = ();

    async fn act(&self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        // Nobody else writes meanwhile.
        if !connection
            .rows(&self.statements.count, &[])
            .await?
            .is_empty()
        {
            return Ok(());
        }
        self.run(connection).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_follows_the_name() {
        assert_eq!(log_schema(TABLE).unwrap(), LOG_SCHEMA);
        let other = log_schema("app.ended").unwrap();
        assert!(other.starts_with(r#"CREATE TABLE IF NOT EXISTS "app"."ended" ("#));
        assert!(other.contains(r#"CREATE TABLE IF NOT EXISTS "app"."ended_head" ("#));
        assert!(!other.contains(TABLE));
        assert!(log_schema("a\" (x); DROP TABLE b; --").is_err());
    }
}
