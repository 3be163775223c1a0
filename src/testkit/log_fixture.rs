//! Access to a revocation log for the kit.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::base::boxed::BoxFuture;
use crate::revocation::MemoryLog;
use crate::revocation::log::RevocationLog;
use crate::testkit::executor;

/// Opens revocation logs of one kind for the kit, and moves their time.
///
/// Implement it once in the tests of a backend and pass it to
/// [`revocation_log_laws!`](crate::testkit::revocation_log_laws).
pub trait LogFixture: Send + Sync {
    /// The kind of log.
    type Log: RevocationLog;

    /// True if entries expire by a clock of the log's own, such as that of a server, and not by the
    /// `now` of each call. Real time passes on it as well, a few seconds in each law.
    const OWN_CLOCK: bool = false;

    /// Opens a fresh, empty log. Two of them never see each other's entries.
    fn open(&self) -> impl Future<Output = Self::Log> + Send;

    /// Opens the same log for another node.
    fn again(&self, log: &Self::Log) -> impl Future<Output = Self::Log> + Send;

    /// Advances the log's own clock, by making its entries expire earlier. Leave it empty for a log
    /// that uses the `now` of each call.
    fn advance(&self, log: &Self::Log, by: Duration) -> impl Future<Output = ()> + Send;

    /// Runs futures at the same time, as far as the machine allows, and returns when all have
    /// ended. Panics if one of them does.
    ///
    /// By default each has a thread of its own. For a log that needs a runtime, spawn them there.
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
