//! The compact serialisation of a signed token (RFC 7515, section 3.1), from untrusted text to
//! verified bytes.

use crate::base::base64url::{self, LAST, VECTOR, ZERO};
use crate::error::{Rejection, Result};
use crate::token::key::{HEADER, Key};
use crate::token::keyring::{Held, Keyring};

/// Characters of the longest token that can be configured.
pub(crate) const LONGEST: usize = 8192;
/// Bytes of the longest signature, and room for what a decoder expects.
pub(crate) const SIGNATURE: usize = 66;

/// A payload whose signature has been verified, decoded. Nothing else leads to claims.
#[derive(Clone, Copy)]
pub(crate) struct Verified<'t, 'b> {
    pub(crate) payload: &'b [u8],
    /// In its one spelling.
    pub(crate) signature: &'t [u8],
}

/// Where a token of one length is decoded: payload and signature as text, and then as bytes.
pub(crate) struct Room<'b> {
    text: &'b mut [u8],
    bytes: &'b mut [u8],
}

impl<'b> Room<'b> {
    /// Characters that are needed beside those of a token.
    pub(crate) const BESIDE: usize = 2 * VECTOR + LAST;

    pub(crate) fn new(text: &'b mut [u8], bytes: &'b mut [u8]) -> Self {
        Self { text, bytes }
    }

    /// The place for bytes alone.
    pub(crate) fn into_bytes(self) -> &'b mut [u8] {
        self.bytes
    }
}

/// Bytes that `length` characters stand for, from what they and the zeros behind them stand for;
/// refused if the last character says more than it should (RFC 4648, section 3.5).
#[inline]
fn canonical(length: usize, bytes: &[u8]) -> Result<&[u8]> {
    let whole = length * 3 / 4;
    let is_canonical = match length % 4 {
        0 => true,
        1 => false,
        _ => bytes.get(whole) == Some(&0),
    };
    match bytes.get(..whole) {
        Some(bytes) if is_canonical => Ok(bytes),
        _ => Err(Rejection::Malformed.into()),
    }
}

/// A signed token; `None` if it would be longer than `max_length`.
pub(crate) fn sign(key: &Key, payload: &[u8], max_length: usize) -> Option<String> {
    let encoded = (payload.len() * 4).div_ceil(3);
    let signature = key.algorithm().signature_length();
    let length = HEADER + encoded + 1 + signature;
    if length > max_length {
        return None;
    }
    let mut token = vec![b'.'; length];
    token[..HEADER].copy_from_slice(key.header());
    let body = &mut token[HEADER..HEADER + encoded];
    // Both places have the exact length, so that nothing here fails.
    base64url::encode(payload, body)?;
    let tag = key.own_mac().tag(body);
    let rest = &mut token[HEADER + encoded + 1..];
    base64url::encode(tag.as_bytes(), rest)?;
    String::from_utf8(token).ok()
}

/// Verifies one of our own tokens, and decodes its payload into `room`.
///
/// Both are decoded first, as that is also what looks at the alphabet; nobody sees the payload
/// before the signature is verified.
#[inline]
pub(crate) fn verify<'t, 'b>(own: &Own<'_, 't>, room: Room<'b>) -> Result<Verified<'t, 'b>> {
    let [payload, tag] = decode_both([own.payload, own.signature], room)?;
    if !own.held.key.own_mac().verifies(own.payload, tag) {
        return Err(Rejection::BadSignature.into());
    }
    Ok(Verified {
        payload,
        signature: own.signature,
    })
}

/// Payload and signature from their one canonical spelling.
///
/// In one go, each filled up with zeros to whole vectors: by itself the engine decodes what
/// does not fill one character by character, which made a verification a tenth longer.
#[inline]
fn decode_both<'b>(parts: [&[u8]; 2], room: Room<'b>) -> Result<[&'b [u8]; 2]> {
    let Room { text, bytes } = room;
    let [first, second] = parts.map(|part| part.len().next_multiple_of(VECTOR));
    // The engine leaves the last four characters to the slow way, so that these are zeros too.
    let text = text.get_mut(..first + second + LAST);
    let text = text.ok_or(Rejection::Malformed)?;
    text[first - VECTOR..first].fill(ZERO);
    text[first + second - VECTOR..].fill(ZERO);
    text[..parts[0].len()].copy_from_slice(parts[0]);
    text[first..first + parts[1].len()].copy_from_slice(parts[1]);
    base64url::decode(text, bytes).ok_or(Rejection::Malformed)?;
    let (front, back) = bytes.split_at(first / 4 * 3);
    Ok([
        canonical(parts[0].len(), front)?,
        canonical(parts[1].len(), back)?,
    ])
}

/// Bytes from their one canonical spelling.
pub(crate) fn decode<'b>(text: &[u8], buffer: &'b mut [u8]) -> Result<&'b [u8]> {
    let length = base64url::decode(text, buffer).ok_or(Rejection::Malformed)?;
    Ok(&buffer[..length])
}

/// Whether a token has the shape of one of ours; `None` if it begins with no header of a key.
pub(crate) fn is_own(ring: &Keyring, token: &str) -> Option<bool> {
    match own(ring, token) {
        Ok(Some(own)) => Some(is_base64url(own.payload) && is_base64url(own.signature)),
        Ok(None) => None,
        Err(_) => Some(false),
    }
}

/// A made-up token of the shape that a key gives to its own.
pub(crate) fn shape(key: &Key) -> String {
    let header = String::from_utf8_lossy(key.header());
    format!(
        "{header}AA.{:A<width$}",
        "",
        width = key.algorithm().signature_length()
    )
}

/// A token that is put together like one of ours. Nothing is proven.
pub(crate) struct Own<'r, 't> {
    held: &'r Held,
    payload: &'t [u8],
    signature: &'t [u8],
}

impl<'r> Own<'r, '_> {
    /// The key that its header names.
    pub(crate) fn held(&self) -> &'r Held {
        self.held
    }
}

/// Takes a token apart if it begins with the constant header of a key; `Ok(None)` if it does not.
pub(crate) fn own<'r, 't>(ring: &'r Keyring, token: &'t str) -> Result<Option<Own<'r, 't>>> {
    let Some((header, rest)) = token.as_bytes().split_first_chunk::<HEADER>() else {
        return Ok(None);
    };
    let Some(held) = ring.by_header(header) else {
        return Ok(None);
    };
    let split = rest
        .len()
        .checked_sub(held.key.algorithm().signature_length());
    let (body, signature) = rest
        .split_at_checked(split.ok_or(Rejection::Malformed)?)
        .ok_or(Rejection::Malformed)?;
    let Some((b'.', payload)) = body.split_last() else {
        return Err(Rejection::Malformed.into());
    };
    if payload.is_empty() {
        return Err(Rejection::Malformed.into());
    }
    Ok(Some(Own {
        held,
        payload,
        signature,
    }))
}

/// Whether all characters are of the base64url alphabet (RFC 4648, section 5).
fn is_base64url(text: &[u8]) -> bool {
    let is_digit = |c: u8| {
        (c | 0x20).wrapping_sub(b'a') < 26 || c.wrapping_sub(b'0') < 10 || c == b'-' || c == b'_'
    };
    text.iter().all(|c| is_digit(*c))
}

/// The three segments of a token, each of them base64url and not empty.
pub(crate) fn segments(token: &str) -> Option<(&[u8], &[u8], &[u8])> {
    let mut segments = token.as_bytes().splitn(4, |c| *c == b'.');
    let header = segments.next()?;
    let payload = segments.next()?;
    let signature = segments.next()?;
    let all = [header, payload, signature];
    let shaped = all
        .iter()
        .all(|part| !part.is_empty() && is_base64url(part));
    (shaped && segments.next().is_none()).then_some((header, payload, signature))
}
