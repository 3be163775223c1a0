//! What the server is set up to keep, and the making of the tables.

use crate::backend::durability::Durability;
use crate::backend::sql::mysql::schema::schema_of;
use crate::backend::sql::mysql::store::{Connections, MySqlStore};
use crate::backend::sql::store::rowstore::RowStore;
use crate::error::Result;

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
        Ok(self.driver.pool.durability(&self.table).await?)
    }

    pub(crate) async fn migrate(&self) -> Result<()> {
        let schema = schema_of(&self.table);
        Ok(self.driver.pool.migrate(&self.table, schema).await?)
    }
}
