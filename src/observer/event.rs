//! What an observer is told.

use std::fmt;
use std::time::Duration;

use crate::base::public_id::PublicId;
use crate::error::{Error, Refusal, Rejection, Theft};
use crate::login::handle::Handle;
use crate::login::identity::Identity;
use crate::login::issued::Revocation;

/// Something that happened. Each call of an [`Observed`](crate::Observed) authenticator
/// that comes to its end gives exactly one event, and one that is dropped before gives none.
///
/// `Debug` shows no secret.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A user was logged in. What the login replaced, or made room for, is not told.
    Issued {
        /// The new login.
        login: LoginRef<'a>,
    },
    /// A credential was verified.
    Verified {
        /// The login it belongs to.
        login: LoginRef<'a>,
    },
    /// A credential was exchanged for a fresh one.
    Rotated {
        /// The login it belongs to.
        login: LoginRef<'a>,
    },
    /// An exchange was asked for again, and the answer given before given again.
    Replayed {
        /// The login it belongs to.
        login: LoginRef<'a>,
    },
    /// The same, but long after that answer was given, and it was never used: most likely it was
    /// lost on its way, or else somebody holds a copy of the replaced credential.
    Orphaned {
        /// The login it belongs to.
        login: LoginRef<'a>,
    },
    /// A credential was revoked. Not told is whose, nor whether there was a login to end: revoking
    /// succeeds for an unknown one too, and says no more to anybody.
    Revoked {
        /// When that takes effect.
        effective: Revocation,
    },
    /// All logins of a subject were revoked.
    RevokedAll {
        /// The subject.
        subject: &'a str,
        /// When that takes effect.
        effective: Revocation,
    },
    /// A credential was rejected, for any cause but a theft.
    Rejected {
        /// What was asked for.
        act: Act,
        /// Why not.
        cause: Rejection,
    },
    /// A replaced credential came back: somebody held a copy of it, and the login has been ended.
    Theft {
        /// What was asked for.
        act: Act,
        /// Whose login was ended.
        theft: &'a Theft,
    },
    /// A rule of the service stood against the act.
    Refused {
        /// What was asked for.
        act: Act,
        /// Which rule.
        rule: Refusal,
    },
    /// Something needed could not answer.
    Unavailable {
        /// What was asked for.
        act: Act,
        /// What it says itself.
        error: &'a Error,
    },
    /// The configuration or the calling code is mistaken.
    Misused {
        /// What was asked for.
        act: Act,
        /// What to do about it.
        error: &'a Error,
    },
    /// How a view of revocations is doing, after each look at the log, also a failed one.
    ViewLag {
        /// For how long it may have missed something: since its last complete read was sent. In
        /// whole seconds, and `None` before the first.
        behind: Option<Duration>,
        /// Whether that is beyond its bound.
        stale: bool,
        /// How many facts about logins and subjects it holds.
        facts: usize,
    },
    /// The upkeep removed sessions that were over, or found none.
    Swept {
        /// How many it removed in this step.
        rows: u64,
    },
    /// A step of the upkeep failed. [`run`](crate::Upkeep::run) tries again.
    UpkeepFailed {
        /// Which piece of work: its `Debug` is its name.
        chore: &'a (dyn fmt::Debug + Send + Sync),
        /// Why.
        error: &'a Error,
    },
}

impl<'a> Event<'a> {
    /// What became of an act that failed.
    pub(crate) fn failed(act: Act, error: &'a Error) -> Self {
        if let Some(theft) = error.theft() {
            Self::Theft { act, theft }
        } else if let Some(cause) = error.rejection() {
            Self::Rejected { act, cause }
        } else if let Some(rule) = error.refusal() {
            Self::Refused { act, rule }
        } else if error.is_unavailable() {
            Self::Unavailable { act, error }
        } else {
            Self::Misused { act, error }
        }
    }
}

/// What was asked of an [`Authenticator`](crate::Authenticator).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Act {
    /// [`issue`](crate::Authenticator::issue).
    Issue,
    /// [`verify`](crate::Authenticator::verify), with wishes or without.
    Verify,
    /// [`refresh`](crate::Authenticator::refresh).
    Refresh,
    /// [`revoke`](crate::Authenticator::revoke).
    Revoke,
    /// [`revoke_all`](crate::Authenticator::revoke_all).
    RevokeAll,
}

impl Act {
    /// Its name in metrics and structured logs: `"issue"`, `"revoke_all"`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Issue => "issue",
            Self::Verify => "verify",
            Self::Refresh => "refresh",
            Self::Revoke => "revoke",
            Self::RevokeAll => "revoke_all",
        }
    }
}

/// The login that an event is about.
#[derive(Clone, Copy)]
pub struct LoginRef<'a> {
    subject: &'a str,
    handle: &'a Handle,
}

impl<'a> LoginRef<'a> {
    /// The user, as the application named them at login.
    #[must_use]
    pub const fn subject(&self) -> &'a str {
        self.subject
    }

    /// The public id of the login. A hash, computed at each call.
    #[must_use]
    pub fn id(&self) -> PublicId {
        self.handle.public_id()
    }
}

impl<'a, D> From<&'a Identity<D>> for LoginRef<'a> {
    fn from(identity: &'a Identity<D>) -> Self {
        Self {
            subject: identity.subject(),
            handle: &identity.handle,
        }
    }
}

impl fmt::Debug for LoginRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginRef")
            .field("subject", &self.subject)
            .field("id", &self.id())
            .finish()
    }
}
