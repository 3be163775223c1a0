//! Why a request is not served.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, Refusal};

/// Why a request is not served.
///
/// | cause | status | challenge, after scheme and realm | |
/// |---|---|---|---|
/// | [`Absent`](Self::Absent) | 401 | none further | RFC 6750, section 3.1 |
/// | [`Unproven`](Self::Unproven) | 401 | none further | RFC 9110, section 15.5.2 |
/// | [`Malformed`](Self::Malformed) | 400 | `error="invalid_request"` | RFC 6750, section 3.1 |
/// | [`Ambiguous`](Self::Ambiguous) | 401 | `error="invalid_request"` | RFC 6750, section 2 |
/// | [`Failed`](Self::Failed), *rejected* | 401 | `error="invalid_token"` | RFC 6750, section 3.1 |
/// | [`TooOld`](Self::TooOld) | 401 | `error="insufficient_user_authentication"`, `max_age` | RFC 9470, section 3 |
/// | [`WeakAcr`](Self::WeakAcr) | 401 | `error="insufficient_user_authentication"`, `acr_values` | RFC 9470, section 3 |
/// | [`MissingRole`](Self::MissingRole) | 403 | `error="insufficient_scope"` | RFC 6750, section 3.1 |
/// | [`CrossOrigin`](Self::CrossOrigin) | 403 | | OWASP ASVS 3.5.1 |
/// | *refused*: the subject has too many sessions | 409 | | |
/// | *refused*: too large | 403 | | |
/// | *refused*: capacity, refreshed too often | 429 | | with `Retry-After` |
/// | *unavailable* | 503 | | with `Retry-After`; OWASP ASVS 16.5.3 |
/// | *misuse* | 500 | | |
///
/// An outage never is a 401, which would make clients drop good credentials, and all rejections
/// look the same (OWASP ASVS 6.3.8, 16.5.1). Bodies are empty; the cause is for logs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Denial {
    /// It carries no credential.
    Absent,
    /// A login whose user has not proven who they are: no such user, a wrong password, a wrong
    /// second factor, and never said which (OWASP ASVS 6.3.8). For handlers to return.
    Unproven,
    /// Its `Authorization` field is to be a bearer token, and is none.
    Malformed,
    /// It carries two credentials, which may be of two users.
    Ambiguous,
    /// What the authenticator, or another act of this crate, says.
    Failed(Arc<Error>),
    /// The caller lacks a role.
    MissingRole,
    /// The caller has proven who they are, but longer ago than this.
    TooOld {
        /// The longest time since then, in whole seconds.
        max_age: Duration,
    },
    /// The caller has proven who they are in another way than this.
    WeakAcr {
        /// The authentication context class that is asked for. Challenges name it if it is
        /// printable ASCII without spaces, quotes and backslashes, as it should be.
        acr: Arc<str>,
    },
    /// Sent by a page of another origin.
    CrossOrigin,
}

impl Denial {
    /// The status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Absent
            | Self::Unproven
            | Self::Ambiguous
            | Self::TooOld { .. }
            | Self::WeakAcr { .. } => 401,
            Self::Malformed => 400,
            Self::MissingRole | Self::CrossOrigin => 403,
            Self::Failed(error) if error.is_rejected() => 401,
            Self::Failed(error) if error.is_unavailable() => 503,
            Self::Failed(error) => match error.refusal() {
                Some(Refusal::SessionLimit) => 409,
                Some(Refusal::Capacity | Refusal::RefreshLimit) => 429,
                Some(Refusal::TooLarge) => 403,
                None => 500,
            },
        }
    }

    /// Whether the presented credential is to blame.
    #[must_use]
    pub fn is_rejected(&self) -> bool {
        matches!(self, Self::Failed(error) if error.is_rejected())
    }

    /// What the authenticator said, if it was asked.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        match self {
            Self::Failed(error) => Some(error),
            _ => None,
        }
    }
}

impl From<Error> for Denial {
    fn from(error: Error) -> Self {
        Self::Failed(Arc::new(error))
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "no credential",
            Self::Unproven => "a login that was not proven",
            Self::Malformed => "malformed authorization",
            Self::Ambiguous => "more than one credential",
            Self::Failed(error) => return write!(f, "{error}"),
            Self::MissingRole => "a role is missing",
            Self::TooOld { .. } => "authenticated too long ago",
            Self::WeakAcr { .. } => "authenticated in another way",
            Self::CrossOrigin => "sent by another origin",
        })
    }
}

impl std::error::Error for Denial {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Failed(error) => error.source(),
            _ => None,
        }
    }
}
