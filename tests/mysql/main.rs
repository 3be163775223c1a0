//! Runs the laws of a store, and further tests, against MariaDB.

#![cfg(feature = "sqlx-mysql")]
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
#[path = "../stores/clock_skew.rs"]
mod clock_skew;
mod conflicts;
#[path = "../stores/count.rs"]
mod count;
mod counted;
mod failover;
#[path = "../stores/late_save.rs"]
mod late_save;
mod laws;
mod lost;
#[path = "../sql/names.rs"]
mod names;
mod rights;
#[path = "../sql/runtime.rs"]
mod runtime;
mod server;
mod settings;
mod shared;
#[path = "../stores/silence.rs"]
mod silence;
#[path = "../stores/failover.rs"]
mod stores_failover;
#[path = "../strategies/mod.rs"]
mod strategies;
#[path = "../support/mod.rs"]
mod support;

mod log;
#[path = "../sql/log_cases.rs"]
mod log_cases;
#[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
#[path = "../stores/log_reader.rs"]
mod log_reader;
