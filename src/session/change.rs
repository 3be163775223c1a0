//! Replacement of roles, device and data of a session.

use std::fmt;

use crate::session::listed::Session;

/// New roles, new data, another name of the device, or several of them, for a session that goes on.
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
    pub(crate) device: Option<String>,
    pub(crate) data: Option<D>,
}

impl<D> Replacement<D> {
    /// Creates a replacement that changes nothing.
    pub const fn new() -> Self {
        Self {
            roles: None,
            device: None,
            data: None,
        }
    }

    /// Replaces all roles. If the new ones differ, the credential becomes
    /// [due for a refresh](crate::Identity::refresh_due) (OWASP ASVS 7.2.4).
    pub fn roles<R: AsRef<str>>(mut self, roles: impl IntoIterator<Item = R>) -> Self {
        let roles = roles.into_iter().map(|role| role.as_ref().to_owned());
        self.roles = Some(roles.collect());
        self
    }

    /// Renames the device in the user's list of sessions (OWASP ASVS 7.5.2). A label of more than 512
    /// bytes is cut.
    ///
    /// ```
    /// use statewise::session::{Replaced, Replacement, Session, SessionAuthenticator};
    /// use statewise::store::contract::SessionStore;
    ///
    /// /// Renames a session that the user has chosen from the list.
    /// async fn rename<S: SessionStore>(
    ///     auth: &SessionAuthenticator<S>,
    ///     listed: &Session,
    /// ) -> statewise::Result<bool> {
    ///     let replaced = auth.replace(listed, Replacement::new().device("Kitchen")).await?;
    ///     Ok(matches!(replaced, Replaced::Done(_)))
    /// }
    /// # let _ = rename::<statewise::store::MemoryStore>;
    /// ```
    pub fn device(mut self, label: impl Into<String>) -> Self {
        self.device = Some(label.into());
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
            .field("device", &self.device)
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
