//! What the rows are called on the server.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::base::sha256;
use crate::error::{Error, Result};
use crate::login::handle::Handle;

/// Bytes that a prefix may have at most: it is part of each key.
const LONGEST: usize = 128;

/// The names of all keys of a store. Whatever belongs to one subject has one hash tag, the two
/// characters of the partition, and so is on one node of a Cluster.
#[derive(Debug)]
pub(crate) struct Keys {
    prefix: String,
}

impl Keys {
    /// # Errors
    ///
    /// *Misuse* if the prefix could make a hash tag of its own, or cannot be read by a human.
    pub(crate) fn new(prefix: String) -> Result<Self> {
        if prefix.contains(['{', '}']) {
            return Err(Error::misuse(
                "the key prefix contains a brace, which a Cluster would take for its hash tag: \
                 choose another",
            ));
        }
        if prefix.chars().any(char::is_control) {
            return Err(Error::misuse(
                "the key prefix contains a control character: choose another",
            ));
        }
        if prefix.len() > LONGEST {
            return Err(Error::misuse(
                "the key prefix is longer than 128 bytes: choose a shorter one",
            ));
        }
        Ok(Self { prefix })
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The numbers of a revocation log, and its entries, side by side on one node.
    pub(crate) fn log(&self) -> [String; 2] {
        // No tag of sessions has three characters.
        ["m", "e"].map(|kind| format!("{}{{log}}:{kind}", self.prefix))
    }

    /// The row of a login.
    pub(crate) fn row(&self, handle: Handle) -> String {
        let mut text = [0; 22];
        // Sixteen bytes are so many characters, all of them ASCII.
        let _ = URL_SAFE_NO_PAD.encode_slice(handle.as_bytes(), &mut text);
        let text = std::str::from_utf8(&text).unwrap_or_default();
        // The first twelve bits are the partition.
        let tag = text.get(..2).unwrap_or_default();
        [&self.prefix, "{", tag, "}:s:", text].concat()
    }

    /// The index of the logins of a subject, beside their rows.
    pub(crate) fn index(&self, partition: u16, subject: &str) -> String {
        let tag = URL_SAFE_NO_PAD.encode((partition << 4).to_be_bytes());
        // By its hash: of one length, and without any character that means something.
        let hash = URL_SAFE_NO_PAD.encode(sha256::hash(subject.as_bytes()));
        format!("{}{{{}}}:i:{hash}", self.prefix, &tag[..2])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::login::handle::partition;

    #[test]
    fn all_of_one_subject_has_one_tag() {
        let keys = Keys::new("app:".to_owned()).unwrap();
        for subject in ["alice", "bob", "", "{x}", "\0"] {
            let handle = Handle::of_subject(subject.as_bytes(), [0xff; 16]);
            let tag = |key: String| key["app:".len()..][..4].to_owned();
            let row = tag(keys.row(handle));
            assert!(row.starts_with('{') && row.ends_with('}'), "{row}");
            assert_eq!(tag(keys.index(partition(subject), subject)), row);
        }
        assert_eq!(
            keys.row(Handle::from_bytes([0; 16])),
            "app:{AA}:s:AAAAAAAAAAAAAAAAAAAAAA"
        );
    }

    #[test]
    fn prefixes_that_escape_are_refused() {
        for prefix in ["{", "}", "a{b}c", "a\n", "\0", "\u{85}", &"x".repeat(129)] {
            let refused = Keys::new(prefix.to_owned());
            assert!(refused.is_err_and(|error| error.is_misuse()), "{prefix:?}");
        }
        for prefix in ["", "app:", "été*?[a]:", &"x".repeat(128)] {
            assert!(Keys::new(prefix.to_owned()).is_ok());
        }
    }
}
