//! Changes of a login that goes on.

use std::fmt;

use serde::Serialize;

use crate::base::public_id::PublicId;
use crate::error::Result;
use crate::login::data;
use crate::login::identity::{Identity, device_label};

/// Changes the roles, the device and the data of a login: a closure that gets an [`Edit`].
///
/// It may be called again with newer values if another caller has changed the login in between, so
/// set the same values each time it is called. If it returns an error, nothing is changed and the
/// error is passed on.
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
}

/// The parts of a login that an edit has changed, in stored form.
#[derive(Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) roles: Option<Vec<String>>,
    pub(crate) device: Option<Option<String>>,
    pub(crate) data: Option<Option<Vec<u8>>>,
}

impl<D> Edit<D> {
    /// The subject.
    #[must_use]
    pub fn subject(&self) -> &str {
        self.identity.subject()
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
}

impl<D: Serialize + 'static> Identity<D> {
    /// Returns the edited identity, and what has changed. Data that the edit leaves as they are do
    /// not count as changed, even if they are stored in the form of another version.
    pub(crate) fn edit(self, edit: EditFn<'_, D>) -> Result<(Self, Changes)> {
        let before = data::stored(&self.data)?;
        let (data, identity) = self.replace_data(());
        let mut edited = Edit {
            roles: identity.roles().map(str::to_owned).collect(),
            device: identity.device().map(str::to_owned),
            data,
            identity,
        };
        edit(&mut edited)?;
        let Edit {
            roles,
            device,
            data,
            mut identity,
        } = edited;
        let device = device.as_deref().map(device_label);
        let after = data::stored(&data)?;
        let changes = Changes {
            device: (device != identity.device()).then(|| device.map(str::to_owned)),
            roles: (!identity.roles().eq(&roles)).then_some(roles),
            data: (before != after).then_some(after),
        };
        let roles = changes.roles.as_deref();
        let roles = roles.map(|roles| roles.iter().map(String::as_str));
        let device = changes.device.as_ref().map(Option::as_deref);
        identity.fields = identity.fields.with(roles, device, None);
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
