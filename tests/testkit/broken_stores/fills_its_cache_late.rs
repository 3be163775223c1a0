use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use statewise::Result;
use statewise::clock::Timestamp;
use statewise::session::Removed;
use statewise::store::MemoryStore;
use statewise::store::contract::{Handle, Load, Record, SessionStore};
use statewise::testkit::{forward_session_store, yield_now};

/// Clears its cache when a row is removed, and then fills it with a row that it read earlier.
#[derive(Debug)]
pub(crate) struct FillsItsCacheLate {
    inner: MemoryStore,
    cache: Mutex<HashMap<Handle, Record>>,
}

impl FillsItsCacheLate {
    pub(crate) fn new(inner: MemoryStore) -> Self {
        Self {
            inner,
            cache: Mutex::default(),
        }
    }

    fn cache(&self) -> MutexGuard<'_, HashMap<Handle, Record>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SessionStore for FillsItsCacheLate {
    forward_session_store! {
        inner: create, change, rotate, update, confirm, touch, remove_subject, list, sweep, begin, staleness, upkeep
    }

    async fn load(&self, handle: Handle, load: Load, now: Timestamp) -> Result<Option<Record>> {
        let cached = self.cache().get(&handle).cloned();
        if cached.is_some() {
            return Ok(cached);
        }
        let row = self.inner.load(handle, load, now).await?;
        yield_now().await;
        if let Some(row) = &row {
            self.cache().insert(handle, row.clone());
        }
        Ok(row)
    }

    async fn remove(&self, handle: Handle, subject: &str, now: Timestamp) -> Result<Removed> {
        let removed = self.inner.remove(handle, subject, now).await?;
        self.cache().remove(&handle);
        Ok(removed)
    }
}
