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
mod deploys;
mod dropped;
mod events;
mod failures;
mod fixation;
mod grpc;
mod guards;
mod hybrids;
#[path = "../support/jar.rs"]
mod jar;
mod late;
mod pages;
mod site;
mod transports;
mod two_schemes;
mod unreadable;
