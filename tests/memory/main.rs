//! Runs the laws against the stores that need no server.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;
use std::time::Duration;

use statewise::revocation::{MemoryLog, RevocationView};
use statewise::store::{CachedStore, MemoryStore};
use statewise::testkit::{ManualClock, block_on};

#[path = "../stores/cached.rs"]
mod cached;
#[path = "../stores/count.rs"]
mod count;
#[path = "../stores/late_save.rs"]
mod late_save;
mod log_laws;

mod memory {
    statewise::testkit::session_store_laws!(statewise::testkit::MemoryFixture);
}

/// The same through the type-erased twin.
mod memory_erased {
    use std::sync::Arc;
    use std::time::Duration;

    use statewise::store::contract::DynSessionStore;
    use statewise::testkit::{MemoryFixture, StoreFixture};

    struct Erased;

    impl StoreFixture for Erased {
        type Store = Arc<dyn DynSessionStore>;

        async fn open(&self) -> Self::Store {
            Arc::new(MemoryFixture.open().await)
        }

        async fn advance(&self, _: &Self::Store, _: Duration) {}
    }

    statewise::testkit::session_store_laws!(Erased);
}

/// Behind a `CachedStore`.
mod memory_cached {
    use statewise::testkit::MemoryFixture;

    statewise::testkit::session_store_laws!(crate::cached::Cached::over(MemoryFixture));
}

#[test]
fn count_01_is_the_number_of_logins_that_verify() {
    let open = async || MemoryStore::with_capacity(100).unwrap();
    let count = async |store: &MemoryStore, now| store.count_live(now);
    block_on(count::count_01_is_the_number_of_logins_that_verify(
        open, count,
    ));
}

#[test]
fn a_late_save_does_not_undo_a_logout() {
    let nodes = Arc::new(MemoryStore::with_capacity(100).unwrap());
    let nodes = [Arc::clone(&nodes), nodes];
    block_on(late_save::a_late_save_does_not_undo_a_logout(nodes));
}

/// Nodes with separate copies of one store, connected by a log.
#[test]
fn a_late_save_does_not_undo_a_logout_of_a_copy() {
    let clock = ManualClock::default();
    let log = Arc::new(MemoryLog::new().expect("random bytes"));
    let shared = Arc::new(MemoryStore::with_capacity(100).expect("room"));
    let nodes = [(); 2].map(|()| {
        let view = RevocationView::builder(Arc::clone(&log))
            .max_lifetime(Duration::from_secs(12 * 3_600))
            .clock(clock.clone())
            .build()
            .expect("a view");
        CachedStore::builder(Arc::clone(&shared), &view)
            .build()
            .expect("a store")
    });
    block_on(late_save::a_late_save_by(&clock, nodes));
}
