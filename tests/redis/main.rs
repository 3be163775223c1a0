//! The Redis store and log, on a private server.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "the helpers are part of the tests"
)]

#[path = "../stores/cached.rs"]
mod cached;
#[path = "../stores/clock_skew.rs"]
mod clock_skew;
mod common;
mod counted;
#[path = "../stores/critical.rs"]
mod critical;
mod dropped;
mod durability;
mod eviction;
mod failover;
mod failures;
mod large;
#[path = "../stores/late_save.rs"]
mod late_save;
mod laws;
mod log;
#[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
#[path = "../stores/log_reader.rs"]
mod log_reader;
mod lost_requests;
mod nodes;
mod rights;
#[path = "../stores/silence.rs"]
mod silence;
#[path = "../stores/failover.rs"]
mod stores_failover;
#[path = "../strategies/mod.rs"]
mod strategies;
#[path = "../support/mod.rs"]
mod support;
mod unexpected_answers;
