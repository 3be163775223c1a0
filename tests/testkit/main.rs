//! The kit itself: it rejects broken stores and logs, and calls services like a browser.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod broken_logs;
mod broken_stores;
#[cfg(feature = "axum")]
mod handlers;
