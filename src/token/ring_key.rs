//! A key of a ring, of any kind.

use crate::error::{Error, Result};
use crate::token::header::{HEADER_CHARS, KID_CHARS};
use crate::token::json::Text;
use crate::token::key::Key;
#[cfg(feature = "_public")]
use crate::token::public::{ExternalKey, PublicKey, Scheme, SigningKey};

/// A key of a [`Keyring`](crate::token::Keyring): a [`Key`], or with one of the features for
/// public-key signatures a `SigningKey`, an `ExternalKey` or a `PublicKey`.
#[derive(Clone, Debug)]
pub struct RingKey(pub(crate) Kind);

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Secret(Key),
    /// A public key, and the private one where it signs.
    #[cfg(feature = "_public")]
    Public(PublicKey, Private),
}

/// Place of the private key of a pair.
#[cfg(feature = "_public")]
#[derive(Clone, Debug)]
pub(crate) enum Private {
    /// Another service has it, which issues the tokens.
    Absent,
    Here(SigningKey),
    /// A signer has it.
    External(ExternalKey),
}

impl RingKey {
    /// Id of this key.
    pub(crate) fn kid(&self) -> &str {
        match &self.0 {
            Kind::Secret(key) => key.kid(),
            #[cfg(feature = "_public")]
            Kind::Public(key, _) => key.kid(),
        }
    }

    pub(crate) fn kid_bytes(&self) -> &[u8; KID_CHARS] {
        match &self.0 {
            Kind::Secret(key) => key.kid_bytes(),
            #[cfg(feature = "_public")]
            Kind::Public(key, _) => key.kid_bytes(),
        }
    }

    /// Returns the header of every token of this key, with the dot after it.
    #[inline]
    pub(crate) fn header(&self) -> &[u8; HEADER_CHARS] {
        match &self.0 {
            Kind::Secret(key) => key.header(),
            #[cfg(feature = "_public")]
            Kind::Public(key, _) => key.header(),
        }
    }

    /// Gives the key the header of access tokens.
    pub(crate) fn with_access_token_header(&self) -> Self {
        Self(match &self.0 {
            Kind::Secret(key) => Kind::Secret(key.with_access_token_header()),
            #[cfg(feature = "_public")]
            Kind::Public(key, private) => {
                Kind::Public(key.with_access_token_header(), private.clone())
            }
        })
    }

    /// Characters of a signature in our own tokens.
    #[inline]
    pub(crate) fn signature_chars(&self) -> usize {
        match &self.0 {
            Kind::Secret(key) => key.algorithm().signature_chars(),
            // 64 bytes.
            #[cfg(feature = "_public")]
            Kind::Public(..) => 86,
        }
    }

    /// Checks the length of a signature in a token of another issuer. That of RSA is as long as the
    /// modulus.
    pub(crate) fn fits(&self, signature: &[u8]) -> bool {
        !self.is_for_own_tokens() || signature.len() == self.signature_chars()
    }

    /// Checks if tokens of this key may name their algorithm so.
    pub(crate) fn has_algorithm(&self, name: Text<'_>) -> bool {
        match &self.0 {
            Kind::Secret(key) => name.is(key.algorithm().name()),
            #[cfg(feature = "_public")]
            Kind::Public(key, _) => key.scheme().has_name(&name.decode()),
        }
    }

    /// Checks if others verify with a public key.
    pub(crate) fn is_public(&self) -> bool {
        !matches!(&self.0, Kind::Secret(_))
    }

    /// Checks if the key can sign.
    pub(crate) fn can_sign(&self) -> bool {
        match &self.0 {
            Kind::Secret(_) => true,
            #[cfg(feature = "_public")]
            Kind::Public(_, private) => !matches!(private, Private::Absent),
        }
    }

    /// Checks if tokens of this crate may have this key: not RSA, which is for other issuers.
    pub(crate) fn is_for_own_tokens(&self) -> bool {
        match &self.0 {
            Kind::Secret(_) => true,
            #[cfg(feature = "_public")]
            Kind::Public(key, _) => key.scheme() != Scheme::Rs256,
        }
    }

    /// Checks if the holder of one key can sign what the other one verifies.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Kind::Secret(one), Kind::Secret(other)) => one.has_secret_of(other),
            #[cfg(feature = "_public")]
            (Kind::Public(one, _), Kind::Public(other, _)) => one.is(other),
            #[cfg(feature = "_public")]
            _ => false,
        }
    }

    /// Checks the signature of a token that begins with our header, and of which the first `signed`
    /// bytes are signed.
    #[inline]
    pub(crate) fn verifies_own(&self, text: &[u8], signed: usize, signature: &[u8]) -> bool {
        match &self.0 {
            Kind::Secret(key) => text
                .get(HEADER_CHARS..signed)
                .is_some_and(|payload| key.own_mac().verifies(payload, signature)),
            #[cfg(feature = "_public")]
            Kind::Public(key, _) => key.verifies(text, signed, signature),
        }
    }

    /// Checks the signature of a token of another issuer, of which the first `signed` bytes are
    /// signed.
    pub(crate) fn verifies_foreign(&self, text: &[u8], signed: usize, signature: &[u8]) -> bool {
        match &self.0 {
            Kind::Secret(key) => text
                .get(..signed)
                .is_some_and(|text| key.bare_mac().verifies(text, signature)),
            #[cfg(feature = "_public")]
            Kind::Public(key, _) => key.verifies(text, signed, signature),
        }
    }

    /// The key pair with a private key elsewhere, which [`sign`](Self::sign) cannot use.
    #[cfg(feature = "_public")]
    pub(crate) fn external(&self) -> Option<&ExternalKey> {
        match &self.0 {
            Kind::Public(_, Private::External(key)) => Some(key),
            _ => None,
        }
    }

    /// Signs a header and a payload, and writes the signature in base64url.
    pub(crate) fn sign(&self, signed: &[u8], signature: &mut [u8]) -> Result<()> {
        let written = match &self.0 {
            Kind::Secret(key) => {
                let payload = signed.get(HEADER_CHARS..).unwrap_or_default();
                key.own_mac().sign(payload, signature)
            }
            #[cfg(feature = "_public")]
            Kind::Public(_, Private::Here(pair)) => {
                crate::base::base64url::encode_into(pair.sign(signed)?.as_bytes(), signature)
            }
            #[cfg(feature = "_public")]
            Kind::Public(..) => None,
        };
        // No key without its private one is asked, and the place has the exact length.
        written.map(drop).ok_or_else(|| {
            Error::misuse("this key signs nothing: begin the ring with one that signs")
        })
    }

    /// The public key, alone or of a pair.
    #[cfg(feature = "_public")]
    pub(crate) fn public(&self) -> Option<&PublicKey> {
        match &self.0 {
            Kind::Secret(_) => None,
            Kind::Public(key, _) => Some(key),
        }
    }
}

impl From<Key> for RingKey {
    fn from(key: Key) -> Self {
        Self(Kind::Secret(key))
    }
}

#[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
impl From<SigningKey> for RingKey {
    fn from(pair: SigningKey) -> Self {
        Self(Kind::Public(pair.public_key(), Private::Here(pair)))
    }
}

#[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
impl From<ExternalKey> for RingKey {
    fn from(key: ExternalKey) -> Self {
        Self(Kind::Public(key.public_key(), Private::External(key)))
    }
}

#[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
impl From<PublicKey> for RingKey {
    fn from(key: PublicKey) -> Self {
        Self(Kind::Public(key, Private::Absent))
    }
}
