//! The web: credentials in requests and responses. Cookies, bearer tokens, denials and cross-origin
//! protection.
//!
//! This module does not verify credentials: it finds them, and an
//! [`Authenticator`](crate::Authenticator) verifies them. It reads header fields through
//! [`Headers`], which takes a few lines for the requests of any framework, without a feature and
//! without further dependencies.
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
//!         return Ok(None); // answer 403
//!     }
//!     match Cookie::default().find(fields, |value| auth.is_well_formed(value)) {
//!         Found::One(credential) => auth.verify(credential).await.map(Some),
//!         _ => Ok(None),
//!     }
//! }
//! ```
//!
//! # With tower and axum
//!
//! With the feature `tower`, `AuthLayer` does all of this in front of any service. With `axum`,
//! handlers take the caller as an argument. They do not depend on the authenticator:
//!
//! ```
//! # #[cfg(feature = "axum")] {
//! use std::sync::Arc;
//! use statewise::web::{Auth, AuthLayer, Cookie, Denial, SignIn, Transport};
//! use statewise::{DynAuthenticator, Login};
//!
//! // A request without a valid credential gets 401.
//! async fn greet(caller: Auth) -> String {
//!     format!("hello {}", caller.subject())
//! }
//!
//! // A public page: a request without a valid credential is anonymous. (`Option<Auth>` is `None`
//! // without a credential, but a rejected credential gets 401.)
//! async fn home(caller: Result<Auth, Denial>) -> Result<String, Denial> {
//!     match caller {
//!         Ok(caller) => Ok(format!("hello {}", caller.subject())),
//!         Err(denial) if denial.status() == 401 => Ok("hello".to_owned()),
//!         Err(denial) => Err(denial),
//!     }
//! }
//!
//! // After the password check: revokes the credentials of the request and sets a new cookie.
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
//! | item | rule | source |
//! |---|---|---|
//! | [`Cookie::set`] | `__Host-`, `Secure`, `HttpOnly`, `SameSite`, at most 4096 bytes | OWASP ASVS 3.3.1 to 3.3.5; RFC 6265bis, sections 4.1 and 5.7 |
//! | [`Cookie::remove`] | same name, domain and path | RFC 6265bis, section 5.7 |
//! | [`CookieBuilder::build`] | refuses what browsers would refuse | RFC 6265bis, sections 4.1.3, 5.6 and 5.7 |
//! | [`Cookie::find`] | exact names, no unquoting, and no order among cookies of one name | RFC 6265bis, sections 4.2 and 5.4; RFC 9113, section 8.2.3 |
//! | [`bearer()`] | one `Authorization` field with one `b64token` | RFC 6750, section 2.1; RFC 9110, sections 5.3 and 11 |
//! | [`OriginPolicy`] | no unsafe requests of other origins with the cookies of a visitor | OWASP ASVS 3.5.1 to 3.5.3 |
//! | [`Transport::read`] | one credential per request, none from query strings or bodies | RFC 6750, section 2; RFC 9700, section 4.3.2; OWASP ASVS 14.2.1 |
//! | [`Denial`] | status and challenge, and bodies without details | RFC 6750, section 3; RFC 9470; OWASP ASVS 16.5.1 |
//!
//! RFC 6265bis is draft-ietf-httpbis-rfc6265bis-22.

mod answer;
mod bearer;
mod cookie;
mod denial;
mod found;
mod headers;
#[cfg(feature = "tower")]
mod layer;
mod origin;
mod transport;

pub use answer::Answer;
pub use bearer::bearer;
pub use cookie::{Cookie, CookieBuilder, SameSite};
pub use denial::Denial;
pub use found::Found;
pub use headers::Headers;
#[cfg(feature = "tower")]
pub use layer::{
    Auth, AuthFuture, AuthLayer, AuthService, Require, RequireService, SignIn, TokenResponse,
};
pub use origin::OriginPolicy;
pub use transport::{Carried, Transport};
