//! What a revocation log says.

use std::fmt;
use std::time::Duration;

use crate::base::sha256;
use crate::entropy::{self, Entropy};
use crate::error::Result;
use crate::login::handle::Handle;

/// A subject, as a log names it: half of the SHA-256 hash of its name, so that a log holds no
/// user's name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubjectKey([u8; 16]);

impl SubjectKey {
    /// The key of a subject.
    #[must_use]
    pub fn of(subject: &str) -> Self {
        let mut key = [0; 16];
        key.copy_from_slice(&sha256::hash(subject.as_bytes())[..16]);
        Self(key)
    }

    /// A key from the bytes that a log kept.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes, as a log keeps them.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The partition that the [handles](crate::store::contract::Handle) of this subject's logins share.
    #[must_use]
    pub const fn partition(&self) -> u16 {
        u16::from_be_bytes([self.0[0], self.0[1]]) >> 4
    }
}

impl fmt::Debug for SubjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SubjectKey({:04x}..)", self.partition())
    }
}

/// Something that no longer holds.
///
/// Facts combine by maximum: in whatever order and however often they are applied, they come to
/// the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fact {
    /// This login has ended.
    Login(Handle),
    /// Every login of this subject has ended that began before a position: before the one given,
    /// or else before the fact's own.
    Subject {
        /// Whose logins.
        subject: SubjectKey,
        /// Before which position; `None` for the position of this very fact.
        before: Option<u64>,
    },
    /// Every login has ended that began before a position: before the one given, or else before
    /// the fact's own.
    Everything {
        /// Before which position; `None` for the position of this very fact.
        before: Option<u64>,
    },
    /// The key of this id no longer verifies anything.
    Key(KeyId),
    /// This login's row has changed: what is older than this version is not to be served.
    Changed {
        /// Which login.
        handle: Handle,
        /// The version of its row from which on it may be served.
        version: u64,
    },
    /// Nothing: an entry that has had its time, or one that makes a log that lost its end as long
    /// as it was.
    Nothing,
}

/// The id of a key, as the header of a token names it: eleven characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 11]);

impl KeyId {
    /// A key id from its characters.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 11]) -> Self {
        Self(bytes)
    }

    /// Its characters.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 11] {
        &self.0
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({})", self.0.escape_ascii())
    }
}

/// A fact on its way into a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Draft {
    /// Tells this fact from every other: what is appended twice is one fact.
    pub nonce: Nonce,
    /// What is said.
    pub fact: Fact,
    /// How long a log keeps it at least, in whole seconds: longer than any credential lives that it
    /// revokes.
    pub life: Duration,
}

impl Draft {
    /// A fact that was never said before.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the entropy source fails.
    pub fn new(fact: Fact, life: Duration, entropy: &dyn Entropy) -> Result<Self> {
        Ok(Self {
            nonce: Nonce(entropy::draw(entropy)?),
            fact,
            life,
        })
    }

    /// A fact that was said before, to be said again.
    #[must_use]
    pub const fn again(nonce: Nonce, fact: Fact, life: Duration) -> Self {
        Self { nonce, fact, life }
    }
}

/// What tells one appended fact from every other: sixteen random bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nonce([u8; 16]);

impl Nonce {
    /// A nonce from the bytes that a log kept.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes, as a log keeps them.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The mark of a [`Stamp`](crate::store::contract::Stamp) that is taken at this entry.
    #[must_use]
    pub const fn mark(&self) -> u32 {
        let [a, b, c, d, ..] = self.0;
        u32::from_be_bytes([a, b, c, d])
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Nonce({:032x})", u128::from_be_bytes(self.0))
    }
}

/// A fact at its place in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The place: one more than that of the entry before.
    pub position: u64,
    /// What tells it from every other.
    pub nonce: Nonce,
    /// What is said.
    pub fact: Fact,
    /// How long it counts from when a reader first sees it, in whole seconds.
    pub life: Duration,
}

impl Entry {
    /// A draft at its place.
    #[must_use]
    pub const fn new(position: u64, draft: Draft) -> Self {
        Self {
            position,
            nonce: draft.nonce,
            fact: draft.fact,
            life: draft.life,
        }
    }

    /// The entry as it is read when it has had its time.
    #[must_use]
    pub const fn expired(self) -> Self {
        Self {
            fact: Fact::Nothing,
            ..self
        }
    }
}

impl Fact {
    /// Before which position what ends by position ends, said at `position`; zero for a fact that
    /// goes by none.
    pub(crate) fn before(self, position: u64) -> u64 {
        match self {
            Self::Subject { before, .. } | Self::Everything { before } => {
                before.unwrap_or(position)
            }
            _ => 0,
        }
    }

    /// The same fact, wherever it is said again in the same log.
    pub(crate) fn said_at(self, position: u64) -> Self {
        let here = |before: Option<u64>| before.or(Some(position));
        match self {
            Self::Subject { subject, before } => Self::Subject {
                subject,
                before: here(before),
            },
            Self::Everything { before } => Self::Everything {
                before: here(before),
            },
            fact => fact,
        }
    }

    /// The same fact in another incarnation of the log, where positions begin anew: logins that
    /// began there go on, and those of before have none.
    pub(crate) fn said_elsewhere(self) -> Self {
        let before = Some(ELSEWHERE);
        match self {
            Self::Subject { subject, .. } => Self::Subject { subject, before },
            Self::Everything { .. } => Self::Everything { before },
            fact => fact,
        }
    }
}

/// Before which position of a log everything began that began in another one: its first.
pub(crate) const ELSEWHERE: u64 = 1;

/// Bytes of a fact in its stored form.
pub const FACT_BYTES: usize = 26;

impl Fact {
    /// The fact in its stored form: a tag, sixteen bytes of whom or what, a mark whether a number
    /// follows, and the number.
    #[must_use]
    pub fn to_bytes(self) -> [u8; FACT_BYTES] {
        let (tag, name, number) = match self {
            Self::Login(handle) => (1, *handle.as_bytes(), None),
            Self::Subject { subject, before } => (2, subject.0, before),
            Self::Everything { before } => (3, [0; 16], before),
            Self::Key(key) => {
                let mut name = [0; 16];
                name[..11].copy_from_slice(&key.0);
                (4, name, None)
            }
            Self::Changed { handle, version } => (5, *handle.as_bytes(), Some(version)),
            Self::Nothing => (6, [0; 16], None),
        };
        let mut bytes = [0; FACT_BYTES];
        bytes[0] = tag;
        bytes[1..17].copy_from_slice(&name);
        if let Some(number) = number {
            bytes[17] = 1;
            bytes[18..].copy_from_slice(&number.to_be_bytes());
        }
        bytes
    }

    /// The fact from its stored form. `None` for what this version does not understand.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; FACT_BYTES]) -> Option<Self> {
        let [tag, name @ .., mark, a, b, c, d, e, f, g, h] = *bytes;
        let number = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        let number = match mark {
            0 if number == 0 => None,
            1 => Some(number),
            _ => return None,
        };
        let fact = match (tag, number) {
            (1, None) => Self::Login(Handle::from_bytes(name)),
            (2, before) => Self::Subject {
                subject: SubjectKey(name),
                before,
            },
            (3, before) => Self::Everything { before },
            (4, None) => {
                let (key, _) = name.split_first_chunk()?;
                Self::Key(KeyId(*key))
            }
            (5, Some(version)) => Self::Changed {
                handle: Handle::from_bytes(name),
                version,
            },
            (6, None) => Self::Nothing,
            _ => return None,
        };
        // One spelling for each.
        (fact.to_bytes() == *bytes).then_some(fact)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::{Random, seed};

    #[test]
    fn every_fact_has_one_spelling() {
        let mut random = Random::new(seed());
        for round in 0..20_000 {
            let mut bytes: [u8; FACT_BYTES] = std::array::from_fn(|_| random.below(256) as u8);
            bytes[0] = (round % 8) as u8;
            if round % 3 > 0 {
                bytes[17] = (round % 3 - 1) as u8;
            }
            if round % 5 > 0 {
                bytes[18..].fill(0);
            }
            if let Some(fact) = Fact::from_bytes(&bytes) {
                assert_eq!(fact.to_bytes(), bytes);
            }
        }
        let handle = Handle::from_bytes([7; 16]);
        let subject = SubjectKey::of("alice");
        for fact in [
            Fact::Login(handle),
            Fact::Subject {
                subject,
                before: None,
            },
            Fact::Subject {
                subject,
                before: Some(0),
            },
            Fact::Everything { before: Some(9) },
            Fact::Everything { before: None },
            Fact::Key(KeyId(*b"0123456789_")),
            Fact::Changed { handle, version: 0 },
        ] {
            assert_eq!(Fact::from_bytes(&fact.to_bytes()), Some(fact));
        }
    }

    #[test]
    fn a_subject_and_its_logins_share_a_partition() {
        for subject in ["", "alice", "é"] {
            let handle = Handle::of_subject(subject.as_bytes(), [0xff; 16]);
            assert_eq!(SubjectKey::of(subject).partition(), handle.partition());
        }
    }
}
