//! The keys of a service: one signs, all verify.

use std::fmt;

use time::OffsetDateTime;

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::token::header::HEADER_CHARS;
use crate::token::key::Key;
#[cfg(feature = "_public")]
use crate::token::public::{ExternalKey, KeySetView, PublicKey, SigningKey};
use crate::token::ring_key::RingKey;

/// Default of [`TokenBuilder::propagation`](crate::token::TokenBuilder::propagation).
pub(crate) const PROPAGATION_SECS: u64 = 60;

/// A ring of keys: one signs, and any number verify, each for its time.
///
/// The time decides the state of each key: *spare*, *next*, *active*, *verify-only* or *retired*
/// (see [`KeyState`]). To rotate without rejecting a valid token, give every node the new key and
/// the time from which it signs, at least one minute ahead. The old key verifies as long as its
/// tokens are valid, and then retires.
///
/// Keep a [`spare`](Self::spare) in every ring. A node that has not read the next ring in time then
/// knows its key already, and a leaked key is replaced in one call:
/// [`TokenAuthenticator::retire_key`](crate::token::TokenAuthenticator::retire_key).
///
/// # Defaults
///
/// | method | verifies | signs | retires |
/// |---|---|---|---|
/// | [`new`](Self::new) | at once | at once | never, unless replaced |
/// | [`verify_with`](Self::verify_with) | at once | never | never |
/// | [`then`](Self::then) | at once | from the given time on | never, unless replaced |
/// | [`spare`](Self::spare) | at once | when the keys before it have been retired | never |
///
/// A replaced key retires one minute after the last of its tokens has expired, or at the time given
/// to [`retire`](Self::retire) if that is earlier. If the key that signs is retired, the next one
/// signs at once, and the spare last.
///
/// ```
/// use std::time::Duration;
/// use statewise::token::{Key, KeyState, Keyring};
/// use time::OffsetDateTime;
///
/// let [old, new, spare] = [(); 3].map(|()| Key::generate_hs256());
/// let (old, new, spare) = (old?, new?, spare?);
/// let now = OffsetDateTime::now_utc();
/// let tomorrow = now + Duration::from_secs(24 * 3600);
/// let ring = Keyring::new(old).then(new.clone(), tomorrow).spare(spare.clone());
/// assert_eq!(ring.state(new.kid(), now), Some(KeyState::Next));
/// assert_eq!(ring.state(new.kid(), tomorrow), Some(KeyState::Active));
/// assert_eq!(ring.state(spare.kid(), tomorrow), Some(KeyState::Spare));
/// # Ok::<(), statewise::Error>(())
/// ```
#[derive(Clone)]
pub struct Keyring {
    entries: Vec<KeyEntry>,
    /// Set of keys that this ring follows, instead of keys of its own.
    #[cfg(feature = "_public")]
    followed: Option<Followed>,
    /// A mistake in the calls that built the ring.
    mistake: Option<&'static str>,
}

/// A set of keys that a ring follows.
#[cfg(feature = "_public")]
#[derive(Clone)]
struct Followed {
    view: KeySetView,
    /// Version of the set of which the ring has the keys.
    version: u64,
}

#[cfg(feature = "_public")]
const FOLLOWS_AND_HAS: &str = "an issuer has keys of your choice and a key set that is followed, or \
    two such sets: choose one";

/// Start of a spare: later than that of every other key.
const SPARE: Timestamp = Timestamp::MAX;

/// State of a key at a point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyState {
    /// Verifies, and signs only when the keys before it have been retired.
    Spare,
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
    pub(crate) key: RingKey,
    /// Time from which on the key signs; `None` if it only verifies.
    signs_from: Option<Timestamp>,
    retires_at: Timestamp,
    /// Time from which on all nodes know the key, counted from the time at which this node learned
    /// it.
    known_by: Timestamp,
    /// Time until which tokens may be valid that this node has signed with it before.
    needed_until: Timestamp,
}

impl KeyEntry {
    /// Checks if every node knows the key at `now`.
    pub(crate) fn is_known(&self, now: Timestamp) -> bool {
        self.known_by <= now
    }

    /// Seconds until the key retires.
    #[cfg(feature = "_public")]
    pub(crate) fn seconds_left(&self, now: Timestamp) -> u64 {
        self.retires_at.saturating_since(now)
    }

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
    pub fn new(signer: impl Into<RingKey>) -> Self {
        Self::empty().add(signer.into(), Some(Timestamp::MIN))
    }

    /// Creates a ring of public keys, which verify and sign nothing: for
    /// [`TokenAuthenticator::verifier`](crate::token::TokenAuthenticator::verifier).
    #[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
    #[must_use]
    pub fn verifying(keys: impl IntoIterator<Item = PublicKey>) -> Self {
        let keys = keys.into_iter();
        keys.fold(Self::empty(), |ring, key| ring.verify_with(key))
    }

    /// Creates a ring without a key.
    pub(crate) fn empty() -> Self {
        Self {
            entries: Vec::new(),
            #[cfg(feature = "_public")]
            followed: None,
            mistake: None,
        }
    }

    /// Creates a ring of the keys that an issuer publishes, as they were last fetched.
    #[cfg(feature = "_public")]
    pub(crate) fn following(view: &KeySetView) -> Self {
        let followed = Followed {
            // Before the ring, so that no change is missed.
            version: view.version(),
            view: view.clone(),
        };
        Self {
            followed: Some(followed),
            ..Self::clone(&view.ring())
        }
    }

    /// Follows the keys that an issuer publishes. The ring must have no keys of its own.
    #[cfg(feature = "_public")]
    pub(crate) fn follow(self, view: &KeySetView) -> Self {
        let mut followed = Self::following(view);
        if !self.is_empty() {
            followed.mistake = Some(FOLLOWS_AND_HAS);
        }
        followed
    }

    /// Returns a mistake in the calls that built the ring.
    pub(crate) fn mistake(&self) -> Option<&'static str> {
        self.mistake
    }

    /// Returns the set of keys that this ring follows.
    #[cfg(feature = "_public")]
    pub(crate) fn followed(&self) -> Option<&KeySetView> {
        self.followed.as_ref().map(|followed| &followed.view)
    }

    /// Returns the set that this ring follows if it has changed.
    #[cfg(feature = "_public")]
    pub(crate) fn outdated(&self) -> Option<&KeySetView> {
        let followed = self.followed.as_ref()?;
        (followed.version != followed.view.version()).then_some(&followed.view)
    }

    /// Leaves out keys that sign no tokens of this crate.
    #[cfg(feature = "_public")]
    pub(crate) fn for_own_tokens(mut self) -> Self {
        self.entries.retain(|entry| entry.key.is_for_own_tokens());
        self
    }

    /// Leaves out the keys of another ring.
    #[cfg(feature = "_public")]
    pub(crate) fn without(mut self, other: &Self) -> Self {
        let is_other = |key: &RingKey| other.entries.iter().any(|other| other.key.is_same(key));
        self.entries.retain(|entry| !is_other(&entry.key));
        self
    }

    /// Checks if a secret is in both rings.
    pub(crate) fn shares_a_secret_with(&self, other: &Self) -> bool {
        #[cfg(feature = "_public")]
        if let (Some(one), Some(other)) = (self.followed(), other.followed())
            && one.is(other)
        {
            return true;
        }
        let mut keys = self.entries.iter().map(|entry| &entry.key);
        keys.any(|key| other.entries.iter().any(|entry| entry.key.is_same(key)))
    }

    /// Gives all keys the header of access tokens.
    pub(crate) fn with_access_token_headers(mut self) -> Self {
        for entry in &mut self.entries {
            entry.key = entry.key.with_access_token_header();
        }
        self
    }

    /// Adds a key that verifies. Ignored if the key is already in the ring.
    ///
    /// Use it for the previous key, where another service still signs with it:
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
    pub fn verify_with(self, key: impl Into<RingKey>) -> Self {
        self.add(key.into(), None)
    }

    /// Adds a key that verifies at once and signs from `signs_from` on.
    ///
    /// Choose a time by which every node has the ring, at least one minute from now. A node that
    /// reads the ring later than that verifies with the key at once and signs with it at once. If it
    /// is more than one minute late, tokens that it has signed with the old key meanwhile are
    /// rejected shortly before they expire.
    ///
    /// A key that is in the ring to verify, or as the spare, becomes this one. For a key
    /// that signs already, `build` and `replace_keyring` return *misuse*.
    #[must_use]
    pub fn then(self, key: impl Into<RingKey>, signs_from: OffsetDateTime) -> Self {
        self.add(key.into(), Some(signs_from.into()))
    }

    /// Adds a key that verifies at once and signs nothing, until every key that would sign before
    /// it has been retired. Then it signs at once.
    ///
    /// All nodes know it by then, so that no token is rejected. At the next rotation, make it the
    /// next key and add another spare: `Keyring::new(old).then(spare, time).spare(another)`.
    #[must_use]
    pub fn spare(self, key: impl Into<RingKey>) -> Self {
        self.add(key.into(), Some(SPARE))
    }

    fn add(mut self, key: RingKey, signs_from: Option<Timestamp>) -> Self {
        if signs_from.is_some() && !key.can_sign() {
            self.mistake = Some(
                "a public key cannot sign: pass the `SigningKey`, or use `Keyring::verifying` where \
                 tokens are only verified",
            );
        }
        #[cfg(feature = "_public")]
        if self.followed.is_some() {
            self.mistake = Some(FOLLOWS_AND_HAS);
        }
        match self.find_mut(key.kid()) {
            Some(other) if !other.key.is_same(&key) => {
                self.mistake = Some(
                    "two keys of the ring have one id, so that only one of them would count: read \
                     each from a JWK with an id of its own, or from PEM",
                );
            }
            None => self.entries.push(KeyEntry {
                key,
                signs_from,
                retires_at: Timestamp::MAX,
                known_by: Timestamp::MIN,
                needed_until: Timestamp::MIN,
            }),
            Some(_) if signs_from.is_none() => {}
            Some(entry) if entry.signs_from.is_none_or(|from| from == SPARE) => {
                // It may have been only the public key of the pair.
                (entry.key, entry.signs_from) = (key, signs_from);
            }
            Some(_) => {
                self.mistake = Some(
                    "a key of the ring would begin to sign twice: pass `then` and `spare` a key \
                     that does not sign yet",
                );
            }
        }
        self
    }

    /// Retires a key at a point in time: from then on it verifies nothing.
    ///
    /// If a key has leaked, retire it on all nodes at once with
    /// [`TokenAuthenticator::retire_key`](crate::token::TokenAuthenticator::retire_key). Without a
    /// revocation view, give every node a ring in which the key is retired:
    ///
    /// ```
    /// use statewise::token::{Key, KeyState, Keyring};
    /// use time::OffsetDateTime;
    ///
    /// let (leaked, new) = (Key::generate_hs256()?, Key::generate_hs256()?);
    /// let now = OffsetDateTime::now_utc();
    /// let ring = Keyring::new(new).verify_with(leaked.clone()).retire(leaked.kid(), now);
    /// assert_eq!(ring.state(leaked.kid(), now), Some(KeyState::Retired));
    /// # Ok::<(), statewise::Error>(())
    /// ```
    #[must_use]
    pub fn retire(mut self, kid: &str, at: OffsetDateTime) -> Self {
        match self.find_mut(kid) {
            Some(entry) => entry.retires_at = at.into(),
            None => {
                self.mistake =
                    Some("a key to retire is not in the ring: name one of its keys by its `kid`");
            }
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
        let signer = self.signer(at, |_| false);
        let is_active = signer.is_some_and(|entry| entry.key.kid() == kid);
        Some(match entry.signs_from {
            _ if !entry.verifies(at) => KeyState::Retired,
            _ if is_active => KeyState::Active,
            Some(SPARE) => KeyState::Spare,
            Some(from) if at < from => KeyState::Next,
            _ => KeyState::VerifyOnly,
        })
    }

    /// Iterates over the ids of all keys in the order in which they were added, including retired ones.
    ///
    /// ```
    /// use statewise::token::{Key, Keyring};
    ///
    /// let (key, spare) = (Key::generate_hs256()?, Key::generate_hs256()?);
    /// let ring = Keyring::new(key.clone()).spare(spare.clone());
    /// assert!(ring.kids().eq([key.kid(), spare.kid()]));
    /// # Ok::<(), statewise::Error>(())
    /// ```
    pub fn kids(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.key.kid())
    }

    fn find_mut(&mut self, kid: &str) -> Option<&mut KeyEntry> {
        self.entries.iter_mut().find(|entry| entry.key.kid() == kid)
    }

    fn find(&self, kid: &str) -> Option<&KeyEntry> {
        self.entries.iter().find(|entry| entry.key.kid() == kid)
    }

    /// Returns the key that signs at `now`: the one that began to sign last. If it is retired, the
    /// next one: never a key that had already been replaced.
    pub(crate) fn signer(
        &self,
        now: Timestamp,
        is_revoked: impl Fn(&RingKey) -> bool,
    ) -> Option<&KeyEntry> {
        let is_usable = |entry: &KeyEntry| entry.verifies(now) && !is_revoked(&entry.key);
        let has_begun = |entry: &&KeyEntry| entry.signs_from.is_some_and(|from| from <= now);
        let begun = self.entries.iter().filter(has_begun);
        let active = begun.max_by_key(|entry| entry.signs_from)?;
        if is_usable(active) {
            return Some(active);
        }
        let is_later = |entry: &&KeyEntry| entry.signs_from > active.signs_from;
        let later = self.entries.iter().filter(is_later);
        later
            .filter(|entry| is_usable(entry))
            .min_by_key(|entry| entry.signs_from)
    }

    pub(crate) fn is_empty(&self) -> bool {
        #[cfg(feature = "_public")]
        if self.followed.is_some() {
            return false;
        }
        self.entries.is_empty()
    }

    /// Checks if the ring has no key that could sign.
    pub(crate) fn only_verifies(&self) -> bool {
        self.entries.iter().all(|entry| entry.signs_from.is_none())
    }

    /// Checks if the public key of a key that signs is published.
    pub(crate) fn signs_with_a_public_key(&self) -> bool {
        let mut signers = self
            .entries
            .iter()
            .filter(|entry| entry.signs_from.is_some());
        signers.any(|entry| entry.key.is_public())
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
    /// *Misuse* if a key to retire is not in the ring, a key would begin to sign twice, or a secret
    /// serves two algorithms.
    pub(crate) fn complete(mut self, longest_secs: u64, propagation_secs: u64) -> Result<Self> {
        if let Some(mistake) = self.mistake() {
            return Err(Error::misuse(mistake));
        }
        let mut keys = self.entries.iter().map(|entry| &entry.key);
        if !keys.clone().all(RingKey::is_for_own_tokens) {
            return Err(Error::misuse(
                "an RSA key is in the ring, but signs no tokens of this crate: pass it to \
                 `Interop::key` for those of its issuer",
            ));
        }
        #[cfg(feature = "_public")]
        if self.followed.is_some() {
            // Its issuer may publish a key under two ids. None of them signs here.
            return Ok(self);
        }
        while let Some(key) = keys.next() {
            if keys.clone().any(|other| other.is_same(key)) {
                return Err(Error::misuse(
                    "two keys of the ring have the same secret under two ids: generate a secret \
                     for each algorithm",
                ));
            }
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
                    .saturating_add(propagation_secs);
                entry.retires_at = entry.retires_at.min(last);
            }
        }
        Ok(self)
    }

    /// Prepares this ring to replace `old` at `now`, however late this node reads it.
    ///
    /// A new key verifies at once. Its time counts, because other nodes sign with it from then on.
    /// Without a time it signs once all nodes know it, and the present key, if it is kept, until then.
    ///
    /// # Errors
    ///
    /// *Misuse* if a removed key may have valid tokens, or no key could sign.
    pub(crate) fn succeed(
        mut self,
        old: &Self,
        now: Timestamp,
        longest_secs: u64,
        propagation_secs: u64,
        is_revoked: impl Fn(&RingKey) -> bool,
    ) -> Result<Self> {
        let known_by_all = now.saturating_add(propagation_secs);
        let present = old.signer(now, &is_revoked).map(|entry| entry.key.kid());
        for known in &old.entries {
            let kid = known.key.kid();
            let has_begun = known.signs_from.is_some_and(|from| from <= now);
            let needed_until = if present == Some(kid) {
                known_by_all
                    .saturating_add(longest_secs)
                    .saturating_add(propagation_secs)
            } else if has_begun && known.retires_at < Timestamp::MAX {
                known.retires_at
            } else {
                known.needed_until
            };
            let needed_until = needed_until.min(known.retires_at);
            match self.find_mut(kid) {
                Some(kept) => {
                    kept.needed_until = needed_until;
                    kept.known_by = known.known_by;
                }
                None if needed_until <= now || is_revoked(&known.key) => {}
                None => {
                    return Err(Error::misuse(format!(
                        "the ring leaves out the key {kid}, whose tokens are valid for up to {} \
                         seconds more: add it with `verify_with`, and if it has leaked, also call \
                         `Keyring::retire`",
                        needed_until.saturating_since(now),
                    )));
                }
            }
        }
        for entry in &mut self.entries {
            if old.find(entry.key.kid()).is_none() {
                entry.known_by = known_by_all;
            }
        }
        if self.only_verifies() && old.only_verifies() {
            return Ok(self);
        }
        let Some(first) = self.signer(now, &is_revoked) else {
            return Err(Error::misuse(
                "all keys of the ring that sign are retired: begin it with another one, \
                 `Keyring::new`",
            ));
        };
        let (kid, known_by) = (first.key.kid().to_owned(), first.known_by);
        if first.signs_from == Some(Timestamp::MIN)
            && known_by > now
            && let Some(present) = present
            && let Some(present) = self.find_mut(present)
            && present.key.kid() != kid
            && present.outlives(known_by.saturating_add(longest_secs))
        {
            present.signs_from = Some(Timestamp::MIN);
            if let Some(first) = self.find_mut(&kid) {
                first.signs_from = Some(known_by);
            }
        }
        Ok(self)
    }

    /// Marks the keys that the revocation log has retired.
    pub(crate) fn retire_revoked(&mut self, is_revoked: impl Fn(&RingKey) -> bool) {
        for entry in &mut self.entries {
            if is_revoked(&entry.key) {
                entry.retires_at = Timestamp::MIN;
            }
        }
    }
}

impl From<Key> for Keyring {
    fn from(signer: Key) -> Self {
        Self::new(signer)
    }
}

#[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
impl From<SigningKey> for Keyring {
    fn from(signer: SigningKey) -> Self {
        Self::new(signer)
    }
}

#[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
impl From<ExternalKey> for Keyring {
    fn from(signer: ExternalKey) -> Self {
        Self::new(signer)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.entries).finish()
    }
}
