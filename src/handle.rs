//! The handle that finds a login, and the stamp that orders it.

use std::fmt;

use crate::entropy::{self, Entropy};
use crate::error::Result;
use crate::public_id::PublicId;
use crate::sha256;

/// The public half of a credential, by which a store finds a login. Sixteen bytes.
///
/// The first twelve bits are the *partition*, twelve bits of the SHA-256 hash of the subject:
/// all logins of one subject share it, so that a sharded store, a Redis Cluster and a partitioned
/// table keep them together. The other 116 bits are random, and a handle is never used twice.
/// Alone it proves nothing. `Debug` shows the [`PublicId`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle([u8; 16]);

impl Handle {
    /// A fresh handle for a login of `subject`.
    pub(crate) fn draw(subject: &[u8], entropy: &dyn Entropy) -> Result<Self> {
        Ok(Self::of_subject(subject, entropy::draw(entropy)?))
    }

    /// A handle in the partition of `subject`, with the rest as given.
    pub(crate) fn of_subject(subject: &[u8], mut bytes: [u8; 16]) -> Self {
        let [first, second] = partition_of(subject).to_be_bytes();
        bytes[0] = first;
        bytes[1] = (second & 0xf0) | (bytes[1] & 0x0f);
        Self(bytes)
    }

    /// A handle from the bytes that a store kept.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes, as a store keeps them.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The partition, 0 to 4095: equal for all logins of one subject.
    #[must_use]
    pub const fn partition(&self) -> u16 {
        u16::from_be_bytes([self.0[0], self.0[1]]) >> 4
    }

    /// The id under which this login may be shown, listed and logged.
    #[must_use]
    pub fn public_id(&self) -> PublicId {
        PublicId::of(&self.0)
    }
}

/// The upper twelve bits, in place, of a subject's partition.
fn partition_of(subject: &[u8]) -> u16 {
    let hash = sha256::hash(subject);
    u16::from_be_bytes([hash[0], hash[1]]) & 0xfff0
}

/// The partition of the logins of `subject`, 0 to 4095; see [`Handle::partition`].
#[must_use]
pub fn partition(subject: &str) -> u16 {
    partition_of(subject.as_bytes()) >> 4
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({})", self.public_id())
    }
}

/// Where a login stands in a revocation log: the incarnation of the log, the position of its head
/// when the login began, and a mark of the entry there.
///
/// Kept in the record and in the token's `rev` claim; every renewal and refresh copies it.
/// Without a log there is none. A log that lost its last entries gives their positions out again:
/// the mark tells what a position meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stamp {
    incarnation: u64,
    position: u64,
    mark: u32,
}

/// What fits into six bytes.
const SIX_BYTES: u64 = (1 << 48) - 1;

impl Stamp {
    /// A place in a log. Of incarnation and position the lower 48 bits count.
    #[must_use]
    pub const fn new(incarnation: u64, position: u64, mark: u32) -> Self {
        Self {
            incarnation: incarnation & SIX_BYTES,
            position: position & SIX_BYTES,
            mark,
        }
    }

    /// The incarnation of the log; another one means that the log lost its data.
    #[must_use]
    pub const fn incarnation(self) -> u64 {
        self.incarnation
    }

    /// The position of the log's head.
    #[must_use]
    pub const fn position(self) -> u64 {
        self.position
    }

    /// What tells the entry at this position from any other that stood or will stand there; zero
    /// before the first.
    #[must_use]
    pub const fn mark(self) -> u32 {
        self.mark
    }

    /// The stamp in sixteen bytes: six of the incarnation, six of the position, four of the mark,
    /// big-endian.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        let places = u128::from(self.incarnation) << 80 | u128::from(self.position) << 32;
        (places | u128::from(self.mark)).to_be_bytes()
    }

    /// The stamp from its sixteen bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        let all = u128::from_be_bytes(bytes);
        Self::new((all >> 80) as u64, (all >> 32) as u64, all as u32)
    }
}
