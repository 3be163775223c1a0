//! The result of a logout.

use crate::login::fields::Fields;
use crate::login::handle::Handle;
use crate::login::identity::Identity;
use crate::login::issued::Revocation;
use crate::login::login_ref::LoginRef;
use crate::login::purpose::Purpose;

/// The result of [`revoke`](crate::Authenticator::revoke): the time at which the logout takes
/// effect, and the login that it ended, for your log.
///
/// ```
/// use statewise::{Authenticator, Result};
///
/// async fn log_out(auth: &impl Authenticator, credential: &str) -> Result<()> {
///     let logout = auth.revoke(credential).await?;
///     if let Some(login) = logout.login() {
///         eprintln!("{} logs out of {}: {:?}", login.subject(), login.id(), logout.effective);
///     }
///     Ok(())
/// }
/// # async fn tokens(auth: statewise::token::TokenAuthenticator) -> Result<()> {
/// #     log_out(&auth, "").await
/// # }
/// ```
///
/// # Security
///
/// Do not tell the client whether there was a login: answer a logout with an unknown credential like
/// every other one.
#[must_use = "a logout may not have taken effect yet"]
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Logout {
    /// The time at which the logout takes effect.
    pub effective: Revocation,
    login: Option<(Handle, Fields)>,
}

impl Logout {
    /// Creates the result of a logout that ended no known login, for implementers of
    /// [`Authenticator`](crate::Authenticator).
    pub const fn new(effective: Revocation) -> Self {
        Self {
            effective,
            login: None,
        }
    }

    /// Names the ended login, for implementers of [`Authenticator`](crate::Authenticator).
    pub fn with_login<D>(self, caller: &Identity<D>) -> Self {
        let fields = match caller.purpose {
            Purpose::Login => caller.fields.clone(),
            Purpose::ApiKey => caller.fields.with_subject(caller.subject()),
        };
        self.of(caller.handle, fields)
    }

    pub(crate) fn of(mut self, handle: Handle, fields: Fields) -> Self {
        self.login = Some((handle, fields));
        self
    }

    /// The login of the credential. `None` if the credential is unknown, or the authenticator does
    /// not know its login.
    #[must_use]
    pub fn login(&self) -> Option<LoginRef<'_>> {
        let (handle, fields) = self.login.as_ref()?;
        Some(LoginRef::new(*handle, fields))
    }

    /// Combines two logouts: the later effect, and the login of this one or else of `other`.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            effective: self.effective.or_later(other.effective),
            login: self.login.or(other.login),
        }
    }
}

impl From<Revocation> for Logout {
    fn from(effective: Revocation) -> Self {
        Self::new(effective)
    }
}
