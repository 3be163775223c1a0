//! Authenticators made of authenticators: the hybrid, two strategies on the same routes, and the
//! migration between strategies.

mod begin;
mod edits;
mod either;
mod hybrid;
mod migrating;
mod steps;
