//! Sessions and revocations in SQLite.

mod durability;
pub(crate) mod log;
pub(crate) mod pool;
mod schema;
pub(crate) mod store;

pub use log::{LOG_SCHEMA, SqliteLog, SqliteLogBuilder, log_schema};
pub use schema::{SCHEMA, schema};
pub use store::{SqliteBuilder, SqliteStore};
