//! Runs the laws of a revocation log against the memory log.

mod memory {
    statewise::testkit::revocation_log_laws!(statewise::testkit::MemoryLogFixture);
}

/// The same through the type-erased twin.
mod memory_erased {
    use std::sync::Arc;
    use std::time::Duration;

    use statewise::revocation::log::DynRevocationLog;
    use statewise::testkit::{LogFixture, MemoryLogFixture};

    struct Erased;

    impl LogFixture for Erased {
        type Log = Arc<dyn DynRevocationLog>;

        async fn open(&self) -> Self::Log {
            MemoryLogFixture.open().await
        }

        async fn again(&self, log: &Self::Log) -> Self::Log {
            Arc::clone(log)
        }

        async fn advance(&self, _: &Self::Log, _: Duration) {}
    }

    statewise::testkit::revocation_log_laws!(Erased);
}
