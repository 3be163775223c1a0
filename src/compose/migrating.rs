//! From one strategy to another while the service runs, and nobody is logged out.
//!
//! [`Migrating`] verifies credentials of both kinds, told apart by their shape, and issues the new
//! kind only. An old credential goes on as it is until its client refreshes, which exchanges it for
//! a new one of the same login: with its authentication time and its deadline, so that nobody gains
//! time by it. For a while both work, as other requests with the old one are under way; then the
//! old one is revoked.
//!
//! Where both strategies obey a [revocation log](crate::revocation), it must be one log: a login
//! takes its place in it along.
//!
//! Where both keep their logins in one store, a limit of sessions counts both, and an exchange may
//! evict what it exchanges: give each a store or a prefix of its own. Sessions with
//! [`reject_orphaned`](crate::session::SessionBuilder::reject_orphaned) need a grace as long as the
//! overlap, or an old credential that is shown late in it is taken for a stolen one.
//!
//! When [`progress`](Migrating::progress) has not seen an old credential for as long as one lives,
//! the old strategy can go.
//!
//! ```
//! use std::time::Duration;
//! use statewise::migrating::Migrating;
//! use statewise::session::SessionAuthenticator;
//! use statewise::token::{Key, TokenAuthenticator};
//! use statewise::{Authenticator, Login, store::MemoryStore};
//!
//! # async fn example() -> statewise::Result<()> {
//! let sessions: SessionAuthenticator<_> =
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
//! // A session goes on, and its caller is asked to refresh ..
//! let caller = auth.verify(before.credential().reveal()).await?;
//! assert!(caller.refresh_due());
//! // .. which makes a token of it.
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
