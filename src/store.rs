//! Places where sessions are kept.
//!
//! | store | for | survives a restart | logout takes effect |
//! |---|---|---|---|
//! | [`MemoryStore`] | one node, and tests | no | at once |
//! | `PostgresStore` | a fleet that has a Postgres | yes, if the server syncs | at once |
//!
//! All keep the contract of [`SessionStore`](crate::session::SessionStore).

#[cfg(any(feature = "sqlx-postgres", feature = "tokio-postgres"))]
mod behind;
mod durability;
mod memory;
#[cfg(any(feature = "sqlx-postgres", feature = "tokio-postgres"))]
mod sql;

pub use durability::{Durability, Survives};
pub use memory::MemoryStore;
#[cfg(any(feature = "sqlx-postgres", feature = "tokio-postgres"))]
#[cfg_attr(
    docsrs,
    doc(cfg(any(feature = "sqlx-postgres", feature = "tokio-postgres")))
)]
pub use sql::postgres::{self, PostgresBuilder, PostgresStore};
