//! What a request presents.

use std::fmt;

use crate::base::secret::REDACTED;

/// What a request presents in one place. `Debug` shows no credential.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Found<'a> {
    /// Nothing, or nothing of ours.
    Absent,
    /// One credential. Nobody has verified it yet.
    One(&'a str),
    /// Several different values under one name, of which no order says the right one: two of
    /// them, those that could be ours first, and empty where there is no such.
    Ambiguous(&'a str, &'a str),
    /// Not what the rules of the field allow.
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
