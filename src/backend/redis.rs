//! What the store and the log in Redis have in common.

pub(crate) mod durability;
pub(crate) mod keys;
pub(crate) mod link;
pub(crate) mod log;
pub(crate) mod script;
pub(crate) mod store;

pub use log::{RedisLog, RedisLogBuilder};
pub use store::{RedisStore, RedisStoreBuilder};
