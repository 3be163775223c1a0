//! Revocation log that fails on command.

use std::sync::{Mutex, PoisonError};

use crate::clock::Timestamp;
use crate::error::Result;
use crate::login::stamp::Stamp;
use crate::revocation::fact::Draft;
use crate::revocation::log::{Page, RevocationLog};
use crate::testkit::faulty::Fault;

/// A revocation log around another one that fails on command: for tests of an outage of the log.
///
/// ```
/// # use std::sync::Arc;
/// use statewise::clock::Timestamp;
/// use statewise::revocation::MemoryLog;
/// use statewise::revocation::log::RevocationLog;
/// use statewise::testkit::{Fault, FaultyLog, block_on};
///
/// let log = Arc::new(FaultyLog::new(MemoryLog::new()?));
/// log.fail_all(Fault::Fails);
/// assert!(block_on(log.head(Timestamp::MIN)).is_err_and(|error| error.is_unavailable()));
/// log.reset();
/// assert!(block_on(log.head(Timestamp::MIN)).is_ok());
/// # Ok::<(), statewise::Error>(())
/// ```
#[derive(Debug)]
pub struct FaultyLog<L> {
    inner: L,
    fault: Mutex<Option<Fault>>,
}

impl<L> FaultyLog<L> {
    /// Wraps `inner`, which answers every call.
    pub fn new(inner: L) -> Self {
        Self {
            inner,
            fault: Mutex::default(),
        }
    }

    /// Returns the wrapped log.
    pub fn inner(&self) -> &L {
        &self.inner
    }

    /// Fails every call from now on, until [`reset`](Self::reset).
    pub fn fail_all(&self, fault: Fault) {
        self.set(Some(fault));
    }

    /// Answers every call again.
    pub fn reset(&self) {
        self.set(None);
    }

    fn set(&self, fault: Option<Fault>) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }
}

impl<L: Sync> FaultyLog<L> {
    async fn around<T: Send>(&self, call: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let fault = *self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        match fault {
            None => call.await,
            Some(fault) => fault.instead_of(call).await,
        }
    }
}

impl<L: RevocationLog> RevocationLog for FaultyLog<L> {
    async fn append(&self, facts: &[Draft], now: Timestamp) -> Result<Stamp> {
        self.around(self.inner.append(facts, now)).await
    }

    async fn head(&self, now: Timestamp) -> Result<Stamp> {
        self.around(self.inner.head(now)).await
    }

    async fn read(&self, from: u64, limit: usize, now: Timestamp) -> Result<Page> {
        self.around(self.inner.read(from, limit, now)).await
    }

    async fn fence(&self, now: Timestamp) -> Result<()> {
        self.around(self.inner.fence(now)).await
    }

    fn is_read_only(&self) -> bool {
        self.inner.is_read_only()
    }
}
