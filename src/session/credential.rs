//! Credentials of sessions, and the proofs that a store keeps of them.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::base::base64url;
use crate::base::secret::Secret;
use crate::base::sha256;
use crate::entropy::{self, Entropy};
use crate::error::{Rejection, Result};
use crate::login::handle::Handle;
use crate::login::issued::Credential;
use crate::login::purpose::Purpose;
use crate::store::proof::Proof;

/// The kind of a credential. A credential of one kind is never accepted as the other: its text has
/// another prefix, and the store keeps another proof of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CredentialKind {
    /// The client presents it with each request.
    Session,
    /// The client presents it to `refresh` alone, and an access token with each request.
    Refresh {
        /// Hash of issuer and audience of the access tokens. Where either changes, the credential
        /// is no longer accepted.
        issuer_and_audience: [u8; 16],
    },
    /// The client presents it once, to `redeem`.
    Ticket {
        /// Hash of the purpose. A ticket of another purpose is not accepted.
        purpose: [u8; 16],
    },
    /// A program presents it with each request, with a prefix and a checksum that are not seen
    /// here. It is never refreshed.
    ApiKey {
        /// First bytes of the hash of the prefix. A key with another prefix is not accepted.
        prefix: [u8; 7],
    },
}

impl CredentialKind {
    /// Purpose of a credential of this kind.
    #[inline]
    pub(crate) const fn purpose(self) -> Purpose {
        match self {
            Self::ApiKey { .. } => Purpose::ApiKey,
            Self::Session | Self::Refresh { .. } | Self::Ticket { .. } => Purpose::Login,
        }
    }

    /// Returns true if credentials of this kind are rotated.
    #[inline]
    pub(crate) const fn is_refreshable(self) -> bool {
        !matches!(self, Self::ApiKey { .. })
    }

    /// Returns true if a refresh is the only use of such a credential.
    pub(crate) const fn is_used_by_refreshing(self) -> bool {
        matches!(self, Self::Refresh { .. })
    }

    /// Prefix of the 64 characters. No session and no token begins with `rt_` or `tk_`, and scanners
    /// for leaked secrets find them.
    const fn prefix(self) -> &'static str {
        match self {
            Self::Session | Self::ApiKey { .. } => "",
            Self::Refresh { .. } => "rt_",
            Self::Ticket { .. } => "tk_",
        }
    }

    /// Returns the 64 bytes after the prefix. `None` for another length or prefix.
    #[inline]
    fn digits(self, text: &str) -> Option<&[u8; 64]> {
        let digits = match self.prefix() {
            // `strip_prefix("")` compares with a dangling pointer, which cost 100 ns.
            "" => text,
            prefix => text.strip_prefix(prefix)?,
        };
        digits.as_bytes().try_into().ok()
    }

    /// Returns a made-up credential of this kind.
    pub(crate) fn sample(self) -> String {
        format!("{}{:A<64}", self.prefix(), "")
    }
}

/// A credential: handle, generation, family secret and secret. 48 bytes, written as 64 base64url
/// characters after the prefix of its kind.
///
/// The generation counts rotations. It is masked by the family secret, so that a credential does
/// not show how often it was rotated. The family secret stays the same for the whole login. It
/// proves that a credential belonged to the login after the store has dropped the proof of its
/// generation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionCredential {
    kind: CredentialKind,
    handle: Handle,
    generation: u32,
    family: Secret<12>,
    secret: Secret<16>,
}

impl SessionCredential {
    /// Draws the first credential of a login of `subject`. Calls the entropy source once, as that
    /// costs more than all the rest.
    pub(crate) fn draw(
        kind: CredentialKind,
        subject: &str,
        is_remembered: bool,
        entropy: &dyn Entropy,
    ) -> Result<Self> {
        let mut drawn = [0; 44];
        entropy.fill(&mut drawn)?;
        let (mut handle, mut family, mut secret) = ([0; 16], [0; 12], [0; 16]);
        handle.copy_from_slice(&drawn[..16]);
        family.copy_from_slice(&drawn[16..28]);
        secret.copy_from_slice(&drawn[28..]);
        let handle = Handle::of_subject(subject.as_bytes(), handle).with_tag(0, [0; 2]);
        Ok(Self {
            kind,
            handle: handle.with_remembered(is_remembered),
            generation: 0,
            family: Secret(family),
            secret: Secret(secret),
        })
    }

    /// Returns the credential with another handle, for another login.
    pub(crate) const fn with_handle(mut self, handle: Handle) -> Self {
        self.handle = handle;
        self
    }

    /// Checks if [`parse`](Self::parse) reads a text, without decoding it.
    #[inline]
    pub(crate) fn is_well_formed(kind: CredentialKind, text: &str) -> bool {
        kind.digits(text)
            .is_some_and(|digits| base64url::is_in_alphabet(digits))
    }

    /// Reads a presented credential. Returns `None` for another length, alphabet or prefix.
    #[inline(always)]
    pub(crate) fn parse(kind: CredentialKind, text: &str) -> Option<Self> {
        let bytes = base64url::decode_48(kind.digits(text)?)?;
        let (handle, rest) = bytes.split_first_chunk()?;
        let (masked, rest) = rest.split_first_chunk()?;
        let (family, rest) = rest.split_first_chunk()?;
        let secret = rest.first_chunk()?;
        Some(Self {
            kind,
            handle: Handle::from_bytes(*handle),
            generation: u32::from_be_bytes(*masked) ^ mask(family),
            family: Secret(*family),
            secret: Secret(*secret),
        })
    }

    /// Writes the credential as the client receives it.
    pub(crate) fn encode(&self) -> Credential {
        let mut bytes = [0; 48];
        let masked = self.generation ^ mask(&self.family.0);
        bytes[..16].copy_from_slice(self.handle.as_bytes());
        bytes[16..20].copy_from_slice(&masked.to_be_bytes());
        bytes[20..32].copy_from_slice(&self.family.0);
        bytes[32..].copy_from_slice(&self.secret.0);
        let prefix = self.kind.prefix();
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

    /// Returns the proof of this generation, which the store keeps: SHA-256 of a label and the
    /// whole credential, so that no other spelling of the credential is accepted.
    ///
    /// The input of a session or an API key fills one block with its padding, which needs no hasher
    /// and no buffer.
    #[inline(always)]
    pub(crate) fn proof(&self) -> Proof {
        let mut proven = [0; 7 + 16 + 4 + 12 + 16 + 16];
        proven[7..23].copy_from_slice(self.handle.as_bytes());
        proven[23..27].copy_from_slice(&self.generation.to_be_bytes());
        proven[27..39].copy_from_slice(&self.family.0);
        proven[39..55].copy_from_slice(&self.secret.0);
        let (label, bound) = match self.kind {
            CredentialKind::Session | CredentialKind::ApiKey { .. } => {
                proven[..7].copy_from_slice(match &self.kind {
                    CredentialKind::ApiKey { prefix } => prefix,
                    _ => b"session",
                });
                proven[55] = 0x80;
                proven[62..64].copy_from_slice(&(55 * 8u16).to_be_bytes());
                let mut state = sha256::INITIAL;
                sha256::absorb(&mut state, &proven.as_chunks().0[..1]);
                return Proof::truncated(&sha256::to_bytes(state));
            }
            CredentialKind::Refresh {
                issuer_and_audience,
            } => (b"refresh", issuer_and_audience),
            CredentialKind::Ticket { purpose } => (b"ticket ", purpose),
        };
        proven[..7].copy_from_slice(label);
        proven[55..].copy_from_slice(&bound);
        Proof::truncated(&sha256::hash(&proven))
    }

    /// Returns the proof of the whole login, which the store keeps.
    pub(crate) fn family_proof(&self) -> Proof {
        let mut hash = Sha256::new();
        match self.kind {
            CredentialKind::Session => hash.update(b"statewise family"),
            CredentialKind::Refresh {
                issuer_and_audience,
            } => {
                hash.update(b"statewise refresh family");
                hash.update(issuer_and_audience);
            }
            CredentialKind::Ticket { purpose } => {
                hash.update(b"statewise ticket family");
                hash.update(purpose);
            }
            CredentialKind::ApiKey { prefix } => {
                hash.update(b"statewise key family");
                hash.update(prefix);
            }
        }
        hash.update(self.handle.as_bytes());
        hash.update(self.family.0);
        Proof::truncated(&hash.finalize())
    }

    /// Draws a credential of the login for the generation after `generation`, which no other one
    /// derives.
    pub(crate) fn draw_after(&self, generation: u32, entropy: &dyn Entropy) -> Result<Self> {
        Ok(Self {
            generation: generation.checked_add(1).ok_or(Rejection::Unknown)?,
            secret: Secret(entropy::draw(entropy)?),
            ..*self
        })
    }

    /// Derives a successor of this generation. Each seed gives one, which only a holder of this credential
    /// can derive. Returns `None` if the generation is no later one.
    pub(crate) fn successor(&self, generation: u32, seed: &[u8; 16]) -> Option<Self> {
        if generation <= self.generation {
            return None;
        }
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
    fn parse_reads_only_what_encode_writes() {
        let credential =
            SessionCredential::draw(CredentialKind::Session, "alice", false, &SystemEntropy)
                .unwrap();
        let text = credential.encode();
        let text = text.reveal();
        assert_eq!(text.len(), 64);
        let read = SessionCredential::parse(CredentialKind::Session, text).unwrap();
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
            assert!(SessionCredential::parse(CredentialKind::Session, bad).is_none());
        }
    }

    #[test]
    fn the_shape_of_a_text_tells_if_it_is_read() {
        let kinds = [
            CredentialKind::Session,
            CredentialKind::Refresh {
                issuer_and_audience: [1; 16],
            },
        ];
        let assert_same = |text: &str| {
            for kind in kinds {
                let is_read = SessionCredential::parse(kind, text).is_some();
                assert_eq!(
                    SessionCredential::is_well_formed(kind, text),
                    is_read,
                    "{text}"
                );
            }
        };
        // All bytes that occur in text: 0x15 is odd, so that all continuation bytes are among them.
        let (short, long) = (0..0x80, (0x80..0x800).step_by(0x15));
        let longer = (0x1000..0x1_0000).step_by(0x1000);
        let longest = (0x1_0000..0x11_0000).step_by(0x4_0000);
        let characters = short.chain(long).chain(longer).chain(longest);
        let characters: Vec<char> = characters.filter_map(char::from_u32).collect();
        for prefix in ["", "rt_"] {
            for length in 0..=80 {
                let text = prefix.to_owned() + &"Az09_-bc".repeat(10)[..length];
                assert_same(&text);
                for at in 0..text.len() {
                    for c in &characters {
                        let end = (at + c.len_utf8()).min(text.len());
                        assert_same(&format!("{}{c}{}", &text[..at], &text[end..]));
                    }
                }
            }
        }
    }

    #[test]
    fn a_credential_of_one_kind_is_never_one_of_the_other() {
        let kind = CredentialKind::Refresh {
            issuer_and_audience: [1; 16],
        };
        let refresh = SessionCredential::draw(kind, "alice", false, &SystemEntropy).unwrap();
        let text = refresh.encode();
        let text = text.reveal();
        assert_eq!(text.len(), 67);
        let read = SessionCredential::parse(kind, text).unwrap();
        assert_eq!(read.proof(), refresh.proof());
        assert_eq!(read.family_proof(), refresh.family_proof());
        assert!(SessionCredential::parse(CredentialKind::Session, text).is_none());
        let bare = text.strip_prefix("rt_").unwrap();
        assert!(SessionCredential::parse(kind, bare).is_none());
        // For another audience it has other proofs.
        let elsewhere = CredentialKind::Refresh {
            issuer_and_audience: [2; 16],
        };
        let elsewhere = SessionCredential::parse(elsewhere, text).unwrap();
        assert_ne!(elsewhere.proof(), refresh.proof());
        assert_ne!(elsewhere.family_proof(), refresh.family_proof());
        // Without the prefix it is a session credential that no store recognises.
        let session = SessionCredential::parse(CredentialKind::Session, bare).unwrap();
        assert_eq!(session.handle(), refresh.handle());
        assert_ne!(session.proof(), refresh.proof());
        assert_ne!(session.family_proof(), refresh.family_proof());
    }

    #[test]
    fn a_proof_is_the_hash_of_label_and_credential() {
        for generation in [0, 1, u32::MAX] {
            let credential = SessionCredential {
                generation,
                ..SessionCredential::draw(CredentialKind::Session, "alice", false, &SystemEntropy)
                    .unwrap()
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
    fn each_seed_gives_one_successor() {
        let first =
            SessionCredential::draw(CredentialKind::Session, "alice", false, &SystemEntropy)
                .unwrap();
        let seed = [7; 16];
        let successor = |generation, seed| first.successor(generation, seed).unwrap();
        let next = successor(1, &seed);
        assert_eq!(next.generation(), 1);
        assert_eq!(next.handle(), first.handle());
        assert_eq!(next.family_proof(), first.family_proof());
        assert_eq!(next.proof(), successor(1, &seed).proof());
        assert_ne!(next.proof(), successor(1, &[8; 16]).proof());
        assert_ne!(next.proof(), successor(3, &seed).proof());
        assert_ne!(next.proof(), first.proof());
        assert!(next.successor(1, &seed).is_none() && next.successor(0, &seed).is_none());
    }
}
