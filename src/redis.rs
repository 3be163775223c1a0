//! What the store and the log in Redis have in common.

pub(crate) mod durability;
pub(crate) mod keys;
pub(crate) mod link;
pub(crate) mod script;
