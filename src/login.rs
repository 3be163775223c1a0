//! Logins, and the types that describe them.

pub(crate) mod affected;
pub(crate) mod begun;
pub(crate) mod data;
pub(crate) mod edit;
pub(crate) mod fields;
pub(crate) mod handle;
pub(crate) mod identity;
pub(crate) mod issued;
pub(crate) mod login_ref;
pub(crate) mod logout;
pub(crate) mod place;
pub(crate) mod preset;
pub(crate) mod purpose;
pub(crate) mod recent_changes;
pub(crate) mod relatives;
pub(crate) mod stamp;
pub(crate) mod step_up;

use std::fmt;

use time::OffsetDateTime;

use crate::base::secret::REDACTED;
use crate::clock::Timestamp;
use crate::login::begun::{Begun, Continued};
use crate::login::fields::FieldsBuilder;
use crate::login::handle::Handle;
use crate::login::place::Place;
use crate::login::stamp::Stamp;
use crate::login::step_up::StepUp;

/// Login of a user after the authentication: the input of
/// [`Authenticator::issue`](crate::Authenticator::issue).
///
/// ```
/// use statewise::Login;
///
/// let login = Login::new("alice").role("admin").device("phone").data(42_u32);
/// assert_eq!(login.subject(), "alice");
/// ```
#[must_use = "a login does nothing until it is issued"]
pub struct Login<D = ()> {
    /// Subject and roles in their stored form. Small ones need no allocation.
    pub(crate) fields: FieldsBuilder,
    pub(crate) device: Option<String>,
    pub(crate) acr: Option<String>,
    pub(crate) is_remembered: bool,
    pub(crate) data: D,
    pub(crate) replaces: Vec<String>,
    pub(crate) place: Option<Place>,
    pub(crate) authenticated_at: Option<Timestamp>,
    pub(crate) deadline: Option<Timestamp>,
    pub(crate) stamp: Option<Stamp>,
    pub(crate) begun: Option<Begun>,
    pub(crate) continues: Option<Continued>,
    /// True if [`Migrating`](crate::migrating::Migrating) makes this login of the one that it continues.
    pub(crate) is_upgrade: bool,
    /// The step-up of the login that this one continues.
    pub(crate) step: Option<StepUp>,
}

impl Login {
    /// Creates a login of the user whom your application identifies as `subject`. Use an identifier
    /// that is stable, never reassigned, and not empty (RFC 7519, section 4.1.2).
    pub fn new(subject: impl AsRef<str>) -> Self {
        Self {
            fields: FieldsBuilder::new(subject.as_ref()),
            device: None,
            acr: None,
            is_remembered: false,
            data: (),
            replaces: Vec::new(),
            place: None,
            authenticated_at: None,
            deadline: None,
            stamp: None,
            begun: None,
            continues: None,
            is_upgrade: false,
            step: None,
        }
    }
}

impl<D> Login<D> {
    /// Adds a role: a text, or an [enum of your application](crate::Identity::has_role).
    pub fn role(mut self, role: impl AsRef<str>) -> Self {
        self.fields.role(role.as_ref());
        self
    }

    /// Adds several roles.
    pub fn roles<R: AsRef<str>>(mut self, roles: impl IntoIterator<Item = R>) -> Self {
        for role in roles {
            self.fields.role(role.as_ref());
        }
        self
    }

    /// Names the device or client in the user's list of sessions (OWASP ASVS 7.5.2). A label of more
    /// than 512 bytes is cut.
    pub fn device(mut self, label: impl Into<String>) -> Self {
        self.device = Some(label.into());
        self
    }

    /// Sets the authentication context class: how strongly the user authenticated, on a scale of
    /// your application, such as `aal2` (OpenID Connect Core, `acr`; RFC 9470, section 1).
    pub fn acr(mut self, acr: impl Into<String>) -> Self {
        self.acr = Some(acr.into());
        self
    }

    /// Remembers the login: "keep me signed in". The browser keeps its cookie after it is closed,
    /// until the [deadline](crate::Identity::deadline) of the login and at most for 400 days. Timeouts of
    /// their own are set in [`SessionBuilder`](crate::session::SessionBuilder::remembered) and
    /// [`TokenBuilder`](crate::token::TokenBuilder::remembered).
    ///
    /// Every refresh keeps this choice, on every node. Let the user choose: on a shared computer, the
    /// next user would be logged in (OWASP ASVS 7.1.1).
    ///
    /// ```
    /// use statewise::Login;
    ///
    /// fn login(user: &str, keep_me_signed_in: bool) -> Login {
    ///     let login = Login::new(user);
    ///     if keep_me_signed_in { login.remember() } else { login }
    /// }
    /// # let _ = login;
    /// ```
    pub fn remember(mut self) -> Self {
        self.is_remembered = true;
        self
    }

    /// Sets application data for the user, beside subject and roles.
    ///
    /// A session keeps the data on the server. A token carries them, readable for its holder.
    pub fn data<T>(self, data: T) -> Login<T> {
        Login {
            fields: self.fields,
            device: self.device,
            acr: self.acr,
            is_remembered: self.is_remembered,
            data,
            replaces: self.replaces,
            place: self.place,
            authenticated_at: self.authenticated_at,
            deadline: self.deadline,
            stamp: self.stamp,
            begun: self.begun,
            continues: self.continues,
            is_upgrade: self.is_upgrade,
            step: self.step,
        }
    }

    /// Names the credential that the request carried, of any kind and form. Call it again for a further one.
    ///
    /// It is revoked before the new credential is returned, and a session before the new one is stored: if
    /// the store then fails, neither exists. So a credential planted by an
    /// attacker never becomes a logged-in one (OWASP ASVS 7.2.4). Unknown, ended, malformed and
    /// [unreadable](crate::Error::is_unreadable) credentials are ignored.
    pub fn replaces(mut self, credential: impl Into<String>) -> Self {
        self.replaces.push(credential.into());
        self
    }

    /// Names the place in which the client will present the new credential.
    /// [`Either`](crate::either::Either) chooses the strategy by it. The web layer sets it.
    pub fn place(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// Sets the time of authentication, if it was not just now. A time in the future counts as now.
    pub fn authenticated_at(mut self, time: OffsetDateTime) -> Self {
        self.authenticated_at = Some(time.into());
        self
    }

    /// Sets the latest end of the login, whatever the policy allows.
    pub fn deadline(mut self, time: OffsetDateTime) -> Self {
        self.deadline = Some(time.into());
        self
    }

    /// Says when the login began: before the application loaded the user and checked the password.
    /// Default: when it is issued.
    ///
    /// The login is then refused as [`Outdated`](crate::Refusal::Outdated) if its user was logged
    /// out everywhere, or changed, since that moment.
    ///
    /// ```
    /// use statewise::{Authenticator, Issued, Login, Result};
    ///
    /// # struct User { password: String, roles: Vec<String> }
    /// # async fn load(_: &str) -> Result<User> { unimplemented!() }
    /// # fn is_right(_: &User, _: &str) -> bool { true }
    /// async fn log_in<A>(auth: &A, name: &str, password: &str) -> Result<Option<Issued>>
    /// where
    ///     A: Authenticator<Data = ()>,
    /// {
    ///     let begun = auth.begin().await?;
    ///     let user = load(name).await?;
    ///     if !is_right(&user, password) {
    ///         return Ok(None);
    ///     }
    ///     // Refused if an administrator has changed the roles since the user was loaded.
    ///     let login = Login::new(name).roles(&user.roles).begun(begun);
    ///     auth.issue(login).await.map(Some)
    /// }
    /// # async fn tokens(auth: statewise::token::TokenAuthenticator) -> Result<Option<Issued>> {
    /// #     log_in(&auth, "", "").await
    /// # }
    /// ```
    pub fn begun(mut self, begun: Begun) -> Self {
        self.begun = Some(begun);
        self
    }

    /// The subject.
    #[must_use]
    pub fn subject(&self) -> &str {
        self.fields.subject()
    }

    /// Returns stamp and handle of the login that this one continues.
    pub(crate) fn continued(&self) -> (Option<Stamp>, Option<Handle>) {
        (self.stamp, self.continues.map(|login| login.handle))
    }

    /// Returns the handle for the upgrade of this `number`, if the login is one. The store finds the login
    /// under the `indexed` subject.
    pub(crate) fn upgraded(&self, indexed: &str, number: [u8; 2]) -> Option<Handle> {
        let old = self.continues.filter(|_| self.is_upgrade)?;
        let old = Handle::of_subject(indexed.as_bytes(), *old.handle.as_bytes());
        Some(old.with_remembered(self.is_remembered).upgraded(number))
    }

    /// Splits the login into its parts, for implementers of
    /// [`Authenticator`](crate::Authenticator).
    #[must_use]
    pub fn into_parts(self) -> LoginParts<D> {
        LoginParts {
            subject: self.fields.subject().to_owned(),
            roles: self.fields.roles().map(str::to_owned).collect(),
            device: self.device,
            acr: self.acr,
            is_remembered: self.is_remembered,
            data: self.data,
            replaces: self.replaces,
            place: self.place,
            authenticated_at: self.authenticated_at.map(Into::into),
            deadline: self.deadline.map(Into::into),
            stamp: self.stamp,
            begun: self.begun,
        }
    }
}

/// The parts of a [`Login`].
#[non_exhaustive]
pub struct LoginParts<D> {
    /// The subject.
    pub subject: String,
    /// The roles.
    pub roles: Vec<String>,
    /// The device or client.
    pub device: Option<String>,
    /// The authentication context class.
    pub acr: Option<String>,
    /// Marks a remembered login.
    pub is_remembered: bool,
    /// The application's data.
    pub data: D,
    /// The credentials to revoke first. Secret.
    pub replaces: Vec<String>,
    /// The place in which the client will present the credential, if it is known.
    pub place: Option<Place>,
    /// The time of authentication, if not just now.
    pub authenticated_at: Option<OffsetDateTime>,
    /// The latest end of the login.
    pub deadline: Option<OffsetDateTime>,
    /// The stamp, if this login continues another one.
    pub stamp: Option<Stamp>,
    /// The beginning of the login, if it was noted.
    pub begun: Option<Begun>,
}

impl<D> fmt::Debug for LoginParts<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginParts")
            .field("subject", &self.subject)
            .field("roles", &self.roles)
            .field("device", &self.device)
            .field("acr", &self.acr)
            .field("replaces", &self.replaces.first().map(|_| REDACTED))
            .finish_non_exhaustive()
    }
}

impl<D> fmt::Debug for Login<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("subject", &self.subject())
            .field("roles", &self.fields.roles().collect::<Vec<_>>())
            .field("device", &self.device)
            .field("acr", &self.acr)
            .field("replaces", &self.replaces.first().map(|_| REDACTED))
            .finish_non_exhaustive()
    }
}
