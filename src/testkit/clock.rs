//! A clock that tests move by hand.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use time::OffsetDateTime;

use crate::clock::{Clock, Timestamp};

/// 2026-01-01T00:00:00Z.
const START: Timestamp = Timestamp::from_unix(1_767_225_600);

/// A clock that stands still until it is moved. Clones are the same clock.
///
/// ```
/// use std::time::Duration;
/// use statewise::{clock::Clock, testkit::ManualClock};
///
/// let clock = ManualClock::default();
/// let before = clock.now().unwrap();
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(clock.now(), Some(before.saturating_add(60)));
/// clock.stop();
/// assert_eq!(clock.now(), None);
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock {
    now: Arc<Mutex<Option<Timestamp>>>,
}

impl ManualClock {
    /// A clock that shows `now`.
    #[must_use]
    pub fn new(now: OffsetDateTime) -> Self {
        Self::at(now.into())
    }

    /// A clock that shows `now`.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self {
            now: Arc::new(Mutex::new(Some(now))),
        }
    }

    /// Moves on by whole seconds. A clock that was [stopped](Self::stop) stays so.
    pub fn advance(&self, by: Duration) {
        self.change(|now| now.map(|now| now.saturating_add(by.as_secs())));
    }

    /// Moves back by whole seconds. A clock that was [stopped](Self::stop) stays so.
    pub fn turn_back(&self, by: Duration) {
        self.change(|now| now.map(|now| now.saturating_sub(by.as_secs())));
    }

    /// Shows `now`, earlier or later, and goes again if it was stopped.
    pub fn set(&self, now: impl Into<Timestamp>) {
        let now = now.into();
        self.change(|_| Some(now));
    }

    /// Cannot tell the time any more, until it is [set](Self::set).
    pub fn stop(&self) {
        self.change(|_| None);
    }

    fn change(&self, change: impl FnOnce(Option<Timestamp>) -> Option<Timestamp>) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        *now = change(*now);
    }
}

impl Default for ManualClock {
    /// A clock that shows 2026-01-01T00:00:00Z.
    fn default() -> Self {
        Self::at(START)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Option<Timestamp> {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
