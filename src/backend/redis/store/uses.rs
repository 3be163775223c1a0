//! When this process last carried a session on.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::Timestamp;
use crate::login::handle::Handle;
use crate::store::touch::Touch;

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
    /// Seconds that the server was told to keep it.
    kept: u32,
    /// The idle time of its record.
    idle: u32,
}

impl Uses {
    pub(crate) fn new() -> Self {
        Self {
            places: (0..PLACES).map(|_| Place::default()).collect(),
        }
    }

    /// For how many seconds the server is to keep a session from now; `None` if it was told a
    /// moment ago.
    pub(crate) fn slide(&self, handle: Handle, touch: Touch, now: Timestamp) -> Option<u64> {
        let Some(last) = self.last(handle) else {
            return Some(whole(touch.idle()));
        };
        let idle = match last.idle {
            u32::MAX => touch.idle(),
            idle => touch.idle().min(idle.into()),
        };
        // A clock that was set back must not keep uses from being noted.
        let recent = last.at <= now && now.saturating_since(last.at) < Touch::new(idle).throttle();
        let is_kept = last.kept == u32::MAX || u64::from(last.kept) >= idle;
        (!recent || !is_kept).then_some(whole(idle))
    }

    /// When this process last noted a use.
    pub(crate) fn seen(&self, handle: Handle) -> Option<Timestamp> {
        self.last(handle).map(|last| last.at)
    }

    /// Remembers that the server was told, at `at`, to keep a session for `kept` seconds.
    pub(crate) fn note(&self, handle: Handle, at: Timestamp, kept: u64, idle: u64) {
        let (of, mut place) = self.place(handle);
        let [kept, idle] = [kept, idle].map(|seconds| u32::try_from(seconds).unwrap_or(u32::MAX));
        *place = Use { of, at, kept, idle };
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
        let slide = |idle, seconds| uses.slide(handle, Touch::new(idle), at(seconds));
        assert_eq!(slide(80, 0), Some(80));
        uses.note(handle, at(0), 80, 80);
        assert_eq!((slide(80, 9), slide(80, 10)), (None, Some(80)));
        // Set back by an hour.
        uses.note(handle, at(3_600), 80, 80);
        assert_eq!(slide(80, 0), Some(80));
        // What another policy noted is too short for this one.
        uses.note(handle, at(0), 20, 80);
        assert_eq!((slide(20, 1), slide(80, 1)), (None, Some(80)));
        // The idle time of the record bounds that of the policy.
        uses.note(handle, at(0), 40, 40);
        assert_eq!((slide(800, 4), slide(800, 5)), (None, Some(40)));
        assert_eq!(slide(0, 1), Some(1));
        // More than a place has room for.
        let ages = u64::from(u32::MAX) + 7;
        uses.note(handle, at(0), ages, ages);
        assert_eq!((slide(ages, 1), slide(80, 1)), (None, None));
        assert_eq!(
            (slide(ages, ages / 7), slide(80, 10)),
            (Some(ages), Some(80))
        );
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
        uses.note(one, at(0), 80, 80);
        assert_eq!(uses.slide(other, Touch::new(80), at(0)), Some(80));
        uses.note(other, at(0), 80, 80);
        assert_eq!(uses.slide(one, Touch::new(80), at(0)), Some(80));
    }
}
