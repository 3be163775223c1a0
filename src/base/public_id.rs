//! The public id of a login.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use crate::base::base64url::{decode_16, encode_16};

/// Public id of a login: safe to log, to list and to put into a URL.
///
/// A hash of the [`Handle`](crate::store::contract::Handle): neither the credential nor the handle
/// can be found with it (OWASP ASVS 7.5.2, 16.2.5). Its text has 22 base64url characters:
///
/// ```
/// use statewise::PublicId;
///
/// let id: PublicId = "3q2-796tvu_erb7v3q2-7w".parse()?;
/// assert_eq!(id.to_string(), "3q2-796tvu_erb7v3q2-7w");
/// assert!("not an id".parse::<PublicId>().is_err());
///
/// let json = "\"3q2-796tvu_erb7v3q2-7w\"";
/// assert_eq!(serde_json::from_str::<PublicId>(json).ok(), Some(id));
/// assert_eq!(serde_json::to_string(&id).ok().as_deref(), Some(json));
/// assert!(serde_json::from_str::<PublicId>("\"not an id\"").is_err());
/// # Ok::<(), statewise::InvalidPublicId>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicId([u8; 16]);

impl PublicId {
    /// Derives the id of the login with this handle.
    pub(crate) fn of(handle: &[u8; 16]) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"statewise id");
        hash.update(handle);
        let mut id = [0; 16];
        id.copy_from_slice(&hash.finalize()[..16]);
        Self(id)
    }
}

impl fmt::Display for PublicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&encode_16(&self.0)).unwrap_or_default())
    }
}

impl fmt::Debug for PublicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicId({self})")
    }
}

impl FromStr for PublicId {
    type Err = InvalidPublicId;

    fn from_str(text: &str) -> Result<Self, InvalidPublicId> {
        let digits = text.as_bytes().try_into().map_err(|_| InvalidPublicId)?;
        decode_16(digits).map(Self).ok_or(InvalidPublicId)
    }
}

/// Writes the text of 22 characters.
impl Serialize for PublicId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Reads the text of 22 characters, from a path, a form or a JSON body.
impl<'de> Deserialize<'de> for PublicId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// Error of a text that is no [`PublicId`]: it has another length or alphabet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidPublicId;

impl fmt::Display for InvalidPublicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a public id: pass its 22 base64url characters")
    }
}

impl std::error::Error for InvalidPublicId {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_lengths_are_no_public_id() {
        for length in (0..60).filter(|length| *length != 22) {
            assert!("A".repeat(length).parse::<PublicId>().is_err());
        }
    }
}
