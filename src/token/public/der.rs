//! Keys in DER and PEM (RFC 5208, 5280, 7468, 8017), as far as they are used here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::token::public::Scheme;

/// `SubjectPublicKeyInfo` before the point of a key on P-256 (RFC 5480).
const P256: &[u8] = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\
    \x3d\x03\x01\x07\x03\x42\x00";
/// `SubjectPublicKeyInfo` before a key of Ed25519 (RFC 8410).
const ED25519: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
/// Algorithm of an RSA key (RFC 8017), before the bit string.
const RSA: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;

/// Returns the content of a PEM text with this label. `None` for another text.
///
/// In a variable of the environment, line breaks are often written as `\\n`. No PEM has a backslash.
pub(super) fn from_pem(label: &str, text: &str) -> Option<Vec<u8>> {
    let text = text.replace("\\n", "\n");
    let text = text.trim();
    let text = text.strip_prefix("-----BEGIN ")?.strip_prefix(label)?;
    let text = text.strip_prefix("-----")?.strip_suffix("-----")?;
    let text = text.strip_suffix(label)?.strip_suffix("-----END ")?;
    let digits: String = text.split_ascii_whitespace().collect();
    STANDARD.decode(digits).ok()
}

/// Returns a PEM text.
pub(super) fn to_pem(label: &str, der: &[u8]) -> String {
    let digits = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in digits.as_bytes().chunks(64) {
        text.extend(line.iter().map(|byte| char::from(*byte)));
        text.push('\n');
    }
    text + "-----END " + label + "-----\n"
}

/// Returns algorithm and key of a `SubjectPublicKeyInfo`: a point, the bytes of Ed25519, or an
/// `RSAPublicKey`. `None` for another algorithm.
pub(super) fn public_key(info: &[u8]) -> Option<(Scheme, &[u8])> {
    if let Some(point) = info.strip_prefix(P256) {
        return Some((Scheme::Es256, point));
    }
    if let Some(key) = info.strip_prefix(ED25519) {
        let is_older_name = false;
        return Some((Scheme::Ed25519 { is_older_name }, key));
    }
    let (info, rest) = element(SEQUENCE, info)?;
    let (bits, after) = element(BIT_STRING, info.strip_prefix(RSA)?)?;
    let key = bits.strip_prefix(&[0])?;
    (rest.is_empty() && after.is_empty()).then_some((Scheme::Rs256, key))
}

/// Writes the `SubjectPublicKeyInfo` of a key.
pub(super) fn info_of(scheme: Scheme, key: &[u8]) -> Vec<u8> {
    match scheme {
        Scheme::Es256 => [P256, key].concat(),
        Scheme::Ed25519 { .. } => [ED25519, key].concat(),
        Scheme::Rs256 => {
            let bits = tagged(BIT_STRING, &[&[0], key].concat());
            tagged(SEQUENCE, &[RSA, &bits].concat())
        }
    }
}

/// Writes an `RSAPublicKey` from big-endian numbers.
pub(super) fn rsa_public_key(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let mut numbers = integer(modulus);
    numbers.extend(integer(exponent));
    tagged(SEQUENCE, &numbers)
}

/// Reads a sequence of two numbers, big-endian and without leading zeros: modulus and exponent of an
/// `RSAPublicKey`, or r and s of a signature.
pub(super) fn two_numbers(der: &[u8]) -> Option<[&[u8]; 2]> {
    let (numbers, after) = element(SEQUENCE, der)?;
    let (first, numbers) = element(INTEGER, numbers)?;
    let (second, rest) = element(INTEGER, numbers)?;
    let without_zeros = |number: &'_ [u8]| number.iter().take_while(|byte| **byte == 0).count();
    (after.is_empty() && rest.is_empty()).then_some([
        &first[without_zeros(first)..],
        &second[without_zeros(second)..],
    ])
}

/// Checks an `RSAPublicKey`: 2048 to 8192 bits, an odd modulus, and an odd exponent from 3 on, of 32
/// bits at most. With an exponent of 1, everyone can write signatures.
pub(super) fn is_usable_rsa_key(key: &[u8]) -> bool {
    let Some([modulus, exponent]) = two_numbers(key) else {
        return false;
    };
    let zeros = modulus
        .first()
        .map_or(0, |byte| byte.leading_zeros() as usize);
    let bits = modulus.len() * 8 - zeros;
    let is_odd = |number: &[u8]| number.last().is_some_and(|byte| byte % 2 == 1);
    (2048..=8192).contains(&bits)
        && is_odd(modulus)
        && is_odd(exponent)
        && exponent != [1]
        && exponent.len() <= 4
        && rsa_public_key(modulus, exponent) == key
}

fn integer(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let mut content = number[zeros..].to_vec();
    // The highest bit is the sign.
    if content.first().is_none_or(|byte| *byte >= 0x80) {
        content.insert(0, 0);
    }
    tagged(INTEGER, &content)
}

fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u64).to_be_bytes();
    let zeros = length.iter().take_while(|byte| **byte == 0).count();
    let mut der = vec![tag];
    match &length[zeros..] {
        [] => der.push(0),
        [short] if *short < 0x80 => der.push(*short),
        long => {
            der.push(0x80 | long.len() as u8);
            der.extend(long);
        }
    }
    der.extend(content);
    der
}

/// Splits the content of an element from what follows it.
fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = match *der.strip_prefix(&[tag])? {
        [short, ref rest @ ..] if short < 0x80 => (usize::from(short), rest),
        [0x81, length, ref rest @ ..] if length >= 0x80 => (usize::from(length), rest),
        [0x82, high, low, ref rest @ ..] if high > 0 => {
            (usize::from(u16::from_be_bytes([high, low])), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}
