//! Places where sessions are kept.
//!
//! | store | for | survives a restart | logout takes effect |
//! |---|---|---|---|
//! | [`MemoryStore`] | one node, and tests | no | at once |
//! | `RedisStore` (feature `redis`) | a fleet | as the server is set up: [`Durability`] | at once |
//! | `MySqlStore` (feature `sqlx-mysql`) | any number of nodes, MySQL or MariaDB | yes | at once |
//! | `SqliteStore` (feature `sqlx-sqlite`) | one machine, one file | yes | at once |
//! | `PostgresStore` | a fleet that has a Postgres | yes, if the server syncs | at once |
//! | `RedbStore` (feature `redb`) | one machine, one file | yes, and a crash loses nothing acknowledged | at once |
//!
//! All keep the contract of [`SessionStore`](crate::session::SessionStore).

#[cfg(any(
    feature = "sqlx-mysql",
    feature = "sqlx-postgres",
    feature = "sqlx-sqlite",
    feature = "tokio-postgres"
))]
mod behind;
mod durability;
mod memory;
#[cfg(feature = "redis")]
mod redis;
#[cfg(any(
    feature = "sqlx-mysql",
    feature = "sqlx-postgres",
    feature = "sqlx-sqlite",
    feature = "tokio-postgres"
))]
mod sql;

pub use durability::{Durability, Survives};
pub use memory::MemoryStore;
#[cfg(feature = "redis")]
#[cfg_attr(docsrs, doc(cfg(feature = "redis")))]
pub use redis::{RedisStore, RedisStoreBuilder};
#[cfg(feature = "sqlx-mysql")]
#[cfg_attr(docsrs, doc(cfg(feature = "sqlx-mysql")))]
pub use sql::mysql::{self, MySqlBuilder, MySqlStore};
#[cfg(any(feature = "sqlx-postgres", feature = "tokio-postgres"))]
#[cfg_attr(
    docsrs,
    doc(cfg(any(feature = "sqlx-postgres", feature = "tokio-postgres")))
)]
pub use sql::postgres::{self, PostgresBuilder, PostgresStore};
#[cfg(feature = "sqlx-sqlite")]
#[cfg_attr(docsrs, doc(cfg(feature = "sqlx-sqlite")))]
pub use sql::sqlite::{self, SqliteBuilder, SqliteStore};
#[cfg(feature = "redb")]
mod redb;

pub use durability::{Durability, Survives};
pub use memory::MemoryStore;
#[cfg(feature = "redb")]
#[cfg_attr(docsrs, doc(cfg(feature = "redb")))]
pub use redb::{RedbBuilder, RedbStore};
