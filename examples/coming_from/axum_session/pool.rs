//! The database of the old service, in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use axum_session::{DatabaseError, DatabasePool};
use statewise::clock::Clock;
use time::OffsetDateTime;

/// A session as JSON, and the second in which it expires.
type Row = (String, i64);

/// A table of sessions. Clones are the same table. In production, a pool of `axum_session_sqlx` or of
/// another such crate.
#[derive(Clone, Debug)]
pub struct MemoryPool {
    rows: Arc<Mutex<HashMap<String, Row>>>,
    clock: Arc<dyn Clock>,
}

impl MemoryPool {
    #[must_use]
    pub fn new(clock: impl Clock) -> Self {
        Self {
            rows: Arc::default(),
            clock: Arc::new(clock),
        }
    }

    fn rows(&self) -> MutexGuard<'_, HashMap<String, Row>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Result<i64, DatabaseError> {
        let now = self.clock.now().map(OffsetDateTime::from);
        let now = now.ok_or_else(|| DatabaseError::GenericSelectError("no time".to_owned()))?;
        Ok(now.unix_timestamp())
    }
}

#[async_trait]
impl DatabasePool for MemoryPool {
    async fn initiate(&self, _: &str) -> Result<(), DatabaseError> {
        Ok(())
    }

    async fn count(&self, _: &str) -> Result<i64, DatabaseError> {
        Ok(self.rows().len() as i64)
    }

    async fn store(
        &self,
        id: &str,
        session: &str,
        expires: i64,
        _: &str,
    ) -> Result<(), DatabaseError> {
        let row = (session.to_owned(), expires);
        self.rows().insert(id.to_owned(), row);
        Ok(())
    }

    async fn load(&self, id: &str, _: &str) -> Result<Option<String>, DatabaseError> {
        let now = self.now()?;
        let rows = self.rows();
        let row = rows.get(id).filter(|(_, expires)| now < *expires);
        Ok(row.map(|(session, _)| session.clone()))
    }

    async fn delete_one_by_id(&self, id: &str, _: &str) -> Result<(), DatabaseError> {
        self.rows().remove(id);
        Ok(())
    }

    async fn exists(&self, id: &str, table: &str) -> Result<bool, DatabaseError> {
        Ok(self.load(id, table).await?.is_some())
    }

    async fn delete_by_expiry(&self, _: &str) -> Result<Vec<String>, DatabaseError> {
        let now = self.now()?;
        let expired = |(_, (_, expires)): &(String, Row)| *expires <= now;
        let mut rows = self.rows();
        let (removed, kept): (HashMap<_, _>, HashMap<_, _>) = rows.drain().partition(expired);
        *rows = kept;
        Ok(removed.into_keys().collect())
    }

    async fn delete_all(&self, _: &str) -> Result<(), DatabaseError> {
        self.rows().clear();
        Ok(())
    }

    async fn get_ids(&self, _: &str) -> Result<Vec<String>, DatabaseError> {
        Ok(self.rows().keys().cloned().collect())
    }

    fn auto_handles_expiry(&self) -> bool {
        false
    }
}
