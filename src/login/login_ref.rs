//! A login, as events and logouts name it.

use std::fmt;

use crate::base::public_id::PublicId;
use crate::login::fields::Fields;
use crate::login::handle::Handle;
use crate::login::identity::Identity;

/// A login in an event: its subject, public id, device, roles and authentication context class.
#[derive(Clone, Copy)]
pub struct LoginRef<'a> {
    subject: &'a str,
    fields: Option<&'a Fields>,
    id: Id,
}

/// The public id, or the handle that it is computed from.
#[derive(Clone, Copy)]
enum Id {
    Handle(Handle),
    Public(PublicId),
}

impl<'a> LoginRef<'a> {
    pub(crate) fn new(handle: Handle, fields: &'a Fields) -> Self {
        Self {
            subject: fields.subject(),
            fields: Some(fields),
            id: Id::Handle(handle),
        }
    }

    /// Names a login of `subject` by its public id, with an unknown device and unknown roles.
    #[must_use]
    pub const fn of(subject: &'a str, id: PublicId) -> Self {
        Self {
            subject,
            fields: None,
            id: Id::Public(id),
        }
    }

    /// The subject, as given at login.
    #[must_use]
    pub const fn subject(&self) -> &'a str {
        self.subject
    }

    /// The handle, if it is known.
    pub(crate) const fn handle(&self) -> Option<Handle> {
        match self.id {
            Id::Handle(handle) => Some(handle),
            Id::Public(_) => None,
        }
    }

    /// The device or client named at login; `None` if there is none, or it is unknown.
    #[must_use]
    pub fn device(&self) -> Option<&'a str> {
        self.fields.and_then(Fields::device)
    }

    /// The roles, in the order in which they were given; `None` if they are unknown.
    #[must_use]
    pub fn roles(&self) -> Option<impl Iterator<Item = &'a str> + use<'a>> {
        self.fields.map(Fields::roles)
    }

    /// The authentication context class that was given at login, without a
    /// [step-up](crate::Edit::step_up); `None` if there is none, or it is unknown.
    #[must_use]
    pub fn acr(&self) -> Option<&'a str> {
        self.fields.and_then(Fields::acr)
    }

    /// The public id of the login. Usually a hash, computed on each call.
    #[must_use]
    pub fn id(&self) -> PublicId {
        match self.id {
            Id::Handle(handle) => handle.public_id(),
            Id::Public(id) => id,
        }
    }
}

impl<'a, D> From<&'a Identity<D>> for LoginRef<'a> {
    fn from(identity: &'a Identity<D>) -> Self {
        Self {
            subject: identity.subject(),
            ..Self::new(identity.handle, &identity.fields)
        }
    }
}

impl fmt::Debug for LoginRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginRef")
            .field("subject", &self.subject)
            .field("id", &self.id())
            .field("device", &self.device())
            .finish()
    }
}
