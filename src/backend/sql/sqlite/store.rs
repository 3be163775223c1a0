//! Sessions in SQLite, through the application's own pool of sqlx.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::SqliteRow;
use sqlx::{SqliteConnection, SqlitePool};

use crate::backend::sql::client::Value;
use crate::backend::sql::settings::Settings;
use crate::backend::sql::sqlite::pool::{Pool, Transact};
use crate::backend::sql::sqlite::schema::{DIALECT, TABLE};
use crate::backend::sql::store::insertion::Insertion;
use crate::backend::sql::store::rowstore::{Driver, RowStore, row_store};
use crate::backend::sql::store::statements::Statements;
use crate::error::Result;
use crate::store::contract::Created;

/// Sessions in SQLite, through the application's own [`SqlitePool`].
///
/// For one machine: any number of processes may share the file, one of them writes at a time.
/// The store lets one of its own calls write at a time and the others wait in order, so that
/// readers find a free connection in a pool of at least two.
///
/// ```no_run
/// use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
/// use statewise::store::SqliteStore;
///
/// # async fn open() -> Result<SqliteStore, Box<dyn std::error::Error>> {
/// let options = SqliteConnectOptions::new()
///     .filename("sessions.db")
///     .create_if_missing(true)
///     .journal_mode(SqliteJournalMode::Wal)
///     .synchronous(SqliteSynchronous::Full);
/// let pool = SqlitePoolOptions::new().test_before_acquire(false).connect_with(options).await?;
/// let store = SqliteStore::sqlx(pool).build()?;
/// store.migrate().await?;
/// store.require_durable().await?;
/// # Ok(store)
/// # }
/// ```
///
/// # The pool
///
/// - **Write-ahead logging** is expected (`journal_mode(Wal)`): without it a reader and a writer
///   shut each other out. [`migrate`](Self::migrate) refuses a file without it.
/// - **`synchronous(Full)`** is what makes an acknowledged logout survive a power failure; with
///   `Normal` it survives the death of the process. [`durability`](Self::durability) tells.
/// - `busy_timeout` is best left shorter than the [deadline](SqliteBuilder::deadline). A
///   statement that was given up waits on in its connection until that is over.
///
/// # When it cannot write
///
/// On a full disk or a read-only file, what writes is *unavailable* and changes nothing; live
/// logins are found and listed as before. A login that is over cannot be removed there, and is
/// *unavailable* instead of absent.
#[derive(Clone)]
pub struct SqliteStore(pub(crate) Arc<RowStore<Pool>>);

row_store!(SqliteStore);

/// What a [`SqliteStore`] is told before it is built.
#[must_use = "a builder does nothing until it is built"]
pub struct SqliteBuilder {
    pool: SqlitePool,
    settings: Settings,
}

impl SqliteBuilder {
    /// The table, or `database.table` with the name under which a database is attached. Default:
    /// `statewise_sessions`.
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

    /// Vouches that the database keeps what it acknowledged, where the store cannot learn it; what
    /// is known to be lost stays refused by [`require_durable`](SqliteStore::require_durable).
    pub fn assume_durable(mut self) -> Self {
        self.settings.assumes_durable = true;
        self
    }

    /// The store. Asks the database nothing.
    ///
    /// # Errors
    ///
    /// *Misuse* for a table name that is not of lower case letters, digits and underscores, or a
    /// deadline of zero.
    pub fn build(self) -> Result<SqliteStore> {
        let driver = |_: &_| Pool::new(self.pool);
        let store = RowStore::new(&self.settings, &DIALECT, driver)?;
        Ok(SqliteStore(Arc::new(store)))
    }
}

impl fmt::Debug for SqliteBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteBuilder")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// A store in the database of a pool, which stays the application's.
    pub fn sqlx(pool: SqlitePool) -> SqliteBuilder {
        SqliteBuilder {
            pool,
            settings: Settings::new(TABLE),
        }
    }

    /// Makes the table and its index, if they are not there: [`SCHEMA`](crate::store::sqlite::SCHEMA). Any number of processes
    /// may do so at once.
    ///
    /// # Errors
    ///
    /// *Misuse* if the database is a file without write-ahead logging; *unavailable* if it could
    /// not answer.
    ///
    /// # Cancel safety
    ///
    /// All of it is made or nothing. Trying again is safe.
    pub async fn migrate(&self) -> Result<()> {
        self.0.in_time(self.0.migrate()).await
    }
}

impl Driver for Pool {
    type Row = SqliteRow;

    async fn rows(&self, statement: &Arc<str>, values: &[Value<'_>]) -> Result<Vec<SqliteRow>> {
        Ok(self.rows(statement, values).await?)
    }

    async fn write(&self, statement: &Arc<str>, values: &[Value<'_>]) -> Result<u64> {
        Ok(self.write(statement, values).await?)
    }

    async fn insert(&self, statement: &Arc<str>, values: &[Value<'_>]) -> Result<bool> {
        Ok(self.write(statement, values).await? > 0)
    }

    async fn insert_within(
        &self,
        insertion: &Insertion<'_>,
        statements: &Statements,
    ) -> Result<Created> {
        Ok(self.transact(&(insertion, statements)).await?)
    }
}

impl Transact for (&Insertion<'_>, &Statements) {
    type Answer = Created;

    async fn act(&self, connection: &mut SqliteConnection) -> Result<Created, sqlx::Error> {
        let (insertion, statements) = self;
        insertion.run(connection, statements).await
    }
}
