//! The stateless strategy: the token remembers the user.
//!
//! Tokens are JWTs (RFC 7519) in the compact form (RFC 7515), signed with HMAC: HS256, or HS384 and
//! HS512 by the type of the [`Key`]. Verifying does no I/O.
//!
//! # The header is a constant
//!
//! Each key writes one header, `{"alg":"HS256","typ":"JWT","kid":"<11 characters>"}` and nothing
//! else, and verifying compares it byte for byte. Nothing in a token chooses an algorithm, a key or
//! a place to fetch one from, so that the attacks that do so have nothing to hold on to (RFC 8725,
//! sections 2.1 and 2.10, and 3.1). Any other JWT library reads these tokens; one that writes the
//! header anew breaks them, as it would break the signature.
//!
//! # The claims, in this order
//!
//! | claim | there | what |
//! |---|---|---|
//! | `iss` | always | the configured issuer |
//! | `aud` | always | the configured audience |
//! | `exp`, `iat` | always | whole seconds since 1970 |
//! | `auth_time` | if not `iat` | when the user proved who they are (OpenID Connect Core) |
//! | `abs` | if not `exp` | the deadline of the login, to which refreshing may carry it |
//! | `sid` | always | the handle of the login, 22 base64url characters; refreshing keeps it |
//! | `sub` | always | the user |
//! | `roles` | if any | an array of strings |
//! | `device` | if named | the label given at login |
//! | `acr` | if named | the authentication context class given at login (OpenID Connect Core) |
//! | `rev` | if stamped | the login's place in a revocation log, 22 base64url characters |
//! | `data` | if not `null` | the application's data |
//!
//! Any other order is understood too, only more slowly. Claims that this version does not know are
//! passed over, and kept when it refreshes; a claim `crit` is refused. No `nbf` is written, and `iat` is never
//! compared with the time of day: clocks of two nodes may disagree without refusing a fresh token.
//!
//! # What is refused
//!
//! In this order: a wrong length, alphabet or shape; a header of no key; a wrong signature, compared
//! in constant time; and only then is the payload looked at. It must be one JSON object without
//! duplicates; what it names must have its type, and what is expected must be there.
//!
//! # Tokens of others
//!
//! [`Interop`] accepts what other libraries signed with the same secret, behind a strict parser of
//! the header. Nothing of it is on by default.

mod algorithm;
mod authenticator;
mod borrowed;
mod builder;
mod canonical;
mod claims;
mod interop;
mod json;
mod jws;
mod key;
mod keyring;
mod mac;
mod policy;
mod shared;

pub use algorithm::Algorithm;
pub use authenticator::TokenAuthenticator;
pub use borrowed::{BorrowedIdentity, TokenBuffer};
pub use builder::{NeedsAudience, NeedsIssuer, NeedsLifetime, TokenBuilder};
pub use interop::Interop;
pub use key::Key;
pub use keyring::{KeyState, Keyring};
