//! The caller of a request.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{self, Clock, SystemClock, Timestamp};
use crate::login::identity::Identity;
use crate::web::denial::Denial;

/// The verified caller of a request: an [`Identity`] that handlers take as an argument.
///
/// Cheap to clone. Guards are methods, so that a handler says in its first lines what it asks for:
///
/// ```
/// use std::time::Duration;
/// use statewise::web::{Auth, Denial};
///
/// async fn delete_account(caller: Auth) -> Result<String, Denial> {
///     caller.require_role("owner")?;
///     // Proven within the last five minutes (OWASP ASVS 7.5.1, RFC 9470).
///     caller.require_fresh(Duration::from_secs(300))?;
///     Ok(format!("goodbye, {}", caller.subject()))
/// }
/// # let _ = delete_account;
/// ```
pub struct Auth<D = ()>(Arc<Caller<D>>);

struct Caller<D> {
    identity: Identity<D>,
    clock: Arc<dyn Clock>,
}

impl<D> Auth<D> {
    pub(crate) fn new(identity: Identity<D>, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Caller { identity, clock }))
    }

    /// The identity.
    #[must_use]
    pub fn identity(&self) -> &Identity<D> {
        &self.0.identity
    }

    /// Asks that the caller has a role.
    ///
    /// # Errors
    ///
    /// [`Denial::MissingRole`].
    pub fn require_role(&self, role: &str) -> Result<(), Denial> {
        match self.has_role(role) {
            true => Ok(()),
            false => Err(Denial::MissingRole),
        }
    }

    /// Asks that the caller has proven who they are within the last `max_age`, in whole seconds
    /// (RFC 9470, OWASP ASVS 7.5.1). Using, rotating and refreshing a credential proves nothing.
    ///
    /// # Errors
    ///
    /// [`Denial::TooOld`]; *unavailable* if the clock cannot tell the time.
    pub fn require_fresh(&self, max_age: Duration) -> Result<(), Denial> {
        let now = clock::read(&*self.0.clock)?;
        let age = now.saturating_since(Timestamp::from(self.authenticated_at()));
        match age <= max_age.as_secs() {
            true => Ok(()),
            false => Err(Denial::TooOld { max_age }),
        }
    }

    /// Asks that the caller has proven who they are in this way: the authentication context class
    /// that the login was [given](crate::Login::acr) (RFC 9470). Compares bytes: which class
    /// includes which is the application's to say.
    ///
    /// # Errors
    ///
    /// [`Denial::WeakAcr`].
    pub fn require_acr(&self, acr: &str) -> Result<(), Denial> {
        match self.acr() == Some(acr) {
            true => Ok(()),
            false => Err(Denial::WeakAcr { acr: acr.into() }),
        }
    }
}

/// For tests of handlers, with an identity that is [asserted](Identity::unverified).
impl<D> From<Identity<D>> for Auth<D> {
    fn from(identity: Identity<D>) -> Self {
        Self::new(identity, Arc::new(SystemClock))
    }
}

impl<D> Deref for Auth<D> {
    type Target = Identity<D>;

    fn deref(&self) -> &Identity<D> {
        self.identity()
    }
}

impl<D> Clone for Auth<D> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<D> fmt::Debug for Auth<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Auth").field(self.identity()).finish()
    }
}
