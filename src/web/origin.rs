//! Protection against requests that pages of other origins send.

use std::net::Ipv6Addr;

use crate::error::{Error, Result};

use crate::web::headers::{Headers, Single, single, trim};

/// Protection against cross-site request forgery. A browser sends cookies with requests of other
/// pages too; this policy prevents those pages from acting as the visitor (OWASP ASVS 3.5.1 to
/// 3.5.3).
///
/// The first rule that applies decides:
///
/// 1. The request is safe: it passes. Safe methods are GET, HEAD, OPTIONS and TRACE (RFC 9110,
///    section 9.2.1), in exactly this spelling. A request that opens a WebSocket is never safe (RFC
///    6455, section 10.2). A handler that changes something on GET is not protected.
/// 2. The request has one `Origin`, and it is [trusted](Self::trust): it passes. This rule precedes
///    the next one because browsers mark requests of a trusted origin as cross-site too.
/// 3. The request has `Sec-Fetch-Site`: it passes if there is one, with the value `same-origin` or
///    `none` (the user typed or chose the address). All browsers since 2023 send the field, scripts
///    cannot set it, and it stays right if a proxy changes host and scheme. `same-site` does not
///    pass: a sibling host is another origin.
/// 4. The request has no `Origin`: it passes. All browsers since 2020 send one with unsafe methods,
///    so the client is no browser, and an attacker cannot make it send cookies.
/// 5. The `Origin` has host and port of the request's target: it passes. All others do not: `null`,
///    which sandboxed frames and redirects between origins send, several `Origin` fields, and
///    malformed ones.
///
/// # Defaults
///
/// | setting | default | source |
/// |---|---|---|
/// | [`trust`](Self::trust) | no other origin | OWASP ASVS 3.5.1 |
///
/// # Deployment
///
/// - Browsers send `Sec-Fetch-Site` only over TLS and to `localhost`. Over plain HTTP, rule 5
///   decides.
/// - If a proxy rewrites `Host`, rule 5 denies older browsers. Let the proxy pass `Host` through,
///   or [trust](Self::trust) the public origin. The proxy must not drop `Origin` or
///   `Sec-Fetch-Site`: without both, rule 4 applies.
/// - Rule 5 does not compare schemes, because a server behind a proxy does not know its own. If you
///   serve `http` on the same host, answer it only with redirects and `Strict-Transport-Security`.
///
/// # Example
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
    /// Creates a policy that trusts no other origin.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts the pages of another origin. Write scheme and host, and the port if it is not the
    /// default of the scheme: `https://app.example.com`. To let their scripts read your responses,
    /// add CORS too.
    ///
    /// # Errors
    ///
    /// *Misuse* if it is not such an origin. `null` is refused because pages of any site can have
    /// it; wildcards are not supported.
    pub fn trust(mut self, origin: impl AsRef<str>) -> Result<Self> {
        let origin = origin.as_ref().to_ascii_lowercase();
        let Some(Origin { scheme, host, port }) = Origin::parse(&origin) else {
            return Err(Error::misuse(
                "an origin has a scheme, a host, perhaps a port, and no path: write \
                 https://app.example.com",
            ));
        };
        // Browsers omit the default port of the scheme (RFC 6454, section 6.2).
        self.trusted.push(match port {
            Some(port) if default_port(scheme) != Some(port) => format!("{scheme}://{host}:{port}"),
            _ => format!("{scheme}://{host}"),
        });
        Ok(self)
    }

    /// Returns whether a request may use the cookies that it carries.
    ///
    /// Pass the authority of the request's URI if it has one, as in HTTP/2. Otherwise the `Host`
    /// field is the target; several `Host` fields count as none. Fields that a proxy may have added
    /// are not read.
    pub fn allows<H: Headers + ?Sized>(
        &self,
        method: &str,
        authority: Option<&str>,
        headers: &H,
    ) -> bool {
        if !is_unsafe(method, headers) {
            return true;
        }
        let origin = single(headers, "origin");
        if let Single::One(origin) = origin
            && self.trusts(origin)
        {
            return true;
        }
        match (single(headers, "sec-fetch-site"), origin) {
            (Single::One(site), _) => matches!(site, b"same-origin" | b"none"),
            (Single::Several, _) | (Single::Absent, Single::Several) => false,
            (Single::Absent, Single::Absent) => true,
            (Single::Absent, Single::One(origin)) => {
                let host = authority.or_else(|| host(headers));
                host.is_some_and(|host| is_own(origin, host))
            }
        }
    }

    fn trusts(&self, origin: &[u8]) -> bool {
        self.trusted
            .iter()
            .any(|trusted| trusted.as_bytes().eq_ignore_ascii_case(origin))
    }
}

/// Returns whether a request may change something, so that its origin must be checked.
pub(crate) fn is_unsafe<H: Headers + ?Sized>(method: &str, headers: &H) -> bool {
    !matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE") || opens_socket(headers)
}

/// Returns the `Host` field, if there is exactly one.
fn host<H: Headers + ?Sized>(headers: &H) -> Option<&str> {
    let Single::One(host) = single(headers, "host") else {
        return None;
    };
    std::str::from_utf8(host).ok()
}

/// Returns whether a request opens a WebSocket. Its method is `GET`, but it carries the cookies of
/// the visitor, and CORS does not restrict which pages may open one (RFC 6455, section 10.2).
fn opens_socket<H: Headers + ?Sized>(headers: &H) -> bool {
    let mut opens = false;
    headers.each("upgrade", &mut |value| {
        let mut protocols = value.split(|c| *c == b',');
        opens |= protocols.any(|protocol| trim(protocol).eq_ignore_ascii_case(b"websocket"));
    });
    opens
}

/// Returns whether an origin has the host and port of the request's target.
fn is_own(origin: &[u8], host: &str) -> bool {
    let Some(origin) = std::str::from_utf8(origin).ok().and_then(Origin::parse) else {
        return false;
    };
    // Both may omit the default port of the scheme.
    let (Some(own), Some((name, port))) = (default_port(origin.scheme), authority(host)) else {
        return false;
    };
    origin.host.eq_ignore_ascii_case(name) && origin.port.unwrap_or(own) == port.unwrap_or(own)
}

/// Returns the default port of a scheme that serves pages.
fn default_port(scheme: &str) -> Option<u16> {
    let mut defaults = [("https", 443), ("http", 80)].into_iter();
    let (_, port) = defaults.find(|(name, _)| scheme.eq_ignore_ascii_case(name))?;
    Some(port)
}

/// Origin of a page: `scheme "://" host [ ":" port ]` (RFC 6454, section 7.1).
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
