//! What the stores in SQL databases have in common: one row per login, keyed by its handle, with
//! a column for whatever a statement compares or sets, and one for the tagged fields.
//!
//! A login is alive at `now` if
//! `deadline > now AND CASE WHEN idle < 0 THEN TRUE ELSE last_seen > now - idle END`.
//! That is [`Record::is_alive`](crate::session::Record::is_alive), without an overflow.

mod columns;
#[cfg(any(feature = "sqlx-mysql", feature = "sqlx-sqlite"))]
mod insertion;
#[cfg(feature = "sqlx-mysql")]
pub mod mysql;
#[cfg(any(feature = "sqlx-mysql", feature = "sqlx-sqlite"))]
mod pages;
#[cfg(any(feature = "sqlx-postgres", feature = "tokio-postgres"))]
pub mod postgres;
#[cfg(any(feature = "sqlx-mysql", feature = "sqlx-sqlite"))]
mod rows;
#[cfg(any(feature = "sqlx-mysql", feature = "sqlx-sqlite"))]
mod rowstore;
#[cfg(feature = "sqlx-sqlite")]
pub mod sqlite;
#[cfg(any(feature = "sqlx-mysql", feature = "sqlx-sqlite"))]
mod statements;
#[cfg(any(feature = "sqlx-mysql", feature = "sqlx-sqlite"))]
mod swap;

pub(crate) use columns::{Columns, fixed, in_seconds, moment, stamps_from, subject_key};
