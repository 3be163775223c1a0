//! base64url without padding (RFC 4648, section 5), and in one spelling only (section 3.5).

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::Simd;
use base64::engine::general_purpose::NO_PAD;

/// Decodes a claims set three to four times faster than the scalar engine. It looks at what the
/// processor can do when it is made, and is larger than most of what it decodes: one for all.
static ENGINE: LazyLock<Simd> = LazyLock::new(|| Simd::url_safe(NO_PAD));

/// Characters that the engine decodes at a time.
pub(crate) const VECTOR: usize = 32;
/// Characters that the engine always leaves to the slow way.
pub(crate) const LAST: usize = 4;
/// The character that stands for six zeros.
pub(crate) const ZERO: u8 = b'A';

/// Writes the characters of `bytes`, and says how many. `None` if they do not fit.
pub(crate) fn encode(bytes: &[u8], text: &mut [u8]) -> Option<usize> {
    ENGINE.encode_slice(bytes, text).ok()
}

/// Writes the bytes of `text`, and says how many. `None` for any other alphabet or spelling, and if
/// `bytes` has not the room that the engine wants.
pub(crate) fn decode(text: &[u8], bytes: &mut [u8]) -> Option<usize> {
    ENGINE.decode_slice(text, bytes).ok()
}

/// The bytes of 64 characters.
///
/// With zeros behind them: by itself the engine decodes the last vector one character by
/// character, which made a session's verification a sixth longer.
#[inline]
pub(crate) fn decode_48(text: &[u8; 64]) -> Option<[u8; 48]> {
    let mut padded = [ZERO; 64 + LAST];
    padded[..64].copy_from_slice(text);
    let mut bytes = [0; 51];
    decode(&padded, &mut bytes)?;
    bytes.first_chunk().copied()
}
