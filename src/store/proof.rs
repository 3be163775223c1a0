//! Hashes of credentials.

use std::fmt;

use crate::base::secret::{REDACTED, constant_time_eq};

/// A hash by which a store recognizes a credential without holding it: 128 bits of SHA-256.
///
/// Reading the store reveals nothing that could be presented. Proofs are compared in constant time.
#[derive(Clone, Copy, Default)]
pub struct Proof([u8; 16]);

impl Proof {
    pub(crate) fn truncated(hash: &[u8]) -> Self {
        let mut proof = [0; 16];
        proof.copy_from_slice(&hash[..16]);
        Self(proof)
    }

    /// Creates a proof from stored bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes, as a store keeps them.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl PartialEq for Proof {
    fn eq(&self, other: &Self) -> bool {
        constant_time_eq(&self.0, &other.0)
    }
}

impl Eq for Proof {}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proof({REDACTED})")
    }
}
