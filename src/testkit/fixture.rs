//! Access to a store for the kit.

use std::future::Future;
use std::time::Duration;

use crate::base::boxed::BoxFuture;
use crate::clock::Timestamp;
use crate::login::handle::Handle;
use crate::store::MemoryStore;
use crate::store::contract::{Record, SessionStore};
use crate::testkit::executor;

/// The function of a [`rewrite`](StoreFixture::rewrite): it edits the bytes of a row.
pub type EditBytes<'e> = &'e (dyn Fn(&mut Vec<u8>) + Send + Sync + 'e);

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

    /// Edits the stored bytes of a row, as a fault or a later version of this crate would. Returns whether
    /// it did. The bytes are those of [`Record::encode`], or of the fields at their end.
    ///
    /// By default it [changes](SessionStore::change) the row, if the edited bytes still decode. The laws
    /// about rows that do not are then skipped, with a line on standard error. Implement it for a store
    /// that keeps bytes outside of the process.
    fn rewrite(
        &self,
        store: &Self::Store,
        handle: Handle,
        now: Timestamp,
        edit: EditBytes<'_>,
    ) -> impl Future<Output = bool> + Send {
        async move {
            let change = |row: &mut Record| {
                let mut bytes = row.encode();
                edit(&mut bytes);
                let edited = Record::decode(&bytes);
                edited.is_ok_and(|edited| {
                    *row = edited;
                    true
                })
            };
            let changed = store.change(handle, now, &change).await;
            changed.is_ok_and(|changed| changed.is_some_and(|changed| changed.changed))
        }
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
