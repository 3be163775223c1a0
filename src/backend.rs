//! Backends: implementations of the store and log contracts, one folder each.

#[cfg(any(
    feature = "redis",
    feature = "sqlx-mysql",
    feature = "sqlx-postgres",
    feature = "sqlx-sqlite",
    feature = "tokio-postgres"
))]
pub(crate) mod breaker;
pub(crate) mod cached;
pub(crate) mod durability;
pub(crate) mod memory;
#[cfg(feature = "redb")]
pub(crate) mod redb;
#[cfg(feature = "redis")]
pub(crate) mod redis;
#[cfg(any(
    feature = "redis",
    feature = "sqlx-mysql",
    feature = "sqlx-postgres",
    feature = "sqlx-sqlite",
    feature = "tokio-postgres"
))]
pub(crate) mod server_clock;
#[cfg(any(
    feature = "sqlx-mysql",
    feature = "sqlx-postgres",
    feature = "sqlx-sqlite",
    feature = "tokio-postgres"
))]
pub(crate) mod sql;
