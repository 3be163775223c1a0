//! Pages of the logins of a subject.

use crate::clock::Timestamp;
use crate::login::handle::Handle;
use crate::store::record::Record;

/// The requested page of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page {
    /// End of the previous page; `None` for the first page.
    pub after: Option<Cursor>,
    /// Maximum number of logins; zero counts as one.
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

/// A position in the list of a subject's logins. The list is ordered by cursor.
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
    /// Beginning of the next page; `None` if this is the last one.
    pub next: Option<Cursor>,
}

impl Listing {
    /// Creates a page from its logins and the beginning of the next one.
    #[must_use]
    pub const fn new(records: Vec<Record>, next: Option<Cursor>) -> Self {
        Self { records, next }
    }
}
