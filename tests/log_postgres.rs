//! Runs the laws of a revocation log, and further tests, against Postgres with both clients.

#![cfg(all(feature = "sqlx-postgres", feature = "tokio-postgres"))]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[path = "logs/cases.rs"]
mod cases;
#[path = "logs/postgres.rs"]
mod postgres;
#[path = "sql/runtime.rs"]
mod runtime;
mod support;
