//! How often one replaced credential is answered, on this node.

use std::sync::{Mutex, PoisonError};

use crate::clock::Timestamp;
use crate::store::proof::Proof;

/// How many credentials are counted at a time; of two that share a place, the later one is.
const PLACES: usize = 1024;
/// Seconds for which replays are counted together.
const WINDOW: u64 = 10;

/// Counts the answers that were given again, for each credential.
///
/// Any number of them carry one successor, so that no count is needed for safety: this one keeps a
/// client that has gone mad from keeping the store and the signer busy. Only who holds a credential
/// is counted, so that nobody can use up another one's.
#[derive(Debug)]
pub(crate) struct Replays {
    most: u32,
    places: Mutex<Vec<Place>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    credential: u64,
    since: Timestamp,
    count: u32,
}

impl Replays {
    /// At most `most` for one credential within ten seconds.
    pub(crate) fn new(most: u32) -> Self {
        Self {
            most,
            places: Mutex::default(),
        }
    }

    /// Whether a credential may be answered once more.
    pub(crate) fn admits(&self, presented: &Proof, now: Timestamp) -> bool {
        if self.most == 0 {
            return false;
        }
        let (at, credential) = place(presented);
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.get(at).is_none_or(|place| {
            place.credential != credential || place.is_over(now) || place.count < self.most
        })
    }

    /// Notes that one was, which had proven itself.
    pub(crate) fn note(&self, presented: &Proof, now: Timestamp) {
        let (at, credential) = place(presented);
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if places.is_empty() {
            *places = vec![Place::default(); PLACES];
        }
        if let Some(place) = places.get_mut(at) {
            if place.credential != credential || place.is_over(now) {
                *place = Place {
                    credential,
                    since: now,
                    count: 0,
                };
            }
            place.count = place.count.saturating_add(1);
        }
    }
}

impl Place {
    /// Also for a clock that was set back.
    fn is_over(&self, now: Timestamp) -> bool {
        now < self.since || now.saturating_since(self.since) >= WINDOW
    }
}

/// Proofs are hashes: any part of one is as good as random.
fn place(presented: &Proof) -> (usize, u64) {
    let hash = u128::from_be_bytes(*presented.as_bytes());
    (hash as usize % PLACES, (hash >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_each_credential_for_a_while() {
        let replays = Replays::new(2);
        let proof = |n: u8| Proof::from_bytes([n; 16]);
        let at = |seconds: u64| Timestamp::from_unix(1_000 + seconds);
        for _ in 0..2 {
            assert!(replays.admits(&proof(1), at(0)));
            replays.note(&proof(1), at(0));
        }
        assert!(!Replays::new(0).admits(&proof(1), at(0)));
        assert!(!replays.admits(&proof(1), at(9)));
        assert!(
            replays.admits(&proof(2), at(9)),
            "another one is counted apart"
        );
        assert!(replays.admits(&proof(1), at(10)));
        replays.note(&proof(1), at(10));
        assert!(replays.admits(&proof(1), at(10)));
        replays.note(&proof(1), at(10));
        assert!(!replays.admits(&proof(1), at(10)));
        assert!(
            replays.admits(&proof(1), at(0)),
            "a clock that was set back"
        );
    }
}
