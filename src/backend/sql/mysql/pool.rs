//! The application's pool of connections to MySQL or MariaDB.

use std::fmt;
use std::sync::Arc;

use sqlx::mysql::MySqlRow;
use sqlx::{MySqlConnection, MySqlPool, Row as _};

use crate::backend::durability::{Durability, Survives};
use crate::backend::sql::failure::Failure;
use crate::backend::sql::generic::driver::{Act, Dialect, Driver, Migration, Mode, client};
use crate::backend::sql::generic::pause::Pause;
use crate::backend::sql::mysql::lease::Lease;
use crate::backend::sql::mysql::schema::{DIALECT, SCHEMA};
use crate::backend::sql::table::{HEAD, LIMIT, Tables};
use crate::backend::sql::value::{Row as _, Value};
use crate::error::Result;

/// Settings that decide whether a commit is on the disk when it is acknowledged: of the engine, and
/// of the binary log, which the engine follows in its recovery.
const SETTINGS: &str = "SELECT CAST(@@innodb_flush_log_at_trx_commit AS SIGNED), \
     CAST(@@log_bin AS SIGNED), CAST(@@sync_binlog AS SIGNED)";

/// Engines of the tables that exist. Values: database or NULL, and two names, of each part.
const ENGINES: &str = "SELECT CAST(engine AS CHAR) FROM information_schema.tables \
     WHERE (table_schema = COALESCE(?, DATABASE()) AND table_name IN (?, ?)) \
     OR (table_schema = COALESCE(?, DATABASE()) AND table_name IN (?, ?))";

/// Number of tables.
const TABLES: usize = 4;

/// Settings that make the statements fail, or their effect uncertain. Each server has one of the
/// first two.
const CHECKED: &str = "SHOW SESSION VARIABLES WHERE Variable_name IN \
     ('tx_isolation', 'transaction_isolation', 'sql_safe_updates', 'sql_log_bin')";

/// Makes the next statement of a connection a transaction of its own. Undoes what another user of
/// the connection did not commit.
const REPAIR: &str = "ROLLBACK AND NO CHAIN NO RELEASE; \
     SET SESSION TRANSACTION READ WRITE; SET autocommit = 1";

/// Begins a transaction. A read after a lock then sees everything committed before the lock,
/// whatever the default of the server, and no gaps between rows are locked. Fails if a transaction
/// is open.
const BEGIN: &str = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; START TRANSACTION READ WRITE";

/// Commits whatever `completion_type` is, and begins no other transaction.
const COMMIT: &str = "COMMIT AND NO CHAIN NO RELEASE";

/// Number of times that an act without an effect is repeated on another connection.
const RECONNECTIONS: u32 = 2;

/// The application's pool of connections.
pub struct Pool(MySqlPool);

client!(MySqlConnection, MySqlRow);

impl Pool {
    pub(crate) fn new(pool: MySqlPool) -> Self {
        Self(pool)
    }

    /// Closes all connections that are not in use: after a failover, they lead to the old primary.
    fn close_idle(&self) {
        while let Some(mut idle) = self.0.try_acquire() {
            idle.close_on_drop();
        }
    }

    /// Returns the engines of the tables that exist.
    async fn engines(&self, tables: &Tables) -> Result<Vec<MySqlRow>, Failure> {
        let Tables { sessions, log } = tables;
        let limit = format!("{}{LIMIT}", sessions.name());
        let counter = format!("{}{HEAD}", log.name());
        let values = [
            Value::Optional(sessions.schema().map(str::as_bytes)),
            Value::Bytes(sessions.name().as_bytes()),
            Value::Bytes(limit.as_bytes()),
            Value::Optional(log.schema().map(str::as_bytes)),
            Value::Bytes(log.name().as_bytes()),
            Value::Bytes(counter.as_bytes()),
        ];
        self.rows(&ENGINES.into(), &values).await
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
        let mut reconnections = RECONNECTIONS;
        let mut repaired = None;
        loop {
            let is_repaired = repaired.is_some();
            let mut lease = match repaired.take() {
                Some(lease) => lease,
                None => Lease::new(self.0.acquire().await?),
            };
            let answer = if mode == Mode::Transaction {
                // Boxed: it would be the largest part of the future of every call.
                Box::pin(transaction(&mut lease, act)).await
            } else {
                act.run(&mut lease).await
            };
            let failure = match answer {
                Ok(answer) => {
                    lease.give_back();
                    return Ok(answer);
                }
                Err(error) => Failure::from(error),
            };
            let is_read_only = failure == Failure::ReadOnly;
            if is_read_only && !is_repaired && run(&mut lease, REPAIR).await.is_ok() {
                repaired = Some(lease);
                continue;
            }
            if mode == Mode::Transaction {
                // Closed, because the transaction may still be open and hold locks.
                drop(lease);
            } else {
                lease.give_back_after(&failure);
            }
            if failure.ends_connection() {
                self.close_idle();
            }
            let had_no_effect =
                is_read_only || mode == Mode::Read && matches!(failure, Failure::Broken(_));
            if had_no_effect && reconnections > 0 {
                reconnections -= 1;
            } else if !failure.is_conflict() {
                return Err(failure);
            }
            pause.wait().await;
        }
    }

    async fn migrate(&self, tables: &Tables) -> Result<()> {
        // The server locks the name of a table that it creates.
        let migration = Migration(tables.schema(SCHEMA, '`').into());
        match self.run(Mode::Write, &migration).await {
            // Without the right to create tables, but they exist.
            Err(Failure::Denied(_)) if self.engines(tables).await?.len() == TABLES => Ok(()),
            migrated => Ok(migrated?),
        }
    }

    async fn unfit_settings(&self, _: &Tables) -> Result<Vec<String>, Failure> {
        let mut unfit = Vec::new();
        for row in self.rows(&CHECKED.into(), &[]).await? {
            let text = |column| row.try_get::<String, _>(column).unwrap_or_default();
            let (name, value) = (text(0), text(1));
            let (is_unfit, why) = match name.as_str() {
                "sql_safe_updates" => (
                    value == "ON",
                    "refuses statements of the store: set it to 0",
                ),
                "sql_log_bin" => (
                    value == "OFF",
                    "keeps logouts from the replicas: set it to 1",
                ),
                _ => (
                    value == "READ-UNCOMMITTED",
                    "shows entries that may be undone: set it to REPEATABLE-READ or READ-COMMITTED",
                ),
            };
            if is_unfit {
                unfit.push(format!("`{name}` is {value} and {why}"));
            }
        }
        Ok(unfit)
    }

    async fn durability(&self, tables: &Tables) -> Result<Option<Durability>, Failure> {
        let settings = self.rows(&SETTINGS.into(), &[]).await?;
        let settings = settings.first();
        let setting = |column| settings.and_then(|row| row.number(column));
        let engines = self.engines(tables).await?;
        let is_innodb = |row: &MySqlRow| {
            let engine = row.try_get::<String, _>(0);
            engine.is_ok_and(|engine| engine == "InnoDB")
        };
        let crash = match (setting(0), setting(1), setting(2)) {
            _ if engines.is_empty() => return Ok(None),
            _ if !engines.iter().all(is_innodb) => Survives::NotAll,
            (Some(1), Some(0), _) | (Some(1), Some(_), Some(1)) => Survives::All,
            (None, ..) | (_, None, _) => Survives::Unknown,
            _ => Survives::NotAll,
        };
        Ok(Some(Durability::new(crash, Survives::Unknown)))
    }
}

async fn run(connection: &mut MySqlConnection, text: &'static str) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(text).execute(connection).await.map(drop)
}

async fn transaction<A: Act<MySqlConnection>>(
    connection: &mut MySqlConnection,
    act: &A,
) -> Result<A::Answer, sqlx::Error> {
    // Not by the transactions of sqlx: their `COMMIT` follows `completion_type`.
    run(connection, BEGIN).await?;
    let answer = act.run(connection).await?;
    run(connection, COMMIT).await?;
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
