//! Namespaces of the subject index.

use std::borrow::Cow;

use crate::error::Result;
use crate::login::fields::{RESERVED, check_subject};

/// A namespace of the subject index. Credentials of one purpose have one: the calls for all logins of
/// a subject, and the limit, do not meet those of another purpose in the same store.
///
/// The index has the subject after a prefix that begins with U+0001, and no subject of an application
/// begins with it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Namespace(String);

impl Namespace {
    /// Creates the namespace of one kind of credentials, such as `ticket`, under a name of the
    /// application. `kind` has no colon, and `name` no control character.
    pub(crate) fn new(kind: &str, name: &str) -> Self {
        Self(format!("{RESERVED}{kind}:{name}{RESERVED}"))
    }

    /// Returns the subject as the store indexes it.
    ///
    /// # Errors
    ///
    /// *Misuse* for a subject that begins with U+0001: it would name one of another namespace.
    pub(crate) fn index<'s>(&self, subject: &'s str) -> Result<Cow<'s, str>> {
        check_subject(subject)?;
        Ok(match self.0.as_str() {
            // Logins have none.
            "" => Cow::Borrowed(subject),
            prefix => Cow::Owned([prefix, subject].concat()),
        })
    }

    /// Returns the subject of the application, of an indexed one.
    pub(crate) fn subject<'s>(&self, indexed: &'s str) -> &'s str {
        indexed.strip_prefix(&self.0).unwrap_or(indexed)
    }
}
