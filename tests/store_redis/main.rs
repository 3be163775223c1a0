//! The Redis store, on a server of its own.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "the helpers are part of the tests"
)]

mod common;
mod laws;
#[path = "../support/mod.rs"]
mod support;
