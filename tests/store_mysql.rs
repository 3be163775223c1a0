//! Runs the laws of a store, and further tests, against MariaDB.

#![cfg(feature = "sqlx-mysql")]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[path = "sql/alternating.rs"]
mod alternating;
#[path = "stores/cached.rs"]
mod cached;
#[path = "sql/cases.rs"]
mod cases;
#[path = "mysql/conflicts.rs"]
mod conflicts;
#[path = "mysql/counted.rs"]
mod counted;
#[path = "stores/late_save.rs"]
mod late_save;
#[path = "mysql/laws.rs"]
mod laws;
#[path = "mysql/lost.rs"]
mod lost;
#[path = "sql/runtime.rs"]
mod runtime;
#[path = "mysql/server.rs"]
mod server;
#[path = "mysql/shared.rs"]
mod shared;
#[path = "strategies/mod.rs"]
mod strategies;
mod support;
