//! Time, in whole seconds, from a clock that the application may replace.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;

use crate::error::{Error, Result};

/// A point in time: whole seconds since 1970-01-01 UTC, never before it and never after
/// 9999-12-31 (the range in which RFC 7519's `NumericDate` names a date that a calendar has).
///
/// All arithmetic saturates, so that no lifetime and no clock can overflow or panic.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const MIN: Self = Self(0);
    /// 9999-12-31T23:59:59Z.
    pub const MAX: Self = Self(253_402_300_799);

    /// The point `seconds` after 1970-01-01 UTC, at most [`Self::MAX`].
    #[must_use]
    pub const fn from_unix(seconds: u64) -> Self {
        if seconds > Self::MAX.0 {
            Self::MAX
        } else {
            Self(seconds)
        }
    }

    /// Seconds since 1970-01-01 UTC.
    #[must_use]
    pub const fn unix(self) -> u64 {
        self.0
    }

    /// The point `seconds` later, at most [`Self::MAX`].
    #[must_use]
    pub const fn saturating_add(self, seconds: u64) -> Self {
        Self::from_unix(self.0.saturating_add(seconds))
    }

    /// The point `seconds` earlier, at least [`Self::MIN`].
    #[must_use]
    pub const fn saturating_sub(self, seconds: u64) -> Self {
        Self(self.0.saturating_sub(seconds))
    }

    /// Seconds from `earlier` to here, zero if `earlier` is later.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl From<Timestamp> for OffsetDateTime {
    fn from(timestamp: Timestamp) -> Self {
        // In range by construction, so the fallback is never taken.
        i64::try_from(timestamp.0)
            .ok()
            .and_then(|seconds| Self::from_unix_timestamp(seconds).ok())
            .unwrap_or(Self::UNIX_EPOCH)
    }
}

impl From<OffsetDateTime> for Timestamp {
    /// Rounds down to the second and saturates at both ends.
    fn from(time: OffsetDateTime) -> Self {
        Self::from_unix(u64::try_from(time.unix_timestamp()).unwrap_or(0))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timestamp({})", self.0)
    }
}

/// Tells the time. Handed to a builder, so that tests and simulations bring their own.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The current time, or `None` if it cannot be told, which makes the act *unavailable*.
    fn now(&self) -> Option<Timestamp>;
}

/// The clock of the operating system. Cannot tell a time before 1970.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Option<Timestamp> {
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
        Some(Timestamp::from_unix(elapsed.as_secs()))
    }
}

impl<C: Clock + ?Sized> Clock for std::sync::Arc<C> {
    fn now(&self) -> Option<Timestamp> {
        (**self).now()
    }
}

/// Reads the clock; one that cannot tell the time makes the act *unavailable*.
pub(crate) fn read(clock: &dyn Clock) -> Result<Timestamp> {
    clock
        .now()
        .ok_or_else(|| Error::could_not("the clock could not tell the time", None))
}

/// A lifetime in whole seconds, rounded down; zero is a mistake in the configuration.
pub(crate) fn whole_seconds(what: &'static str, duration: Duration) -> Result<u64> {
    match duration.as_secs() {
        0 => Err(Error::misuse(format!(
            "the {what} is less than one second: give at least one"
        ))),
        seconds => Ok(seconds.min(Timestamp::MAX.unix())),
    }
}

/// Whether `now` is less than `window` seconds from `start`, on either side: clocks of two nodes
/// may disagree, and one that jumped must not stretch the window to the end of time.
pub(crate) fn within(start: Timestamp, window: u64, now: Timestamp) -> bool {
    now.saturating_since(start) < window && start.saturating_since(now) < window
}
