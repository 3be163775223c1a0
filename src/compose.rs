//! Authenticators made of authenticators.

pub mod api_keys;
pub mod either;
pub mod hybrid;
pub mod migrating;
pub(crate) mod observed;
mod pair;

pub use observed::Observed;
