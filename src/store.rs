//! Places where sessions are kept.
//!
//! | store | for | survives a restart | logout takes effect |
//! |---|---|---|---|
//! | [`MemoryStore`] | one node, and tests | no | at once |
//!
//! All keep the contract of [`SessionStore`](crate::session::SessionStore).

mod durability;
mod memory;

pub use durability::{Durability, Survives};
pub use memory::MemoryStore;
