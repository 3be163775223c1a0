//! The race between a login in progress and "log out everywhere".

use std::collections::VecDeque;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Number of logouts that are remembered.
const MAX_REMEMBERED: usize = 1024;

/// The subjects that were logged out everywhere most recently, on this node.
///
/// A login that began before its user was logged out everywhere may reach the store after the
/// removal. A login therefore notes the [`count`](Self::count) when it begins, and asks
/// [`ended`](Self::ended) once it is stored. A login that has ended is removed again, and its
/// credential is not handed out.
#[derive(Debug, Default)]
pub(crate) struct RecentLogouts {
    count: AtomicU64,
    latest: Mutex<VecDeque<u64>>,
    hasher: RandomState,
}

impl RecentLogouts {
    /// Number of logouts so far.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    /// Ends every login of `subject` that has begun.
    pub(crate) fn log_out(&self, subject: &str) {
        let subject = self.hasher.hash_one(subject);
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if latest.len() == MAX_REMEMBERED {
            latest.pop_front();
        }
        latest.push_back(subject);
        self.count.fetch_add(1, Ordering::SeqCst);
    }

    /// Returns whether `subject` was logged out since the count was `began`. Also true if more
    /// logouts have come in between than are remembered.
    pub(crate) fn ended(&self, subject: &str, began: u64) -> bool {
        if self.count() == began {
            return false;
        }
        let subject = self.hasher.hash_one(subject);
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let since = usize::try_from(self.count().saturating_sub(began));
        match since {
            Ok(since) if since <= latest.len() => latest
                .iter()
                .rev()
                .take(since)
                .any(|ended| *ended == subject),
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logout_ends_the_logins_of_its_subject_that_began_before() {
        let logouts = RecentLogouts::default();
        logouts.log_out("alice");
        let began = logouts.count();
        assert!(!logouts.ended("alice", began));
        logouts.log_out("bob");
        assert!(!logouts.ended("alice", began));
        assert!(logouts.ended("bob", began));
        logouts.log_out("alice");
        assert!(logouts.ended("alice", began));
        assert!(!logouts.ended("alice", logouts.count()));
    }

    #[test]
    fn a_login_older_than_the_remembered_logouts_has_ended() {
        let logouts = RecentLogouts::default();
        let began = logouts.count();
        for _ in 0..MAX_REMEMBERED {
            logouts.log_out("bob");
        }
        assert!(!logouts.ended("alice", began));
        logouts.log_out("bob");
        assert!(logouts.ended("alice", began));
    }
}
