//! Runs the laws of a store, and further tests, against SQLite in a temporary folder.

#![cfg(feature = "sqlx-sqlite")]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[path = "../sql/alternating.rs"]
mod alternating;
#[path = "../stores/cached.rs"]
mod cached;
#[path = "../sql/cases.rs"]
mod cases;
#[path = "../stores/count.rs"]
mod count;
mod disk;
mod file;
#[path = "../stores/late_save.rs"]
mod late_save;
mod laws;
#[path = "../sql/names.rs"]
mod names;
mod processes;
#[path = "../sql/runtime.rs"]
mod runtime;
mod shared;
mod stopping;
#[path = "../strategies/mod.rs"]
mod strategies;

mod log;
#[path = "../sql/log_cases.rs"]
mod log_cases;
#[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
#[path = "../stores/log_reader.rs"]
mod log_reader;
