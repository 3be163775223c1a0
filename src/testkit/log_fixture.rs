//! How the kit gets at a revocation log.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::base::boxed::BoxFuture;
use crate::revocation::MemoryLog;
use crate::revocation::log::{DynRevocationLog, RevocationLog};
use crate::testkit::executor;

/// How the kit opens a revocation log of some kind, and moves its time.
///
/// A backend implements it once for its tests and hands it to
/// [`revocation_log_laws!`](crate::testkit::revocation_log_laws).
pub trait LogFixture: Send + Sync {
    /// The kind of log.
    type Log: RevocationLog;

    /// Whether entries go by a clock of the log's own, such as that of a server, and not by the
    /// `now` of each call. Real time passes on it as well, a few seconds in a law.
    const OWN_CLOCK: bool = false;

    /// Opens a fresh, empty log. Two of them never see each other's entries.
    fn open(&self) -> impl Future<Output = Self::Log> + Send;

    /// Opens the same log once more, as another node has it.
    fn again(&self, log: &Self::Log) -> impl Future<Output = Self::Log> + Send;

    /// Moves on the log's own clock: by shifting the moments until which its entries stay to
    /// earlier ones. A log that goes by the `now` of each call does nothing.
    fn advance(&self, log: &Self::Log, by: Duration) -> impl Future<Output = ()> + Send;

    /// Runs futures at the same time, as far as the machine allows, and returns when all have
    /// ended. Panics if one of them does.
    ///
    /// By default each has a thread of its own. A log that needs a runtime spawns them there.
    fn spread(&self, futures: Vec<BoxFuture<'static, ()>>) -> impl Future<Output = ()> + Send {
        async move { executor::spread(futures) }
    }
}

/// Opens [`MemoryLog`]s.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemoryLogFixture;

impl LogFixture for MemoryLogFixture {
    type Log = Arc<MemoryLog>;

    async fn open(&self) -> Arc<MemoryLog> {
        Arc::new(MemoryLog::new().expect("random bytes"))
    }

    async fn again(&self, log: &Arc<MemoryLog>) -> Arc<MemoryLog> {
        Arc::clone(log)
    }

    async fn advance(&self, _: &Arc<MemoryLog>, _: Duration) {}
}

/// Opens the logs of another fixture in their type-erased form, which must keep the same laws.
pub struct ErasedLogFixture<F: LogFixture> {
    inner: F,
    /// What was opened, to find the log behind its erased form.
    opened: Mutex<Vec<Arc<F::Log>>>,
}

impl<F: LogFixture> ErasedLogFixture<F> {
    /// Erases the logs of `inner`.
    pub fn new(inner: F) -> Self {
        Self {
            inner,
            opened: Mutex::default(),
        }
    }

    fn erase(&self, log: F::Log) -> Arc<dyn DynRevocationLog> {
        let log = Arc::new(log);
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        opened.push(Arc::clone(&log));
        log
    }

    fn behind(&self, log: &Arc<dyn DynRevocationLog>) -> Arc<F::Log> {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |inner: &&Arc<F::Log>| Arc::as_ptr(inner).addr() == Arc::as_ptr(log).addr();
        let found = opened.iter().find(same).cloned();
        found.expect("a log that this fixture opened")
    }
}

impl<F: LogFixture> LogFixture for ErasedLogFixture<F> {
    type Log = Arc<dyn DynRevocationLog>;

    const OWN_CLOCK: bool = F::OWN_CLOCK;

    async fn open(&self) -> Self::Log {
        self.erase(self.inner.open().await)
    }

    async fn again(&self, log: &Self::Log) -> Self::Log {
        let inner = self.behind(log);
        self.erase(self.inner.again(&inner).await)
    }

    async fn advance(&self, log: &Self::Log, by: Duration) {
        let inner = self.behind(log);
        self.inner.advance(&inner, by).await;
    }

    fn spread(&self, futures: Vec<BoxFuture<'static, ()>>) -> impl Future<Output = ()> + Send {
        self.inner.spread(futures)
    }
}

impl<F: LogFixture> fmt::Debug for ErasedLogFixture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErasedLogFixture").finish_non_exhaustive()
    }
}
