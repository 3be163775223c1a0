//! Helpers for tests of your handlers, and the conformance kit for stores and revocation logs.
//!
//! # Testing your handlers
//!
//! [`caller()`] is the argument of a handler under test, [`as_caller()`] runs a router as a given user, and
//! [`TestClient`] calls it with cookies and real logins. The manual has an
//! [example of each](crate::manual::testing), with a moved clock and an outage.
//!
//! # Testing a store of your own
//!
//! Three steps lead from an `impl SessionStore` to a tested one.
//!
//! 1. Turn the feature on for tests:
//!
//!    ```toml
//!    [dev-dependencies]
//!    statewise = { version = "0.1", features = ["testkit"] }
//!    ```
//!
//! 2. Implement [`StoreFixture`]. It opens a fresh store for each law.
//! 3. Call [`session_store_laws!`] in a module. It makes one test of each of the [`laws`], so that
//!    a broken one is named in the output of `cargo test`.
//!
//! ```
//! use std::time::Duration;
//!
//! use statewise::store::MemoryStore;
//! use statewise::clock::Timestamp;
//! use statewise::store::contract::Handle;
//! use statewise::testkit::{EditBytes, StoreFixture};
//!
//! // In place of `MemoryStore`: your own.
//! struct Fixture;
//!
//! impl StoreFixture for Fixture {
//!     type Store = MemoryStore;
//!
//!     // Two stores must not share rows: give each a table, a prefix or a file of its own.
//!     async fn open(&self) -> MemoryStore {
//!         MemoryStore::with_capacity(100_000).unwrap()
//!     }
//!
//!     // For a server with a clock of its own: make its rows expire earlier by this much.
//!     async fn advance(&self, _store: &MemoryStore, _by: Duration) {}
//!
//!     // For a store that keeps bytes: read those of this row, edit them, and write them back.
//!     async fn rewrite(
//!         &self,
//!         _store: &MemoryStore,
//!         _handle: Handle,
//!         _now: Timestamp,
//!         _edit: EditBytes<'_>,
//!     ) -> bool {
//!         false
//!     }
//! }
//!
//! mod laws {
//!     // A store that needs a runtime passes `block_on = path::of::its::block_on` as well.
//!     statewise::testkit::session_store_laws!(super::Fixture);
//! }
//! # fn main() {}
//! ```
//!
//! `examples/own_store.rs` has a complete store with its fixture. For a revocation log the same
//! three parts are [`LogFixture`], [`revocation_log_laws!`] and [`log_laws`].
//!
//! # Reading a failure
//!
//! - The name of the law begins with the method or the behaviour that is broken. Its documentation
//!   ends with the mistakes that it rejects.
//! - The last line of the message is the verdict. `concur_01` prints the shortest script that
//!   fails, and `concur_02` the calls that contradict each other.
//! - Where chance is involved, the message names a seed. Set the environment variable
//!   `STATEWISE_SEED` to it to repeat the same choices.
//! - `skipped read_04` on standard error: the fixture has no [`rewrite`](StoreFixture::rewrite), so
//!   rows that do not decode remain untested.
//!
//! The laws end on a store that does not: a list without an end, for example, is reported and not
//! followed. A call that never completes is the exception. Nothing here has a timer, so the test
//! runner has to stop it.
//!
//! # Helpers for any test
//!
//! | item | use |
//! |---|---|
//! | [`ManualClock`] | a clock that a test moves |
//! | [`FaultyStore`], [`FaultyLog`] | a store, and a revocation log, that fail on command |
//! | [`YieldingStore`] | lets other futures run before and after each call |
//! | [`forward_session_store!`] | a store around another one that changes one method |
//! | [`Sample`] | rows and changes without a strategy |
//! | [`block_on`], [`interleave`], [`spread`], [`give_up_after`], [`caught`] | enough of a runtime to run, interleave and drop futures |
//!
//! Nothing here sleeps.

#![allow(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::panic,
    reason = "a law panics when it is broken: that is how a test fails"
)]

pub mod laws;
pub mod log_laws;

#[cfg(feature = "tower")]
mod as_caller;
mod caller;
#[cfg(feature = "tower")]
mod client;
mod clock;
mod executor;
mod faulty;
mod faulty_log;
mod fixture;
#[cfg(feature = "tower")]
mod jar;
mod linear;
mod log_fixture;
mod model;
mod random;
mod sample;
mod world;
mod wrapping;

pub use crate::forward_session_store;
pub use crate::revocation_log_laws;
pub use crate::session_store_laws;
#[cfg(feature = "tower")]
pub use as_caller::as_caller;
pub use caller::{caller, caller_at};
#[cfg(feature = "tower")]
pub use client::{TestClient, TestRequest};
pub use clock::ManualClock;
pub use executor::{block_on, caught, give_up_after, interleave, spread, yield_now};
pub use faulty::{Fault, FaultyStore, Method, YieldingStore};
pub use faulty_log::FaultyLog;
pub use fixture::{EditBytes, MemoryFixture, StoreFixture};
pub use log_fixture::{LogFixture, MemoryLogFixture};
pub use random::{Random, seed};
pub use sample::Sample;
