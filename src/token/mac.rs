//! HMAC with a key that was hashed once.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Sha256, Sha384, Sha512};
use subtle::{Choice, ConstantTimeEq as _};

use crate::token::algorithm::Algorithm;

/// Bytes of the longest tag.
const LONGEST: usize = 64;

/// The state of an HMAC after the key, and perhaps after the beginning of what is signed.
#[derive(Clone)]
pub(crate) enum KeyedMac {
    HS256(Hmac<Sha256>),
    HS384(Hmac<Sha384>),
    HS512(Hmac<Sha512>),
}

/// A finished tag.
pub(crate) struct Tag {
    bytes: [u8; LONGEST],
    length: usize,
}

/// Does the same with each of the three.
macro_rules! each {
    ($self:expr, $mac:ident => $act:expr) => {
        match $self {
            KeyedMac::HS256($mac) => $act,
            KeyedMac::HS384($mac) => $act,
            KeyedMac::HS512($mac) => $act,
        }
    };
}

impl KeyedMac {
    /// `None` never: HMAC takes keys of any length.
    pub(crate) fn new(algorithm: Algorithm, key: &[u8]) -> Option<Self> {
        Some(match algorithm {
            Algorithm::HS256 => Self::HS256(Hmac::new_from_slice(key).ok()?),
            Algorithm::HS384 => Self::HS384(Hmac::new_from_slice(key).ok()?),
            Algorithm::HS512 => Self::HS512(Hmac::new_from_slice(key).ok()?),
        })
    }

    /// The state after `beginning`.
    pub(crate) fn after(mut self, beginning: &[u8]) -> Self {
        each!(&mut self, mac => mac.update(beginning));
        self
    }

    /// The tag over the rest.
    pub(crate) fn tag(&self, rest: &[u8]) -> Tag {
        let mut bytes = [0; LONGEST];
        let length = each!(self, mac => {
            let mut mac = mac.clone();
            mac.update(rest);
            let tag = mac.finalize().into_bytes();
            bytes[..tag.len()].copy_from_slice(&tag);
            tag.len()
        });
        Tag { bytes, length }
    }
}

impl Tag {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Compares in a time that does not depend on either, in words of sixteen bytes, of which
    /// every tag is a multiple: each word costs one optimisation barrier, each byte would too.
    pub(crate) fn is(&self, presented: &[u8]) -> bool {
        if presented.len() != self.length {
            return false;
        }
        let (ours, _) = self.as_bytes().as_chunks::<16>();
        let (theirs, _) = presented.as_chunks::<16>();
        let same = ours
            .iter()
            .zip(theirs)
            .map(|(ours, theirs)| u128::from_ne_bytes(*ours).ct_eq(&u128::from_ne_bytes(*theirs)));
        same.fold(Choice::from(1), |all, word| all & word).into()
    }
}
