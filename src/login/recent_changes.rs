//! The race between a login in progress and a call for all logins of its subject.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::login::begun::IssuerId;

/// Number of changed subjects that are remembered at least. Both generations of them take about a
/// megabyte at most.
const MIN_REMEMBERED: usize = 16_384;

/// Subjects of the most recent calls of `revoke_all` and `update_all` on this node.
///
/// A login that began before such a call may reach the store after it. A login therefore notes the
/// [`count`](Self::count) when it begins, and asks [`include`](Self::include) once it is stored. An
/// outdated login is removed again, and its credential is not handed out.
#[derive(Debug)]
pub(crate) struct RecentChanges {
    pub(crate) id: IssuerId,
    count: AtomicU64,
    remembered: Mutex<Remembered>,
    hasher: RandomState,
}

/// The count of the latest change of each subject, in two generations. When the younger one is full,
/// the older one is forgotten.
#[derive(Debug, Default)]
struct Remembered {
    young: HashMap<u64, u64>,
    old: HashMap<u64, u64>,
    /// The highest count in `old`.
    newest_old: u64,
    /// The highest count of a change that was forgotten.
    newest_forgotten: u64,
}

impl RecentChanges {
    pub(crate) fn new() -> Self {
        Self {
            id: IssuerId::next(),
            count: AtomicU64::new(0),
            remembered: Mutex::default(),
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
        let mut remembered = self.lock();
        let count = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        if remembered.young.len() == MIN_REMEMBERED {
            remembered.newest_forgotten = remembered.newest_old;
            remembered.newest_old = count - 1;
            remembered.old = mem::take(&mut remembered.young);
        }
        remembered.young.insert(subject, count);
    }

    /// Returns whether `subject` was changed since the count was `began`. Also true if so many
    /// subjects have changed since then that some are forgotten.
    pub(crate) fn include(&self, subject: &str, began: u64) -> bool {
        if self.count() == began {
            return false;
        }
        let subject = self.hasher.hash_one(subject);
        let remembered = self.lock();
        let changed_at = |changes: &HashMap<u64, u64>| changes.get(&subject).copied();
        let latest = changed_at(&remembered.young).or_else(|| changed_at(&remembered.old));
        latest.unwrap_or(0).max(remembered.newest_forgotten) > began
    }

    fn lock(&self) -> MutexGuard<'_, Remembered> {
        // No code under the lock panics.
        self.remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
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

    /// A job changes other users while a password is checked. Rejects a list of the latest changes
    /// of all subjects.
    #[test]
    fn changes_of_other_subjects_make_no_login_outdated() {
        let changes = RecentChanges::new();
        let began = changes.count();
        changes.note("carol");
        for user in 1..MIN_REMEMBERED {
            changes.note(&format!("user {user}"));
            // Again: it is remembered once.
            changes.note("user 1");
        }
        assert!(!changes.include("alice", began));
        assert!(changes.include("carol", began));
        assert!(changes.include("user 2", began));
    }

    #[test]
    fn a_login_older_than_the_remembered_changes_is_outdated() {
        let changes = RecentChanges::new();
        let began = changes.count();
        let note_many = |name: &str| {
            for user in 0..MIN_REMEMBERED {
                changes.note(&format!("{name} {user}"));
            }
            changes.count()
        };
        let after_first = note_many("first");
        let after_second = note_many("second");
        assert!(!changes.include("alice", began));
        changes.note("bob");
        assert!(changes.include("alice", began));
        assert!(!changes.include("alice", after_first));
        assert!(changes.include("second 0", after_first));
        assert!(!changes.include("second 0", after_second));
        assert!(changes.include("bob", after_second));
    }
}
