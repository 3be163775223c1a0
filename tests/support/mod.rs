//! Helpers that several tests share. Each test uses a part of them.

#![allow(
    dead_code,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a part of the tests: each binary uses some of it, and a test fails by panicking"
)]

pub(crate) mod proxy;
pub(crate) mod servers;
