//! The laws, on the stores that come with the crate.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use statewise::store::MemoryStore;
use statewise::testkit::block_on;

#[path = "stores/late_save.rs"]
mod late_save;

mod memory {
    statewise::testkit::session_store_laws!(statewise::testkit::MemoryFixture);
}

/// The same through the type-erased form.
mod memory_erased {
    use statewise::testkit::{ErasedFixture, MemoryFixture};

    statewise::testkit::session_store_laws!(ErasedFixture::new(MemoryFixture));
}

#[test]
fn a_late_save_does_not_undo_a_logout() {
    let nodes = Arc::new(MemoryStore::with_capacity(100).unwrap());
    let nodes = [Arc::clone(&nodes), nodes];
    block_on(late_save::a_late_save_does_not_undo_a_logout(nodes));
}
