//! Which old credentials were exchanged lately, on this node, and for what.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::base::sha256;
use crate::clock::Timestamp;
use crate::login::issued::Credential;

/// How many are remembered. Beyond it the oldest is over before its time, and where that cannot be
/// revoked, nothing more is exchanged.
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
    /// What proves that the old login goes on.
    pub(crate) witness: Credential,
    pub(crate) made_at: Timestamp,
    /// When the old one is over.
    pub(crate) until: Timestamp,
    /// When its end was tried last.
    pub(crate) tried_at: Option<Timestamp>,
}

impl Upgrade {
    /// What refreshes the new login.
    pub(crate) fn refreshable(&self) -> &str {
        self.refresh.as_ref().unwrap_or(&self.new).reveal()
    }

    /// What the new login is known by.
    fn keys(&self) -> impl Iterator<Item = Key> {
        let credentials = [Some(&self.new), self.refresh.as_ref()];
        credentials
            .map(|one| one.map(|one| key(one.reveal())))
            .into_iter()
            .flatten()
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
    /// By the credentials of the new login.
    by_new: HashMap<Key, Key>,
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

    /// The one that made the login of a new credential.
    pub(crate) fn that_made(&self, new: &str) -> Option<(Key, Upgrade)> {
        if self.is_empty() {
            return None;
        }
        let new = key(new);
        let state = self.lock();
        let old = state.by_new.get(&new)?;
        let upgrade = state.upgrades.get(old)?;
        Some((*old, upgrade.clone()))
    }

    /// Whether one can be remembered.
    pub(crate) fn has_room(&self, key: &Key) -> bool {
        let state = self.lock();
        state.order.len() < MOST || state.upgrades.contains_key(key)
    }

    /// Remembers one. Of a credential that was exchanged before, it is over no later than it was.
    pub(crate) fn put(&self, key: Key, mut upgrade: Upgrade) {
        let mut state = self.lock();
        if let Some(before) = state.take(&key) {
            upgrade.until = upgrade.until.min(before.until);
        } else {
            state.order.push_back(key);
        }
        state.by_new.extend(upgrade.keys().map(|new| (new, key)));
        state.upgrades.insert(key, upgrade);
        self.count.store(state.order.len(), Ordering::Release);
    }

    /// Forgets one.
    pub(crate) fn forget(&self, key: &Key) {
        let mut state = self.lock();
        if state.take(key).is_some() {
            state.leave(key);
        }
        self.count.store(state.order.len(), Ordering::Release);
    }

    /// One whose old credential is over, or for which there is no more room. It lets the others go
    /// first from then on, and is not given to whoever else asks within the same second.
    pub(crate) fn due(&self, now: Timestamp) -> Option<(Key, Credential)> {
        let mut state = self.lock();
        let is_full = state.order.len() >= MOST;
        let first = *state.order.front()?;
        let upgrade = state.upgrades.get_mut(&first)?;
        let is_due = upgrade.until <= now || is_full;
        if !is_due || upgrade.tried_at == Some(now) {
            return None;
        }
        upgrade.tried_at = Some(now);
        let old = upgrade.old.clone();
        state.order.rotate_left(1);
        Some((first, old))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes one out, but for its place in the order.
    fn take(&mut self, key: &Key) -> Option<Upgrade> {
        let upgrade = self.upgrades.remove(key)?;
        for new in upgrade.keys() {
            self.by_new.remove(&new);
        }
        Some(upgrade)
    }

    /// Takes one out of the order, in which it is the last most of the time.
    fn leave(&mut self, key: &Key) {
        if self.order.back() == Some(key) {
            self.order.pop_back();
        } else {
            self.order.retain(|known| known != key);
        }
    }
}
