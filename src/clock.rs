//! Time in whole seconds, from a clock that the application may replace.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;

use crate::error::{Error, Result};

/// A point in time: whole seconds since 1970-01-01 UTC, from there to 9999-12-31. In this range
/// every `NumericDate` of RFC 7519 is a calendar date.
///
/// All arithmetic saturates: no lifetime and no clock can cause an overflow or a panic.
///
/// ```
/// use statewise::clock::Timestamp;
///
/// let login = Timestamp::from_unix(1_000_000);
/// let end = login.saturating_add(3600);
/// assert_eq!(end.saturating_since(login), 3600);
/// assert_eq!(login.saturating_since(end), 0);
/// assert_eq!(Timestamp::MAX.saturating_add(1), Timestamp::MAX);
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const MIN: Self = Self(0);
    /// 9999-12-31T23:59:59Z.
    pub const MAX: Self = Self(253_402_300_799);

    /// Returns the point `seconds` after 1970-01-01 UTC, at most [`Self::MAX`].
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

    /// Returns the point `seconds` later, at most [`Self::MAX`].
    #[must_use]
    pub const fn saturating_add(self, seconds: u64) -> Self {
        Self::from_unix(self.0.saturating_add(seconds))
    }

    /// Returns the point `seconds` earlier, at least [`Self::MIN`].
    #[must_use]
    pub const fn saturating_sub(self, seconds: u64) -> Self {
        Self(self.0.saturating_sub(seconds))
    }

    /// Returns the seconds from `earlier` to here, or zero if `earlier` is later.
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

/// A source of the current time. Pass one to a builder to control the time in tests and
/// simulations.
///
/// ```
/// use std::time::Duration;
/// use statewise::clock::{Clock, SystemClock, Timestamp};
///
/// /// The time of the machine, corrected by a known error.
/// #[derive(Debug)]
/// struct Corrected(Duration);
///
/// impl Clock for Corrected {
///     fn now(&self) -> Option<Timestamp> {
///         Some(SystemClock.now()?.saturating_add(self.0.as_secs()))
///     }
/// }
///
/// let (right, machine) = (Corrected(Duration::from_secs(90)).now(), SystemClock.now());
/// assert!(right > machine);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a clock",
    label = "not a clock",
    note = "pass `SystemClock`, which is the default, or in tests a `ManualClock` of `testkit`"
)]
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Returns the current time, or `None` if the clock cannot tell it. Calls then fail as
    /// *unavailable*.
    fn now(&self) -> Option<Timestamp>;

    /// Returns the time since 1970 with its fraction of a second, or `None` if the clock cannot
    /// tell it. Default: the whole seconds of [`now`](Self::now).
    ///
    /// Only dates in tokens of other issuers have fractions, and are compared with it.
    fn since_epoch(&self) -> Option<Duration> {
        self.now().map(|now| Duration::from_secs(now.unix()))
    }
}

/// The clock of the operating system. It returns `None` before 1970.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Option<Timestamp> {
        let elapsed = self.since_epoch()?;
        Some(Timestamp::from_unix(elapsed.as_secs()))
    }

    #[inline]
    fn since_epoch(&self) -> Option<Duration> {
        SystemTime::now().duration_since(UNIX_EPOCH).ok()
    }
}

/// The time of the operating system at the last tick of the kernel, up to 10 ms behind.
///
/// On Linux, reading it takes about 2 ns instead of 22 ns, where the whole verification of a session
/// in memory takes about 180 ns and that of a token 370 ns (`cargo bench --bench verify --features
/// coarse-clock`, 2026-11-28). All times of this crate are whole seconds: a credential may be
/// accepted up to 10 ms past its expiry. On other systems it is the same as [`SystemClock`].
///
/// Give it to the builder of the authenticator. Views, logs and stores take the time that the
/// authenticator reads, or read their own clock rarely.
///
/// ```
/// use std::time::Duration;
/// use statewise::{clock::CoarseClock, session::SessionAuthenticator, store::MemoryStore};
///
/// let auth = SessionAuthenticator::builder(MemoryStore::with_capacity(100_000)?)
///     .idle(Duration::from_secs(30 * 60))
///     .absolute(Duration::from_secs(12 * 3600))
///     .clock(CoarseClock)
///     .build()?;
/// # let _: SessionAuthenticator<MemoryStore> = auth;
/// # Ok::<(), statewise::Error>(())
/// ```
#[cfg(feature = "coarse-clock")]
#[cfg_attr(docsrs, doc(cfg(feature = "coarse-clock")))]
#[derive(Clone, Copy, Debug, Default)]
pub struct CoarseClock;

#[cfg(feature = "coarse-clock")]
impl Clock for CoarseClock {
    #[cfg(target_os = "linux")]
    fn now(&self) -> Option<Timestamp> {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
        Some(Timestamp::from_unix(u64::try_from(now.tv_sec).ok()?))
    }

    #[cfg(not(target_os = "linux"))]
    fn now(&self) -> Option<Timestamp> {
        SystemClock.now()
    }

    fn since_epoch(&self) -> Option<Duration> {
        SystemClock.since_epoch()
    }
}

impl<C: Clock + ?Sized> Clock for std::sync::Arc<C> {
    fn now(&self) -> Option<Timestamp> {
        (**self).now()
    }

    fn since_epoch(&self) -> Option<Duration> {
        (**self).since_epoch()
    }
}

/// Reads the clock. If it cannot tell the time, the call is *unavailable*.
pub(crate) fn read(clock: &dyn Clock) -> Result<Timestamp> {
    clock.now().ok_or_else(no_time)
}

/// Reads the clock with the fraction of a second. If it cannot tell the time, the call is
/// *unavailable*.
pub(crate) fn read_exact(clock: &dyn Clock) -> Result<Duration> {
    clock.since_epoch().ok_or_else(no_time)
}

#[cold]
fn no_time() -> Error {
    Error::could_not("the clock could not tell the time", None)
}

/// Converts a lifetime to whole seconds, rounded down. Zero is a mistake in the configuration.
pub(crate) fn whole_seconds(what: &'static str, duration: Duration) -> Result<u64> {
    match duration.as_secs() {
        0 => Err(Error::misuse(format!(
            "the {what} is less than one second: give at least one"
        ))),
        seconds => Ok(seconds.min(Timestamp::MAX.unix())),
    }
}

/// Difference up to which the clocks of nodes count as synchronized: that of the manual.
pub(crate) const MAX_SKEW_SECS: u64 = 5;

/// Returns true if `time` is later than any clock of a node can show at `now`: this clock was set
/// back, and does not tell how long ago that time was.
#[inline]
pub(crate) fn is_ahead(time: Timestamp, now: Timestamp) -> bool {
    time > now.saturating_add(MAX_SKEW_SECS)
}

/// Returns true if `now` is less than `window` seconds from `start`, on either side: the clocks of
/// two nodes may disagree, and a clock that jumped must not extend the window forever.
pub(crate) fn within(start: Timestamp, window: u64, now: Timestamp) -> bool {
    now.saturating_since(start) < window && start.saturating_since(now) < window
}

#[cfg(all(test, feature = "coarse-clock"))]
mod tests {
    use super::*;

    #[test]
    fn the_coarse_clock_is_less_than_a_second_late() {
        let before = SystemClock.now();
        let coarse = CoarseClock.now();
        let after = SystemClock.now();
        assert!(coarse <= after, "{coarse:?} is later than {after:?}");
        let late = coarse
            .zip(before)
            .map(|(coarse, before)| before.saturating_since(coarse));
        assert!(late.is_some_and(|late| late <= 1), "{late:?} seconds late");
    }
}
