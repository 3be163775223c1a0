//! What SQLite is set up to keep, and the making of its table.

use crate::backend::durability::Durability;
use crate::backend::sql::sqlite::pool::Pool;
use crate::backend::sql::sqlite::schema::schema_of;
use crate::backend::sql::sqlite::store::SqliteStore;
use crate::backend::sql::store::rowstore::RowStore;
use crate::error::{Error, Result};

impl SqliteStore {
    /// What survives, as far as a connection of the pool can tell: a logout that was acknowledged
    /// survives a power failure with write-ahead logging and `synchronous(Full)`. Of a failover it
    /// knows nothing.
    ///
    /// | journal mode | synchronous | after a crash of the machine |
    /// |---|---|---|
    /// | `Wal`, `Truncate`, `Persist` | `Full`, `Extra` | all |
    /// | `Delete` | `Extra` | all |
    /// | any other, or in memory | any other | not all |
    ///
    /// # Errors
    ///
    /// *Unavailable* if the database could not answer.
    pub async fn durability(&self) -> Result<Durability> {
        self.0.in_time(self.0.durability()).await
    }

    /// Fails unless what was acknowledged survives a crash: to be called when a service starts.
    ///
    /// # Errors
    ///
    /// *Misuse* if it does not; *unavailable* if the database could not answer.
    pub async fn require_durable(&self) -> Result<()> {
        self.durability().await?.require(self.0.assumes_durable)
    }
}

impl RowStore<Pool> {
    async fn durability(&self) -> Result<Durability> {
        Ok(self.driver.durability(&self.table).await?)
    }

    pub(crate) async fn migrate(&self) -> Result<()> {
        let schema = schema_of(&self.table);
        self.driver.migrate(&self.table, schema, Error::from).await
    }
}
