//! The crates of RustCrypto, in pure Rust.

use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _};
use ed25519_dalek::{Signature as EdSignature, SigningKey as EdSigner, VerifyingKey as EdVerifier};
use p256::ecdsa::signature::{Signer as _, Verifier as _};
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use rsa::pkcs1::DecodeRsaPublicKey as _;
use rsa::pkcs1v15;
use sha2::Sha256;

use crate::entropy::{Entropy as _, SystemEntropy};
use crate::error::{Error, Result};
use crate::token::public::Scheme;
use crate::token::public::backend::SIGNATURE_BYTES;

/// A public key.
pub(in crate::token::public) enum Verifier {
    Es256(VerifyingKey),
    Ed25519(EdVerifier),
    Rs256(pkcs1v15::VerifyingKey<Sha256>),
}

impl Verifier {
    /// `None` if the bytes are no key.
    pub(in crate::token::public) fn new(scheme: Scheme, key: &[u8]) -> Option<Self> {
        Some(match scheme {
            Scheme::Es256 => Self::Es256(VerifyingKey::from_sec1_bytes(key).ok()?),
            Scheme::Ed25519 { .. } => {
                Self::Ed25519(EdVerifier::from_bytes(key.try_into().ok()?).ok()?)
            }
            Scheme::Rs256 => {
                let key = rsa::PublicKey::from_pkcs1_der(key).ok()?;
                Self::Rs256(pkcs1v15::VerifyingKey::new(key))
            }
        })
    }

    pub(in crate::token::public) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Es256(key) => Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            Self::Ed25519(key) => EdSignature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()),
            Self::Rs256(key) => pkcs1v15::Signature::try_from(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
        }
    }
}

/// A private key, and its public one.
pub(in crate::token::public) enum PrivateKey {
    Es256(SigningKey, Box<[u8]>),
    Ed25519(EdSigner, [u8; 32]),
}

impl PrivateKey {
    /// Reads the DER form of PKCS #8. `None` if it is no such key.
    pub(in crate::token::public) fn from_pkcs8(scheme: Scheme, pkcs8: &[u8]) -> Option<Self> {
        match scheme {
            Scheme::Es256 => SigningKey::from_pkcs8_der(pkcs8).ok().map(Self::es256),
            Scheme::Ed25519 { .. } => EdSigner::from_pkcs8_der(pkcs8).ok().map(|pair| {
                let public = pair.verifying_key().to_bytes();
                Self::Ed25519(pair, public)
            }),
            Scheme::Rs256 => None,
        }
    }

    fn es256(pair: SigningKey) -> Self {
        let public = pair.verifying_key().to_sec1_point(false);
        let public = public.as_bytes().into();
        Self::Es256(pair, public)
    }

    pub(in crate::token::public) fn public_key(&self) -> &[u8] {
        match self {
            Self::Es256(_, public) => public,
            Self::Ed25519(_, public) => public,
        }
    }

    /// Signs a message; the nonce of ECDSA follows from key and message (RFC 6979).
    pub(in crate::token::public) fn sign(&self, message: &[u8]) -> Result<[u8; SIGNATURE_BYTES]> {
        match self {
            Self::Es256(pair, _) => {
                let signature: Signature = pair.sign(message);
                Ok(signature.to_bytes().into())
            }
            Self::Ed25519(pair, _) => Ok(pair.sign(message).to_bytes()),
        }
    }
}

/// Generates a private key in the DER form of PKCS #8.
pub(in crate::token::public) fn generate(scheme: Scheme) -> Result<Vec<u8>> {
    let mut secret = [0; 32];
    loop {
        SystemEntropy.fill(&mut secret)?;
        let document = match scheme {
            Scheme::Es256 => match SigningKey::from_slice(&secret) {
                Ok(pair) => pair.to_pkcs8_der(),
                // One in 2^32 draws is beyond the order of the curve.
                Err(_) => continue,
            },
            Scheme::Ed25519 { .. } => EdSigner::from_bytes(&secret).to_pkcs8_der(),
            Scheme::Rs256 => {
                return Err(Error::misuse(
                    "keys of RS256 only verify: generate one of ES256 or Ed25519",
                ));
            }
        };
        let document =
            document.map_err(|_| Error::could_not("a generated key has no form", None))?;
        return Ok(document.as_bytes().to_vec());
    }
}
