//! Bearer token of a request.

use crate::web::found::Found;
use crate::web::headers::{Headers, Single, is_token_byte, single};

/// The registered scheme of bearer tokens.
pub(super) const BEARER: &str = "Bearer";

/// Maximum length of a token: the longest that any configuration of this crate accepts.
const MAX_TOKEN_BYTES: usize = 8192;

/// Returns the token of `Authorization: Bearer` (RFC 6750, section 2.1). Query and body of a
/// request are not read (RFC 9700, section 4.3.2).
///
/// - Two `Authorization` lines of any kind are [`Malformed`](Found::Malformed) (RFC 9110, sections
///   5.3 and 11.6.2).
/// - The scheme is compared without case (RFC 9110, section 11.1). Another scheme, or none, is
///   [`Absent`](Found::Absent): another part of your service may read it.
/// - The syntax is `Bearer`, one or more spaces, and a `b64token` of at most 8192 bytes. All else
///   is [`Malformed`](Found::Malformed), for which RFC 6750, section 3.1, demands a 400.
///
/// Whitespace around the value is ignored. The token is not decoded, and the function does not
/// allocate.
///
/// ```
/// use statewise::web::{Found, bearer};
///
/// assert_eq!(bearer(&[("Authorization", "bearer abc.def")]), Found::One("abc.def"));
/// assert_eq!(bearer(&[("Authorization", "Basic YTpi")]), Found::Absent);
/// assert_eq!(bearer(&[("Authorization", "Bearer abc, Bearer def")]), Found::Malformed);
///
/// let twice = [("Authorization", "Bearer abc"), ("Authorization", "Bearer abc")];
/// assert_eq!(bearer(&twice), Found::Malformed);
/// ```
#[must_use]
pub fn bearer<H: Headers + ?Sized>(headers: &H) -> Found<'_> {
    token_under(BEARER, headers)
}

/// Returns the token of `Authorization` under another scheme, by the same rules.
pub(super) fn token_under<'h, H: Headers + ?Sized>(expected: &str, headers: &'h H) -> Found<'h> {
    let value = match single(headers, "authorization") {
        Single::Absent => return Found::Absent,
        Single::One(value) => value,
        Single::Several => return Found::Malformed,
    };
    let end = value.iter().position(|byte| !is_token_byte(byte));
    let (scheme, rest) = value.split_at(end.unwrap_or(value.len()));
    if !scheme.eq_ignore_ascii_case(expected.as_bytes()) {
        return Found::Absent;
    }
    token(rest).map_or(Found::Malformed, Found::One)
}

/// Returns the token if the rest of a value consists of spaces and a token.
fn token(rest: &[u8]) -> Option<&str> {
    let start = rest.iter().position(|&byte| byte != b' ')?;
    let token = &rest[start..];
    if start == 0 || token.len() > MAX_TOKEN_BYTES || !is_b64token(token) {
        return None;
    }
    std::str::from_utf8(token).ok()
}

/// Checks for `1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="` (RFC 6750, section
/// 2.1).
fn is_b64token(token: &[u8]) -> bool {
    let padding = token.iter().rev().take_while(|byte| **byte == b'=').count();
    let (digits, _) = token.split_at(token.len() - padding);
    let is_digit = |byte: u8| {
        byte.is_ascii_alphanumeric() | matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/')
    };
    // Without an early exit, the compiler checks several bytes at once.
    !digits.is_empty() && digits.iter().fold(true, |ok, &byte| ok & is_digit(byte))
}
