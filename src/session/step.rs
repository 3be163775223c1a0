//! What the steps of a store are told, and what they answer.

use std::fmt;

use crate::clock::Timestamp;
use crate::handle::{Handle, Stamp};
use crate::issued::Revocation;
use crate::session::credential::Proof;
use crate::session::lifetime::Touch;
use crate::session::record::Record;

/// How many sessions a subject may have at once (OWASP ASVS 7.1.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// As many as there is room for.
    #[default]
    Unlimited,
    /// This many; a further login is refused.
    Reject(u32),
    /// This many; a further login ends the oldest, which is the one with the earliest deadline.
    EvictOldest(u32),
}

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

/// How to find a login.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Load {
    /// Note the use.
    pub touch: Option<Touch>,
    /// Ask the authority itself, and skip what is cached.
    pub authoritative: bool,
}

impl Load {
    /// As usual, and without noting a use.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            touch: None,
            authoritative: false,
        }
    }

    /// Notes the use.
    #[must_use]
    pub const fn touch(mut self, touch: Touch) -> Self {
        self.touch = Some(touch);
        self
    }

    /// Skips what is cached.
    #[must_use]
    pub const fn authoritative(mut self) -> Self {
        self.authoritative = true;
        self
    }
}

/// The replacement of a credential by its successor.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Renewal {
    /// The generation of the presented credential.
    pub generation: u32,
    /// The proof of the presented credential.
    pub presented: Proof,
    /// The proof of its successor.
    pub next: Proof,
    /// From which, with the presented credential, anyone who holds it derives the successor.
    pub seed: [u8; 16],
    /// Seconds after a renewal in which the row does not advance again.
    pub overlap: u64,
    /// The idle time of now, in seconds.
    pub idle: u64,
}

/// What became of a renewal.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Renewed {
    /// This call advanced the row, and here it is.
    Advanced(Record),
    /// The row is as it was: the presented credential is not the current one, or was renewed a
    /// moment ago. The caller judges by the row.
    Unchanged(Record),
    /// There is none, or it is over.
    Absent,
}

/// What to replace in a login. What is `None` stays.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// The roles.
    pub roles: Option<Vec<String>>,
    /// The application's data, in the form that the strategy gave it; `Some(None)` takes it away.
    pub data: Option<Option<Vec<u8>>>,
    /// The place in the revocation log.
    pub stamp: Option<Stamp>,
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Change")
            .field("roles", &self.roles)
            .field("stamp", &self.stamp)
            .finish_non_exhaustive()
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

/// Which logins of a subject: all, or fewer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Scope {
    /// Not this one.
    pub keep: Option<Handle>,
    /// Only those that began before this place in the revocation log; those whose place is
    /// unknown, or in another incarnation of the log, count as before.
    pub before: Option<Stamp>,
}

impl Scope {
    /// All.
    #[must_use]
    pub const fn all() -> Self {
        Self {
            keep: None,
            before: None,
        }
    }

    /// All but one.
    #[must_use]
    pub const fn others(keep: Handle) -> Self {
        Self {
            keep: Some(keep),
            before: None,
        }
    }

    /// Only those that began before this place in the revocation log.
    #[must_use]
    pub const fn before(mut self, stamp: Stamp) -> Self {
        self.before = Some(stamp);
        self
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

/// Which page of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page {
    /// Where the page before ended; `None` for the first.
    pub after: Option<Cursor>,
    /// How many at most.
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

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Swept {
    /// How many rows it removed.
    pub removed: u64,
    /// Whether there is more to look at in this round.
    pub more: bool,
}

impl Swept {
    /// Removed so many rows, with more to look at or not.
    #[must_use]
    pub const fn new(removed: u64, more: bool) -> Self {
        Self { removed, more }
    }
}
