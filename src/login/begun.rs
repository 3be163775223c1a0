//! The beginning of a login.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Timestamp;
use crate::error::{Error, Refusal, Result};
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
pub struct Begun(Vec<(Beginning, Timestamp)>);

/// The beginning of a login at one authenticator.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beginning {
    pub(crate) by: IssuerId,
    /// Number of changes of logins that the authenticator had noted.
    pub(crate) count: u64,
    /// Position in the revocation log, if there is one.
    pub(crate) stamp: Option<Stamp>,
}

/// Tells the authenticators of a process apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IssuerId(u64);

impl IssuerId {
    /// Returns an id that no other authenticator has.
    pub(crate) fn next() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(LAST.fetch_add(1, Ordering::Relaxed))
    }
}

impl Begun {
    /// Creates a beginning that notes nothing.
    pub(crate) const fn untracked() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn new(beginning: Beginning, at: Timestamp) -> Self {
        Self(vec![(beginning, at)])
    }

    /// Combines the beginnings at two strategies, either of which may issue the login.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Returns the beginning at the authenticator that issues the login.
    ///
    /// # Errors
    ///
    /// *Misuse* if another authenticator has noted it, *refused* as outdated if it is too old.
    pub(crate) fn at(&self, by: IssuerId, now: Timestamp) -> Result<Beginning> {
        let begun = self.0.iter().find(|(beginning, _)| beginning.by == by);
        let (beginning, at) = begun.ok_or_else(|| {
            Error::misuse(
                "a login was begun by another authenticator than the one that issues it: call \
                 `begin` of the one that issues",
            )
        })?;
        if now.saturating_since(*at) >= MAX_LOGIN_SECS {
            return Err(Refusal::Outdated.into());
        }
        Ok(*beginning)
    }
}
