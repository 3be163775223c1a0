//! Public keys that an issuer publishes.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::token::keyring::Keyring;

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
            .filter_map(|entry| Some(entry.key.public()?.to_jwk()))
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
