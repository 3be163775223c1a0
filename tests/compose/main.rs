//! Authenticators made of authenticators: the hybrid, and the migration between strategies.

mod hybrid;
mod migrating;
