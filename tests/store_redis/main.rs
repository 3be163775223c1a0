//! The Redis store and log, on a server of its own.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "the helpers are part of the tests"
)]

mod common;
mod counted;
mod durability;
mod failures;
mod laws;
mod log;
mod nodes;
mod proxy;
#[path = "../support/mod.rs"]
mod support;
