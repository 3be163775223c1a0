//! The compact serialisation of a signed token (RFC 7515, section 3.1), from untrusted text to
//! verified bytes.

use std::fmt;

use base64::Engine as _;
use base64::engine::Simd;
use base64::engine::general_purpose::{NO_PAD, URL_SAFE_NO_PAD};

use crate::error::{Rejection, Result};
use crate::token::key::{HEADER, Key};
use crate::token::keyring::Keyring;

/// Characters of the longest token that can be configured.
pub(crate) const LONGEST: usize = 8192;
/// Bytes of the longest payload.
pub(crate) const LONGEST_PAYLOAD: usize = LONGEST / 4 * 3;

/// A payload whose signature has been verified. Nothing else leads to claims.
#[derive(Clone, Copy)]
pub(crate) struct Verified<'t> {
    payload: &'t [u8],
    signature: &'t [u8],
}

impl<'t> Verified<'t> {
    /// Takes a payload for verified. To be called where a signature was compared, and only there.
    pub(crate) fn assert(payload: &'t [u8], signature: &'t [u8]) -> Self {
        Self { payload, signature }
    }

    /// The signature, in its one spelling.
    pub(crate) fn signature(self) -> &'t [u8] {
        self.signature
    }

    /// Bytes of the decoded payload, at most.
    pub(crate) fn capacity(self) -> usize {
        self.payload.len().div_ceil(4) * 3
    }
}

/// Writes and reads the compact serialisation.
pub(crate) struct Codec {
    engine: Simd,
}

impl Codec {
    pub(crate) fn new() -> Self {
        Self {
            engine: Simd::url_safe(NO_PAD),
        }
    }

    /// A signed token; empty if it would be longer than `max_length`.
    pub(crate) fn sign(&self, key: &Key, payload: &[u8], max_length: usize) -> String {
        let encoded = (payload.len() * 4).div_ceil(3);
        let signature = key.algorithm().signature_length();
        let length = HEADER + encoded + 1 + signature;
        if length > max_length {
            return String::new();
        }
        let mut token = vec![b'.'; length];
        token[..HEADER].copy_from_slice(key.header());
        let body = &mut token[HEADER..HEADER + encoded];
        let written = self.engine.encode_slice(payload, body);
        let tag = key.own_mac().tag(body);
        let rest = &mut token[HEADER + encoded + 1..];
        let signed = URL_SAFE_NO_PAD.encode_slice(tag.as_bytes(), rest);
        match (written, signed, String::from_utf8(token)) {
            (Ok(_), Ok(_), Ok(token)) => token,
            // Both buffers have the exact length.
            _ => String::new(),
        }
    }

    /// Decodes a verified payload into `buffer`, of at least [`Verified::capacity`] bytes.
    pub(crate) fn decode<'b>(
        &self,
        verified: Verified<'_>,
        buffer: &'b mut [u8],
    ) -> Result<&'b [u8]> {
        let length = self.engine.decode_slice(verified.payload, buffer);
        // The alphabet was checked before; what is left are stray bits behind the last byte.
        let length = length.map_err(|_| Rejection::Malformed)?;
        Ok(&buffer[..length])
    }

    /// Verifies a token under one of our constant headers.
    ///
    /// `Ok(None)` if its header is none of them: whether that is malformed or somebody else's is
    /// not decided here.
    pub(crate) fn verify_own<'t>(
        &self,
        ring: &Keyring,
        token: &'t str,
    ) -> Result<Option<Verified<'t>>> {
        let Some(own) = own(ring, token)? else {
            return Ok(None);
        };
        let tag = decode_signature(own.signature)?;
        if !own.key.own_mac().tag(own.payload).is(&tag.0[..tag.1]) {
            return Err(Rejection::BadSignature.into());
        }
        Ok(Some(Verified::assert(own.payload, own.signature)))
    }
}

/// A token that has the shape of one of ours. Nothing is proven.
pub(crate) struct Own<'r, 't> {
    key: &'r Key,
    payload: &'t [u8],
    signature: &'t [u8],
}

/// Takes a token apart if it begins with the constant header of a key; `Ok(None)` if it does not.
pub(crate) fn own<'r, 't>(ring: &'r Keyring, token: &'t str) -> Result<Option<Own<'r, 't>>> {
    let Some((header, rest)) = token.as_bytes().split_first_chunk::<HEADER>() else {
        return Ok(None);
    };
    let Some(key) = ring.by_header(header) else {
        return Ok(None);
    };
    let split = rest.len().checked_sub(key.algorithm().signature_length());
    let (body, signature) = rest
        .split_at_checked(split.ok_or(Rejection::Malformed)?)
        .ok_or(Rejection::Malformed)?;
    let Some((b'.', payload)) = body.split_last() else {
        return Err(Rejection::Malformed.into());
    };
    if payload.is_empty() || !is_base64url(payload) {
        return Err(Rejection::Malformed.into());
    }
    Ok(Some(Own {
        key,
        payload,
        signature,
    }))
}

/// A signature as bytes, from its one canonical spelling.
pub(crate) fn decode_signature(signature: &[u8]) -> Result<([u8; 66], usize)> {
    let mut bytes = [0; 66];
    if signature.len() > 86 {
        return Err(Rejection::Malformed.into());
    }
    let length = URL_SAFE_NO_PAD.decode_slice(signature, &mut bytes);
    Ok((bytes, length.map_err(|_| Rejection::Malformed)?))
}

/// Whether all characters are of the base64url alphabet (RFC 4648, section 5). Looks at each
/// without a branch, so that it is done by the vector.
pub(crate) fn is_base64url(text: &[u8]) -> bool {
    let is_digit = |c: u8| {
        (c | 0x20).wrapping_sub(b'a') < 26 || c.wrapping_sub(b'0') < 10 || c == b'-' || c == b'_'
    };
    text.iter().fold(true, |all, c| all & is_digit(*c))
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

impl fmt::Debug for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Codec")
    }
}
