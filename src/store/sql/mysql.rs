//! Sessions in MySQL or MariaDB, through the application's own pool of sqlx.

mod durability;
mod lease;
mod schema;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sqlx::mysql::{MySqlDatabaseError, MySqlRow};
use sqlx::{Connection as _, MySql, MySqlConnection, MySqlPool};

use crate::error::Result;
use crate::handle::partition;
use crate::session::Created;
use crate::store::sql::client::{Client, Value, client};
use crate::store::sql::failure::unavailable;
use crate::store::sql::insertion::Insertion;
use crate::store::sql::pause::Pause;
use crate::store::sql::rowstore::{Driver, RowStore, Settings, row_store};
use crate::store::sql::statements::Statements;
use lease::Lease;
use schema::{DIALECT, Locks, TABLE};

pub use schema::{SCHEMA, schema};

/// The client found a row with the same handle.
const DUPLICATE: u16 = 1062;
/// A deadlock, a lock that was waited for too long, and a row that another transaction changed
/// first, where the server reports that: all was undone, and may be tried again.
const CONFLICTS: [u16; 3] = [1213, 1205, 1020];

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
/// # Concurrency
///
/// Each act is one statement that compares and swaps; adding a login within a limit is one
/// transaction, at *read committed*, which locks a row that stands for the subject. Deadlocks are
/// tried again within the deadline. It reads from the server of the pool: with a replica behind
/// it, a logout is not seen before it arrives there.
#[derive(Clone)]
pub struct MySqlStore(Arc<RowStore<Connections>>);

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
            pool: self.pool,
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

    /// Makes the tables, if they are not there: [`SCHEMA`]. Any number of processes may do so at
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
struct Connections {
    pool: MySqlPool,
    locks: Locks,
}

client!(MySqlConnection, MySql, MySqlRow);

/// The number of an error of the server, whose text may quote a value.
fn number(error: &sqlx::Error) -> Option<u16> {
    let error = error.as_database_error()?;
    let error = error.try_downcast_ref::<MySqlDatabaseError>()?;
    Some(error.number())
}

/// Whether the server undid it for somebody else's sake.
fn is_conflict(error: &sqlx::Error) -> bool {
    number(error).is_some_and(|number| CONFLICTS.contains(&number))
}

impl Connections {
    async fn lease(&self) -> Result<Lease> {
        let connection = self.pool.acquire().await;
        connection
            .map(Lease::new)
            .map_err(|error| unavailable(&error))
    }

    /// Runs a statement that writes, again if it lost against another.
    async fn run(&self, statement: &Arc<str>, values: &[Value<'_>]) -> Result<Option<u64>> {
        let mut pause = Pause::new();
        loop {
            let mut lease = self.lease().await?;
            match lease.write(statement, values).await {
                Ok(count) => {
                    lease.give_back();
                    return Ok(Some(count));
                }
                Err(error) => {
                    lease.give_back_after(&error);
                    if number(&error) == Some(DUPLICATE) {
                        return Ok(None);
                    }
                    if !is_conflict(&error) {
                        return Err(unavailable(&error));
                    }
                }
            }
            pause.pass().await;
        }
    }
}

impl Driver for Connections {
    type Row = MySqlRow;

    async fn rows(&self, statement: &Arc<str>, values: &[Value<'_>]) -> Result<Vec<MySqlRow>> {
        let mut pause = Pause::new();
        let mut again = true;
        loop {
            let mut lease = self.lease().await?;
            match lease.rows(statement, values).await {
                Ok(rows) => {
                    lease.give_back();
                    return Ok(rows);
                }
                Err(error) => {
                    lease.give_back_after(&error);
                    // Reading changes nothing: a connection that was found dead is no answer yet.
                    let broken = error.as_database_error().is_none() && again;
                    if !broken && !is_conflict(&error) {
                        return Err(unavailable(&error));
                    }
                    again &= !broken;
                }
            }
            pause.pass().await;
        }
    }

    async fn write(&self, statement: &Arc<str>, values: &[Value<'_>]) -> Result<u64> {
        // The client asks for the number of rows found, not of those that are other than before.
        Ok(self.run(statement, values).await?.unwrap_or_default())
    }

    async fn insert(&self, statement: &Arc<str>, values: &[Value<'_>]) -> Result<bool> {
        Ok(self.run(statement, values).await?.is_some())
    }

    async fn insert_within(
        &self,
        insertion: &Insertion<'_>,
        statements: &Statements,
    ) -> Result<Created> {
        let part = i64::from(partition(insertion.record.subject()));
        let part = [Value::Number(part)];
        let mut pause = Pause::new();
        loop {
            let mut lease = self.lease().await?;
            let inserted =
                insert_within(&mut lease, &self.locks.lock, &part, insertion, statements);
            match inserted.await {
                Ok(Some(created)) => {
                    lease.give_back();
                    return Ok(created);
                }
                Ok(None) => {
                    lease.give_back();
                    // Alone, so that nobody holds this row and waits for another.
                    self.write(&self.locks.make, &part).await?;
                    continue;
                }
                Err(error) if number(&error) == Some(DUPLICATE) => {
                    // Closed: its transaction is not over. Added without a limit meanwhile.
                    return Ok(Created::Duplicate);
                }
                Err(error) if is_conflict(&error) => {}
                Err(error) => return Err(unavailable(&error)),
            }
            drop(lease);
            pause.pass().await;
        }
    }
}

/// Adds a login in a transaction that holds the row which stands for its subject. `None` if there
/// is no such row yet.
async fn insert_within(
    connection: &mut MySqlConnection,
    lock: &Arc<str>,
    part: &[Value<'_>],
    insertion: &Insertion<'_>,
    statements: &Statements,
) -> Result<Option<Created>, sqlx::Error> {
    // So that what is counted is counted behind the lock, whatever the server's default, and that
    // no gaps are locked. For the next transaction only.
    sqlx::raw_sql("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        .execute(&mut *connection)
        .await?;
    let mut transaction = connection.begin().await?;
    if transaction.rows(lock, part).await?.is_empty() {
        transaction.rollback().await?;
        return Ok(None);
    }
    let created = insertion.run(&mut *transaction, statements).await?;
    transaction.commit().await?;
    Ok(Some(created))
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the pool, whose options have a host and a user.
        f.debug_struct("MySql")
            .field("connections", &self.pool.size())
            .finish_non_exhaustive()
    }
}
