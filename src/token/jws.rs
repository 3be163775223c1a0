//! The compact serialisation of a signed token (RFC 7515, section 3.1), from untrusted text to
//! verified bytes.

use crate::base::base64url::{self, Scratch};
use crate::error::{Refusal, Rejection, Result};
use crate::token::header::HEADER_CHARS;
use crate::token::keyring::{KeyEntry, Keyring};
#[cfg(feature = "_public")]
use crate::token::public::ExternalKey;
use crate::token::ring_key::RingKey;

/// Upper bound of the length of a token, whatever the configuration.
pub(crate) const MAX_TOKEN_CHARS: usize = 8192;

/// A decoded payload with a verified signature. Only this leads to claims.
#[derive(Clone, Copy)]
pub(crate) struct Verified<'b> {
    payload: &'b [u8],
}

impl<'b> Verified<'b> {
    /// Returns the payload as text.
    pub(crate) fn json(&self) -> Result<&'b str> {
        std::str::from_utf8(self.payload).map_err(|_| Rejection::InvalidClaims.into())
    }
}

/// A token of the shape that this service issues, under the header of a key. Nothing is verified.
pub(crate) struct OwnToken<'r, 't> {
    /// The key that the header names.
    pub(crate) entry: &'r KeyEntry,
    /// The whole token.
    text: &'t [u8],
    payload: &'t [u8],
    signature: &'t [u8],
}

impl<'r, 't> OwnToken<'r, 't> {
    /// Splits a token that begins with the constant header of a key. `Ok(None)` for another header.
    pub(crate) fn split(ring: &'r Keyring, token: &'t str) -> Result<Option<Self>> {
        let Some((header, rest)) = token.as_bytes().split_first_chunk::<HEADER_CHARS>() else {
            return Ok(None);
        };
        let Some(entry) = ring.by_header(header) else {
            return Ok(None);
        };
        let split = rest.len().checked_sub(entry.key.signature_chars());
        let (body, signature) = rest
            .split_at_checked(split.ok_or(Rejection::Malformed)?)
            .ok_or(Rejection::Malformed)?;
        match body.split_last() {
            Some((b'.', payload)) if !payload.is_empty() => Ok(Some(Self {
                entry,
                text: token.as_bytes(),
                payload,
                signature,
            })),
            _ => Err(Rejection::Malformed.into()),
        }
    }

    /// Verifies the signature and decodes the payload into `scratch`.
    ///
    /// Decoding comes first, because it also checks the alphabet. The payload is not read before
    /// the signature is verified.
    #[inline(always)]
    pub(crate) fn verify<'b>(&self, scratch: Scratch<'b>) -> Result<Verified<'b>> {
        let texts = [self.payload, self.signature];
        let Some([Some(payload), Some(tag)]) = base64url::decode_pair(texts, scratch) else {
            return Err(Rejection::Malformed.into());
        };
        let signed = HEADER_CHARS + self.payload.len();
        if !self.entry.key.verifies_own(self.text, signed, tag) {
            return Err(Rejection::BadSignature.into());
        }
        Ok(Verified { payload })
    }

    fn is_in_alphabet(&self) -> bool {
        base64url::is_in_alphabet(self.payload) && base64url::is_in_alphabet(self.signature)
    }
}

/// Signs a payload.
///
/// # Errors
///
/// *Refused* if the token would be longer than `max_chars`; any error of the key.
pub(crate) fn sign(key: &RingKey, payload: &[u8], max_chars: usize) -> Result<String> {
    let (mut token, signed) = unsigned(key, payload, max_chars)?;
    let (text, signature) = token.split_at_mut(signed);
    key.sign(text, &mut signature[1..])?;
    String::from_utf8(token).map_err(|_| Refusal::TooLarge.into())
}

/// Has a payload signed by an external key.
///
/// # Errors
///
/// As for [`sign`].
#[cfg(feature = "_public")]
pub(crate) async fn sign_elsewhere(
    key: &RingKey,
    external: &ExternalKey,
    payload: &[u8],
    max_chars: usize,
) -> Result<String> {
    let (mut token, signed) = unsigned(key, payload, max_chars)?;
    let signature = external.sign(&token[..signed]).await?;
    // The place has the exact length, so that encoding cannot fail.
    let _ = base64url::encode_into(signature.as_bytes(), &mut token[signed + 1..]);
    String::from_utf8(token).map_err(|_| Refusal::TooLarge.into())
}

/// Returns a token with room for its signature, and the length of the signed part.
///
/// # Errors
///
/// *Refused* if the token would be longer than `max_chars`.
fn unsigned(key: &RingKey, payload: &[u8], max_chars: usize) -> Result<(Vec<u8>, usize)> {
    let length = length_of(key, payload, max_chars)?;
    let mut token = vec![b'.'; length];
    token[..HEADER_CHARS].copy_from_slice(key.header());
    let signed = length - 1 - key.signature_chars();
    // The place has the exact length, so that encoding cannot fail.
    let _ = base64url::encode_into(payload, &mut token[HEADER_CHARS..signed]);
    Ok((token, signed))
}

/// Returns the characters of the token with this payload.
///
/// # Errors
///
/// *Refused* if they are more than `max_chars`.
pub(crate) fn length_of(key: &RingKey, payload: &[u8], max_chars: usize) -> Result<usize> {
    let encoded = (payload.len() * 4).div_ceil(3);
    let length = HEADER_CHARS + encoded + 1 + key.signature_chars();
    match length > max_chars {
        true => Err(Refusal::TooLarge.into()),
        false => Ok(length),
    }
}

/// Checks the shape of a token under the header of a key. `None` for another header.
pub(crate) fn is_own_shape(ring: &Keyring, token: &str) -> Option<bool> {
    match OwnToken::split(ring, token) {
        Ok(token) => token.map(|token| token.is_in_alphabet()),
        Err(_) => Some(false),
    }
}

/// Returns a made-up token in the shape of those that `key` signs.
pub(crate) fn sample(key: &RingKey) -> String {
    let header = String::from_utf8_lossy(key.header());
    format!("{header}AA.{:A<width$}", "", width = key.signature_chars())
}

/// Splits a token into its three segments. `None` unless each is base64url and not empty.
pub(crate) fn segments(token: &str) -> Option<[&[u8]; 3]> {
    let mut rest = token.as_bytes().splitn(4, |c| *c == b'.');
    let segments = [rest.next()?, rest.next()?, rest.next()?];
    let is_shaped = |part: &&[u8]| !part.is_empty() && base64url::is_in_alphabet(part);
    (rest.next().is_none() && segments.iter().all(is_shaped)).then_some(segments)
}
