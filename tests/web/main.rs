//! The framework-free core: cookies, bearer tokens, denials and cross-origin protection.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[path = "../support/jar.rs"]
mod browser;
mod cases;
mod cookies;
mod denials;
mod jar;
mod origins;

mod bearers;
