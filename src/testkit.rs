//! The conformance kit for stores, and what tests of authentication need beside it.
//!
//! A store keeps the contract of [`SessionStore`](crate::store::contract::SessionStore) if all laws hold
//! for it. Implement [`StoreFixture`] in a test, and let [`session_store_laws!`] make one test of
//! each law:
//!
//! ```
//! mod laws {
//!     // A store that needs a runtime passes `block_on = path::of::its::block_on`.
//!     statewise::testkit::session_store_laws!(statewise::testkit::MemoryFixture);
//! }
//! ```
//!
//! [`laws`] lists them. The same for revocation logs: [`LogFixture`], [`revocation_log_laws!`] and
//! [`log_laws`]. A law that is broken panics and says which; where chance is involved, it
//! says the seed as well, and the environment variable `STATEWISE_SEED` makes the same choices
//! again.
//!
//! The rest is of use for any test: a clock that is moved by hand ([`ManualClock`]), a store that
//! fails on command and counts ([`FaultyStore`]), one that takes its time ([`YieldingStore`]),
//! rows without a strategy ([`Sample`]), and just enough of a runtime ([`block_on`],
//! [`interleave`]). Nothing here sleeps.

#![allow(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::panic,
    reason = "a law panics when it is broken: that is how a test fails"
)]

pub mod laws;
pub mod log_laws;

mod clock;
mod executor;
mod family;
mod faulty;
mod fixture;
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
pub use clock::ManualClock;
pub use executor::{block_on, caught, give_up_after, interleave, spread, yield_now};
pub use faulty::{Fault, FaultyStore, Method, YieldingStore};
pub use fixture::{ErasedFixture, MemoryFixture, StoreFixture};
pub use log_fixture::{ErasedLogFixture, LogFixture, MemoryLogFixture};
pub use random::{Random, seed};
pub use sample::Sample;
