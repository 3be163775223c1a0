//! Events that observers receive.

use std::fmt;
use std::time::Duration;

use crate::base::public_id::PublicId;
use crate::error::{Error, Refusal, Rejection, Theft};
use crate::login::handle::Handle;
use crate::login::identity::Identity;
use crate::login::issued::Revocation;

/// An event. Each completed call of an [`Observed`](crate::Observed) authenticator causes exactly
/// one; a dropped call causes none.
///
/// `Debug` shows no secret.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A user logged in. The logins that it replaced or evicted are not reported.
    Issued {
        /// The new login.
        login: LoginRef<'a>,
    },
    /// A credential was verified.
    Verified {
        /// The login it belongs to.
        login: LoginRef<'a>,
    },
    /// A credential was refreshed and rotated.
    Rotated {
        /// The login it belongs to.
        login: LoginRef<'a>,
    },
    /// A refresh was repeated and got the same answer.
    Replayed {
        /// The login it belongs to.
        login: LoginRef<'a>,
    },
    /// A refresh was repeated after the grace, although its successor was never used. The answer
    /// was probably lost; otherwise there is a copy of the replaced credential.
    Orphaned {
        /// The login it belongs to.
        login: LoginRef<'a>,
    },
    /// A credential was revoked. The event does not reveal the login or whether there was one:
    /// revoking an unknown credential succeeds too.
    Revoked {
        /// The time at which it takes effect.
        effective: Revocation,
    },
    /// All logins of a subject were revoked.
    RevokedAll {
        /// The subject.
        subject: &'a str,
        /// The time at which it takes effect.
        effective: Revocation,
    },
    /// A credential was rejected, for any cause except theft.
    Rejected {
        /// The attempted call.
        act: Act,
        /// The cause.
        cause: Rejection,
    },
    /// A replaced credential was used again, so there was a copy. The login has been ended.
    Theft {
        /// The attempted call.
        act: Act,
        /// The ended login.
        theft: &'a Theft,
    },
    /// A rule of the service forbade the call.
    Refused {
        /// The attempted call.
        act: Act,
        /// The rule.
        rule: Refusal,
    },
    /// The service cannot read a login that it has stored or signed itself: see
    /// [`Error::is_unreadable`]. The login goes on.
    Unreadable {
        /// The attempted call.
        act: Act,
        /// The public id of the login, where it is known.
        login: Option<PublicId>,
    },
    /// A store, the clock or the entropy source could not answer.
    Unavailable {
        /// The attempted call.
        act: Act,
        /// The error.
        error: &'a Error,
    },
    /// The configuration or the calling code is wrong.
    Misused {
        /// The attempted call.
        act: Act,
        /// Instructions for the developer.
        error: &'a Error,
    },
    /// The state of a revocation view, reported after each read of the log, also a failed one.
    ViewLag {
        /// Age of the view: the time since its last complete read was sent. In whole seconds;
        /// `None` before the first.
        behind: Option<Duration>,
        /// True if the age exceeds the bound.
        stale: bool,
        /// Number of facts about logins and subjects in the view.
        facts: usize,
    },
    /// The upkeep removed expired sessions, or found none.
    Swept {
        /// Number of rows removed in this step.
        rows: u64,
    },
    /// A step of the upkeep failed. [`run`](crate::Upkeep::run) retries.
    UpkeepFailed {
        /// The chore; its `Debug` output is its name.
        chore: &'a (dyn fmt::Debug + Send + Sync),
        /// The cause.
        error: &'a Error,
    },
}

impl<'a> Event<'a> {
    /// Creates the event for a failed call.
    pub(crate) fn failed(act: Act, error: &'a Error) -> Self {
        if let Some(theft) = error.theft() {
            Self::Theft { act, theft }
        } else if let Some(cause) = error.rejection() {
            Self::Rejected { act, cause }
        } else if let Some(rule) = error.refusal() {
            Self::Refused { act, rule }
        } else if error.is_unreadable() {
            let login = error.unreadable_login();
            Self::Unreadable { act, login }
        } else if error.is_unavailable() {
            Self::Unavailable { act, error }
        } else {
            Self::Misused { act, error }
        }
    }
}

/// A call of an [`Authenticator`](crate::Authenticator).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Act {
    /// [`issue`](crate::Authenticator::issue).
    Issue,
    /// [`verify`](crate::Authenticator::verify) or
    /// [`verify_with`](crate::Authenticator::verify_with).
    Verify,
    /// [`refresh`](crate::Authenticator::refresh).
    Refresh,
    /// [`revoke`](crate::Authenticator::revoke).
    Revoke,
    /// [`revoke_all`](crate::Authenticator::revoke_all).
    RevokeAll,
}

impl Act {
    /// Name in metrics and structured logs, such as `"issue"` or `"revoke_all"`.
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
    /// The subject, as given at login.
    #[must_use]
    pub const fn subject(&self) -> &'a str {
        self.subject
    }

    /// The public id of the login. A hash, computed on each call.
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
