//! Tokens that other libraries signed with the same secret.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::clock::{Timestamp, whole_seconds};
use crate::error::{Error, Rejection, Result};
use crate::login::handle::Handle;
use crate::token::claims::{Claims, Facts};
use crate::token::json::{self, Invalid, Text};
use crate::token::jws::{self, SIGNATURE, Verified};
use crate::token::key::Key;
use crate::token::keyring::{Held, Keyring};

/// The largest leeway that is still about clocks, in seconds.
const MAX_LEEWAY: u64 = 300;

/// Accepts tokens that others (PyJWT, jose, any RFC 7519 library) signed with a key of the ring.
///
/// The header is read by a strict parser: `alg` must be the key's own (RFC 8725, section 3.1);
/// `crit`, `b64`, `zip` and `enc` are refused; `jwk`, `jku`, `x5c` and `x5u` are never looked at.
/// `exp`, `iat` and `sub` must be there, and every registered claim must have its type. The class is
/// the claim `acr`, and the application's data are read from the whole claims set. Such tokens can be
/// verified and not refreshed.
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
#[must_use = "it does nothing until it is passed to the builder"]
pub struct Interop {
    longest: Duration,
    issuer: Option<String>,
    audience: Option<String>,
    typ: Option<String>,
    leeway: Duration,
    subject_required: bool,
    issued_at_required: bool,
}

/// An [`Interop`] that was checked.
#[derive(Debug)]
pub(crate) struct Foreign {
    longest: u64,
    issuer: Option<String>,
    audience: Option<String>,
    typ: Option<String>,
    leeway: u64,
    subject_required: bool,
    issued_at_required: bool,
}

impl Interop {
    /// Accepts tokens of this issuer: `iss` must be there and equal (RFC 7519, section 4.1.1).
    /// They may live for `longest`, from `iat` to `exp`, both of which must be there.
    pub fn from_issuer(issuer: impl Into<String>, longest: Duration) -> Self {
        Self::new(Some(issuer.into()), longest)
    }

    /// Accepts tokens of any issuer, and of none: whoever has the secret is trusted for all.
    /// Otherwise as [`from_issuer`](Self::from_issuer).
    pub fn from_any_issuer(longest: Duration) -> Self {
        Self::new(None, longest)
    }

    fn new(issuer: Option<String>, longest: Duration) -> Self {
        Self {
            longest,
            issuer,
            audience: None,
            typ: None,
            leeway: Duration::ZERO,
            subject_required: true,
            issued_at_required: true,
        }
    }

    /// Accepts tokens for this audience only: `aud` must be there and name it. Without it, tokens
    /// must have no `aud`, as they are meant for somebody (RFC 7519, section 4.1.3).
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// Accepts tokens of this explicit `typ` only, such as `at+jwt` (RFC 8725, section 3.11), with
    /// or without `application/` and in any case (RFC 7515, section 4.1.9).
    pub fn typ(mut self, typ: impl Into<String>) -> Self {
        self.typ = Some(typ.into());
        self
    }

    /// How far the issuer's clock may be off, for `exp`, `nbf` and `iat`. Default: not at all.
    /// At most five minutes.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// Accepts tokens that name no user, whose subject is then empty. The application must know
    /// what it does with nobody.
    pub fn allow_missing_subject(mut self) -> Self {
        self.subject_required = false;
        self
    }

    /// Accepts tokens that do not say when they were issued, once no more than the longest
    /// lifetime is left of them. How long there will be such tokens is then unknown, and
    /// [`revoke_all`](crate::Authenticator::revoke_all) says so.
    pub fn allow_missing_issued_at(mut self) -> Self {
        self.issued_at_required = false;
        self
    }

    pub(crate) fn check(self) -> Result<Foreign> {
        let longest = whole_seconds("longest lifetime of others' tokens", self.longest)?;
        let empty = |name: &Option<String>| name.as_deref() == Some("");
        if empty(&self.issuer) || empty(&self.audience) || empty(&self.typ) {
            return Err(Error::misuse(
                "issuer, audience or type of others' tokens is empty: name it or leave it out",
            ));
        }
        let leeway = self.leeway.as_secs();
        if leeway > MAX_LEEWAY {
            return Err(Error::misuse(
                "the leeway for others' clocks is longer than five minutes: set the clocks instead",
            ));
        }
        Ok(Foreign {
            longest,
            issuer: self.issuer,
            audience: self.audience,
            typ: self.typ,
            leeway,
            subject_required: self.subject_required,
            issued_at_required: self.issued_at_required,
        })
    }
}

impl Foreign {
    /// Whether a token under one of our constant headers may be one of these.
    pub(crate) fn admits_our_header(&self) -> bool {
        self.check_typ(Some(Text::plain("JWT"))).is_ok()
    }

    /// Until when a token that was issued by now is accepted at the latest, by a clock that is
    /// ahead of ours by as much as it may.
    pub(crate) fn latest(&self, now: Timestamp) -> Timestamp {
        if !self.issued_at_required {
            return Timestamp::MAX;
        }
        let leeway = self.leeway.saturating_mul(2);
        now.saturating_add(self.longest).saturating_add(leeway)
    }

    /// Seconds for which one of these is accepted at most; for ever, if it need not say since when.
    pub(crate) fn longest(&self) -> u64 {
        if self.issued_at_required {
            self.longest.saturating_add(self.leeway.saturating_mul(2))
        } else {
            u64::MAX
        }
    }

    /// Verifies a token with any header that this policy allows by a usable key of the ring, and
    /// decodes its payload into `buffer`.
    pub(crate) fn verify<'t, 'b>(
        &self,
        ring: &Keyring,
        is_usable: impl Fn(&Held) -> bool,
        token: &'t str,
        buffer: &'b mut [u8],
    ) -> Result<Verified<'t, 'b>> {
        let (header, payload, signature) = jws::segments(token).ok_or(Rejection::Malformed)?;
        let json = URL_SAFE_NO_PAD
            .decode(header)
            .map_err(|_| Rejection::Malformed)?;
        let json = std::str::from_utf8(&json).map_err(|_| Rejection::UnacceptableHeader)?;
        let named = Header::read(json).map_err(|Invalid| Rejection::UnacceptableHeader)?;
        let algorithm = named.algorithm.decode();
        let kid = named.kid.map(Text::decode);
        // A key of ours that is named is the only one; any other name says nothing.
        let is_named = |key: &Key| kid.as_deref() == Some(key.kid());
        let one_is_named = ring.held().any(|held| is_named(&held.key));
        let mut candidates = ring
            .held()
            .filter(|held| is_usable(held))
            .map(|held| &held.key)
            .filter(|key| key.algorithm().name() == algorithm && (!one_is_named || is_named(key)))
            .peekable();
        if candidates.peek().is_none() {
            return Err(Rejection::UnacceptableHeader.into());
        }
        self.check_typ(named.typ)?;
        if candidates
            .peek()
            .is_some_and(|key| key.algorithm().signature_length() != signature.len())
        {
            return Err(Rejection::Malformed.into());
        }
        let mut tag = [0; SIGNATURE];
        let tag = jws::decode(signature, &mut tag)?;
        let signed = header.len() + 1 + payload.len();
        let signed = token.as_bytes().get(..signed).unwrap_or_default();
        let matches = |key: &Key| key.bare_mac().tag(signed).is(tag);
        if !candidates.any(matches) {
            return Err(Rejection::BadSignature.into());
        }
        Ok(Verified {
            payload: jws::decode(payload, buffer)?,
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

    /// Checks the claims of a token whose signature was verified, but for whether it has expired.
    pub(crate) fn check<'a>(
        &self,
        claims: &Claims<'a>,
        json: &'a str,
        signature: &[u8],
        now: Timestamp,
    ) -> Result<Facts<'a>> {
        let exp = claims.exp.ok_or(Rejection::InvalidClaims)?.floor();
        let subject = claims.sub.unwrap_or(Text::plain(""));
        let issued_at = claims.iat.map(|iat| iat.ceil());
        let life = exp.saturating_since(issued_at.unwrap_or(now));
        let missing = (self.subject_required && subject.is(""))
            || (self.issued_at_required && issued_at.is_none());
        if life > self.longest || missing {
            return Err(Rejection::InvalidClaims.into());
        }
        let issuer = self.issuer.as_deref();
        if issuer.is_some_and(|issuer| !claims.iss.is_some_and(|iss| iss.is(issuer))) {
            return Err(Rejection::WrongIssuer.into());
        }
        let addressed = match (&self.audience, claims.aud) {
            (Some(audience), Some(aud)) => aud.includes(audience),
            (None, None) => true,
            _ => false,
        };
        if !addressed {
            return Err(Rejection::WrongAudience.into());
        }
        let latest = now.saturating_add(self.leeway);
        let early = |time: Timestamp| time > latest;
        if claims.nbf.is_some_and(|nbf| early(nbf.ceil())) || issued_at.is_some_and(early) {
            return Err(Rejection::NotYetValid.into());
        }
        let expires_at = exp.saturating_add(self.leeway);
        // Where a token does not say, the user is taken to have proven who they are long ago.
        let issued_at = issued_at.unwrap_or(Timestamp::MIN);
        Ok(Facts {
            subject,
            roles: claims.roles.unwrap_or("[]"),
            device: None,
            acr: claims.acr,
            handle: handle_of(claims, signature),
            issued_at,
            authenticated_at: claims
                .auth_time
                .map_or(issued_at, |time| time.floor())
                .min(issued_at),
            expires_at,
            deadline: expires_at,
            signed_deadline: expires_at,
            stamp: None,
            data: Some(json),
            json,
            foreign: true,
        })
    }
}

/// A name for a token that has no handle: by issuer, subject and its own id, or else its signature.
fn handle_of(claims: &Claims<'_>, signature: &[u8]) -> Handle {
    let mut hash = Sha256::new();
    hash.update(b"statewise foreign");
    let subject = claims.sub.map(Text::decode).unwrap_or_default();
    for text in [
        claims.iss.map(Text::decode).unwrap_or_default(),
        subject.clone(),
    ] {
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

/// A type without the prefix that may be left out (RFC 7515, section 4.1.9).
fn bare_typ(typ: &str) -> &str {
    match typ.split_at_checked("application/".len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case("application/") => rest,
        _ => typ,
    }
}

/// What counts in a header (RFC 7515, section 4.1).
struct Header<'a> {
    algorithm: Text<'a>,
    typ: Option<Text<'a>>,
    kid: Option<Text<'a>>,
}

impl<'a> Header<'a> {
    fn read(json: &'a str) -> std::result::Result<Self, Invalid> {
        let (mut algorithm, mut typ, mut kid) = (None, None, None);
        json::object(json, |name, value, _| {
            match &*name.decode() {
                "alg" => algorithm = Some(value.text()?),
                "typ" => typ = Some(value.text()?),
                "kid" => kid = Some(value.text()?),
                // Extensions that change what the signature means, and a mark of encryption.
                "crit" | "b64" | "zip" | "enc" => return Err(Invalid),
                _ => {}
            }
            Ok(())
        })?;
        Ok(Self {
            algorithm: algorithm.ok_or(Invalid)?,
            typ,
            kid,
        })
    }
}
