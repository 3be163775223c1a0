//! Parameters of calls to a store.

use std::fmt;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::login::handle::Handle;
use crate::login::stamp::Stamp;
use crate::login::step_up::StepUp;
use crate::store::listing::Cursor;
use crate::store::proof::Proof;
use crate::store::record::Record;

/// The maximum number of live sessions per subject (OWASP ASVS 7.1.2). At least one: builders
/// refuse zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// Limited only by the capacity of the store.
    #[default]
    Unlimited,
    /// This number; a further login is refused.
    Reject(u32),
    /// This number; a further login evicts the oldest, the one with the earliest deadline. Logins that
    /// began within the same second usually have the same deadline: the choice among them is random.
    EvictOldest(u32),
    /// This number; a further login evicts the least recently used one, whatever its deadline. Among
    /// logins with the same last use, the one with the earliest deadline goes first.
    ///
    /// A use is recorded at most once per eighth of the idle timeout, and once per hour if that is
    /// shorter. The last use is exact to that: with an idle timeout of 30 minutes to four minutes,
    /// with one of 30 days to an hour.
    EvictLeastRecentlyUsed(u32),
}

impl Limit {
    /// Returns the maximum number of live sessions, if there is one.
    pub(crate) const fn max(self) -> Option<u32> {
        match self {
            Self::Unlimited => None,
            Self::Reject(max) | Self::EvictOldest(max) | Self::EvictLeastRecentlyUsed(max) => {
                Some(max)
            }
        }
    }

    pub(crate) const fn evicts(self) -> bool {
        matches!(self, Self::EvictOldest(_) | Self::EvictLeastRecentlyUsed(_))
    }

    pub(crate) const fn is_by_use(self) -> bool {
        matches!(self, Self::EvictLeastRecentlyUsed(_))
    }

    /// Returns the logins to evict so that one more fits, from the live logins of a subject. `None`
    /// if the limit rejects another one. For implementers of a store.
    ///
    /// ```
    /// use std::collections::BTreeMap;
    /// use statewise::store::contract::{Created, Handle, Limit, Record};
    ///
    /// /// The core of `create`. `alive` are the live logins of the subject of `new`.
    /// fn insert(
    ///     rows: &mut BTreeMap<Handle, Record>,
    ///     alive: &[Record],
    ///     new: Record,
    ///     limit: Limit,
    /// ) -> Created {
    ///     let Some(evicted) = limit.to_evict(alive) else {
    ///         return Created::LimitReached;
    ///     };
    ///     for handle in &evicted {
    ///         rows.remove(handle);
    ///     }
    ///     rows.insert(new.handle(), new);
    ///     Created::Stored { evicted }
    /// }
    /// # let _ = insert;
    /// ```
    #[must_use]
    pub fn to_evict<'r>(self, alive: impl IntoIterator<Item = &'r Record>) -> Option<Vec<Handle>> {
        let describe = |row: &&Record| (row.last_seen(), Cursor::from(*row));
        let evicted = self.pick(alive.into_iter().collect(), describe)?;
        Some(evicted.into_iter().map(Record::handle).collect())
    }

    /// As [`to_evict`](Self::to_evict), of logins that `describe` gives the last use and the cursor.
    pub(crate) fn pick<T>(
        self,
        mut alive: Vec<T>,
        describe: impl Fn(&T) -> (Timestamp, Cursor),
    ) -> Option<Vec<T>> {
        let max = self.max().and_then(|max| usize::try_from(max).ok());
        let excess = (alive.len() + 1).saturating_sub(max.unwrap_or(usize::MAX));
        if excess == 0 {
            return Some(Vec::new());
        }
        if !self.evicts() {
            return None;
        }
        alive.sort_by_cached_key(|login| {
            let (last_seen, cursor) = describe(login);
            (self.is_by_use().then_some(last_seen), cursor)
        });
        alive.truncate(excess);
        Some(alive)
    }
}

/// Options of a lookup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Load {
    /// Record this use in the same round trip, at most once per eighth of this idle timeout or per
    /// hour. It is the timeout of the strategy. A store needs it if its server expires rows, because
    /// the store has not seen the row yet. The store still judges the row by its own timeout. A store
    /// that would need a second round trip does not record the use. With `None`, the last use in the
    /// answer is exact, or a second early.
    pub touch: Option<Duration>,
    /// Skip copies and ask the store itself.
    pub authoritative: bool,
}

impl Load {
    /// The default: copies may answer, and no use is recorded.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            touch: None,
            authoritative: false,
        }
    }

    /// Records this use in the same round trip, at most once per eighth of `idle`, the idle timeout
    /// of the strategy, or per hour.
    #[must_use]
    pub const fn touch(mut self, idle: Duration) -> Self {
        self.touch = Some(idle);
        self
    }

    /// Skips copies and asks the store itself.
    #[must_use]
    pub const fn authoritative(mut self) -> Self {
        self.authoritative = true;
        self
    }
}

/// The replacement of a credential by its successor.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Rotation {
    /// The generation of the presented credential.
    pub generation: u32,
    /// The proof of the presented credential.
    pub presented: Proof,
    /// The proof of its successor.
    pub next: Proof,
    /// The seed from which a holder of the presented credential derives its successor.
    pub seed: [u8; 16],
    /// The time after a rotation in which the row is not rotated again. In whole seconds.
    pub overlap: Duration,
    /// The idle timeout of the strategy, in whole seconds. The rotation stores it in the row if it is
    /// shorter than that of the row. A row that was not used for this long is not rotated.
    pub idle: Duration,
}

/// The changes of an update, for [`Record::update`]. `None` keeps the current value.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Update {
    /// The roles.
    pub roles: Option<Vec<String>>,
    /// The name of the device; `Some(None)` removes it.
    pub device: Option<Option<String>>,
    /// The application's data in stored form; `Some(None)` removes them.
    pub data: Option<Option<Vec<u8>>>,
    /// The stamp.
    pub stamp: Option<Stamp>,
    /// The step-up, which only [`Record::update`] writes.
    pub(crate) step: Option<StepUp>,
}

impl fmt::Debug for Update {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Update")
            .field("roles", &self.roles)
            .field("device", &self.device)
            .field("step", &self.step)
            .field("stamp", &self.stamp)
            .finish_non_exhaustive()
    }
}

/// The logins of a subject that a removal covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Scope {
    /// Keeps this login.
    pub keep: Option<Handle>,
    /// Covers only logins that began before this position of the revocation log. Logins with an
    /// unknown position, or in another incarnation of the log, count as older.
    pub before: Option<Stamp>,
}

impl Scope {
    /// Covers all logins.
    #[must_use]
    pub const fn all() -> Self {
        Self {
            keep: None,
            before: None,
        }
    }

    /// Covers all logins but one.
    #[must_use]
    pub const fn others(keep: Handle) -> Self {
        Self {
            keep: Some(keep),
            before: None,
        }
    }

    /// Covers only logins that began before this position of the revocation log.
    #[must_use]
    pub const fn before(mut self, stamp: Stamp) -> Self {
        self.before = Some(stamp);
        self
    }

    pub(crate) fn covers(&self, handle: Handle, stamp: Option<Stamp>) -> bool {
        let before = self.before.is_none_or(|limit| match stamp {
            Some(stamp) if stamp.incarnation() == limit.incarnation() => {
                stamp.position() < limit.position()
            }
            // Stamped by another log or not at all: the position is unknown, so the login is
            // covered.
            _ => true,
        });
        before && self.keep != Some(handle)
    }
}
