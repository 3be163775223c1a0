//! The laws, on the stores that come with the crate.

mod memory {
    statewise::testkit::session_store_laws!(statewise::testkit::MemoryFixture);
}

/// The same through the type-erased form.
mod memory_erased {
    use statewise::testkit::{ErasedFixture, MemoryFixture};

    statewise::testkit::session_store_laws!(ErasedFixture::new(MemoryFixture));
}
