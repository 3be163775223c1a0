//! The race between a login in progress and a call for all logins of its subject.

use std::collections::VecDeque;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::login::begun::IssuerId;

/// Number of changes that are remembered.
const MAX_REMEMBERED: usize = 1024;

/// Subjects of the most recent calls of `revoke_all` and `update_all` on this node.
///
/// A login that began before such a call may reach the store after it. A login therefore notes the
/// [`count`](Self::count) when it begins, and asks [`include`](Self::include) once it is stored. An
/// outdated login is removed again, and its credential is not handed out.
#[derive(Debug)]
pub(crate) struct RecentChanges {
    pub(crate) id: IssuerId,
    count: AtomicU64,
    latest: Mutex<VecDeque<u64>>,
    hasher: RandomState,
}

impl RecentChanges {
    pub(crate) fn new() -> Self {
        Self {
            id: IssuerId::next(),
            count: AtomicU64::new(0),
            latest: Mutex::default(),
            hasher: RandomState::new(),
        }
    }

    /// Number of changes so far.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    /// Makes every login of `subject` outdated that has begun.
    pub(crate) fn note(&self, subject: &str) {
        let subject = self.hasher.hash_one(subject);
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if latest.len() == MAX_REMEMBERED {
            latest.pop_front();
        }
        latest.push_back(subject);
        self.count.fetch_add(1, Ordering::SeqCst);
    }

    /// Returns whether `subject` was changed since the count was `began`. Also true if more changes
    /// have come in between than are remembered.
    pub(crate) fn include(&self, subject: &str, began: u64) -> bool {
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
                .any(|changed| *changed == subject),
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_makes_the_logins_of_its_subject_outdated_that_began_before() {
        let changes = RecentChanges::new();
        changes.note("alice");
        let began = changes.count();
        assert!(!changes.include("alice", began));
        changes.note("bob");
        assert!(!changes.include("alice", began));
        assert!(changes.include("bob", began));
        changes.note("alice");
        assert!(changes.include("alice", began));
        assert!(!changes.include("alice", changes.count()));
    }

    #[test]
    fn a_login_older_than_the_remembered_changes_is_outdated() {
        let changes = RecentChanges::new();
        let began = changes.count();
        for _ in 0..MAX_REMEMBERED {
            changes.note("bob");
        }
        assert!(!changes.include("alice", began));
        changes.note("bob");
        assert!(changes.include("alice", began));
    }
}
