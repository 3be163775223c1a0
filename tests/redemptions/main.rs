//! 64 calls at once redeem one ticket, on every store: one gets it. The same with servers that are
//! killed and restarted: never two.
//!
//! `STATEWISE_REDEMPTIONS=10000` sets the number of tickets, and `--nocapture` prints the winners.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]
#![cfg(all(
    feature = "redb",
    feature = "redis",
    feature = "sqlx-mysql",
    feature = "sqlx-sqlite",
    feature = "tokio-postgres"
))]

#[path = "../redis/common.rs"]
mod common;
#[path = "../redb/folder.rs"]
mod folder;
mod killed;
mod parallel;
#[path = "../support/postgres_client.rs"]
mod postgres_client;
mod stores;
#[path = "../support/mod.rs"]
mod support;

use std::sync::Arc;
use std::time::Duration;

use statewise::store::contract::SessionStore;
use statewise::tickets::Tickets;

/// Number of tickets.
fn asked() -> usize {
    let given = std::env::var("STATEWISE_REDEMPTIONS").ok();
    given.map_or(20, |given| given.parse().expect("a number of tickets"))
}

/// Tickets with a payload, by the clock of the system.
fn tickets<S: SessionStore>(store: S) -> Arc<Tickets<S, usize>> {
    let tickets = Tickets::builder(store)
        .purpose("reset")
        .lifetime(Duration::from_secs(3_600))
        .with_payload();
    Arc::new(tickets.build().unwrap())
}
