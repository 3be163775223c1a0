//! Connections to Postgres, of whichever client.

pub(crate) mod driver;
pub(crate) mod durability;
pub(crate) mod log;
#[cfg(feature = "tokio-postgres")]
pub(crate) mod pipelined;
pub(crate) mod setup;
#[cfg(feature = "sqlx-postgres")]
pub(crate) mod sqlx;
pub(crate) mod store;

use driver::Driver;

pub use log::text::{LOG_SCHEMA, log_schema};
pub use log::{PostgresLog, PostgresLogBuilder};
#[cfg(feature = "tokio-postgres")]
pub use pipelined::Pipelined;
#[cfg(feature = "sqlx-postgres")]
pub use sqlx::Sqlx;
pub use store::{PostgresBuilder, PostgresStore, SCHEMA, schema};

/// What talks to Postgres: `Sqlx` or `Pipelined`.
#[expect(private_bounds, reason = "sealed: what a link does may change")]
pub trait Link: Driver {}

impl<L: Driver> Link for L {}
