//! The logins of a subject, page by page.

use crate::clock::Timestamp;
use crate::login::handle::Handle;
use crate::store::record::Record;

/// Which page of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page {
    /// Where the page before ended; `None` for the first.
    pub after: Option<Cursor>,
    /// How many at most; zero counts as one.
    pub limit: usize,
}

impl Page {
    /// The first page, of at most `limit` logins.
    #[must_use]
    pub const fn first(limit: usize) -> Self {
        Self { after: None, limit }
    }

    /// The page behind `cursor`, of at most `limit` logins.
    #[must_use]
    pub const fn after(cursor: Cursor, limit: usize) -> Self {
        Self {
            after: Some(cursor),
            limit,
        }
    }
}

/// A place in the list of a subject's logins: they are listed in the order of their cursors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Cursor {
    /// The deadline of the last login listed.
    pub deadline: Timestamp,
    /// Its handle.
    pub handle: Handle,
}

impl From<&Record> for Cursor {
    fn from(record: &Record) -> Self {
        Self {
            deadline: record.deadline(),
            handle: record.handle(),
        }
    }
}

/// A page of a list.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Listing {
    /// The logins.
    pub records: Vec<Record>,
    /// Where the next page begins; `None` if this is the last.
    pub next: Option<Cursor>,
}

impl Listing {
    /// A page, and where the next one begins.
    #[must_use]
    pub const fn new(records: Vec<Record>, next: Option<Cursor>) -> Self {
        Self { records, next }
    }
}
