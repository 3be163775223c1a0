//! Logout that works for tokens, and sessions that verify from memory on every node.
//!
//! A [`RevocationLog`] is a list of small facts, such as *this login has ended*, which forget
//! themselves when everything that they end has expired. Every node follows it into a
//! [`RevocationView`], which is asked on each request without any I/O.
//!
//! | log | for |
//! |---|---|
//! | [`MemoryLog`] | one node, and tests |
//! | `RedbLog` (`redb`) | one node, in a file that survives it |
//! | `RedisLog` (`redis`) | nodes that share a Redis, or a Cluster |

mod builder;
mod fact;
mod filter;
mod follower;
mod known;
mod log;
mod memory;
#[cfg(feature = "redb")]
mod redb;
#[cfg(feature = "redis")]
mod redis;
mod view;

pub use builder::{NeedsLongest, ViewBuilder};
pub use fact::{Draft, Entry, FACT_BYTES, Fact, KeyId, Nonce, SubjectKey};
pub(crate) use known::Standing;
pub use log::{DynRevocationLog, MARGIN, Page, RevocationLog};
pub use memory::MemoryLog;
#[cfg(feature = "redb")]
#[cfg_attr(docsrs, doc(cfg(feature = "redb")))]
pub use redb::RedbLog;
#[cfg(feature = "redis")]
#[cfg_attr(docsrs, doc(cfg(feature = "redis")))]
pub use redis::{RedisLog, RedisLogBuilder};
pub use view::{Health, RevocationView};
