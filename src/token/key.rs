//! A secret that signs and verifies tokens, bound to one algorithm.

use std::fmt;
use std::sync::Arc;

use crate::base::base64url;
use crate::entropy::{Entropy, SystemEntropy};
use crate::error::{Error, Result};
use crate::token::algorithm::Algorithm;
use crate::token::header::{self, HEADER_CHARS, Header, KID_CHARS};
use crate::token::mac::KeyedMac;
use crate::token::secret_text::{self, MASTER_PREFIX};

/// A secret that signs and verifies tokens, bound to one algorithm.
///
/// It must be at least as long as the hash (RFC 7518, section 3.2; OWASP ASVS 11.2.3). Secrets that
/// are visibly not random are refused. `Debug` redacts it, and cloning is cheap.
///
/// # Defaults
///
/// | algorithm | constructors | secret |
/// |---|---|---|
/// | HS256: the usual choice | [`generate_hs256`](Self::generate_hs256), [`hs256`](Self::hs256) | 32 bytes or more |
/// | HS384 | [`generate_hs384`](Self::generate_hs384), [`hs384`](Self::hs384) | 48 bytes or more |
/// | HS512 | [`generate_hs512`](Self::generate_hs512), [`hs512`](Self::hs512) | 64 bytes or more |
///
/// A generated secret has the minimum length and comes from the operating system.
///
/// ```
/// use statewise::token::{Algorithm, Key};
///
/// let key = Key::generate_hs256()?;
/// let same = Key::from_text(Algorithm::HS256, &key.reveal())?;
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
    kid: [u8; KID_CHARS],
    header: Header,
    /// State after the key and the constant header, for our own tokens.
    own: KeyedMac,
    /// State after the key, for tokens of other issuers.
    bare: KeyedMac,
}

impl Key {
    /// Creates a key for HS256 from at least 32 random bytes.
    ///
    /// # Errors
    ///
    /// *Misuse*, with the remedy, if the secret is too short or visibly not random: one repeated
    /// byte, or another kind of key in PEM, DER, SSH or JWK form (RFC 8725, section 3.5).
    pub fn hs256(secret: &[u8]) -> Result<Self> {
        Self::new(Algorithm::HS256, secret)
    }

    /// Creates a key for HS384 from at least 48 random bytes.
    ///
    /// # Errors
    ///
    /// As for [`hs256`](Self::hs256).
    pub fn hs384(secret: &[u8]) -> Result<Self> {
        Self::new(Algorithm::HS384, secret)
    }

    /// Creates a key for HS512 from at least 64 random bytes.
    ///
    /// # Errors
    ///
    /// As for [`hs256`](Self::hs256).
    pub fn hs512(secret: &[u8]) -> Result<Self> {
        Self::new(Algorithm::HS512, secret)
    }

    /// Generates a random key for HS256.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the operating system gives no random bytes.
    pub fn generate_hs256() -> Result<Self> {
        Self::generate_with(Algorithm::HS256, &SystemEntropy)
    }

    /// Generates a random key for HS384.
    ///
    /// # Errors
    ///
    /// As for [`generate_hs256`](Self::generate_hs256).
    pub fn generate_hs384() -> Result<Self> {
        Self::generate_with(Algorithm::HS384, &SystemEntropy)
    }

    /// Generates a random key for HS512.
    ///
    /// # Errors
    ///
    /// As for [`generate_hs256`](Self::generate_hs256).
    pub fn generate_hs512() -> Result<Self> {
        Self::generate_with(Algorithm::HS512, &SystemEntropy)
    }

    /// Generates a random key from `entropy`.
    ///
    /// # Errors
    ///
    /// Any error of `entropy`.
    pub fn generate_with(algorithm: Algorithm, entropy: &dyn Entropy) -> Result<Self> {
        let mut secret = [0; 64];
        let secret = &mut secret[..algorithm.tag_bytes()];
        entropy.fill(secret)?;
        Self::new(algorithm, secret)
    }

    /// Reads a key from configuration, in each encoding that people produce:
    ///
    /// | encoding | made by |
    /// |---|---|
    /// | base64 (RFC 4648, section 4), with or without padding | `openssl rand -base64 32` |
    /// | base64url (section 5), with or without padding | [`reveal`](Self::reveal), the member `k` of an octet JWK |
    /// | hexadecimal (section 8), in either case | `openssl rand -hex 32` |
    ///
    /// White space and line breaks are ignored, as `openssl` wraps long texts and a file ends with a line
    /// break. A text of an even number of hexadecimal digits is hexadecimal.
    ///
    /// `cargo run --example key`, in a checkout of this crate, prints a key and where to keep it. For
    /// HS384 pass 48 bytes to `openssl`, and for HS512 64.
    ///
    /// ```no_run
    /// use statewise::token::{Algorithm, Key};
    ///
    /// let text = std::env::var("TOKEN_KEY").expect("TOKEN_KEY is set");
    /// let key = Key::from_text(Algorithm::HS256, &text)?;
    /// # Ok::<(), statewise::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// *Misuse*, with the command that makes a good key, and as for [`hs256`](Self::hs256). Also for a
    /// text that mixes both alphabets, has quotes in it, is truncated or is not canonical; for letters
    /// of one case only, as a passphrase; and for the text of a [`MasterKey`](crate::token::MasterKey).
    pub fn from_text(algorithm: Algorithm, text: &str) -> Result<Self> {
        if text.trim_start().starts_with(MASTER_PREFIX) {
            return Err(Error::misuse(
                "the text is a `MasterKey`: read it with `MasterKey::from_text`, and derive the key of \
                 this service from it",
            ));
        }
        let remedy = secret_text::remedy(algorithm, "", &algorithm.name().to_lowercase());
        Self::unchecked(algorithm, &secret_text::read(algorithm, text, &remedy)?)
    }

    fn new(algorithm: Algorithm, secret: &[u8]) -> Result<Self> {
        refuse_weak(algorithm, secret, &generate(algorithm))?;
        Self::unchecked(algorithm, secret)
    }

    /// Creates a key from a secret of any length, which another issuer has chosen. It must sign
    /// nothing.
    pub(crate) fn of_any_length(algorithm: Algorithm, secret: &[u8]) -> Result<Self> {
        refuse_other_kinds(secret, &generate(algorithm))?;
        if secret.is_empty() {
            return Err(Error::misuse(
                "the secret of the other issuer is empty: pass the one that signs its tokens",
            ));
        }
        Self::unchecked(algorithm, secret)
    }

    /// Returns the same key with the header of access tokens.
    pub(crate) fn with_access_token_header(&self) -> Self {
        let Inner {
            algorithm,
            secret,
            kid,
            bare,
            ..
        } = &*self.inner;
        let header = Header::of_access_token(algorithm.name(), kid);
        Self {
            inner: Arc::new(Inner {
                algorithm: *algorithm,
                secret: secret.clone(),
                kid: *kid,
                own: bare.clone().after(header.text()),
                bare: bare.clone(),
                header,
            }),
        }
    }

    /// Creates a key from a secret that is known to be random.
    pub(crate) fn unchecked(algorithm: Algorithm, secret: &[u8]) -> Result<Self> {
        let kid = header::kid_of(algorithm.name(), secret);
        let header = Header::new(algorithm.name(), &kid);
        let keyed = keyed(algorithm, secret)?;
        Ok(Self {
            inner: Arc::new(Inner {
                algorithm,
                secret: secret.into(),
                kid,
                own: keyed.clone().after(header.text()),
                bare: keyed,
                header,
            }),
        })
    }

    /// The algorithm of this key.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.inner.algorithm
    }

    pub(crate) fn kid_bytes(&self) -> &[u8; KID_CHARS] {
        &self.inner.kid
    }

    /// Id of this key, for the `kid` header parameter: eleven characters, derived from the secret.
    #[must_use]
    pub fn kid(&self) -> &str {
        std::str::from_utf8(&self.inner.kid).unwrap_or_default()
    }

    /// Returns the secret in base64url. Store it only where secrets are kept.
    #[must_use]
    pub fn reveal(&self) -> String {
        base64url::encode(&self.inner.secret)
    }

    /// Returns true if both keys have one secret. Both belong to this service: the comparison tells
    /// no attacker anything.
    pub(crate) fn has_secret_of(&self, other: &Self) -> bool {
        self.inner.secret == other.inner.secret
    }

    /// Returns the header of every token that this key signs, with the dot after it.
    pub(crate) fn header(&self) -> &[u8; HEADER_CHARS] {
        self.inner.header.text()
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

/// Returns the state of HMAC after a secret.
pub(crate) fn keyed(algorithm: Algorithm, secret: &[u8]) -> Result<KeyedMac> {
    KeyedMac::new(algorithm, secret)
        .ok_or_else(|| Error::misuse("the key does not fit its algorithm: generate another one"))
}

/// Returns the end of an error: which function generates a good key.
fn generate(algorithm: Algorithm) -> String {
    let name = algorithm.name().to_lowercase();
    format!("generate one with `Key::generate_{name}`")
}

/// Refuses a secret that is too short or visibly not random. `remedy` ends the error: how to generate
/// a good one.
pub(crate) fn refuse_weak(algorithm: Algorithm, secret: &[u8], remedy: &str) -> Result<()> {
    refuse_other_kinds(secret, remedy)?;
    if secret.len() < algorithm.tag_bytes() {
        return Err(Error::misuse(format!(
            "the key has {} bytes, but {} needs at least {} random ones: {remedy}",
            secret.len(),
            algorithm.name(),
            algorithm.tag_bytes(),
        )));
    }
    if secret.iter().all(|byte| Some(byte) == secret.first()) {
        return Err(Error::misuse(format!(
            "the key is one repeated byte and not random: {remedy}",
        )));
    }
    Ok(())
}

/// Refuses keys of other kinds, passed as a secret (RFC 8725, section 3.5).
pub(crate) fn refuse_other_kinds(secret: &[u8], remedy: &str) -> Result<()> {
    let text = secret.trim_ascii_start();
    let is = |beginning: &[u8]| text.starts_with(beginning);
    let has = |part: &[u8]| text.windows(part.len()).any(|window| window == part);
    let kind = if has(b"-----BEGIN ") || has(b"---- BEGIN ") {
        "PEM text"
    } else if is(b"ssh-") || is(b"ecdsa-sha2-") || is(b"sk-ssh-") || is(b"sk-ecdsa-") {
        "an SSH key"
    } else if is_der(secret) {
        "a DER structure"
    } else if (is(b"{") || is(b"[")) && has(b"\"kty\"") {
        return Err(Error::misuse(
            "the key is a JWK: pass its member `k` to `Key::from_text`",
        ));
    } else {
        return Ok(());
    };
    Err(Error::misuse(format!(
        "the key is {kind}, which is for asymmetric algorithms (`SigningKey`): {remedy}",
    )))
}

/// Checks if a secret is exactly one DER sequence, as private and public keys are.
///
/// Only sequences that are longer than a random secret of the usual sizes, so that no random secret
/// is refused by chance.
fn is_der(secret: &[u8]) -> bool {
    let (found, declared, min) = match *secret {
        [0x30, 0x81, length, ref rest @ ..] => (rest.len(), usize::from(length), 128),
        [0x30, 0x82, high, low, ref rest @ ..] => {
            let length = u16::from_be_bytes([high, low]);
            (rest.len(), usize::from(length), 256)
        }
        _ => return false,
    };
    found == declared && declared >= min
}
