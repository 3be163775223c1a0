use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use statewise::Result;
use statewise::clock::Timestamp;
use statewise::session::Limit;
use statewise::store::MemoryStore;
use statewise::store::contract::{Created, Handle, Record, SessionStore, Update, Updated};
use statewise::testkit::forward_session_store;

/// Updates with an upsert, which inserts a removed row again.
#[derive(Debug)]
pub(crate) struct ResurrectsOnUpdate {
    inner: MemoryStore,
    known: Mutex<HashMap<Handle, Record>>,
}

impl ResurrectsOnUpdate {
    pub(crate) fn new(inner: MemoryStore) -> Self {
        Self {
            inner,
            known: Mutex::default(),
        }
    }

    fn remember(&self, row: &Record) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(row.handle(), row.clone());
    }

    fn known(&self, handle: Handle) -> Option<Record> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&handle).cloned()
    }
}

impl SessionStore for ResurrectsOnUpdate {
    forward_session_store! {
        inner: load, change, rotate, touch, confirm, remove, remove_subject, list, sweep, begin, staleness, upkeep
    }

    async fn create(&self, record: &Record, limit: Limit, now: Timestamp) -> Result<Created> {
        self.remember(record);
        self.inner.create(record, limit, now).await
    }

    async fn update(
        &self,
        handle: Handle,
        expected: u64,
        update: &Update,
        now: Timestamp,
    ) -> Result<Updated> {
        let updated = self.inner.update(handle, expected, update, now).await?;
        let (Updated::Absent, Some(mut row)) = (&updated, self.known(handle)) else {
            return Ok(updated);
        };
        row.update(row.version(), update);
        self.inner.create(&row, Limit::Unlimited, now).await?;
        Ok(Updated::at_once(row))
    }
}
