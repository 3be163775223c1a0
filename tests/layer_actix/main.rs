//! `AuthLayer` as a middleware of actix-web: the tests of `layer`, and those of what differs.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]
#![allow(
    clippy::future_not_send,
    reason = "actix-web serves each request on one thread"
)]

#[path = "../layer/acts.rs"]
mod acts;
#[path = "../layer/answers.rs"]
mod answers;
#[path = "../layer/browser.rs"]
mod browser;
#[path = "../layer/combined.rs"]
mod combined;
#[path = "../layer/cookies.rs"]
mod cookies;
#[path = "../layer/deploys.rs"]
mod deploys;
#[path = "../layer/dropped.rs"]
mod dropped;
mod errors;
#[path = "../layer/events.rs"]
mod events;
#[path = "../layer/failures.rs"]
mod failures;
#[path = "../layer/fixation.rs"]
mod fixation;
#[path = "../layer/grpc.rs"]
mod grpc;
#[path = "../layer/guards.rs"]
mod guards;
#[path = "../layer/hybrids.rs"]
mod hybrids;
#[path = "../support/jar.rs"]
mod jar;
#[path = "../layer/late.rs"]
mod late;
#[path = "../layer/pages.rs"]
mod pages;
mod redirecting;
mod site;
#[path = "../layer/steps.rs"]
mod steps;
#[path = "../layer/transports.rs"]
mod transports;
#[path = "../layer/two_schemes.rs"]
mod two_schemes;
#[path = "../layer/updates.rs"]
mod updates;
#[path = "../layer/world.rs"]
mod world;
