//! `AuthLayer` and its services, driven by a test browser.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod acts;
mod answers;
mod at_once;
mod browser;
mod combined;
mod conditions;
mod cookies;
mod deploys;
mod dropped;
mod events;
mod failures;
mod fields;
mod fixation;
mod grpc;
mod guards;
mod hybrids;
mod in_call;
#[path = "../support/jar.rs"]
mod jar;
mod late;
mod others;
mod pages;
mod passive;
mod redirecting;
mod remembered;
mod site;
mod steps;
mod transports;
mod two_schemes;
mod unreadable;
mod updates;
mod world;
