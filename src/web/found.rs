//! Result of a search for a credential in a request.

use std::fmt;

use crate::base::secret::REDACTED;

/// Result of a search for a credential in one place of a request. `Debug` shows no credential.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Found<'a> {
    /// No credential, or only values of other applications.
    Absent,
    /// One credential. It is not verified.
    One(&'a str),
    /// Several different credentials under one name, of which it holds two. They are not verified,
    /// and their order does not tell which one is right.
    Ambiguous(&'a str, &'a str),
    /// A value that breaks the syntax of its field.
    Malformed,
}

impl fmt::Debug for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("Absent"),
            Self::One(_) => write!(f, "One({REDACTED})"),
            Self::Ambiguous(..) => write!(f, "Ambiguous({REDACTED}, {REDACTED})"),
            Self::Malformed => f.write_str("Malformed"),
        }
    }
}
