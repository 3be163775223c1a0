//! A secret that signs and verifies tokens, bound to one algorithm.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::entropy::{Entropy, SystemEntropy};
use crate::error::{Error, Result};
use crate::token::algorithm::Algorithm;
use crate::token::mac::KeyedMac;

/// Characters of a header with its dot: one block of SHA-256.
pub(crate) const HEADER: usize = 64;
/// Characters of a key id.
pub(crate) const KID: usize = 11;

/// A secret that signs and verifies tokens by one algorithm.
///
/// At least as long as the hash (RFC 7518, section 3.2; OWASP ASVS 11.2.3), and refused if it is
/// visibly not a random secret. Redacted in `Debug`; cheap to clone.
///
/// ```
/// use statewise::token::{Algorithm, Key};
///
/// let key = Key::generate_hs256()?;
/// let same = Key::from_base64url(Algorithm::HS256, &key.reveal())?;
/// assert_eq!(key.kid(), same.kid());
/// assert!(Key::hs256(b"too short").is_err());
/// # Ok::<(), statewise::Error>(())
/// ```
#[derive(Clone)]
pub struct Key {
    inner: Arc<Inner>,
}

struct Inner {
    algorithm: Algorithm,
    secret: Box<[u8]>,
    kid: [u8; KID],
    header: [u8; HEADER],
    /// For our own tokens: the header is in it.
    own: KeyedMac,
    /// For tokens of others.
    bare: KeyedMac,
}

impl Key {
    /// A key for HS256 from at least 32 random bytes.
    ///
    /// # Errors
    ///
    /// *Misuse*, saying what to do, if the secret is too short or is visibly not a random secret:
    /// one byte repeated, or a key of another kind in PEM, DER, SSH or JWK form (RFC 8725,
    /// section 3.5).
    pub fn hs256(secret: &[u8]) -> Result<Self> {
        Self::new(Algorithm::HS256, secret)
    }

    /// A key for HS384 from at least 48 random bytes.
    ///
    /// # Errors
    ///
    /// As for [`hs256`](Self::hs256).
    pub fn hs384(secret: &[u8]) -> Result<Self> {
        Self::new(Algorithm::HS384, secret)
    }

    /// A key for HS512 from at least 64 random bytes.
    ///
    /// # Errors
    ///
    /// As for [`hs256`](Self::hs256).
    pub fn hs512(secret: &[u8]) -> Result<Self> {
        Self::new(Algorithm::HS512, secret)
    }

    /// A fresh random key for HS256.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the operating system gives no random bytes.
    pub fn generate_hs256() -> Result<Self> {
        Self::generate_with(Algorithm::HS256, &SystemEntropy)
    }

    /// A fresh random key for HS384.
    ///
    /// # Errors
    ///
    /// As for [`generate_hs256`](Self::generate_hs256).
    pub fn generate_hs384() -> Result<Self> {
        Self::generate_with(Algorithm::HS384, &SystemEntropy)
    }

    /// A fresh random key for HS512.
    ///
    /// # Errors
    ///
    /// As for [`generate_hs256`](Self::generate_hs256).
    pub fn generate_hs512() -> Result<Self> {
        Self::generate_with(Algorithm::HS512, &SystemEntropy)
    }

    /// A fresh random key from a source of the application's choice.
    ///
    /// # Errors
    ///
    /// As `entropy` says.
    pub fn generate_with(algorithm: Algorithm, entropy: &dyn Entropy) -> Result<Self> {
        let mut secret = [0; 64];
        let secret = &mut secret[..algorithm.size()];
        entropy.fill(secret)?;
        Self::new(algorithm, secret)
    }

    /// A key from configured text: what [`reveal`](Self::reveal) gave, or the `k` of an octet JWK
    /// (RFC 7518, section 6.4.1).
    ///
    /// # Errors
    ///
    /// *Misuse* if it is not base64url without padding, and as for [`hs256`](Self::hs256).
    pub fn from_base64url(algorithm: Algorithm, text: &str) -> Result<Self> {
        let secret = URL_SAFE_NO_PAD.decode(text).map_err(|_| {
            Error::misuse(
                "the key is not base64url without padding: pass the text that `reveal` gave, \
                 or raw bytes to the constructor of its algorithm",
            )
        })?;
        Self::new(algorithm, &secret)
    }

    fn new(algorithm: Algorithm, secret: &[u8]) -> Result<Self> {
        refuse_weak(algorithm, secret)?;
        let kid = kid_of(algorithm, secret);
        let header = header_of(algorithm, &kid);
        let keyed = KeyedMac::new(algorithm, secret)
            .ok_or_else(|| Error::misuse("the key does not fit its algorithm"))?;
        Ok(Self {
            inner: Arc::new(Inner {
                algorithm,
                secret: secret.into(),
                kid,
                header,
                own: keyed.clone().after(&header),
                bare: keyed,
            }),
        })
    }

    /// The algorithm it is bound to.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.inner.algorithm
    }

    pub(crate) fn kid_bytes(&self) -> &[u8; KID] {
        &self.inner.kid
    }

    /// Its name in the `kid` header parameter: eleven characters that follow from the key.
    #[must_use]
    pub fn kid(&self) -> &str {
        std::str::from_utf8(&self.inner.kid).unwrap_or_default()
    }

    /// The secret itself, in base64url: to put it where secrets are kept, and nowhere else.
    #[must_use]
    pub fn reveal(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.inner.secret)
    }

    /// The header of every token that it signs, with the dot behind it.
    pub(crate) fn header(&self) -> &[u8; HEADER] {
        &self.inner.header
    }

    pub(crate) fn own_mac(&self) -> &KeyedMac {
        &self.inner.own
    }

    pub(crate) fn bare_mac(&self) -> &KeyedMac {
        &self.inner.bare
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("algorithm", &self.algorithm())
            .field("kid", &self.kid())
            .finish_non_exhaustive()
    }
}

fn kid_of(algorithm: Algorithm, secret: &[u8]) -> [u8; KID] {
    let mut hash = Sha256::new();
    hash.update(b"statewise kid");
    hash.update(algorithm.name());
    hash.update(secret);
    let mut kid = [b'A'; KID];
    // Eight bytes are eleven characters, so that this cannot fail.
    let _ = URL_SAFE_NO_PAD.encode_slice(&hash.finalize()[..8], &mut kid);
    kid
}

fn header_of(algorithm: Algorithm, kid: &[u8; KID]) -> [u8; HEADER] {
    let kid = String::from_utf8_lossy(kid);
    let json = format!(
        r#"{{"alg":"{}","typ":"JWT","kid":"{kid}"}}"#,
        algorithm.name()
    );
    let mut header = [b'.'; HEADER];
    // 47 bytes are 63 characters, so that this cannot fail.
    let _ = URL_SAFE_NO_PAD.encode_slice(json, &mut header[..HEADER - 1]);
    header
}

fn refuse_weak(algorithm: Algorithm, secret: &[u8]) -> Result<()> {
    let text = secret.trim_ascii_start();
    let is = |beginning: &[u8]| text.starts_with(beginning);
    let has = |part: &[u8]| text.windows(part.len()).any(|window| window == part);
    if has(b"-----BEGIN ") || has(b"---- BEGIN ") {
        return Err(Error::misuse(
            "the key is PEM text, which is for asymmetric algorithms: generate a secret with \
             `Key::generate_hs256`",
        ));
    }
    if is(b"ssh-") || is(b"ecdsa-sha2-") || is(b"sk-ssh-") || is(b"sk-ecdsa-") {
        return Err(Error::misuse(
            "the key is the text of an SSH key, which is public: generate a secret with \
             `Key::generate_hs256`",
        ));
    }
    if (is(b"{") || is(b"[")) && has(b"\"kty\"") {
        return Err(Error::misuse(
            "the key is the text of a JWK: pass its member `k` to `Key::from_base64url`",
        ));
    }
    if is_der(secret) {
        return Err(Error::misuse(
            "the key is a DER structure, which is for asymmetric algorithms: generate a secret \
             with `Key::generate_hs256`",
        ));
    }
    if secret.len() < algorithm.size() {
        return Err(Error::misuse(format!(
            "the key has {} bytes, but {} needs at least {} random ones: generate it with \
             `Key::generate_{}`",
            secret.len(),
            algorithm.name(),
            algorithm.size(),
            algorithm.name().to_lowercase(),
        )));
    }
    if secret.iter().all(|byte| Some(byte) == secret.first()) {
        return Err(Error::misuse(
            "the key is one byte repeated: generate a random one with `Key::generate_hs256`",
        ));
    }
    Ok(())
}

/// Whether a secret is exactly one DER sequence, as private and public keys are: its length says so.
/// Only sequences too long for a random secret of the usual sizes, so that none is refused by chance.
fn is_der(secret: &[u8]) -> bool {
    let length = match *secret {
        [0x30, 0x81, length, ref rest @ ..] => (rest.len(), usize::from(length), 128),
        [0x30, 0x82, high, low, ref rest @ ..] => {
            let length = u16::from_be_bytes([high, low]);
            (rest.len(), usize::from(length), 256)
        }
        _ => return false,
    };
    let (found, said, least) = length;
    found == said && said >= least
}
