//! Answers of a store.

use crate::login::affected::Affected;
use crate::login::handle::Handle;
use crate::login::issued::Revocation;
use crate::store::record::Record;

/// The result of [`create`](crate::store::contract::SessionStore::create).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Created {
    /// The login is stored. The limit evicted the listed ones.
    Stored {
        /// The logins that the limit evicted.
        evicted: Vec<Handle>,
    },
    /// The handle already exists. Nothing was changed.
    Duplicate,
    /// The subject has the maximum number of logins. Nothing was changed.
    LimitReached,
    /// The store is full. Nothing was changed.
    Full,
}

/// The result of [`peek`](crate::store::contract::SessionStore::peek).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Peeked<T> {
    /// The login is live. The result of the function that got its row.
    Live(T),
    /// There is no such login. The credential is rejected without a load.
    Absent,
    /// The store cannot answer without I/O, or has more to do than to read. Call
    /// [`load`](crate::store::contract::SessionStore::load).
    NeedsLoad,
}

/// A live row after a [`change`](crate::store::contract::SessionStore::change).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Changed {
    /// The result of the function: true if it changed the row.
    pub changed: bool,
    /// The row, changed or not.
    pub record: Record,
}

impl Changed {
    /// Creates an answer from a row and the result of the function.
    #[must_use]
    pub const fn new(changed: bool, record: Record) -> Self {
        Self { changed, record }
    }
}

/// The result of a rotation.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Rotated {
    /// This call rotated the row; this is the new state.
    Done(Record),
    /// The row is unchanged: the presented credential is not the current one, or the row was
    /// rotated within the overlap. The caller judges the credential by the row.
    Unchanged(Record),
    /// There is no row, or it has expired.
    Absent,
}

impl From<Option<Changed>> for Rotated {
    /// Translates the answer of a change by [`Record::rotate`].
    fn from(changed: Option<Changed>) -> Self {
        match changed {
            Some(Changed {
                changed: true,
                record,
            }) => Self::Done(record),
            Some(Changed {
                changed: false,
                record,
            }) => Self::Unchanged(record),
            None => Self::Absent,
        }
    }
}

/// The result of a compare-and-swap.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Updated {
    /// The row was changed.
    Done {
        /// The new state of the row.
        record: Record,
        /// The time from which no node shows the former state.
        effective: Revocation,
    },
    /// The version differs, and nothing was changed.
    Conflict,
    /// There is no row, or it has expired.
    Absent,
}

impl Updated {
    /// Changed the row to `record`, at once and everywhere.
    #[must_use]
    pub const fn at_once(record: Record) -> Self {
        Self::Done {
            record,
            effective: Revocation::Immediate,
        }
    }
}

impl From<Option<Changed>> for Updated {
    /// Translates the answer of a change by [`Record::update`].
    fn from(changed: Option<Changed>) -> Self {
        match changed {
            Some(Changed {
                changed: true,
                record,
            }) => Self::at_once(record),
            Some(Changed { changed: false, .. }) => Self::Conflict,
            None => Self::Absent,
        }
    }
}

/// The result of a removal: the number of ended logins and the time at which it takes effect.
#[must_use = "a removal may not have taken effect yet"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Removed {
    /// Number of removed logins.
    pub count: u64,
    /// The time from which no node accepts any of them.
    pub effective: Revocation,
}

impl Removed {
    /// Ended `count` logins, at once and everywhere.
    pub const fn at_once(count: u64) -> Self {
        Self {
            count,
            effective: Revocation::Immediate,
        }
    }

    /// Ended `count` logins, with effect as `effective` says.
    pub const fn with_effect(count: u64, effective: Revocation) -> Self {
        Self { count, effective }
    }
}

impl From<Removed> for Affected {
    fn from(removed: Removed) -> Self {
        Self::new(Some(removed.count), removed.effective)
    }
}

/// The number of live logins in a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LiveCount {
    /// Number of live logins.
    pub logins: u64,
    /// Number of subjects that have at least one of them.
    pub subjects: u64,
}

/// The result of a sweep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Swept {
    /// Number of removed rows.
    pub removed: u64,
    /// True if this round has more rows to visit. A round starts where the last call ended, so that
    /// two complete rounds visit every row.
    pub more: bool,
}

impl Swept {
    /// Removed that many rows, with more to visit or not.
    #[must_use]
    pub const fn new(removed: u64, more: bool) -> Self {
        Self { removed, more }
    }
}
