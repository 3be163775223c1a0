//! What the stores in SQL databases have in common: one row per login, keyed by its handle, with
//! a column for whatever a statement compares or sets, and one for the tagged fields.
//!
//! A login is alive at `now` if
//! `deadline > now AND CASE WHEN idle < 0 THEN TRUE ELSE last_seen > now - idle END`.
//! That is [`Record::is_alive`](crate::store::contract::Record::is_alive), without an overflow.

pub(crate) mod columns;
#[cfg(any(feature = "sqlx-mysql", feature = "sqlx-sqlite"))]
pub(crate) mod insertion;
#[cfg(any(feature = "sqlx-mysql", feature = "sqlx-sqlite"))]
pub(crate) mod pages;
#[cfg(any(feature = "sqlx-mysql", feature = "sqlx-sqlite"))]
pub(crate) mod rows;
#[cfg(any(feature = "sqlx-mysql", feature = "sqlx-sqlite"))]
pub(crate) mod rowstore;
#[cfg(any(feature = "sqlx-mysql", feature = "sqlx-sqlite"))]
pub(crate) mod statements;
#[cfg(any(feature = "sqlx-mysql", feature = "sqlx-sqlite"))]
pub(crate) mod swap;

pub(crate) use columns::{Columns, fixed, in_seconds, moment, stamps_from, subject_key};
