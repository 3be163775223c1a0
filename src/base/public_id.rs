//! The id under which a login may be shown.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// The id of a login that is safe to log, to list and to put into a URL: a hash of the
/// [`Handle`](crate::store::contract::Handle), so that it neither is the credential nor finds it (OWASP ASVS 7.5.2, 16.2.5).
///
/// Shown as 22 base64url characters, and read back from them:
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

/// As its text.
impl Serialize for PublicId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// From its text: a path, a form, a JSON body.
impl<'de> Deserialize<'de> for PublicId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = PublicId;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("22 base64url characters")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<PublicId, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Text)
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

/// Sixteen bytes as 22 base64url characters.
pub(crate) fn encode_16(bytes: &[u8; 16]) -> [u8; 22] {
    let digit = |bits: u32| ALPHABET[bits as usize & 0x3f];
    let mut text = [0; 22];
    let (threes, last) = bytes.as_chunks::<3>();
    let (fours, rest) = text.as_chunks_mut::<4>();
    for (digits, [a, b, c]) in fours.iter_mut().zip(threes) {
        let bits = u32::from_be_bytes([0, *a, *b, *c]);
        *digits = [18, 12, 6, 0].map(|shift| digit(bits >> shift));
    }
    // Two digits of the byte that is left.
    let last = last.iter().map(|byte| u32::from(*byte) << 4);
    for (digits, bits) in rest.as_chunks_mut::<2>().0.iter_mut().zip(last) {
        *digits = [digit(bits >> 6), digit(bits)];
    }
    text
}

/// Sixteen bytes from 22 base64url characters in their one canonical spelling.
///
/// By hand, as each token has one, and it is short: a general decoder prepares for more.
#[inline]
pub(crate) fn decode_16(text: &[u8; 22]) -> Option<[u8; 16]> {
    let mut strays = 0;
    let mut digits = |part: &[u8]| {
        part.iter().fold(0u64, |bits, c| {
            let digit = DIGITS[usize::from(*c)];
            strays |= digit;
            bits << 6 | u64::from(digit)
        })
    };
    let (high, middle, low) = (
        digits(&text[..10]),
        digits(&text[10..20]),
        digits(&text[20..]),
    );
    // 132 bits: the last four stand for nothing, and so must be zero.
    if strays & 0xc0 != 0 || low & 0x0f != 0 {
        return None;
    }
    let bits = u128::from(high) << 68 | u128::from(middle) << 8 | u128::from(low >> 4);
    Some(bits.to_be_bytes())
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// What each character of base64url stands for; all ones for the others.
const DIGITS: [u8; 256] = {
    let mut digits = [0xff; 256];
    let mut digit = 0;
    while digit < ALPHABET.len() {
        digits[ALPHABET[digit] as usize] = digit as u8;
        digit += 1;
    }
    digits
};

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    #[test]
    fn decodes_as_a_general_decoder_does() {
        let mut state = 1u64;
        let mut random = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) as u8
        };
        for round in 0..20_000 {
            let bytes: [u8; 16] = std::array::from_fn(|_| random());
            let text = URL_SAFE_NO_PAD.encode(bytes).into_bytes();
            assert_eq!(text, encode_16(&bytes));
            let mut text: [u8; 22] = text.try_into().unwrap();
            if round % 2 == 0 {
                let at = usize::from(random()) % text.len();
                text[at] = random();
            }
            let general = URL_SAFE_NO_PAD.decode(text).ok();
            assert_eq!(decode_16(&text).map(Vec::from), general, "{text:?}");
        }
        for length in (0..60).filter(|length| *length != 22) {
            assert!("A".repeat(length).parse::<PublicId>().is_err());
        }
    }
}
