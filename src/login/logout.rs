//! The result of a logout.

use crate::error::{EndCause, EndedLogin, Result};
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
    /// Other logins that ended with it.
    others: Vec<(Handle, Fields)>,
}

impl Logout {
    /// Creates the result of a logout that ended no known login, for implementers of
    /// [`Authenticator`](crate::Authenticator).
    pub const fn new(effective: Revocation) -> Self {
        Self {
            effective,
            login: None,
            others: Vec::new(),
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

    /// Names a login that is about to end.
    pub(crate) fn found(handle: Handle, fields: Fields) -> Self {
        Self::new(Revocation::Immediate).of(handle, fields)
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

    /// Other logins that ended with it: those before and after an upgrade of
    /// [`Migrating`](crate::migrating::Migrating) end together, and so do those that one login
    /// [replaces](crate::Login::replaces).
    pub fn others(&self) -> impl Iterator<Item = LoginRef<'_>> {
        let others = self.others.iter();
        others.map(|(handle, fields)| LoginRef::new(*handle, fields))
    }

    /// Returns all ended logins.
    pub(crate) fn logins(&self) -> impl Iterator<Item = LoginRef<'_>> {
        self.login().into_iter().chain(self.others())
    }

    /// Returns the ended logins, for the error of the call that has ended them. A token that cannot be
    /// revoked has not ended.
    pub(crate) fn ended(&self, cause: EndCause) -> impl Iterator<Item = EndedLogin> {
        let has_ended = !matches!(self.effective, Revocation::AtExpiry(_));
        let ended = self.logins().filter(move |_| has_ended);
        ended.map(move |login| EndedLogin::new(login.subject(), login.id(), cause))
    }

    /// Returns true if a login that was found by another credential is among the ended ones.
    pub(crate) fn includes(&self, found: &Result<Option<Self>>) -> bool {
        // After an outage, the end of the login says what has failed.
        let found = found.as_ref().ok().and_then(Option::as_ref);
        let found = found.and_then(|found| found.login.as_ref());
        let mut ended = self.login.iter().chain(&self.others);
        found.is_some_and(|found| ended.any(|login| login.0 == found.0))
    }

    /// Combines two logouts: the later effect, and the logins of both.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.effective = self.effective.or_later(other.effective);
        for login in other.login.into_iter().chain(other.others) {
            let mut known = self.login.iter().chain(&self.others);
            if known.all(|known| known.0 != login.0) {
                match self.login {
                    None => self.login = Some(login),
                    Some(_) => self.others.push(login),
                }
            }
        }
        self
    }
}

impl From<Revocation> for Logout {
    fn from(effective: Revocation) -> Self {
        Self::new(effective)
    }
}
