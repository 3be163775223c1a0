//! Origins and hosts as text, and the mistakes in a text that is no origin.

use std::net::{IpAddr, Ipv6Addr};

use crate::error::Error;

/// Origin of a page: `scheme "://" host [ ":" port ]` (RFC 6454, section 7.1).
pub(super) struct Origin<'a> {
    pub(super) scheme: &'a str,
    pub(super) host: &'a str,
    pub(super) port: Option<u16>,
}

impl<'a> Origin<'a> {
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let (host, port) = authority(rest)?;
        is_scheme(scheme).then_some(Self { scheme, host, port })
    }

    /// Returns the text that browsers send. It has no default port (RFC 6454, section 6.2).
    pub(super) fn text(&self) -> String {
        let Self { scheme, host, port } = self;
        match port {
            Some(port) if default_port(scheme) != Some(*port) => {
                format!("{scheme}://{host}:{port}")
            }
            _ => format!("{scheme}://{host}"),
        }
    }
}

/// Names the mistake in a text that is no origin.
pub(super) fn not_an_origin(text: &str) -> Error {
    let (_, rest) = text.split_once("://").unwrap_or_default();
    let problem = if text.eq_ignore_ascii_case("null") {
        "pages of any site can have this origin. A form is sent with it if its page forbids \
         referrers: send `Referrer-Policy: same-origin` with that page"
    } else if text.contains('*') {
        "wildcards are not supported. Call trust_subdomains(\"https://example.com\") for all hosts \
         below one, or trust_if for a rule of your own"
    } else if text.contains(char::is_whitespace) {
        "remove the white space"
    } else if rest.is_empty() {
        "scheme or host is missing. Write https://app.example.com"
    } else if !text.is_ascii() {
        "browsers send a host with other letters in Punycode. Write it as xn--.."
    } else if rest.find(['/', '?', '#']) == Some(rest.len() - 1) {
        "remove the last character: an origin ends with its host or port"
    } else if rest.contains(['/', '?', '#']) {
        "remove the path: an origin ends with its host or port"
    } else if rest.contains('@') {
        "remove the user name"
    } else {
        "write a scheme, a host and perhaps a port: https://app.example.com:8443"
    };
    Error::misuse(format!("{text:?} is not an origin: {problem}"))
}

/// Returns whether an origin has the host and port of the request's target.
pub(super) fn is_own(origin: &[u8], host: &str) -> bool {
    let Some(origin) = std::str::from_utf8(origin).ok().and_then(Origin::parse) else {
        return false;
    };
    // Both may omit the default port of the scheme.
    let (Some(own), Some((name, port))) = (default_port(origin.scheme), authority(host)) else {
        return false;
    };
    origin.host.eq_ignore_ascii_case(name) && origin.port.unwrap_or(own) == port.unwrap_or(own)
}

/// Returns whether a URL has the scheme `http` and the host of another machine.
pub(super) fn is_remote_http(url: &[u8]) -> bool {
    let Some(rest) = std::str::from_utf8(url)
        .ok()
        .and_then(|url| url.strip_prefix("http://"))
    else {
        return false;
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    authority(&rest[..end]).is_some_and(|(host, _)| !is_loopback(host))
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let address = address.parse::<IpAddr>();
    let is_localhost = |host: &str| host == "localhost" || host.ends_with(".localhost");
    address.map_or_else(|_| is_localhost(host), |address| address.is_loopback())
}

/// Returns the default port of a scheme that serves pages.
fn default_port(scheme: &str) -> Option<u16> {
    let mut defaults = [("https", 443), ("http", 80)].into_iter();
    let (_, port) = defaults.find(|(name, _)| scheme.eq_ignore_ascii_case(name))?;
    Some(port)
}

/// Returns whether a text is a scheme (RFC 3986, section 3.1).
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// Splits host and port of an origin or a `Host` field. Refuses user names and escapes.
fn authority(text: &str) -> Option<(&str, Option<u16>)> {
    let is_name = |host: &str| {
        !host.is_empty()
            && host
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
    };
    let is_address = |host: &str| {
        host.strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .is_some_and(|host| host.parse::<Ipv6Addr>().is_ok())
    };
    let (host, port) = match text.rsplit_once(':') {
        Some((host, digits)) if !text.ends_with(']') => (host, Some(port(digits)?)),
        _ => (text, None),
    };
    (is_name(host) || is_address(host)).then_some((host, port))
}

/// Parses a port; refuses signs and leading zeros.
fn port(digits: &str) -> Option<u16> {
    let canonical = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    canonical.then(|| digits.parse().ok()).flatten()
}
