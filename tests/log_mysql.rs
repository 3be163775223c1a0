//! Runs the laws of a revocation log, and further tests, against MariaDB.

#![cfg(feature = "sqlx-mysql")]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[path = "logs/cases.rs"]
mod cases;
#[path = "logs/mysql.rs"]
mod mysql;
#[path = "sql/runtime.rs"]
mod runtime;
mod support;
