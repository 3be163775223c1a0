//! Which old credentials were exchanged lately, on this node, and for what.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::Timestamp;
use crate::issued::Credential;
use crate::sha256;

/// How many are remembered. Beyond it the oldest is over before its time.
const MOST: usize = 10_000;

/// An old credential as it is remembered by: a hash of it.
pub(crate) type Key = [u8; 32];

pub(crate) fn key(old: &str) -> Key {
    sha256::hash(old.as_bytes())
}

/// What an old credential was exchanged for.
#[derive(Clone)]
pub(crate) struct Upgrade {
    pub(crate) old: Credential,
    pub(crate) new: Credential,
    pub(crate) refresh: Option<Credential>,
    pub(crate) made_at: Timestamp,
    /// When the old one is over.
    pub(crate) until: Timestamp,
}

impl Upgrade {
    /// What refreshes the new login.
    pub(crate) fn renewable(&self) -> &str {
        self.refresh.as_ref().unwrap_or(&self.new).reveal()
    }
}

/// The exchanges whose old credential still works.
#[derive(Default)]
pub(crate) struct Upgrades {
    state: Mutex<State>,
    /// So that who looks while there are none takes no lock and hashes nothing.
    count: AtomicUsize,
}

#[derive(Default)]
struct State {
    upgrades: HashMap<Key, Upgrade>,
    /// In the order in which they come to their end.
    order: VecDeque<Key>,
}

impl Upgrades {
    pub(crate) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Upgrade> {
        self.lock().upgrades.get(key).cloned()
    }

    /// Remembers one. Of a credential that was exchanged before, it is over no later than it was.
    pub(crate) fn put(&self, key: Key, mut upgrade: Upgrade) {
        let mut state = self.lock();
        if let Some(before) = state.upgrades.get(&key) {
            upgrade.until = upgrade.until.min(before.until);
        } else {
            state.order.push_back(key);
        }
        state.upgrades.insert(key, upgrade);
        self.count.store(state.order.len(), Ordering::Release);
    }

    /// Forgets one.
    pub(crate) fn forget(&self, key: &Key) {
        let mut state = self.lock();
        if state.upgrades.remove(key).is_some() {
            state.leave(key);
        }
        self.count.store(state.order.len(), Ordering::Release);
    }

    /// One whose old credential is over, or for which there is no more room.
    pub(crate) fn due(&self, now: Timestamp) -> Option<(Key, Credential)> {
        let state = self.lock();
        let first = state.order.front()?;
        let upgrade = state.upgrades.get(first)?;
        let is_due = upgrade.until <= now || state.order.len() > MOST;
        is_due.then(|| (*first, upgrade.old.clone()))
    }

    /// Lets the others go first.
    pub(crate) fn postpone(&self, key: Key) {
        let mut state = self.lock();
        if state.upgrades.contains_key(&key) {
            state.leave(&key);
            state.order.push_back(key);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes one out of the order, in which it is the first most of the time.
    fn leave(&mut self, key: &Key) {
        if self.order.front() == Some(key) {
            self.order.pop_front();
        } else {
            self.order.retain(|known| known != key);
        }
    }
}
