//! Key sets of issuers (RFC 7517, section 5), from untrusted text.

use crate::token::json;
use crate::token::keyring::Keyring;
use crate::token::public::jwk::NoKey;
use crate::token::public::public_key::PublicKey;

/// Longest set that is read.
const MAX_BYTES: usize = 64 * 1024;
/// Keys of a set at most.
const MAX_KEYS: usize = 100;

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
