//! Access to a store for the kit.

use std::future::Future;
use std::time::Duration;

use crate::base::boxed::BoxFuture;
use crate::login::handle::Handle;
use crate::store::MemoryStore;
use crate::store::contract::SessionStore;
use crate::testkit::executor;

/// Opens stores of one kind for the kit, and moves their time.
///
/// Implement it once in the tests of a backend and pass it to
/// [`session_store_laws!`](crate::testkit::session_store_laws).
pub trait StoreFixture: Send + Sync {
    /// The kind of store.
    type Store: SessionStore;

    /// True if [`sweep`](SessionStore::sweep) finds expired rows. Set it to `false` for a server
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
