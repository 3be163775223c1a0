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
/// // Names a missing right, table or setting.
/// mysql.check().await?;
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
/// - Every statement fails on a connection on which `autocommit` is off, a transaction is open, or
///   writes are not permitted. The store then undoes the open transaction, sets `autocommit` to 1
///   and repeats the statement. If the application needs `autocommit = 0`, use a pool of its own for
///   the store. MySQL does not tell whether a transaction is open: do not return a connection to the
///   pool before you end its transaction.
/// - A cancelled call closes its connection, because an answer may be half read, or a transaction
///   half begun. If the application itself drops a `begin()` of sqlx on the same pool, the
///   connection can stay in a transaction that never ends.
/// - MySQL 8 with `caching_sha2_password` and without TLS needs the feature `mysql-rsa` of sqlx.
///
/// # Rights
///
/// [`check`](Self::check) names what the user of the database lacks. It needs no right to create
/// tables if they exist when you call [`migrate`](Self::migrate):
///
/// ```sql
/// GRANT SELECT, INSERT, UPDATE, DELETE ON app.statewise_sessions TO app@localhost;
/// GRANT SELECT, INSERT ON app.statewise_sessions_limit TO app@localhost;
/// GRANT SELECT, INSERT, DELETE ON app.statewise_revocations TO app@localhost;
/// GRANT SELECT, INSERT, UPDATE ON app.statewise_revocations_head TO app@localhost;
/// ```
///
/// MySQL also asks for `UPDATE` on `statewise_sessions_limit`, because a login with a limit locks a
/// row of it.
///
/// # Rights of a log reader
///
/// A service that only [follows the log](MySqlBuilder::build_log_reader) needs these rights:
///
/// ```sql
/// GRANT SELECT ON app.statewise_revocations TO reader@localhost;
/// GRANT SELECT ON app.statewise_revocations_head TO reader@localhost;
/// ```
///
/// It can write nothing. MariaDB still lets it lock rows with `SELECT .. FOR UPDATE`, which delays
/// logouts.
///
/// # Replicas and failover
///
/// Connect to the primary, and set `read_only` to 1 on every other server. A replica lags behind and
/// still holds a removed row, so sessions and revocations are *unavailable* on a server with
/// `read_only`, even for reads and for users with all rights.
///
/// A connection is closed, with all idle ones of the pool, when the server answers that it takes no
/// writes or stops, and when the connection breaks. The next call opens a connection, by the address
/// of the pool: let a name, a proxy or a virtual address lead to the new primary. Asynchronous
/// replication can lose the last writes of the old primary, and with them a logout. Semi-synchronous
/// replication (`rpl_semi_sync_master_wait_point = AFTER_SYNC`) keeps them as long as its timeout has
/// not passed.
///
/// # Durability
///
/// A crash loses nothing if the tables are InnoDB, `innodb_flush_log_at_trx_commit` is 1 and, with
/// a binary log, `sync_binlog` is 1. The durability after a failover is unknown.
///
/// # Tested versions
///
/// The tests use MariaDB 10.11 of Debian. MySQL 8 is not tested. Run the laws of the
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
    /// Builds the log of revocations alone, to be read only: for a service that verifies tokens and
    /// ends no login. Its user needs [fewer
    /// rights](MySql#rights-of-a-log-reader), which [`check`](TableLog::check) verifies. Sends nothing to
    /// the server.
    ///
    /// # Errors
    ///
    /// As for [`build`](Self::build).
    pub fn build_log_reader(self) -> Result<MySqlLog> {
        Ok(self.build()?.revocations().read_only())
    }

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
