//! The least work that verifies and signs one of our tokens.
//!
//! It omits features that the library needs: it has no configuration, one key and one header, knows
//! only the claims of this bench, and does not check the range of dates. Each path lists its
//! further omissions and its uses of `unsafe`.

use base64::Engine as _;
use base64::engine::Simd;
use base64::engine::general_purpose::{NO_PAD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use sha2::Sha256;
use sha2::block_api::compress256;

use super::{Caller, START, Texts, seconds};

pub struct Floor {
    header: [u8; 64],
    inner: [u32; 8],
    outer: [u32; 8],
    prefix: Vec<u8>,
    issuer: String,
    audience: String,
    engine: Simd,
}

/// Buffers for decoding: the padded text of a token, and its bytes.
pub struct Scratch {
    text: [u8; 1024],
    bytes: [u8; 768],
}

impl Scratch {
    pub fn new() -> Self {
        Self {
            text: [0; 1024],
            bytes: [0; 768],
        }
    }
}

#[derive(Default)]
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
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
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

    /// Splits a token with our header into payload and signature text.
    fn parts<'t>(&self, token: &'t str) -> Option<[&'t [u8]; 2]> {
        let (header, rest) = token.as_bytes().split_first_chunk::<64>()?;
        let (payload, tag) = rest.split_at_checked(rest.len().checked_sub(44)?)?;
        (*header == self.header).then_some([payload, &tag[1..]])
    }

    /// Returns true if these 33 bytes are the signature of the payload, in its canonical spelling.
    fn is_proven_by(&self, payload: &[u8], tag: &[u8]) -> bool {
        let mut different = u32::from(tag[32]);
        for (word, bytes) in self.mac(payload).iter().zip(tag.as_chunks().0) {
            different |= word ^ u32::from_be_bytes(*bytes);
        }
        std::hint::black_box(different) == 0
    }

    /// Checks the signature: the cost of rejecting a forged token.
    ///
    /// It gives no cause. No `unsafe`.
    pub fn is_proven(&self, token: &str) -> bool {
        let Some([payload, tag]) = self.parts(token) else {
            return false;
        };
        // Zero-padded, because the decoder is fast only for whole vectors.
        let (mut text, mut bytes) = ([b'A'; 64 + 4], [0; 51]);
        text[..43].copy_from_slice(tag);
        self.engine.decode_slice(text, &mut bytes).is_ok() && self.is_proven_by(payload, &bytes)
    }

    /// Returns the claims set of a token with a valid signature.
    ///
    /// Both parts are decoded in one pass, each zero-padded: see `is_proven`.
    fn opened<'b>(&self, token: &str, scratch: &'b mut Scratch) -> Option<&'b [u8]> {
        let [payload, tag] = self.parts(token)?;
        let room = payload.len().next_multiple_of(32);
        let text = scratch.text.get_mut(..room + 64 + 4)?;
        text[room.checked_sub(32)?..].fill(b'A');
        text[..payload.len()].copy_from_slice(payload);
        text[room..room + 43].copy_from_slice(tag);
        self.engine.decode_slice(text, &mut scratch.bytes).ok()?;
        let (json, tag) = scratch.bytes.split_at(room / 4 * 3);
        let length = payload.len() * 3 / 4;
        let in_its_one_spelling = match payload.len() % 4 {
            0 => true,
            1 => false,
            _ => json[length] == 0,
        };
        (in_its_one_spelling && self.is_proven_by(payload, tag)).then_some(&json[..length])
    }

    /// Verifies a token with claims in canonical order.
    ///
    /// Omits: the id, except for its length; a fifth role; escapes in text; range checks of dates.
    /// It treats text as UTF-8 without checking, with `unsafe`.
    pub fn verify<'b>(&self, token: &str, scratch: &'b mut Scratch) -> Option<Claims<'b>> {
        let json = self.opened(token, scratch)?;
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
        let now = seconds();
        (now < expires_at).then_some(Claims {
            subject,
            roles,
            expires_at,
            issued_at,
        })
    }
}

impl Floor {
    /// Verifies a token with claims in any order, borrowed, with `serde_json`.
    ///
    /// A duplicate claim is rejected, known or not. Omits: the value of the id, a fifth role, a ninth
    /// unknown claim, text with escapes (rejected), several audiences. No `unsafe`.
    pub fn verify_general<'b>(&self, token: &str, scratch: &'b mut Scratch) -> Option<Claims<'b>> {
        let json = self.opened(token, scratch)?;
        let General {
            claims,
            issuer,
            audience,
        } = serde_json::from_slice(json).ok()?;
        let now = seconds();
        (now < claims.expires_at && issuer == self.issuer && audience == self.audience)
            .then_some(claims)
    }

    /// Signs the claims that `verify` reads, with a given id: JSON on the stack, one string.
    ///
    /// Omits: drawing the id, the partition of the subject in it, the identity of the token, escapes,
    /// dates of other than ten digits, more than 512 bytes, other than two roles. It turns its bytes
    /// into a string without checking, with `unsafe`.
    pub fn sign(&self, sid: &str, subject: &str, roles: [&str; 2], lifetime: u64) -> String {
        self.sign_at(seconds(), sid.as_bytes(), subject, roles, lifetime)
    }

    /// Issues a token with the id of these bytes, as ours does: the id begins with the partition of
    /// the subject, one block of SHA-256, has no count of upgrades, and the identity comes with the token.
    ///
    /// Omits: a subject beyond one block, and what `sign` omits besides.
    pub fn issue(
        &self,
        drawn: [u8; 16],
        subject: &str,
        roles: [&str; 2],
        lifetime: u64,
    ) -> (String, Caller) {
        let now = seconds();
        let random = u128::from_be_bytes(drawn) & (u128::MAX >> 12) & !(0xff_ffff << 88);
        let handle = partition(subject) << 116 | random;
        let token = self.sign_at(now, &sid(handle), subject, roles, lifetime);
        let caller = Caller {
            handle,
            texts: Texts::new(subject, roles),
            issued_at: now,
            authenticated_at: now,
            expires_at: now + lifetime,
            deadline: now + lifetime,
            version: 0,
            refresh_due: false,
        };
        (token, caller)
    }

    #[inline]
    fn sign_at(
        &self,
        now: u64,
        sid: &[u8],
        subject: &str,
        roles: [&str; 2],
        lifetime: u64,
    ) -> String {
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
        push(sid);
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
        // SAFETY: a header and base64url, which are ASCII.
        unsafe { String::from_utf8_unchecked(token) }
    }
}

/// The first twelve bits of the SHA-256 hash of a subject.
fn partition(subject: &str) -> u128 {
    let mut block = [0u8; 64];
    block[..subject.len()].copy_from_slice(subject.as_bytes());
    block[subject.len()] = 0x80;
    block[56..].copy_from_slice(&(subject.len() as u64 * 8).to_be_bytes());
    let mut state = START;
    compress256(&mut state, &[block]);
    u128::from(state[0] >> 20)
}

/// A handle in base64url.
fn sid(handle: u128) -> [u8; 22] {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    std::array::from_fn(|at| {
        let digit = match at {
            21 => handle << 4,
            _ => handle >> (122 - 6 * at),
        };
        alphabet[digit as usize & 0x3f]
    })
}

/// Ten digits, as in every date of this century.
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
    // SAFETY: not checked here. The claims of this bench are ASCII.
    Some(unsafe { std::str::from_utf8_unchecked(text) })
}

/// The claims in the form of `serde_json`.
#[derive(Default)]
struct General<'b> {
    claims: Claims<'b>,
    issuer: &'b str,
    audience: &'b str,
}

impl<'de> Deserialize<'de> for General<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = General<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a claims set")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut general = General::default();
        let mut known = 0u8;
        let (mut unknown, mut count) = ([""; 8], 0);
        while let Some(name) = map.next_key::<&str>()? {
            let bit = match name {
                "iss" => 1,
                "aud" => 2,
                "exp" => 4,
                "iat" => 8,
                "sub" => 16,
                "roles" => 32,
                _ => 0,
            };
            let is_duplicate = known & bit != 0 || unknown[..count].contains(&name);
            known |= bit;
            if is_duplicate || count == unknown.len() {
                return Err(A::Error::custom("a duplicate, or too many claims"));
            }
            match bit {
                1 => general.issuer = map.next_value()?,
                2 => general.audience = map.next_value()?,
                4 => general.claims.expires_at = map.next_value()?,
                8 => general.claims.issued_at = map.next_value()?,
                16 => general.claims.subject = map.next_value()?,
                32 => general.claims.roles = map.next_value::<Roles<'de>>()?.0,
                _ => {
                    unknown[count] = name;
                    count += 1;
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(general)
    }
}

struct Roles<'b>([&'b str; 4]);

impl<'de> Deserialize<'de> for Roles<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(FourTexts).map(Self)
    }
}

struct FourTexts;

impl<'de> Visitor<'de> for FourTexts {
    type Value = [&'de str; 4];

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("four roles at most")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut roles = [""; 4];
        let mut count = 0;
        while let Some(role) = seq.next_element()? {
            *roles
                .get_mut(count)
                .ok_or_else(|| A::Error::custom("a fifth role"))? = role;
            count += 1;
        }
        Ok(roles)
    }
}

/// The same claims in another order, signed again, as a service in another language may send them.
pub fn reordered(token: &str, secret: &[u8]) -> String {
    rewritten(token, secret, |json| {
        let (front, back) = json.split_once(",\"sid\"").expect("ours");
        let (front, back) = (&front[1..], &back[..back.len() - 1]);
        format!("{{\"sid\"{back},{front}}}")
    })
}

/// The same token with another claims set, signed again.
pub fn rewritten(token: &str, secret: &[u8], rewrite: impl Fn(&str) -> String) -> String {
    let mut parts = token.split('.');
    let (header, payload) = parts.next().zip(parts.next()).expect("a token");
    let json = URL_SAFE_NO_PAD.decode(payload).expect("base64url");
    let json = rewrite(&String::from_utf8(json).expect("text"));
    let body = format!("{header}.{}", URL_SAFE_NO_PAD.encode(json));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("any length");
    mac.update(body.as_bytes());
    let tag = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    format!("{body}.{tag}")
}
