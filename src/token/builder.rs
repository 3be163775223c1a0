//! The builder of a [`TokenAuthenticator`]: each required setting is a step of its own.

use std::any::TypeId;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::authenticator::RevokeAll;
use crate::authenticator::revoke_all::AlsoEnds;
use crate::base::sha256;
use crate::clock::{Clock, SystemClock, whole_seconds};
use crate::entropy::{Entropy, SystemEntropy};
use crate::error::{Error, Result};
use crate::login::data::DataReader;
use crate::login::identity::Identity;
use crate::login::preset::Preset;
use crate::revocation::RevocationView;
use crate::token::authenticator::TokenAuthenticator;
use crate::token::canonical;
use crate::token::interop::Interop;
use crate::token::issuers::Issuers;
use crate::token::jws::MAX_TOKEN_CHARS;
use crate::token::keyring::{Keyring, PROPAGATION_SECS};
use crate::token::master::KeySource;
use crate::token::policy::Policy;
use crate::token::profile::Profile;
use crate::token::reload::{Fresh, Reload};

/// Default of [`TokenBuilder::max_length`]: about the size of a cookie that every browser accepts.
const DEFAULT_MAX_CHARS: usize = 4096;
/// Lower bound of [`TokenBuilder::max_length`]: leaves room for claims.
const MIN_CHARS: usize = 256;
/// Upper bound of a token's lifetime. Browsers keep no cookie for longer than 400 days.
const MAX_LIFETIME_SECS: u64 = 400 * 24 * 3600;

/// First step of the builder: call [`issuer`](Self::issuer).
#[derive(Debug)]
pub struct NeedsIssuer {
    keys: KeySource,
    only_verifies: bool,
}

/// Second step of the builder: call [`audience`](Self::audience).
#[derive(Debug)]
pub struct NeedsAudience {
    keys: KeySource,
    only_verifies: bool,
    issuer: String,
}

/// Third step of the builder: call [`lifetime`](Self::lifetime).
#[derive(Debug)]
pub struct NeedsLifetime {
    ring: Result<Keyring>,
    only_verifies: bool,
    issuer: String,
    audience: String,
}

/// A complete configuration of tokens: change its defaults or [`build`](Self::build) it.
///
/// # Defaults
///
/// | setting | default | unit | source |
/// |---|---|---|---|
/// | `issuer`, `audience` | none: required | text | RFC 7519, sections 4.1.1 and 4.1.3 |
/// | `lifetime` | none: required | whole seconds, up to 400 days | RFC 6750, section 5.3: one hour or less |
/// | [`max_lifetime`](Self::max_lifetime) | until the first token expires | whole seconds | refreshing extends nothing |
/// | [`remembered`](Self::remembered) | `max_lifetime` | whole seconds | a user chooses it at login |
/// | [`preset`](Self::preset) | none | | |
/// | [`max_length`](Self::max_length) | 4096 | characters, 256 to 8192 | the size of a cookie (RFC 6265, section 6.1) |
/// | [`propagation`](Self::propagation) | 60 | whole seconds; with published keys, 60 or more | all nodes load a new ring in that time |
/// | [`interop`](Self::interop) | none | | only tokens of this service |
/// | [`scope`](Self::scope), [`client_id`](Self::client_id), [`access_tokens`](Self::access_tokens) | not written | claims and header | RFC 9068 |
/// | [`revocations`](Self::revocations) | none | | a token is valid until it expires |
/// | [`with_data`](Self::with_data) | `()` | type | no data of the application |
/// | [`data_or_else`](Self::data_or_else) | none | | other data are unreadable |
/// | [`also_ends`](Self::also_ends) | nothing | | `revoke_all` ends the logins |
/// | [`reload`](Self::reload) | none | | a refresh keeps roles and data |
/// | [`clock`](Self::clock) | [`SystemClock`] | | |
/// | [`entropy`](Self::entropy) | [`SystemEntropy`] | | |
///
/// ```
/// use std::time::Duration;
/// use statewise::token::{Key, TokenAuthenticator};
///
/// let auth = TokenAuthenticator::builder(Key::generate_hs256()?)
///     .issuer("https://auth.example")
///     .audience("api")
///     .lifetime(Duration::from_secs(15 * 60))
///     .max_lifetime(Duration::from_secs(12 * 3600))
///     .build()?;
/// # Ok::<(), statewise::Error>(())
/// ```
#[must_use = "a builder does nothing until you call `build`"]
pub struct TokenBuilder<D = ()> {
    /// Fails if issuer or audience is empty.
    ring: Result<Keyring>,
    only_verifies: bool,
    issuer: String,
    audience: String,
    lifetime: Duration,
    max_lifetime: Option<Duration>,
    remembered: Option<Duration>,
    pub(crate) preset: Option<Preset>,
    max_length: usize,
    propagation: Duration,
    interop: Vec<Interop>,
    profile: Option<Profile>,
    revocations: Option<RevocationView>,
    /// Becomes [`Policy::caps_lifetime`].
    caps_lifetime: bool,
    pub(crate) clock: Option<Arc<dyn Clock>>,
    pub(crate) entropy: Option<Arc<dyn Entropy>>,
    pub(crate) data: DataReader<D>,
    reload: Option<Reload<D>>,
    pub(crate) also_ends: AlsoEnds,
}

impl TokenAuthenticator {
    /// Starts a configuration with the keys that sign and verify: a [`Key`], a [`Keyring`], or a
    /// [`MasterKey`] or [`MasterRing`] from which the keys of the audience are derived. Set issuer,
    /// audience and lifetime next.
    ///
    /// [`Key`]: crate::token::Key
    /// [`MasterKey`]: crate::token::MasterKey
    /// [`MasterRing`]: crate::token::MasterRing
    #[must_use]
    pub fn builder(keys: impl Into<KeySource>) -> NeedsIssuer {
        NeedsIssuer {
            keys: keys.into(),
            only_verifies: false,
        }
    }

    /// Starts a configuration with public keys: the authenticator verifies tokens and issues none.
    /// Set the issuer, the audience and the lifetime of the one that issues them. An
    /// [`issue`](crate::Authenticator::issue), a refresh and an update are *misuse*.
    ///
    /// ```
    /// use std::time::Duration;
    /// use statewise::token::{PublicKey, TokenAuthenticator};
    ///
    /// fn verifier(pem: &str) -> statewise::Result<TokenAuthenticator> {
    ///     TokenAuthenticator::verifier(PublicKey::from_pem(pem)?)
    ///         .issuer("https://auth.example")
    ///         .audience("api")
    ///         .lifetime(Duration::from_secs(600))
    ///         .build()
    /// }
    /// # let _ = verifier;
    /// ```
    #[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
    #[must_use]
    pub fn verifier(keys: impl Into<KeySource>) -> NeedsIssuer {
        NeedsIssuer {
            keys: keys.into(),
            only_verifies: true,
        }
    }
}

impl NeedsIssuer {
    /// Sets the claim `iss` (RFC 7519, section 4.1.1): a name of this service alone, such as its
    /// URL. Tokens of another issuer are rejected.
    pub fn issuer(self, issuer: impl Into<String>) -> NeedsAudience {
        NeedsAudience {
            keys: self.keys,
            only_verifies: self.only_verifies,
            issuer: issuer.into(),
        }
    }
}

impl NeedsAudience {
    /// Sets the claim `aud` (RFC 7519, section 4.1.3): a name of the service that accepts the
    /// tokens. Tokens for another audience are rejected.
    pub fn audience(self, audience: impl Into<String>) -> NeedsLifetime {
        let audience = audience.into();
        NeedsLifetime {
            ring: self.keys.for_audience(&self.issuer, &audience),
            only_verifies: self.only_verifies,
            issuer: self.issuer,
            audience,
        }
    }
}

impl NeedsLifetime {
    /// Sets how long a token is valid, in whole seconds.
    ///
    /// Use minutes: without a [revocation view](TokenBuilder::revocations) nothing ends a token
    /// earlier. RFC 6750, section 5.3, recommends one hour or less.
    pub fn lifetime(self, lifetime: Duration) -> TokenBuilder {
        TokenBuilder {
            ring: self.ring,
            only_verifies: self.only_verifies,
            issuer: self.issuer,
            audience: self.audience,
            lifetime,
            max_lifetime: None,
            remembered: None,
            preset: None,
            max_length: DEFAULT_MAX_CHARS,
            propagation: Duration::from_secs(PROPAGATION_SECS),
            interop: Vec::new(),
            profile: None,
            revocations: None,
            caps_lifetime: false,
            clock: None,
            entropy: None,
            data: DataReader::default(),
            reload: None,
            also_ends: AlsoEnds::default(),
        }
    }
}

impl<D> TokenBuilder<D> {
    /// Chooses the type of the application's data in a token, the claim `data`. Default: `()`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use statewise::token::{Key, TokenAuthenticator};
    ///
    /// let auth = TokenAuthenticator::builder(Key::generate_hs256()?)
    ///     .issuer("https://auth.example")
    ///     .audience("api")
    ///     .lifetime(Duration::from_secs(15 * 60))
    ///     .with_data::<String>()
    ///     .build()?;
    /// # let _: TokenAuthenticator<String> = auth;
    /// # Ok::<(), statewise::Error>(())
    /// ```
    pub fn with_data<T>(self) -> TokenBuilder<T> {
        TokenBuilder {
            ring: self.ring,
            only_verifies: self.only_verifies,
            issuer: self.issuer,
            audience: self.audience,
            lifetime: self.lifetime,
            max_lifetime: self.max_lifetime,
            remembered: self.remembered,
            preset: self.preset,
            max_length: self.max_length,
            propagation: self.propagation,
            interop: self.interop,
            profile: self.profile,
            revocations: self.revocations,
            caps_lifetime: self.caps_lifetime,
            clock: self.clock,
            entropy: self.entropy,
            data: DataReader::default(),
            reload: None,
            also_ends: self.also_ends,
        }
    }

    /// Sets how to read data that do not decode as the present type. `other` gets their JSON, or
    /// `null` if the token has no data. If it returns `None`, or is not set, the token is
    /// [unreadable](crate::Error::is_unreadable) for this version of the service, which is
    /// *unavailable*: the client keeps the token.
    ///
    /// Use it where serde's `default` and `alias` are not enough; see
    /// [`SessionBuilder::data_or_else`](crate::session::SessionBuilder::data_or_else) for an example.
    /// Set it after [`with_data`](Self::with_data), which discards it. In a hybrid, set it
    /// in one of the two builders: it counts for both.
    pub fn data_or_else(
        mut self,
        other: impl Fn(&[u8]) -> Option<D> + Send + Sync + 'static,
    ) -> Self {
        self.data = DataReader::or_else(other);
        self
    }

    /// Reads the user again whenever a client gets another access token: at each refresh and at each
    /// [`update`](crate::Authenticator::update), of tokens and of a hybrid. Changed roles and data
    /// count from the next access token on, and a deleted user is logged out. The edit of an update
    /// gets the login as it was read. Call this after [`with_data`](Self::with_data), which removes the
    /// hook. Default: refreshes and updates keep roles and data.
    ///
    /// It is called before anything is signed or rotated. If it fails, with any error, the call is
    /// *unavailable* and the client keeps its credential. If it returns `None`, the login is ended. A
    /// hybrid calls it again if the login was changed meanwhile.
    ///
    /// Plain tokens need a longer [maximum lifetime](Self::max_lifetime): otherwise no token is
    /// refreshed, and the build fails.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use statewise::Result;
    /// use statewise::token::{Fresh, TokenBuilder};
    ///
    /// # struct Users;
    /// # impl Users { async fn roles(&self, _: &str) -> Result<Option<Vec<String>>> { Ok(None) } }
    /// fn reloading(builder: TokenBuilder, users: Arc<Users>) -> TokenBuilder {
    ///     builder.reload(move |login| {
    ///         let (users, user) = (Arc::clone(&users), login.subject().to_owned());
    ///         async move { Ok(users.roles(&user).await?.map(|roles| Fresh::new(roles, ()))) }
    ///     })
    /// }
    /// # let _ = reloading;
    /// ```
    pub fn reload<F, R>(mut self, reload: F) -> Self
    where
        F: Fn(&Identity<D>) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Option<Fresh<D>>>> + Send + 'static,
    {
        self.reload = Some(Reload::new(reload));
        self
    }

    /// Sets how long a login lasts, from the authentication of the user on: no refresh extends it
    /// further. Default: a login ends with its first token, so that refreshing extends nothing.
    ///
    /// A token that [continues](crate::Identity::into_login) the login of another authenticator has the
    /// authentication time of that login. By default it lasts one lifetime from its issue on, and at
    /// most until the deadline of that login. With a maximum, no token is issued or accepted for a user
    /// who authenticated longer ago.
    ///
    /// A stolen token can be refreshed too, so that a stolen login lasts this long.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use statewise::testkit::{ManualClock, block_on};
    /// use statewise::token::{Key, TokenAuthenticator};
    /// use statewise::{Authenticator, Login};
    ///
    /// # block_on(async {
    /// # let clock = ManualClock::default();
    /// let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    /// let auth = TokenAuthenticator::builder(Key::generate_hs256()?)
    ///     .issuer("https://auth.example")
    ///     .audience("api")
    ///     .lifetime(minutes(15))
    ///     .max_lifetime(minutes(40))
    /// #     .clock(clock.clone())
    ///     .build()?;
    /// let mut token = auth.issue(Login::new("alice")).await?;
    /// let begun = token.expires_at();
    /// for _ in 0..3 {
    /// #     clock.advance(minutes(12));
    ///     // A refresh every 12 minutes. The third one gains four minutes, and none comes after it.
    ///     token = auth.refresh(token.credential().reveal()).await?;
    /// }
    /// assert_eq!(token.expires_at(), begun + minutes(25));
    /// # Ok::<(), statewise::Error>(()) }).unwrap();
    /// ```
    pub fn max_lifetime(mut self, max_lifetime: Duration) -> Self {
        self.max_lifetime = Some(max_lifetime);
        self
    }

    /// Sets the maximum lifetime of [remembered](crate::Login::remember) logins. Default: that of all
    /// other logins. Set it on all nodes before the first such login: a node without it ends
    /// remembered logins with the others. In a hybrid, set
    /// [that of the logins](crate::session::SessionBuilder::remembered) instead.
    ///
    /// ```
    /// use std::time::Duration;
    /// use statewise::token::{Key, TokenAuthenticator};
    ///
    /// let auth = TokenAuthenticator::builder(Key::generate_hs256()?)
    ///     .issuer("https://auth.example")
    ///     .audience("api")
    ///     .lifetime(Duration::from_secs(15 * 60))
    ///     .max_lifetime(Duration::from_secs(12 * 3600))
    ///     .remembered(Duration::from_secs(30 * 24 * 3600))
    ///     .build()?;
    /// # Ok::<(), statewise::Error>(())
    /// ```
    pub fn remembered(mut self, max_lifetime: Duration) -> Self {
        self.remembered = Some(max_lifetime);
        self
    }

    /// Enforces the requirements of a standard: [`build`](Self::build) fails if tokens or logins live
    /// longer, or without [`revocations`](Self::revocations). The default of
    /// [`max_lifetime`](Self::max_lifetime) becomes the maximum of the standard. In a hybrid, set it in
    /// either builder. Default: none. See [`Preset`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use statewise::Preset;
    /// use statewise::revocation::RevocationView;
    /// use statewise::token::{Key, TokenAuthenticator};
    ///
    /// # fn example(view: &RevocationView) -> statewise::Result<()> {
    /// let auth = TokenAuthenticator::builder(Key::generate_hs256()?)
    ///     .issuer("https://auth.example")
    ///     .audience("api")
    ///     .lifetime(Duration::from_secs(15 * 60))
    ///     .preset(Preset::Aal2)
    ///     .revocations(view)
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn preset(mut self, preset: Preset) -> Self {
        self.preset = Some(preset);
        self
    }

    /// Sets the maximum length of a token in characters, from 256 to 8192. Default: 4096. Longer
    /// tokens are not issued, and are rejected unread.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use statewise::testkit::block_on;
    /// use statewise::token::{Key, TokenAuthenticator};
    /// use statewise::{Authenticator, Login, Refusal};
    ///
    /// # block_on(async {
    /// let auth = TokenAuthenticator::builder(Key::generate_hs256()?)
    ///     .issuer("https://auth.example")
    ///     .audience("api")
    ///     .lifetime(Duration::from_secs(900))
    ///     // A proxy in front takes header fields of 1 KiB.
    ///     .max_length(1000)
    ///     .build()?;
    /// let roles = (0..100).map(|number| format!("project-{number}"));
    /// let error = auth.issue(Login::new("alice").roles(roles)).await.unwrap_err();
    /// assert_eq!(error.refusal(), Some(Refusal::TooLarge));
    /// # Ok::<(), statewise::Error>(()) }).unwrap();
    /// ```
    pub fn max_length(mut self, characters: usize) -> Self {
        self.max_length = characters;
        self
    }

    /// Sets the time in which a new key reaches all nodes, which load the [`Keyring`], and all services that
    /// fetch the public keys. Default: one minute.
    ///
    /// A new key without a [time](Keyring::then) of its own signs after that time, and a replaced key is
    /// kept that much longer. Public keys may be cached for half of that time, so that each service has
    /// fetched a key before it signs: with such keys, the time is one minute or longer. A `KeySetView` does
    /// not see that limit: set more than its `every`, which is five minutes by default. Otherwise the first
    /// tokens of a new key are *unavailable* there.
    pub fn propagation(mut self, propagation: Duration) -> Self {
        self.propagation = propagation;
        self
    }

    /// Also accepts tokens of another issuer. Call it once per issuer. Default: none.
    ///
    /// Each issuer has keys of its own; at most one signs with the keys of the ring.
    pub fn interop(mut self, interop: Interop) -> Self {
        self.interop.push(interop);
        self
    }

    /// Writes the roles also as the claim `scope`, with spaces between them (RFC 8693, section
    /// 4.2), for services that expect it. Default: only as `roles`.
    ///
    /// This service reads `roles`. A role with a space in it becomes two words of `scope`.
    pub fn scope(mut self) -> Self {
        self.profile.get_or_insert_default().has_scope = true;
        self
    }

    /// Writes the claim `client_id` (RFC 8693, section 4.3), for services that expect it. Default:
    /// none.
    pub fn client_id(mut self, client: impl Into<String>) -> Self {
        self.profile.get_or_insert_default().client_id = Some(client.into());
        self
    }

    /// Writes the header of access tokens, `typ: at+jwt`, and the claim `jti` (RFC 9068, section
    /// 2). Default: `typ: JWT`, and no `jti`.
    ///
    /// RFC 9068 also demands [`client_id`](Self::client_id). The header is a constant that is
    /// compared, as always: tokens under the other header are rejected. To change it in a running
    /// service, use [`Migrating`](crate::migrating::Migrating).
    ///
    /// ```
    /// use std::time::Duration;
    /// use statewise::token::{Key, TokenAuthenticator};
    ///
    /// let auth = TokenAuthenticator::builder(Key::generate_hs256()?)
    ///     .issuer("https://auth.example")
    ///     .audience("https://rs.example")
    ///     .lifetime(Duration::from_secs(15 * 60))
    ///     .access_tokens()
    ///     .client_id("web")
    ///     .scope()
    ///     .build()?;
    /// # Ok::<(), statewise::Error>(())
    /// ```
    pub fn access_tokens(mut self) -> Self {
        self.profile.get_or_insert_default().is_access_token = true;
        self
    }

    /// Makes tokens revocable: a token that this view knows as revoked is rejected, and
    /// [`revoke`](crate::Authenticator::revoke) appends to the log that every node follows.
    ///
    /// Tokens that this service issued before it had a view stay valid. They carry no position in
    /// the log, and end with all logins of their subject.
    ///
    /// A view that [only reads](RevocationView::is_read_only) is enough to verify tokens. Then
    /// [`revoke`](crate::Authenticator::revoke), [`revoke_all`](crate::Authenticator::revoke_all),
    /// [`update_all`](crate::Authenticator::update_all) and
    /// [`retire_key`](TokenAuthenticator::retire_key) are *misuse*.
    ///
    /// ```
    /// use std::time::Duration;
    /// use statewise::revocation::RevocationView;
    /// use statewise::token::{Key, TokenAuthenticator};
    ///
    /// # fn example(view: &RevocationView) -> statewise::Result<()> {
    /// let auth = TokenAuthenticator::builder(Key::generate_hs256()?)
    ///     .issuer("https://auth.example")
    ///     .audience("api")
    ///     .lifetime(Duration::from_secs(15 * 60))
    ///     .revocations(view)
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn revocations(mut self, view: &RevocationView) -> Self {
        self.revocations = Some(view.clone());
        self
    }

    /// Makes [`revoke_all`](crate::Authenticator::revoke_all) end something else of the subject too;
    /// see [`SessionBuilder::also_ends`](crate::session::SessionBuilder::also_ends). In a hybrid, set
    /// it in either builder.
    pub fn also_ends(mut self, other: Arc<impl RevokeAll>) -> Self {
        self.also_ends.0.push(other);
        self
    }

    /// Sets the source of time. Default: [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Sets the source of unguessable bytes. Default: [`SystemEntropy`].
    pub fn entropy(mut self, entropy: impl Entropy) -> Self {
        self.entropy = Some(Arc::new(entropy));
        self
    }

    /// Checks the configuration and builds the authenticator.
    ///
    /// # Errors
    ///
    /// *Misuse*, with the remedy: an empty issuer or audience; no key that signs, or for a verifier one
    /// that does; a lifetime below one second or above 400 days; a maximum lifetime shorter than the
    /// lifetime; remembered logins that end before others; a maximum length out of range; an incomplete
    /// [`Interop`], or two that could be confused; a retired key that is not in the ring; tokens that
    /// outlive the entries of the revocation view; published keys with a propagation below a minute; or a setting that is weaker than the
    /// [preset](Self::preset) requires.
    pub fn build(mut self) -> Result<TokenAuthenticator<D>>
    where
        D: 'static,
    {
        let issuers = std::mem::take(&mut self.interop);
        let issuers = Issuers::new(issuers, TypeId::of::<D>())?;
        self.build_with(issuers)
    }

    fn build_with(self, issuers: Issuers) -> Result<TokenAuthenticator<D>> {
        if self.issuer.is_empty() {
            return Err(Error::misuse(
                "the issuer is empty: name the service that issues the tokens",
            ));
        }
        if self.audience.is_empty() {
            return Err(Error::misuse(
                "the audience is empty: name the service that accepts the tokens",
            ));
        }
        let lifetime = whole_seconds("lifetime of a token", self.lifetime)?;
        let of_preset = self.preset.map(Preset::absolute);
        let max_lifetime = self.max_lifetime.or(of_preset);
        let is_default = max_lifetime.is_none();
        let max_lifetime = match max_lifetime {
            Some(max) => whole_seconds("maximum lifetime", max)?,
            None => lifetime,
        };
        self.check_preset(Duration::from_secs(max_lifetime))?;
        if max_lifetime < lifetime {
            return Err(Error::misuse(
                "the maximum lifetime is shorter than the lifetime of a token: lengthen it, or \
                 shorten the lifetime",
            ));
        }
        let propagation_secs = whole_seconds("propagation of a new key", self.propagation)?;
        let remembered = match self.remembered {
            Some(remembered) => whole_seconds("maximum lifetime of remembered logins", remembered)?,
            // Their rows know how long they last.
            None if self.caps_lifetime => u64::MAX,
            None => max_lifetime,
        };
        if remembered < max_lifetime {
            return Err(Error::misuse(
                "a remembered login would end before another one: lengthen its maximum lifetime",
            ));
        }
        let last = max_lifetime.max(remembered);
        if self.reload.is_some() && !self.caps_lifetime && (last == lifetime || self.only_verifies)
        {
            return Err(Error::misuse(
                "the user is never read again, because no token is refreshed: set a maximum \
                 lifetime that is longer than the lifetime of a token, or leave `reload` out",
            ));
        }
        if lifetime > MAX_LIFETIME_SECS {
            return Err(Error::misuse(
                "the lifetime of a token is longer than 400 days: shorten it",
            ));
        }
        if !(MIN_CHARS..=MAX_TOKEN_CHARS).contains(&self.max_length) {
            return Err(Error::misuse(
                "the maximum length of a token is out of range: choose 256 to 8192 characters",
            ));
        }
        let prefix = canonical::prefix(&self.issuer, &self.audience);
        if prefix.len() * 2 + MIN_CHARS > self.max_length {
            return Err(Error::misuse(
                "issuer and audience leave no room for a user in a token: shorten them",
            ));
        }
        let ring = self.ring?;
        if ring.is_empty() {
            return Err(Error::misuse(
                "the ring has no key: pass the public keys of the issuer",
            ));
        }
        if ring.only_verifies() != self.only_verifies {
            return Err(Error::misuse(match self.only_verifies {
                true => {
                    "a verifier has a key that signs: pass public keys, or use \
                     `TokenAuthenticator::builder`"
                }
                false => {
                    "no key of the ring signs: pass a key that does, or use \
                     `TokenAuthenticator::verifier` where tokens are only verified"
                }
            }));
        }
        let policy = Policy {
            prefix,
            issuer: self.issuer,
            audience: self.audience,
            lifetime_secs: lifetime,
            caps_lifetime: self.caps_lifetime,
            max_lifetime_secs: [max_lifetime, remembered],
            counts_from_issue: [is_default, is_default && self.remembered.is_none()],
            max_chars: self.max_length,
            profile: self.profile,
            propagation_secs,
            issuers,
        };
        if let Some(view) = &self.revocations
            && view.max_lifetime().as_secs() < policy.longest_secs()
        {
            return Err(Error::misuse(
                "tokens would outlive the entries of the revocation view: set the `max_lifetime` of \
                 the view to that of the tokens",
            ));
        }
        let mut auth = TokenAuthenticator::new(
            policy.complete(ring)?,
            policy,
            self.revocations,
            self.clock.unwrap_or_else(|| Arc::new(SystemClock)),
            self.entropy.unwrap_or_else(|| Arc::new(SystemEntropy)),
            self.data,
            self.reload,
        );
        auth.also_ends = self.also_ends;
        Ok(auth)
    }

    /// Refuses settings that are weaker than the preset requires.
    fn check_preset(&self, max_lifetime: Duration) -> Result<()> {
        let Some(preset) = self.preset else {
            return Ok(());
        };
        let max_lifetime = max_lifetime.max(self.remembered.unwrap_or_default());
        preset.check(
            (
                "lifetime of a token, after which an unused login ends",
                self.lifetime,
            ),
            ("maximum lifetime of a login", max_lifetime),
        )?;
        if self.revocations.is_none() && !self.only_verifies {
            return Err(preset.weaker(
                "a logout would not end tokens: call `revocations` (NIST SP 800-63B-4, section 5.1 \
                 (SHALL); OWASP ASVS 7.4.1)",
            ));
        }
        Ok(())
    }

    /// Builds the access tokens of logins that last for `absolute`, or for `remembered` if they are
    /// remembered, and are kept in a store.
    pub(crate) fn build_access(
        mut self,
        absolute: Duration,
        remembered: Option<Duration>,
    ) -> Result<TokenAuthenticator<D>> {
        if !self.interop.is_empty() {
            return Err(Error::misuse(
                "tokens of other issuers have no login to refresh: accept them in a separate \
                 `TokenAuthenticator`",
            ));
        }
        if self.only_verifies {
            return Err(Error::misuse(
                "a hybrid issues access tokens: pass it keys that sign, with \
                 `TokenAuthenticator::builder`",
            ));
        }
        if self
            .revocations
            .as_ref()
            .is_some_and(RevocationView::is_read_only)
        {
            return Err(Error::misuse(
                "a hybrid ends logins in the revocation log, and its view only reads it: pass a \
                 view of a log that is built with `build`, or use `TokenAuthenticator` where access \
                 tokens are only verified",
            ));
        }
        if self.max_lifetime.is_some_and(|max| max < absolute) {
            return Err(Error::misuse(
                "the maximum lifetime of a login's tokens is shorter than the absolute timeout of \
                 the login: leave it out",
            ));
        }
        if self.remembered.is_some() {
            return Err(Error::misuse(
                "the logins decide how long they are remembered: call `remembered` on the builder \
                 of the sessions only",
            ));
        }
        let max_lifetime = self.max_lifetime.unwrap_or(absolute.max(self.lifetime));
        self.max_lifetime = Some(max_lifetime);
        self.remembered = remembered.map(|remembered| remembered.max(max_lifetime));
        self.caps_lifetime = true;
        self.build_with(Issuers::default())
    }

    /// Returns a hash of issuer and audience.
    pub(crate) fn addressees(&self) -> [u8; 16] {
        let prefix = canonical::prefix(&self.issuer, &self.audience);
        sha256::half(prefix.as_bytes())
    }

    /// Returns the lifetime of one token.
    pub(crate) fn token_lifetime(&self) -> Duration {
        self.lifetime
    }
}

impl<D> fmt::Debug for TokenBuilder<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenBuilder")
            .field("ring", &self.ring)
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}
