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
//! | `MySqlLog` (feature `sqlx-mysql`) | nodes that share a MySQL or MariaDB |
//! | `PostgresLog` (feature `sqlx-postgres` or `tokio-postgres`) | nodes that share a Postgres |
//! | `SqliteLog` (feature `sqlx-sqlite`) | processes on one machine that share a file |

mod builder;
mod fact;
mod filter;
mod follower;
mod following;
mod known;
mod log;
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
#[cfg(feature = "sqlx-mysql")]
#[cfg_attr(docsrs, doc(cfg(feature = "sqlx-mysql")))]
pub use sql::mysql::{self, MySqlLog, MySqlLogBuilder};
#[cfg(any(feature = "sqlx-postgres", feature = "tokio-postgres"))]
#[cfg_attr(
    docsrs,
    doc(cfg(any(feature = "sqlx-postgres", feature = "tokio-postgres")))
)]
pub use sql::postgres::{self, PostgresLog, PostgresLogBuilder};
#[cfg(feature = "sqlx-sqlite")]
#[cfg_attr(docsrs, doc(cfg(feature = "sqlx-sqlite")))]
pub use sql::sqlite::{self, SqliteLog, SqliteLogBuilder};
pub use view::{Health, RevocationView};
