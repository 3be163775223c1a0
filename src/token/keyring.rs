//! The keys of a service: one signs, all verify.

use std::fmt;

use time::OffsetDateTime;

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::token::key::{HEADER, Key};

/// How long nodes may take to hear of a key, the difference between their clocks included.
const PROPAGATION: u64 = 60;

/// One key that signs and any number that verify, each for its time.
///
/// What a key does follows from the time alone: it is *next*, *active*, *verify-only* or *retired*
/// (see [`KeyState`]). To rotate without refusing anybody, give every node the new key with the
/// moment from which it signs, a minute ahead or more; the old one goes on verifying for as long as
/// its tokens live, and is retired by itself.
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
    keys: Vec<Held>,
    /// Somebody asked for the end of a key that is not there.
    missed: bool,
}

/// What a key does at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyState {
    /// It verifies, and will sign.
    Next,
    /// It signs and verifies.
    Active,
    /// It verifies.
    VerifyOnly,
    /// It does nothing any more.
    Retired,
}

/// A key and its times.
#[derive(Clone)]
pub(crate) struct Held {
    pub(crate) key: Key,
    /// From when on it signs; `None` for one that only verifies.
    signs_from: Option<Timestamp>,
    /// When it is retired.
    until: Timestamp,
}

impl Held {
    /// Whether what it signs can be verified until it expires.
    pub(crate) fn outlives(&self, expires_at: Timestamp) -> bool {
        expires_at <= self.until
    }

    /// Whether it still verifies. One that has no end does so in the last second of time too.
    #[inline]
    pub(crate) fn verifies(&self, now: Timestamp) -> bool {
        now < self.until || self.until == Timestamp::MAX
    }
}

impl Keyring {
    /// A ring whose only key signs and verifies.
    #[must_use]
    pub fn new(signer: Key) -> Self {
        Self {
            keys: vec![Held {
                key: signer,
                signs_from: Some(Timestamp::MIN),
                until: Timestamp::MAX,
            }],
            missed: false,
        }
    }

    /// Adds a key that verifies. One that is there already is passed over.
    #[must_use]
    pub fn verify_with(self, key: Key) -> Self {
        self.add(key, None)
    }

    /// Adds a key that verifies at once, and signs from a moment on. One that is there already is
    /// passed over.
    #[must_use]
    pub fn then(self, key: Key, signs_from: OffsetDateTime) -> Self {
        self.add(key, Some(signs_from.into()))
    }

    fn add(mut self, key: Key, signs_from: Option<Timestamp>) -> Self {
        if self.find(key.kid()).is_none() {
            self.keys.push(Held {
                key,
                signs_from,
                until: Timestamp::MAX,
            });
        }
        self
    }

    /// Ends a key at a moment: from then on it verifies nothing. A key that has leaked is better
    /// ended on all nodes at once, by
    /// [`RevocationView::retire_key`](crate::revocation::RevocationView::retire_key).
    #[must_use]
    pub fn retire(mut self, kid: &str, at: OffsetDateTime) -> Self {
        match self.keys.iter_mut().find(|held| held.key.kid() == kid) {
            Some(held) => held.until = at.into(),
            None => self.missed = true,
        }
        self
    }

    /// What a key does at a moment; `None` if it is not there. A key that was replaced is retired
    /// only when nothing lives that it signed, which depends on the authenticator that it is given
    /// to: see [`TokenAuthenticator::keyring`](crate::token::TokenAuthenticator::keyring).
    #[must_use]
    pub fn state(&self, kid: &str, at: OffsetDateTime) -> Option<KeyState> {
        let at = Timestamp::from(at);
        let held = self.find(kid)?;
        let is_active = self.signer(at).is_some_and(|held| held.key.kid() == kid);
        Some(match held.signs_from {
            _ if !held.verifies(at) => KeyState::Retired,
            Some(from) if at < from => KeyState::Next,
            _ if is_active => KeyState::Active,
            _ => KeyState::VerifyOnly,
        })
    }

    fn find(&self, kid: &str) -> Option<&Held> {
        self.keys.iter().find(|held| held.key.kid() == kid)
    }

    /// The key that signs at a moment: of those whose time to sign has come, the last.
    pub(crate) fn signer(&self, now: Timestamp) -> Option<&Held> {
        let due = |held: &&Held| held.signs_from.is_some_and(|from| from <= now);
        let due = self.keys.iter().filter(due);
        due.max_by_key(|held| held.signs_from)
    }

    /// All keys, those that verify nothing any more included.
    pub(crate) fn held(&self) -> impl Iterator<Item = &Held> {
        self.keys.iter()
    }

    /// The key that writes this header. Compares; parses nothing and tries nothing.
    #[inline]
    pub(crate) fn by_header(&self, header: &[u8; HEADER]) -> Option<&Held> {
        self.keys.iter().find(|held| held.key.header() == header)
    }

    /// Retires each key that is replaced when nothing lives any more that it has signed, which
    /// takes `longest` seconds.
    ///
    /// # Errors
    ///
    /// *Misuse* if a key is to end that is not there.
    pub(crate) fn complete(mut self, longest: u64) -> Result<Self> {
        if self.missed {
            return Err(Error::misuse(
                "a key is to be retired that is not in the ring: name it by its `kid`",
            ));
        }
        let mut starts: Vec<_> = self
            .keys
            .iter()
            .filter_map(|held| held.signs_from)
            .collect();
        starts.sort_unstable();
        for held in &mut self.keys {
            let from = held.signs_from;
            let replaced_at = starts
                .iter()
                .find(|start| from.is_some_and(|from| **start > from));
            if let Some(replaced_at) = replaced_at {
                let last = replaced_at
                    .saturating_add(longest)
                    .saturating_add(PROPAGATION);
                held.until = held.until.min(last);
            }
        }
        Ok(self)
    }

    /// Checks that this ring may take the place of `old` at `now`.
    ///
    /// # Errors
    ///
    /// *Misuse* if a key would sign before every node can know it, though the one before it is
    /// still good.
    pub(crate) fn follows(&self, old: &Self, now: Timestamp) -> Result<()> {
        let is_good = |held: &Held| {
            let known = self.find(held.key.kid());
            known.is_some_and(|known| known.verifies(now))
        };
        if !old.signer(now).is_some_and(is_good) {
            // Nothing that it signs is accepted any more: there is no time to lose.
            return Ok(());
        }
        let is_hasty = |held: &Held| {
            let soon = now.saturating_add(PROPAGATION);
            old.find(held.key.kid()).is_none() && held.signs_from.is_some_and(|from| from < soon)
        };
        if self.keys.iter().any(is_hasty) {
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
        f.debug_list().entries(&self.keys).finish()
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held")
            .field("key", &self.key)
            .field("signs_from", &self.signs_from)
            .field("until", &self.until)
            .finish()
    }
}
