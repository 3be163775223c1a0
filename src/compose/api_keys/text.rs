//! The text of an API key: prefix, 64 characters, checksum.

use crate::base::{base64url, crc32};
use crate::error::{Error, Result};
use crate::login::issued::Credential;

/// Characters of the credential between prefix and checksum.
const CHARS: usize = 64;
/// Characters of the checksum: 62 to the power of 6 is above 2 to the power of 32.
const CHECKSUM_CHARS: usize = 6;
/// Maximum number of characters of a prefix.
const MAX_PREFIX_CHARS: usize = 32;
/// Digits of the checksum, in the order of GitHub's tokens.
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Form of the keys with one prefix.
#[derive(Debug)]
pub(super) struct KeyText {
    /// With an underscore at its end.
    prefix: Box<str>,
    /// CRC-32 of the prefix.
    crc: u32,
}

impl KeyText {
    /// Checks a prefix.
    pub(super) fn new(prefix: &str) -> Result<Self> {
        let is_plain = |c: u8| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'_');
        let is_prefix = prefix.starts_with(|c: char| c.is_ascii_lowercase())
            && prefix.bytes().all(is_plain)
            && !prefix.ends_with('_')
            && prefix.len() <= MAX_PREFIX_CHARS;
        if !is_prefix {
            return Err(Error::misuse(
                "the prefix of API keys has at most 32 lower-case letters, digits and underscores, \
                 begins with a letter and does not end with an underscore: choose one such as \
                 `acme_pat`",
            ));
        }
        let prefix = format!("{prefix}_").into_boxed_str();
        let crc = crc32::extend(0, prefix.as_bytes());
        Ok(Self { prefix, crc })
    }

    /// Splits a text of this form into the 64 characters and the checksum.
    #[inline]
    fn split<'t>(&self, text: &'t str) -> Option<(&'t str, &'t str)> {
        let parts = text.strip_prefix(&*self.prefix)?.split_at_checked(CHARS)?;
        (parts.1.len() == CHECKSUM_CHARS).then_some(parts)
    }

    /// Returns true if a text has this form, whatever its checksum is.
    pub(super) fn is_well_formed(&self, text: &str) -> bool {
        self.split(text).is_some_and(|(chars, checksum)| {
            let is_digit = |c: u8| c.is_ascii_alphanumeric();
            base64url::is_in_alphabet(chars.as_bytes()) && checksum.bytes().all(is_digit)
        })
    }

    /// Returns the 64 characters of a text with the right checksum.
    #[inline]
    pub(super) fn read<'t>(&self, text: &'t str) -> Option<&'t str> {
        let (chars, checksum) = self.split(text)?;
        (checksum.as_bytes() == self.checksum(chars)).then_some(chars)
    }

    /// Writes the key with these 64 characters.
    pub(super) fn write(&self, chars: &str) -> Credential {
        let mut text = [&self.prefix, chars].concat();
        text.extend(self.checksum(chars).map(char::from));
        Credential::new(text)
    }

    /// Returns the checksum of prefix and characters.
    #[inline]
    fn checksum(&self, chars: &str) -> [u8; CHECKSUM_CHARS] {
        digits_of(crc32::extend(self.crc, chars.as_bytes()))
    }
}

/// Returns a number in base 62, with leading zeros.
#[inline]
fn digits_of(mut number: u32) -> [u8; CHECKSUM_CHARS] {
    let mut digits = [0; CHECKSUM_CHARS];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[(number % 62) as usize];
        number /= 62;
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_github() {
        // A token without rights that its owner has published: of the 30 characters alone.
        let crc = crc32::extend(0, b"zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ");
        assert_eq!(&digits_of(crc), b"0mLq17");
        assert_eq!(&digits_of(0), b"000000");
        assert_eq!(&digits_of(61), b"00000z");
        assert_eq!(&digits_of(u32::MAX), b"4gfFC3");
    }

    #[test]
    fn it_reads_what_it_writes_and_nothing_else() {
        let form = KeyText::new("acme_pat").unwrap();
        let chars = "A-_z".repeat(16);
        let key = form.write(&chars);
        let key = key.reveal();
        // Calculated with zlib.
        assert_eq!(key, format!("acme_pat_{chars}43YPpo"));
        assert_eq!(form.read(key), Some(&*chars));
        assert!(form.is_well_formed(key));
        for at in 0..key.len() {
            for other in ["A", "b", "0", "-", "_", " ", "é", ""] {
                let damaged = format!("{}{other}{}", &key[..at], &key[at + 1..]);
                if damaged != key {
                    assert_eq!(form.read(&damaged), None, "{damaged}");
                }
            }
        }
        assert_eq!(KeyText::new("acme").unwrap().read(key), None);
        assert_eq!(KeyText::new("acme_pan").unwrap().read(key), None);
        assert_eq!(form.read(&format!("{key}0")), None);
        assert_eq!(form.read(""), None);
    }

    #[test]
    fn a_prefix_is_checked() {
        for good in ["a", "acme", "acme_pat", "a1_2", &"a".repeat(32)] {
            assert!(KeyText::new(good).is_ok(), "{good}");
        }
        let long = "a".repeat(33);
        for bad in [
            "", "_", "1a", "_a", "a_", "Acme", "a-b", "a b", "é", "a\u{1}", &long,
        ] {
            assert!(
                KeyText::new(bad).is_err_and(|error| error.is_misuse()),
                "{bad}"
            );
        }
    }
}
