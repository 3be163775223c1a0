//! Authentication for services: server-side sessions and signed tokens behind one trait.
//!
//! ```
//! use std::time::Duration;
//! use statewise::{Authenticator, Login, session::SessionAuthenticator, store::MemoryStore};
//!
//! # async fn example() -> statewise::Result<()> {
//! let auth = SessionAuthenticator::builder(MemoryStore::with_capacity(100_000)?)
//!     .idle(Duration::from_secs(30 * 60))
//!     .absolute(Duration::from_secs(12 * 3600))
//!     .build()?;
//!
//! let issued = auth.issue(Login::new("alice").role("admin")).await?;
//! let caller = auth.verify(issued.credential().reveal()).await?;
//! assert!(caller.has_role("admin"));
//! # Ok(())
//! # }
//! ```
//!
//! To use tokens instead, change only the configuration:
//!
//! ```
//! # use std::time::Duration;
//! # use statewise::{Authenticator, Login};
//! use statewise::token::{Key, TokenAuthenticator};
//!
//! # async fn example() -> statewise::Result<()> {
//! let auth = TokenAuthenticator::builder(Key::generate_hs256()?)
//!     .issuer("https://auth.example")
//!     .audience("api")
//!     .lifetime(Duration::from_secs(15 * 60))
//!     .build()?;
//!
//! let issued = auth.issue(Login::new("alice").role("admin")).await?;
//! let caller = auth.verify(issued.credential().reveal()).await?;
//! assert!(caller.has_role("admin"));
//! # Ok(())
//! # }
//! ```
//!
//! # The main types
//!
//! - [`Authenticator`] is the trait that your handlers use: issue, verify, refresh, revoke.
//!   `Arc<dyn `[`DynAuthenticator`]`<D>>` implements it too, so that a configuration file can
//!   choose the strategy.
//! - [`Login`] is the input: build one after a user has proven their identity. [`Issued`] is the
//!   output, with the [`Credential`] for the client.
//! - [`Identity`] is the verified caller. You get one by verifying a credential.
//! - [`Revocation`] says when a logout takes effect. Some strategies cannot end a login at once.
//! - [`Preset`] holds an authenticator to NIST SP 800-63B-4 or OWASP ASVS.
//! - [`Observer`](observer::Observer) receives events about logins, rejections and thefts.
//! - [`Error`] says what was at fault: the credential, a rule, an outage, or the configuration.
//!
//! [`hybrid`] combines both strategies: short-lived access tokens, and a session that refreshes
//! them. [`either`] serves two strategies on the same routes. [`migrating`] moves a running service
//! from one strategy to another. [`api_keys`] are for programs: named, with scopes, without refresh.
//!
//! # Which strategy
//!
//! | | [`session`] | [`token`] |
//! |---|---|---|
//! | the server keeps | a record per login | one key |
//! | the client keeps | 64 random characters | signed claims |
//! | memory on the server | grows with logins | constant |
//! | a further node needs | the store | the key |
//! | logout takes effect | at once | when the token expires, or, with a [`revocation`] log, within a stated bound |
//! | verification costs | a lookup, or, with a [cache](store::CachedStore), no I/O on a hit | a signature check, no I/O |
//!
//! New to sessions and tokens? Begin with [`manual::basics`]. The [`manual`] is a book: a login in
//! [axum](manual::axum) in five minutes, [five cases](manual::choosing) with every setting,
//! [deploying](manual::deploying), a [runbook](manual::operations), and the [threats](manual::threats).
//!
//! # Pages for users, pages for implementers
//!
//! | you want to | read |
//! |---|---|
//! | authenticate callers | this page, [`session`], [`token`], [`web`] |
//! | choose where sessions and revocations are kept | [`store`], [`revocation`] |
//! | build a service, step by step | [`manual`] |
//! | write a session store | [`store::contract`] |
//! | write a revocation log | [`revocation::log`] |
//! | write an authenticator | [`authenticator`] |
//!
//! # Scope
//!
//! statewise does not handle passwords, OAuth or OpenID Connect flows, or encrypted tokens. It brings no
//! runtime and spawns no task. Only the database backends wait between retries, and redb has one writer
//! thread. [`web`] reads credentials from requests and writes them to
//! responses: framework-independent, as a tower layer with extractors for axum, or as a middleware of
//! actix-web.
//!
//! # Features
//!
//! None is on by default. The second column counts the crates that a feature adds to the 28 of the default
//! tree, with those that only build it; `.ci/crates` in the repository prints them.
//!
//! | feature | crates | brings |
//! |---|---|---|
//! | `actix` | 91 | `AuthLayer` and `Require` as middleware of actix-web 4, and the extractors for its handlers |
//! | `aws-lc-rs` | 11 | public-key tokens ([`token`]), by aws-lc-rs 1 (needs a C compiler) |
//! | `axum` | 18 | `tower`, and the extractors for handlers of axum 0.8 |
//! | `coarse-clock` | 3 | `CoarseClock`: a system clock that takes a tenth of the time to read, on Linux |
//! | `config` | 0 | `Config`: strategy, store and lifetimes from a file in any format of serde |
//! | `metrics` | 3 | `MetricsObserver`: reports events as counters and gauges through the crate metrics 0.24 |
//! | `redb` | 1 | `Redb`: sessions and revocations in one file, durable, without a server (Rust 1.90) |
//! | `redis` | 62 | `Redis`: sessions and revocations in Redis, Valkey or a Cluster, over the application's connection |
//! | `ring` | 6 | the same by ring 0.17 (needs a C compiler); `aws-lc-rs` is preferred if both are enabled |
//! | `rustcrypto` | 36 | the same in pure Rust: p256 0.14, ed25519-dalek 3 and rsa 0.10; the other two are preferred |
//! | `sqlx-mysql` | 87 | `MySql`: sessions and revocations in MySQL or MariaDB, through a pool of sqlx 0.9 (Rust 1.94) |
//! | `sqlx-postgres` | 100 | `Postgres`: sessions and revocations in Postgres, through a pool of sqlx 0.9 (Rust 1.94) |
//! | `sqlx-sqlite` | 96 | `Sqlite`: sessions and revocations in SQLite, through a pool of sqlx 0.9 (Rust 1.94) |
//! | `testkit` | 0 | [tests of handlers](manual::testing): a client, a given caller, a clock set by hand, a store that fails on command; the conformance kit for stores and logs |
//! | `tokio-postgres` | 40 | the same `Postgres` type, over pipelined connections of tokio-postgres 0.7 |
//! | `tower` | 6 | `AuthLayer` and `Require` as layers in front of axum, hyper, tonic |
//! | `tracing` | 4 | `TracingObserver`: reports events through the crate tracing 0.1; the web layer logs denials |

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]
// The features that bring it are shown instead.
#![cfg_attr(docsrs, doc(auto_cfg(hide(feature = "_public"))))]

#[cfg(all(
    feature = "_public",
    not(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))
))]
compile_error!(
    "the feature `_public` does nothing alone: enable `aws-lc-rs`, `ring` or `rustcrypto` of statewise \
     for public-key signatures"
);

pub mod authenticator;
pub mod clock;
#[cfg(feature = "config")]
#[cfg_attr(docsrs, doc(cfg(feature = "config")))]
pub mod config;
pub mod entropy;
pub mod manual;
pub mod observer;
pub mod revocation;
pub mod session;
pub mod store;
pub mod tickets;
pub mod token;
pub mod web;

#[cfg(any(test, feature = "testkit"))]
#[cfg_attr(docsrs, doc(cfg(feature = "testkit")))]
pub mod testkit;

mod backend;
mod base;
mod compose;
mod error;
mod login;
mod upkeep;

pub use authenticator::{Authenticator, DynAuthenticator, Presented};
pub use base::public_id::{InvalidPublicId, PublicId};
pub use compose::{Observed, api_keys, either, hybrid, migrating};
pub use error::{Error, Refusal, Rejection, Result, Theft};
pub use login::Login;
pub use login::affected::Affected;
pub use login::begun::Begun;
pub use login::edit::{Edit, EditFn};
pub use login::identity::Identity;
pub use login::issued::{Credential, Issued, Outcome, Revocation};
pub use login::logout::Logout;
pub use login::place::Place;
pub use login::preset::Preset;
pub use login::purpose::Purpose;
pub use upkeep::Upkeep;
