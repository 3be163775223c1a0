//! Guarantees for tokens, seen from outside: our own tokens, and those of other libraries.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
mod confusions;
#[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
mod external;
mod foreign;
mod interop;
mod issuers;
mod jwt_cases;
#[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
mod key_sets;
mod key_texts;
mod keys;
mod masters;
mod own;
mod profile;
#[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
mod public;
mod rotation;
mod support;
