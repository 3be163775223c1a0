//! The laws of a session store, on cached stores.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::time::Duration;

use statewise::BoxFuture;
use statewise::revocation::{MemoryLog, RevocationView};
use statewise::store::CachedStore;
use statewise::testkit::{ManualClock, MemoryFixture, StoreFixture};

/// Copies of the stores of another fixture, whose view follows as time goes on.
#[derive(Debug, Default)]
struct Cached<F> {
    inner: F,
    clock: ManualClock,
}

impl<F: StoreFixture> StoreFixture for Cached<F> {
    type Store = CachedStore<F::Store>;

    const SWEEPS: bool = F::SWEEPS;

    async fn open(&self) -> Self::Store {
        let view = RevocationView::builder(MemoryLog::new().expect("random bytes"))
            .longest(Duration::MAX)
            .clock(self.clock.clone())
            .build()
            .expect("a view");
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

mod memory {
    use super::*;

    statewise::testkit::session_store_laws!(Cached::<MemoryFixture>::default());
}
