//! The configuration of tokens, impossible to leave half done.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use crate::base::sha256;
use crate::clock::{Clock, SystemClock, whole_seconds};
use crate::entropy::{Entropy, SystemEntropy};
use crate::error::{Error, Result};
use crate::revocation::RevocationView;
use crate::token::authenticator::{TokenAuthenticator, longest, signed_for};
use crate::token::canonical;
use crate::token::interop::Interop;
use crate::token::jws::LONGEST;
use crate::token::keyring::Keyring;
use crate::token::policy::Policy;

/// Characters of a token, unless configured: what fits into a cookie.
const MAX_LENGTH: usize = 4096;
/// Fewest characters that leave room for claims.
const MIN_LENGTH: usize = 256;
/// Beyond which a lifetime is a mistake: the longest that browsers keep a cookie.
const ABSURD: u64 = 400 * 24 * 3600;

/// The issuer must be said next.
pub struct NeedsIssuer<D> {
    ring: Keyring,
    data: PhantomData<fn() -> D>,
}

/// The audience must be said next.
pub struct NeedsAudience<D> {
    ring: Keyring,
    issuer: String,
    data: PhantomData<fn() -> D>,
}

/// The lifetime must be said next.
pub struct NeedsLifetime<D> {
    ring: Keyring,
    issuer: String,
    audience: String,
    data: PhantomData<fn() -> D>,
}

/// A complete configuration: [`build`](Self::build) it, or go on.
#[must_use = "a builder does nothing until it is built"]
pub struct TokenBuilder<D> {
    ring: Keyring,
    issuer: String,
    audience: String,
    lifetime: Duration,
    max_lifetime: Option<Duration>,
    max_length: usize,
    interop: Option<Interop>,
    revocations: Option<RevocationView>,
    at_most: bool,
    pub(crate) clock: Option<Arc<dyn Clock>>,
    pub(crate) entropy: Option<Arc<dyn Entropy>>,
    data: PhantomData<fn() -> D>,
}

impl<D> TokenAuthenticator<D> {
    /// Tokens signed and verified with these keys. Issuer, audience and lifetime must be said next.
    #[must_use]
    pub fn builder(keyring: impl Into<Keyring>) -> NeedsIssuer<D> {
        NeedsIssuer {
            ring: keyring.into(),
            data: PhantomData,
        }
    }
}

impl<D> NeedsIssuer<D> {
    /// Who issues the tokens, and whose tokens are accepted (RFC 7519, section 4.1.1): a name that
    /// is this service's alone, such as its URL.
    pub fn issuer(self, issuer: impl Into<String>) -> NeedsAudience<D> {
        NeedsAudience {
            ring: self.ring,
            issuer: issuer.into(),
            data: PhantomData,
        }
    }
}

impl<D> NeedsAudience<D> {
    /// Whom the tokens are for, and which are accepted (RFC 7519, section 4.1.3).
    pub fn audience(self, audience: impl Into<String>) -> NeedsLifetime<D> {
        NeedsLifetime {
            ring: self.ring,
            issuer: self.issuer,
            audience: audience.into(),
            data: PhantomData,
        }
    }
}

impl<D> NeedsLifetime<D> {
    /// How long a token lives, in whole seconds. Minutes are good; RFC 6750, section 5.3,
    /// recommends an hour at most, as nothing ends a token before.
    pub fn lifetime(self, lifetime: Duration) -> TokenBuilder<D> {
        TokenBuilder {
            ring: self.ring,
            issuer: self.issuer,
            audience: self.audience,
            lifetime,
            max_lifetime: None,
            max_length: MAX_LENGTH,
            interop: None,
            revocations: None,
            at_most: false,
            clock: None,
            entropy: None,
            data: PhantomData,
        }
    }
}

impl<D> TokenBuilder<D> {
    /// For how long refreshing may carry a login on, since the user proved who they are.
    /// Default: the lifetime of one token, so that refreshing gains nothing.
    ///
    /// Whoever steals a token may refresh it too: this is how long a stolen login lasts.
    pub fn max_lifetime(mut self, max_lifetime: Duration) -> Self {
        self.max_lifetime = Some(max_lifetime);
        self
    }

    /// Characters of a token, at most: longer ones are neither issued nor looked at.
    /// Default 4096, from 256 to 8192.
    pub fn max_length(mut self, characters: usize) -> Self {
        self.max_length = characters;
        self
    }

    /// Also accepts tokens that others signed with the same secret. Default: none.
    pub fn interop(mut self, interop: Interop) -> Self {
        self.interop = Some(interop);
        self
    }

    /// Makes tokens revocable: what this view knows to be revoked is refused, and
    /// [`revoke`](crate::Authenticator::revoke) tells every node that follows its log.
    ///
    /// Tokens of this service that were issued before go on without a place in the log: what ends
    /// all logins of their subject ends them too.
    pub fn revocations(mut self, view: &RevocationView) -> Self {
        self.revocations = Some(view.clone());
        self
    }

    /// Tells the time. Default: [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Gives unguessable bytes. Default: [`SystemEntropy`].
    pub fn entropy(mut self, entropy: impl Entropy) -> Self {
        self.entropy = Some(Arc::new(entropy));
        self
    }

    /// Finishes the configuration.
    ///
    /// # Errors
    ///
    /// *Misuse*, saying what to do: an empty issuer or audience, a lifetime below one second or
    /// beyond 400 days, a maximum lifetime shorter than the lifetime, a maximum length out of
    /// range, others' tokens half described, or tokens that outlive what the revocation view keeps.
    pub fn build(self) -> Result<TokenAuthenticator<D>> {
        if self.issuer.is_empty() {
            return Err(Error::misuse(
                "the issuer is empty: name the service that issues the tokens",
            ));
        }
        if self.audience.is_empty() {
            return Err(Error::misuse(
                "the audience is empty: name the service that the tokens are for",
            ));
        }
        let lifetime = whole_seconds("lifetime of a token", self.lifetime)?;
        let max_lifetime = match self.max_lifetime {
            Some(max) => whole_seconds("maximum lifetime", max)?,
            None => lifetime,
        };
        if max_lifetime < lifetime {
            return Err(Error::misuse(
                "the maximum lifetime is shorter than the lifetime of a token: lengthen it, or \
                 shorten the other",
            ));
        }
        if lifetime > ABSURD {
            return Err(Error::misuse(
                "a token would live longer than 400 days: shorten its lifetime",
            ));
        }
        if !(MIN_LENGTH..=LONGEST).contains(&self.max_length) {
            return Err(Error::misuse(
                "the maximum length of a token is out of range: choose 256 to 8192 characters",
            ));
        }
        let foreign = self.interop.map(Interop::check).transpose()?;
        let prefix = canonical::prefix(&self.issuer, &self.audience);
        if prefix.len() * 2 + MIN_LENGTH > self.max_length {
            return Err(Error::misuse(
                "issuer and audience leave no room for a user in a token: shorten them",
            ));
        }
        let policy = Policy {
            prefix,
            issuer: self.issuer,
            audience: self.audience,
            lifetime,
            at_most: self.at_most,
            max_lifetime,
            max_length: self.max_length,
        };
        let longest = longest(&policy, foreign.as_ref());
        if let Some(view) = &self.revocations
            && view.longest().as_secs() < longest
        {
            return Err(Error::misuse(
                "tokens would outlive what the revocation view keeps of them: give it the maximum \
                 lifetime as its longest",
            ));
        }
        Ok(TokenAuthenticator::new(
            self.ring.complete(signed_for(&policy, foreign.as_ref()))?,
            policy,
            foreign,
            self.revocations,
            self.clock.unwrap_or_else(|| Arc::new(SystemClock)),
            self.entropy.unwrap_or_else(|| Arc::new(SystemEntropy)),
        ))
    }

    /// Access tokens of logins that last for `absolute` and are kept elsewhere.
    pub(crate) fn build_access(mut self, absolute: Duration) -> Result<TokenAuthenticator<D>> {
        if self.interop.is_some() {
            return Err(Error::misuse(
                "tokens of others have no login to refresh: take them in a service of their own",
            ));
        }
        if self.max_lifetime.is_some_and(|max| max < absolute) {
            return Err(Error::misuse(
                "the maximum lifetime of a login's tokens is shorter than the absolute lifetime \
                 of the login: leave it out",
            ));
        }
        self.max_lifetime = self.max_lifetime.or(Some(absolute.max(self.lifetime)));
        self.at_most = true;
        self.build()
    }

    /// A hash of whose tokens they are, and of whom they are for.
    pub(crate) fn addressees(&self) -> [u8; 16] {
        let prefix = canonical::prefix(&self.issuer, &self.audience);
        let mut hash = [0; 16];
        hash.copy_from_slice(&sha256::hash(prefix.as_bytes())[..16]);
        hash
    }

    /// How long one token lives.
    pub(crate) fn each(&self) -> Duration {
        self.lifetime
    }
}

impl<D> fmt::Debug for NeedsIssuer<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NeedsIssuer").finish_non_exhaustive()
    }
}

impl<D> fmt::Debug for NeedsAudience<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NeedsAudience").finish_non_exhaustive()
    }
}

impl<D> fmt::Debug for NeedsLifetime<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NeedsLifetime").finish_non_exhaustive()
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
