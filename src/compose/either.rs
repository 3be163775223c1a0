//! Two strategies on the same routes, such as sessions for browsers and tokens for programs.
//!
//! [`Either`] verifies, refreshes and revokes a credential with the strategy that it belongs to.
//! Handlers do not notice: they see one [`Authenticator`](crate::Authenticator).
//!
//! | call | goes to |
//! |---|---|
//! | `verify`, `refresh`, `update`, `revoke` | the strategy for which the credential is [well-formed](crate::Authenticator::is_well_formed) |
//! | `issue` | the second strategy if the client will present a [bearer token](crate::Place::Bearer), otherwise the first |
//! | `revoke_all`, `revoke_all_except`, `update_all`, `ready`, `upkeep` | both |
//!
//! One credential reaches one strategy only. The strategies are never tried one after the other:
//! an outage of one does not affect the users of the other, and a logout never succeeds at the
//! strategy that does not know the login. With [`any_place`](EitherBuilder::any_place), a logout asks both
//! strategies: a [`Migrating`](crate::migrating::Migrating) on another node may have upgraded the login.
//!
//! # Places
//!
//! A request presents a credential in a cookie or as a bearer token; the web layer knows the
//! [`Place`](crate::Place). By default the first strategy is for cookies and the second one for
//! bearer tokens. A credential of one strategy, presented where the other one belongs, is rejected as
//! [`WrongPlace`](crate::Rejection::WrongPlace): a session id in `Authorization` would bypass the
//! cross-origin check of cookies, and a token that an attacker plants in a cookie would log in the
//! visitor as the attacker. Use [`any_place`](EitherBuilder::any_place) to accept each credential
//! in both places.
//!
//! A credential without a place, as in [`verify`](crate::Authenticator::verify), is accepted. If
//! you read requests yourself, present it as [`Carried`](crate::web::Carried), which has a place.
//!
//! With the layer, `SignIn::issue` logs in with the first strategy and sets its cookie, and
//! `SignIn::issue_token` logs in with the second one:
//!
//! ```
//! # #[cfg(feature = "tower")] {
//! use std::sync::Arc;
//! use std::time::Duration;
//! use statewise::either::Either;
//! use statewise::session::SessionAuthenticator;
//! use statewise::store::MemoryStore;
//! use statewise::token::{Key, TokenAuthenticator};
//! use statewise::web::{AuthLayer, Cookie, Transport};
//!
//! let sessions = SessionAuthenticator::builder(MemoryStore::with_capacity(100_000)?)
//!     .idle(Duration::from_secs(30 * 60))
//!     .absolute(Duration::from_secs(12 * 3600))
//!     .build()?;
//! let tokens = TokenAuthenticator::builder(Key::generate_hs256()?)
//!     .issuer("https://auth.example")
//!     .audience("api")
//!     .lifetime(Duration::from_secs(15 * 60))
//!     .build()?;
//! let auth = Either::builder(sessions, tokens).build()?;
//! let layer = AuthLayer::new(Arc::new(auth), Transport::both(Cookie::default()));
//! # let _ = layer;
//! # }
//! # Ok::<(), statewise::Error>(())
//! ```
//!
//! # Three strategies
//!
//! Nest them. The outer `Either` decides by the place, the inner one by the form alone:
//!
//! ```
//! use statewise::either::Either;
//! use statewise::{Authenticator, Result};
//!
//! /// Sessions in cookies, and two kinds of bearer tokens.
//! fn three<S, T, P>(sessions: S, tokens: T, partners: P) -> Result<impl Authenticator>
//! where
//!     S: Authenticator,
//!     T: Authenticator<Data = S::Data>,
//!     P: Authenticator<Data = S::Data>,
//! {
//!     let bearer = Either::builder(tokens, partners).build()?;
//!     Either::builder(sessions, bearer).build()
//! }
//! # let _ = three::<
//! #     statewise::token::TokenAuthenticator,
//! #     statewise::token::TokenAuthenticator,
//! #     statewise::token::TokenAuthenticator,
//! # >;
//! ```

mod authenticator;
mod builder;

pub use authenticator::Either;
pub(super) use authenticator::Strategy;
pub use builder::EitherBuilder;
