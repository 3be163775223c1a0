//! The application's pool of connections to MySQL or MariaDB.

use std::fmt;
use std::sync::Arc;

use sqlx::mysql::{MySqlDatabaseError, MySqlRow};
use sqlx::{AssertSqlSafe, Connection as _, MySql, MySqlConnection, MySqlPool, Row as _};

use crate::backend::durability::{Durability, Survives};
use crate::backend::sql::client::{Client, Row as _, Value, client};
use crate::backend::sql::failure::Cause;
use crate::backend::sql::mysql::lease::Lease;
use crate::backend::sql::pause::Pause;
use crate::backend::sql::table::Table;

/// A row with the same key is there.
const DUPLICATE: u16 = 1062;
/// A deadlock, a lock that was waited for too long, and a row that another transaction changed
/// first, where the server reports that: all was undone, and may be tried again.
const CONFLICTS: [u16; 3] = [1213, 1205, 1020];

/// What decides whether a commit is on the disk when it is acknowledged: of the engine, and of the
/// binary log, by which the engine's recovery goes if there is one.
const SETTINGS: &str = "SELECT CAST(@@innodb_flush_log_at_trx_commit AS SIGNED), \
     CAST(@@log_bin AS SIGNED), CAST(@@sync_binlog AS SIGNED)";

/// The engine of a table. Values: its database or NULL, and its name.
const ENGINE: &str = "SELECT CAST(engine AS CHAR) FROM information_schema.tables \
     WHERE table_schema = COALESCE(?, DATABASE()) AND table_name = ?";

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

/// Whether a row with the same key was in the way.
pub(crate) fn is_duplicate(error: &sqlx::Error) -> bool {
    number(error) == Some(DUPLICATE)
}

/// The application's pool.
pub(crate) struct Pool(MySqlPool);

impl Pool {
    pub(crate) fn new(pool: MySqlPool) -> Self {
        Self(pool)
    }

    async fn lease(&self) -> Result<Lease, Cause> {
        Ok(Lease::new(self.0.acquire().await?))
    }

    /// The rows that a statement answers which does not write.
    pub(crate) async fn rows(
        &self,
        statement: &Arc<str>,
        values: &[Value<'_>],
    ) -> Result<Vec<MySqlRow>, Cause> {
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
                        return Err(error.into());
                    }
                    again &= !broken;
                }
            }
            pause.pass().await;
        }
    }

    /// Runs a statement that writes, again if it lost against another; how many rows it found to
    /// write. `None` for a duplicate.
    pub(crate) async fn write(
        &self,
        statement: &Arc<str>,
        values: &[Value<'_>],
    ) -> Result<Option<u64>, Cause> {
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
                    if is_duplicate(&error) {
                        return Ok(None);
                    }
                    if !is_conflict(&error) {
                        return Err(error.into());
                    }
                }
            }
            pause.pass().await;
        }
    }

    /// Runs several statements as one transaction, at *read committed*, again if it lost against
    /// another. What it answers as an error undoes all of it.
    pub(crate) async fn transact<T>(
        &self,
        act: &impl Transact<Answer = T>,
    ) -> Result<T, sqlx::Error> {
        let mut pause = Pause::new();
        loop {
            let mut lease = match self.0.acquire().await {
                Ok(connection) => Lease::new(connection),
                Err(error) => return Err(error),
            };
            // Boxed: it would be the largest part of the future of every act.
            match Box::pin(transact(&mut lease, act)).await {
                Ok(answer) => {
                    lease.give_back();
                    return Ok(answer);
                }
                // Closed: its transaction is not over.
                Err(error) if is_conflict(&error) => {}
                Err(error) => return Err(error),
            }
            drop(lease);
            pause.pass().await;
        }
    }

    /// Applies a schema, by one at a time.
    pub(crate) async fn migrate(&self, table: &Table, schema: String) -> Result<(), Cause> {
        // A lock has a name of at most 64 characters.
        let name = table.lock("");
        let name: String = name[..16]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let name = [Value::Bytes(name.as_bytes())];
        // The connection's: it ends with it, if this is given up.
        let lock: Arc<str> = "SELECT CAST(GET_LOCK(?, 60) AS SIGNED)".into();
        let unlock: Arc<str> = "SELECT CAST(RELEASE_LOCK(?) AS SIGNED)".into();
        let mut lease = self.lease().await?;
        let locked = lease.rows(&lock, &name).await?;
        if locked.first().and_then(|row| row.number(0)) != Some(1) {
            return Err(sqlx::Error::PoolTimedOut.into());
        }
        sqlx::raw_sql(AssertSqlSafe(schema))
            .execute(&mut *lease)
            .await?;
        lease.rows(&unlock, &name).await?;
        lease.give_back();
        Ok(())
    }

    /// What survives, as far as the server tells. Unknown for a table that is not there.
    pub(crate) async fn durability(&self, table: &Table) -> Result<Durability, Cause> {
        let settings = self.rows(&SETTINGS.into(), &[]).await?;
        let settings = settings.first();
        let setting = |column| settings.and_then(|row| row.number(column));
        let schema = table.schema().map(str::as_bytes);
        let name = table.name().as_bytes();
        let names = [Value::Optional(schema), Value::Bytes(name)];
        let engine = self.rows(&ENGINE.into(), &names).await?;
        let engine = engine
            .first()
            .and_then(|row| row.try_get::<String, _>(0).ok());
        let crash = match (engine.as_deref(), setting(0), setting(1), setting(2)) {
            (Some("InnoDB"), Some(1), Some(0), _) => Survives::All,
            (Some("InnoDB"), Some(1), Some(_), Some(1)) => Survives::All,
            (None, ..) | (_, None, ..) | (_, _, None, _) => Survives::Unknown,
            _ => Survives::NotAll,
        };
        Ok(Durability::new(crash, Survives::Unknown))
    }
}

/// Several statements that are one step, unless they answer with an error.
pub(crate) trait Transact: Sync {
    type Answer: Send;

    fn act(
        &self,
        connection: &mut MySqlConnection,
    ) -> impl Future<Output = Result<Self::Answer, sqlx::Error>> + Send;
}

async fn transact<T: Transact>(
    connection: &mut MySqlConnection,
    act: &T,
) -> Result<T::Answer, sqlx::Error> {
    // So that what is read behind a lock is of behind that lock, whatever the server's default,
    // and that no gaps are locked. For the next transaction only.
    sqlx::raw_sql("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        .execute(&mut *connection)
        .await?;
    let mut transaction = connection.begin().await?;
    let answer = act.act(&mut transaction).await?;
    transaction.commit().await?;
    Ok(answer)
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the pool itself, whose options have a host and a user.
        f.debug_struct("MySql")
            .field("connections", &self.0.size())
            .finish_non_exhaustive()
    }
}
