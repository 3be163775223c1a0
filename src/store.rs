//! Places where sessions are kept.
//!
//! | store | for | survives a restart | logout takes effect |
//! |---|---|---|---|
//! | [`MemoryStore`] | one node, and tests | no | at once |
//! | `RedbStore` (feature `redb`) | one machine, one file | yes, and a crash loses nothing acknowledged | at once |
//!
//! All keep the contract of [`SessionStore`](crate::session::SessionStore).

mod durability;
mod memory;
#[cfg(feature = "redb")]
mod redb;

pub use durability::{Durability, Survives};
pub use memory::MemoryStore;
#[cfg(feature = "redb")]
#[cfg_attr(docsrs, doc(cfg(feature = "redb")))]
pub use redb::{RedbBuilder, RedbStore};
