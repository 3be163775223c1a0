//! What the server is set up to keep, and the making of the tables.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, Row as _};

use crate::error::Result;
use crate::store::sql::client::{Client as _, Row as _, Value};
use crate::store::sql::failure::unavailable;
use crate::store::sql::mysql::schema::schema_of;
use crate::store::sql::mysql::{Connections, MySqlStore};
use crate::store::sql::rowstore::{Driver as _, RowStore};
use crate::store::sql::subject_key;
use crate::store::{Durability, Survives};

/// What decides whether a commit is on the disk when it is acknowledged: of the engine, and of the
/// binary log, by which the engine's recovery goes if there is one.
const SETTINGS: &str = "SELECT CAST(@@innodb_flush_log_at_trx_commit AS SIGNED), \
     CAST(@@log_bin AS SIGNED), CAST(@@sync_binlog AS SIGNED)";

/// The engine of the table. Values: its database or NULL, and its name.
const ENGINE: &str = "SELECT CAST(engine AS CHAR) FROM information_schema.tables \
     WHERE table_schema = COALESCE(?, DATABASE()) AND table_name = ?";

impl MySqlStore {
    /// What survives, as far as the server tells: a logout that was acknowledged survives a crash
    /// if the table's engine is InnoDB, `innodb_flush_log_at_trx_commit` is 1, and, with a binary
    /// log, `sync_binlog` is 1. Of a failover it knows nothing.
    ///
    /// Unknown for a table that is not there.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the server could not answer.
    pub async fn durability(&self) -> Result<Durability> {
        self.0.in_time(self.0.durability()).await
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

impl RowStore<Connections> {
    async fn durability(&self) -> Result<Durability> {
        let settings = self.driver.rows(&SETTINGS.into(), &[]).await?;
        let settings = settings.first();
        let setting = |column| settings.and_then(|row| row.number(column));
        let schema = self.table.schema().map(str::as_bytes);
        let name = self.table.name().as_bytes();
        let names = [Value::Optional(schema), Value::Bytes(name)];
        let engine = self.driver.rows(&ENGINE.into(), &names).await?;
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

    pub(super) async fn migrate(&self) -> Result<()> {
        // A lock has a name of at most 64 characters.
        let name = subject_key(&format!("statewise {}", self.table));
        let name: String = name[..16]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let name = [Value::Bytes(name.as_bytes())];
        // The connection's: it ends with it, if this is given up.
        let lock: Arc<str> = "SELECT CAST(GET_LOCK(?, 60) AS SIGNED)".into();
        let unlock: Arc<str> = "SELECT CAST(RELEASE_LOCK(?) AS SIGNED)".into();
        let mut lease = self.driver.lease().await?;
        let migrated = async {
            let locked = lease.rows(&lock, &name).await?;
            if locked.first().and_then(|row| row.number(0)) != Some(1) {
                return Err(sqlx::Error::PoolTimedOut);
            }
            let schema = AssertSqlSafe(schema_of(&self.table));
            sqlx::raw_sql(schema).execute(&mut *lease).await?;
            lease.rows(&unlock, &name).await.map(drop)
        };
        migrated.await.map_err(|error| unavailable(&error))?;
        lease.give_back();
        Ok(())
    }
}
