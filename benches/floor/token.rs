//! The least work that verifies and signs one of our tokens, written by hand.
//!
//! It leaves out what the library may not: it takes text for UTF-8 without looking (`unsafe`), looks
//! at no configuration, has one key, and understands the canonical order only.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::Simd;
use base64::engine::general_purpose::NO_PAD;
use sha2::block_api::compress256;

use super::START;

pub struct Floor {
    header: [u8; 64],
    inner: [u32; 8],
    outer: [u32; 8],
    prefix: Vec<u8>,
    engine: Simd,
}

pub struct Claims<'b> {
    pub subject: &'b str,
    pub roles: [&'b str; 4],
    pub expires_at: u64,
    pub issued_at: u64,
}

impl Floor {
    pub fn new(secret: &[u8; 32], header: &[u8], issuer: &str, audience: &str) -> Self {
        let pad = |byte| {
            let mut block = [byte; 64];
            block
                .iter_mut()
                .zip(secret)
                .for_each(|(block, secret)| *block ^= secret);
            let mut state = START;
            compress256(&mut state, &[block]);
            state
        };
        let header: [u8; 64] = header.try_into().expect("one block");
        let mut inner = pad(0x36);
        compress256(&mut inner, &[header]);
        Self {
            header,
            inner,
            outer: pad(0x5c),
            prefix: format!(r#"{{"iss":"{issuer}","aud":"{audience}","exp":"#).into_bytes(),
            engine: Simd::url_safe(NO_PAD),
        }
    }

    fn mac(&self, rest: &[u8]) -> [u32; 8] {
        let (blocks, tail) = rest.as_chunks::<64>();
        let mut state = self.inner;
        compress256(&mut state, blocks);
        let mut last = [[0u8; 64]; 2];
        let flat = last.as_flattened_mut();
        flat[..tail.len()].copy_from_slice(tail);
        flat[tail.len()] = 0x80;
        let bits = ((rest.len() + 128) as u64 * 8).to_be_bytes();
        if tail.len() < 56 {
            flat[56..64].copy_from_slice(&bits);
            compress256(&mut state, &last[..1]);
        } else {
            flat[120..].copy_from_slice(&bits);
            compress256(&mut state, &last);
        }
        let mut block = [0u8; 64];
        for (bytes, word) in block.chunks_exact_mut(4).zip(state) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        block[32] = 0x80;
        block[56..].copy_from_slice(&(96u64 * 8).to_be_bytes());
        let mut state = self.outer;
        compress256(&mut state, &[block]);
        state
    }

    fn proven<'t>(&self, token: &'t [u8]) -> Option<&'t [u8]> {
        let length = token.len();
        if length < 64 + 45 || token[..64] != self.header {
            return None;
        }
        let payload = &token[64..length - 44];
        let mut tag = [0u8; 33];
        self.engine
            .decode_slice(&token[length - 43..], &mut tag)
            .ok()?;
        let mac = self.mac(payload);
        let mut different = 0;
        for (word, bytes) in mac.iter().zip(tag.chunks_exact(4)) {
            different |= word ^ u32::from_be_bytes(bytes.try_into().ok()?);
        }
        (std::hint::black_box(different) == 0).then_some(payload)
    }

    /// Whether the signature is right: what refusing a forged token costs.
    pub fn is_proven(&self, token: &str) -> bool {
        self.proven(token.as_bytes()).is_some()
    }

    pub fn verify<'b>(&self, token: &str, buffer: &'b mut [u8; 6144]) -> Option<Claims<'b>> {
        let payload = self.proven(token.as_bytes())?;
        let length = self.engine.decode_slice(payload, &mut buffer[..]).ok()?;
        let json = &buffer[..length];
        let mut rest = json.strip_prefix(&self.prefix[..])?;
        let expires_at = number(&mut rest)?;
        rest = rest.strip_prefix(b",\"iat\":")?;
        let issued_at = number(&mut rest)?;
        rest = rest.strip_prefix(b",\"sid\":\"")?.get(22..)?;
        rest = rest.strip_prefix(b"\",\"sub\":\"")?;
        let subject = text(&mut rest)?;
        let mut roles = [""; 4];
        if let Some(after) = rest.strip_prefix(b",\"roles\":[\"") {
            rest = after;
            for role in &mut roles {
                *role = text(&mut rest)?;
                match rest.strip_prefix(b",\"") {
                    Some(after) => rest = after,
                    None => break,
                }
            }
            rest = rest.strip_prefix(b"]")?;
        }
        if rest != b"}" {
            return None;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
        (now < expires_at).then_some(Claims {
            subject,
            roles,
            expires_at,
            issued_at,
        })
    }
}

impl Floor {
    /// Signs the claims that `verify` reads.
    pub fn sign(&self, sid: &str, subject: &str, roles: [&str; 2], lifetime: u64) -> String {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |now| now.as_secs());
        let mut json = [0u8; 512];
        let mut end = 0;
        let mut push = |bytes: &[u8]| {
            json[end..end + bytes.len()].copy_from_slice(bytes);
            end += bytes.len();
        };
        push(&self.prefix);
        push(&digits(now + lifetime));
        push(b",\"iat\":");
        push(&digits(now));
        push(b",\"sid\":\"");
        push(sid.as_bytes());
        push(b"\",\"sub\":\"");
        push(subject.as_bytes());
        push(b"\",\"roles\":[\"");
        push(roles[0].as_bytes());
        push(b"\",\"");
        push(roles[1].as_bytes());
        push(b"\"]}");
        let json = &json[..end];
        let encoded = (json.len() * 4).div_ceil(3);
        let mut token = vec![b'.'; 64 + encoded + 44];
        token[..64].copy_from_slice(&self.header);
        let _ = self.engine.encode_slice(json, &mut token[64..64 + encoded]);
        let mac = self.mac(&token[64..64 + encoded]).map(u32::to_be_bytes);
        let _ = self
            .engine
            .encode_slice(mac.as_flattened(), &mut token[65 + encoded..]);
        // SAFETY: none; the floor looks away, and so do its inputs.
        unsafe { String::from_utf8_unchecked(token) }
    }
}

/// Ten digits, as every date of this century has.
fn digits(mut number: u64) -> [u8; 10] {
    let mut digits = [0; 10];
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
    digits
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    while let Some((digit @ b'0'..=b'9', after)) = rest.split_first() {
        number = number * 10 + u64::from(digit - b'0');
        *rest = after;
    }
    Some(number)
}

fn text<'b>(rest: &mut &'b [u8]) -> Option<&'b str> {
    let end = rest.iter().position(|c| *c == b'"' || *c == b'\\')?;
    let (text, after) = rest.split_at(end);
    *rest = after.strip_prefix(b"\"")?;
    // SAFETY: none; the floor looks away, and so do its inputs.
    Some(unsafe { std::str::from_utf8_unchecked(text) })
}
