//! The constant header of a key.

use sha2::{Digest as _, Sha256};

use crate::base::base64url;

/// Characters of a header and its dot: one block of SHA-256.
pub(crate) const HEADER_CHARS: usize = 64;
/// Characters of a key id.
pub(crate) const KID_CHARS: usize = 11;
/// Bytes of a header in JSON, 63 characters in base64url.
const JSON_BYTES: usize = 47;
/// End of a header, after the key id.
const END: &str = "\"}";

/// Types in the headers of our tokens. Each is as much longer than the other as its key id is
/// shorter.
const TYPES: [&str; 2] = ["JWT", ACCESS_TOKEN];
const ACCESS_TOKEN: &str = "at+jwt";
/// Algorithms in the headers of our tokens. A longer name has a shorter key id too.
const ALGORITHMS: [&str; 6] = ["HS256", "HS384", "HS512", "ES256", "Ed25519", "EdDSA"];

/// A constant header: which key it names, and its base64url text with the dot after it.
#[derive(Clone, Copy)]
pub(crate) struct Header {
    kid: [u8; KID_CHARS],
    kid_chars: usize,
    text: [u8; HEADER_CHARS],
}

impl Header {
    /// The header of a key: `typ` is `JWT`.
    pub(crate) fn new(algorithm: &str, kid: &[u8; KID_CHARS]) -> Self {
        Self::with_type(algorithm, TYPES[0], kid)
    }

    /// The header of access tokens (RFC 9068, section 2.1).
    pub(crate) fn of_access_token(algorithm: &str, kid: &[u8; KID_CHARS]) -> Self {
        Self::with_type(algorithm, ACCESS_TOKEN, kid)
    }

    /// Names the key by as many characters of its id as make all headers equally long.
    fn with_type(algorithm: &str, typ: &str, kid: &[u8; KID_CHARS]) -> Self {
        let start = start(algorithm, typ);
        let kid_chars = JSON_BYTES.saturating_sub(start.len() + END.len());
        let kid_chars = kid_chars.min(KID_CHARS);
        let name = String::from_utf8_lossy(&kid[..kid_chars]);
        let json = format!("{start}{name}{END}");
        let mut text = [b'.'; HEADER_CHARS];
        // 47 bytes are 63 characters, so that this cannot fail.
        let _ = base64url::encode_into(json.as_bytes(), &mut text[..HEADER_CHARS - 1]);
        Self {
            kid: *kid,
            kid_chars,
            text,
        }
    }

    pub(crate) fn text(&self) -> &[u8; HEADER_CHARS] {
        &self.text
    }

    /// Id of the key, as the header spells it.
    #[cfg_attr(not(feature = "_public"), allow(dead_code, reason = "for key sets"))]
    pub(crate) fn kid(&self) -> &str {
        std::str::from_utf8(&self.kid[..self.kid_chars]).unwrap_or_default()
    }
}

/// Returns the header of a key up to its id.
fn start(algorithm: &str, typ: &str) -> String {
    format!(r#"{{"alg":"{algorithm}","typ":"{typ}","kid":""#)
}

/// Checks if a header, without its dot, has the form of those that this crate writes, under any
/// key.
pub(crate) fn is_own(header: &[u8]) -> bool {
    if header.len() != HEADER_CHARS - 1 {
        return false;
    }
    let Some(json) = base64url::decode(header) else {
        return false;
    };
    let mut algorithms = ALGORITHMS.into_iter();
    json.ends_with(END.as_bytes())
        && algorithms.any(|algorithm| {
            let is_start = |typ| json.starts_with(start(algorithm, typ).as_bytes());
            TYPES.into_iter().any(is_start)
        })
}

/// Derives the id of a key: from its secret, or from its public part.
pub(crate) fn kid_of(algorithm: &str, key: &[u8]) -> [u8; KID_CHARS] {
    let mut hash = Sha256::new();
    hash.update(b"statewise kid");
    hash.update(algorithm);
    hash.update(key);
    let mut kid = [b'A'; KID_CHARS];
    // Eight bytes are eleven characters, so that this cannot fail.
    let _ = base64url::encode_into(&hash.finalize()[..8], &mut kid);
    kid
}
