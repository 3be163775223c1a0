//! The laws of a session store, on cached stores.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;
use std::time::Duration;

use statewise::BoxFuture;
use statewise::revocation::{MemoryLog, RevocationView};
use statewise::store::{CachedStore, MemoryStore};
use statewise::testkit::{ManualClock, MemoryFixture, StoreFixture, block_on};

#[path = "stores/late_save.rs"]
mod late_save;

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

/// Nodes with a memory each of one store, which tell each other by a log.
#[test]
fn a_late_save_does_not_undo_a_logout() {
    let clock = ManualClock::default();
    let log = Arc::new(MemoryLog::new().expect("random bytes"));
    let shared = Arc::new(MemoryStore::with_capacity(100).expect("room"));
    let nodes = [(); 2].map(|()| {
        let view = RevocationView::builder(Arc::clone(&log))
            .longest(Duration::from_secs(12 * 3_600))
            .clock(clock.clone())
            .build()
            .expect("a view");
        CachedStore::builder(Arc::clone(&shared), &view)
            .build()
            .expect("a store")
    });
    block_on(late_save::a_late_save_by(&clock, nodes));
}
