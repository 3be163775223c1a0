//! ring, or aws-lc-rs, which has the same interface.

#[cfg(feature = "aws-lc-rs")]
use aws_lc_rs as ring;
#[cfg(not(feature = "aws-lc-rs"))]
use ring;

use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
    VerificationAlgorithm,
};

use crate::error::{Error, Result};
use crate::token::public::Scheme;
use crate::token::public::backend::SIGNATURE_BYTES;

/// A public key.
pub(in crate::token::public) struct Verifier(UnparsedPublicKey<Box<[u8]>>);

impl Verifier {
    /// `None` if the bytes are no key. Neither crate checks the point of a key of Ed25519 before it
    /// verifies: without one, it verifies nothing.
    pub(in crate::token::public) fn new(scheme: Scheme, key: &[u8]) -> Option<Self> {
        let algorithm: &'static dyn VerificationAlgorithm = match scheme {
            Scheme::Es256 => &ECDSA_P256_SHA256_FIXED,
            Scheme::Ed25519 { .. } => &ED25519,
            Scheme::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
        };
        let is_key = scheme != Scheme::Es256 || is_on_curve(key);
        is_key.then(|| Self(UnparsedPublicKey::new(algorithm, key.into())))
    }

    pub(in crate::token::public) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0.verify(message, signature).is_ok()
    }
}

/// Checks if a point is on P-256.
#[cfg(feature = "aws-lc-rs")]
fn is_on_curve(point: &[u8]) -> bool {
    ring::signature::ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).is_ok()
}

/// Checks if a point is on P-256: ring does so only to agree on a key.
#[cfg(not(feature = "aws-lc-rs"))]
fn is_on_curve(point: &[u8]) -> bool {
    use ring::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
    let peer = UnparsedPublicKey::new(&ECDH_P256, point);
    EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new())
        .is_ok_and(|private| agree_ephemeral(private, &peer, |_| ()).is_ok())
}

/// A private key.
pub(in crate::token::public) enum PrivateKey {
    Es256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl PrivateKey {
    /// Reads the DER form of PKCS #8. `None` if it is no such key.
    pub(in crate::token::public) fn from_pkcs8(scheme: Scheme, pkcs8: &[u8]) -> Option<Self> {
        match scheme {
            Scheme::Es256 => ecdsa(pkcs8).map(Self::Es256),
            Scheme::Ed25519 { .. } => Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8)
                .ok()
                .map(Self::Ed25519),
            Scheme::Rs256 => None,
        }
    }

    pub(in crate::token::public) fn public_key(&self) -> &[u8] {
        match self {
            Self::Es256(pair) => pair.public_key().as_ref(),
            Self::Ed25519(pair) => pair.public_key().as_ref(),
        }
    }

    pub(in crate::token::public) fn sign(&self, message: &[u8]) -> Result<[u8; SIGNATURE_BYTES]> {
        let signature = match self {
            Self::Es256(pair) => pair.sign(&SystemRandom::new(), message).map_err(|_| {
                Error::could_not("the operating system gives no random bytes", None)
            })?,
            Self::Ed25519(pair) => pair.sign(message),
        };
        let signature = signature.as_ref().try_into();
        signature.map_err(|_| Error::could_not("a signature has another length", None))
    }
}

#[cfg(feature = "aws-lc-rs")]
fn ecdsa(pkcs8: &[u8]) -> Option<EcdsaKeyPair> {
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).ok()
}

#[cfg(not(feature = "aws-lc-rs"))]
fn ecdsa(pkcs8: &[u8]) -> Option<EcdsaKeyPair> {
    let random = SystemRandom::new();
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &random).ok()
}

/// Generates a private key in the DER form of PKCS #8.
pub(in crate::token::public) fn generate(scheme: Scheme) -> Result<Vec<u8>> {
    let random = SystemRandom::new();
    let document = match scheme {
        Scheme::Es256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random),
        Scheme::Ed25519 { .. } => Ed25519KeyPair::generate_pkcs8(&random),
        Scheme::Rs256 => {
            return Err(Error::misuse(
                "keys of RS256 only verify: generate one of ES256 or Ed25519",
            ));
        }
    };
    let document = document
        .map_err(|_| Error::could_not("the operating system gives no random bytes", None))?;
    Ok(document.as_ref().to_vec())
}
