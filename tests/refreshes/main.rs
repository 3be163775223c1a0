//! Refreshing under load, and with services and stores that are killed in the middle, on every
//! durable store.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[path = "../redis/common.rs"]
#[cfg(feature = "redis")]
mod common;
#[path = "../redb/folder.rs"]
#[cfg(feature = "redb")]
mod folder;
#[cfg(all(feature = "redb", feature = "redis", feature = "tokio-postgres"))]
mod killed;
mod parallel;
#[cfg(feature = "tokio-postgres")]
#[path = "../support/postgres_client.rs"]
mod postgres_client;
#[path = "../support/mod.rs"]
mod support;

use std::sync::LazyLock;
use std::time::Duration;

use statewise::clock::Clock;
use statewise::hybrid::HybridAuthenticator;
use statewise::session::{SessionAuthenticator, SessionBuilder};
use statewise::store::contract::SessionStore;
use statewise::token::{Key, TokenAuthenticator};
use tokio::runtime::{Builder, Runtime};

#[cfg(feature = "tokio-postgres")]
use postgres_client::client_at;

const DAY: Duration = Duration::from_secs(86_400);

/// One runtime for all tests, because connections belong to it.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().unwrap()
});

fn sessions<S: SessionStore>(store: S, clock: impl Clock) -> SessionBuilder<S, ()> {
    SessionAuthenticator::builder(store)
        .idle(DAY)
        .absolute(30 * DAY)
        .clock(clock)
}

fn hybrid<S: SessionStore>(store: S, clock: impl Clock) -> HybridAuthenticator<S> {
    let tokens =
        TokenAuthenticator::builder(Key::hs256(&[7; 16].map(u16::to_be_bytes).concat()).unwrap())
            .issuer("https://auth.example")
            .audience("api")
            .lifetime(Duration::from_secs(600));
    HybridAuthenticator::new(tokens, sessions(store, clock)).unwrap()
}

#[cfg(feature = "tokio-postgres")]
fn postgres(
    folder: std::path::PathBuf,
    connections: usize,
) -> statewise::store::Postgres<statewise::store::postgres::Pipelined> {
    let connect = move || client_at(folder.join(".s.PGSQL.5432"));
    statewise::store::Postgres::connect(connect)
        .connections(connections)
        .deadline(Duration::from_secs(60))
        .build()
        .unwrap()
}
