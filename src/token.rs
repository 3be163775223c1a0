//! The stateless strategy: the client keeps the whole login, in a signed token.
//!
//! Tokens are JWTs (RFC 7519) in compact form (RFC 7515). A [`Key`] signs and verifies with HMAC: HS256,
//! HS384 or HS512. With one of the features `aws-lc-rs`, `ring` and `rustcrypto`, a `SigningKey` signs
//! with ES256 or Ed25519, and a `PublicKey` only verifies. With an `ExternalKey`, a KMS or an HSM signs.
//! Verifying does no I/O.
//!
//! # Keys
//!
//! A key comes from your deployment: [`Key::from_text`] reads base64 and hexadecimal text, such as that of
//! `openssl rand -base64 32`, and refuses weak keys. Keep it in a secret of the deployment and
//! never in the repository. [`Keyring`] rotates keys, and [`MasterKey`] derives one for each service.
//! In a checkout of this crate, `cargo run --example key` prints a key and these steps.
//!
//! # A constant header
//!
//! Each key writes one header, `{"alg":"HS256","typ":"JWT","kid":"<11 characters>"}`, and verifying
//! compares it byte for byte. No part of a token chooses an algorithm, a key or an address to fetch
//! one from, which stops the attacks that do so (RFC 8725, sections 2.1, 2.10 and 3.1). Every JWT
//! library reads these tokens. A library that rewrites the header invalidates them, as it
//! invalidates the signature.
//!
//! # The claims, in this order
//!
//! | claim | present | content |
//! |---|---|---|
//! | `iss` | always | the configured issuer |
//! | `aud` | always | the configured audience |
//! | `exp`, `iat` | always | whole seconds since 1970 |
//! | `auth_time` | if it differs from `iat` | time of the user's authentication (OpenID Connect Core) |
//! | `abs` | if it differs from `exp` | deadline of the login, which no refresh extends |
//! | `sid` | always | handle of the login, 22 base64url characters; a refresh keeps it |
//! | `sub` | always | the user |
//! | `roles` | if any | an array of strings |
//! | `device` | if named | label given at login |
//! | `acr` | if named | authentication context class given at login (OpenID Connect Core) |
//! | `rev` | if stamped | the login's stamp of the revocation log, 22 base64url characters |
//! | `ver` | if the login was updated | version of the row that an access token was read from |
//! | `stp` | during a [step-up](crate::Edit::step_up) | its class, its time and its end: `acr`, `at` and `exp`; in access tokens of the hybrid, `acr`, `auth_time` and `exp` say it |
//! | `data` | if not `null` | the application's data |
//!
//! Any other order is accepted too, but read more slowly. Unknown claims are ignored, and a refresh
//! keeps them. A token with the claim `crit` is rejected. Tokens contain no `nbf`, and `iat` is not
//! compared with the current time: nodes accept fresh tokens even if their clocks differ.
//!
//! # Checks, in this order
//!
//! 1. Length, alphabet and shape, then the header: it must be that of a key.
//! 2. The signature, compared in constant time. The payload is read only after that.
//! 3. The payload must be one JSON object without duplicate names.
//! 4. Each known claim must have its type, and required claims must be present.
//!
//! # Tokens of other issuers
//!
//! [`Interop`] accepts tokens that other libraries have signed, with a strict parser of the header,
//! keys of their own, and one mapping of claims per issuer. It is off by default.
//!
//! # Our tokens at other services
//!
//! Any library verifies them with the key, issuer and audience. Where a service expects more,
//! [`TokenBuilder::scope`], [`TokenBuilder::client_id`] and [`TokenBuilder::access_tokens`] write
//! it (RFC 9068).

mod algorithm;
mod authenticator;
mod borrowed;
mod builder;
mod canonical;
mod claims;
mod foreign;
mod header;
mod interop;
mod issuers;
mod json;
mod jws;
mod key;
mod keyring;
mod mac;
mod master;
mod payload;
mod policy;
mod profile;
#[cfg(feature = "_public")]
mod public;
pub(crate) mod reload;
mod ring_key;
mod secret_text;
mod shared;

pub use algorithm::Algorithm;
pub use authenticator::TokenAuthenticator;
pub use borrowed::{BorrowedIdentity, TokenBuffer};
pub use builder::{NeedsAudience, NeedsIssuer, NeedsLifetime, TokenBuilder};
pub use foreign::ForeignClaims;
pub use interop::Interop;
pub use key::Key;
pub use keyring::{KeyState, Keyring};
pub use master::{KeySource, MasterKey, MasterRing};
// The compiler quotes this line to those that lack the feature.
#[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
pub use public::{
    DynSigner, ExternalKey, KeySet, KeySetView, KeySetViewBuilder, PublicKey, Signature, Signer,
    SigningInput, SigningKey,
};
pub use reload::Fresh;
pub use ring_key::RingKey;
