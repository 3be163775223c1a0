//! Names of the keys on the server.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::base::sha256;
use crate::error::{Error, Result};
use crate::login::handle::Handle;

/// Maximum length of a prefix. It is part of each key.
const MAX_PREFIX_BYTES: usize = 128;

/// The keys of a store and a log with one prefix.
///
/// All keys of one subject have the same hash tag, the two characters of its partition, so they are
/// on one node of a Cluster. The keys of the log have the hash tag `log`, which has three
/// characters and therefore never equals the tag of a session.
#[derive(Debug)]
pub(crate) struct Keys {
    prefix: String,
}

impl Keys {
    /// # Errors
    ///
    /// *Misuse* if the prefix is too long, or contains a brace (the start of a hash tag of its own)
    /// or a control character.
    pub(crate) fn new(prefix: String) -> Result<Self> {
        if prefix.contains(['{', '}']) {
            return Err(Error::misuse(
                "the key prefix contains a brace, which a Cluster reads as a hash tag: choose a \
                 prefix without braces",
            ));
        }
        if prefix.chars().any(char::is_control) {
            return Err(Error::misuse(
                "the key prefix contains a control character: choose a prefix without",
            ));
        }
        if prefix.len() > MAX_PREFIX_BYTES {
            return Err(Error::misuse(
                "the key prefix is longer than 128 bytes: choose a shorter one",
            ));
        }
        Ok(Self { prefix })
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Returns the keys of a revocation log: its numbers and its entries, on one node.
    pub(crate) fn log(&self) -> [String; 2] {
        ["m", "e"].map(|kind| format!("{}{{log}}:{kind}", self.prefix))
    }

    /// Returns a key that is never used, on the node of the log.
    pub(crate) fn check_log(&self) -> String {
        format!("{}{{log}}:check", self.prefix)
    }

    /// Returns a key that is never used, on the node of a partition.
    pub(crate) fn check(&self, partition: u16) -> String {
        format!("{}{{{}}}:check", self.prefix, tag(partition))
    }

    /// Returns the key of the row of a login.
    pub(crate) fn row(&self, handle: Handle) -> String {
        let mut text = [0; 22];
        // 16 bytes are 22 characters, all of them ASCII.
        let _ = URL_SAFE_NO_PAD.encode_slice(handle.as_bytes(), &mut text);
        let text = std::str::from_utf8(&text).unwrap_or_default();
        // The first 12 bits of a handle are its partition.
        let tag = text.get(..2).unwrap_or_default();
        [&self.prefix, "{", tag, "}:s:", text].concat()
    }

    /// Returns the key of the index of a subject's logins, on the node of their rows.
    pub(crate) fn index(&self, partition: u16, subject: &str) -> String {
        // The hash has a fixed length and no special characters.
        let hash = URL_SAFE_NO_PAD.encode(sha256::hash(subject.as_bytes()));
        format!("{}{{{}}}:i:{hash}", self.prefix, tag(partition))
    }
}

/// Returns the two characters of a partition.
fn tag(partition: u16) -> String {
    let mut tag = URL_SAFE_NO_PAD.encode((partition << 4).to_be_bytes());
    tag.truncate(2);
    tag
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::login::handle::partition;

    #[test]
    fn all_keys_of_a_subject_have_one_hash_tag() {
        let keys = Keys::new("app:".to_owned()).unwrap();
        for subject in ["alice", "bob", "", "{x}", "\0"] {
            let handle = Handle::of_subject(subject.as_bytes(), [0xff; 16]);
            let tag = |key: String| key["app:".len()..][..4].to_owned();
            let row = tag(keys.row(handle));
            assert!(row.starts_with('{') && row.ends_with('}'), "{row}");
            assert_eq!(tag(keys.index(partition(subject), subject)), row);
        }
        assert_eq!(keys.log(), ["app:{log}:m", "app:{log}:e"]);
        assert_eq!(
            keys.row(Handle::from_bytes([0; 16])),
            "app:{AA}:s:AAAAAAAAAAAAAAAAAAAAAA"
        );
    }

    #[test]
    fn unsafe_prefixes_are_refused() {
        for prefix in ["{", "}", "a{b}c", "a\n", "\0", "\u{85}", &"x".repeat(129)] {
            let refused = Keys::new(prefix.to_owned());
            assert!(refused.is_err_and(|error| error.is_misuse()), "{prefix:?}");
        }
        for prefix in ["", "app:", "été*?[a]:", &"x".repeat(128)] {
            assert!(Keys::new(prefix.to_owned()).is_ok());
        }
    }
}
