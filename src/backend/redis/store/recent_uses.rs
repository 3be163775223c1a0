//! The recently noted uses of sessions, in the memory of this process.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::backend::redis::store::ttl_secs;
use crate::clock::Timestamp;
use crate::login::handle::Handle;
use crate::store::record::{is_due, touch_interval};

/// Number of slots, each for one session. If another session takes its slot, the use of a
/// session is written again.
const SLOTS: usize = 1 << 14;

/// Remembers, in bounded memory, the last noted use of sessions, so that not every use is a write.
/// The use of a session that it does not remember is noted.
pub(crate) struct RecentUses {
    slots: Box<[Slot]>,
}

/// Aligned so that a slot is in one cache line: most look-ups miss the processor's caches.
#[repr(align(32))]
#[derive(Default)]
struct Slot(Mutex<Use>);

/// The last noted use of a session.
#[derive(Clone, Copy, Default)]
struct Use {
    /// Random half of the handle.
    session: u64,
    at: Timestamp,
    /// Idle timeout of the record, at most `u32::MAX` (136 years), which means unknown.
    idle_secs: u32,
}

impl RecentUses {
    pub(crate) fn new() -> Self {
        Self {
            slots: (0..SLOTS).map(|_| Slot::default()).collect(),
        }
    }

    /// Returns the time to live, in seconds, to set in order to note a use now. `idle_secs` is the
    /// idle timeout of the caller's policy. A session without a slot has that timeout most of the
    /// time; the caller of this function corrects it otherwise.
    ///
    /// `None` if the last use was noted less than an eighth of the shorter timeout ago. Also `None`
    /// if the policy has a shorter timeout than the session: other nodes with that policy learn of
    /// the use from the row only, into which a touch writes it.
    pub(super) fn ttl_to_set(&self, handle: Handle, idle_secs: u64, now: Timestamp) -> Option<u64> {
        let Some(last) = self.find(handle) else {
            return Some(ttl_secs(idle_secs));
        };
        let own = u64::from(last.idle_secs);
        // After a clock is set back, uses are noted at once.
        let is_recent = last.at <= now && !is_due(last.at, touch_interval(own.min(idle_secs)), now);
        let is_known = last.idle_secs < u32::MAX && own <= idle_secs;
        (is_known && !is_recent).then_some(ttl_secs(own))
    }

    /// Returns the last use that this process has noted.
    pub(super) fn last(&self, handle: Handle) -> Option<Timestamp> {
        self.find(handle).map(|last| last.at)
    }

    /// Remembers the last use of a session that the server knows, and its idle timeout in seconds.
    pub(super) fn note(&self, handle: Handle, at: Timestamp, idle: u64) {
        let (session, mut slot) = self.slot(handle);
        let idle_secs = u32::try_from(idle).unwrap_or(u32::MAX);
        *slot = Use {
            session,
            at,
            idle_secs,
        };
    }

    /// Remembers a later use of a session that has a slot.
    pub(super) fn touch(&self, handle: Handle, at: Timestamp) {
        let (session, mut slot) = self.slot(handle);
        if slot.session == session {
            slot.at = slot.at.max(at);
        }
    }

    fn find(&self, handle: Handle) -> Option<Use> {
        let (session, slot) = self.slot(handle);
        (slot.session == session).then_some(*slot)
    }

    fn slot(&self, handle: Handle) -> (u64, MutexGuard<'_, Use>) {
        let session = (u128::from_be_bytes(*handle.as_bytes())) as u64;
        let slot = &self.slots[session as usize % SLOTS];
        let slot = slot.0.lock();
        (session, slot.unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix(1_000_000 + seconds)
    }

    #[test]
    fn a_use_is_noted_once_per_interval() {
        let uses = RecentUses::new();
        let handle = Handle::draw(b"alice", &SystemEntropy).unwrap();
        let ttl = |idle_secs, seconds| uses.ttl_to_set(handle, idle_secs, at(seconds));
        assert_eq!(ttl(80, 0), Some(80), "the session is unknown");
        uses.note(handle, at(0), 80);
        assert_eq!((ttl(80, 9), ttl(80, 10)), (None, Some(80)));
        uses.touch(handle, at(5));
        assert_eq!((ttl(80, 14), ttl(80, 15)), (None, Some(80)));
        // The clock was set back by an hour.
        uses.note(handle, at(3_600), 80);
        assert_eq!(ttl(80, 0), Some(80));
        // The policy has a longer idle timeout than the record. The shorter one applies.
        uses.note(handle, at(0), 40);
        assert_eq!((ttl(800, 4), ttl(800, 5)), (None, Some(40)));
        // The policy has a shorter idle timeout: a touch notes the use.
        assert_eq!(ttl(32, 5), None);
        // The idle timeout is too long for a slot.
        uses.note(handle, at(0), u64::from(u32::MAX) + 7);
        assert_eq!(ttl(u64::MAX, u64::from(u32::MAX)), None);
    }

    #[test]
    fn a_slot_is_in_one_cache_line() {
        assert_eq!((size_of::<Slot>(), align_of::<Slot>()), (32, 32));
    }

    #[test]
    fn two_sessions_of_one_slot_are_distinguished() {
        let uses = RecentUses::new();
        let one = Handle::from_bytes([7; 16]);
        let mut bytes = [7; 16];
        bytes[8] = 8;
        let other = Handle::from_bytes(bytes);
        uses.note(one, at(0), 80);
        assert_eq!(uses.last(other), None);
        uses.note(other, at(0), 80);
        assert_eq!(uses.last(one), None);
    }
}
