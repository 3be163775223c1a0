//! How the kit gets at a store.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::base::boxed::BoxFuture;
use crate::store::MemoryStore;
use crate::store::contract::{DynSessionStore, SessionStore};
use crate::testkit::executor;

/// How the kit opens a store of some kind, and moves its time.
///
/// A backend implements it once for its tests and hands it to
/// [`session_store_laws!`](crate::testkit::session_store_laws).
pub trait StoreFixture: Send + Sync {
    /// The kind of store.
    type Store: SessionStore;

    /// Whether [`sweep`](SessionStore::sweep) finds what is over. `false` where the server
    /// forgets rows by itself and nothing is left to be found.
    const SWEEPS: bool = true;

    /// Opens a fresh, empty store. Two of them never see each other's rows.
    fn open(&self) -> impl Future<Output = Self::Store> + Send;

    /// Moves on the store's own time, such as that of a server which forgets rows by itself.
    /// A store that goes by the `now` of each call does nothing.
    fn advance(&self, store: &Self::Store, by: Duration) -> impl Future<Output = ()> + Send;

    /// Runs futures at the same time, as far as the machine allows, and returns when all have
    /// ended. Panics if one of them does.
    ///
    /// By default each has a thread of its own. A store that needs a runtime spawns them there.
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

/// Opens the stores of another fixture in their type-erased form, which must keep the same laws.
pub struct ErasedFixture<F: StoreFixture> {
    inner: F,
    /// What was opened, to find the store behind its erased form.
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
}

impl<F: StoreFixture> StoreFixture for ErasedFixture<F> {
    type Store = Arc<dyn DynSessionStore>;

    const SWEEPS: bool = F::SWEEPS;

    async fn open(&self) -> Self::Store {
        let store = Arc::new(self.inner.open().await);
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        opened.push(Arc::clone(&store));
        store
    }

    async fn advance(&self, store: &Self::Store, by: Duration) {
        let found = {
            let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
            let same =
                |inner: &&Arc<F::Store>| Arc::as_ptr(inner).addr() == Arc::as_ptr(store).addr();
            opened.iter().find(same).cloned()
        };
        let found = found.expect("a store that this fixture opened");
        self.inner.advance(&found, by).await;
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
