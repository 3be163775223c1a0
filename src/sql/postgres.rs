//! Connections to Postgres, of whichever client.

pub(crate) mod driver;
pub(crate) mod durability;
#[cfg(feature = "tokio-postgres")]
pub(crate) mod pipelined;
pub(crate) mod setup;
#[cfg(feature = "sqlx-postgres")]
pub(crate) mod sqlx;

use driver::Driver;

/// What talks to Postgres: `Sqlx` or `Pipelined`.
#[expect(private_bounds, reason = "sealed: what a link does may change")]
pub trait Link: Driver {}

impl<L: Driver> Link for L {}
