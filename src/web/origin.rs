//! Which requests a foreign page may have caused.

use std::net::Ipv6Addr;

use crate::error::{Error, Result};

use crate::web::headers::{Headers, Single, single, trim};

/// Which requests a foreign page may have caused, and must not: a browser sends cookies along, and
/// no page of another origin may act in the name of its visitor (OWASP ASVS 3.5.1 to 3.5.3).
///
/// A request is let pass by the first of these rules that says anything:
///
/// 1. The method is safe: GET, HEAD, OPTIONS or TRACE (RFC 9110, section 9.2.1), in exactly this
///    spelling, and it opens no WebSocket, which acts whatever its method (RFC 6455, section 10.2).
///    A handler that acts upon GET is not protected.
/// 2. There is one `Origin`, and it is [trusted](Self::trust). Before all others, because the browser
///    calls a trusted origin cross-site too.
/// 3. `Sec-Fetch-Site` is present: it must be one, `same-origin` or `none` (the user typed or chose
///    the address). All browsers since 2023 send it, no script can set it, and it holds whatever a
///    proxy makes of host and scheme. `same-site` is refused: a sibling host is not this one.
/// 4. There is no `Origin`: it passes. All browsers since 2020 send one with unsafe methods, so this
///    is none, and what is no browser sends no cookies against its user's will.
/// 5. The `Origin` must be of the host and port that was asked. `null`, which a sandboxed frame or a
///    redirection between origins sends, says nothing, and like several or malformed ones is
///    refused.
///
/// # Deployment
///
/// - Browsers send `Sec-Fetch-Site` to trustworthy addresses only: over TLS and to `localhost`.
///   Over plain HTTP rule 5 decides.
/// - A proxy that rewrites `Host` makes rule 5 refuse older browsers: let it pass `Host` through, or
///   [trust](Self::trust) the public origin. It must drop no `Origin` and no `Sec-Fetch-Site`: without
///   both rule 4 would hold.
/// - Rule 5 does not compare schemes, since a server behind a proxy does not know its own. Whoever
///   serves `http` on the same host should answer it with redirections and
///   `Strict-Transport-Security` only.
///
/// ```
/// use statewise::web::OriginPolicy;
///
/// let policy = OriginPolicy::new().trust("https://app.example.com")?;
/// let allows = |fields: &[(&str, &str)]| policy.allows("POST", Some("api.example.com"), fields);
///
/// assert!(allows(&[("Sec-Fetch-Site", "same-origin")]));
/// assert!(allows(&[("Sec-Fetch-Site", "same-site"), ("Origin", "https://app.example.com")]));
/// assert!(allows(&[("Origin", "https://api.example.com")]));
/// assert!(allows(&[]));
/// assert!(!allows(&[("Sec-Fetch-Site", "cross-site")]));
/// assert!(!allows(&[("Origin", "https://evil.example")]));
/// assert!(!allows(&[("Origin", "null")]));
/// # Ok::<(), statewise::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct OriginPolicy {
    trusted: Vec<String>,
}

impl OriginPolicy {
    /// Trusts no origin but the own.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the pages of another origin act as well: a scheme, a host, and a port unless it is the
    /// scheme's own, like `https://app.example.com`. Sending them answers that they can read is the
    /// business of CORS.
    ///
    /// # Errors
    ///
    /// Misuse if it is no such origin: `null` is everybody's, and there are no wildcards.
    pub fn trust(mut self, origin: impl AsRef<str>) -> Result<Self> {
        let origin = origin.as_ref().to_ascii_lowercase();
        let Some(Origin { scheme, host, port }) = Origin::parse(&origin) else {
            return Err(Error::misuse(
                "an origin is a scheme, a host and maybe a port, and nothing else: write \
                 https://app.example.com",
            ));
        };
        // A browser leaves the scheme's own port out (RFC 6454, section 6.2).
        self.trusted.push(match port {
            Some(port) if default_port(scheme) != Some(port) => format!("{scheme}://{host}:{port}"),
            _ => format!("{scheme}://{host}"),
        });
        Ok(self)
    }

    /// Whether the request may act with the cookies that it carries. `authority` is that of the
    /// request's URI, where it has one, as in HTTP/2; otherwise the `Host` field says who was asked,
    /// and several say nothing. Fields that a proxy may have added are not read.
    pub fn allows<H: Headers + ?Sized>(
        &self,
        method: &str,
        authority: Option<&str>,
        headers: &H,
    ) -> bool {
        if !acts(method, headers) {
            return true;
        }
        let origin = single(headers, "origin");
        if let Single::One(origin) = origin
            && self.trusts(origin)
        {
            return true;
        }
        match single(headers, "sec-fetch-site") {
            Single::One(site) => return matches!(site, b"same-origin" | b"none"),
            Single::Several => return false,
            Single::Absent => {}
        }
        match origin {
            Single::Absent => true,
            Single::One(origin) => {
                let host = authority.or_else(|| host(headers));
                host.is_some_and(|host| is_own(origin, host))
            }
            Single::Several => false,
        }
    }

    fn trusts(&self, origin: &[u8]) -> bool {
        self.trusted
            .iter()
            .any(|trusted| trusted.as_bytes().eq_ignore_ascii_case(origin))
    }
}

/// Whether a request may change anything, and so is asked for its origin.
pub(crate) fn acts<H: Headers + ?Sized>(method: &str, headers: &H) -> bool {
    !matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE") || opens_socket(headers)
}

/// The one `Host` field.
fn host<H: Headers + ?Sized>(headers: &H) -> Option<&str> {
    match single(headers, "host") {
        Single::One(host) => std::str::from_utf8(host).ok(),
        Single::Absent | Single::Several => None,
    }
}

/// Whether a request opens a WebSocket: a `GET` that acts, with the cookies of whoever visits the
/// page that opens it, and that no CORS keeps from reading what comes back (RFC 6455, section 10.2).
fn opens_socket<H: Headers + ?Sized>(headers: &H) -> bool {
    let mut opens = false;
    headers.each("upgrade", &mut |value| {
        let mut protocols = value.split(|c| *c == b',');
        opens |= protocols.any(|protocol| trim(protocol).eq_ignore_ascii_case(b"websocket"));
    });
    opens
}

/// Whether a page of this origin came from the host and port that was asked.
fn is_own(origin: &[u8], host: &str) -> bool {
    let Some(origin) = std::str::from_utf8(origin).ok().and_then(Origin::parse) else {
        return false;
    };
    // Both leave out the port that belongs to the scheme, but need not.
    let (Some(own), Some((name, port))) = (default_port(origin.scheme), authority(host)) else {
        return false;
    };
    origin.host.eq_ignore_ascii_case(name) && origin.port.unwrap_or(own) == port.unwrap_or(own)
}

/// The port that belongs to the scheme, of those that serve pages.
fn default_port(scheme: &str) -> Option<u16> {
    if scheme.eq_ignore_ascii_case("https") {
        Some(443)
    } else if scheme.eq_ignore_ascii_case("http") {
        Some(80)
    } else {
        None
    }
}

/// `scheme "://" host [ ":" port ]` (RFC 6454, section 7.1).
struct Origin<'a> {
    scheme: &'a str,
    host: &'a str,
    port: Option<u16>,
}

impl<'a> Origin<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let (host, port) = authority(rest)?;
        is_scheme(scheme).then_some(Self { scheme, host, port })
    }
}

/// Whether it is a scheme (RFC 3986, section 3.1).
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// Host and port, of an origin or a `Host` field: no user, and nothing that is escaped.
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

/// A port in its only spelling.
fn port(digits: &str) -> Option<u16> {
    let canonical = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    canonical.then(|| digits.parse().ok()).flatten()
}
