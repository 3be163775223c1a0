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
//! | [`CachedStore`] | | any of them, served from the memory of every node | as the store behind it | within a stated bound |
//!
//! All keep the contract of [`SessionStore`](crate::session::SessionStore).
//!
//! # What a crash leaves
//!
//! A logout that a crash undoes is a session that comes back. Each store says by `durability` what
//! it could learn, and `require_durable` refuses to start where something acknowledged may be lost,
//! or where that is unknown and nobody vouches for it.
//!
//! | store | set up as | after a crash | after a failover |
//! |---|---|---|---|
//! | `RedbStore` | always | all | there is no other machine |
//! | `SqliteStore` | write-ahead log, `synchronous` `FULL` or `EXTRA` | all | there is no other machine |
//! | `SqliteStore` | any other | not all | there is no other machine |
//! | `RedisStore` | `appendonly yes`, `appendfsync always`, `no-appendfsync-on-rewrite no` | all | not all |
//! | `RedisStore` | any other | not all | not all |
//! | `RedisStore` | `CONFIG` forbidden, or a Cluster | unknown | not all |
//! | `PostgresStore` | `fsync` and `full_page_writes` on, `synchronous_commit` not `off` | all | all with synchronous standbys, else unknown |
//! | `PostgresStore` | any other | not all | not all |
//! | `MySqlStore` | every commit synced, of InnoDB and of the binary log | all | unknown |
//! | `MySqlStore` | any other | not all | unknown |
//!
//! The rows that say *all after a crash* are what the tests kill: the server or the process gets
//! SIGKILL after it has acknowledged logins and logouts, starts again, and has them.

#[cfg(any(
    feature = "sqlx-mysql",
    feature = "sqlx-postgres",
    feature = "sqlx-sqlite",
    feature = "tokio-postgres"
))]
mod behind;
mod cached;
mod memory;
#[cfg(feature = "redb")]
pub(crate) mod redb;
#[cfg(feature = "redis")]
pub(crate) mod redis;
#[cfg(any(
    feature = "sqlx-mysql",
    feature = "sqlx-postgres",
    feature = "sqlx-sqlite",
    feature = "tokio-postgres"
))]
mod sql;

pub use crate::durability::{Durability, Survives};
pub use cached::{CachedBuilder, CachedStore};
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
