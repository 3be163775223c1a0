//! Access to a store for the kit.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::base::boxed::BoxFuture;
use crate::login::handle::Handle;
use crate::store::MemoryStore;
use crate::store::contract::{DynSessionStore, SessionStore};
use crate::testkit::executor;
use crate::testkit::world::lock;

/// Opens stores of one kind for the kit, and moves their time.
///
/// Implement it once in the tests of a backend and pass it to
/// [`session_store_laws!`](crate::testkit::session_store_laws).
pub trait StoreFixture: Send + Sync {
    /// The kind of store.
    type Store: SessionStore;

    /// Whether [`sweep`](SessionStore::sweep) finds expired rows. Set it to `false` for a server
    /// that removes them on its own.
    const SWEEPS: bool = true;

    /// Opens a fresh, empty store. Two of them never see each other's rows.
    fn open(&self) -> impl Future<Output = Self::Store> + Send;

    /// Advances the store's own time, such as that of a server that removes expired rows.
    /// Leave it empty for a store that uses the `now` of each call.
    fn advance(&self, store: &Self::Store, by: Duration) -> impl Future<Output = ()> + Send;

    /// Overwrites the stored bytes of a row, so that they do not decode any more. Returns whether
    /// it did.
    ///
    /// By default it cannot, and the laws about such rows are skipped with a line on standard
    /// error. Implement it for a store that keeps bytes outside of the process.
    fn corrupt(&self, store: &Self::Store, handle: Handle) -> impl Future<Output = bool> + Send {
        let _ = (store, handle);
        async { false }
    }

    /// Runs futures at the same time, as far as the machine allows, and returns when all have
    /// ended. Panics if one of them does.
    ///
    /// By default each has a thread of its own. For a store that needs a runtime, spawn them there.
    fn spread(&self, futures: Vec<BoxFuture<'static, ()>>) -> impl Future<Output = ()> + Send {
        async move { executor::spread(futures) }
    }
}

/// Opens [`MemoryStore`]s.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemoryFixture;

impl StoreFixture for MemoryFixture {
    type Store = MemoryStore;

    async fn open(&self) -> MemoryStore {
        MemoryStore::with_capacity(100_000).expect("the capacity is not zero")
    }

    async fn advance(&self, _: &MemoryStore, _: Duration) {}
}

/// Opens the stores of another fixture in their type-erased form.
pub struct ErasedFixture<F: StoreFixture> {
    inner: F,
    /// All opened stores, to find the one behind its erased form.
    opened: Mutex<Vec<Arc<F::Store>>>,
}

impl<F: StoreFixture> ErasedFixture<F> {
    /// Erases the stores of `inner`.
    pub fn new(inner: F) -> Self {
        Self {
            inner,
            opened: Mutex::default(),
        }
    }

    fn behind(&self, store: &Arc<dyn DynSessionStore>) -> Arc<F::Store> {
        let opened = lock(&self.opened);
        let same = |inner: &&Arc<F::Store>| Arc::as_ptr(inner).addr() == Arc::as_ptr(store).addr();
        let found = opened.iter().find(same).cloned();
        found.expect("a store that this fixture opened")
    }
}

impl<F: StoreFixture> StoreFixture for ErasedFixture<F> {
    type Store = Arc<dyn DynSessionStore>;

    const SWEEPS: bool = F::SWEEPS;

    async fn open(&self) -> Self::Store {
        let store = Arc::new(self.inner.open().await);
        lock(&self.opened).push(Arc::clone(&store));
        store
    }

    async fn advance(&self, store: &Self::Store, by: Duration) {
        self.inner.advance(&self.behind(store), by).await;
    }

    async fn corrupt(&self, store: &Self::Store, handle: Handle) -> bool {
        self.inner.corrupt(&self.behind(store), handle).await
    }

    fn spread(&self, futures: Vec<BoxFuture<'static, ()>>) -> impl Future<Output = ()> + Send {
        self.inner.spread(futures)
    }
}

impl<F: StoreFixture> fmt::Debug for ErasedFixture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErasedFixture").finish_non_exhaustive()
    }
}
