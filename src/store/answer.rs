//! What a store answers.

use crate::login::handle::Handle;
use crate::login::issued::Revocation;
use crate::store::record::Record;

/// What became of a new login.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Created {
    /// It is stored, and these had to go for it.
    Stored {
        /// The logins that the limit evicted.
        evicted: Vec<Handle>,
    },
    /// Its handle is there already. Nothing was changed.
    Duplicate,
    /// The subject has as many as it may. Nothing was changed.
    LimitReached,
    /// The store is full. Nothing was changed.
    Full,
}

/// A live row as it is after a [`change`](crate::store::contract::SessionStore::change).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Changed {
    /// What the function answered: whether it changed the row.
    pub changed: bool,
    /// The row, changed or not.
    pub record: Record,
}

impl Changed {
    /// A row, and whether it was changed.
    #[must_use]
    pub const fn new(changed: bool, record: Record) -> Self {
        Self { changed, record }
    }
}

/// What became of a rotation.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Rotated {
    /// This call advanced the row, and here it is.
    Advanced(Record),
    /// The row is as it was: the presented credential is not the current one, or was rotated a
    /// moment ago. The caller judges by the row.
    Unchanged(Record),
    /// There is none, or it is over.
    Absent,
}

impl From<Option<Changed>> for Rotated {
    /// Reads the answer of a change by [`Record::rotate`].
    fn from(changed: Option<Changed>) -> Self {
        match changed {
            Some(Changed {
                changed: true,
                record,
            }) => Self::Advanced(record),
            Some(Changed {
                changed: false,
                record,
            }) => Self::Unchanged(record),
            None => Self::Absent,
        }
    }
}

/// What became of a compare-and-swap.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Updated {
    /// Done; here is the row as it is now.
    Done(Record),
    /// The version is another one, and nothing was changed.
    Conflict,
    /// There is none, or it is over.
    Absent,
}

impl From<Option<Changed>> for Updated {
    /// Reads the answer of a change by [`Record::update`].
    fn from(changed: Option<Changed>) -> Self {
        match changed {
            Some(Changed {
                changed: true,
                record,
            }) => Self::Done(record),
            Some(Changed { changed: false, .. }) => Self::Conflict,
            None => Self::Absent,
        }
    }
}

/// What a removal ended, and when that takes effect.
#[must_use = "a removal may not have taken effect yet"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Removed {
    /// How many logins were there.
    pub count: u64,
    /// When the last place that might still accept one of them stops doing so.
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

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Swept {
    /// How many rows it removed.
    pub removed: u64,
    /// Whether there is more to look at in this round. A round begins where the last call ended,
    /// so that two whole ones see everything.
    pub more: bool,
}

impl Swept {
    /// Removed so many rows, with more to look at or not.
    #[must_use]
    pub const fn new(removed: u64, more: bool) -> Self {
        Self { removed, more }
    }
}
