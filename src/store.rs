//! Places where sessions are kept.
//!
//! | store | for | survives a restart | logout takes effect |
//! |---|---|---|---|
//! | [`MemoryStore`] | one node, and tests | no | at once |
//! | `RedisStore` (feature `redis`) | a fleet | as the server is set up: [`Durability`] | at once |
//!
//! All keep the contract of [`SessionStore`](crate::session::SessionStore).

mod durability;
mod memory;
#[cfg(feature = "redis")]
mod redis;

pub use durability::{Durability, Survives};
pub use memory::MemoryStore;
#[cfg(feature = "redis")]
pub use redis::{RedisStore, RedisStoreBuilder};
