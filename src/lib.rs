//! Who is calling? Sessions that the server remembers, and tokens that remember for it, behind one
//! trait.
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
//! The same with tokens: only the configuration changes.
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
//! # The nouns
//!
//! - [`Authenticator`] is the contract that handlers are written against: issue, verify, refresh,
//!   revoke. `Arc<dyn `[`DynAuthenticator`]`<D>>` is one too, so that a configuration file can
//!   choose.
//! - A [`Login`] goes in when a user has proven who they are; [`Issued`] comes out, with the
//!   [`Credential`] for the client.
//! - An [`Identity`] is who is calling, and only a verified credential makes one.
//! - A [`Revocation`] says when a logout takes effect. Not every strategy can say "now".
//! - An [`Observer`](observer::Observer) is told of all of it, where one is wanted.
//! - An [`Error`] says who is to blame: the credential, a rule, an outage, or the configuration.
//!
//! [`hybrid`] has both at once, short tokens and a session that refreshes them, and [`migrating`]
//! leads a running service from one strategy to another.
//!
//! # Which strategy
//!
//! | | [`session`] | [`token`] |
//! |---|---|---|
//! | the server keeps | a record per login | one key |
//! | the client keeps | 64 random characters | who it is, signed |
//! | memory on the server | grows with logins | constant |
//! | a further node needs | the store | the key |
//! | logout takes effect | at once | when the token expires, or with a [`revocation`] log within a stated bound |
//! | verifying costs | a lookup, or with a [cache](store::CachedStore) none | a signature check, no I/O |
//!
//! [`manual`] goes into what follows from each, into threats, and into writing a store.
//!
//! # What it refuses to be
//!
//! No passwords, no OAuth or OpenID Connect flows, no asymmetric or encrypted tokens, no runtime:
//! nothing here spawns a task, sleeps or opens a connection. [`web`] reads credentials from requests
//! and hands them out with answers: without a framework, as a layer of tower, or for axum.
//!
//! # Features
//!
//! | feature | default | brings |
//! |---|---|---|
//! | `axum` | no | `tower`, and the extractors for handlers of axum 0.8 |
//! | `metrics` | no | `MetricsObserver`: counters and gauges of what happens, for a recorder of metrics 0.24 |
//! | `redb` | no | `RedbStore`, `RedbLog`: sessions and revocations in one file, durable, without a server |
//! | `redis` | no | `RedisStore`, `RedisLog`: sessions and revocations in Redis, Valkey or a Cluster, over the application's connection |
//! | `sqlx-mysql` | no | `MySqlStore`, `MySqlLog`: sessions and revocations in MySQL or MariaDB, through a pool of sqlx 0.9 (Rust 1.94) |
//! | `sqlx-postgres` | no | `PostgresStore`, `PostgresLog`: sessions and revocations in Postgres, through a pool of sqlx 0.9 (Rust 1.94) |
//! | `sqlx-sqlite` | no | `SqliteStore`, `SqliteLog`: sessions and revocations in SQLite, through a pool of sqlx 0.9 (Rust 1.94) |
//! | `testkit` | no | the conformance kit for stores, a clock set by hand, a store that fails on command |
//! | `tokio-postgres` | no | `PostgresStore`, `PostgresLog`, pipelined over connections of tokio-postgres 0.7 |
//! | `tower` | no | `AuthLayer`, `Require`, `SignIn`: authentication in front of axum, hyper, tonic |
//! | `tracing` | no | `TracingObserver`: events of what happens, for a subscriber of tracing 0.1 |

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod authenticator;
pub mod clock;
pub mod entropy;
pub mod manual;
pub mod observer;
pub mod revocation;
pub mod session;
pub mod store;
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
pub use compose::{Observed, hybrid, migrating};
pub use error::{Error, Refusal, Rejection, Result, Theft};
pub use login::Login;
pub use login::identity::Identity;
pub use login::issued::{Credential, Issued, Outcome, Revocation};
pub use upkeep::Upkeep;

/// Compiles and runs the examples of the README.
#[cfg(all(doctest, feature = "axum"))]
#[doc = include_str!("../README.md")]
struct Readme;
