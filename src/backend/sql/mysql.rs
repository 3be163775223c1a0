//! Sessions and revocations in MySQL or MariaDB.

mod durability;
mod lease;
pub(crate) mod log;
pub(crate) mod pool;
mod schema;
pub(crate) mod store;

pub use log::{LOG_SCHEMA, MySqlLog, MySqlLogBuilder, log_schema};
pub use schema::{SCHEMA, schema};
pub use store::{MySqlBuilder, MySqlStore};
