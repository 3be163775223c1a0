//! Runs the laws of a store against Postgres with both clients, and tests that need a real server.

#![cfg(any(feature = "sqlx-postgres", feature = "tokio-postgres"))]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]
#![cfg_attr(
    not(all(feature = "sqlx-postgres", feature = "tokio-postgres")),
    allow(dead_code, unused_imports, reason = "some tests want both clients")
)]

#[cfg(feature = "tokio-postgres")]
#[path = "../support/postgres_client.rs"]
mod postgres_client;
#[path = "../support/mod.rs"]
mod support;

#[path = "../stores/cached.rs"]
mod cached;
#[path = "../stores/clock_skew.rs"]
mod clock_skew;
#[path = "../stores/count.rs"]
mod count;
#[path = "../stores/critical.rs"]
mod critical;
mod fixture;
#[path = "../stores/late_save.rs"]
mod late_save;
#[cfg(feature = "sqlx-postgres")]
#[path = "../strategies/mod.rs"]
mod strategies;

#[cfg(feature = "sqlx-postgres")]
mod sqlx_strategies {
    crate::strategies::strategy_laws!(
        crate::fixture::SqlxFixture::default(),
        block_on = crate::fixture::block_on
    );
}

#[cfg(feature = "sqlx-postgres")]
mod sqlx {
    statewise::testkit::session_store_laws!(
        crate::fixture::SqlxFixture::default(),
        block_on = crate::fixture::block_on
    );
}

#[cfg(feature = "tokio-postgres")]
mod tokio_postgres {
    statewise::testkit::session_store_laws!(
        crate::fixture::PipelinedFixture::default(),
        block_on = crate::fixture::block_on
    );
}

/// Behind a `CachedStore`.
#[cfg(feature = "sqlx-postgres")]
mod sqlx_cached {
    statewise::testkit::session_store_laws!(
        crate::cached::Cached::over(crate::fixture::SqlxFixture::default()),
        block_on = crate::fixture::block_on
    );
}

/// Behind a `CachedStore`.
#[cfg(feature = "tokio-postgres")]
mod tokio_postgres_cached {
    statewise::testkit::session_store_laws!(
        crate::cached::Cached::over(crate::fixture::PipelinedFixture::default()),
        block_on = crate::fixture::block_on
    );
}

/// With a running upkeep, so that uses are written behind the read.
#[cfg(feature = "sqlx-postgres")]
mod sqlx_behind {
    statewise::testkit::session_store_laws!(
        crate::fixture::Behind(crate::fixture::SqlxFixture::default()),
        block_on = crate::fixture::block_on
    );
}

#[cfg(all(feature = "sqlx-postgres", feature = "tokio-postgres"))]
mod counted;
#[cfg(all(feature = "sqlx-postgres", feature = "tokio-postgres"))]
mod failover;
#[cfg(all(feature = "sqlx-postgres", feature = "tokio-postgres"))]
mod locks;
#[cfg(all(feature = "sqlx-postgres", feature = "tokio-postgres"))]
#[path = "../sql/names.rs"]
mod names;
#[cfg(all(feature = "sqlx-postgres", feature = "tokio-postgres"))]
mod pooler;
#[cfg(all(feature = "sqlx-postgres", feature = "tokio-postgres"))]
mod rights;
#[cfg(all(feature = "sqlx-postgres", feature = "tokio-postgres"))]
mod server;
#[cfg(all(feature = "sqlx-postgres", feature = "tokio-postgres"))]
#[path = "../stores/silence.rs"]
mod silence;
#[cfg(all(feature = "sqlx-postgres", feature = "tokio-postgres"))]
#[path = "../stores/failover.rs"]
mod stores_failover;

mod log;
#[path = "../sql/log_cases.rs"]
mod log_cases;
#[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
#[path = "../stores/log_reader.rs"]
mod log_reader;
#[path = "../sql/runtime.rs"]
mod runtime;
