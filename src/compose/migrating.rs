//! Moves a running service from one strategy to another without logging users out.
//!
//! [`Migrating`] wraps the old and the new strategy. It verifies the credentials of both, which it
//! distinguishes by their form, and issues credentials of the new strategy only.
//!
//! An old credential stays valid until its client refreshes it. The refresh *upgrades* it: the
//! client gets a new login with the same authentication time and the same deadline, so that the
//! user gains no time. During the [overlap](MigratingBuilder::overlap) both credentials are valid,
//! because other requests with the old one may be under way. Then the old one is revoked.
//!
//! 1. Give the new strategy credentials of another form: new tokens need a key of their own.
//! 2. Give each strategy its own store, or its own prefix in one store. In a shared store a session
//!    limit counts the logins of both, and an upgrade may evict the login that it upgrades.
//! 3. If both strategies use a [revocation log](crate::revocation), use the same log: a login keeps
//!    its stamp.
//! 4. Old sessions with [`reject_orphaned`](crate::session::SessionBuilder::reject_orphaned) need a
//!    grace that is at least as long as the overlap. Otherwise an old credential that is presented
//!    late in the overlap counts as stolen.
//! 5. When [`progress`](Migrating::progress) has seen no old credential for the lifetime of such a
//!    credential on any node, remove the old strategy.
//!
//! ```
//! use std::time::Duration;
//! use statewise::migrating::Migrating;
//! use statewise::session::SessionAuthenticator;
//! use statewise::token::{Key, TokenAuthenticator};
//! use statewise::{Authenticator, Login, store::MemoryStore};
//!
//! # async fn example() -> statewise::Result<()> {
//! let sessions =
//!     SessionAuthenticator::builder(MemoryStore::with_capacity(100_000)?)
//!         .idle(Duration::from_secs(30 * 60))
//!         .absolute(Duration::from_secs(12 * 3600))
//!         .build()?;
//! let before = sessions.issue(Login::new("alice")).await?;
//!
//! let tokens = TokenAuthenticator::builder(Key::generate_hs256()?)
//!     .issuer("https://auth.example")
//!     .audience("api")
//!     .lifetime(Duration::from_secs(15 * 60))
//!     .max_lifetime(Duration::from_secs(12 * 3600))
//!     .build()?;
//! let auth = Migrating::builder(sessions, tokens).build()?;
//!
//! // The session stays valid, and the client should refresh it ..
//! let caller = auth.verify(before.credential().reveal()).await?;
//! assert!(caller.refresh_due());
//! // .. which upgrades it to a token.
//! let token = auth.refresh(before.refreshable().reveal()).await?;
//! assert_eq!(auth.verify(token.credential().reveal()).await?.subject(), "alice");
//! assert_eq!(auth.progress().upgraded, 1);
//! # Ok(())
//! # }
//! # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
//! # let mut example = pin!(example());
//! # assert!(matches!(example.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(()))));
//! ```

mod authenticator;
mod builder;
mod upgrades;

pub use authenticator::{Migrating, Progress};
pub use builder::MigratingBuilder;
