//! Sessions in MySQL or MariaDB, through the application's own pool of sqlx.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sqlx::mysql::MySqlRow;
use sqlx::{MySqlConnection, MySqlPool};

use crate::backend::sql::client::{Client as _, Value};
use crate::backend::sql::failure::Cause;
use crate::backend::sql::mysql::pool::{Pool, Transact, is_duplicate};
use crate::backend::sql::mysql::schema::{DIALECT, Locks, TABLE};
use crate::backend::sql::settings::Settings;
use crate::backend::sql::store::insertion::Insertion;
use crate::backend::sql::store::rowstore::{Driver, RowStore, row_store};
use crate::backend::sql::store::statements::Statements;
use crate::error::Result;
use crate::login::handle::partition;
use crate::store::contract::Created;

/// Sessions in MySQL or MariaDB, through the application's own [`MySqlPool`].
///
/// ```no_run
/// use sqlx::mysql::MySqlPoolOptions;
/// use statewise::store::MySqlStore;
///
/// # async fn open() -> Result<MySqlStore, Box<dyn std::error::Error>> {
/// let pool = MySqlPoolOptions::new().connect("mysql://app@localhost/app").await?;
/// let store = MySqlStore::sqlx(pool).build()?;
/// store.migrate().await?;
/// store.require_durable().await?;
/// # Ok(store)
/// # }
/// ```
///
/// # The pool
///
/// - By default, sqlx asks each connection whether it lives before it hands it out, which doubles
///   what a login costs. With `test_before_acquire(false)`, a look-up whose connection turns out
///   to be dead is tried once more on another.
/// - A call that is given up closes its connection: with an answer half read, or a transaction
///   half begun, it would be of no use to anybody else. What the application gives up itself on
///   a pool that it shares with this store is its own care: a dropped `begin()` can leave a
///   connection in a transaction that nobody ends.
/// - MySQL 8 with `caching_sha2_password` and without TLS wants the feature `mysql-rsa` of sqlx.
///
/// # Tested on
///
/// MariaDB 10.11, as Debian has it. MySQL 8 is not among the servers of the tests: run the laws of
/// the testkit on yours.
///
/// # Concurrency
///
/// Each act is one statement, but for a rotation and a change, which read the row and then compare
/// and swap it; adding a login within a limit is one transaction, at *read committed*, which locks
/// a row that stands for the subject. Deadlocks are tried again within the deadline. It reads from the server of the pool: with a replica behind
/// it, a logout is not seen before it arrives there.
#[derive(Clone)]
pub struct MySqlStore(pub(crate) Arc<RowStore<Connections>>);

row_store!(MySqlStore);

/// What a [`MySqlStore`] is told before it is built.
#[must_use = "a builder does nothing until it is built"]
pub struct MySqlBuilder {
    pool: MySqlPool,
    settings: Settings,
}

impl MySqlBuilder {
    /// The table, or `database.table`. Default: `statewise_sessions`, in the database of the
    /// connection.
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

    /// Vouches that the server keeps what it acknowledged, where the store cannot learn it; what
    /// is known to be lost stays refused by [`require_durable`](MySqlStore::require_durable).
    pub fn assume_durable(mut self) -> Self {
        self.settings.assumes_durable = true;
        self
    }

    /// The store. Asks the server nothing.
    ///
    /// # Errors
    ///
    /// *Misuse* for a table name that is not of lower case letters, digits and underscores, or a
    /// deadline of zero.
    pub fn build(self) -> Result<MySqlStore> {
        let driver = |table: &_| Connections {
            pool: Pool::new(self.pool),
            locks: Locks::of(table),
        };
        let store = RowStore::new(&self.settings, &DIALECT, driver)?;
        Ok(MySqlStore(Arc::new(store)))
    }
}

impl fmt::Debug for MySqlBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MySqlBuilder")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl MySqlStore {
    /// A store in the database of a pool, which stays the application's.
    pub fn sqlx(pool: MySqlPool) -> MySqlBuilder {
        MySqlBuilder {
            pool,
            settings: Settings::new(TABLE),
        }
    }

    /// Makes the tables, if they are not there: [`SCHEMA`](crate::store::mysql::SCHEMA). Any number of processes may do so at
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
        self.0.in_time(self.0.migrate()).await
    }
}

/// The pool, and the rows that are locked.
pub(crate) struct Connections {
    pub(crate) pool: Pool,
    pub(crate) locks: Locks,
}

impl Driver for Connections {
    type Row = MySqlRow;

    async fn rows(&self, statement: &Arc<str>, values: &[Value<'_>]) -> Result<Vec<MySqlRow>> {
        Ok(self.pool.rows(statement, values).await?)
    }

    async fn write(&self, statement: &Arc<str>, values: &[Value<'_>]) -> Result<u64> {
        // The client asks for the number of rows found, not of those that are other than before.
        let count = self.pool.write(statement, values).await?;
        Ok(count.unwrap_or_default())
    }

    async fn insert(&self, statement: &Arc<str>, values: &[Value<'_>]) -> Result<bool> {
        Ok(self.pool.write(statement, values).await?.is_some())
    }

    async fn insert_within(
        &self,
        insertion: &Insertion<'_>,
        statements: &Statements,
    ) -> Result<Created> {
        let part = i64::from(partition(insertion.record.subject()));
        let within = Within {
            lock: &self.locks.lock,
            part: Value::Number(part),
            insertion,
            statements,
        };
        loop {
            match self.pool.transact(&within).await {
                Ok(Some(created)) => return Ok(created),
                // Alone, so that nobody holds this row and waits for another.
                Ok(None) => self.write(&self.locks.make, &[within.part]).await?,
                // Added without a limit meanwhile.
                Err(error) if is_duplicate(&error) => return Ok(Created::Duplicate),
                Err(error) => return Err(Cause::from(error).into()),
            };
        }
    }
}

/// Adds a login in a transaction that holds the row which stands for its subject. `None` if there
/// is no such row yet.
struct Within<'i> {
    lock: &'i Arc<str>,
    part: Value<'i>,
    insertion: &'i Insertion<'i>,
    statements: &'i Statements,
}

impl Transact for Within<'_> {
    type Answer = Option<Created>;

    async fn act(&self, connection: &mut MySqlConnection) -> Result<Option<Created>, sqlx::Error> {
        if connection.rows(self.lock, &[self.part]).await?.is_empty() {
            return Ok(None);
        }
        let created = self.insertion.run(connection, self.statements).await?;
        Ok(Some(created))
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.pool, f)
    }
}
