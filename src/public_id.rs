//! The id under which a login may be shown.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// The id of a login that is safe to log, to list and to put into a URL: a hash of the
/// [`Handle`](crate::session::Handle), so that it neither is the credential nor finds it (OWASP ASVS 7.5.2, 16.2.5).
///
/// Shown as 22 base64url characters, and read back from them:
///
/// ```
/// use statewise::PublicId;
///
/// let id: PublicId = "3q2-796tvu_erb7v3q2-7w".parse()?;
/// assert_eq!(id.to_string(), "3q2-796tvu_erb7v3q2-7w");
/// assert!("not an id".parse::<PublicId>().is_err());
/// # Ok::<(), statewise::InvalidPublicId>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicId([u8; 16]);

impl PublicId {
    /// The id of the login with this handle.
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
        f.write_str(&encode_16(&self.0, &mut [0; 22]))
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
        decode_16(text.as_bytes()).map(Self).ok_or(InvalidPublicId)
    }
}

/// The text is no [`PublicId`]: it has another length or alphabet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidPublicId;

impl fmt::Display for InvalidPublicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a public id: it has 22 base64url characters")
    }
}

impl std::error::Error for InvalidPublicId {}

/// Sixteen bytes as 22 base64url characters, written into `text`.
pub(crate) fn encode_16<'t>(bytes: &[u8; 16], text: &'t mut [u8; 22]) -> Cow<'t, str> {
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
