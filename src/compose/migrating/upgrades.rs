//! The recent upgrades of this node: old credentials that still work, and the new logins made of
//! them.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::base::sha256;
use crate::clock::Timestamp;
use crate::login::issued::Credential;

/// Upgrades that are remembered at most. Beyond it the oldest old credential is revoked early;
/// while it cannot be revoked, no further credential is upgraded.
const MAX_UPGRADES: usize = 10_000;

/// Hash of a credential.
pub(super) type Key = [u8; 32];

pub(super) fn key(credential: &str) -> Key {
    sha256::hash(credential.as_bytes())
}

/// An old credential and the new login that it was upgraded to.
#[derive(Clone)]
pub(super) struct Upgrade {
    pub(super) old: Credential,
    pub(super) new: Credential,
    pub(super) refresh: Option<Credential>,
    /// Credential of the old login: it is verified to see that this login has not ended.
    pub(super) witness: Credential,
    pub(super) made_at: Timestamp,
    /// Time at which the old credential is revoked.
    pub(super) until: Timestamp,
    /// Time of the last attempt to revoke it.
    pub(super) tried_at: Option<Timestamp>,
}

impl Upgrade {
    /// Returns the credential that refreshes the new login.
    pub(super) fn refreshable(&self) -> &str {
        self.refresh.as_ref().unwrap_or(&self.new).reveal()
    }

    /// Returns the keys of the credentials of the new login.
    fn keys(&self) -> impl Iterator<Item = Key> {
        let credentials = [Some(&self.new), self.refresh.as_ref()];
        let credentials = credentials.into_iter().flatten();
        credentials.map(|credential| key(credential.reveal()))
    }
}

/// The upgrades in their overlap: the old credential still works.
#[derive(Default)]
pub(super) struct Upgrades {
    state: Mutex<State>,
    /// Number of upgrades: while there are none, a lookup takes no lock and hashes nothing.
    count: AtomicUsize,
}

#[derive(Default)]
struct State {
    upgrades: HashMap<Key, Upgrade>,
    /// The old credential for each credential of a new login.
    by_new: HashMap<Key, Key>,
    /// The old credentials in the order in which their overlap ends.
    order: VecDeque<Key>,
}

impl Upgrades {
    pub(super) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    pub(super) fn get(&self, key: &Key) -> Option<Upgrade> {
        self.lock().upgrades.get(key).cloned()
    }

    /// Returns the upgrade that made the login of a new credential.
    pub(super) fn by_new(&self, new: &str) -> Option<(Key, Upgrade)> {
        if self.is_empty() {
            return None;
        }
        let new = key(new);
        let state = self.lock();
        let old = state.by_new.get(&new)?;
        let upgrade = state.upgrades.get(old)?;
        Some((*old, upgrade.clone()))
    }

    /// Returns true if an upgrade of this credential can be inserted.
    pub(super) fn has_room(&self, key: &Key) -> bool {
        let state = self.lock();
        state.order.len() < MAX_UPGRADES || state.upgrades.contains_key(key)
    }

    /// Inserts or replaces an upgrade. Replacing one never extends the overlap.
    pub(super) fn insert(&self, key: Key, mut upgrade: Upgrade) {
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

    pub(super) fn remove(&self, key: &Key) {
        let mut state = self.lock();
        if state.take(key).is_some() {
            if state.order.back() == Some(key) {
                // The usual case: `next_due` has just moved it to the back.
                state.order.pop_back();
            } else {
                state.order.retain(|known| known != key);
            }
        }
        self.count.store(state.order.len(), Ordering::Release);
    }

    /// Returns an upgrade after its overlap, or the oldest one if there is no more room. It moves
    /// to the back of the order, and is not returned to another caller within the same second.
    pub(super) fn next_due(&self, now: Timestamp) -> Option<(Key, Credential)> {
        let mut state = self.lock();
        let is_full = state.order.len() >= MAX_UPGRADES;
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

    /// Returns all old credentials, the oldest upgrade first.
    pub(super) fn all(&self) -> Vec<(Key, Credential)> {
        let state = self.lock();
        let known = |key: &Key| Some((*key, state.upgrades.get(key)?.old.clone()));
        state.order.iter().filter_map(known).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Removes an upgrade, but not its place in the order.
    fn take(&mut self, key: &Key) -> Option<Upgrade> {
        let upgrade = self.upgrades.remove(key)?;
        for new in upgrade.keys() {
            self.by_new.remove(&new);
        }
        Some(upgrade)
    }
}
