//! Runs the laws of a revocation log against the memory log.

mod memory {
    statewise::testkit::revocation_log_laws!(statewise::testkit::MemoryLogFixture);
}

/// The same through the type-erased twin.
mod memory_erased {
    use statewise::testkit::{ErasedLogFixture, MemoryLogFixture};

    statewise::testkit::revocation_log_laws!(ErasedLogFixture::new(MemoryLogFixture));
}
