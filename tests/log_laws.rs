//! The laws of a revocation log, on the one that comes with the crate.

mod memory {
    statewise::testkit::revocation_log_laws!(statewise::testkit::MemoryLogFixture);
}

/// The same through the type-erased form.
mod memory_erased {
    use statewise::testkit::{ErasedLogFixture, MemoryLogFixture};

    statewise::testkit::revocation_log_laws!(ErasedLogFixture::new(MemoryLogFixture));
}
