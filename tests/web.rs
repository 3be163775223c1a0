//! The framework-free core: cookies, bearer tokens, denials and cross-origin protection.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[path = "web/cases.rs"]
mod cases;
#[path = "web/cookies.rs"]
mod cookies;
#[path = "web/denials.rs"]
mod denials;
#[path = "web/jar.rs"]
mod jar;
#[path = "web/origins.rs"]
mod origins;

#[path = "web/bearers.rs"]
mod bearers;
