//! Events: each outcome is reported once, with its cause and a public id, and without secrets.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod ends;
mod incidents;
mod keys;
#[cfg(feature = "metrics")]
mod metrics;
mod notes;
mod redaction;
#[path = "../support/secrets.rs"]
mod secrets;
mod sessions;
mod tokens;
#[cfg(feature = "tracing")]
mod tracing;
mod upkeep;
