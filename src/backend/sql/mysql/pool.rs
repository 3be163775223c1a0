//! The application's pool of connections to MySQL or MariaDB.

use std::fmt;
use std::sync::Arc;

use sqlx::mysql::MySqlRow;
use sqlx::{Connection as _, MySqlConnection, MySqlPool, Row as _};

use crate::backend::durability::{Durability, Survives};
use crate::backend::sql::failure::Failure;
use crate::backend::sql::generic::driver::{Act, Dialect, Driver, Migration, Mode, client};
use crate::backend::sql::generic::pause::Pause;
use crate::backend::sql::mysql::lease::Lease;
use crate::backend::sql::mysql::schema::{DIALECT, SCHEMA};
use crate::backend::sql::table::{HEAD, Tables};
use crate::backend::sql::value::{Row as _, Value};
use crate::error::Result;

/// Settings that decide whether a commit is on the disk when it is acknowledged: of the engine, and
/// of the binary log, which the engine follows in its recovery.
const SETTINGS: &str = "SELECT CAST(@@innodb_flush_log_at_trx_commit AS SIGNED), \
     CAST(@@log_bin AS SIGNED), CAST(@@sync_binlog AS SIGNED)";

/// Engines of the tables that exist. Values: database or NULL, and name, of each.
const ENGINES: &str = "SELECT CAST(engine AS CHAR) FROM information_schema.tables \
     WHERE (table_schema = COALESCE(?, DATABASE()) AND table_name = ?) \
     OR (table_schema = COALESCE(?, DATABASE()) AND table_name IN (?, ?))";

/// The application's pool of connections.
pub struct Pool(MySqlPool);

client!(MySqlConnection, MySqlRow);

impl Pool {
    pub(crate) fn new(pool: MySqlPool) -> Self {
        Self(pool)
    }
}

impl Driver for Pool {
    type Connection = MySqlConnection;

    const DIALECT: Dialect = DIALECT;

    async fn run<A: Act<MySqlConnection>>(
        &self,
        mode: Mode,
        act: &A,
    ) -> Result<A::Answer, Failure> {
        let mut pause = Pause::new();
        let mut may_be_dead = mode == Mode::Read;
        loop {
            let mut lease = Lease::new(self.0.acquire().await?);
            let answer = if mode == Mode::Transaction {
                // Boxed: it would be the largest part of the future of every call.
                Box::pin(transaction(&mut lease, act)).await
            } else {
                act.run(&mut lease).await
            };
            let error = match answer {
                Ok(answer) => {
                    lease.give_back();
                    return Ok(answer);
                }
                Err(error) => error,
            };
            if mode == Mode::Transaction {
                // Closed, because the transaction may still be open and hold locks.
                drop(lease);
            } else {
                lease.give_back_after(&error);
            }
            let failure = Failure::from(error);
            let is_dead = may_be_dead && failure == Failure::Broken;
            if !is_dead && !failure.is_conflict() {
                return Err(failure);
            }
            may_be_dead &= !is_dead;
            pause.wait().await;
        }
    }

    async fn migrate(&self, tables: &Tables) -> Result<()> {
        // The server locks the name of a table that it creates.
        let migration = Migration(tables.schema(SCHEMA, '`').into());
        Ok(self.run(Mode::Write, &migration).await?)
    }

    async fn durability(&self, tables: &Tables) -> Result<Durability, Failure> {
        let settings = self.rows(&SETTINGS.into(), &[]).await?;
        let settings = settings.first();
        let setting = |column| settings.and_then(|row| row.number(column));
        let Tables { sessions, log } = tables;
        let counter = format!("{}{HEAD}", log.name());
        let values = [
            Value::Optional(sessions.schema().map(str::as_bytes)),
            Value::Bytes(sessions.name().as_bytes()),
            Value::Optional(log.schema().map(str::as_bytes)),
            Value::Bytes(log.name().as_bytes()),
            Value::Bytes(counter.as_bytes()),
        ];
        let engines = self.rows(&ENGINES.into(), &values).await?;
        let is_innodb = |row: &MySqlRow| {
            let engine = row.try_get::<String, _>(0);
            engine.is_ok_and(|engine| engine == "InnoDB")
        };
        let crash = match (setting(0), setting(1), setting(2)) {
            _ if engines.is_empty() => Survives::Unknown,
            _ if !engines.iter().all(is_innodb) => Survives::NotAll,
            (Some(1), Some(0), _) | (Some(1), Some(_), Some(1)) => Survives::All,
            (None, ..) | (_, None, _) => Survives::Unknown,
            _ => Survives::NotAll,
        };
        Ok(Durability::new(crash, Survives::Unknown))
    }
}

async fn transaction<A: Act<MySqlConnection>>(
    connection: &mut MySqlConnection,
    act: &A,
) -> Result<A::Answer, sqlx::Error> {
    // For the next transaction only. A read after a lock then sees everything committed before the
    // lock, whatever the default of the server, and no gaps between rows are locked.
    sqlx::raw_sql("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        .execute(&mut *connection)
        .await?;
    let mut transaction = connection.begin().await?;
    let answer = act.run(&mut transaction).await?;
    transaction.commit().await?;
    Ok(answer)
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the pool: its options contain a host and a user.
        f.debug_struct("Pool")
            .field("connections", &self.0.size())
            .finish_non_exhaustive()
    }
}
