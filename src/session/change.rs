//! Replacement of roles and data of a session.

use std::fmt;

use crate::session::listed::Session;

/// New roles, new data, or both, for a session that goes on.
///
/// ```
/// use statewise::session::Replacement;
///
/// let demoted = Replacement::<()>::new().roles(["reader"]);
/// # let _ = demoted;
/// ```
#[must_use = "a replacement does nothing until you pass it to `replace`"]
pub struct Replacement<D = ()> {
    pub(crate) roles: Option<Vec<String>>,
    pub(crate) data: Option<D>,
}

impl<D> Replacement<D> {
    /// Creates a replacement that changes nothing.
    pub const fn new() -> Self {
        Self {
            roles: None,
            data: None,
        }
    }

    /// Replaces all roles. If the new ones differ, the credential becomes
    /// [due for a refresh](crate::Identity::refresh_due) (OWASP ASVS 7.2.4).
    pub fn roles<R: Into<String>>(mut self, roles: impl IntoIterator<Item = R>) -> Self {
        self.roles = Some(roles.into_iter().map(Into::into).collect());
        self
    }

    /// Replaces the application's data.
    pub fn data(mut self, data: D) -> Self {
        self.data = Some(data);
        self
    }
}

impl<D> Default for Replacement<D> {
    fn default() -> Self {
        Self::new()
    }
}

impl<D> fmt::Debug for Replacement<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replacement")
            .field("roles", &self.roles)
            .finish_non_exhaustive()
    }
}

/// Result of a replacement.
#[derive(Clone, Debug)]
#[must_use = "the replacement may have met a conflict"]
#[non_exhaustive]
pub enum Replaced {
    /// The session was changed. Holds it as it is now.
    Done(Session),
    /// Another caller has changed the session since it was seen. Verify or list again, and decide
    /// again.
    Conflict,
    /// The session has ended.
    Absent,
}
