//! base64url without padding (RFC 4648, section 5). Decoding accepts the canonical spelling only
//! (section 3.5), so that no value has two texts.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::Simd;
use base64::engine::general_purpose::NO_PAD;

/// The SIMD engine decodes a claims set three to four times faster than the scalar one. It detects
/// the features of the processor when it is created, so that all uses share one.
static ENGINE: LazyLock<Simd> = LazyLock::new(|| Simd::url_safe(NO_PAD));

/// Characters that the engine decodes at a time.
const VECTOR_CHARS: usize = 32;
/// Characters at the end of a text that the engine always decodes one by one, which is slow. Every
/// decoder here therefore appends zeros.
const SCALAR_CHARS: usize = 4;
/// The character for six zero bits.
const ZERO: u8 = b'A';

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Bit of a character outside of the alphabet. The 24 bits of four characters are below it.
const STRAY: u32 = 1 << 24;

/// Bits of each character as the first, second, third and last of four.
static BITS: [[u32; 256]; 4] = {
    let mut bits = [[STRAY; 256]; 4];
    let mut at = 0;
    while at < 4 * ALPHABET.len() {
        let digit = at / 4;
        bits[at % 4][ALPHABET[digit] as usize] = (digit as u32) << (18 - 6 * (at % 4));
        at += 1;
    }
    bits
};

/// Returns the 24 bits of four characters, or [`STRAY`] or more for another alphabet.
#[inline(always)]
fn bits_of([a, b, c, d]: [u8; 4]) -> u32 {
    let [first, second, third, last] = &BITS;
    let bits = |place: &[u32; 256], c: u8| place[usize::from(c)];
    bits(first, a) | bits(second, b) | bits(third, c) | bits(last, d)
}

/// Encodes `bytes` into `text`. `None` if `text` is too short.
pub(crate) fn encode_into(bytes: &[u8], text: &mut [u8]) -> Option<usize> {
    ENGINE.encode_slice(bytes, text).ok()
}

/// Encodes `bytes` and appends the characters to `text`.
pub(crate) fn push(text: &mut String, bytes: &[u8]) {
    ENGINE.encode_string(bytes, text);
}

/// Encodes `bytes`.
pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    ENGINE.encode(bytes)
}

/// Decodes `text`. `None` for another alphabet or spelling.
pub(crate) fn decode(text: impl AsRef<[u8]>) -> Option<Vec<u8>> {
    ENGINE.decode(text).ok()
}

/// Encodes 16 bytes as 22 characters.
#[inline]
pub(crate) fn encode_16(bytes: &[u8; 16]) -> [u8; 22] {
    let bits = u128::from_be_bytes(*bytes);
    std::array::from_fn(|at| {
        let digit = if at < 21 {
            bits >> (122 - 6 * at)
        } else {
            bits << 4
        };
        ALPHABET[digit as usize & 0x3f]
    })
}

/// Decodes 16 bytes from 22 characters.
///
/// Each token has such a text. With the engine, verifying and issuing a token took 4 % longer
/// (bench `verify`, 2026-11-28).
#[inline(always)]
pub(crate) fn decode_16(text: &[u8; 22]) -> Option<[u8; 16]> {
    let (fours, rest) = text.as_chunks();
    let [a, b, c, d, e] = *fours.first_chunk()?;
    let [a, b, c] = [bits_of(a), bits_of(b), bits_of(c)];
    let [d, e, f] = [
        bits_of(d),
        bits_of(e),
        bits_of([rest[0], rest[1], ZERO, ZERO]),
    ];
    // The last four bits mean nothing and must be zero.
    if a | b | c | d | e | f >= STRAY || f & 0xffff != 0 {
        return None;
    }
    let [a, b, c, d, e, f] = [a, b, c, d, e, f].map(u64::from);
    let high = a << 40 | b << 16 | c >> 8;
    let low = c << 56 | d << 32 | e << 8 | f >> 16;
    Some((u128::from(high) << 64 | u128::from(low)).to_be_bytes())
}

/// Decodes 48 bytes from 64 characters.
///
/// The engine takes twice as long for so few characters (bench `verify`, 2026-11-28).
#[inline(always)]
pub(crate) fn decode_48(text: &[u8; 64]) -> Option<[u8; 48]> {
    let (mut bytes, mut strays) = ([0; 48], 0);
    let (words, _) = bytes.as_chunks_mut::<8>();
    let (fours, _) = text.as_chunks::<4>();
    // 32 characters are four times 48 bits, or three words.
    for (words, fours) in words.chunks_exact_mut(3).zip(fours.chunks_exact(8)) {
        let mut bits = [0; 4];
        for (bits, fours) in bits.iter_mut().zip(fours.chunks_exact(2)) {
            let [high, low] = [bits_of(fours[0]), bits_of(fours[1])];
            strays |= high | low;
            *bits = u64::from(high) << 24 | u64::from(low);
        }
        let [a, b, c, d] = bits;
        words[0] = (a << 16 | b >> 32).to_be_bytes();
        words[1] = (b << 32 | c >> 16).to_be_bytes();
        words[2] = (c << 48 | d).to_be_bytes();
    }
    Some(bytes).filter(|_| strays < STRAY)
}

/// Memory in which [`decode_pair`] pads and decodes two texts.
pub(crate) struct Scratch<'b> {
    chars: &'b mut [u8],
    bytes: &'b mut [u8],
}

impl<'b> Scratch<'b> {
    /// Characters that `chars` needs in addition to the two texts.
    pub(crate) const PADDING_CHARS: usize = 2 * VECTOR_CHARS + SCALAR_CHARS;

    /// Memory for texts of `chars.len() - PADDING_CHARS` characters. `bytes` needs three quarters
    /// of the length of `chars`.
    pub(crate) fn new(chars: &'b mut [u8], bytes: &'b mut [u8]) -> Self {
        Self { chars, bytes }
    }
}

/// Decodes two texts at once. `None` for another alphabet, for an empty text, and for texts that do
/// not fit into `scratch`. Either element is `None` for a text in another spelling.
///
/// One call of the engine, with both texts padded to whole vectors: without the padding a
/// verification took a tenth longer.
#[inline(always)]
pub(crate) fn decode_pair<'b>(
    texts: [&[u8]; 2],
    scratch: Scratch<'b>,
) -> Option<[Option<&'b [u8]>; 2]> {
    let Scratch { chars, bytes } = scratch;
    if texts.iter().any(|text| text.is_empty()) {
        return None;
    }
    let [first, second] = texts.map(|text| text.len().next_multiple_of(VECTOR_CHARS));
    let chars = chars.get_mut(..first + second + SCALAR_CHARS)?;
    chars[first - VECTOR_CHARS..first].fill(ZERO);
    chars[first + second - VECTOR_CHARS..].fill(ZERO);
    chars[..texts[0].len()].copy_from_slice(texts[0]);
    chars[first..first + texts[1].len()].copy_from_slice(texts[1]);
    ENGINE.decode_slice(chars, bytes).ok()?;
    let (front, back) = bytes.split_at(first / 4 * 3);
    Some([
        without_padding(texts[0].len(), front),
        without_padding(texts[1].len(), back),
    ])
}

/// Cuts decoded, zero-padded bytes to those of `chars` characters. `None` if the last character has
/// bits that mean nothing and are not zero.
#[inline]
fn without_padding(chars: usize, bytes: &[u8]) -> Option<&[u8]> {
    let whole = chars * 3 / 4;
    let is_canonical = match chars % 4 {
        0 => true,
        1 => false,
        _ => bytes.get(whole) == Some(&0),
    };
    bytes.get(..whole).filter(|_| is_canonical)
}

/// Checks that `text` has characters of the alphabet only.
///
/// Without an early exit, the compiler checks several characters at once.
#[inline]
pub(crate) fn is_in_alphabet(text: &[u8]) -> bool {
    let is_digit = |c: u8| {
        ((c | 0x20).wrapping_sub(b'a') < 26)
            | (c.wrapping_sub(b'0') < 10)
            | (c == b'-')
            | (c == b'_')
    };
    text.iter().fold(true, |all, c| all & is_digit(*c))
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;
    use crate::testkit::Random;

    #[test]
    fn decoders_agree_with_a_general_decoder() {
        let mut random = Random::new(1);
        for round in 0..20_000 {
            let bytes: [u8; 48] = std::array::from_fn(|_| random.below(256) as u8);
            let id: &[u8; 16] = bytes.first_chunk().unwrap();
            let mut short = URL_SAFE_NO_PAD.encode(id).into_bytes();
            let mut long = URL_SAFE_NO_PAD.encode(bytes).into_bytes();
            assert_eq!(short, encode_16(id));
            if round % 2 == 0 {
                let at = random.below(short.len());
                short[at] = random.below(256) as u8;
                long[at] = random.below(256) as u8;
            }
            let general = URL_SAFE_NO_PAD.decode(&short).ok();
            let ours = decode_16(short.first_chunk().unwrap());
            assert_eq!(ours.map(Vec::from), general, "{short:?}");
            let general = URL_SAFE_NO_PAD.decode(&long).ok();
            let ours = decode_48(long.first_chunk().unwrap());
            assert_eq!(ours.map(Vec::from), general, "{long:?}");
        }
    }

    #[test]
    fn each_byte_at_each_place_is_decoded_as_by_a_general_decoder() {
        let (mut short, mut long) = ([ZERO; 22], [ZERO; 64]);
        for byte in 0..=255 {
            for at in 0..64 {
                let kept = std::mem::replace(&mut long[at], byte);
                let general = URL_SAFE_NO_PAD.decode(long).ok();
                assert_eq!(is_in_alphabet(&long), general.is_some(), "{byte} {at}");
                assert_eq!(decode_48(&long).map(Vec::from), general, "{byte} {at}");
                long[at] = kept;
                if at < short.len() {
                    short[at] = byte;
                    let general = URL_SAFE_NO_PAD.decode(short).ok();
                    assert_eq!(decode_16(&short).map(Vec::from), general, "{byte} {at}");
                    short[at] = ZERO;
                }
            }
            // Other digits at all other places.
            long = std::array::from_fn(|at| ALPHABET[(usize::from(byte) * 7 + at * 5) % 64]);
        }
    }

    #[test]
    fn a_pair_is_decoded_as_each_text_alone() {
        let mut random = Random::new(2);
        for round in 0..20_000 {
            let texts = [0; 2].map(|_| {
                let length = 1 + random.below(100);
                let bytes: Vec<u8> = (0..length).map(|_| random.below(256) as u8).collect();
                let mut text = URL_SAFE_NO_PAD.encode(bytes).into_bytes();
                if round % 3 == 0 {
                    let at = random.below(text.len());
                    text[at] = b"AQgw-_=z"[random.below(8)];
                }
                text
            });
            let alone = texts
                .each_ref()
                .map(|text| URL_SAFE_NO_PAD.decode(text).ok());
            let (mut chars, mut bytes) = ([7; 512], [7; 384]);
            let scratch = Scratch::new(&mut chars, &mut bytes);
            let pair = decode_pair([&texts[0], &texts[1]], scratch);
            match pair {
                Some(pair) => assert_eq!(pair.map(|one| one.map(Vec::from)), alone, "{texts:?}"),
                None => assert!(texts.iter().any(|text| !is_in_alphabet(text)), "{texts:?}"),
            }
        }
        for lengths in [[0, 4], [4, 0], [300, 300]] {
            let texts = lengths.map(|length| vec![ZERO; length]);
            let (mut chars, mut bytes) = ([0; 512], [0; 384]);
            let scratch = Scratch::new(&mut chars, &mut bytes);
            assert!(decode_pair([&texts[0], &texts[1]], scratch).is_none());
        }
    }
}
