//! `AuthLayer` and its services, driven by a test browser.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod answers;
mod at_once;
mod combined;
mod cookies;
mod dropped;
mod failures;
mod fixation;
mod grpc;
mod guards;
mod hybrids;
mod late;
mod pages;
mod site;
mod transports;
mod two_schemes;
mod unreadable;
