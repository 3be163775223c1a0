//! What the holder of a session presents, and the proofs that a store keeps of it.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::base::base64url;
use crate::base::secret::Secret;
use crate::base::sha256;
use crate::entropy::Entropy;
use crate::error::Result;
use crate::login::handle::Handle;
use crate::login::issued::Credential;
use crate::store::proof::Proof;

/// What a credential is good for. One that is good for the other is another by its shape, and by
/// what the store keeps of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Presented with each request.
    Session,
    /// Presented to `refresh` alone, beside an access token for the requests.
    Refresh {
        /// A hash of whose tokens it yields and whom they are for: it yields no others.
        bound: [u8; 16],
    },
}

impl Purpose {
    /// In front of the 64 characters: no session and no token begins like this, and who searches
    /// files for leaked secrets finds it.
    const fn prefix(self) -> &'static str {
        match self {
            Self::Session => "",
            Self::Refresh { .. } => "rt_",
        }
    }

    /// A made-up credential of this shape.
    pub(crate) fn shape(self) -> String {
        format!("{}{:A<64}", self.prefix(), "")
    }
}

/// Handle, generation, family proof and secret: 48 bytes, shown as 64 base64url characters behind
/// what its purpose begins with.
///
/// The generation counts rotations and is masked by the family proof, so that a credential does
/// not tell how often it was rotated. The family proof stays the same for the whole login: with
/// it, even a credential of a forgotten generation proves that it once belonged to the login.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionCredential {
    purpose: Purpose,
    handle: Handle,
    generation: u32,
    family: Secret<12>,
    secret: Secret<16>,
}

impl SessionCredential {
    /// A fresh credential for a login of `subject`. One call of the entropy source, which costs
    /// more than all the rest.
    pub(crate) fn draw(purpose: Purpose, subject: &str, entropy: &dyn Entropy) -> Result<Self> {
        let mut drawn = [0; 44];
        entropy.fill(&mut drawn)?;
        let (mut handle, mut family, mut secret) = ([0; 16], [0; 12], [0; 16]);
        handle.copy_from_slice(&drawn[..16]);
        family.copy_from_slice(&drawn[16..28]);
        secret.copy_from_slice(&drawn[28..]);
        Ok(Self {
            purpose,
            handle: Handle::of_subject(subject.as_bytes(), handle),
            generation: 0,
            family: Secret(family),
            secret: Secret(secret),
        })
    }

    /// Reads a presented credential. `None` for any other length, alphabet or shape.
    #[inline]
    pub(crate) fn parse(purpose: Purpose, text: &str) -> Option<Self> {
        let text = match purpose.prefix() {
            // To compare no bytes with what lies at no address took the processor 100 ns.
            "" => text,
            prefix => text.strip_prefix(prefix)?,
        };
        let bytes = base64url::decode_48(text.as_bytes().try_into().ok()?)?;
        let (handle, rest) = bytes.split_first_chunk()?;
        let (masked, rest) = rest.split_first_chunk()?;
        let (family, rest) = rest.split_first_chunk()?;
        let secret = rest.first_chunk()?;
        Some(Self {
            purpose,
            handle: Handle::from_bytes(*handle),
            generation: u32::from_be_bytes(*masked) ^ mask(family),
            family: Secret(*family),
            secret: Secret(*secret),
        })
    }

    /// What the client receives.
    pub(crate) fn encode(&self) -> Credential {
        let mut bytes = [0; 48];
        let masked = self.generation ^ mask(&self.family.0);
        bytes[..16].copy_from_slice(self.handle.as_bytes());
        bytes[16..20].copy_from_slice(&masked.to_be_bytes());
        bytes[20..32].copy_from_slice(&self.family.0);
        bytes[32..].copy_from_slice(&self.secret.0);
        let prefix = self.purpose.prefix();
        let mut text = String::with_capacity(prefix.len() + 64);
        text.push_str(prefix);
        base64url::push(&mut text, &bytes);
        Credential::new(text)
    }

    pub(crate) fn handle(&self) -> Handle {
        self.handle
    }

    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    /// What the store keeps of this generation: SHA-256 over a label and the whole credential, so
    /// that no other spelling of it is another way in.
    ///
    /// Those of a session fill one block, padding included, which needs no hasher and its buffer.
    pub(crate) fn proof(&self) -> Proof {
        let mut proven = [0; 7 + 16 + 4 + 12 + 16 + 16];
        proven[7..23].copy_from_slice(self.handle.as_bytes());
        proven[23..27].copy_from_slice(&self.generation.to_be_bytes());
        proven[27..39].copy_from_slice(&self.family.0);
        proven[39..55].copy_from_slice(&self.secret.0);
        let hash = match self.purpose {
            Purpose::Session => {
                proven[..7].copy_from_slice(b"session");
                sha256::finish(sha256::BEGINNING, &proven[..55], 55)
            }
            Purpose::Refresh { bound } => {
                proven[..7].copy_from_slice(b"refresh");
                proven[55..].copy_from_slice(&bound);
                sha256::hash(&proven)
            }
        };
        Proof::truncated(&hash)
    }

    /// What the store keeps of the whole login.
    pub(crate) fn family_proof(&self) -> Proof {
        let mut hash = Sha256::new();
        match self.purpose {
            Purpose::Session => hash.update(b"statewise family"),
            Purpose::Refresh { bound } => {
                hash.update(b"statewise refresh family");
                hash.update(bound);
            }
        }
        hash.update(self.handle.as_bytes());
        hash.update(self.family.0);
        Proof::truncated(&hash.finalize())
    }

    /// The credential of the next generation: one for each seed, whoever derives it, and known
    /// only to those who hold this one. `None` after four billion rotations.
    pub(crate) fn successor(&self, seed: &[u8; 16]) -> Option<Self> {
        let generation = self.generation.checked_add(1)?;
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret.0).ok()?;
        mac.update(b"statewise next");
        mac.update(self.handle.as_bytes());
        mac.update(&generation.to_be_bytes());
        mac.update(seed);
        let mac = mac.finalize().into_bytes();
        Some(Self {
            generation,
            secret: Secret(*mac.first_chunk()?),
            ..*self
        })
    }
}

fn mask(family: &[u8; 12]) -> u32 {
    let [a, b, c, d, ..] = *family;
    u32::from_be_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;

    #[test]
    fn reads_what_it_writes_and_nothing_else() {
        let credential =
            SessionCredential::draw(Purpose::Session, "alice", &SystemEntropy).unwrap();
        let text = credential.encode();
        let text = text.reveal();
        assert_eq!(text.len(), 64);
        let read = SessionCredential::parse(Purpose::Session, text).unwrap();
        assert_eq!(read.handle(), credential.handle());
        assert_eq!(read.generation(), 0);
        assert_eq!(read.proof(), credential.proof());
        assert_eq!(read.family_proof(), credential.family_proof());

        for bad in [
            "",
            &text[1..],
            &format!("{text}A"),
            &text.replacen(&text[..1], "=", 1),
            &format!("{}é", &text[..62]),
            &format!("{} ", &text[..63]),
            &format!("{}+", &text[..63]),
        ] {
            assert!(SessionCredential::parse(Purpose::Session, bad).is_none());
        }
    }

    #[test]
    fn nothing_good_for_one_purpose_is_good_for_the_other() {
        let purpose = Purpose::Refresh { bound: [1; 16] };
        let refresh = SessionCredential::draw(purpose, "alice", &SystemEntropy).unwrap();
        let text = refresh.encode();
        let text = text.reveal();
        assert_eq!(text.len(), 67);
        let read = SessionCredential::parse(purpose, text).unwrap();
        assert_eq!(read.proof(), refresh.proof());
        assert_eq!(read.family_proof(), refresh.family_proof());
        assert!(SessionCredential::parse(Purpose::Session, text).is_none());
        let bare = text.strip_prefix("rt_").unwrap();
        assert!(SessionCredential::parse(purpose, bare).is_none());
        // For another audience it is another one.
        let elsewhere = Purpose::Refresh { bound: [2; 16] };
        let elsewhere = SessionCredential::parse(elsewhere, text).unwrap();
        assert_ne!(elsewhere.proof(), refresh.proof());
        assert_ne!(elsewhere.family_proof(), refresh.family_proof());
        // Whoever cuts it off has a credential that no store recognises.
        let session = SessionCredential::parse(Purpose::Session, bare).unwrap();
        assert_eq!(session.handle(), refresh.handle());
        assert_ne!(session.proof(), refresh.proof());
        assert_ne!(session.family_proof(), refresh.family_proof());
    }

    #[test]
    fn a_proof_is_a_hash_in_general() {
        for generation in [0, 1, u32::MAX] {
            let credential = SessionCredential {
                generation,
                ..SessionCredential::draw(Purpose::Session, "alice", &SystemEntropy).unwrap()
            };
            let mut hash = Sha256::new();
            hash.update(b"session");
            hash.update(credential.handle.as_bytes());
            hash.update(generation.to_be_bytes());
            hash.update(credential.family.0);
            hash.update(credential.secret.0);
            assert_eq!(credential.proof(), Proof::truncated(&hash.finalize()));
        }
    }

    #[test]
    fn one_successor_for_each_seed() {
        let first = SessionCredential::draw(Purpose::Session, "alice", &SystemEntropy).unwrap();
        let seed = [7; 16];
        let next = first.successor(&seed).unwrap();
        assert_eq!(next.generation(), 1);
        assert_eq!(next.handle(), first.handle());
        assert_eq!(next.family_proof(), first.family_proof());
        assert_eq!(next.proof(), first.successor(&seed).unwrap().proof());
        assert_ne!(next.proof(), first.successor(&[8; 16]).unwrap().proof());
        assert_ne!(next.proof(), first.proof());
    }
}
