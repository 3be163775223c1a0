//! Names of logins: the handle that finds one, the public id that may be shown, and the stamp
//! that orders it.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::entropy::{self, Entropy};
use crate::error::{Error, Rejection, Result};

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
    pub(crate) fn draw(subject: &str, entropy: &dyn Entropy) -> Result<Self> {
        let mut bytes = entropy::draw::<16>(entropy)?;
        let [first, second, ..] = partition_of(subject).to_be_bytes();
        bytes[0] = first;
        bytes[1] = (second & 0xf0) | (bytes[1] & 0x0f);
        Ok(Self(bytes))
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
        let mut hash = Sha256::new();
        hash.update(b"statewise id");
        hash.update(self.0);
        let mut id = [0; 16];
        id.copy_from_slice(&hash.finalize()[..16]);
        PublicId(id)
    }
}

/// The upper twelve bits, in place, of a subject's partition.
fn partition_of(subject: &str) -> u16 {
    let hash = Sha256::digest(subject.as_bytes());
    u16::from_be_bytes([hash[0], hash[1]]) & 0xfff0
}

/// The partition of the logins of `subject`, 0 to 4095; see [`Handle::partition`].
#[must_use]
pub fn partition(subject: &str) -> u16 {
    partition_of(subject) >> 4
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({})", self.public_id())
    }
}

/// The id of a login that is safe to log, to list and to put into a URL: a hash of the
/// [`Handle`], so that it neither is the credential nor finds it (OWASP ASVS 7.5.2, 16.2.5).
///
/// Shown as 22 base64url characters, and read back from them:
///
/// ```
/// use statewise::PublicId;
///
/// let id: PublicId = "3q2-796tvu_erb7v3q2-7w".parse()?;
/// assert_eq!(id.to_string(), "3q2-796tvu_erb7v3q2-7w");
/// assert!("not an id".parse::<PublicId>().is_err());
/// # Ok::<(), statewise::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicId([u8; 16]);

impl fmt::Display for PublicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode_16(&self.0, &mut [0; 22]))
    }
}

impl fmt::Debug for PublicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicId({self})")
    }
}

impl FromStr for PublicId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        decode_16(text.as_bytes())
            .map(Self)
            .ok_or_else(|| Error::rejected(Rejection::Malformed))
    }
}

/// Where a login stands in a revocation log: the incarnation of the log, and the position of its
/// head when the login began.
///
/// Kept in the record and in the token's `rev` claim; every renewal and refresh copies it.
/// Without a log there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// The incarnation of the log; another one means that the log lost its data.
    pub incarnation: u64,
    /// The position of the log's head.
    pub position: u64,
}

impl Stamp {
    /// The stamp in sixteen bytes: incarnation, then position, big-endian.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.incarnation) << 64 | u128::from(self.position)).to_be_bytes()
    }

    /// The stamp from its sixteen bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        let both = u128::from_be_bytes(bytes);
        Self {
            incarnation: (both >> 64) as u64,
            position: both as u64,
        }
    }
}

/// Sixteen bytes as 22 base64url characters, written into `text`.
pub(crate) fn encode_16<'t>(bytes: &[u8; 16], text: &'t mut [u8; 22]) -> std::borrow::Cow<'t, str> {
    let length = URL_SAFE_NO_PAD
        .encode_slice(bytes, &mut text[..])
        .unwrap_or(0);
    String::from_utf8_lossy(&text[..length])
}

/// Sixteen bytes from exactly 22 base64url characters in their one canonical spelling.
pub(crate) fn decode_16(text: &[u8]) -> Option<[u8; 16]> {
    if text.len() != 22 {
        return None;
    }
    let mut bytes = [0; 16];
    match URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
        Ok(16) => Some(bytes),
        _ => None,
    }
}
