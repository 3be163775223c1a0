//! Sessions and revocations in MySQL or MariaDB.

mod lease;
mod pool;
mod schema;

use sqlx::MySqlPool;

use crate::backend::sql::builder::Builder;
use crate::backend::sql::generic::{Database, RowStore, TableLog};
use crate::error::Result;

pub use pool::Pool;
pub use schema::{SCHEMA, schema};

/// MySQL or MariaDB, over the application's own [`MySqlPool`].
///
/// Gives you a [`MySqlStore`] for sessions and a [`MySqlLog`] for revocations.
///
/// ```no_run
/// use std::time::Duration;
/// use sqlx::mysql::MySqlPoolOptions;
/// use statewise::revocation::RevocationView;
/// use statewise::session::SessionAuthenticator;
/// use statewise::store::MySql;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = MySqlPoolOptions::new()
///     .test_before_acquire(false)
///     .connect("mysql://app@localhost/app")
///     .await?;
/// let mysql = MySql::over(pool).table("app.sessions").log_table("app.revocations").build()?;
/// mysql.migrate().await?;
/// // Refuses to start if a crash of the server could undo a logout.
/// mysql.require_durable().await?;
///
/// let auth = SessionAuthenticator::builder(mysql.sessions())
///     .idle(Duration::from_secs(30 * 60))
///     .absolute(Duration::from_secs(12 * 3600))
///     .build()?;
/// let view = RevocationView::builder(mysql.revocations())
///     .max_lifetime(Duration::from_secs(12 * 3600))
///     .build()?;
/// # Ok(())
/// # }
/// ```
///
/// # The pool
///
/// - Set `test_before_acquire(false)`. Otherwise sqlx tests each connection before it hands it out,
///   which doubles the cost of a login. A read on a connection that turns out to be dead is tried
///   again on another one.
/// - Keep the default isolation of the server, *repeatable read*, or set *read committed*.
/// - A cancelled call closes its connection, because an answer may be half read, or a transaction
///   half begun. If the application itself drops a `begin()` of sqlx on the same pool, the
///   connection can stay in a transaction that never ends.
/// - MySQL 8 with `caching_sha2_password` and without TLS needs the feature `mysql-rsa` of sqlx.
///
/// # Replicas
///
/// Connect to the primary. A replica lags behind and still holds a removed row. The log is
/// *unavailable* on a server that is set to `read_only`.
///
/// # Durability
///
/// A crash loses nothing if the tables are InnoDB, `innodb_flush_log_at_trx_commit` is 1 and, with
/// a binary log, `sync_binlog` is 1. The durability after a failover is unknown.
///
/// # Tested versions
///
/// The tests use MariaDB 10.11 of Debian, and no MySQL 8. Run the laws of the
/// [`testkit`](crate::testkit) on yours.
pub type MySql = Database<Pool>;

/// Configuration of a [`MySql`], begun by [`MySql::over`].
pub type MySqlBuilder = Builder<MySqlPool>;

/// Sessions in MySQL or MariaDB, from [`MySql::sessions`].
///
/// # Cost
///
/// Each operation is one statement, except that a rotation or an update reads the row and then
/// compares and swaps it. A login with a limit is one transaction, at *read committed*, which locks
/// a row that stands for its subject. Deadlocks are tried again within the deadline.
pub type MySqlStore = RowStore<Pool>;

/// Revocations in MySQL or MariaDB, from [`MySql::revocations`].
///
/// An append is one transaction, at *read committed*, which locks the counter. Deadlocks are tried
/// again within the deadline. The clock of the server decides when an entry expires.
pub type MySqlLog = TableLog<Pool>;

impl MySql {
    /// Begins the configuration of a database over a pool, which stays the application's.
    pub fn over(pool: MySqlPool) -> MySqlBuilder {
        Builder::new(pool)
    }
}

impl MySqlBuilder {
    /// Builds the database. Sends nothing to it.
    ///
    /// # Errors
    ///
    /// *Misuse* for a malformed table name, two tables that would share a name, or a deadline of
    /// zero.
    pub fn build(self) -> Result<MySql> {
        let settings = self.settings()?;
        Ok(Database::new(Pool::new(self.source), settings))
    }
}
