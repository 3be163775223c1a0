//! Runs the laws of a revocation log, and further tests, against SQLite.

#![cfg(feature = "sqlx-sqlite")]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[path = "logs/cases.rs"]
mod cases;
#[path = "sql/runtime.rs"]
mod runtime;
#[path = "logs/sqlite.rs"]
mod sqlite;
