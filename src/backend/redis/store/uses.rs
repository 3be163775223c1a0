//! When this process last carried a session on.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::login::handle::Handle;
use crate::store::record::{is_due, touch_interval};

/// Sessions that are remembered at most. One that is pushed out by another is carried on once
/// more than needed.
const PLACES: usize = 1 << 14;

/// Remembers, in bounded memory, which sessions were carried on a moment ago, so that not each
/// use of one is a write. What it does not know is carried on.
pub(crate) struct Uses {
    places: Box<[Place]>,
}

/// Aligned so that it is in one line of the processor's cache: most look-ups find it in none.
#[repr(align(32))]
#[derive(Default)]
struct Place(Mutex<Use>);

/// The last use that was noted. Numbers of seconds that are too large for it are kept as the
/// largest one, which is a century.
#[derive(Clone, Copy, Default)]
struct Use {
    /// The random half of the handle.
    of: u64,
    at: Timestamp,
    /// The idle time of its record.
    idle: u32,
}

impl Uses {
    pub(crate) fn new() -> Self {
        Self {
            places: (0..PLACES).map(|_| Place::default()).collect(),
        }
    }

    /// For how many seconds the server is to keep a session from now; `None` if its last use was
    /// noted less than `interval` ago, or if this process does not know its idle time.
    ///
    /// `None` also for a session whose idle time asks for fewer notes than `interval`: the caller
    /// judges by a shorter one, and other nodes with that policy learn of the use only from the
    /// row, into which a touch writes it.
    pub(crate) fn slide(&self, handle: Handle, interval: Duration, now: Timestamp) -> Option<u64> {
        let last = self.last(handle)?;
        let own = touch_interval(last.idle.into());
        // A clock that was set back must not keep uses from being noted.
        let recent = last.at <= now && !is_due(last.at, own.min(interval), now);
        let is_known = last.idle < u32::MAX && own <= interval;
        (is_known && !recent).then_some(whole(last.idle.into()))
    }

    /// When this process last noted a use.
    pub(crate) fn seen(&self, handle: Handle) -> Option<Timestamp> {
        self.last(handle).map(|last| last.at)
    }

    /// Remembers the last use of a session that the server knows, and its idle time in seconds.
    pub(crate) fn note(&self, handle: Handle, at: Timestamp, idle: u64) {
        let (of, mut place) = self.place(handle);
        let idle = u32::try_from(idle).unwrap_or(u32::MAX);
        *place = Use { of, at, idle };
    }

    /// Remembers a later use of a session that is remembered.
    pub(crate) fn touch(&self, handle: Handle, at: Timestamp) {
        let (of, mut place) = self.place(handle);
        if place.of == of {
            place.at = place.at.max(at);
        }
    }

    fn last(&self, handle: Handle) -> Option<Use> {
        let (of, place) = self.place(handle);
        (place.of == of).then_some(*place)
    }

    fn place(&self, handle: Handle) -> (u64, MutexGuard<'_, Use>) {
        let random = (u128::from_be_bytes(*handle.as_bytes())) as u64;
        let place = &self.places[random as usize % PLACES];
        let place = place.0.lock();
        (random, place.unwrap_or_else(PoisonError::into_inner))
    }
}

/// A number of seconds that the server takes for a time to live.
pub(crate) fn whole(seconds: u64) -> u64 {
    seconds.clamp(1, Timestamp::MAX.unix())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix(1_000_000 + seconds)
    }

    #[test]
    fn slides_once_in_an_eighth_of_the_idle_time() {
        let uses = Uses::new();
        let handle = Handle::draw(b"alice", &SystemEntropy).unwrap();
        let slide = |interval, seconds| {
            let interval = Duration::from_secs(interval);
            uses.slide(handle, interval, at(seconds))
        };
        assert_eq!(slide(10, 0), None, "of an idle time that is not known");
        uses.note(handle, at(0), 80);
        assert_eq!((slide(10, 9), slide(10, 10)), (None, Some(80)));
        uses.touch(handle, at(5));
        assert_eq!((slide(10, 14), slide(10, 15)), (None, Some(80)));
        // Set back by an hour.
        uses.note(handle, at(3_600), 80);
        assert_eq!(slide(10, 0), Some(80));
        // The idle time of the record bounds that of the policy.
        uses.note(handle, at(0), 40);
        assert_eq!((slide(100, 4), slide(100, 5)), (None, Some(40)));
        // A policy with a shorter one leaves it to a touch.
        assert_eq!(slide(4, 5), None);
        // More than a place has room for.
        uses.note(handle, at(0), u64::from(u32::MAX) + 7);
        assert_eq!(slide(u64::MAX, u64::from(u32::MAX)), None);
    }

    #[test]
    fn a_place_is_in_one_line_of_the_cache() {
        assert_eq!((size_of::<Place>(), align_of::<Place>()), (32, 32));
    }

    #[test]
    fn another_session_in_the_same_place_is_not_taken_for_it() {
        let uses = Uses::new();
        let one = Handle::from_bytes([7; 16]);
        let mut bytes = [7; 16];
        bytes[8] = 8;
        let other = Handle::from_bytes(bytes);
        uses.note(one, at(0), 80);
        assert_eq!(uses.seen(other), None);
        uses.note(other, at(0), 80);
        assert_eq!(uses.seen(one), None);
    }
}
