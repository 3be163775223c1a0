//! Key sets of issuers (RFC 7517, section 5): published, and read from untrusted text.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::token::json;
use crate::token::keyring::Keyring;
use crate::token::public::jwk::NoKey;
use crate::token::public::public_key::PublicKey;

/// Longest set that is read.
const MAX_BYTES: usize = 64 * 1024;
/// Keys of a set at most.
const MAX_KEYS: usize = 100;

/// The public keys of an issuer as a JWK set (RFC 7517, section 5), and how long it may be cached.
#[derive(Clone, Debug)]
pub struct KeySet {
    json: String,
    max_age: Duration,
}

impl KeySet {
    /// Returns the public keys of a ring that verify at `now`. Secrets are left out.
    pub(crate) fn of(ring: &Keyring, now: Timestamp, propagation_secs: u64) -> Result<Self> {
        let verifying = || ring.entries().filter(|entry| entry.verifies(now));
        let keys: Vec<String> = verifying()
            .filter_map(|entry| Some(entry.key.public()?.to_own_jwk()))
            .collect();
        if keys.is_empty() {
            return Err(Error::misuse(
                "the ring has no public key to publish: sign with a `SigningKey`",
            ));
        }
        // A service that fetched the set just before a new key was added fetches it again before that key
        // signs.
        let ends = verifying().map(|entry| entry.seconds_left(now));
        let max_age = ends.fold(propagation_secs / 2, u64::min);
        Ok(Self {
            json: format!(r#"{{"keys":[{}]}}"#, keys.join(",")),
            max_age: Duration::from_secs(max_age),
        })
    }

    /// The set. Its media type is `application/jwk-set+json`.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.json
    }

    /// Maximum age of a cached set: half of the
    /// [time in which a new key is known](crate::token::TokenBuilder::propagation), or until a key of
    /// it retires, in whole seconds.
    #[must_use]
    pub fn max_age(&self) -> Duration {
        self.max_age
    }

    /// The value of the field `Cache-Control` for an answer with this set.
    #[must_use]
    pub fn cache_control(&self) -> String {
        format!("public, max-age={}", self.max_age.as_secs())
    }
}

/// Reads a set. Keys that are in `old` too keep the texts that they have verified.
///
/// # Errors
///
/// The reason why the whole set is refused.
pub(crate) fn read(text: &str, old: &Keyring) -> Result<Keyring, &'static str> {
    if text.len() > MAX_BYTES {
        return Err("the key set has more than 64 KiB");
    }
    let mut texts = None;
    json::object(text, |name, value| {
        if name.is("keys") {
            texts = Some(json::objects(value.raw)?);
        }
        Some(())
    })
    .ok_or("the answer is no key set (RFC 7517)")?;
    let texts = texts.ok_or("the answer is no key set (RFC 7517)")?;
    if texts.len() > MAX_KEYS {
        return Err("the key set has more than 100 keys");
    }
    let mut keys: Vec<PublicKey> = Vec::new();
    for text in texts {
        let key = match PublicKey::read(text) {
            Ok(key) => key,
            Err(NoKey::Secret) => {
                return Err("the key set contains a secret: everyone who reads it can sign");
            }
            Err(NoKey::Other | NoKey::Malformed) => continue,
        };
        if keys.iter().any(|other| other.kid() == key.kid()) {
            return Err("two keys of the key set have one id");
        }
        keys.push(key);
    }
    if keys.is_empty() {
        return Err("the key set contains no key for ES256, Ed25519 or RS256");
    }
    let keys = keys.into_iter().map(|key| {
        let mut known = old.entries().filter_map(|entry| entry.key.public());
        let known = known.find(|known| known.is(&key) && known.kid() == key.kid());
        known.cloned().unwrap_or(key)
    });
    Ok(Keyring::verifying(keys))
}
