//! Store of the page, which the visitor can stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use statewise::clock::Timestamp;
use statewise::session::{Limit, Removed};
use statewise::store::MemoryStore;
use statewise::store::contract::{
    ChangeFn, Changed, Created, Handle, Listing, Load, Page, Record, Scope, SessionStore, Swept,
};
use statewise::{Error, Result};

/// Store in memory with a switch. While it is stopped, every call fails and no data is lost, like a
/// server that cannot be reached.
#[derive(Clone, Debug)]
pub(crate) struct DemoStore {
    rows: Arc<MemoryStore>,
    stopped: Arc<AtomicBool>,
}

impl DemoStore {
    /// Creates a store. Stores with the same switch stop together.
    pub(crate) fn new(stopped: &Arc<AtomicBool>) -> Result<Self> {
        Ok(Self {
            rows: Arc::new(MemoryStore::with_capacity(10_000)?),
            stopped: Arc::clone(stopped),
        })
    }

    fn reach(&self) -> Result<&MemoryStore> {
        if self.stopped.load(Ordering::Relaxed) {
            let error = Error::unavailable("the visitor has stopped the store");
            return Err(error.with_retry_after(Duration::from_secs(5)));
        }
        Ok(&self.rows)
    }
}

impl SessionStore for DemoStore {
    async fn create(&self, record: &Record, limit: Limit, now: Timestamp) -> Result<Created> {
        self.reach()?.create(record, limit, now).await
    }

    async fn load(&self, handle: Handle, load: Load, now: Timestamp) -> Result<Option<Record>> {
        self.reach()?.load(handle, load, now).await
    }

    async fn change(
        &self,
        handle: Handle,
        now: Timestamp,
        change: ChangeFn<'_>,
    ) -> Result<Option<Changed>> {
        self.reach()?.change(handle, now, change).await
    }

    async fn touch(&self, uses: &[(Handle, Timestamp)], now: Timestamp) -> Result<()> {
        self.reach()?.touch(uses, now).await
    }

    async fn remove(&self, handle: Handle, subject: &str, now: Timestamp) -> Result<Removed> {
        self.reach()?.remove(handle, subject, now).await
    }

    async fn remove_subject(&self, subject: &str, scope: Scope, now: Timestamp) -> Result<Removed> {
        self.reach()?.remove_subject(subject, scope, now).await
    }

    async fn list(&self, subject: &str, page: Page, now: Timestamp) -> Result<Listing> {
        self.reach()?.list(subject, page, now).await
    }

    async fn sweep(&self, limit: usize, now: Timestamp) -> Result<Swept> {
        self.reach()?.sweep(limit, now).await
    }
}
