//! Keys of public-key signatures: one signs, and the other one only verifies.

mod backend;
mod der;
mod external_key;
mod jwk;
mod key_set;
mod key_set_view;
mod public_key;
mod signer;
mod signing_key;
mod verified_texts;

pub use external_key::ExternalKey;
pub use key_set::KeySet;
pub use key_set_view::{KeySetView, KeySetViewBuilder};
pub use public_key::PublicKey;
pub use signer::{DynSigner, Signature, Signer, SigningInput};
pub use signing_key::SigningKey;

/// Signature algorithm of a key pair. The key decides it, never the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// ECDSA on P-256 with SHA-256 (RFC 7518, section 3.4).
    Es256,
    /// Ed25519 (RFC 8032), under the name `Ed25519` (RFC 9864) or the older one, `EdDSA` (RFC 8037).
    Ed25519 { is_older_name: bool },
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518, section 3.3), to verify only.
    Rs256,
}

impl Scheme {
    /// Name in the `alg` header parameter of our tokens.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Ed25519 {
                is_older_name: false,
            } => "Ed25519",
            Self::Ed25519 {
                is_older_name: true,
            } => "EdDSA",
            Self::Rs256 => "RS256",
        }
    }

    /// Checks if tokens of other issuers may name the algorithm so.
    pub(crate) fn has_name(self, name: &str) -> bool {
        match self {
            Self::Ed25519 { .. } => matches!(name, "Ed25519" | "EdDSA"),
            scheme => scheme.name() == name,
        }
    }
}
