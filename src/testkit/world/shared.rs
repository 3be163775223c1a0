//! A fresh store and the clock of its callers.
//!
//! The laws of the strategies in `tests/strategies` include this file too. It imports from the
//! module above, which names the items by `crate` here and by `statewise` there.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{BoxFuture, Clock, ManualClock, StoreFixture, Timestamp, interleave, seed};

/// A fresh store of a fixture, and the clock of its callers.
pub(crate) struct World<'f, F: StoreFixture> {
    pub(crate) fixture: &'f F,
    pub(crate) store: Arc<F::Store>,
    pub(crate) clock: ManualClock,
}

impl<'f, F: StoreFixture> World<'f, F> {
    pub(crate) async fn open(fixture: &'f F) -> Self {
        Self {
            fixture,
            store: Arc::new(fixture.open().await),
            clock: ManualClock::default(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now().expect("the clock shows a time")
    }

    /// Advances the clock and the store's own time together.
    pub(crate) async fn advance(&self, seconds: u64) {
        let by = Duration::from_secs(seconds);
        self.clock.advance(by);
        self.fixture.advance(&self.store, by).await;
    }

    /// Runs futures at the same time: interleaved on one thread in even rounds, and as the fixture
    /// spreads them in odd ones.
    pub(crate) async fn run(&self, round: u64, futures: Vec<BoxFuture<'static, ()>>) {
        if round.is_multiple_of(2) {
            interleave(seed() + round, futures).await;
        } else {
            self.fixture.spread(futures).await;
        }
    }
}

/// Locks a mutex, also after a panic.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Boxes a future for [`interleave`].
pub(crate) fn boxed<'a, T>(future: impl Future<Output = T> + Send + 'a) -> BoxFuture<'a, T> {
    Box::pin(future)
}
