//! Logging out everywhere, against logins that are under way.

use std::collections::VecDeque;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// How many of the latest cuts are remembered.
const REMEMBERED: usize = 1024;

/// Remembers whose logins were cut off lately.
///
/// A login that began before its user was logged out everywhere may reach the store after the
/// removal passed there. It notes [`position`](Self::position) when it begins and asks
/// [`cuts`](Self::cuts) when it is stored; what has been cut off is handed to nobody.
#[derive(Debug, Default)]
pub(crate) struct Fence {
    position: AtomicU64,
    latest: Mutex<VecDeque<u64>>,
    hasher: RandomState,
}

impl Fence {
    /// How many cuts there have been.
    pub(crate) fn position(&self) -> u64 {
        self.position.load(Ordering::SeqCst)
    }

    /// Cuts off every login of `subject` that has begun.
    pub(crate) fn cut(&self, subject: &str) {
        let subject = self.hasher.hash_one(subject);
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if latest.len() == REMEMBERED {
            latest.pop_front();
        }
        latest.push_back(subject);
        self.position.fetch_add(1, Ordering::SeqCst);
    }

    /// Whether a login of `subject` that began at `position` has been cut off. Where too many
    /// cuts lie in between to tell, it has.
    pub(crate) fn cuts(&self, subject: &str, position: u64) -> bool {
        if self.position() == position {
            return false;
        }
        let subject = self.hasher.hash_one(subject);
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let since = usize::try_from(self.position().saturating_sub(position));
        match since {
            Ok(since) if since <= latest.len() => {
                latest.iter().rev().take(since).any(|cut| *cut == subject)
            }
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_off_what_began_before_and_nobody_else() {
        let fence = Fence::default();
        fence.cut("alice");
        let began = fence.position();
        assert!(!fence.cuts("alice", began));
        fence.cut("bob");
        assert!(!fence.cuts("alice", began));
        assert!(fence.cuts("bob", began));
        fence.cut("alice");
        assert!(fence.cuts("alice", began));
        assert!(!fence.cuts("alice", fence.position()));
    }

    #[test]
    fn refuses_what_it_can_no_longer_tell() {
        let fence = Fence::default();
        let began = fence.position();
        for _ in 0..REMEMBERED {
            fence.cut("bob");
        }
        assert!(!fence.cuts("alice", began));
        fence.cut("bob");
        assert!(fence.cuts("alice", began));
    }
}
