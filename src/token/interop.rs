//! Tokens that other libraries have signed with the same secret.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::base::base64url::{self, Scratch};
use crate::clock::{Timestamp, whole_seconds};
use crate::error::{Error, Rejection, Result};
use crate::login::handle::Handle;
use crate::token::claims::{CheckedClaims, Claims};
use crate::token::json::{self, Text};
use crate::token::jws::{self, Verified};
use crate::token::key::Key;
use crate::token::keyring::{KeyEntry, Keyring};

/// Upper bound of the leeway. Clocks that differ by more must be set.
const MAX_LEEWAY: Duration = Duration::from_secs(5 * 60);

/// Rules for tokens of other issuers, which PyJWT, jose or any other RFC 7519 library has signed
/// with a key of the ring.
///
/// A strict parser reads the header: `alg` must be the key's own algorithm (RFC 8725, section 3.1);
/// `crit`, `b64`, `zip` and `enc` are rejected; `jwk`, `jku`, `x5c` and `x5u` are never used. Every
/// registered claim must have its type. The claim `acr` becomes the authentication context class,
/// and the application's data are read from the whole claims set. Such a token can be verified but
/// not refreshed.
///
/// # Defaults
///
/// | setting | default | unit | source |
/// |---|---|---|---|
/// | issuer | none: choose [`from_issuer`](Self::from_issuer) or [`from_any_issuer`](Self::from_any_issuer) | text | RFC 7519, section 4.1.1 |
/// | `max_lifetime`, from `iat` to `exp` | none: required | whole seconds | |
/// | [`audience`](Self::audience) | tokens without `aud` only | text | RFC 7519, section 4.1.3 |
/// | [`typ`](Self::typ) | any | text | RFC 8725, section 3.11 |
/// | [`leeway`](Self::leeway) | 0 | whole seconds, up to 300 | RFC 7519, section 4.1.4: a few minutes |
/// | `exp` | required | | |
/// | `sub` | required; [`allow_missing_subject`](Self::allow_missing_subject) | | |
/// | `iat` | required; [`allow_missing_issued_at`](Self::allow_missing_issued_at) | | |
///
/// ```
/// use std::time::Duration;
/// use statewise::token::{Interop, Key, TokenAuthenticator};
///
/// let auth = TokenAuthenticator::builder(Key::generate_hs256()?)
///     .issuer("https://auth.example")
///     .audience("api")
///     .lifetime(Duration::from_secs(900))
///     .interop(
///         Interop::from_issuer("https://old-auth.example", Duration::from_secs(3600))
///             .audience("api"),
///     )
///     .build()?;
/// # Ok::<(), statewise::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "pass it to `TokenBuilder::interop`"]
pub struct Interop {
    max_lifetime: Duration,
    issuer: Option<String>,
    audience: Option<String>,
    typ: Option<String>,
    leeway: Duration,
    subject_required: bool,
    issued_at_required: bool,
}

impl Interop {
    /// Accepts tokens of this issuer: `iss` must be present and equal (RFC 7519, section 4.1.1).
    ///
    /// A token may be valid for `max_lifetime`, from `iat` to `exp`. Both must be present.
    pub fn from_issuer(issuer: impl Into<String>, max_lifetime: Duration) -> Self {
        Self::new(Some(issuer.into()), max_lifetime)
    }

    /// Accepts tokens of any issuer, with or without `iss`. Every holder of the secret can then log
    /// in as any user.
    ///
    /// Otherwise like [`from_issuer`](Self::from_issuer).
    ///
    /// ```
    /// use std::time::Duration;
    /// use statewise::token::Interop;
    ///
    /// // Tokens of a job runner that writes neither `iss` nor `iat`.
    /// let jobs = Interop::from_any_issuer(Duration::from_secs(600)).allow_missing_issued_at();
    /// # let _ = jobs;
    /// ```
    pub fn from_any_issuer(max_lifetime: Duration) -> Self {
        Self::new(None, max_lifetime)
    }

    fn new(issuer: Option<String>, max_lifetime: Duration) -> Self {
        Self {
            max_lifetime,
            issuer,
            audience: None,
            typ: None,
            leeway: Duration::ZERO,
            subject_required: true,
            issued_at_required: true,
        }
    }

    /// Accepts only tokens for this audience: `aud` must be present and contain it.
    ///
    /// Without this setting, a token must have no `aud`, because an audience that this service does
    /// not know is another service (RFC 7519, section 4.1.3).
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// Accepts only tokens of this explicit `typ`, such as `at+jwt` (RFC 8725, section 3.11), with
    /// or without `application/` and in any case (RFC 7515, section 4.1.9).
    pub fn typ(mut self, typ: impl Into<String>) -> Self {
        self.typ = Some(typ.into());
        self
    }

    /// Sets the clock skew to allow for `exp`, `nbf` and `iat`, up to five minutes. Default: none.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// Accepts tokens without `sub`. The subject of such a caller is empty: the application must
    /// handle a caller without a user.
    pub fn allow_missing_subject(mut self) -> Self {
        self.subject_required = false;
        self
    }

    /// Accepts tokens without `iat`, from the moment on at which `exp` is no further away than the
    /// maximum lifetime.
    ///
    /// Such a token may have been issued at any time. After
    /// [`revoke_all`](crate::Authenticator::revoke_all) without a revocation view, tokens of the
    /// subject may therefore be accepted forever: the answer is [`Timestamp::MAX`].
    pub fn allow_missing_issued_at(mut self) -> Self {
        self.issued_at_required = false;
        self
    }

    /// Checks the settings.
    pub(crate) fn validate(&self) -> Result<()> {
        whole_seconds(
            "maximum lifetime of other issuers' tokens",
            self.max_lifetime,
        )?;
        let is_empty = |name: &Option<String>| name.as_deref() == Some("");
        if is_empty(&self.issuer) || is_empty(&self.audience) || is_empty(&self.typ) {
            return Err(Error::misuse(
                "issuer, audience or type of other issuers' tokens is empty: name it or leave it \
                 out",
            ));
        }
        if self.leeway.as_secs() > MAX_LEEWAY.as_secs() {
            return Err(Error::misuse(
                "the leeway for other issuers' clocks is longer than five minutes: set the clocks \
                 instead",
            ));
        }
        Ok(())
    }

    /// Checks if a token under the constant header of one of our keys may be of another issuer.
    pub(crate) fn admits_our_header(&self) -> bool {
        self.check_typ(Some(Text::plain("JWT"))).is_ok()
    }

    /// Returns how long a token is accepted at most, also by a clock that is ahead of ours by the
    /// leeway. Forever, if it may lack `iat`.
    pub(crate) fn longest_secs(&self) -> u64 {
        if self.issued_at_required {
            let leeway = self.leeway.as_secs().saturating_mul(2);
            self.max_lifetime.as_secs().saturating_add(leeway)
        } else {
            u64::MAX
        }
    }

    /// Verifies a token under any acceptable header with the usable keys of the ring, and decodes
    /// its payload into `scratch`.
    pub(crate) fn verify<'t, 'b>(
        &self,
        ring: &Keyring,
        is_usable: impl Fn(&KeyEntry) -> bool,
        token: &'t str,
        scratch: Scratch<'b>,
    ) -> Result<Verified<'t, 'b>> {
        let [header, payload, signature] = jws::segments(token).ok_or(Rejection::Malformed)?;
        let json = base64url::decode(header).ok_or(Rejection::Malformed)?;
        let named = Header::read(&json).ok_or(Rejection::UnacceptableHeader)?;
        // If `kid` names one of our keys, only that key counts. Any other name is ignored.
        let is_named = |key: &Key| named.kid.is_some_and(|kid| kid.is(key.kid()));
        let one_is_named = ring.entries().any(|entry| is_named(&entry.key));
        let mut candidates = ring
            .entries()
            .filter(|entry| is_usable(entry))
            .map(|entry| &entry.key)
            .filter(|key| named.algorithm.is(key.algorithm().name()))
            .filter(|key| !one_is_named || is_named(key))
            .peekable();
        let Some(candidate) = candidates.peek() else {
            return Err(Rejection::UnacceptableHeader.into());
        };
        self.check_typ(named.typ)?;
        if candidate.algorithm().signature_chars() != signature.len() {
            return Err(Rejection::Malformed.into());
        }
        let [bytes, tag] =
            base64url::decode_pair([payload, signature], scratch).ok_or(Rejection::Malformed)?;
        let tag = tag.ok_or(Rejection::Malformed)?;
        let signed = &token.as_bytes()[..header.len() + 1 + payload.len()];
        if !candidates.any(|key| key.bare_mac().verifies(signed, tag)) {
            return Err(Rejection::BadSignature.into());
        }
        Ok(Verified {
            payload: bytes.ok_or(Rejection::Malformed)?,
            signature,
        })
    }

    fn check_typ(&self, presented: Option<Text<'_>>) -> Result<()> {
        let Some(expected) = &self.typ else {
            return Ok(());
        };
        let presented = presented.ok_or(Rejection::WrongType)?.decode();
        if !bare_typ(&presented).eq_ignore_ascii_case(bare_typ(expected)) {
            return Err(Rejection::WrongType.into());
        }
        Ok(())
    }

    /// Checks all claims of a token except the expiry. The signature must have been verified.
    pub(crate) fn check<'a>(
        &self,
        claims: &Claims<'a>,
        json: &'a str,
        signature: &[u8],
        now: Timestamp,
    ) -> Result<CheckedClaims<'a>> {
        let exp = claims.exp.ok_or(Rejection::InvalidClaims)?.floor();
        let issued_at = claims.iat.map(|iat| iat.ceil());
        let lifetime = exp.saturating_since(issued_at.unwrap_or(now));
        let subject = claims.sub.unwrap_or_default();
        if lifetime > self.max_lifetime.as_secs()
            || (self.subject_required && subject.is(""))
            || (self.issued_at_required && issued_at.is_none())
        {
            return Err(Rejection::InvalidClaims.into());
        }
        let issuer = self.issuer.as_deref();
        if issuer.is_some_and(|issuer| !claims.iss.is_some_and(|iss| iss.is(issuer))) {
            return Err(Rejection::WrongIssuer.into());
        }
        let is_addressed = match (&self.audience, claims.aud) {
            (Some(audience), Some(aud)) => aud.includes(audience),
            (None, None) => true,
            _ => false,
        };
        if !is_addressed {
            return Err(Rejection::WrongAudience.into());
        }
        let leeway = self.leeway.as_secs();
        let is_early = |time: Timestamp| time > now.saturating_add(leeway);
        if claims.nbf.is_some_and(|nbf| is_early(nbf.ceil())) || issued_at.is_some_and(is_early) {
            return Err(Rejection::NotYetValid.into());
        }
        let expires_at = exp.saturating_add(leeway);
        // Without `iat` and `auth_time`, the authentication counts as infinitely old.
        let issued_at = issued_at.unwrap_or(Timestamp::MIN);
        let authenticated_at = claims.auth_time.map_or(issued_at, |time| time.floor());
        Ok(CheckedClaims {
            subject,
            roles: claims.roles.unwrap_or_default(),
            device: None,
            acr: claims.acr,
            handle: handle_of(claims, signature),
            issued_at,
            authenticated_at: authenticated_at.min(issued_at),
            expires_at,
            deadline: expires_at,
            signed_deadline: expires_at,
            stamp: None,
            data: Some(json),
            json: None,
            is_foreign: true,
        })
    }
}

/// Derives a handle for a token without one: from issuer, subject and `jti`, or else from its
/// signature.
fn handle_of(claims: &Claims<'_>, signature: &[u8]) -> Handle {
    let mut hash = Sha256::new();
    hash.update(b"statewise foreign");
    let subject = claims.sub.unwrap_or_default().decode();
    for text in [&claims.iss.unwrap_or_default().decode(), &subject] {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    match claims.jti {
        Some(jti) => hash.update(jti.decode().as_bytes()),
        None => hash.update(signature),
    }
    let mut handle = [0; 16];
    handle.copy_from_slice(&hash.finalize()[..16]);
    Handle::of_subject(subject.as_bytes(), handle)
}

/// Cuts the prefix of a type that may be left out (RFC 7515, section 4.1.9).
fn bare_typ(typ: &str) -> &str {
    match typ.split_at_checked("application/".len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case("application/") => rest,
        _ => typ,
    }
}

/// The parameters of a header that are used (RFC 7515, section 4.1).
#[derive(Default)]
struct Header<'a> {
    algorithm: Text<'a>,
    typ: Option<Text<'a>>,
    kid: Option<Text<'a>>,
}

impl<'a> Header<'a> {
    /// Reads a header. `None` if it is no object, has no `alg`, has a parameter of another type, or
    /// demands an extension.
    fn read(json: &'a [u8]) -> Option<Self> {
        let mut header = Self::default();
        json::object(std::str::from_utf8(json).ok()?, |name, value| {
            match &*name.decode() {
                "alg" => header.algorithm = value.text()?,
                "typ" => header.typ = Some(value.text()?),
                "kid" => header.kid = Some(value.text()?),
                // Extensions that change the meaning of the signature, or encryption.
                "crit" | "b64" | "zip" | "enc" => return None,
                _ => {}
            }
            Some(())
        })?;
        // Without `alg` the name is empty, which no key has.
        Some(header)
    }
}
