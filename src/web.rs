//! What a request presents and what an answer hands out, without a framework: cookies, bearer
//! tokens, and which requests a foreign page may have caused.
//!
//! Nothing here proves a credential: it is found here, and an
//! [`Authenticator`](crate::Authenticator) verifies it. Header fields are read through [`Headers`],
//! a few lines for the requests of any framework. No feature, and no further dependency.
//!
//! ```
//! use statewise::web::{Cookie, Found, OriginPolicy};
//! use statewise::{Authenticator, Identity, Result};
//!
//! async fn caller<A: Authenticator>(
//!     auth: &A,
//!     method: &str,
//!     host: Option<&str>,
//!     fields: &[(&str, &str)],
//! ) -> Result<Option<Identity<A::Data>>> {
//!     if !OriginPolicy::new().allows(method, host, fields) {
//!         return Ok(None); // 403
//!     }
//!     match Cookie::default().find(fields, |value| auth.accepts(value)) {
//!         Found::One(credential) => auth.verify(credential).await.map(Some),
//!         _ => Ok(None),
//!     }
//! }
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
//!
//! RFC 6265bis is draft-ietf-httpbis-rfc6265bis-22.

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

#[cfg(feature = "tower")]
pub use auth::Auth;
pub use bearer::bearer;
pub use cookie::{Cookie, CookieBuilder, SameSite};
pub use denial::{Answer, Denial};
pub use found::Found;
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
