//! A log in MySQL or MariaDB, through the application's own pool of sqlx.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sqlx::mysql::MySqlRow;
use sqlx::{MySqlConnection, MySqlPool};

use crate::backend::durability::Durability;
use crate::backend::sql::client::Value;
use crate::backend::sql::failure::Cause;
use crate::backend::sql::log::append::{Append, Begin};
use crate::backend::sql::log::statements::Dialect;
use crate::backend::sql::log::tables::{Carrier, Tables, log};
use crate::backend::sql::log::{HEAD, TABLE, unanswered};
use crate::backend::sql::mysql::pool::{Pool, Transact, is_duplicate};
use crate::backend::sql::settings::Settings;
use crate::backend::sql::table::Table;
use crate::error::Result;
use crate::login::stamp::Stamp;

/// The schema for the default table, `statewise_revocations`, for those who apply their migrations
/// by a tool of their own; [`log_schema`] has it for a table of another name.
///
/// Applying it again changes nothing. The second table holds one row, which counts; the log makes
/// it at its first use.
pub const LOG_SCHEMA: &str = "CREATE TABLE IF NOT EXISTS `statewise_revocations` (
    `position` BIGINT NOT NULL PRIMARY KEY,
    `nonce` BINARY(16) NOT NULL,
    `fact` BINARY(26) NOT NULL,
    `life` BIGINT NOT NULL,
    `stays_until` BIGINT NOT NULL
) ENGINE = InnoDB;
CREATE TABLE IF NOT EXISTS `statewise_revocations_head` (
    `id` SMALLINT NOT NULL PRIMARY KEY,
    `position` BIGINT NOT NULL,
    `incarnation` BIGINT NOT NULL,
    `nonce` BINARY(16) NOT NULL,
    `first` BIGINT NOT NULL,
    `fenced` BIGINT NOT NULL
) ENGINE = InnoDB;
";

/// The schema for a table called `table`, which may be qualified as `database.table`.
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
        .replace("`statewise_revocations`", &table.quoted("", '`'))
        .replace("`statewise_revocations_head`", &table.quoted(HEAD, '`'))
}

const DIALECT: Dialect = Dialect {
    quote: '`',
    lock: " FOR UPDATE",
    clock: "CAST(UNIX_TIMESTAMP() AS SIGNED)",
    // Of the moment at which the row that counts has been locked, and not of before.
    clock_and: "UNIX_TIMESTAMP() + ?",
    is_primary: "@@global.read_only = 0",
};

/// Revocations in MySQL or MariaDB, through the application's own [`MySqlPool`].
///
/// ```no_run
/// use std::time::Duration;
/// use sqlx::mysql::MySqlPoolOptions;
/// use statewise::revocation::{MySqlLog, RevocationView};
///
/// # async fn open() -> Result<RevocationView, Box<dyn std::error::Error>> {
/// let pool = MySqlPoolOptions::new().connect("mysql://app@localhost/app").await?;
/// let log = MySqlLog::sqlx(pool).build()?;
/// log.migrate().await?;
/// log.require_durable().await?;
/// let view = RevocationView::builder(log).max_lifetime(Duration::from_secs(24 * 3600)).build()?;
/// # Ok(view)
/// # }
/// ```
///
/// An append is one transaction, at *read committed*, which locks the row that counts; deadlocks
/// are tried again within the deadline. Entries stay by the clock of the server.
///
/// Never point it at a replica: what it answers would be of before. A server that is set to
/// `read_only` is taken for one, and is *unavailable*.
///
/// A call that is given up closes its connection. Of the pool, what
/// [`MySqlStore`](crate::store::MySqlStore) says of its own goes here too; keep the server's
/// default of *repeatable read*, or *read committed*, for its connections.
pub struct MySqlLog(Tables<Pool>);

log!(MySqlLog, "MySqlLog", |_now| None);

/// What a [`MySqlLog`] is told before it is built.
#[must_use = "a builder does nothing until it is built"]
pub struct MySqlLogBuilder {
    pool: MySqlPool,
    settings: Settings,
}

impl MySqlLogBuilder {
    /// The table, or `database.table`; what counts is beside it, under that name and `_head`.
    /// Default: `statewise_revocations`, in the database of the connection.
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

    /// Vouches that the server keeps what it acknowledged, where the log cannot learn it; what is
    /// known to be lost stays refused by [`require_durable`](MySqlLog::require_durable).
    pub fn assume_durable(mut self) -> Self {
        self.settings.assumes_durable = true;
        self
    }

    /// The log. Asks the server nothing.
    ///
    /// # Errors
    ///
    /// *Misuse* for a table name that is not of lower case letters, digits and underscores, or a
    /// deadline of zero.
    pub fn build(self) -> Result<MySqlLog> {
        let pool = Pool::new(self.pool);
        Ok(MySqlLog(Tables::new(&self.settings, &DIALECT, pool)?))
    }
}

impl fmt::Debug for MySqlLogBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MySqlLogBuilder")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl MySqlLog {
    /// A log in the database of a pool, which stays the application's.
    pub fn sqlx(pool: MySqlPool) -> MySqlLogBuilder {
        MySqlLogBuilder {
            pool,
            settings: Settings::new(TABLE),
        }
    }

    /// Makes the tables, if they are not there: [`LOG_SCHEMA`]. Any number of processes may do so at
    /// once: one does, and the others wait for it.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the server could not answer, or does not allow it.
    ///
    /// # Cancel safety
    ///
    /// Some may have been made. Trying again is safe.
    pub async fn migrate(&self) -> Result<()> {
        let migrated = async {
            let schema = schema_of(&self.0.table);
            let migrated = self.0.carrier.migrate(&self.0.table, schema).await;
            migrated.map_err(unanswered)?;
            self.0.begin().await
        };
        self.0.in_time(migrated).await
    }

    /// What survives, as far as the server tells; the same as
    /// [`MySqlStore::durability`](crate::store::MySqlStore::durability).
    ///
    /// # Errors
    ///
    /// *Unavailable* if the server could not answer.
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
    /// *Misuse* if it does not; *unavailable* if the server could not answer.
    pub async fn require_durable(&self) -> Result<()> {
        self.durability().await?.require(self.0.assumes_durable)
    }
}

impl Carrier for Pool {
    type Row = MySqlRow;

    async fn rows(
        &self,
        statement: &Arc<str>,
        values: &[Value<'_>],
    ) -> Result<Vec<MySqlRow>, Cause> {
        self.rows(statement, values).await
    }

    async fn write(&self, statement: &Arc<str>) -> Result<u64, Cause> {
        Ok(self.write(statement, &[]).await?.unwrap_or_default())
    }

    async fn append(&self, append: &Append<'_>) -> Result<Stamp, Cause> {
        match self.transact(append).await {
            // Somebody else has begun the log at this moment. If it is so again, this is a server
            // that does not take writes.
            Err(error) if is_duplicate(&error) => Ok(self.transact(append).await?),
            answer => Ok(answer?),
        }
    }

    async fn begin(&self, begin: &Begin<'_>) -> Result<(), Cause> {
        match self.transact(begin).await {
            Err(error) if is_duplicate(&error) => Ok(()),
            answer => Ok(answer?),
        }
    }
}

impl Transact for Append<'_> {
    type Answer = Stamp;

    async fn act(&self, connection: &mut MySqlConnection) -> Result<Stamp, sqlx::Error> {
        self.run(connection).await
    }
}

impl Transact for Begin<'_> {
    type Answer = ();

    async fn act(&self, connection: &mut MySqlConnection) -> Result<(), sqlx::Error> {
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
        assert!(other.starts_with("CREATE TABLE IF NOT EXISTS `app`.`ended` ("));
        assert!(other.contains("CREATE TABLE IF NOT EXISTS `app`.`ended_head` ("));
        assert!(!other.contains(TABLE));
        assert!(log_schema("a` (x); DROP TABLE b; --").is_err());
    }
}
