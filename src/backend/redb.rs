//! What the store and the log in a file of redb have in common: the file, the thread that writes,
//! and its tables.

pub(crate) mod committer;
pub(crate) mod engine;
pub(crate) mod failure;
pub(crate) mod file;
pub(crate) mod log;
pub(crate) mod reply;
pub(crate) mod store;
pub(crate) mod tables;
pub(crate) mod touches;

pub use log::RedbLog;
pub use store::{RedbBuilder, RedbStore};
