//! Tickets in requests that can carry no header field: links and WebSocket handshakes.

use crate::base::base64url;
use crate::web::found::Found;
use crate::web::headers::{Headers, trim};

/// Prefix of a ticket.
const PREFIX: &str = "tk_";

/// Returns the [ticket](crate::tickets) in a parameter of a query, such as `ticket=tk_..`.
///
/// A query is logged by servers and proxies, kept in the history of the browser, and sent on as the
/// referrer. Only tickets are found there: they work once and expire soon. No other credential is.
/// Two different tickets are [`Ambiguous`](Found::Ambiguous). Never returns
/// [`Malformed`](Found::Malformed).
///
/// ```
/// use statewise::web::{Found, ticket_in_query};
///
/// let ticket = format!("tk_{}", "A".repeat(64));
/// let query = format!("room=7&ticket={ticket}");
/// assert_eq!(ticket_in_query(&query, "ticket"), Found::One(&ticket));
/// // A session id is no ticket.
/// let query = format!("ticket={}", "A".repeat(64));
/// assert_eq!(ticket_in_query(&query, "ticket"), Found::Absent);
/// ```
#[must_use]
pub fn ticket_in_query<'q>(query: &'q str, name: &str) -> Found<'q> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .filter(|(key, _)| *key == name)
        .fold(Found::Absent, |found, (_, value)| add(found, value))
}

/// Returns the [ticket](crate::tickets) among the protocols that a WebSocket handshake offers: the only
/// field that a script of a browser can set (RFC 6455, section 4.1).
///
/// The script offers two protocols, `new WebSocket(url, ["chat", ticket])`. Answer with the other
/// one: a response must not repeat a ticket. Two different tickets are
/// [`Ambiguous`](Found::Ambiguous). Never returns [`Malformed`](Found::Malformed).
///
/// ```
/// use statewise::web::{Found, ticket_in_protocols};
///
/// let ticket = format!("tk_{}", "A".repeat(64));
/// let handshake = [("sec-websocket-protocol", format!("chat, {ticket}"))];
/// assert_eq!(ticket_in_protocols(&handshake), Found::One(&ticket));
/// ```
#[must_use]
pub fn ticket_in_protocols<H: Headers + ?Sized>(headers: &H) -> Found<'_> {
    let mut found = Found::Absent;
    headers.each("sec-websocket-protocol", &mut |line| {
        for protocol in line.split(|&byte| byte == b',') {
            if let Ok(protocol) = std::str::from_utf8(trim(protocol)) {
                found = add(found, protocol);
            }
        }
    });
    found
}

/// Adds a value to those that were found, if it has the form of a ticket.
fn add<'a>(found: Found<'a>, value: &'a str) -> Found<'a> {
    let digits = value.strip_prefix(PREFIX).map(str::as_bytes);
    let digits: Option<&[u8; 64]> = digits.and_then(|digits| digits.try_into().ok());
    match found {
        _ if !digits.is_some_and(|digits| base64url::is_in_alphabet(digits)) => found,
        Found::Absent => Found::One(value),
        Found::One(one) if one != value => Found::Ambiguous(one, value),
        found => found,
    }
}
