//! Stores: where sessions are kept.
//!
//! | store | feature | use it for | survives a restart | a logout takes effect |
//! |---|---|---|---|---|
//! | [`MemoryStore`] | | one node, and tests | no | at once |
//! | `RedbStore` | `redb` | one process with a file | yes, with every acknowledged write | at once |
//! | `SqliteStore` | `sqlx-sqlite` | processes on one machine that share a file | yes | at once |
//! | `RedisStore` | `redis` | nodes that share a Redis, a Valkey or a Cluster | as the server is configured | at once |
//! | `PostgresStore` | `sqlx-postgres`, `tokio-postgres` | nodes that share a Postgres | as the server is configured | at once |
//! | `MySqlStore` | `sqlx-mysql` | nodes that share a MySQL or MariaDB | as the server is configured | at once |
//! | [`CachedStore`] | | a cache in the memory of every node, in front of any other store | as the other store | within a configured bound |
//!
//! All satisfy the contract of [`SessionStore`](crate::store::contract::SessionStore). To write
//! your own store, read the [page on it](crate::manual::stores).
//!
//! # Durability
//!
//! A crash that undoes a logout brings a session back. If your service must not see that, call the
//! `require_durable` of the backend at its start. It fails if the server may lose acknowledged
//! writes, or if that is unknown and you have not set `assume_durable`. `durability` returns what
//! the server reports.
//!
//! | backend | configuration | after a crash | after a failover |
//! |---|---|---|---|
//! | redb | always | all | unknown: the copy of the file decides |
//! | SQLite | write-ahead log, `synchronous` `FULL` or `EXTRA` | all | unknown: the copy of the file decides |
//! | SQLite | any other | not all | unknown: the copy of the file decides |
//! | Redis | `appendonly yes`, `appendfsync always`, `no-appendfsync-on-rewrite no` | all | not all |
//! | Redis | any other | not all | not all |
//! | Redis | `CONFIG` forbidden, or a Cluster | unknown | not all |
//! | Postgres | `fsync` and `full_page_writes` on, `synchronous_commit` not `off` | all | all with synchronous standbys, else unknown |
//! | Postgres | any other | not all | not all |
//! | MySQL | every commit synced, of InnoDB and of the binary log | all | unknown |
//! | MySQL | any other | not all | unknown |
//!
//! The tests check the rows with *all* after a crash: they kill the server or the process with
//! SIGKILL after it has acknowledged logins and logouts, restart it, and find them.

pub mod contract;

pub(crate) mod answer;
pub(crate) mod ask;
pub(crate) mod ended;
pub(crate) mod erased;
pub(crate) mod listing;
pub(crate) mod proof;
pub(crate) mod record;
pub(crate) mod record_ref;
pub(crate) mod session_store;

pub use answer::LiveCount;

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
pub use crate::backend::sql::mysql::{self, MySql, MySqlBuilder, MySqlStore};
#[cfg(any(feature = "sqlx-postgres", feature = "tokio-postgres"))]
pub use crate::backend::sql::postgres::{self, Postgres, PostgresBuilder, PostgresStore};
#[cfg(feature = "sqlx-sqlite")]
pub use crate::backend::sql::sqlite::{self, Sqlite, SqliteBuilder, SqliteStore};

/// Generic types behind the names of the SQL backends.
#[cfg(any(
    feature = "sqlx-mysql",
    feature = "sqlx-postgres",
    feature = "sqlx-sqlite",
    feature = "tokio-postgres"
))]
pub mod sql {
    pub use crate::backend::sql::builder::Builder;
    #[cfg(any(feature = "sqlx-mysql", feature = "sqlx-sqlite"))]
    pub use crate::backend::sql::generic::{Database, RowStore, TableLog};
}
