//! What an authenticator hands out, and what it says about taking it back.

use std::fmt;
use std::time::Duration;

use time::OffsetDateTime;

use crate::base::secret::REDACTED;
use crate::error::Result;
use crate::login::identity::Identity;

/// A bearer secret: whoever presents it is the user.
///
/// No `Display`, no `Serialize`, a redacted `Debug`; [`reveal`](Self::reveal) is the one way out.
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

    /// The secret itself: for the response to the client who proved who they are, and nothing
    /// else.
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

/// What `issue` and `refresh` hand out.
#[must_use = "the client needs the credential"]
#[derive(Clone)]
pub struct Issued<D = ()> {
    credential: Credential,
    refresh_credential: Option<Credential>,
    identity: Identity<D>,
    outcome: Outcome,
}

/// How `issue` or `refresh` came to its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// A new login.
    New,
    /// A new credential of the same login; the presented one ends.
    Rotated,
    /// The answer that was given before, given again: nothing has been written.
    Replayed,
    /// The same, but long after it was given, and it was never used: most likely it was lost on
    /// its way. It may also have been copied: worth a look where it happens often.
    Orphaned,
}

impl<D> Issued<D> {
    /// An answer, for implementers of [`Authenticator`](crate::Authenticator).
    pub fn new(credential: Credential, identity: Identity<D>, outcome: Outcome) -> Self {
        Self {
            credential,
            refresh_credential: None,
            identity,
            outcome,
        }
    }

    /// Adds a credential that can only be refreshed with.
    pub fn with_refresh_credential(mut self, credential: Credential) -> Self {
        self.refresh_credential = Some(credential);
        self
    }

    pub(crate) fn with_outcome(mut self, outcome: Outcome) -> Self {
        self.outcome = outcome;
        self
    }

    /// What the client presents with each request.
    #[must_use]
    pub fn credential(&self) -> &Credential {
        &self.credential
    }

    /// What the client presents to `refresh` only, where the strategy has such a thing.
    #[must_use]
    pub fn refresh_credential(&self) -> Option<&Credential> {
        self.refresh_credential.as_ref()
    }

    /// What to pass to `refresh`, whichever strategy issued it.
    #[must_use]
    pub fn refreshable(&self) -> &Credential {
        self.refresh_credential.as_ref().unwrap_or(&self.credential)
    }

    /// Who has been logged in.
    #[must_use]
    pub fn identity(&self) -> &Identity<D> {
        &self.identity
    }

    /// Who has been logged in, by value.
    #[must_use]
    pub fn into_identity(self) -> Identity<D> {
        self.identity
    }

    /// The first moment at which the credential is no longer accepted, if it is not used before.
    #[must_use]
    pub fn expires_at(&self) -> OffsetDateTime {
        self.identity.expires_at()
    }

    /// How it came to this answer.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }
}

impl<D> fmt::Debug for Issued<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued")
            .field("credential", &self.credential)
            .field("refresh_credential", &self.refresh_credential)
            .field("identity", &self.identity)
            .field("outcome", &self.outcome)
            .finish()
    }
}

/// The end of a credential that a login replaces: one that is no credential, or none any more, is
/// passed over; an outage is not.
///
/// # Errors
///
/// What was no rejection.
pub(crate) fn replaced(revoked: Result<Revocation>) -> Result<()> {
    match revoked {
        Err(error) if !error.is_rejected() => Err(error),
        _ => Ok(()),
    }
}

/// When a logout takes effect: a strategy says it honestly, and the caller should read it.
#[must_use = "a logout may not have taken effect yet"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Revocation {
    /// It has taken effect, everywhere.
    Immediate,
    /// It takes effect everywhere within this time.
    Within(Duration),
    /// Nothing can take the credential back: it, or one refreshed from it, is accepted until
    /// this moment at the latest.
    AtExpiry(OffsetDateTime),
}

impl Revocation {
    /// The later of two ends. A time of day is later than any span.
    pub(crate) fn or_later(self, other: Self) -> Self {
        match (self, other) {
            (Self::AtExpiry(one), Self::AtExpiry(other)) => Self::AtExpiry(one.max(other)),
            (Self::Within(one), Self::Within(other)) => Self::Within(one.max(other)),
            (Self::AtExpiry(_), _) | (Self::Within(_), Self::Immediate) => self,
            _ => other,
        }
    }
}
