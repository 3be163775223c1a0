use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use statewise::Result;
use statewise::clock::Timestamp;
use statewise::session::Limit;
use statewise::store::MemoryStore;
use statewise::store::contract::{Created, Handle, Record, SessionStore};
use statewise::testkit::forward_session_store;

/// Records a use by writing the row that it remembers.
#[derive(Debug)]
pub(crate) struct ResurrectsOnTouch {
    inner: MemoryStore,
    known: Mutex<HashMap<Handle, Record>>,
}

impl ResurrectsOnTouch {
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

impl SessionStore for ResurrectsOnTouch {
    forward_session_store! {
        inner: load, change, rotate, update, confirm, remove, remove_subject, list, sweep, begin, staleness, upkeep
    }

    async fn create(&self, record: &Record, limit: Limit, now: Timestamp) -> Result<Created> {
        self.remember(record);
        self.inner.create(record, limit, now).await
    }

    async fn touch(&self, uses: &[(Handle, Timestamp)], now: Timestamp) -> Result<()> {
        for (handle, seen_at) in uses {
            if let Some(mut row) = self.known(*handle) {
                row.touch(*seen_at);
                self.inner.create(&row, Limit::Unlimited, now).await?;
            }
        }
        self.inner.touch(uses, now).await
    }
}
