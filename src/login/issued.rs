//! Results of issuing, refreshing and revoking.

use std::fmt;
use std::time::Duration;

use time::OffsetDateTime;

use crate::base::public_id::PublicId;
use crate::base::secret::REDACTED;
use crate::error::{EndCause, EndedLogin, Error, Result};
use crate::login::identity::Identity;
use crate::login::logout::Logout;

/// A bearer secret: its holder is the user.
///
/// It has no `Display`, no `Serialize` and a redacted `Debug`. [`reveal`](Self::reveal) is the only
/// way to read it.
///
/// ```
/// use statewise::Credential;
///
/// let credential = Credential::new("correct horse".to_owned());
/// assert_eq!(format!("{credential:?}"), "Credential([redacted])");
/// assert_eq!(credential.reveal(), "correct horse");
/// ```
#[derive(Clone)]
pub struct Credential(String);

impl Credential {
    /// Wraps a secret, for implementers of [`Authenticator`](crate::Authenticator).
    #[must_use]
    pub fn new(secret: String) -> Self {
        Self(secret)
    }

    /// Returns the secret. Use it only in the response to the client that has just authenticated.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Credential")
            .field(&format_args!("{REDACTED}"))
            .finish()
    }
}

/// The result of `issue`, `refresh` and `update`.
#[must_use = "the client needs the credential"]
#[derive(Clone)]
pub struct Issued<D = ()> {
    credential: Credential,
    refresh_credential: Option<Credential>,
    identity: Identity<D>,
    outcome: Outcome,
    /// `None` if no login has ended.
    ended: Option<Box<Ended>>,
}

/// Logins that ended in favor of another one.
#[derive(Clone, Debug, Default)]
struct Ended {
    evicted: Vec<PublicId>,
    replaced: Option<Logout>,
    upgraded: Option<Logout>,
}

/// The way in which `issue`, `refresh` or `update` got its result.
///
/// ```
/// # use std::time::Duration;
/// # use statewise::session::SessionAuthenticator;
/// # use statewise::store::MemoryStore;
/// # use statewise::testkit::block_on;
/// use statewise::{Authenticator, Login, Outcome};
///
/// # block_on(async {
/// let auth = SessionAuthenticator::builder(MemoryStore::with_capacity(100)?)
///     .idle(Duration::from_secs(1800))
///     .absolute(Duration::from_secs(12 * 3600))
///     .build()?;
/// let login = auth.issue(Login::new("alice")).await?;
/// assert_eq!(login.outcome(), Outcome::New);
///
/// // Two tabs refresh the same credential, and get the same new one.
/// let first = auth.refresh(login.credential().reveal()).await?;
/// let second = auth.refresh(login.credential().reveal()).await?;
/// assert_eq!(first.outcome(), Outcome::Rotated);
/// assert_eq!(second.outcome(), Outcome::Replayed);
/// assert_eq!(first.credential().reveal(), second.credential().reveal());
/// # Ok::<(), statewise::Error>(()) }).unwrap();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// A new login.
    New,
    /// A new credential of the same login. It replaces the presented one.
    Rotated,
    /// The credential that the client should have, returned again: the successor that already exists,
    /// or the presented credential of a login that was updated.
    Replayed,
    /// A replaced credential was refreshed after the grace, although its successor was never used. The answer
    /// was probably lost. Or there is a copy of the credential: investigate if this happens often. A session
    /// gets the same successor. A refresh credential gets another one, and the first one, presented again,
    /// [ends the login](crate::hybrid#a-stolen-refresh-credential).
    Orphaned,
}

impl<D> Issued<D> {
    /// Creates a result, for implementers of [`Authenticator`](crate::Authenticator).
    pub fn new(credential: Credential, identity: Identity<D>, outcome: Outcome) -> Self {
        Self {
            credential,
            refresh_credential: None,
            identity,
            outcome,
            ended: None,
        }
    }

    /// Adds a credential that is only for refreshing.
    pub fn with_refresh_credential(mut self, credential: Credential) -> Self {
        self.refresh_credential = Some(credential);
        self
    }

    /// Names the logins that a limit ended in favor of this one.
    pub fn with_evicted(mut self, evicted: impl IntoIterator<Item = PublicId>) -> Self {
        let mut evicted = evicted.into_iter().peekable();
        if evicted.peek().is_some() {
            self.ended.get_or_insert_default().evicted.extend(evicted);
        }
        self
    }

    /// Adds the end of the logins that this one [replaces](crate::Login::replaces).
    pub fn with_replaced(mut self, replaced: impl Into<Option<Logout>>) -> Self {
        let replaced = replaced.into();
        if let Some(replaced) = replaced.filter(|logout| logout.login().is_some()) {
            let ended = self.ended.get_or_insert_default();
            ended.replaced = Some(match ended.replaced.take() {
                Some(others) => others.and(replaced),
                None => replaced,
            });
        }
        self
    }

    /// Adds the end of the login of the old strategy that was upgraded to this one.
    pub(crate) fn with_upgraded(mut self, old: Logout) -> Self {
        self.ended.get_or_insert_default().upgraded = Some(old);
        self
    }

    /// Replaces the credential by another form of it.
    pub(crate) fn with_credential(mut self, credential: Credential) -> Self {
        self.credential = credential;
        self
    }

    pub(crate) fn with_outcome(mut self, outcome: Outcome) -> Self {
        self.outcome = outcome;
        self
    }

    /// The credential that the client presents with each request.
    #[must_use]
    pub fn credential(&self) -> &Credential {
        &self.credential
    }

    /// The credential that the client presents only to `refresh`, if the strategy has one.
    #[must_use]
    pub fn refresh_credential(&self) -> Option<&Credential> {
        self.refresh_credential.as_ref()
    }

    /// The credential to pass to `refresh`, for every strategy.
    #[must_use]
    pub fn refreshable(&self) -> &Credential {
        self.refresh_credential.as_ref().unwrap_or(&self.credential)
    }

    /// The identity of the login.
    #[must_use]
    pub fn identity(&self) -> &Identity<D> {
        &self.identity
    }

    /// Returns the identity of the login by value.
    #[must_use]
    pub fn into_identity(self) -> Identity<D> {
        self.identity
    }

    /// The first moment at which the credential expires if it is not used before.
    #[must_use]
    pub fn expires_at(&self) -> OffsetDateTime {
        self.identity.expires_at()
    }

    /// The way in which this result came about.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Other logins of the user, which the [limit](crate::session::Limit) ended in favor of this new
    /// one. They are listed no longer: show their number, or log their ids.
    #[must_use]
    pub fn evicted(&self) -> &[PublicId] {
        self.ended.as_ref().map_or(&[], |ended| &ended.evicted)
    }

    /// The end of the logins that this new one [replaces](crate::Login::replaces). `None` if there are none.
    #[must_use]
    pub fn replaced(&self) -> Option<&Logout> {
        self.ended.as_ref()?.replaced.as_ref()
    }

    /// Returns true if logins have ended in favor of this one.
    pub(crate) fn has_ended_logins(&self) -> bool {
        self.ended.is_some()
    }

    /// The end of the login that was upgraded to this one.
    pub(crate) fn upgraded(&self) -> Option<&Logout> {
        self.ended.as_ref()?.upgraded.as_ref()
    }

    /// Returns the logins that ended in favor of this one, for the error of a call that does not return
    /// it.
    pub(crate) fn all_ended(&self) -> Vec<EndedLogin> {
        let subject = self.identity.subject();
        let evicted = self.evicted().iter();
        let evicted = evicted.map(|id| EndedLogin::new(subject, *id, EndCause::Evicted));
        ended_by(self.replaced()).chain(evicted).collect()
    }
}

/// Returns the answer of a call that does instead what another one failed to do, and has `failed` hand
/// over the logins that it ended.
pub(crate) fn instead<D>(failed: &Error, answer: Result<Issued<D>>) -> Result<Issued<D>> {
    let ended = failed.ended().iter();
    match answer {
        Ok(issued) => Ok(issued.with_evicted(ended.map(|ended| ended.login))),
        Err(error) => Err(error.with_ended(ended.cloned())),
    }
}

impl<D> fmt::Debug for Issued<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued")
            .field("credential", &self.credential)
            .field("refresh_credential", &self.refresh_credential)
            .field("identity", &self.identity)
            .field("outcome", &self.outcome)
            .field("ended", &self.ended)
            .finish()
    }
}

/// Returns the end of a replaced login. Ignores a rejected revocation (the old credential was already
/// invalid), and one of a row that does not decode: it would keep its user from logging in for as long as
/// it exists. Returns outages.
///
/// # Errors
///
/// Every error except these two.
pub(crate) fn replaced(revoked: Result<Logout>) -> Result<Option<Logout>> {
    match revoked {
        Err(error) if error.is_rejected() || error.is_unreadable() => Ok(None),
        revoked => revoked.map(Some),
    }
}

/// Returns the replaced logins, for the error of the login that was to replace them.
pub(crate) fn ended_by<'a>(
    replaced: impl IntoIterator<Item = &'a Logout>,
) -> impl Iterator<Item = EndedLogin> {
    let ended = |logout: &'a Logout| logout.ended(EndCause::Replaced);
    replaced.into_iter().flat_map(ended)
}

/// The time at which a logout takes effect. Each strategy answers honestly, and the caller should
/// read the answer.
///
/// ```
/// use std::time::Duration;
/// use statewise::Revocation;
///
/// /// Text for the user after a logout.
/// fn notice(effect: Revocation) -> String {
///     match effect {
///         Revocation::Immediate => "You are logged out.".to_owned(),
///         Revocation::Within(time) => format!("You are logged out within {} s.", time.as_secs()),
///         // Tokens without a revocation log.
///         Revocation::AtExpiry(time) => format!("Copies of your token work until {time}."),
///         _ => "You are being logged out.".to_owned(),
///     }
/// }
///
/// assert_eq!(notice(Revocation::Within(Duration::from_secs(5))), "You are logged out within 5 s.");
/// ```
#[must_use = "a logout may not have taken effect yet"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Revocation {
    /// The logout has taken effect everywhere.
    Immediate,
    /// The logout takes effect everywhere within this time.
    Within(Duration),
    /// The credential cannot be revoked. It, or a credential refreshed from it, is accepted until
    /// this moment at the latest.
    AtExpiry(OffsetDateTime),
}

impl Revocation {
    /// Returns the later of two effects. `AtExpiry` is later than any `Within`.
    pub(crate) fn or_later(self, other: Self) -> Self {
        match (self, other) {
            (Self::AtExpiry(one), Self::AtExpiry(other)) => Self::AtExpiry(one.max(other)),
            (Self::Within(one), Self::Within(other)) => Self::Within(one.max(other)),
            (Self::AtExpiry(_), _) | (Self::Within(_), Self::Immediate) => self,
            _ => other,
        }
    }
}
