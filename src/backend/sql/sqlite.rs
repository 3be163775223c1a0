//! Sessions and revocations in SQLite.

mod pool;
pub(crate) mod schema;

use sqlx::SqlitePool;

use crate::backend::sql::builder::Builder;
use crate::backend::sql::generic::{Database, RowStore, TableLog};
use crate::error::Result;

pub use pool::Pool;
pub use schema::{SCHEMA, schema};

/// SQLite, over the application's own [`SqlitePool`].
///
/// Gives you a [`SqliteStore`] for sessions and a [`SqliteLog`] for revocations. It is for one
/// machine: any number of processes may share the file, and one of them writes at a time.
///
/// ```no_run
/// use std::time::Duration;
/// use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
/// use statewise::revocation::RevocationView;
/// use statewise::session::SessionAuthenticator;
/// use statewise::store::Sqlite;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let options = SqliteConnectOptions::new()
///     .filename("sessions.db")
///     .create_if_missing(true)
///     .journal_mode(SqliteJournalMode::Wal)
///     .synchronous(SqliteSynchronous::Full);
/// let pool = SqlitePoolOptions::new().test_before_acquire(false).connect_with(options).await?;
/// let sqlite = Sqlite::over(pool).build()?;
/// sqlite.migrate().await?;
/// // Names a missing table or an unfit setting.
/// sqlite.check().await?;
/// // Refuses to start if a power failure could undo a logout.
/// sqlite.require_durable().await?;
///
/// let auth = SessionAuthenticator::builder(sqlite.sessions())
///     .idle(Duration::from_secs(30 * 60))
///     .absolute(Duration::from_secs(12 * 3600))
///     .build()?;
/// let view = RevocationView::builder(sqlite.revocations())
///     .max_lifetime(Duration::from_secs(12 * 3600))
///     .build()?;
/// # Ok(())
/// # }
/// ```
///
/// # The pool
///
/// - Set `journal_mode(Wal)`. Without a write-ahead log, readers and writers block each other, so
///   [`migrate`](Self::migrate) refuses such a file.
/// - Set `synchronous(Full)`, so that an acknowledged logout survives a power failure. With
///   `Normal` it survives only the death of the process.
/// - Keep `busy_timeout` shorter than the [deadline](SqliteBuilder::deadline). After a dropped
///   call, its statement waits in the connection for that time.
/// - Do not set `locking_mode(Exclusive)`, which locks out all other connections.
///   [`check`](Self::check) refuses it, and a database that accepts no writes.
/// - End each transaction before you return its connection to the pool. Otherwise, the writes of the
///   store would become part of it.
/// - Use at least two connections. The calls of one `Sqlite` write one after the other and in
///   order, and readers then find a free connection.
///
/// # A log reader
///
/// A process that only [follows the log](SqliteBuilder::build_log_reader) opens the file with
/// `read_only(true)`. It needs no right to write to the file. It does need the files `-wal` and
/// `-shm` beside it, which exist as long as a process that may write has the file open. Without
/// them, and without the right to create them in the folder, the log is *unavailable*.
///
/// # Durability
///
/// | journal mode | synchronous | after a crash of the machine |
/// |---|---|---|
/// | `Wal`, `Truncate`, `Persist` | `Full`, `Extra` | all |
/// | `Delete` | `Extra` | all |
/// | any other, or in memory | any other | not all |
///
/// After a failover to another machine, durability is unknown: it depends on the copy of the file
/// that this machine opens.
///
/// # Full disk, or read-only file
///
/// An operation that writes is *unavailable* and changes nothing. Live sessions are found and
/// listed. An expired session cannot be removed, and is *unavailable* instead of absent.
pub type Sqlite = Database<Pool>;

/// Configuration of a [`Sqlite`], begun by [`Sqlite::over`].
pub type SqliteBuilder = Builder<SqlitePool>;

/// Sessions in SQLite, from [`Sqlite::sessions`].
pub type SqliteStore = RowStore<Pool>;

/// Revocations in SQLite, from [`Sqlite::revocations`].
///
/// An append is one transaction, which may write from its beginning. The clock of the caller
/// decides when an entry expires: an append removes the entries that have expired by its clock.
pub type SqliteLog = TableLog<Pool>;

impl Sqlite {
    /// Begins the configuration of a database over a pool, which stays the application's.
    pub fn over(pool: SqlitePool) -> SqliteBuilder {
        Builder::new(pool)
    }
}

impl SqliteBuilder {
    /// Builds the log of revocations alone, to be read only: for a service that verifies tokens and
    /// ends no login. The process needs [fewer
    /// rights](Sqlite#a-log-reader). Sends nothing to the database.
    ///
    /// # Errors
    ///
    /// As for [`build`](Self::build).
    pub fn build_log_reader(self) -> Result<SqliteLog> {
        Ok(self.build()?.revocations().read_only())
    }

    /// Builds the database. Sends nothing to it.
    ///
    /// # Errors
    ///
    /// *Misuse* for a malformed table name, two tables that would share a name, or a deadline of
    /// zero.
    pub fn build(self) -> Result<Sqlite> {
        let settings = self.settings()?;
        Ok(Database::new(Pool::new(self.source), settings))
    }
}
