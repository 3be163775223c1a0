//! The keys of a service: one signs, all verify.

use std::fmt;

use time::OffsetDateTime;

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::token::key::{HEADER_CHARS, Key};

/// Time in which all nodes load a new key, including the difference of their clocks.
const PROPAGATION_SECS: u64 = 60;

/// A ring of keys: one signs, and any number verify, each for its time.
///
/// The time decides the state of each key: *next*, *active*, *verify-only* or *retired* (see
/// [`KeyState`]). To rotate without rejecting a valid token, give every node the new key and the
/// time from which it signs, at least one minute ahead. The old key verifies as long as its tokens
/// are valid, and then retires.
///
/// # Defaults
///
/// | method | verifies | signs | retires |
/// |---|---|---|---|
/// | [`new`](Self::new) | at once | at once | never, unless replaced |
/// | [`verify_with`](Self::verify_with) | at once | never | never |
/// | [`then`](Self::then) | at once | from the given time on | never, unless replaced |
///
/// A replaced key retires one minute after the last of its tokens has expired, or at the time given
/// to [`retire`](Self::retire) if that is earlier.
///
/// ```
/// use std::time::Duration;
/// use statewise::token::{Key, KeyState, Keyring};
/// use time::OffsetDateTime;
///
/// let (old, new) = (Key::generate_hs256()?, Key::generate_hs256()?);
/// let now = OffsetDateTime::now_utc();
/// let tomorrow = now + Duration::from_secs(24 * 3600);
/// let ring = Keyring::new(old).then(new.clone(), tomorrow);
/// assert_eq!(ring.state(new.kid(), now), Some(KeyState::Next));
/// assert_eq!(ring.state(new.kid(), tomorrow), Some(KeyState::Active));
/// # Ok::<(), statewise::Error>(())
/// ```
#[derive(Clone)]
pub struct Keyring {
    entries: Vec<KeyEntry>,
    /// True if a key to retire is not in the ring.
    has_missing: bool,
}

/// State of a key at a point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyState {
    /// Verifies, and will sign.
    Next,
    /// Signs and verifies.
    Active,
    /// Verifies.
    VerifyOnly,
    /// Neither signs nor verifies.
    Retired,
}

/// A key and its times.
#[derive(Clone, Debug)]
pub(crate) struct KeyEntry {
    pub(crate) key: Key,
    /// Time from which on the key signs; `None` if it only verifies.
    signs_from: Option<Timestamp>,
    retires_at: Timestamp,
}

impl KeyEntry {
    /// Checks if the key verifies until `expires_at`.
    pub(crate) fn outlives(&self, expires_at: Timestamp) -> bool {
        expires_at <= self.retires_at
    }

    /// Checks if the key verifies at `now`. A key without an end does so at [`Timestamp::MAX`] too.
    #[inline]
    pub(crate) fn verifies(&self, now: Timestamp) -> bool {
        now < self.retires_at || self.retires_at == Timestamp::MAX
    }
}

impl Keyring {
    /// Creates a ring of one key, which signs and verifies.
    #[must_use]
    pub fn new(signer: Key) -> Self {
        let ring = Self {
            entries: Vec::new(),
            has_missing: false,
        };
        ring.add(signer, Some(Timestamp::MIN))
    }

    /// Adds a key that verifies. Ignored if the key is already in the ring.
    ///
    /// Use it for the key before, where another service still signs with it:
    ///
    /// ```
    /// use statewise::token::{Key, Keyring};
    ///
    /// let (ours, theirs) = (Key::generate_hs256()?, Key::generate_hs256()?);
    /// let ring = Keyring::new(ours).verify_with(theirs);
    /// # let _ = ring;
    /// # Ok::<(), statewise::Error>(())
    /// ```
    #[must_use]
    pub fn verify_with(self, key: Key) -> Self {
        self.add(key, None)
    }

    /// Adds a key that verifies at once and signs from `signs_from` on. Ignored if the key is
    /// already in the ring.
    #[must_use]
    pub fn then(self, key: Key, signs_from: OffsetDateTime) -> Self {
        self.add(key, Some(signs_from.into()))
    }

    fn add(mut self, key: Key, signs_from: Option<Timestamp>) -> Self {
        if self.find(key.kid()).is_none() {
            self.entries.push(KeyEntry {
                key,
                signs_from,
                retires_at: Timestamp::MAX,
            });
        }
        self
    }

    /// Retires a key at a point in time: from then on it verifies nothing.
    ///
    /// If a key has leaked, retire it on all nodes at once with
    /// [`RevocationView::retire_key`](crate::revocation::RevocationView::retire_key).
    #[must_use]
    pub fn retire(mut self, kid: &str, at: OffsetDateTime) -> Self {
        match self.entries.iter_mut().find(|entry| entry.key.kid() == kid) {
            Some(entry) => entry.retires_at = at.into(),
            None => self.has_missing = true,
        }
        self
    }

    /// Returns the state of a key at a point in time; `None` if it is not in the ring.
    ///
    /// A replaced key retires after the longest lifetime of its tokens, which only an authenticator
    /// knows: see [`TokenAuthenticator::keyring`](crate::token::TokenAuthenticator::keyring).
    #[must_use]
    pub fn state(&self, kid: &str, at: OffsetDateTime) -> Option<KeyState> {
        let at = Timestamp::from(at);
        let entry = self.find(kid)?;
        let is_active = self.signer(at).is_some_and(|entry| entry.key.kid() == kid);
        Some(match entry.signs_from {
            _ if !entry.verifies(at) => KeyState::Retired,
            Some(from) if at < from => KeyState::Next,
            _ if is_active => KeyState::Active,
            _ => KeyState::VerifyOnly,
        })
    }

    fn find(&self, kid: &str) -> Option<&KeyEntry> {
        self.entries.iter().find(|entry| entry.key.kid() == kid)
    }

    /// Returns the key that signs at `now`: the one that began to sign last.
    pub(crate) fn signer(&self, now: Timestamp) -> Option<&KeyEntry> {
        let signs = |entry: &&KeyEntry| entry.signs_from.is_some_and(|from| from <= now);
        let signers = self.entries.iter().filter(signs);
        signers.max_by_key(|entry| entry.signs_from)
    }

    /// Iterates over all keys, including retired ones.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &KeyEntry> {
        self.entries.iter()
    }

    /// Returns the key with this constant header. Compares bytes and parses nothing.
    #[inline]
    pub(crate) fn by_header(&self, header: &[u8; HEADER_CHARS]) -> Option<&KeyEntry> {
        self.entries
            .iter()
            .find(|entry| entry.key.header() == header)
    }

    /// Sets the time at which each replaced key retires: when the last of its tokens, which are
    /// valid for at most `longest_secs`, has expired.
    ///
    /// # Errors
    ///
    /// *Misuse* if a key to retire is not in the ring.
    pub(crate) fn complete(mut self, longest_secs: u64) -> Result<Self> {
        if self.has_missing {
            return Err(Error::misuse(
                "a key to retire is not in the ring: name one of its keys by its `kid`",
            ));
        }
        let starts: Vec<_> = self.entries.iter().map(|entry| entry.signs_from).collect();
        for entry in &mut self.entries {
            let later = starts.iter().flatten().filter(|start| {
                let from = entry.signs_from;
                from.is_some_and(|from| **start > from)
            });
            if let Some(replaced_at) = later.min() {
                let last = replaced_at
                    .saturating_add(longest_secs)
                    .saturating_add(PROPAGATION_SECS);
                entry.retires_at = entry.retires_at.min(last);
            }
        }
        Ok(self)
    }

    /// Checks that this ring may replace `old` at `now`.
    ///
    /// # Errors
    ///
    /// *Misuse* if a key would sign before every node can know it, although the current signer
    /// still verifies.
    pub(crate) fn check_successor_of(&self, old: &Self, now: Timestamp) -> Result<()> {
        let still_verifies = |entry: &KeyEntry| {
            let kept = self.find(entry.key.kid());
            kept.is_some_and(|kept| kept.verifies(now))
        };
        if !old.signer(now).is_some_and(still_verifies) {
            // None of its tokens is accepted any more, so that waiting would gain nothing.
            return Ok(());
        }
        let is_hasty = |entry: &KeyEntry| {
            let soon = now.saturating_add(PROPAGATION_SECS);
            old.find(entry.key.kid()).is_none() && entry.signs_from.is_some_and(|from| from < soon)
        };
        if self.entries.iter().any(is_hasty) {
            return Err(Error::misuse(
                "a new key would sign before every node can know it: let it sign a minute from \
                 now or later, or leave out the old one if it has leaked",
            ));
        }
        Ok(())
    }
}

impl From<Key> for Keyring {
    fn from(signer: Key) -> Self {
        Self::new(signer)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.entries).finish()
    }
}
