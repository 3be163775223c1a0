//! The policy of sessions, as its builder has checked it.

use std::time::Duration;

use crate::clock::{self, Timestamp};
use crate::error::{Error, Result};
use crate::login::handle::Handle;
use crate::session::judge::Windows;
use crate::store::ask::Limit;
use crate::store::record::Record;
use crate::store::record_ref::RecordRef;

/// Timeouts, rotation and limits of logins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    /// Those of logins that are not remembered, and of those that are.
    pub(crate) timeouts: [Timeouts; 2],
    pub(crate) windows: Windows,
    /// Age in seconds at which a credential is due for a refresh.
    pub(crate) rotate_after: Option<u64>,
    pub(crate) reject_orphaned: bool,
    pub(crate) limit: Limit,
    /// Bytes that subject, roles, device and acr of a login may have together.
    pub(crate) max_fields: usize,
    /// Bytes of application data that a login may have.
    pub(crate) max_data: usize,
}

impl Policy {
    /// Returns the timeouts of a new login.
    pub(crate) fn timeouts_of_new(&self, is_remembered: bool) -> Timeouts {
        match self.timeouts[usize::from(is_remembered)] {
            Timeouts::UNLIMITED => self.timeouts[0],
            timeouts => timeouts,
        }
    }

    /// Returns the timeouts by which a login is judged. [`Timeouts::UNLIMITED`] leaves them as they
    /// are in its row.
    #[inline]
    pub(crate) fn timeouts_of(&self, handle: Handle) -> Timeouts {
        self.timeouts[usize::from(handle.is_remembered())]
    }

    /// Shortens the idle timeout and the deadline of a row to those of the policy, so that a policy
    /// that was tightened after the login counts at once.
    #[inline]
    pub(crate) fn tightened<'r>(&self, mut row: RecordRef<'r>) -> RecordRef<'r> {
        let timeouts = self.timeouts_of(row.handle);
        row.idle = row.idle.min(timeouts.idle);
        row.deadline = row.deadline.min(timeouts.deadline(row.authenticated_at));
        row
    }

    /// The same for a record of its own. Returns whether the login is still alive.
    pub(crate) fn tighten(&self, row: &mut Record, now: Timestamp) -> bool {
        let tightened = self.tightened(RecordRef::from(&*row));
        (row.idle, row.deadline) = (tightened.idle, tightened.deadline);
        row.is_alive(now)
    }
}

/// The idle and the absolute timeout of a login, in seconds. The first one that passes ends the
/// login (OWASP ASVS 7.3.1, 7.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timeouts {
    idle: u64,
    absolute: u64,
}

impl Timeouts {
    /// No builder configures these, as they are beyond the year 9999.
    pub(crate) const UNLIMITED: Self = Self {
        idle: u64::MAX,
        absolute: u64::MAX,
    };

    pub(crate) fn new(idle: Duration, absolute: Duration) -> Result<Self> {
        let idle = clock::whole_seconds("idle timeout", idle)?;
        let absolute = clock::whole_seconds("absolute timeout", absolute)?;
        if idle > absolute {
            return Err(Error::misuse(
                "the idle timeout is longer than the absolute timeout and would never be reached: \
                 shorten it",
            ));
        }
        Ok(Self { idle, absolute })
    }

    pub(crate) fn idle(self) -> Duration {
        Duration::from_secs(self.idle)
    }

    /// Returns the idle timeout for [`Load::touch`](crate::store::ask::Load::touch). `None` if only
    /// the row knows it.
    pub(crate) fn touch(self) -> Option<Duration> {
        (self != Self::UNLIMITED).then(|| self.idle())
    }

    /// Returns whether one of these is shorter than that of `other`.
    pub(crate) fn is_shorter(self, other: Self) -> bool {
        self.idle < other.idle || self.absolute < other.absolute
    }

    /// Returns the longest absolute timeout of these and of those of remembered logins, in seconds.
    pub(crate) fn longest(self, remembered: Self) -> u64 {
        match remembered {
            Self::UNLIMITED => self.absolute,
            remembered => self.absolute.max(remembered.absolute),
        }
    }

    /// Returns the deadline of a login with this time of authentication.
    pub(crate) fn deadline(self, authenticated_at: Timestamp) -> Timestamp {
        authenticated_at.saturating_add(self.absolute)
    }
}
