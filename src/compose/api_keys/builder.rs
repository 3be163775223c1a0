//! The builder of [`ApiKeys`]: prefix and longest life are steps of their own.

use std::time::Duration;

use crate::base::sha256;
use crate::clock::Clock;
use crate::compose::api_keys::authenticator::ApiKeys;
use crate::compose::api_keys::text::KeyText;
use crate::entropy::Entropy;
use crate::error::{Error, Result};
use crate::login::purpose::API_KEYS;
use crate::session::authenticator::SessionAuthenticator;
use crate::session::builder::SessionBuilder;
use crate::session::credential::CredentialKind;
use crate::session::namespace::Namespace;
use crate::store::ask::Limit;
use crate::store::session_store::SessionStore;

/// Default of [`ApiKeysBuilder::limit`].
const DEFAULT_LIMIT: Limit = Limit::Reject(50);

/// First step of the builder: call [`prefix`](Self::prefix).
#[derive(Debug)]
pub struct NeedsPrefix<S> {
    store: S,
}

/// Second step of the builder: call [`longest`](Self::longest).
#[derive(Debug)]
pub struct NeedsLongest<S> {
    store: S,
    prefix: String,
}

/// A complete configuration of API keys: change its defaults or [`build`](Self::build) it.
///
/// # Defaults
///
/// | setting | default | unit | source |
/// |---|---|---|---|
/// | `prefix` | none: required | text | GitHub's token formats |
/// | `longest` or `without_end` | none: required | whole seconds | OWASP: a key expires |
/// | [`unused`](Self::unused) | until the key expires | whole seconds | GitHub ends unused tokens after a year |
/// | [`limit`](Self::limit) | 50, a further one is refused | keys per subject | GitHub's limit of fine-grained tokens |
/// | [`with_data`](Self::with_data) | `()` | type | no data of the application |
/// | [`data_or_else`](Self::data_or_else) | none | | other data are unreadable, and stay |
/// | [`clock`](Self::clock) | [`SystemClock`](crate::clock::SystemClock) | | |
/// | [`entropy`](Self::entropy) | [`SystemEntropy`](crate::entropy::SystemEntropy) | | |
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use statewise::api_keys::ApiKeys;
/// use statewise::session::Limit;
/// use statewise::store::MemoryStore;
///
/// const DAY: Duration = Duration::from_secs(24 * 3600);
///
/// let keys = ApiKeys::builder(MemoryStore::with_capacity(100_000)?)
///     .prefix("acme_pat")
///     .longest(365 * DAY)
///     .unused(90 * DAY)
///     .limit(Limit::Reject(10))
///     .build()?;
/// # let _ = keys;
/// # Ok::<(), statewise::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "a builder does nothing until you call `build`"]
pub struct ApiKeysBuilder<S, D = ()> {
    rows: SessionBuilder<S, D>,
    prefix: String,
}

impl<S: SessionStore> ApiKeys<S> {
    /// Starts a configuration with the store that keeps the keys. It may be that of the sessions. Set
    /// the prefix next.
    #[must_use]
    pub fn builder(store: S) -> NeedsPrefix<S> {
        NeedsPrefix { store }
    }
}

impl<S: SessionStore> NeedsPrefix<S> {
    /// Sets the prefix of the keys, such as `acme_pat`: your service, and the kind of the key. Up to
    /// 32 lower-case letters, digits and underscores.
    ///
    /// The prefix is a part of the hash in the store. If you change it, the keys from before are not
    /// accepted.
    pub fn prefix(self, prefix: impl Into<String>) -> NeedsLongest<S> {
        NeedsLongest {
            store: self.store,
            prefix: prefix.into(),
        }
    }
}

impl<S: SessionStore> NeedsLongest<S> {
    /// Sets how long a key lives at most, in whole seconds. A [deadline](crate::Login::deadline)
    /// makes it shorter. Behind a [`CachedStore`](crate::store::CachedStore), at most the maximum
    /// lifetime of its revocation view.
    pub fn longest(self, longest: Duration) -> ApiKeysBuilder<S> {
        let rows = SessionAuthenticator::builder(self.store)
            .idle(longest)
            .absolute(longest)
            // A key is never rotated.
            .overlap(Duration::ZERO)
            .grace(Duration::ZERO)
            .limit(DEFAULT_LIMIT);
        ApiKeysBuilder {
            rows,
            prefix: self.prefix,
        }
    }

    /// Accepts keys that never expire. A leaked or forgotten key is then valid until someone
    /// revokes it: set [`unused`](ApiKeysBuilder::unused) at least, or a
    /// [deadline](crate::Login::deadline) for each key.
    ///
    /// ```
    /// use std::time::Duration;
    /// use statewise::api_keys::ApiKeys;
    /// use statewise::store::MemoryStore;
    ///
    /// let keys = ApiKeys::builder(MemoryStore::with_capacity(100_000)?)
    ///     .prefix("acme_pat")
    ///     .without_end()
    ///     .unused(Duration::from_secs(365 * 24 * 3600))
    ///     .build()?;
    /// # let _ = keys;
    /// # Ok::<(), statewise::Error>(())
    /// ```
    pub fn without_end(self) -> ApiKeysBuilder<S> {
        self.longest(Duration::MAX)
    }
}

impl<S: SessionStore, D> ApiKeysBuilder<S, D> {
    /// Ends a key that was not used for this long, in whole seconds. Default: an unused key lives
    /// until it expires. Uses are recorded at most once an hour.
    pub fn unused(mut self, unused: Duration) -> Self {
        self.rows.settings.idle = unused;
        self
    }

    /// Sets how many keys a subject may have at once. Default: 50, and a further one is refused as
    /// [`SessionLimit`](crate::Refusal::SessionLimit).
    pub fn limit(mut self, limit: Limit) -> Self {
        self.rows = self.rows.limit(limit);
        self
    }

    /// Chooses the type of the application's data in a key. Default: `()`. With
    /// [`Either`](crate::either::Either), it must be that of the sessions.
    pub fn with_data<T>(self) -> ApiKeysBuilder<S, T> {
        ApiKeysBuilder {
            rows: self.rows.with_data(),
            prefix: self.prefix,
        }
    }

    /// Sets how to read data that do not decode as the present type; see
    /// [`SessionBuilder::data_or_else`]. Set it after [`with_data`](Self::with_data).
    pub fn data_or_else(
        mut self,
        other: impl Fn(&[u8]) -> Option<D> + Send + Sync + 'static,
    ) -> Self {
        self.rows = self.rows.data_or_else(other);
        self
    }

    /// Sets the source of time.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.rows = self.rows.clock(clock);
        self
    }

    /// Sets the source of unguessable bytes.
    pub fn entropy(mut self, entropy: impl Entropy) -> Self {
        self.rows = self.rows.entropy(entropy);
        self
    }

    /// Checks the configuration and builds the authenticator.
    ///
    /// # Errors
    ///
    /// *Misuse*, with the remedy: a prefix of another form; a duration below one second; keys that
    /// expire before they can be unused for that long; keys that live longer than the
    /// [store allows](SessionStore::max_lifetime); a limit of zero keys.
    pub fn build(self) -> Result<ApiKeys<S, D>> {
        let text = KeyText::new(&self.prefix)?;
        let SessionBuilder { settings, data } = self.rows;
        if settings.idle > settings.absolute {
            return Err(Error::misuse(
                "an API key expires before it can be unused for that long: shorten `unused`",
            ));
        }
        let [a, b, c, d, e, f, g, ..] = sha256::hash(self.prefix.as_bytes());
        let prefix = [a, b, c, d, e, f, g];
        let kind = CredentialKind::ApiKey { prefix };
        let logins = settings.logins(kind, Namespace::new(API_KEYS, &self.prefix))?;
        Ok(ApiKeys::new(SessionAuthenticator::new(logins, data), text))
    }
}
