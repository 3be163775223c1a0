//! `AuthLayer` and its services, driven by a test browser.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[path = "layer/answers.rs"]
mod answers;
#[path = "layer/at_once.rs"]
mod at_once;
#[path = "layer/combined.rs"]
mod combined;
#[path = "layer/cookies.rs"]
mod cookies;
#[path = "layer/dropped.rs"]
mod dropped;
#[path = "layer/failures.rs"]
mod failures;
#[path = "layer/fixation.rs"]
mod fixation;
#[path = "layer/grpc.rs"]
mod grpc;
#[path = "layer/guards.rs"]
mod guards;
#[path = "layer/hybrids.rs"]
mod hybrids;
#[path = "layer/late.rs"]
mod late;
#[path = "layer/site.rs"]
mod site;
#[path = "layer/transports.rs"]
mod transports;
