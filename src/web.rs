//! What a request presents and what an answer hands out: cookies, bearer tokens, denials, and which
//! requests a foreign page may have caused.
//!
//! Nothing here proves a credential: it is found here, and an
//! [`Authenticator`](crate::Authenticator) verifies it. Header fields are read through [`Headers`],
//! a few lines for the requests of any framework: no feature, and no further dependency.
//!
//! ```
//! use statewise::web::{Cookie, Found, OriginPolicy};
//! use statewise::{Authenticator, Identity, Result};
//!
//! async fn caller<A: Authenticator>(
//!     auth: &A,
//!     method: &str,
//!     authority: Option<&str>,
//!     fields: &[(&str, &str)],
//! ) -> Result<Option<Identity<A::Data>>> {
//!     if !OriginPolicy::new().allows(method, authority, fields) {
//!         return Ok(None); // 403
//!     }
//!     match Cookie::default().find(fields, |value| auth.is_well_formed(value)) {
//!         Found::One(credential) => auth.verify(credential).await.map(Some),
//!         _ => Ok(None),
//!     }
//! }
//! ```
//!
//! # In front of a service
//!
//! With the feature `tower`, `AuthLayer` does all of it in front of any service, and with `axum`
//! handlers take the caller as an argument. Which authenticator it is, they do not know:
//!
//! ```
//! # #[cfg(feature = "axum")] {
//! use std::sync::Arc;
//! use statewise::web::{Auth, AuthLayer, Cookie, Denial, SignIn, Transport};
//! use statewise::{DynAuthenticator, Login};
//!
//! // Without a credential, or with one that is not accepted: 401.
//! async fn greet(caller: Auth) -> String {
//!     format!("hello {}", caller.subject())
//! }
//!
//! // Without a credential: `None`. With one that is not accepted: 401 all the same.
//! async fn home(caller: Option<Auth>) -> String {
//!     caller.map_or("hello".to_owned(), |caller| format!("hello {}", caller.subject()))
//! }
//!
//! // Whatever the request carried, this is a new login, and what it carried ends.
//! async fn log_in(sign_in: SignIn) -> Result<String, Denial> {
//!     let caller = sign_in.issue(Login::new("alice")).await?;
//!     Ok(format!("welcome {}", caller.subject()))
//! }
//!
//! fn layer(auth: Arc<dyn DynAuthenticator<()>>) -> AuthLayer {
//!     // Router::new().route("/", get(home)) .. .layer(layer(auth))
//!     AuthLayer::new(auth, Transport::cookie(Cookie::default()))
//! }
//! # let _ = (greet, home, log_in, layer);
//! # }
//! ```
//!
//! # Rules
//!
//! | what | rule | source |
//! |---|---|---|
//! | [`Cookie::set`] | `__Host-`, `Secure`, `HttpOnly`, `SameSite`, 4096 bytes | OWASP ASVS 3.3.1 to 3.3.5; RFC 6265bis, sections 4.1 and 5.7 |
//! | [`Cookie::remove`] | of the same template | RFC 6265bis, section 5.7 |
//! | [`CookieBuilder::build`] | what a browser would refuse is refused at the start | RFC 6265bis, sections 4.1.3, 5.6 and 5.7 |
//! | [`Cookie::find`] | exact names, no unquoting, and no order among cookies of one name | RFC 6265bis, sections 4.2 and 5.4; RFC 9113, section 8.2.3 |
//! | [`bearer()`] | one `Authorization`, one `b64token` | RFC 6750, section 2.1; RFC 9110, sections 5.3 and 11 |
//! | [`OriginPolicy`] | no act with the cookies of a visitor from another origin | OWASP ASVS 3.5.1 to 3.5.3 |
//! | [`Transport::read`] | one way for each request, and no query strings or bodies | RFC 6750, section 2; RFC 9700, section 4.3.2; OWASP ASVS 14.2.1 |
//! | [`Denial`] | status and challenge, and bodies that say nothing | RFC 6750, section 3; RFC 9470; OWASP ASVS 16.5.1 |
//!
//! RFC 6265bis is draft-ietf-httpbis-rfc6265bis-22.

mod answer;
#[cfg(feature = "tower")]
mod auth;
#[cfg(feature = "axum")]
mod axum;
mod bearer;
mod cookie;
mod denial;
#[cfg(feature = "tower")]
mod exchange;
mod found;
#[cfg(feature = "tower")]
mod future;
mod headers;
#[cfg(feature = "tower")]
mod layer;
mod origin;
#[cfg(feature = "tower")]
mod require;
#[cfg(feature = "tower")]
mod respond;
#[cfg(feature = "tower")]
mod sign_in;
#[cfg(feature = "tower")]
mod token_response;
mod transport;

pub use answer::Answer;
#[cfg(feature = "tower")]
pub use auth::Auth;
pub use bearer::bearer;
pub use cookie::{Cookie, CookieBuilder, SameSite};
pub use denial::Denial;
pub use found::Found;
#[cfg(feature = "tower")]
pub use future::AuthFuture;
pub use headers::Headers;
#[cfg(feature = "tower")]
pub use layer::{AuthLayer, AuthService};
pub use origin::OriginPolicy;
#[cfg(feature = "tower")]
pub use require::{Require, RequireService};
#[cfg(feature = "tower")]
pub use sign_in::SignIn;
#[cfg(feature = "tower")]
pub use token_response::TokenResponse;
pub use transport::{Carried, Transport};
