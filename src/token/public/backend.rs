//! Signatures, by the crate of the feature that is enabled: aws-lc-rs before ring before the crates
//! of RustCrypto.

#[cfg(any(feature = "aws-lc-rs", feature = "ring"))]
mod ring;
#[cfg(not(any(feature = "aws-lc-rs", feature = "ring")))]
mod rustcrypto;

#[cfg(any(feature = "aws-lc-rs", feature = "ring"))]
pub(super) use ring::{PrivateKey, Verifier, generate};
#[cfg(not(any(feature = "aws-lc-rs", feature = "ring")))]
pub(super) use rustcrypto::{PrivateKey, Verifier, generate};

/// Bytes of a signature of ES256 and of Ed25519.
pub(super) const SIGNATURE_BYTES: usize = 64;
