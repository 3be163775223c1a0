//! A log with the failures of real servers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use statewise::clock::Timestamp;
use statewise::revocation::MemoryLog;
use statewise::revocation::log::{Draft, Page, RevocationLog};
use statewise::store::contract::Stamp;
use statewise::{Error, Result};

#[derive(Debug)]
pub(crate) struct Failing {
    inner: Arc<MemoryLog>,
    /// An old primary: it answers reads without new entries, and refuses writes.
    pub(crate) deposed: AtomicBool,
    /// Number of pages, of two entries each, that it still answers.
    pub(crate) pages: AtomicUsize,
    /// Number of positions by which it overstates its head.
    pub(crate) beyond: AtomicU64,
}

impl Failing {
    pub(crate) fn over(inner: &Arc<MemoryLog>) -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::clone(inner),
            deposed: AtomicBool::new(false),
            pages: AtomicUsize::new(usize::MAX),
            beyond: AtomicU64::new(0),
        })
    }

    fn writes(&self) -> Result<()> {
        if self.deposed.load(Ordering::Relaxed) {
            return Err(Error::unavailable("an old primary"));
        }
        Ok(())
    }
}

impl RevocationLog for Failing {
    async fn append(&self, facts: &[Draft], now: Timestamp) -> Result<Stamp> {
        self.writes()?;
        self.inner.append(facts, now).await
    }

    async fn head(&self, now: Timestamp) -> Result<Stamp> {
        let head = self.inner.head(now).await?;
        let position = head.position() + self.beyond.load(Ordering::Relaxed);
        Ok(Stamp::new(head.incarnation(), position, head.mark()))
    }

    async fn read(&self, from: u64, limit: usize, now: Timestamp) -> Result<Page> {
        let pages = self.pages.load(Ordering::Relaxed);
        if pages == 0 {
            return Err(Error::unavailable("no answer"));
        }
        self.pages.store(pages - 1, Ordering::Relaxed);
        self.inner.read(from, limit.min(2), now).await
    }

    async fn fence(&self, _: Timestamp) -> Result<()> {
        self.writes()
    }
}
