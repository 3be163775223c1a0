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
//! All keep the contract of [`SessionStore`](crate::store::contract::SessionStore).
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

pub mod contract;

pub(crate) mod answer;
pub(crate) mod ask;
pub(crate) mod ended;
pub(crate) mod erased;
pub(crate) mod listing;
pub(crate) mod proof;
pub(crate) mod record;
pub(crate) mod session_store;

pub use crate::backend::cached::{CachedBuilder, CachedStore};
pub use crate::backend::durability::{Durability, Survives};
pub use crate::backend::memory::MemoryStore;
#[cfg(feature = "redb")]
#[cfg_attr(docsrs, doc(cfg(feature = "redb")))]
pub use crate::backend::redb::{Redb, RedbBuilder, RedbStore};
#[cfg(feature = "redis")]
#[cfg_attr(docsrs, doc(cfg(feature = "redis")))]
pub use crate::backend::redis::{Redis, RedisBuilder, RedisStore};
#[cfg(feature = "sqlx-mysql")]
pub use crate::backend::sql::mysql::{self, MySqlBuilder, MySqlStore};
#[cfg(any(feature = "sqlx-postgres", feature = "tokio-postgres"))]
pub use crate::backend::sql::postgres::{self, PostgresBuilder, PostgresStore};
#[cfg(feature = "sqlx-sqlite")]
pub use crate::backend::sql::sqlite::{self, SqliteBuilder, SqliteStore};
