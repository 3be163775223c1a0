//! Purposes of credentials.

use crate::login::fields::RESERVED;

/// Purpose of a credential.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Purpose {
    /// A login of the user: a session or a token.
    #[default]
    Login,
    /// A key of a program that acts for the user. See [`api_keys`](crate::api_keys).
    ApiKey,
}

/// Kind of the namespaces in which a store indexes API keys.
pub(crate) const API_KEYS: &str = "key";

/// Returns the purpose of a row with this subject.
#[inline]
pub(crate) fn purpose_of(subject: &[u8]) -> Purpose {
    match subject {
        // Reserved, and the kind.
        [1, b'k', b'e', b'y', b':', ..] => Purpose::ApiKey,
        _ => Purpose::Login,
    }
}

/// Returns the user of a subject in a namespace, and any other subject as it is.
pub(crate) fn user_of(subject: &str) -> &str {
    let in_namespace = subject.strip_prefix(RESERVED);
    let parts = in_namespace.and_then(|rest| rest.split_once(RESERVED));
    parts.map_or(subject, |(_, user)| user)
}
