//! Places where sessions are kept.

mod memory;

pub use memory::MemoryStore;
