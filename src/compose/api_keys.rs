//! API keys: credentials for programs that act for a user, such as a script, a CI job or a CLI.
//!
//! | | session | API key |
//! |---|---|---|
//! | form | 64 characters | prefix, 64 characters, checksum |
//! | made by | a login | the user, while logged in |
//! | lives | until it is idle, at most for the absolute timeout | until its deadline, or until it is [unused](ApiKeysBuilder::unused) |
//! | refreshed | yes | never: [`Refusal::NotRefreshable`](crate::Refusal::NotRefreshable) |
//! | [roles](crate::Login::role) | those of the user | the scopes of the key |
//! | [device](crate::Login::device) | where the user logged in | the name of the key |
//!
//! A key has one row, as a [session](crate::session) has. The row holds hashes only: no key
//! can be read from the store. Show it once, when it is made.
//!
//! # The text of a key
//!
//! `acme_pat_`, 64 base64url characters, and 6 characters of a checksum. The checksum is that of
//! GitHub's tokens: CRC-32 in base 62, here of all characters before it. A scanner for leaked secrets
//! recognises a key by its prefix and verifies the checksum without asking you. A text with a
//! damaged character is rejected as [malformed](crate::Rejection::Malformed), without a call of the
//! store.
//!
//! A regular expression for scanners: `acme_pat_[A-Za-z0-9_-]{64}[A-Za-z0-9]{6}`.
//!
//! # Keys and sessions
//!
//! Keys may share the store of the sessions. Each prefix has an index of its own: no limit, list or
//! logout of sessions meets a key, and the reverse.
//!
//! Applications that share a store choose different prefixes, or accept the keys of each other. Two
//! applications in one database have a store each, as for [tickets](crate::tickets).
//!
//! To end keys with a logout everywhere, call
//! [`also_ends`](crate::session::SessionBuilder::also_ends).
//!
//! [`Either`](crate::either::Either) serves both on the same routes, sessions in a cookie and keys as
//! bearer tokens. Keep the `ApiKeys` too, as an `Arc`, and call it to make, list and end keys:
//!
//! - [`ApiKeys::issue`](crate::Authenticator::issue) keeps the session of the user.
//!   `SignIn::issue_token` would replace it.
//! - `SignIn::revoke_all` on the `Either` ends the keys of the user too. Call the sessions alone to
//!   keep the keys.
//! - `SignIn::update_all` on the `Either` reaches the keys too, and only takes scopes away: a key keeps
//!   those of its scopes that are among the new roles. A user who is promoted has no key that can do
//!   more. To give a key more scopes, make another one.
//!
//! If your scopes have names of their own, such as `repo:read`, the roles of a user would take all of
//! them away. Leave out the keys, or take away the scopes that the user may no longer give:
//!
//! ```
//! use statewise::{Authenticator, Purpose, Result};
//!
//! async fn demote(auth: &impl Authenticator, user: &str) -> Result<()> {
//!     auth.update_all(user, &mut |login| {
//!         match login.purpose() {
//!             Purpose::ApiKey => login.roles.retain(|scope| scope.ends_with(":read")),
//!             _ => login.roles = vec!["reader".to_owned()],
//!         }
//!         Ok(())
//!     })
//!     .await
//!     .map(drop)
//! }
//! # async fn tokens(auth: statewise::token::TokenAuthenticator) -> Result<()> {
//! #     demote(&auth, "").await
//! # }
//! ```
//!
//! ```
//! # #[cfg(feature = "tower")] {
//! # async fn example() -> statewise::Result<()> {
//! use std::sync::Arc;
//! use std::time::Duration;
//! use statewise::api_keys::ApiKeys;
//! use statewise::either::Either;
//! use statewise::session::SessionAuthenticator;
//! use statewise::store::MemoryStore;
//! use statewise::web::{AuthLayer, Cookie, Transport};
//! use statewise::{Authenticator, Login};
//!
//! const DAY: Duration = Duration::from_secs(24 * 3600);
//!
//! let store = Arc::new(MemoryStore::with_capacity(100_000)?);
//! let sessions = SessionAuthenticator::builder(Arc::clone(&store))
//!     .idle(DAY / 48)
//!     .absolute(DAY / 2)
//!     .build()?;
//! let keys = ApiKeys::builder(store).prefix("acme_pat").longest(365 * DAY).unused(90 * DAY);
//! let keys = Arc::new(keys.build()?);
//! let auth = Either::builder(sessions, Arc::clone(&keys)).build()?;
//! let layer = AuthLayer::new(Arc::new(auth), Transport::both(Cookie::default()))?;
//!
//! let made = keys.issue(Login::new("alice").role("repo:read").device("CI")).await?;
//! let text = made.credential().reveal();
//! assert!(text.starts_with("acme_pat_"));
//! assert!(keys.verify(text).await?.has_role("repo:read"));
//! # let _ = layer;
//! # Ok(())
//! # }
//! # use std::{pin::pin, task::{Context, Poll, Waker}};
//! # let mut example = pin!(example());
//! # assert!(matches!(example.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(()))));
//! # }
//! ```
//!
//! # Acts that need a login
//!
//! A handler cannot tell a key from a session, unless it asks. Call
//! [`Auth::require_login`](crate::web::Auth::require_login) where keys are made and listed, where
//! passwords are changed, where users are deleted or logged out everywhere, and where
//! [`update`](crate::Authenticator::update) is called: a key could give itself more scopes. A logout or a
//! login with a key in the request ends that key.
//! [`Auth::require_fresh`](crate::web::Auth::require_fresh) refuses keys too.
//!
//! # Rate limits
//!
//! Keys have more than 128 random bits, so that guessing is hopeless, and this crate does not count
//! attempts. Programs send requests in loops: limit them for each key, by
//! [`Identity::id`](crate::Identity::id), in your handlers or in a layer inside the `AuthLayer`. Limit
//! requests without a valid key by network, in front of the service. A limit by the text of the key
//! would keep secrets in memory.
//!
//! # Leaked keys
//!
//! Give the address of a handler that calls [`ApiKeys::leaked`] to the secret scanning of your code
//! host. It ends the key and names its user.

mod authenticator;
mod builder;
mod text;

pub use authenticator::ApiKeys;
pub use builder::{ApiKeysBuilder, NeedsLongest, NeedsPrefix};
