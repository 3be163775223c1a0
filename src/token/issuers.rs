//! Other issuers with accepted tokens.

use std::any::TypeId;
#[cfg(feature = "_public")]
use std::sync::Arc;

use crate::base::base64url;
use crate::clock::Timestamp;
use crate::error::{Error, Rejection, Result};
use crate::token::header;
use crate::token::interop::Interop;
use crate::token::json::{self, Text};
use crate::token::jws;
use crate::token::keyring::{KeyEntry, Keyring};
#[cfg(feature = "_public")]
use crate::token::public::KeySetView;
use crate::token::ring_key::RingKey;

/// Other issuers with accepted tokens. Each key belongs to one of them, so that a signature proves
/// the issuer.
#[derive(Debug, Default)]
pub(crate) struct Issuers(Vec<Interop>);

/// A token with a verified signature, and the issuer of its key.
pub(crate) struct ForeignToken<'i, 't> {
    pub(crate) issuer: &'i Interop,
    pub(crate) payload: Vec<u8>,
    /// Header and payload: the text that the signature is of.
    pub(crate) signed: &'t [u8],
}

impl Issuers {
    /// Checks the issuers, for an authenticator with data of this type.
    ///
    /// # Errors
    ///
    /// *Misuse* if one is incomplete, or two could be confused.
    pub(crate) fn new(all: Vec<Interop>, data: TypeId) -> Result<Self> {
        let mut rest = all.iter();
        while let Some(one) = rest.next() {
            one.validate(data)?;
            for other in rest.clone() {
                if one.issuer().is_some() && one.issuer() == other.issuer() {
                    return Err(Error::misuse(
                        "two `Interop` accept tokens of the same issuer: give one of them all keys \
                         of the issuer",
                    ));
                }
                match (one.own_keys(), other.own_keys()) {
                    (None, None) => {
                        return Err(Error::misuse(
                            "two other issuers sign with the keys of the ring, so that each could \
                             sign for the other: give each its keys with `Interop::key`",
                        ));
                    }
                    (Some(one), Some(other)) if one.shares_a_secret_with(other) => {
                        return Err(Error::misuse(
                            "two other issuers have the same key, so that each could sign for the \
                             other: give each its own",
                        ));
                    }
                    _ => {}
                }
            }
        }
        Ok(Self(all))
    }

    /// Checks that no other issuer could sign our own tokens with its own keys.
    ///
    /// # Errors
    ///
    /// *Misuse*.
    pub(crate) fn check_ring(&self, ring: &Keyring) -> Result<()> {
        let mut keys = self.0.iter().filter_map(Interop::own_keys);
        if keys.any(|keys| keys.shares_a_secret_with(ring)) {
            return Err(Error::misuse(
                "a key of another issuer is in the ring, so that it could sign tokens of this \
                 service: take it out of the ring, or leave out `Interop::key`",
            ));
        }
        Ok(())
    }

    /// Leaves keys that another issuer has too out of a ring that follows its own issuer.
    #[cfg(feature = "_public")]
    pub(crate) fn leave_out_theirs(&self, ring: Keyring) -> Keyring {
        if ring.followed().is_none() {
            return ring;
        }
        let keys = self.0.iter().filter_map(Interop::own_keys);
        keys.fold(ring, Keyring::without)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Interop> {
        self.0.iter()
    }

    /// Checks if a token under the constant header of one of our keys may be of another issuer.
    pub(crate) fn admit_our_header(&self) -> bool {
        self.0.iter().any(Interop::admits_our_header)
    }

    /// Checks the shape of a token under a header other than those of the ring. A header in the
    /// form of this crate is one of another ring.
    pub(crate) fn is_shape(&self, token: &str) -> bool {
        let is_foreign = |[header, ..]: [&[u8]; 3]| !header::is_own(header);
        !self.is_empty() && jws::segments(token).is_some_and(is_foreign)
    }

    /// Verifies the signature of a token under any acceptable header, with the usable keys.
    pub(crate) fn verify<'i, 't>(
        &'i self,
        ring: &Keyring,
        is_usable: impl Fn(&KeyEntry) -> bool,
        token: &'t str,
        now: Timestamp,
    ) -> Result<ForeignToken<'i, 't>> {
        let [header, payload, signature] = jws::segments(token).ok_or(Rejection::Malformed)?;
        let json = base64url::decode(header).ok_or(Rejection::Malformed)?;
        let named = Header::read(&json).ok_or(Rejection::UnacceptableHeader)?;
        let issuers: Vec<(&Interop, Keys<'_>)> = self
            .0
            .iter()
            .map(|issuer| (issuer, Keys::of(issuer, ring, now)))
            .collect();
        let all = || {
            issuers.iter().flat_map(|(issuer, keys)| {
                let entries = keys.ring().into_iter().flat_map(Keyring::entries);
                entries.map(move |entry| (*issuer, keys, entry))
            })
        };
        // If `kid` names a key that is known, only that key counts. Any other name is ignored, but
        // the keys of a set that is followed count only by name.
        let has_kid_of = |key: &RingKey| named.kid.is_some_and(|kid| kid.is(key.kid()));
        let one_is_named = all().any(|(_, _, entry)| has_kid_of(&entry.key));
        let counts =
            |keys: &Keys<'_>| !one_is_named && (named.kid.is_none() || !keys.is_followed());
        let mut candidates = all()
            .filter(|(_, keys, entry)| {
                entry.key.has_algorithm(named.algorithm)
                    && (counts(keys) || has_kid_of(&entry.key))
                    && is_usable(entry)
            })
            .peekable();
        let Some((_, _, candidate)) = candidates.peek() else {
            // The key may be one that was published after the last fetch. All sets are asked, also
            // behind one that is stale.
            let mut wanted = Ok(());
            for (_, keys) in issuers.iter().filter(|_| !one_is_named) {
                wanted = wanted.and(keys.want(now));
            }
            wanted?;
            return Err(Rejection::UnacceptableHeader.into());
        };
        if !candidate.key.fits(signature) {
            return Err(Rejection::Malformed.into());
        }
        let tag = base64url::decode(signature).ok_or(Rejection::Malformed)?;
        let signed = header.len() + 1 + payload.len();
        let mut verifying = candidates
            .filter(|(_, _, entry)| entry.key.verifies_foreign(token.as_bytes(), signed, &tag))
            .map(|(issuer, ..)| issuer);
        let first = verifying.next().ok_or(Rejection::BadSignature)?;
        let payload = base64url::decode(payload).ok_or(Rejection::Malformed)?;
        // An issuer may publish the public key of another one, whose tokens stay its own.
        let is_named = |issuer: &&Interop| {
            self.0.len() == 1
                || std::str::from_utf8(&payload).is_ok_and(|json| issuer.is_named_in(json))
        };
        let issuer = match is_named(&first) {
            true => first,
            false => verifying.find(is_named).unwrap_or(first),
        };
        issuer.check_typ(named.typ)?;
        Ok(ForeignToken {
            issuer,
            payload,
            signed: &token.as_bytes()[..signed],
        })
    }
}

/// The keys of an issuer at a point in time.
enum Keys<'k> {
    Own(&'k Keyring),
    /// Those of a set that is followed.
    #[cfg(feature = "_public")]
    Followed(&'k KeySetView, Result<Arc<Keyring>>),
}

impl<'k> Keys<'k> {
    #[cfg_attr(
        not(feature = "_public"),
        allow(unused_variables, reason = "a ring has no age")
    )]
    fn of(issuer: &'k Interop, ring: &'k Keyring, now: Timestamp) -> Self {
        let own = issuer.own_keys().unwrap_or(ring);
        #[cfg(feature = "_public")]
        if let Some(view) = own.followed() {
            return Self::Followed(view, view.check_fresh(now).map(|()| view.ring()));
        }
        Self::Own(own)
    }

    fn ring(&self) -> Option<&Keyring> {
        match self {
            Self::Own(ring) => Some(ring),
            #[cfg(feature = "_public")]
            Self::Followed(_, ring) => ring.as_deref().ok(),
        }
    }

    fn is_followed(&self) -> bool {
        !matches!(self, Self::Own(_))
    }

    /// Fails as *unavailable* if the key may be in a set that is stale, or is about to be fetched
    /// again.
    #[cfg_attr(
        not(feature = "_public"),
        allow(unused_variables, reason = "a ring is complete")
    )]
    fn want(&self, now: Timestamp) -> Result<()> {
        match self {
            Self::Own(_) => Ok(()),
            #[cfg(feature = "_public")]
            Self::Followed(view, Ok(_)) => view.want(now),
            #[cfg(feature = "_public")]
            Self::Followed(view, Err(_)) => view.check_fresh(now),
        }
    }
}

/// The parameters of a header that are used (RFC 7515, section 4.1).
#[derive(Default)]
struct Header<'a> {
    algorithm: Text<'a>,
    typ: Option<Text<'a>>,
    kid: Option<Text<'a>>,
}

impl<'a> Header<'a> {
    /// Reads a header. `None` if it is no object, has no `alg`, has a parameter of another type, or
    /// demands an extension.
    fn read(json: &'a [u8]) -> Option<Self> {
        let mut header = Self::default();
        json::object(std::str::from_utf8(json).ok()?, |name, value| {
            match &*name.decode() {
                "alg" => header.algorithm = value.text()?,
                "typ" => header.typ = Some(value.text()?),
                "kid" => header.kid = Some(value.text()?),
                // Extensions that change the meaning of the signature, or encryption.
                "crit" | "b64" | "zip" | "enc" => return None,
                _ => {}
            }
            Some(())
        })?;
        // Without `alg` the name is empty, which no key has.
        Some(header)
    }
}
