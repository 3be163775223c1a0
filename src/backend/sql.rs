//! SQL databases: Postgres, MySQL and SQLite.
//!
//! A session is a row, found by its handle, with a column for each value that a statement compares
//! or sets, and one for the encoded fields. It is alive at `now` if
//! `deadline > now AND CASE WHEN idle < 0 THEN TRUE ELSE last_seen > now - idle END`, which is
//! [`Record::is_alive`](crate::store::contract::Record::is_alive) without an overflow.

pub(crate) mod builder;
pub(crate) mod columns;
pub(crate) mod durability;
pub(crate) mod failure;
#[cfg(any(feature = "sqlx-mysql", feature = "sqlx-sqlite"))]
pub(crate) mod generic;
pub(crate) mod log;
#[cfg(feature = "sqlx-mysql")]
pub mod mysql;
pub(crate) mod page;
pub(crate) mod pages;
#[cfg(any(feature = "sqlx-postgres", feature = "tokio-postgres"))]
pub mod postgres;
#[cfg(feature = "sqlx-sqlite")]
pub mod sqlite;
pub(crate) mod table;
pub(crate) mod value;
pub(crate) mod write_behind;
