//! Each store against the raw client of its database, in one process: `cargo bench --bench stores
//! --all-features`. A backend is skipped, with a printed reason, if its feature is off or its
//! server is not installed; `tests/run` lists what to install. The servers are private, do not sync
//! to a disk, and are stopped at the end.
//!
//! To add a backend, add a module with a function that measures each of [`ACTS`] and returns the
//! rows, and call it in `main`.

#![allow(
    unsafe_code,
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a bench counts allocations, and fails by panicking"
)]

mod acts;
#[path = "../harness/mod.rs"]
mod harness;
#[cfg(feature = "sqlx-mysql")]
mod mysql;
#[cfg(any(feature = "sqlx-postgres", feature = "tokio-postgres"))]
mod postgres;
#[cfg(feature = "tokio-postgres")]
#[path = "../../tests/support/postgres_client.rs"]
mod postgres_client;
#[cfg(feature = "redb")]
mod redb;
#[cfg(feature = "redis")]
mod redis;
mod site;
#[cfg(feature = "sqlx-sqlite")]
mod sqlite;
#[cfg(any(
    feature = "sqlx-mysql",
    feature = "sqlx-postgres",
    feature = "sqlx-sqlite"
))]
mod sqlx_raw;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::process::ExitCode;

use harness::Row;
use harness::options::Options;

/// Operations that are measured for each backend. Each is a group named `BACKEND ACT`.
pub const ACTS: [&str; 5] = ["verify", "sliding verify", "issue", "refresh", "revoke"];

/// Returns whether the options select any group of a backend.
fn wants(backend: &str, options: &Options) -> bool {
    let wanted = |act: &&str| options.wants(&format!("{backend} {act}"));
    ACTS.iter().any(wanted)
}

fn main() -> ExitCode {
    let Some(options) = Options::of_bench() else {
        return ExitCode::SUCCESS;
    };
    for (feature, is_on) in [
        ("redb", cfg!(feature = "redb")),
        ("redis", cfg!(feature = "redis")),
        ("sqlx-mysql", cfg!(feature = "sqlx-mysql")),
        ("sqlx-postgres", cfg!(feature = "sqlx-postgres")),
        ("sqlx-sqlite", cfg!(feature = "sqlx-sqlite")),
        ("tokio-postgres", cfg!(feature = "tokio-postgres")),
    ] {
        if !is_on && wants(feature, &options) {
            println!("skipped: {feature}: its feature is off (--features {feature})");
        }
    }
    let measures: &[fn(&Options) -> Vec<Row>] = &[
        #[cfg(feature = "redb")]
        redb::measure,
        #[cfg(feature = "redis")]
        redis::measure,
        #[cfg(any(feature = "sqlx-postgres", feature = "tokio-postgres"))]
        postgres::measure,
        #[cfg(feature = "sqlx-mysql")]
        mysql::measure,
        #[cfg(feature = "sqlx-sqlite")]
        sqlite::measure,
    ];
    let all = measures.iter().flat_map(|measure| measure(&options));
    let rows: Vec<Row> = all.collect();
    if measures.is_empty() {
        return ExitCode::SUCCESS;
    }
    harness::finish(&rows, &options)
}
