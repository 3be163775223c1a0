//! The beginning of a login.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::clock::Timestamp;
use crate::error::{Error, Refusal, Result};
use crate::login::handle::Handle;
use crate::login::stamp::Stamp;

/// Time within which a login must be issued after it has begun. Facts about changed subjects are
/// kept this long.
pub(crate) const MAX_LOGIN_SECS: u64 = 3600;

/// The beginning of a login: the moment before the application has loaded the user.
///
/// [`Authenticator::begin`](crate::Authenticator::begin) returns it, and [`Login::begun`] passes it
/// on. A login that was begun is refused as [`Outdated`](crate::Refusal::Outdated) if its user was
/// logged out everywhere or changed in the meantime, so that it cannot carry an old password or old
/// roles into the service. It is also refused if it is issued more than an hour after its
/// beginning.
///
/// [`Login::begun`]: crate::Login::begun
#[derive(Clone, Debug)]
#[must_use = "pass it to `Login::begun`"]
pub struct Begun {
    beginnings: Vec<(Beginning, Timestamp)>,
    /// The error of a strategy that may issue the login and could not begin it.
    failed: Option<Arc<Error>>,
}

/// The beginning of a login at one authenticator.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beginning {
    pub(crate) by: IssuerId,
    /// Number of changes of logins that the authenticator had noted.
    pub(crate) count: u64,
    /// Position in the revocation log, if there is one.
    pub(crate) stamp: Option<Stamp>,
}

/// Tells the authenticators of a process apart. Four bytes, so that it fits into a gap of an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IssuerId(u32);

impl IssuerId {
    /// The id of no authenticator.
    pub(crate) const NONE: Self = Self(0);

    /// Returns an id that no other authenticator has.
    pub(crate) fn next() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// The login that a new one continues.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Continued {
    pub(crate) handle: Handle,
    /// The authenticator that has verified it.
    pub(crate) verified_by: IssuerId,
}

impl Begun {
    /// Creates a beginning that notes nothing.
    pub(crate) const fn untracked() -> Self {
        Self {
            beginnings: Vec::new(),
            failed: None,
        }
    }

    pub(crate) fn new(beginning: Beginning, at: Timestamp) -> Self {
        Self {
            beginnings: vec![(beginning, at)],
            failed: None,
        }
    }

    /// Combines the beginnings at two strategies, either of which may issue the login.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.beginnings.extend(other.beginnings);
        self.failed = self.failed.or(other.failed);
        self
    }

    /// Notes the error of another strategy that may issue the login. It is returned if that one does.
    pub(crate) fn with_failed(mut self, error: Error) -> Self {
        self.failed = Some(Arc::new(error));
        self
    }

    /// Returns the beginning at the authenticator that issues the login.
    ///
    /// # Errors
    ///
    /// *Misuse* if another authenticator has noted it, *refused* as outdated if it is too old,
    /// *unavailable* if the authenticator could not begin it.
    pub(crate) fn at(&self, by: IssuerId, now: Timestamp) -> Result<Beginning> {
        let begun = self
            .beginnings
            .iter()
            .find(|(beginning, _)| beginning.by == by);
        let (beginning, at) = begun.ok_or_else(|| match &self.failed {
            Some(error) => {
                let what = "the strategy that issues the login could not begin it";
                Error::could_not(what, Some(Box::new(Arc::clone(error))))
            }
            None => Error::misuse(
                "a login was begun by another authenticator than the one that issues it: call \
                 `begin` of the one that issues",
            ),
        })?;
        if now.saturating_since(*at) >= MAX_LOGIN_SECS {
            return Err(Refusal::Outdated.into());
        }
        Ok(*beginning)
    }
}
