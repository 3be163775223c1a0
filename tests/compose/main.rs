//! Authenticators made of authenticators: API keys, the hybrid, two strategies on the same routes, and the
//! migration between strategies. Presets of the builders.

mod api_keys;
mod begin;
mod edits;
mod either;
mod hybrid;
mod migrating;
mod presets;
mod steps;
mod upgrades;
