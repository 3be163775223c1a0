//! Rules for tokens that other libraries have signed.

use std::any::TypeId;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use crate::clock::{Timestamp, whole_seconds};
use crate::error::{Error, Rejection, Result};
use crate::login::Login;
use crate::login::data;
use crate::login::handle::Handle;
use crate::token::algorithm::Algorithm;
use crate::token::claims::Claims;
use crate::token::foreign::{ForeignClaims, ForeignLogin};
use crate::token::json::{self, Text};
use crate::token::key::Key;
use crate::token::keyring::Keyring;
#[cfg(feature = "_public")]
use crate::token::public::KeySetView;
use crate::token::ring_key::RingKey;

/// Upper bound of the leeway. Clocks that differ by more must be set.
const MAX_LEEWAY: Duration = Duration::from_secs(5 * 60);
/// Default of [`Interop::leeway`].
const DEFAULT_LEEWAY: Duration = Duration::from_secs(5);
/// Name of the claim of the subject, unless another is configured.
const SUBJECT: &str = "sub";
/// Name of the claim of the roles, unless another is configured.
const ROLES: &str = "roles";

/// Rules for tokens of one other issuer, which PyJWT, jose, jsonwebtoken or any other RFC 7519
/// library has signed with HS256, HS384 or HS512. With one of the features for public-key signatures, also
/// with ES256, Ed25519 or RS256: pass a `PublicKey`.
///
/// Pass one per issuer to [`TokenBuilder::interop`](crate::token::TokenBuilder::interop). Each has
/// keys of its own: a key of one issuer never verifies a token of another one. Without a
/// [`key`](Self::key), the issuer signs with the keys of your ring.
///
/// A strict parser reads the header: `alg` must be the key's own algorithm (RFC 8725, section 3.1);
/// `crit`, `b64`, `zip` and `enc` are rejected; `jwk`, `jku`, `x5c` and `x5u` are never used. Every
/// registered claim must have its type. The claim `acr` becomes the authentication context class.
/// Such a token can be verified but not refreshed. If one is rejected for a claim,
/// [`Error::claim`] names it.
///
/// # Defaults
///
/// | setting | default | unit | source |
/// |---|---|---|---|
/// | issuer | none: choose [`from_issuer`](Self::from_issuer) or [`from_any_issuer`](Self::from_any_issuer) | text | RFC 7519, section 4.1.1 |
/// | `max_lifetime`, from `iat` to `exp` | none: required | whole seconds | |
/// | [`key`](Self::key) | the keys of the ring | | |
/// | [`subject_from`](Self::subject_from) | `sub`, a text | claim | RFC 7519, section 4.1.2 |
/// | [`subject_or`](Self::subject_or) | none: a token without a subject is rejected | text | |
/// | [`roles_from`](Self::roles_from) | `roles` | claim | RFC 9068, section 2.2.3.1 |
/// | [`data_from`](Self::data_from) | the whole claims set | claim | |
/// | [`map`](Self::map) | none: the settings above | | |
/// | [`audience`](Self::audience) | tokens without `aud` only | text | RFC 7519, section 4.1.3 |
/// | [`typ`](Self::typ) | any | text | RFC 8725, section 3.11 |
/// | [`leeway`](Self::leeway) | 5 | whole seconds, up to 300 | RFC 7519, section 4.1.4: a few minutes |
/// | `exp` | required | | |
/// | `iat` | required; [`allow_missing_issued_at`](Self::allow_missing_issued_at) | | |
///
/// ```
/// use std::time::Duration;
/// use statewise::token::{Interop, Key, TokenAuthenticator};
///
/// # fn example(key_of_old: Key, key_of_jobs: Key) -> statewise::Result<()> {
/// let hour = Duration::from_secs(3600);
/// let auth = TokenAuthenticator::builder(Key::generate_hs256()?)
///     .issuer("https://auth.example")
///     .audience("api")
///     .lifetime(Duration::from_secs(900))
///     .interop(
///         Interop::from_issuer("https://old-auth.example", hour)
///             .key(key_of_old)
///             .audience("api")
///             .subject_from("user_id")
///             .roles_from("realm_access.roles"),
///     )
///     .interop(Interop::from_issuer("https://jobs.example", hour).key(key_of_jobs))
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "pass it to `TokenBuilder::interop`"]
pub struct Interop {
    max_lifetime: Duration,
    issuer: Option<String>,
    audience: Option<String>,
    typ: Option<String>,
    leeway: Duration,
    issued_at_required: bool,
    /// `None` for those of the ring.
    keys: Option<Keyring>,
    subject_claim: Option<String>,
    default_subject: Option<String>,
    roles_claim: Option<String>,
    data_claim: Option<String>,
    mapping: Option<Mapping>,
}

/// The application's own mapping of claims.
#[derive(Clone)]
struct Mapping {
    /// Type of the data in the logins.
    data: TypeId,
    login_of: Arc<LoginOf>,
}

/// Returns a login with its data in stored form.
type LoginOf = dyn Fn(&ForeignClaims<'_>) -> Result<Login<Option<String>>> + Send + Sync;

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mapping")
    }
}

impl Interop {
    /// Accepts tokens of this issuer: `iss` must be present and equal (RFC 7519, section 4.1.1).
    ///
    /// A token may be valid for `max_lifetime`, from `iat` to `exp`. Both must be present.
    ///
    /// **A subject of this issuer is your user of that name**, for logouts and limits too. If its subjects
    /// are not yours, give them a prefix with [`map`](Self::map).
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
            leeway: DEFAULT_LEEWAY,
            issued_at_required: true,
            keys: None,
            subject_claim: None,
            default_subject: None,
            roles_claim: None,
            data_claim: None,
            mapping: None,
        }
    }

    /// Adds a key of this issuer. It verifies the tokens of this issuer and nothing else.
    ///
    /// With a key of its own, the issuer cannot sign tokens of yours. The key must not be in your
    /// ring, and no other issuer may have it.
    pub fn key(mut self, key: impl Into<RingKey>) -> Self {
        let keys = self.keys.unwrap_or_else(Keyring::empty);
        self.keys = Some(keys.verify_with(key));
        self
    }

    /// Verifies with the keys that this issuer publishes, instead of keys of your own choice. A token
    /// that names a key by its `kid` is verified with that key alone.
    ///
    /// The upkeep of the authenticator fetches them. While they are stale, tokens of this issuer are
    /// *unavailable*; other tokens are not concerned.
    #[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
    pub fn follow(mut self, view: &KeySetView) -> Self {
        let keys = self.keys.unwrap_or_else(Keyring::empty);
        self.keys = Some(keys.follow(view));
        self
    }

    /// Adds a secret of this issuer that is shorter than a [`Key`] may be. It verifies until
    /// `until`, so that a service can leave such a secret behind.
    ///
    /// With one token, an attacker can find a short or guessable secret, and then log in as any
    /// user. Let the issuer sign with a [`Key`] as soon as possible.
    ///
    /// ```
    /// use std::time::Duration;
    /// use statewise::token::{Algorithm, Interop};
    /// use time::OffsetDateTime;
    ///
    /// # fn example(end: OffsetDateTime) -> statewise::Result<()> {
    /// let month = Duration::from_secs(30 * 24 * 3600);
    /// let old = Interop::from_issuer("https://old-auth.example", month).weak_secret(
    ///     Algorithm::HS256,
    ///     b"PqRwLF2rhHe8J22oBeHy",
    ///     end,
    /// )?;
    /// # let _ = old;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// *Misuse* if the secret is empty, or a PEM, DER, SSH or JWK text.
    pub fn weak_secret(
        self,
        algorithm: Algorithm,
        secret: &[u8],
        until: OffsetDateTime,
    ) -> Result<Self> {
        let key = Key::of_any_length(algorithm, secret)?;
        let kid = key.kid().to_owned();
        let mut interop = self.key(key);
        interop.keys = interop.keys.map(|keys| keys.retire(&kid, until));
        Ok(interop)
    }

    /// Takes the subject from this claim: a text, or the digits of a whole number. A nested claim is
    /// named with dots, such as `user.id`. Default: `sub`, which must be a text.
    pub fn subject_from(mut self, claim: impl Into<String>) -> Self {
        self.subject_claim = Some(claim.into());
        self
    }

    /// Gives tokens without a subject, or with an empty one, this subject. Default: they are
    /// rejected.
    ///
    /// All callers with such tokens are one user: a logout everywhere ends all of them.
    pub fn subject_or(mut self, subject: impl Into<String>) -> Self {
        self.default_subject = Some(subject.into());
        self
    }

    /// Takes the roles from this claim: an array of texts, or a text of words with spaces between
    /// them, such as `scope`. A nested claim is named with dots, such as `realm_access.roles`.
    /// Default: `roles`.
    ///
    /// A role of the issuer must mean the same as your role of that name: otherwise take the roles
    /// from another claim, or use [`map`](Self::map).
    pub fn roles_from(mut self, claim: impl Into<String>) -> Self {
        self.roles_claim = Some(claim.into());
        self
    }

    /// Reads the application's data from this claim. Default: from the whole claims set.
    pub fn data_from(mut self, claim: impl Into<String>) -> Self {
        self.data_claim = Some(claim.into());
        self
    }

    /// Maps the claims to a login in any other way. It replaces [`subject_from`](Self::subject_from),
    /// [`roles_from`](Self::roles_from) and [`data_from`](Self::data_from). Called when signature,
    /// issuer, audience and dates have been checked, on each verification: do not block.
    ///
    /// The data of the login must have the type of
    /// [`TokenBuilder::with_data`](crate::token::TokenBuilder::with_data). They are serialised and
    /// read again, as if this service had issued the token. Device, acr, an earlier authentication
    /// time and an earlier deadline of the login count. To reject a token, return an error.
    ///
    /// ```
    /// use std::time::Duration;
    /// use statewise::token::Interop;
    /// use statewise::{Error, Login, Rejection};
    ///
    /// let theirs = Interop::from_issuer("https://idp.example", Duration::from_secs(3600)).map(
    ///     |claims| {
    ///         let tenant = claims.text("tenant")?;
    ///         if claims.text("token_use")? != "access" {
    ///             return Err(Error::rejected_claim(Rejection::WrongClaimType, "token_use"));
    ///         }
    ///         let subject = format!("{tenant}/{}", claims.text("user.id")?);
    ///         Ok(Login::new(subject).roles(claims.words("scope")?).data(tenant))
    ///     },
    /// );
    /// # let _ = theirs;
    /// ```
    pub fn map<D: Serialize + 'static>(
        mut self,
        map: impl Fn(&ForeignClaims<'_>) -> Result<Login<D>> + Send + Sync + 'static,
    ) -> Self {
        let login_of = move |claims: &ForeignClaims<'_>| {
            let login = map(claims)?;
            let stored = data::stored(&login.data)?
                .map(String::from_utf8)
                .transpose();
            // `serde_json` writes UTF-8.
            Ok(login.data(stored.unwrap_or_default()))
        };
        self.mapping = Some(Mapping {
            data: TypeId::of::<D>(),
            login_of: Arc::new(login_of),
        });
        self
    }

    /// Accepts only tokens for this audience: `aud` must be present and contain it.
    ///
    /// Without this setting, a token must have no `aud`, because an audience that this service does
    /// not know is another service (RFC 7519, section 4.1.3). If tokens are rejected as
    /// [`WrongAudience`](crate::Rejection::WrongAudience), set it to the audience that the issuer
    /// writes for this service.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// Accepts only tokens of this explicit `typ`, such as `at+jwt` (RFC 8725, section 3.11), with
    /// or without `application/` and in any case (RFC 7515, section 4.1.9). Default: any.
    ///
    /// Without it, every token that the issuer signs for this audience logs a user in, such as an ID token.
    /// Set `at+jwt` if the issuer writes it (RFC 9068, section 4).
    pub fn typ(mut self, typ: impl Into<String>) -> Self {
        self.typ = Some(typ.into());
        self
    }

    /// Sets the clock skew to allow for `exp`, `nbf` and `iat`, up to five minutes. Default: five
    /// seconds. Your own tokens get none.
    ///
    /// `nbf` and `iat` are compared with the fractions of seconds that the issuer writes.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// Accepts tokens without `iat`, from the moment on at which `exp` is no further away than the
    /// maximum lifetime.
    ///
    /// Such a token may have been issued at any time before. After
    /// [`revoke_all`](crate::Authenticator::revoke_all) without a revocation view, tokens of the
    /// subject may therefore be accepted forever: the answer is [`Timestamp::MAX`]. A revocation
    /// view ends those that expire within its maximum lifetime. It forgets the revocation before a
    /// token expires that the issuer has made valid for longer.
    pub fn allow_missing_issued_at(mut self) -> Self {
        self.issued_at_required = false;
        self
    }

    /// Checks the settings, for an authenticator with data of this type.
    pub(crate) fn validate(&self, data: TypeId) -> Result<()> {
        whole_seconds(
            "maximum lifetime of other issuers' tokens",
            self.max_lifetime,
        )?;
        let names = [
            &self.issuer,
            &self.audience,
            &self.typ,
            &self.subject_claim,
            &self.default_subject,
            &self.roles_claim,
            &self.data_claim,
        ];
        if names.into_iter().flatten().any(String::is_empty) {
            return Err(Error::misuse(
                "a setting of other issuers' tokens is empty, such as the issuer, the audience or \
                 the name of a claim: name it or leave it out",
            ));
        }
        if let Some(mistake) = self.keys.as_ref().and_then(Keyring::mistake) {
            return Err(Error::misuse(mistake));
        }
        if self.leeway > MAX_LEEWAY {
            return Err(Error::misuse(
                "the leeway for other issuers' clocks is longer than five minutes: set the clocks \
                 instead",
            ));
        }
        if let Some(mapping) = &self.mapping {
            if mapping.data != data {
                return Err(Error::misuse(
                    "`Interop::map` returns logins with data of another type than the \
                     authenticator's: give `Login::data` the type of `TokenBuilder::with_data`",
                ));
            }
            let others = [&self.subject_claim, &self.roles_claim, &self.data_claim];
            if others.into_iter().any(Option::is_some) || self.default_subject.is_some() {
                return Err(Error::misuse(
                    "`Interop::map` decides what the claims mean, so that settings of single claims \
                     have no effect: leave them out",
                ));
            }
        }
        Ok(())
    }

    /// The issuer; `None` for any.
    pub(crate) fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// Checks if a claims set names this issuer, valid or not.
    pub(crate) fn is_named_in(&self, claims: &str) -> bool {
        let mut is_named = self.issuer.is_none();
        let _ = json::object(claims, |name, value| {
            is_named |= name.is("iss")
                && value
                    .text()
                    .is_some_and(|iss| self.issuer() == Some(&iss.decode()));
            Some(())
        });
        is_named
    }

    /// The keys of this issuer alone.
    pub(crate) fn own_keys(&self) -> Option<&Keyring> {
        self.keys.as_ref()
    }

    /// The keys of this issuer alone, as they are now.
    pub(crate) fn present_keys(&self) -> Option<Cow<'_, Keyring>> {
        let keys = self.own_keys()?;
        #[cfg(feature = "_public")]
        if let Some(view) = keys.followed() {
            return Some(Cow::Owned(Keyring::clone(&view.ring())));
        }
        Some(Cow::Borrowed(keys))
    }

    /// Checks if a token under the constant header of one of our keys may be of this issuer.
    pub(crate) fn admits_our_header(&self) -> bool {
        self.keys.is_none() && self.check_typ(Some(Text::plain("JWT"))).is_ok()
    }

    /// Returns how long a token is accepted at most from its issue on, also by a clock that is
    /// ahead of ours by the leeway.
    pub(crate) fn longest_secs(&self) -> u64 {
        let leeway = self.leeway.as_secs().saturating_mul(2);
        self.max_lifetime.as_secs().saturating_add(leeway)
    }

    /// Returns how long a token that exists already may be accepted. Forever, if it may lack `iat`.
    pub(crate) fn last_secs(&self) -> u64 {
        if self.issued_at_required {
            self.longest_secs()
        } else {
            u64::MAX
        }
    }

    /// Checks the type in a header.
    pub(crate) fn check_typ(&self, presented: Option<Text<'_>>) -> Result<()> {
        let Some(expected) = &self.typ else {
            return Ok(());
        };
        let presented = presented.ok_or(Rejection::WrongType)?.decode();
        if !bare_typ(&presented).eq_ignore_ascii_case(bare_typ(expected)) {
            return Err(Rejection::WrongType.into());
        }
        Ok(())
    }

    /// Checks all claims of a token except the expiry, and returns the login that they mean. `now`
    /// counts from 1970. The signature must have been verified with a key of this issuer.
    pub(crate) fn check(&self, json: &str, signed: &[u8], now: Duration) -> Result<ForeignLogin> {
        let has_numeric_subject = self.subject_claim.as_deref() == Some(SUBJECT);
        let claims = Claims::foreign(json, has_numeric_subject)?;
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
        let missing = |claim| Error::rejected_claim(Rejection::MissingClaim, claim);
        let exp = claims.exp.ok_or_else(|| missing("exp"))?.floor();
        if self.issued_at_required && claims.iat.is_none() {
            return Err(missing("iat"));
        }
        let latest = now.saturating_add(self.leeway);
        // Without `iat`, no more than the maximum may be left by the issuer's clock.
        let begin = claims.iat.map(|iat| iat.ceil());
        let begin = begin.unwrap_or(Timestamp::from_unix(latest.as_secs()));
        if exp.saturating_since(begin) > self.max_lifetime.as_secs() {
            return Err(Error::rejected_claim(Rejection::LivesTooLong, "exp"));
        }
        let mut dates = claims.nbf.iter().chain(&claims.iat);
        if dates.any(|date| date.exact() > latest) {
            return Err(Rejection::NotYetValid.into());
        }
        let login = self.login_of(&ForeignClaims::new(json), &claims)?;
        let handle = handle_of(&claims, login.subject(), signed);
        // Without `iat` and `auth_time`, the authentication counts as infinitely old.
        let issued_at = claims.iat.map_or(Timestamp::MIN, |iat| iat.floor());
        let authenticated_at = claims.auth_time.map_or(issued_at, |time| time.floor());
        let expires_at = exp.saturating_add(self.leeway.as_secs());
        Ok(ForeignLogin::new(
            &login,
            handle,
            issued_at,
            authenticated_at,
            expires_at,
        ))
    }

    fn login_of(
        &self,
        claims: &ForeignClaims<'_>,
        registered: &Claims<'_>,
    ) -> Result<Login<Option<String>>> {
        let is_missing = |error: &Error| error.rejection() == Some(Rejection::MissingClaim);
        if let Some(mapping) = &self.mapping {
            let login = (mapping.login_of)(claims)?;
            if login.subject().is_empty() {
                return Err(Error::rejected_claim(Rejection::MissingClaim, SUBJECT));
            }
            return Ok(login);
        }
        let subject = claims.text(self.subject_claim.as_deref().unwrap_or(SUBJECT));
        let subject = match (subject, &self.default_subject) {
            (Err(error), Some(default)) if is_missing(&error) => default.clone(),
            (subject, _) => subject?,
        };
        let roles = claims.words(self.roles_claim.as_deref().unwrap_or(ROLES))?;
        let data = match &self.data_claim {
            Some(claim) => claims.raw(claim),
            None => Some(claims.json()),
        };
        let mut login = Login::new(subject)
            .roles(roles)
            .data(data.map(str::to_owned));
        login.acr = registered.acr.map(|acr| acr.decode().into_owned());
        Ok(login)
    }
}

/// Derives a handle for a token without one: from issuer, subject and `jti`, or else from the text
/// that is signed. Not from the signature: everyone can write another one of ECDSA for the same text.
fn handle_of(claims: &Claims<'_>, subject: &str, signed: &[u8]) -> Handle {
    let mut hash = Sha256::new();
    hash.update(b"statewise foreign");
    for text in [&*claims.iss.unwrap_or_default().decode(), subject] {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    match claims.jti {
        Some(jti) => hash.update(jti.decode().as_bytes()),
        None => hash.update(signed),
    }
    let mut handle = [0; 16];
    handle.copy_from_slice(&hash.finalize()[..16]);
    Handle::of_subject(subject.as_bytes(), handle).with_tag(0, [0; 2])
}

/// Cuts the prefix of a type that may be left out (RFC 7515, section 4.1.9).
fn bare_typ(typ: &str) -> &str {
    match typ.split_at_checked("application/".len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case("application/") => rest,
        _ => typ,
    }
}
