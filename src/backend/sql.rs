//! What everything has in common that keeps something in an SQL database: names of tables,
//! connections, and what may go wrong with them. It knows nothing of what is kept.

#[cfg(any(feature = "sqlx-mysql", feature = "sqlx-sqlite"))]
pub(crate) mod client;
#[cfg(any(feature = "sqlx-mysql", feature = "sqlx-sqlite"))]
pub(crate) mod failure;
pub(crate) mod log;
#[cfg(feature = "sqlx-mysql")]
pub mod mysql;
#[cfg(any(feature = "sqlx-mysql", feature = "sqlx-sqlite"))]
mod pause;
#[cfg(any(feature = "sqlx-postgres", feature = "tokio-postgres"))]
pub mod postgres;
#[cfg(any(feature = "sqlx-mysql", feature = "sqlx-sqlite"))]
pub(crate) mod settings;
#[cfg(feature = "sqlx-sqlite")]
pub mod sqlite;
pub(crate) mod store;
pub(crate) mod table;

use std::time::Duration;

/// Until when an answer is waited for, if nothing else is said.
pub(crate) const DEADLINE: Duration = Duration::from_secs(2);
