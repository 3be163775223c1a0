//! Sessions and revocations in the memory of one process.

pub(crate) mod log;
mod row;
mod shard;
mod store;
mod table;

pub use log::MemoryLog;
pub use store::MemoryStore;
