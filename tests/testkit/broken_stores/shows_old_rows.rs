//! Stores whose `peek` differs from their `load`.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use statewise::Result;
use statewise::clock::Timestamp;
use statewise::store::MemoryStore;
use statewise::store::contract::{Created, Handle, Limit, Peeked, Record, RecordRef, SessionStore};
use statewise::testkit::forward_session_store;

/// Shows the copy of a row that it took when the row was created.
#[derive(Debug)]
pub(crate) struct ShowsOldRows {
    inner: MemoryStore,
    copies: Mutex<HashMap<Handle, Record>>,
}

impl ShowsOldRows {
    pub(crate) fn new(inner: MemoryStore) -> Self {
        Self {
            inner,
            copies: Mutex::default(),
        }
    }

    fn copies(&self) -> MutexGuard<'_, HashMap<Handle, Record>> {
        self.copies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SessionStore for ShowsOldRows {
    forward_session_store! {
        inner: load, change, rotate, update, confirm, touch, remove, remove_subject, list, sweep,
        begin, staleness, upkeep
    }

    async fn create(&self, record: &Record, limit: Limit, now: Timestamp) -> Result<Created> {
        let copy = (record.handle(), record.clone());
        self.copies().extend([copy]);
        self.inner.create(record, limit, now).await
    }

    fn peek<T>(
        &self,
        handle: Handle,
        _: Timestamp,
        look: impl FnOnce(RecordRef<'_>) -> T,
    ) -> Peeked<T> {
        match self.copies().get(&handle) {
            Some(row) => Peeked::Live(look(row.into())),
            None => Peeked::NeedsLoad,
        }
    }
}

/// Answers that an expired row is absent, and leaves it in the store.
#[derive(Debug)]
pub(crate) struct LeavesExpiredRows(pub(crate) MemoryStore);

impl SessionStore for LeavesExpiredRows {
    forward_session_store! {
        0: create, load, change, rotate, update, confirm, touch, remove, remove_subject, list, sweep,
        begin, staleness, upkeep
    }

    fn peek<T>(
        &self,
        handle: Handle,
        now: Timestamp,
        look: impl FnOnce(RecordRef<'_>) -> T,
    ) -> Peeked<T> {
        match self.0.peek(handle, now, look) {
            Peeked::NeedsLoad => Peeked::Absent,
            peeked => peeked,
        }
    }
}

/// Shows nothing: answers that every login is absent.
#[derive(Debug)]
pub(crate) struct ShowsNothing(pub(crate) MemoryStore);

impl SessionStore for ShowsNothing {
    forward_session_store! {
        0: create, load, change, rotate, update, confirm, touch, remove, remove_subject, list, sweep,
        begin, staleness, upkeep
    }

    fn peek<T>(&self, _: Handle, _: Timestamp, _: impl FnOnce(RecordRef<'_>) -> T) -> Peeked<T> {
        Peeked::Absent
    }
}
