//! The keys of a service: one signs, all verify.

use std::fmt;

use crate::token::key::{HEADER, Key};

/// One key that signs and any number that verify.
///
/// To rotate: add the new key as a verifier everywhere, then make it the signer and keep the old
/// one as a verifier for as long as its tokens live.
///
/// ```
/// use statewise::token::{Key, Keyring};
///
/// let (old, new) = (Key::generate_hs256()?, Key::generate_hs256()?);
/// let ring = Keyring::new(new).verify_with(old);
/// # let _ = ring;
/// # Ok::<(), statewise::Error>(())
/// ```
#[derive(Clone)]
pub struct Keyring {
    signer: Key,
    verifiers: Vec<Key>,
}

impl Keyring {
    /// A ring whose only key signs and verifies.
    #[must_use]
    pub fn new(signer: Key) -> Self {
        Self {
            signer,
            verifiers: Vec::new(),
        }
    }

    /// Adds a key that verifies. One that is there already is passed over.
    #[must_use]
    pub fn verify_with(mut self, key: Key) -> Self {
        if self.keys().all(|known| known.kid() != key.kid()) {
            self.verifiers.push(key);
        }
        self
    }

    pub(crate) fn signer(&self) -> &Key {
        &self.signer
    }

    /// All keys, the signer first.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.signer).chain(&self.verifiers)
    }

    /// The key that writes this header. Compares; parses nothing and tries nothing.
    pub(crate) fn by_header(&self, header: &[u8; HEADER]) -> Option<&Key> {
        self.keys().find(|key| key.header() == header)
    }
}

impl From<Key> for Keyring {
    fn from(signer: Key) -> Self {
        Self::new(signer)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("signer", &self.signer)
            .field("verifiers", &self.verifiers)
            .finish()
    }
}
