//! A clock that a test moves.

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
    /// Creates a clock that shows `now`.
    #[must_use]
    pub fn new(now: OffsetDateTime) -> Self {
        Self::at(now.into())
    }

    /// Creates a clock that shows `now`.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self {
            now: Arc::new(Mutex::new(Some(now))),
        }
    }

    /// Advances by whole seconds. A [stopped](Self::stop) clock stays stopped.
    pub fn advance(&self, by: Duration) {
        self.change(|now| now.map(|now| now.saturating_add(by.as_secs())));
    }

    /// Turns back by whole seconds. A [stopped](Self::stop) clock stays stopped.
    pub fn turn_back(&self, by: Duration) {
        self.change(|now| now.map(|now| now.saturating_sub(by.as_secs())));
    }

    /// Shows `now`, earlier or later. Starts a stopped clock.
    pub fn set(&self, now: impl Into<Timestamp>) {
        let now = now.into();
        self.change(|_| Some(now));
    }

    /// Shows no time until it is [set](Self::set), like a clock that fails.
    pub fn stop(&self) {
        self.change(|_| None);
    }

    fn change(&self, change: impl FnOnce(Option<Timestamp>) -> Option<Timestamp>) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        *now = change(*now);
    }
}

impl Default for ManualClock {
    /// Creates a clock that shows 2026-01-01T00:00:00Z.
    fn default() -> Self {
        Self::at(START)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Option<Timestamp> {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
