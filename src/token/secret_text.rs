//! Text of a secret, in each encoding that people produce.

use crate::base::base64url;
use crate::error::{Error, Result};
use crate::token::algorithm::Algorithm;
use crate::token::key::{refuse_other_kinds, refuse_weak};

/// Start of the text of a [`MasterKey`](crate::token::MasterKey). The dot is in no encoding of a
/// secret, so that neither text is read as the other one.
pub(crate) const MASTER_PREFIX: &str = "master.";

/// Reads the text of a secret for keys of `algorithm`: hexadecimal, or base64 in either alphabet
/// (RFC 4648, sections 4, 5 and 8), with or without padding and white space.
///
/// No error contains a part of the text.
pub(crate) fn read(algorithm: Algorithm, text: &str, remedy: &str) -> Result<Vec<u8>> {
    refuse_other_kinds(text.as_bytes(), remedy)?;
    let digits = text.bytes().filter(|byte| !byte.is_ascii_whitespace());
    let digits: Vec<u8> = digits.collect();
    let secret = decode(&digits)
        .map_err(|problem| Error::misuse(format!("the text of the key {problem}: {remedy}")))?;
    refuse_weak(algorithm, &secret, remedy)?;
    Ok(secret)
}

/// Returns the end of an error: how to make the text of a good key. `kind` is the argument of the
/// example, and `prefix` stands before the digits.
pub(crate) fn remedy(algorithm: Algorithm, prefix: &str, kind: &str) -> String {
    let command = format!("openssl rand -base64 {}", algorithm.tag_bytes());
    let command = match prefix {
        "" => command,
        prefix => format!("echo \"{prefix}$({command})\""),
    };
    format!("generate one with `{command}`, or with `cargo run --example key -- {kind}`")
}

/// Decodes digits without white space. An error is the middle of a sentence.
///
/// Each guess that refuses a text is wrong for a random key of 32 bytes with a probability below
/// 10^-16.
fn decode(digits: &[u8]) -> Result<Vec<u8>, &'static str> {
    let has = |characters: &[u8]| digits.iter().any(|digit| characters.contains(digit));
    let all = |is: fn(&u8) -> bool| digits.iter().all(is);
    if digits.is_empty() {
        return Err("is empty");
    }
    if has(b"\"'`") {
        return Err("has quotes in it, which are no part of a key");
    }
    if all(u8::is_ascii_hexdigit) && digits.len().is_multiple_of(2) {
        let nibble = |digit: u8| char::from(digit).to_digit(16).unwrap_or_default() as u8;
        let pairs = digits.chunks_exact(2);
        return Ok(pairs
            .map(|pair| nibble(pair[0]) << 4 | nibble(pair[1]))
            .collect());
    }
    if all(|digit| digit.is_ascii_hexdigit() || matches!(digit, b'-' | b'x')) {
        return Err("has hexadecimal digits, but is not an even number of them alone");
    }
    if all(u8::is_ascii_lowercase) || all(u8::is_ascii_uppercase) {
        return Err("has letters of one case only, as a passphrase");
    }
    let (digits, padding) = match digits {
        [digits @ .., b'=', b'='] => (digits, 2),
        [digits @ .., b'='] => (digits, 1),
        digits => (digits, 0),
    };
    let has = |characters: &[u8]| digits.iter().any(|digit| characters.contains(digit));
    if has(b"=") {
        return Err("has an equals sign in it: pass only what stands behind the name and the sign");
    }
    if has(b"+/") && has(b"-_") {
        return Err("mixes the two alphabets of base64");
    }
    let is_padded = (digits.len() + padding).is_multiple_of(4);
    let standard = digits.iter().map(|digit| match digit {
        b'+' => b'-',
        b'/' => b'_',
        digit => *digit,
    });
    base64url::decode(standard.collect::<Vec<u8>>())
        .filter(|_| padding == 0 || is_padded)
        .ok_or("is neither base64 nor hexadecimal, or a part of it is missing")
}
