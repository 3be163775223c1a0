//! The laws of the strategies, over the stores in memory.
//!
//! `mod.rs` has the laws that can also find a bug of a store: the test programs of the other stores
//! run them too. The files below need one store only, since no store can break them.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod broken_rows;
mod broken_tickets;
#[path = "../stores/cached.rs"]
mod cached;
mod content;
mod credentials;
mod faults;
mod key_forms;
#[path = "mod.rs"]
mod strategies;

mod memory {
    crate::strategies::strategy_laws!(statewise::testkit::MemoryFixture);
}

/// Behind a `CachedStore`.
mod memory_cached {
    use statewise::testkit::MemoryFixture;

    crate::strategies::strategy_laws!(crate::cached::Cached::over(MemoryFixture));
}
