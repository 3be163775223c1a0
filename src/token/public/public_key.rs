//! A key that verifies tokens and signs nothing.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::token::header::{self, HEADER_CHARS, Header, KID_CHARS};
use crate::token::public::backend::Verifier;
use crate::token::public::jwk::{self, Jwk, NoKey};
use crate::token::public::verified_texts::VerifiedTexts;
use crate::token::public::{Scheme, der};

/// Label of a public key in PEM (RFC 7468, section 13).
const PEM_LABEL: &str = "PUBLIC KEY";

/// A public key: it verifies tokens and signs nothing, so that it needs no secrecy.
///
/// | kind of key | `alg` | accepted tokens |
/// |---|---|---|
/// | elliptic curve P-256 | `ES256` | of this crate, and of other issuers |
/// | Ed25519 | `Ed25519` (RFC 9864), `EdDSA` | of this crate, and of other issuers |
/// | RSA, 2048 to 8192 bits | `RS256` | of other issuers, with [`Interop`](crate::token::Interop) |
///
/// The key decides the algorithm, never the token.
///
/// # Remembered tokens
///
/// Verifying a signature takes 50 to 100 times as long as reading a token. A key therefore remembers
/// the texts that it has verified: at most 16,384, each of at most 1 KiB. It remembers only that the
/// signature is valid, which never changes. Expiry, audience, revocation and the
/// [end of the key](crate::token::Keyring::retire) are checked each time.
///
/// | attack | why it fails |
/// |---|---|
/// | forged tokens evict good ones | only verified texts are remembered |
/// | a changed claim with the signature of a remembered token | the whole text is compared |
/// | guessing a remembered token byte by byte | the comparison takes constant time |
/// | a revoked or expired token that is remembered | both are checked after the signature |
/// | many valid tokens fill the memory | the number and the length of texts are bounded |
///
/// A forged token still costs one verification: limit the rate of rejected requests.
///
/// ```
/// use statewise::token::{PublicKey, SigningKey};
///
/// let pair = SigningKey::generate_es256()?;
/// let key = PublicKey::from_pem(&pair.public_key().to_pem())?;
/// assert_eq!(key.kid(), pair.kid());
/// assert!(PublicKey::from_pem(&pair.reveal()).is_err());
/// # Ok::<(), statewise::Error>(())
/// ```
#[derive(Clone)]
pub struct PublicKey {
    inner: Arc<Inner>,
}

struct Inner {
    scheme: Scheme,
    key: Box<[u8]>,
    id: [u8; KID_CHARS],
    /// Id that the issuer has given to the key.
    name: Option<Box<str>>,
    header: Header,
    verifier: Arc<Verifier>,
    texts: Arc<VerifiedTexts>,
}

impl PublicKey {
    /// Reads a public key in PEM, `-----BEGIN PUBLIC KEY-----`.
    ///
    /// # Errors
    ///
    /// *Misuse* if it is another text, or a key of another kind.
    pub fn from_pem(text: &str) -> Result<Self> {
        let info = der::from_pem(PEM_LABEL, text).ok_or_else(|| {
            Error::misuse(
                "the text is no public key in PEM: pass the whole text from `-----BEGIN PUBLIC \
                 KEY-----` on",
            )
        })?;
        let key = der::public_key(&info).and_then(|(scheme, key)| Self::new(scheme, key, None));
        key.ok_or_else(|| {
            Error::misuse(
                "the public key is of a kind that verifies no tokens here: use a key on P-256, of \
                 Ed25519, or of RSA with 2048 to 8192 bits",
            )
        })
    }

    /// Reads a public key as a JWK (RFC 7517). Its `kid`, if it has one, is what tokens of other
    /// issuers call it. Without `alg`, the kind of the key decides: `RS256` for RSA.
    ///
    /// # Errors
    ///
    /// *Misuse* if it is another text, a private or a symmetric key, or a key for another use.
    pub fn from_jwk(json: &str) -> Result<Self> {
        Self::read(json).map_err(|reason| {
            Error::misuse(match reason {
                NoKey::Secret => {
                    "the JWK contains a secret, with which its readers can sign: publish only the \
                     public members"
                }
                NoKey::Other => {
                    "the JWK is for another use or another algorithm: use a key for signatures \
                     with ES256, Ed25519 or RS256"
                }
                NoKey::Malformed => "the text is no public key as a JWK (RFC 7517)",
            })
        })
    }

    /// Reads a JWK.
    pub(super) fn read(json: &str) -> Result<Self, NoKey> {
        let jwk = Jwk::read(json)?;
        Self::new(jwk.scheme, &jwk.key, jwk.kid.as_deref()).ok_or(NoKey::Malformed)
    }

    /// `None` if the bytes are no key.
    pub(super) fn new(scheme: Scheme, key: &[u8], name: Option<&str>) -> Option<Self> {
        let is_usable = match scheme {
            Scheme::Es256 => key.len() == 65 && key.first() == Some(&4),
            Scheme::Ed25519 { .. } => key.try_into().is_ok_and(has_large_order),
            Scheme::Rs256 => der::is_usable_rsa_key(key),
        };
        let verifier = is_usable.then(|| Verifier::new(scheme, key)).flatten()?;
        let id = header::kid_of(scheme.name(), key);
        Some(Self {
            inner: Arc::new(Inner {
                scheme,
                key: key.into(),
                id,
                name: name.map(Into::into),
                header: Header::new(scheme.name(), &id),
                verifier: Arc::new(verifier),
                texts: Arc::new(VerifiedTexts::new()),
            }),
        })
    }

    /// Id of this key, for rings and [`retire_key`](crate::token::TokenAuthenticator::retire_key): that
    /// which its issuer has given to it, or eleven characters derived from the key. JWKs and our tokens
    /// carry the same id, and for Ed25519 its first nine characters: pass `kid()` to `retire_key`, and
    /// never the text in a token.
    #[must_use]
    pub fn kid(&self) -> &str {
        match &self.inner.name {
            Some(name) => name,
            None => std::str::from_utf8(&self.inner.id).unwrap_or_default(),
        }
    }

    /// Returns the key in PEM.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let info = der::info_of(self.inner.scheme, &self.inner.key);
        der::to_pem(PEM_LABEL, &info)
    }

    /// Returns the key as a JWK, with `alg`, `use` and `kid`.
    #[must_use]
    pub fn to_jwk(&self) -> String {
        let name = self.inner.name.as_deref();
        let kid = name.unwrap_or_else(|| self.inner.header.kid());
        jwk::write(self.inner.scheme, &self.inner.key, kid)
    }

    /// Returns the key as a JWK with the `kid` of tokens of this crate, whatever its issuer calls it.
    pub(super) fn to_own_jwk(&self) -> String {
        let kid = self.inner.header.kid();
        jwk::write(self.inner.scheme, &self.inner.key, kid)
    }

    pub(crate) fn kid_bytes(&self) -> &[u8; KID_CHARS] {
        &self.inner.id
    }

    /// Returns the header of every token that the private key signs, with the dot after it.
    pub(crate) fn header(&self) -> &[u8; HEADER_CHARS] {
        self.inner.header.text()
    }

    /// Returns the same key with the header of access tokens.
    pub(crate) fn with_access_token_header(&self) -> Self {
        let Inner { scheme, id, .. } = *self.inner;
        self.with_header(scheme, id, Header::of_access_token(scheme.name(), &id))
    }

    /// Returns the same key without an id that its issuer has given to it.
    pub(super) fn without_name(self) -> Self {
        match self.inner.name {
            None => self,
            // The key was read before, so that this cannot fail.
            Some(_) => Self::new(self.inner.scheme, &self.inner.key, None).unwrap_or(self),
        }
    }

    /// Expects the older name of the algorithm, `EdDSA`, in tokens of this crate: for a key that was read
    /// from PEM, of an issuer that [writes it](crate::token::SigningKey::with_older_name). A JWK says
    /// its name. It changes the [`kid`](Self::kid). Without effect on other kinds of keys.
    #[must_use]
    pub fn with_older_name(self) -> Self {
        let Scheme::Ed25519 { .. } = self.inner.scheme else {
            return self;
        };
        let is_older_name = true;
        let scheme = Scheme::Ed25519 { is_older_name };
        let id = header::kid_of(scheme.name(), &self.inner.key);
        self.with_header(scheme, id, Header::new(scheme.name(), &id))
    }

    fn with_header(&self, scheme: Scheme, id: [u8; KID_CHARS], header: Header) -> Self {
        let Inner {
            key,
            name,
            verifier,
            texts,
            ..
        } = &*self.inner;
        Self {
            inner: Arc::new(Inner {
                scheme,
                key: key.clone(),
                id,
                name: name.clone(),
                header,
                verifier: Arc::clone(verifier),
                texts: Arc::clone(texts),
            }),
        }
    }

    pub(crate) fn scheme(&self) -> Scheme {
        self.inner.scheme
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        self.inner.key == other.inner.key
    }

    /// Checks if a text has this signature. Remembers nothing.
    pub(super) fn verifies_text(&self, text: &[u8], signature: &[u8]) -> bool {
        self.inner.verifier.verifies(text, signature)
    }

    /// Checks if `text`, of which the first `signed` bytes are signed, has this signature. `text`
    /// is the whole token, so that it is remembered in one spelling.
    pub(crate) fn verifies(&self, text: &[u8], signed: usize, signature: &[u8]) -> bool {
        if self.inner.texts.include(text, signature) {
            return true;
        }
        let message = text.get(..signed);
        let is_valid = message.is_some_and(|text| self.inner.verifier.verifies(text, signature));
        if is_valid {
            self.inner.texts.remember(text, signature);
        }
        is_valid
    }
}

/// Checks that the point of a key of Ed25519 is written in its only form, and is none of the eight
/// under which everyone can write signatures.
fn has_large_order(key: [u8; 32]) -> bool {
    /// Two of order 8, and those of order 4, 1 and 2, without the bit of the sign.
    const SMALL: [[u8; 32]; 5] = [
        *b"\x26\xe8\x95\x8f\xc2\xb2\x27\xb0\x45\xc3\xf4\x89\xf2\xef\x98\xf0\
            \xd5\xdf\xac\x05\xd3\xc6\x33\x39\xb1\x38\x02\x88\x6d\x53\xfc\x05",
        *b"\xc7\x17\x6a\x70\x3d\x4d\xd8\x4f\xba\x3c\x0b\x76\x0d\x10\x67\x0f\
            \x2a\x20\x53\xfa\x2c\x39\xcc\xc6\x4e\xc7\xfd\x77\x92\xac\x03\x7a",
        [0; 32],
        little_endian(1, 0, 0),
        little_endian(0xec, 0xff, 0x7f),
    ];
    let mut y = key;
    y[31] &= 0x7f;
    // The prime is 2^255 - 19.
    let is_reduced = y[0] < 0xed || y[1..] != little_endian(0, 0xff, 0x7f)[1..];
    is_reduced && !SMALL.contains(&y)
}

/// Returns 32 bytes: the first one, those between, and the last one.
const fn little_endian(first: u8, between: u8, last: u8) -> [u8; 32] {
    let mut bytes = [between; 32];
    (bytes[0], bytes[31]) = (first, last);
    bytes
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicKey")
            .field("algorithm", &self.inner.scheme.name())
            .field("kid", &self.kid())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use serde_json::Value;

    use super::*;

    fn bytes(hex: &Value) -> Vec<u8> {
        let hex = hex.as_str().unwrap();
        let digits = (0..hex.len()).step_by(2).map(|at| &hex[at..at + 2]);
        digits
            .map(|hex| u8::from_str_radix(hex, 16).unwrap())
            .collect()
    }

    /// Counts the valid and the invalid cases of a file of Project Wycheproof.
    fn judge(file: &str) -> [usize; 2] {
        let cases: Value = serde_json::from_str(file).unwrap();
        let mut counts = [0, 0];
        for group in cases["testGroups"].as_array().unwrap() {
            let pem = PublicKey::from_pem(group["publicKeyPem"].as_str().unwrap()).unwrap();
            let jwk = match &group["publicKeyJwk"] {
                Value::Null => pem.clone(),
                jwk => PublicKey::from_jwk(&jwk.to_string()).unwrap(),
            };
            assert!(jwk.is(&pem));
            assert!(PublicKey::from_pem(&pem.to_pem()).unwrap().is(&pem));
            assert!(PublicKey::from_jwk(&jwk.to_jwk()).unwrap().is(&pem));
            for case in group["tests"].as_array().unwrap() {
                let (mut text, signature) = (bytes(&case["msg"]), bytes(&case["sig"]));
                let signed = text.len();
                text.extend(&signature);
                let is_valid = case["result"] == "valid";
                // Once verified, once remembered.
                for key in [&pem, &pem, &jwk] {
                    assert_eq!(key.verifies(&text, signed, &signature), is_valid, "{case}");
                }
                counts[usize::from(is_valid)] += 1;
            }
        }
        counts
    }

    #[test]
    fn wycheproof_es256() {
        let file =
            include_str!("../../../tests/data/wycheproof_ecdsa_secp256r1_sha256_p1363_test.json");
        assert_eq!(judge(file).iter().sum::<usize>(), 262);
    }

    #[test]
    fn wycheproof_ed25519() {
        let file = include_str!("../../../tests/data/wycheproof_ed25519_test.json");
        assert_eq!(judge(file).iter().sum::<usize>(), 151);
    }
}
