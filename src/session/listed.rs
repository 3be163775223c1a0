//! A subject's sessions, as a user or an administrator sees them.

use time::OffsetDateTime;

use crate::base::public_id::PublicId;
use crate::login::fields::Fields;
use crate::login::handle::Handle;
use crate::login::identity::Identity;
use crate::store::listing::Cursor;
use crate::store::record::Record;

/// A session in a list: who, where from and since when. It proves nothing about who is calling,
/// and holds nothing that could be presented (OWASP ASVS 7.5.2).
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

    fn fields(&self) -> &Fields {
        &self.record.fields
    }

    /// The id by which [`revoke_id`](crate::session::SessionAuthenticator::revoke_id) ends it.
    /// Equal to [`Identity::id`] of whoever presents its credential.
    #[must_use]
    pub fn id(&self) -> PublicId {
        self.record.public_id()
    }

    /// The user.
    #[must_use]
    pub fn subject(&self) -> &str {
        self.fields().subject()
    }

    /// The roles.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.fields().roles()
    }

    /// The device or client named at login.
    #[must_use]
    pub fn device(&self) -> Option<&str> {
        self.fields().device()
    }

    /// How strongly the user proved who they are, as named at login: the authentication context
    /// class (OpenID Connect Core, `acr`).
    #[must_use]
    pub fn acr(&self) -> Option<&str> {
        self.fields().acr()
    }

    /// When the login began.
    #[must_use]
    pub fn created_at(&self) -> OffsetDateTime {
        self.record.created_at.into()
    }

    /// When the user proved who they are.
    #[must_use]
    pub fn authenticated_at(&self) -> OffsetDateTime {
        self.record.authenticated_at.into()
    }

    /// When it was last used, to an eighth of the idle lifetime.
    #[must_use]
    pub fn last_seen_at(&self) -> OffsetDateTime {
        self.record.last_seen.into()
    }

    /// The first moment at which it is over if it is not used again.
    #[must_use]
    pub fn expires_at(&self) -> OffsetDateTime {
        self.record.expires_at().into()
    }

    /// The version of roles and data.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.record.version
    }
}

/// A page of a subject's sessions.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Sessions {
    /// The sessions, by deadline.
    pub sessions: Vec<Session>,
    /// What to pass for the next page; `None` if this is the last.
    pub next: Option<Cursor>,
}

/// A session in a certain version, as seen in an [`Identity`] or a [`Session`]: what a
/// [`replace`](crate::session::SessionAuthenticator::replace) compares with.
#[derive(Clone, Copy, Debug)]
pub struct SessionRef {
    pub(crate) handle: Handle,
    pub(crate) version: u64,
}

impl<D> From<&Identity<D>> for SessionRef {
    fn from(identity: &Identity<D>) -> Self {
        Self {
            handle: identity.handle,
            version: identity.version,
        }
    }
}

impl From<&Session> for SessionRef {
    fn from(session: &Session) -> Self {
        Self {
            handle: session.record.handle,
            version: session.record.version,
        }
    }
}
