//! Moves a running service from one strategy to another without logging users out.
//!
//! [`Migrating`] wraps the old and the new strategy. It verifies the credentials of both, which it
//! distinguishes by their form, and issues credentials of the new strategy only.
//!
//! An old credential stays valid until its client refreshes it. The refresh *upgrades* it: the
//! client gets a new login with the same authentication time and the same deadline, so that the
//! user gains no time. During the [overlap](MigratingBuilder::overlap) both credentials are valid,
//! because other requests with the old one may be under way. Then the old one is revoked.
//! (For two strategies that stay, use [`Either`](crate::either::Either).)
//!
//! 1. Give the new strategy credentials of another form: new tokens need a key of their own.
//! 2. Give each strategy its own store, or its own prefix in one store. In a shared store a session
//!    limit counts the logins of both, and an upgrade may evict the login that it upgrades.
//! 3. If both strategies use a [revocation log](crate::revocation), use the same log: a login keeps
//!    its stamp.
//! 4. Old sessions with [`reject_orphaned`](crate::session::SessionBuilder::reject_orphaned) need a
//!    grace that is at least as long as the overlap. Otherwise an old credential that is presented
//!    late in the overlap would count as stolen, so `build` refuses it.
//! 5. Give new tokens a [maximum lifetime](crate::token::TokenBuilder::max_lifetime) as long as that of
//!    the old logins: without one, an upgraded login ends with its first token.
//! 6. When [`progress`](Migrating::progress) has seen no old credential for the lifetime of such a
//!    credential on any node, remove the old strategy. If you put it back earlier, old logins are valid again
//!    that a logout everywhere did not reach meanwhile: end all of them first.
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
//!
//! # An old strategy of your own
//!
//! To leave another library, implement [`Authenticator`](crate::Authenticator) for its credentials.
//! An implementation that only reads them is enough, if it answers a refresh:
//!
//! | method | answer for tokens of jsonwebtoken | answer for sessions of tower-sessions |
//! |---|---|---|
//! | `is_well_formed` | `true` for the header of the old tokens | `true` for 22 characters, the length of an id |
//! | `sample_credentials` | one text of this form | the same |
//! | `verify_with` | decodes the token | loads the session and reads the user from it |
//! | **`refresh_with`** | verifies, and returns **the same credential** as [`Replayed`](crate::Outcome::Replayed) | the same |
//! | `revoke` | [`AtExpiry`](crate::Revocation::AtExpiry) | deletes the session: [`Immediate`](crate::Revocation::Immediate) |
//! | `revoke_all` | `AtExpiry`, a token lifetime from now | deletes the sessions of the user; if the store cannot list them, `AtExpiry`: now and the longest time for which one lives |
//! | `issue` | a *misuse* error: `Migrating` never calls it | the same |
//! | `update` | the same credential: the token says what it says | stores what [`Identity::edited`](crate::Identity::edited) returns |
//!
//! **`Migrating` asks the old strategy to refresh a credential before it upgrades it**, because a
//! refresh detects stolen credentials. If `refresh_with` fails, the credential is not upgraded:
//! requests are still served, but the layer sets no new cookie, and `upgraded` stays zero.
//!
//! ```
//! use statewise::migrating::Migrating;
//! use statewise::token::{Key, TokenAuthenticator};
//! use statewise::{
//!     Affected, Authenticator, Credential, EditFn, Error, Identity, Issued, Login, Logout, Outcome,
//!     Presented, Rejection, Result, Revocation, Upkeep,
//! };
//! # use std::time::Duration;
//! use time::OffsetDateTime;
//! # mod jsonwebtoken {
//! #     use time::{Duration, OffsetDateTime};
//! #     pub struct Claims {
//! #         pub sub: String,
//! #         pub iat: OffsetDateTime,
//! #         pub exp: OffsetDateTime,
//! #     }
//! #     pub fn decode(token: &str, _: &str) -> Result<Claims, ()> {
//! #         let now = OffsetDateTime::now_utc();
//! #         let claims = Claims { sub: "alice".into(), iat: now, exp: now + Duration::HOUR };
//! #         token.ends_with(".right").then_some(claims).ok_or(())
//! #     }
//! # }
//!
//! /// `{"typ":"JWT","alg":"HS256"}`: every token of the old library begins with it.
//! const HEADER: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.";
//!
//! #[derive(Debug)]
//! struct OldTokens {
//!     key: &'static str,
//!     lifetime: time::Duration,
//! }
//!
//! impl Authenticator for OldTokens {
//!     type Data = ();
//!
//!     fn is_well_formed(&self, credential: &str) -> bool {
//!         // The header of new tokens names their key, so it differs.
//!         credential.starts_with(HEADER)
//!     }
//!
//!     fn sample_credentials(&self) -> Vec<String> {
//!         vec![format!("{HEADER}e30.AAAA")]
//!     }
//!
//!     async fn verify_with(&self, presented: Presented<'_>) -> Result<Identity> {
//!         let claims = jsonwebtoken::decode(presented.credential(), self.key)
//!             .map_err(|_| Error::rejected(Rejection::BadSignature))?;
//!         Identity::unverified(Login::new(claims.sub), claims.iat, claims.exp)
//!     }
//!
//!     async fn refresh_with(&self, presented: Presented<'_>) -> Result<Issued> {
//!         let identity = self.verify_with(presented).await?;
//!         let same = Credential::new(presented.credential().to_owned());
//!         Ok(Issued::new(same, identity, Outcome::Replayed))
//!     }
//!
//!     async fn revoke(&self, credential: &str) -> Result<Logout> {
//!         let identity = match self.verify(credential).await {
//!             // It has expired, or was never valid: there is nothing to end.
//!             Err(error) if error.is_rejected() => return Ok(Revocation::Immediate.into()),
//!             verified => verified?,
//!         };
//!         Ok(Logout::new(Revocation::AtExpiry(identity.expires_at())).with_login(&identity))
//!     }
//!
//!     async fn revoke_all(&self, _: &str) -> Result<Affected> {
//!         let latest = OffsetDateTime::now_utc() + self.lifetime;
//!         Ok(Affected::new(None, Revocation::AtExpiry(latest)))
//!     }
//!
//!     async fn update(&self, credential: &str, _: EditFn<'_>) -> Result<Issued> {
//!         // The old tokens say what they say. Their users are moved to the new strategy.
//!         self.refresh(credential).await
//!     }
//!
//!     async fn update_all(&self, subject: &str, _: EditFn<'_>) -> Result<Affected> {
//!         self.revoke_all(subject).await
//!     }
//!
//!     async fn issue(&self, _: Login) -> Result<Issued> {
//!         Err(Error::misuse("the old tokens are not issued any more: issue new ones"))
//!     }
//!
//!     fn upkeep(&self) -> Upkeep {
//!         Upkeep::none()
//!     }
//! }
//!
//! # async fn example() -> Result<()> {
//! # let tokens = TokenAuthenticator::builder(Key::generate_hs256()?)
//! #     .issuer("https://auth.example")
//! #     .audience("api")
//! #     .lifetime(Duration::from_secs(15 * 60))
//! #     .build()?;
//! let old = OldTokens { key: "secret", lifetime: time::Duration::HOUR };
//! let auth = Migrating::builder(old, tokens).build()?;
//! # let token = format!("{HEADER}e30.right");
//! assert_eq!(auth.verify(&token).await?.subject(), "alice");
//! let upgraded = auth.refresh(&token).await?;
//! assert_ne!(upgraded.credential().reveal(), token);
//! assert_eq!(auth.progress().upgraded, 1);
//! # assert!(auth.refresh(&format!("{HEADER}e30.wrong")).await.is_err());
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
