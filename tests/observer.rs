//! Events: each outcome is reported once, with its cause and a public id, and without secrets.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[cfg(feature = "metrics")]
#[path = "observer/metrics.rs"]
mod metrics;
#[path = "observer/notes.rs"]
mod notes;
#[path = "observer/redaction.rs"]
mod redaction;
#[path = "support/secrets.rs"]
mod secrets;
#[path = "observer/sessions.rs"]
mod sessions;
#[path = "observer/tokens.rs"]
mod tokens;
#[cfg(feature = "tracing")]
#[path = "observer/tracing.rs"]
mod tracing;
#[path = "observer/upkeep.rs"]
mod upkeep;
