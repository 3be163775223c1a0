//! The facts of a revocation log, and their stored form.

use std::fmt;
use std::time::Duration;

use crate::base::sha256;
use crate::entropy::{self, Entropy};
use crate::error::Result;
use crate::login::handle::Handle;

/// Key of a subject in a log: the first half of the SHA-256 hash of its name, so that a log holds
/// no user names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubjectKey([u8; 16]);

impl SubjectKey {
    /// Returns the key of a subject.
    #[must_use]
    pub fn of(subject: &str) -> Self {
        Self(sha256::half(subject.as_bytes()))
    }

    /// Restores a key from its stored bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Returns the stored bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Returns the partition that the [handles](crate::store::contract::Handle) of this subject's
    /// logins share.
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

/// One statement of a log: a login has ended or changed, or a key was retired.
///
/// Facts combine by maximum, so that their order and duplicates do not matter.
/// [`Subject`](Self::Subject) and [`Everything`](Self::Everything) are *positional*: they end the
/// logins with a [`Stamp`](crate::store::contract::Stamp) before a position.
///
/// A [`Draft`] is a fact that is to be appended; an [`Entry`] is a fact at its position in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fact {
    /// A login has ended.
    Login(Handle),
    /// All logins of a subject have ended that began before a position.
    Subject {
        /// The subject.
        subject: SubjectKey,
        /// The position; `None` for the position of the entry of this fact.
        before: Option<u64>,
    },
    /// All logins have ended that began before a position.
    Everything {
        /// The position; `None` for the position of the entry of this fact.
        before: Option<u64>,
    },
    /// A key was retired: it verifies nothing from now on.
    Key(KeyId),
    /// The row of a login has changed: copies older than this version must not be used.
    Changed {
        /// The login; or the bytes of a [`SubjectKey`]: all logins of a subject were updated.
        handle: Handle,
        /// The lowest version that may be used.
        version: u64,
    },
    /// No statement: an expired entry, or padding that makes a log as long as it was before it lost
    /// entries.
    Nothing,
}

/// Id of a key, as in the `kid` of a token header: eleven characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 11]);

impl KeyId {
    /// Creates a key id from its characters.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 11]) -> Self {
        Self(bytes)
    }

    /// Returns the characters.
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

/// A fact that is to be appended to a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Draft {
    /// Identifies the draft: appended twice, it states the same fact.
    pub nonce: Nonce,
    /// The fact.
    pub fact: Fact,
    /// Minimum time for which a log keeps the entry, in whole seconds. It is longer than the life
    /// of every credential that the fact revokes.
    pub life: Duration,
}

impl Draft {
    /// Creates a draft with a random nonce.
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

    /// Creates a draft with a given nonce, for a log that decodes a stored entry.
    #[must_use]
    pub const fn with_nonce(nonce: Nonce, fact: Fact, life: Duration) -> Self {
        Self { nonce, fact, life }
    }
}

/// Identifier of a draft and its entry: sixteen random bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nonce([u8; 16]);

impl Nonce {
    /// Restores a nonce from its stored bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Returns the stored bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Returns the mark of a [`Stamp`](crate::store::contract::Stamp) that is taken at this entry:
    /// the first four bytes.
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

/// A fact at its position in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// Position in the log: one more than that of the entry before.
    pub position: u64,
    /// Identifies the entry.
    pub nonce: Nonce,
    /// The fact.
    pub fact: Fact,
    /// Time for which the fact applies after a reader has read it, in whole seconds.
    pub life: Duration,
}

impl Entry {
    /// Creates the entry of a draft at a position.
    #[must_use]
    pub const fn new(position: u64, draft: Draft) -> Self {
        Self {
            position,
            nonce: draft.nonce,
            fact: draft.fact,
            life: draft.life,
        }
    }

    /// Returns the entry as it is read after it has expired.
    #[must_use]
    pub const fn expired(self) -> Self {
        Self {
            fact: Fact::Nothing,
            ..self
        }
    }
}

impl Fact {
    /// Returns the position before which this fact ends logins, for an entry at `position`: its own
    /// `before`, else `position`; 0 if the fact is not positional.
    pub(super) fn before(self, position: u64) -> u64 {
        match self {
            Self::Subject { before, .. } | Self::Everything { before } => {
                before.unwrap_or(position)
            }
            _ => 0,
        }
    }

    /// Returns true if the logins of a subject were updated at this fact: its handle is the key of
    /// the subject, which no login has.
    pub(super) fn outdates(self, key: SubjectKey) -> bool {
        matches!(self, Self::Changed { handle, .. } if *handle.as_bytes() == key.0)
    }

    /// Returns the fact with the position of its entry filled in, so that it can be appended again
    /// elsewhere in the same log.
    pub(super) fn appended_at(self, position: u64) -> Self {
        self.with_before(|before| before.unwrap_or(position))
    }

    /// Returns the fact as it applies in the next incarnation of the log, where positions start
    /// again: it ends logins of earlier incarnations, and none that begin in the new one.
    pub(super) fn in_new_incarnation(self) -> Self {
        self.with_before(|_| FIRST_POSITION)
    }

    fn with_before(self, position: impl FnOnce(Option<u64>) -> u64) -> Self {
        match self {
            Self::Subject { subject, before } => {
                let before = Some(position(before));
                Self::Subject { subject, before }
            }
            Self::Everything { before } => Self::Everything {
                before: Some(position(before)),
            },
            fact => fact,
        }
    }
}

/// First position of a log. Logins stamped in an earlier incarnation count as older.
pub(super) const FIRST_POSITION: u64 = 1;

/// Length of a fact in its stored form, in bytes.
pub const FACT_BYTES: usize = 26;

impl Fact {
    /// Encodes the fact: a tag, sixteen bytes that identify the login, subject or key, a byte that
    /// is 1 if a number follows, and the number.
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

    /// Decodes a fact. `None` if this version of the crate does not know its form.
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
        // Each fact has exactly one encoding.
        (fact.to_bytes() == *bytes).then_some(fact)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_and_its_logins_share_a_partition() {
        for subject in ["", "alice", "é"] {
            let handle = Handle::of_subject(subject.as_bytes(), [0xff; 16]);
            assert_eq!(SubjectKey::of(subject).partition(), handle.partition());
        }
    }
}
