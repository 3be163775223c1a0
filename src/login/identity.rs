//! Verified callers.

use std::fmt;

use time::OffsetDateTime;

use crate::base::public_id::PublicId;
use crate::clock::Timestamp;
use crate::entropy::SystemEntropy;
use crate::error::{Error, Refusal, Result};
use crate::login::Login;
use crate::login::begun::{Continued, IssuerId};
use crate::login::fields::{Fields, FieldsBuilder, check_subject};
use crate::login::handle::Handle;
use crate::login::purpose::{Purpose, user_of};
use crate::login::stamp::Stamp;
use crate::login::step_up::StepUp;

/// A verified caller.
///
/// Only an authenticator creates one, from a credential that it has verified. The exception,
/// [`Identity::unverified`], has a name that stands out in review. Cloning copies about two cache
/// lines and the data, and allocates nothing for `D = ()`.
#[derive(Clone)]
pub struct Identity<D = ()> {
    pub(crate) fields: Fields,
    pub(crate) handle: Handle,
    pub(crate) issued_at: Timestamp,
    pub(crate) authenticated_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) deadline: Timestamp,
    pub(crate) stamp: Option<Stamp>,
    pub(crate) version: u64,
    pub(crate) refresh_due: bool,
    /// The step-up in `fields` is in force.
    pub(crate) is_stepped: bool,
    pub(crate) purpose: Purpose,
    /// The authenticator that has verified or changed the login.
    pub(crate) verified_by: IssuerId,
    pub(crate) data: D,
}

impl<D> Identity<D> {
    /// Creates an identity without verifying anything.
    ///
    /// Use it to implement an [`Authenticator`](crate::Authenticator), and in tests of handlers.
    ///
    /// # Errors
    ///
    /// *Misuse* if the subject is empty, *refused* if the login is too large, *unavailable* if the
    /// entropy source fails, from which the [`id`](Self::id) is drawn.
    pub fn unverified(
        login: Login<D>,
        issued_at: OffsetDateTime,
        expires_at: OffsetDateTime,
    ) -> Result<Self> {
        let fields = fields_of(&login, None)?;
        check_size(&fields, MAX_FIELD_BYTES)?;
        let issued_at = Timestamp::from(issued_at);
        let expires_at = Timestamp::from(expires_at);
        Ok(Self {
            handle: Handle::draw(login.fields.subject_bytes(), &SystemEntropy)?
                .with_remembered(login.is_remembered),
            fields,
            issued_at,
            authenticated_at: login.authenticated_at.unwrap_or(issued_at).min(issued_at),
            expires_at,
            deadline: login.deadline.unwrap_or(expires_at),
            stamp: login.stamp,
            version: 0,
            refresh_due: false,
            is_stepped: false,
            purpose: Purpose::Login,
            verified_by: IssuerId::NONE,
            data: login.data,
        })
    }

    /// Returns the same identity with other data.
    #[inline]
    pub(crate) fn with_data<T>(self, data: T) -> Identity<T> {
        self.replace_data(data).1
    }

    /// Returns the data, and the same identity with other data.
    #[inline]
    pub(crate) fn replace_data<T>(self, data: T) -> (D, Identity<T>) {
        let identity = Identity {
            fields: self.fields,
            handle: self.handle,
            issued_at: self.issued_at,
            authenticated_at: self.authenticated_at,
            expires_at: self.expires_at,
            deadline: self.deadline,
            stamp: self.stamp,
            version: self.version,
            refresh_due: self.refresh_due,
            is_stepped: self.is_stepped,
            purpose: self.purpose,
            verified_by: self.verified_by,
            data,
        };
        (self.data, identity)
    }

    /// Sets the handle of the login, so that all verifications of one credential yield the same
    /// [`id`](Self::id). The handle also says whether the login is
    /// [remembered](Self::is_remembered): of handles from random bytes, every second one does. For
    /// implementers.
    #[must_use]
    pub fn with_handle(mut self, handle: Handle) -> Self {
        self.handle = handle;
        self
    }

    /// Sets the [`version`](Self::version). For implementers.
    #[must_use]
    pub fn with_version(mut self, version: u64) -> Self {
        self.version = version;
        self
    }

    /// Sets whether a [refresh is due](Self::refresh_due). For implementers.
    #[must_use]
    pub fn with_refresh_due(mut self, due: bool) -> Self {
        self.refresh_due = due;
        self
    }

    /// Sets the [`purpose`](Self::purpose). For implementers, and for tests of handlers.
    #[must_use]
    pub fn with_purpose(mut self, purpose: Purpose) -> Self {
        self.purpose = purpose;
        self
    }

    /// The subject, as given at login.
    #[must_use]
    pub fn subject(&self) -> &str {
        match self.purpose {
            Purpose::Login => self.fields.subject(),
            Purpose::ApiKey => user_of(self.fields.subject()),
        }
    }

    /// The purpose of the presented credential: a login of the user, or a key of a program.
    #[must_use]
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// The roles given at login, in that order.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.fields.roles()
    }

    /// Returns true if the user has this role. Compares bytes: no patterns, no case folding.
    ///
    /// Name roles by an enum of your application, so that the compiler finds a typing error. Every
    /// function that takes a role takes such an enum too:
    ///
    /// ```
    /// use statewise::{Identity, Login};
    ///
    /// enum Role { Admin, Editor }
    ///
    /// impl AsRef<str> for Role {
    ///     fn as_ref(&self) -> &str {
    ///         match self {
    ///             Self::Admin => "admin",
    ///             Self::Editor => "editor",
    ///         }
    ///     }
    /// }
    ///
    /// let login = Login::new("alice").role(Role::Admin);
    /// # let now = time::OffsetDateTime::now_utc();
    /// # let caller = Identity::unverified(login, now, now)?;
    /// assert!(caller.has_role(Role::Admin) && !caller.has_role(Role::Editor));
    /// # Ok::<(), statewise::Error>(())
    /// ```
    #[must_use]
    pub fn has_role(&self, role: impl AsRef<str>) -> bool {
        self.roles().any(|given| given == role.as_ref())
    }

    /// The time at which the presented credential was issued: the login of a session, or the token
    /// itself.
    #[must_use]
    pub fn issued_at(&self) -> OffsetDateTime {
        self.issued_at.into()
    }

    /// The time at which the user authenticated (OpenID Connect Core, `auth_time`), or that of a
    /// [step-up](crate::Edit::step_up) while it is in force. Rotation and refresh never change it.
    #[must_use]
    pub fn authenticated_at(&self) -> OffsetDateTime {
        self.proven_at().into()
    }

    /// The first moment at which the presented credential expires if it is not used before.
    #[must_use]
    pub fn expires_at(&self) -> OffsetDateTime {
        self.expires_at.into()
    }

    /// The absolute end of this login. No use, rotation or refresh extends it (OWASP ASVS 7.3.2).
    #[must_use]
    pub fn deadline(&self) -> OffsetDateTime {
        self.deadline.into()
    }

    /// The device or client named at login.
    #[must_use]
    pub fn device(&self) -> Option<&str> {
        self.fields.device()
    }

    /// The authentication context class: how strongly the user authenticated, as stated at login
    /// (OpenID Connect Core, `acr`), or that of a [step-up](crate::Edit::step_up) while it is in
    /// force. Rotation and refresh never change it.
    ///
    /// Decided when the credential is verified. Verify again before you rely on it minutes later.
    #[must_use]
    pub fn acr(&self) -> Option<&str> {
        match self.step() {
            Some(step) => Some(step.acr),
            None => self.fields.acr(),
        }
    }

    /// Returns the step-up that is in force.
    pub(crate) fn step(&self) -> Option<StepUp<&str>> {
        self.is_stepped.then(|| self.fields.step()).flatten()
    }

    /// Adds a step-up that is in force.
    pub(crate) fn set_step(&mut self, step: &StepUp) {
        self.fields = self.fields.with_step(step);
        self.is_stepped = true;
    }

    /// Returns the time of the latest authentication that is in force.
    pub(crate) fn proven_at(&self) -> Timestamp {
        self.step().map_or(self.authenticated_at, |step| step.at)
    }

    /// Returns true if the user chose to be [remembered](Login::remember). Rotation and refresh
    /// never change it.
    #[must_use]
    pub fn is_remembered(&self) -> bool {
        self.handle.is_remembered()
    }

    /// The application data of the user.
    #[must_use]
    pub fn data(&self) -> &D {
        &self.data
    }

    /// The public id of this login: safe to log, to list and to put into a URL. It does not help to
    /// find or forge a credential. A hash, computed on each call.
    #[must_use]
    pub fn id(&self) -> PublicId {
        self.handle.public_id()
    }

    /// The version of roles, device and data: the number of updates. Zero for tokens without a row.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Returns true if the caller should [`refresh`](crate::Authenticator::refresh) the credential
    /// and hand the new one to the client. Verification never refreshes.
    #[must_use]
    pub fn refresh_due(&self) -> bool {
        self.refresh_due
    }

    /// Converts the identity into a login that continues it, with its authentication time, acr,
    /// step-up, deadline, stamp and choice to be remembered. Use it to issue another kind of credential
    /// without a new authentication. Its age counts from the authentication: an authenticator of tokens
    /// with a [maximum lifetime](crate::token::TokenBuilder::max_lifetime) refuses it once it is older.
    ///
    /// If the login has ended since, [`issue`](crate::Authenticator::issue) refuses the new one as
    /// [outdated](Refusal::Outdated), where it can know that:
    ///
    /// | issued by | refused if |
    /// |---|---|
    /// | sessions or a hybrid, which have returned the identity from `verify`, `issue`, `refresh` or `update` | its login is no longer in the store |
    /// | an authenticator with a revocation log | the log has the end; tokens ask no log, and count what this node has read |
    /// | tokens without a log, or another store | never: begin before you verify, as below |
    ///
    /// Begin before you verify the identity, and pass that to
    /// [`Login::begun`]: an update of all logins in between then refuses the new login too.
    pub fn into_login(self) -> Login<D> {
        let step = self.step();
        let step = step.map(|step| StepUp::new(step.acr.to_owned(), step.at, step.until));
        let mut fields = FieldsBuilder::new(self.subject());
        self.roles().for_each(|role| fields.role(role));
        Login {
            fields,
            device: self.device().map(str::to_owned),
            acr: self.fields.acr().map(str::to_owned),
            is_remembered: self.handle.is_remembered(),
            data: self.data,
            replaces: Vec::new(),
            place: None,
            authenticated_at: Some(self.authenticated_at),
            deadline: Some(self.deadline),
            stamp: self.stamp,
            begun: None,
            continues: Some(Continued {
                handle: self.handle,
                verified_by: self.verified_by,
            }),
            is_upgrade: false,
            step,
        }
    }
}

impl<D> fmt::Debug for Identity<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("subject", &self.subject())
            .field("purpose", &self.purpose)
            .field("roles", &self.roles().collect::<Vec<_>>())
            .field("device", &self.device())
            .field("acr", &self.acr())
            .field("id", &self.id())
            .field("is_remembered", &self.is_remembered())
            .field("issued_at", &self.issued_at)
            .field("authenticated_at", &self.proven_at())
            .field("expires_at", &self.expires_at)
            .field("deadline", &self.deadline)
            .field("version", &self.version)
            .field("refresh_due", &self.refresh_due)
            .finish_non_exhaustive()
    }
}

/// Maximum bytes of subject, roles, device and acr together, unless another number is configured.
pub(crate) const MAX_FIELD_BYTES: usize = 4096;
/// Maximum bytes of a device label. It is for display, so that it is cut and not refused.
const MAX_DEVICE_BYTES: usize = 512;

/// Cuts a device label that is too long, between two characters.
pub(crate) fn device_label(device: &str) -> &str {
    let mut end = device.len().min(MAX_DEVICE_BYTES);
    while !device.is_char_boundary(end) {
        end -= 1;
    }
    &device[..end]
}

/// Refuses fields that without the data have more than `max` bytes.
///
/// # Errors
///
/// *Refused* as too large.
pub(crate) fn check_size(fields: &Fields, max: usize) -> Result<()> {
    if fields.as_bytes().len() > max && fields.size_without_data() > max {
        return Err(Error::refused(Refusal::TooLarge));
    }
    Ok(())
}

/// Builds the fields of a login, with `data` in stored form. Cuts a device label that is too long.
///
/// # Errors
///
/// *Misuse* for an empty or a reserved subject.
pub(crate) fn fields_of<D>(login: &Login<D>, data: Option<&[u8]>) -> Result<Fields> {
    if login.fields.subject_bytes().is_empty() {
        return Err(Error::misuse(
            "the subject of a login is empty: name the user",
        ));
    }
    check_subject(login.subject())?;
    if login.device.is_none() && login.acr.is_none() && login.step.is_none() && data.is_none() {
        return Ok(login.fields.build());
    }
    let mut builder = login.fields.clone();
    if let Some(device) = &login.device {
        builder.device(device_label(device));
    }
    if let Some(acr) = &login.acr {
        builder.acr(acr);
    }
    if let Some(step) = &login.step {
        builder.step(step);
    }
    if let Some(data) = data {
        builder.data(data);
    }
    Ok(builder.build())
}
