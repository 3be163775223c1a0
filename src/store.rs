//! Places where sessions are kept.
//!
//! | store | feature | for | survives a restart | logout takes effect |
//! |---|---|---|---|---|
//! | [`MemoryStore`] | | one node, and tests | no | at once |
//! | `RedbStore` | `redb` | one process, one file | yes, with all that was acknowledged | at once |
//! | `SqliteStore` | `sqlx-sqlite` | one machine, one file | yes | at once |
//! | `RedisStore` | `redis` | a fleet with a Redis, a Valkey or a Cluster | as the server is set up | at once |
//! | `PostgresStore` | `sqlx-postgres`, `tokio-postgres` | a fleet with a Postgres | as the server is set up | at once |
//! | `MySqlStore` | `sqlx-mysql` | a fleet with a MySQL or a MariaDB | as the server is set up | at once |
//!
//! All keep the contract of [`SessionStore`](crate::session::SessionStore). What is kept after a
//! crash is a store's [`Durability`]: `require_durable` refuses to start on one that forgets what
//! it acknowledged.

#[cfg(any(
    feature = "sqlx-mysql",
    feature = "sqlx-postgres",
    feature = "sqlx-sqlite",
    feature = "tokio-postgres"
))]
mod behind;
mod durability;
mod memory;
#[cfg(feature = "redb")]
mod redb;
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
#[cfg(feature = "redb")]
#[cfg_attr(docsrs, doc(cfg(feature = "redb")))]
pub use redb::{RedbBuilder, RedbStore};
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
