//! A revocation log on a failing server, of Redis and of Postgres. No revoked credential is accepted
//! beyond the bound, the nodes recover on their own, and no acknowledged revocation is lost.

#![cfg(any(feature = "redis", feature = "tokio-postgres"))]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod cases;
mod fleet;
#[cfg(feature = "tokio-postgres")]
mod postgres;
#[cfg(feature = "tokio-postgres")]
#[path = "../support/postgres_client.rs"]
mod postgres_client;
#[cfg(feature = "redis")]
mod redis;
#[allow(dead_code, reason = "a part of it is used")]
#[path = "../sql/runtime.rs"]
mod runtime;
mod site;
#[path = "../support/mod.rs"]
mod support;
