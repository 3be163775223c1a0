//! Cached stores over the stores of another fixture. They must keep the same laws.

use std::time::Duration;

use statewise::authenticator::BoxFuture;
use statewise::clock::{Clock as _, Timestamp};
use statewise::revocation::{MemoryLog, RevocationView};
use statewise::store::CachedStore;
use statewise::store::contract::{Handle, Load, SessionStore as _};
use statewise::testkit::{EditBytes, ManualClock, StoreFixture};

/// Cached stores over the stores of another fixture. Their view follows the log as time passes.
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

    /// Edits the row in the inner store, and makes the node ask it again: its copy does not change with
    /// the row.
    async fn rewrite(
        &self,
        store: &Self::Store,
        handle: Handle,
        now: Timestamp,
        edit: EditBytes<'_>,
    ) -> bool {
        let row = store.inner().load(handle, Load::new(), now).await;
        let edited = self.inner.rewrite(store.inner(), handle, now, edit).await;
        if let Ok(Some(row)) = row {
            let asked = store.view().revoke_subject(row.subject()).await;
            let _ = asked.expect("the log answers");
        }
        edited
    }

    fn spread(&self, futures: Vec<BoxFuture<'static, ()>>) -> impl Future<Output = ()> + Send {
        self.inner.spread(futures)
    }
}
