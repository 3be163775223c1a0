//! The limit of replays: how often this node answers one replaced credential.

use std::sync::{Mutex, PoisonError};

use crate::clock::Timestamp;
use crate::store::proof::Proof;

/// Number of credentials that are counted at a time. Of two that share a slot, the later is
/// counted.
const SLOTS: usize = 1024;
/// Seconds over which the replays of one credential are counted together.
const WINDOW_SECS: u64 = 10;

/// Counts replays for each credential.
///
/// Every replay answers with the same successor, so safety needs no count. The limit keeps a client
/// that loops from keeping the store and the signer busy. Only credentials that are proven are
/// counted, so that an attacker cannot use up the replays of a user.
#[derive(Debug)]
pub(crate) struct ReplayLimit {
    max: u32,
    slots: Mutex<Vec<Slot>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    credential: u64,
    since: Timestamp,
    count: u32,
}

impl ReplayLimit {
    /// Allows `max` replays of one credential within ten seconds.
    pub(crate) fn new(max: u32) -> Self {
        Self {
            max,
            slots: Mutex::default(),
        }
    }

    /// Returns whether one more replay of a credential is allowed.
    pub(crate) fn allows(&self, presented: &Proof, now: Timestamp) -> bool {
        if self.max == 0 {
            return false;
        }
        let (at, credential) = slot(presented);
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.get(at).is_none_or(|slot| {
            slot.credential != credential || slot.has_expired(now) || slot.count < self.max
        })
    }

    /// Counts a replay of a proven credential.
    pub(crate) fn count(&self, presented: &Proof, now: Timestamp) {
        let (at, credential) = slot(presented);
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.is_empty() {
            *slots = vec![Slot::default(); SLOTS];
        }
        if let Some(slot) = slots.get_mut(at) {
            if slot.credential != credential || slot.has_expired(now) {
                *slot = Slot {
                    credential,
                    since: now,
                    count: 0,
                };
            }
            slot.count = slot.count.saturating_add(1);
        }
    }
}

impl Slot {
    /// Also true if the clock was set back.
    fn has_expired(&self, now: Timestamp) -> bool {
        now < self.since || now.saturating_since(self.since) >= WINDOW_SECS
    }
}

/// Index of the slot of a credential, and the number that identifies it there. A proof is a hash,
/// so all its parts are random.
fn slot(presented: &Proof) -> (usize, u64) {
    let hash = u128::from_be_bytes(*presented.as_bytes());
    (hash as usize % SLOTS, (hash >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_each_credential_for_ten_seconds() {
        let limit = ReplayLimit::new(2);
        let proof = |n: u8| Proof::from_bytes([n; 16]);
        let at = |seconds: u64| Timestamp::from_unix(1_000 + seconds);
        for _ in 0..2 {
            assert!(limit.allows(&proof(1), at(0)));
            limit.count(&proof(1), at(0));
        }
        assert!(!ReplayLimit::new(0).allows(&proof(1), at(0)));
        assert!(!limit.allows(&proof(1), at(9)));
        assert!(
            limit.allows(&proof(2), at(9)),
            "another credential has its own count"
        );
        assert!(limit.allows(&proof(1), at(10)));
        limit.count(&proof(1), at(10));
        assert!(limit.allows(&proof(1), at(10)));
        limit.count(&proof(1), at(10));
        assert!(!limit.allows(&proof(1), at(10)));
        assert!(limit.allows(&proof(1), at(0)), "the clock was set back");
    }
}
