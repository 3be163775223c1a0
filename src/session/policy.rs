//! The policy of sessions, as its builder has checked it.

use std::time::Duration;

use crate::clock::{self, Timestamp};
use crate::error::{Error, Result};
use crate::session::judge::Windows;
use crate::store::ask::Limit;
use crate::store::record::Record;
use crate::store::record_ref::RecordRef;

/// Timeouts, rotation and limits of logins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    pub(crate) timeouts: Timeouts,
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

/// The idle and the absolute timeout of a login, in seconds. The first one that passes ends the
/// login (OWASP ASVS 7.3.1, 7.3.2).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    idle: u64,
    absolute: u64,
}

impl Timeouts {
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

    /// Returns the deadline of a login with this time of authentication.
    pub(crate) fn deadline(self, authenticated_at: Timestamp) -> Timestamp {
        authenticated_at.saturating_add(self.absolute)
    }

    /// Shortens the idle timeout and the deadline of a row to these, so that a policy that was
    /// tightened after the login counts at once.
    #[inline]
    pub(crate) fn tightened(self, mut row: RecordRef<'_>) -> RecordRef<'_> {
        row.idle = row.idle.min(self.idle);
        row.deadline = row.deadline.min(self.deadline(row.authenticated_at));
        row
    }

    /// The same for a record of its own. Returns whether the login is still alive.
    pub(crate) fn tighten(self, row: &mut Record, now: Timestamp) -> bool {
        let tightened = self.tightened(RecordRef::from(&*row));
        (row.idle, row.deadline) = (tightened.idle, tightened.deadline);
        row.is_alive(now)
    }
}
