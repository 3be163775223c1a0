//! Sessions of a subject, as a user or an administrator sees them in a list.

use serde::de::DeserializeOwned;
use time::OffsetDateTime;

use crate::base::public_id::PublicId;
use crate::error::Result;
use crate::login::data::DataReader;
use crate::login::purpose::user_of;
use crate::store::listing::Cursor;
use crate::store::record::Record;

/// A session in a list: the user, the device, and when it began and was last used (OWASP ASVS
/// 7.5.2).
///
/// It authenticates no request, and contains nothing that a client could present.
#[derive(Clone, Debug)]
pub struct Session {
    record: Record,
}

impl Session {
    pub(crate) fn new(record: Record) -> Self {
        Self { record }
    }

    pub(crate) fn record(&self) -> &Record {
        &self.record
    }

    /// Returns the id with which [`revoke_id`](crate::session::SessionAuthenticator::revoke_id)
    /// ends the session. Equal to [`Identity::id`](crate::Identity::id) of a verified credential of this session.
    #[must_use]
    pub fn id(&self) -> PublicId {
        self.record.public_id()
    }

    /// Returns the user.
    #[must_use]
    pub fn subject(&self) -> &str {
        user_of(self.record.subject())
    }

    /// Returns the roles.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.record.fields.roles()
    }

    /// Returns the device or client named at login.
    #[must_use]
    pub fn device(&self) -> Option<&str> {
        self.record.fields.device()
    }

    /// Returns the authentication context class named at login: how strongly the user
    /// authenticated (OpenID Connect Core, `acr`).
    #[must_use]
    pub fn acr(&self) -> Option<&str> {
        self.record.fields.acr()
    }

    /// Returns true if the user chose to be [remembered](crate::Login::remember).
    #[must_use]
    pub fn is_remembered(&self) -> bool {
        self.record.handle.is_remembered()
    }

    /// Reads the application's data.
    ///
    /// `T` is usually the data type of the authenticator. Its
    /// [`data_or_else`](crate::session::SessionBuilder::data_or_else) is not asked. A type such as
    /// `serde_json::Value` reads the data of all versions.
    ///
    /// ```
    /// use statewise::session::Session;
    ///
    /// /// The data of a session: its network address.
    /// fn address(session: &Session) -> statewise::Result<String> {
    ///     session.data::<String>()
    /// }
    /// # let _ = address;
    /// ```
    ///
    /// # Errors
    ///
    /// [*Unreadable*](crate::Error::is_unreadable) if the data do not decode as `T`.
    pub fn data<T: DeserializeOwned + 'static>(&self) -> Result<T> {
        let data = DataReader::default().read(|| self.record.fields.data());
        data.map_err(|error| error.of_login(self.id()))
    }

    /// Returns when the login began.
    #[must_use]
    pub fn created_at(&self) -> OffsetDateTime {
        self.record.created_at.into()
    }

    /// Returns when the user authenticated.
    #[must_use]
    pub fn authenticated_at(&self) -> OffsetDateTime {
        self.record.authenticated_at.into()
    }

    /// Returns when the session was last used, to an eighth of the idle timeout and at most an hour.
    #[must_use]
    pub fn last_seen_at(&self) -> OffsetDateTime {
        self.record.last_seen.into()
    }

    /// Returns when the session expires, unless it is used before.
    #[must_use]
    pub fn expires_at(&self) -> OffsetDateTime {
        self.record.expires_at().into()
    }

    /// Returns the version of roles, device and data.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.record.version
    }
}

/// A page of a subject's sessions.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SessionPage {
    /// The sessions, by deadline.
    pub sessions: Vec<Session>,
    /// Beginning of the next page, for
    /// [`sessions`](crate::session::SessionAuthenticator::sessions). `None` on the last page.
    pub next: Option<Cursor>,
}
