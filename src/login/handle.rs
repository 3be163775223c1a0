//! The handle that finds a login.

use std::fmt;

use crate::base::public_id::PublicId;
use crate::base::sha256;
use crate::entropy::{self, Entropy};
use crate::error::Result;

/// The public half of a session credential, by which a store finds a login. Sixteen bytes.
///
/// The first twelve bits are the *partition*: twelve bits of the SHA-256 hash of the subject. All
/// logins of a subject share it, so that a sharded store, a Redis Cluster and a partitioned table
/// keep them together. The next bit is 1 for a [remembered](crate::Login::remember) login. The third to
/// the fifth byte are 0, unless [`Migrating`](crate::migrating::Migrating) has made the login of another
/// one: then all other bytes are those of that one, so that each node finds one of them by the other. The
/// remaining 91 bits are random, and a handle is never used twice. Only tokens that were made of the same
/// login share one. A handle alone proves nothing. `Debug` shows the [`PublicId`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle([u8; 16]);

impl Handle {
    /// Draws a fresh handle for a login of `subject`.
    pub(crate) fn draw(subject: &[u8], entropy: &dyn Entropy) -> Result<Self> {
        Ok(Self::of_subject(subject, entropy::draw(entropy)?).with_tag(0, [0; 2]))
    }

    /// Creates a handle in the partition of `subject` from the given bytes, for a login that is not
    /// remembered.
    pub(crate) fn of_subject(subject: &[u8], mut bytes: [u8; 16]) -> Self {
        let [first, second] = partition_of(subject).to_be_bytes();
        bytes[0] = first;
        bytes[1] = (second & 0xf0) | (bytes[1] & 0x0f & !REMEMBERED);
        Self(bytes)
    }

    /// Returns the same handle for a login that is remembered, or is not.
    pub(crate) const fn with_remembered(mut self, is_remembered: bool) -> Self {
        self.0[1] = (self.0[1] & !REMEMBERED) | if is_remembered { REMEMBERED } else { 0 };
        self
    }

    /// Returns true for a [remembered](crate::Login::remember) login. Known before the row is read.
    #[must_use]
    pub const fn is_remembered(&self) -> bool {
        self.0[1] & REMEMBERED != 0
    }

    /// Creates a handle from stored bytes.
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

    /// Returns the handle of the login that an upgrade makes of this one. The `number` tells apart the
    /// upgrades that several nodes make.
    pub(crate) const fn upgraded(self, number: [u8; 2]) -> Self {
        self.with_tag(self.upgrades().saturating_add(1), number)
    }

    /// The number of upgrades that have led to this login.
    pub(crate) const fn upgrades(&self) -> u8 {
        self.0[2]
    }

    /// Returns the same handle after another number of upgrades.
    pub(crate) const fn with_tag(mut self, upgrades: u8, number: [u8; 2]) -> Self {
        // The last eight bytes are random: tables and filters use them as a hash.
        [self.0[2], self.0[3], self.0[4]] = [upgrades, number[0], number[1]];
        self
    }

    /// The id under which this login may be shown, listed and logged.
    #[must_use]
    pub fn public_id(&self) -> PublicId {
        PublicId::of(&self.0)
    }
}

/// The bit of remembered logins, in the second byte.
const REMEMBERED: u8 = 0x08;

/// The partition of a subject in the upper twelve bits.
fn partition_of(subject: &[u8]) -> u16 {
    let hash = sha256::hash(subject);
    u16::from_be_bytes([hash[0], hash[1]]) & 0xfff0
}

/// Returns the partition of the logins of `subject`, 0 to 4095; see [`Handle::partition`].
#[must_use]
pub fn partition(subject: &str) -> u16 {
    partition_of(subject.as_bytes()) >> 4
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({})", self.public_id())
    }
}
