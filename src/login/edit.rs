//! Changes of a login that goes on.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::base::public_id::PublicId;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::login::data;
use crate::login::identity::{Identity, MAX_FIELD_BYTES, check_size, device_label};
use crate::login::purpose::Purpose;
use crate::login::step_up::StepUp;

/// Changes the roles, the device and the data of a login, or steps it up: a closure that gets an
/// [`Edit`].
///
/// It may be called again with newer values if another caller has changed the login in between, so
/// set the same values each time it is called. If it returns an error, the login is not changed and
/// the error is passed on.
pub type EditFn<'e, D = ()> = &'e mut (dyn FnMut(&mut Edit<D>) -> Result<()> + Send + 'e);

/// A login that is being updated: change its fields. See
/// [`Authenticator::update`](crate::Authenticator::update).
pub struct Edit<D = ()> {
    /// The roles. If they change, the credential of a session becomes
    /// [due for a refresh](Identity::refresh_due) (OWASP ASVS 7.2.4).
    pub roles: Vec<String>,
    /// The device or client in the user's list of sessions (OWASP ASVS 7.5.2). A label of more than
    /// 512 bytes is cut.
    pub device: Option<String>,
    /// The application's data.
    pub data: D,
    identity: Identity<()>,
    now: Timestamp,
    step: Option<StepUp>,
}

/// The parts of a login that an edit has changed, in stored form.
#[derive(Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) roles: Option<Vec<String>>,
    pub(crate) device: Option<Option<String>>,
    pub(crate) data: Option<Option<Vec<u8>>>,
    pub(crate) step: Option<StepUp>,
}

impl<D> Edit<D> {
    /// The subject.
    #[must_use]
    pub fn subject(&self) -> &str {
        self.identity.subject()
    }

    /// The purpose of the credential: a login of the user, or an [API key](crate::api_keys). In an
    /// update of all logins of the user, a key only loses scopes.
    #[must_use]
    pub fn purpose(&self) -> Purpose {
        self.identity.purpose()
    }

    /// The public id of the login, to tell it apart in an update of all logins.
    #[must_use]
    pub fn id(&self) -> PublicId {
        self.identity.id()
    }

    /// The version of roles, device and data before this edit. Return an error if it is not the one
    /// that your user has seen. Zero for tokens.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.identity.version()
    }

    /// Notes that the user has just proven more than at login, for example by a second factor: the
    /// login has this authentication context class for a time, in whole seconds, and this moment as
    /// its [authentication time](Identity::authenticated_at). Then it has its own again. In a web
    /// service, call [`SignIn::step_up`](crate::web::SignIn::step_up).
    ///
    /// Only the credential that the update returns has the class. A copy of the presented one, or of
    /// an older one, never has it and derives nothing. [`Authenticator::update`] proves which login
    /// the user has: in an update of a listed login, or of all logins of a subject, it is *misuse*. Plain
    /// tokens are not listed, and an update of all of them does not call the edit.
    ///
    /// | strategy | presented | the class is in |
    /// |---|---|---|
    /// | session | its credential | a new credential, and those that refreshes make of it |
    /// | hybrid | an access token | that access token alone, which expires with it; a refresh returns to the class of the login |
    /// | hybrid | a refresh credential | new credentials of both kinds, and those that refreshes make of them |
    /// | token | the token | a new token, and those that refreshes make of it |
    ///
    /// If the answer is lost, the client keeps a valid credential without the class: the user proves
    /// it again. If that answer of a session is lost too, the user logs in again: the row knows one
    /// credential before the current one. A node whose clock was set back to before the proof, by more
    /// than five seconds, does not know how old it is: there the login has its own class.
    ///
    /// ```
    /// use std::time::Duration;
    /// use statewise::{Authenticator, Issued, Result};
    ///
    /// # fn is_right(_: &str) -> bool { true }
    /// async fn second_factor(
    ///     auth: &impl Authenticator<Data = ()>,
    ///     credential: &str,
    ///     code: &str,
    /// ) -> Result<Option<Issued>> {
    ///     if !is_right(code) {
    ///         return Ok(None);
    ///     }
    ///     let edit = &mut |login: &mut statewise::Edit| {
    ///         login.step_up("aal2", Duration::from_secs(10 * 60))
    ///     };
    ///     // Hand its credential to the client: the presented one has no second factor.
    ///     auth.update(credential, edit).await.map(Some)
    /// }
    /// # async fn tokens(auth: statewise::token::TokenAuthenticator) -> Result<Option<Issued>> {
    /// #     second_factor(&auth, "", "").await
    /// # }
    /// ```
    ///
    /// [`Authenticator::update`]: crate::Authenticator::update
    ///
    /// # Errors
    ///
    /// *Misuse* for an empty class, or for less than a second.
    pub fn step_up(&mut self, acr: impl Into<String>, lasts: Duration) -> Result<()> {
        let (acr, secs) = (acr.into(), lasts.as_secs());
        if acr.is_empty() || secs == 0 {
            return Err(Error::misuse(
                "a step-up without a class, or for less than a second: name the class that the \
                 user has proven, and the time for which it counts",
            ));
        }
        let until = self.now.saturating_add(secs);
        self.step = Some(StepUp::new(acr, self.now, until));
        Ok(())
    }

    /// Leaves out a step-up.
    pub(crate) fn drop_step(&mut self) {
        self.step = None;
    }

    /// Returns the class to which the edit steps the login up, and the time for which it lasts.
    pub(crate) fn stepped_up(&self) -> Option<(&str, Duration)> {
        let step = self.step.as_ref()?;
        let secs = step.until.saturating_since(step.at);
        Some((&step.acr, Duration::from_secs(secs)))
    }

    /// Returns true if the edit steps the login up.
    pub(crate) fn steps_up(&self) -> bool {
        self.step.is_some()
    }
}

impl<D: Serialize + 'static> Identity<D> {
    /// Returns the identity with the changes of an edit. Use it to implement
    /// [`Authenticator::update`](crate::Authenticator::update), and store the roles, the device and
    /// the data of the result.
    ///
    /// ```
    /// use statewise::{Edit, Identity, Login};
    /// use time::OffsetDateTime;
    ///
    /// let (now, login) = (OffsetDateTime::now_utc(), Login::new("alice").data("en"));
    /// let before = Identity::unverified(login, now, now + time::Duration::HOUR)?;
    /// let after = before.edited(&mut |login: &mut Edit<&str>| {
    ///     login.data = "de";
    ///     login.roles.push("translator".to_owned());
    ///     Ok(())
    /// })?;
    /// assert_eq!(*after.data(), "de");
    /// assert!(after.has_role("translator"));
    /// # Ok::<(), statewise::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The error of `edit`; *refused* if the login becomes too large; *misuse* if `edit`
    /// [steps the login up](Edit::step_up), which needs a credential that no other one derives.
    pub fn edited(self, edit: EditFn<'_, D>) -> Result<Self> {
        // Only a step-up reads the time.
        let (identity, changes) = self.edit(edit, Timestamp::default())?;
        if changes.step.is_some() {
            return Err(Error::misuse(
                "this authenticator does not step up logins: log the user in again, with a \
                 strategy that does",
            ));
        }
        check_size(&identity.fields, MAX_FIELD_BYTES)?;
        Ok(identity)
    }

    /// Returns the edited identity, and what has changed. Data that the edit leaves as they are do
    /// not count as changed, even if they are stored in the form of another version.
    pub(crate) fn edit(self, edit: EditFn<'_, D>, now: Timestamp) -> Result<(Self, Changes)> {
        let before = data::stored(&self.data)?;
        let (data, identity) = self.replace_data(());
        let mut edited = Edit {
            roles: identity.roles().map(str::to_owned).collect(),
            device: identity.device().map(str::to_owned),
            data,
            identity,
            now,
            step: None,
        };
        edit(&mut edited)?;
        let Edit {
            roles,
            device,
            data,
            mut identity,
            step,
            ..
        } = edited;
        let device = device.as_deref().map(device_label);
        let after = data::stored(&data)?;
        let changes = Changes {
            device: (device != identity.device()).then(|| device.map(str::to_owned)),
            roles: (!identity.roles().eq(&roles)).then_some(roles),
            data: (before != after).then_some(after),
            step,
        };
        let roles = changes.roles.as_deref();
        let roles = roles.map(|roles| roles.iter().map(String::as_str));
        let device = changes.device.as_ref().map(Option::as_deref);
        let step = changes.step.as_ref();
        identity.fields = identity.fields.with(roles, device, step, None);
        identity.is_stepped |= step.is_some();
        Ok((identity.with_data(data), changes))
    }
}

impl<D> fmt::Debug for Edit<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edit")
            .field("subject", &self.subject())
            .field("roles", &self.roles)
            .field("device", &self.device)
            .finish_non_exhaustive()
    }
}
