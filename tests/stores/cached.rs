//! Cached stores over the stores of another fixture. They must keep the same laws.

use std::time::Duration;

use statewise::authenticator::BoxFuture;
use statewise::clock::Clock as _;
use statewise::revocation::{MemoryLog, RevocationView};
use statewise::store::CachedStore;
use statewise::testkit::{ManualClock, StoreFixture};

/// Cached stores over the stores of another fixture. Their view follows the log as time passes.
/// They have no `corrupt`: a node answers from its copy, which a damaged row does not change.
#[derive(Debug)]
pub(crate) struct Cached<F> {
    inner: F,
    clock: ManualClock,
}

impl<F> Cached<F> {
    pub(crate) fn over(inner: F) -> Self {
        Self {
            inner,
            clock: ManualClock::default(),
        }
    }
}

impl<F: StoreFixture> StoreFixture for Cached<F> {
    type Store = CachedStore<F::Store>;

    const SWEEPS: bool = F::SWEEPS;

    async fn open(&self) -> Self::Store {
        let view = RevocationView::builder(MemoryLog::new().expect("random bytes"))
            .max_lifetime(Duration::MAX)
            .clock(self.clock.clone())
            .build()
            .expect("a view");
        // Each law starts at the same time and may open several stores.
        let beginning = ManualClock::default().now().expect("a clock that goes");
        self.clock.set(beginning);
        view.follow().await.expect("the log answers");
        CachedStore::builder(self.inner.open().await, &view)
            .build()
            .expect("a store")
    }

    async fn advance(&self, store: &Self::Store, by: Duration) {
        self.clock.advance(by);
        self.inner.advance(store.inner(), by).await;
        store.view().follow().await.expect("the log answers");
    }

    fn spread(&self, futures: Vec<BoxFuture<'static, ()>>) -> impl Future<Output = ()> + Send {
        self.inner.spread(futures)
    }
}
