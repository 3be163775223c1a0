//! Protection against requests that pages of other origins send.

mod cross_origin;
mod text;

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::web::headers::{Headers, Single, single, trim};

pub use cross_origin::CrossOrigin;

use text::{Origin, is_own, is_remote_http, not_an_origin};

/// Protection against cross-site request forgery. A browser sends cookies with requests of other
/// pages too; this policy prevents those pages from acting as the visitor (OWASP ASVS 3.5.1 to
/// 3.5.3).
///
/// The first rule that applies decides:
///
/// 1. The request is safe: it passes. Safe methods are GET, HEAD, OPTIONS and TRACE (RFC 9110,
///    section 9.2.1), in exactly this spelling. A request that opens a WebSocket is never safe (RFC
///    6455, section 10.2). A handler that changes something on GET is not protected.
/// 2. The path is an [exception](Self::except), or the request has one `Origin`, and it is
///    [trusted](Self::trust): it passes. This rule precedes the next one because browsers mark
///    requests of a trusted origin as cross-site too.
/// 3. The request has `Sec-Fetch-Site`: it passes if there is one, with the value `same-origin` or
///    `none` (the user typed or chose the address). All browsers since 2023 send the field, scripts
///    cannot set it, and it stays right if a proxy changes host and scheme. `same-site` does not
///    pass: a sibling host is another origin.
/// 4. The request has no `Origin`: it passes. All browsers since 2020 send one with unsafe methods,
///    so the client is no browser, and an attacker cannot make it send cookies.
/// 5. The `Origin` has host and port of the request's target: it passes. All others do not: `null`,
///    which sandboxed frames, redirects between origins and pages without referrers send, several
///    `Origin` fields, and malformed ones.
///
/// # Defaults
///
/// | setting | default | source |
/// |---|---|---|
/// | [`trust`](Self::trust), [`trust_subdomains`](Self::trust_subdomains), [`trust_if`](Self::trust_if) | no other origin | OWASP ASVS 3.5.1 |
/// | [`except`](Self::except) | no path | |
///
/// # Deployment
///
/// Browsers send `Sec-Fetch-Site` only over TLS and to `localhost`. Over plain HTTP, and for older
/// browsers, rule 5 compares `Origin` with the host that this service sees. So the proxy in front of
/// it must pass on `Host` with its port, and must not drop `Origin` and `Sec-Fetch-Site`:
///
/// | proxy | configuration |
/// |---|---|
/// | nginx | `proxy_set_header Host $http_host;`. By default nginx sends the name of the upstream, and `$host` has no port. |
/// | Caddy | none: `reverse_proxy` passes `Host` on. Do not add `header_up Host`. |
/// | Apache | `ProxyPreserveHost On` |
/// | HAProxy, Traefik, load balancers of AWS and Google | none: they pass `Host` on |
///
/// If you cannot change the proxy, [trust](Self::trust) the public origin.
///
/// - **Plain HTTP beside HTTPS.** Rule 5 does not compare schemes, because a server behind a proxy
///   does not know its own. If you serve `http` on the same host, answer it only with redirects and
///   `Strict-Transport-Security`.
/// - **Referrers.** A page with `Referrer-Policy: no-referrer` sends its forms with `Origin: null`.
///   Over plain HTTP they are denied. `null` cannot be trusted, because pages of any site can have
///   it. Send `Referrer-Policy: same-origin` with pages that have forms.
/// - **CORS.** This policy decides which pages may send a request, and CORS which pages may read the
///   response. For a page of another origin you need both. Add the CORS layer outside of `AuthLayer`
///   and `Require`: a preflight carries no credential.
/// - **Callbacks.** A login provider that answers with a form (`response_mode=form_post`) makes the
///   browser send a POST from the provider's page. Add an [exception](Self::except) for that path,
///   and check the `state` of the answer (RFC 6749, section 10.12). Do not trust the origin of the
///   provider: that opens every path to its pages.
///
/// # Example
///
/// ```
/// use statewise::web::OriginPolicy;
///
/// let policy = OriginPolicy::new()
///     .trust("https://app.example.com")?
///     .except("/callback")?;
/// let check = |path: &str, fields: &[(&str, &str)]| {
///     policy.check("POST", path, Some("api.example.com"), fields)
/// };
///
/// assert!(check("/", &[("Sec-Fetch-Site", "same-origin")]).is_ok());
/// assert!(check("/", &[("Origin", "https://app.example.com")]).is_ok());
/// assert!(check("/", &[("Origin", "https://api.example.com")]).is_ok());
/// assert!(check("/", &[]).is_ok());
/// assert!(check("/callback", &[("Origin", "https://idp.example")]).is_ok());
///
/// let refused = check("/", &[("Origin", "https://evil.example")]).unwrap_err();
/// assert_eq!(
///     refused.to_string(),
///     "POST from origin https://evil.example to host api.example.com",
/// );
/// assert!(check("/", &[("Sec-Fetch-Site", "cross-site")]).is_err());
/// assert!(check("/", &[("Origin", "null")]).is_err());
/// # Ok::<(), statewise::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct OriginPolicy {
    trusted: Vec<Trusted>,
    /// Paths that pages of all origins may call.
    exceptions: Vec<Box<str>>,
}

/// Other origins with pages that may send unsafe requests.
#[derive(Clone)]
enum Trusted {
    One(String),
    /// All hosts below one, with the same scheme and port.
    Below {
        /// Scheme with its separator.
        scheme: String,
        /// A dot, and the host with its port.
        suffix: String,
    },
    If(Arc<dyn Fn(&str) -> bool + Send + Sync>),
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
    /// it.
    pub fn trust(mut self, origin: impl AsRef<str>) -> Result<Self> {
        let text = origin.as_ref().to_ascii_lowercase();
        let origin = Origin::parse(&text).ok_or_else(|| not_an_origin(&text))?;
        self.trusted.push(Trusted::One(origin.text()));
        Ok(self)
    }

    /// Trusts the pages of all hosts below this one, at any depth, with this scheme and port.
    /// `https://example.com` stands for `https://a.example.com` and `https://a.b.example.com`, but
    /// not for `https://example.com` itself.
    ///
    /// Each of these hosts can then act as your visitors. Use it only if no one else can get a host
    /// below this one. If your tenants have subdomains with pages of their own, use
    /// [`trust_if`](Self::trust_if).
    ///
    /// # Errors
    ///
    /// *Misuse* if it is not an origin, or if its host is an IP address or has a single label
    /// (except `localhost`).
    pub fn trust_subdomains(mut self, origin: impl AsRef<str>) -> Result<Self> {
        let text = origin.as_ref().to_ascii_lowercase();
        let origin = Origin::parse(&text).ok_or_else(|| not_an_origin(&text))?;
        let (_, last) = origin.host.rsplit_once('.').unwrap_or_default();
        let is_domain = last.starts_with(|c: char| c.is_ascii_alphabetic());
        if !is_domain && origin.host != "localhost" {
            return Err(Error::misuse(format!(
                "{text:?} has no hosts below it that belong to you: write https://example.com"
            )));
        }
        let (scheme, host) = (format!("{}://", origin.scheme), origin.text());
        self.trusted.push(Trusted::Below {
            suffix: format!(".{}", host.trim_start_matches(&scheme)),
            scheme,
        });
        Ok(self)
    }

    /// Trusts the pages of the origins for which `rule` returns `true`: those of a list that changes
    /// while the service runs, for example. `rule` gets a scheme, a host and perhaps a port in the
    /// form that browsers send, and never `null`. It is called for unsafe requests only. It must not
    /// block.
    ///
    /// ```
    /// use statewise::web::OriginPolicy;
    ///
    /// let is_preview = |origin: &str| {
    ///     let branch = origin.strip_prefix("https://preview-");
    ///     let branch = branch.and_then(|rest| rest.strip_suffix(".example.com"));
    ///     branch.is_some_and(|branch| branch.bytes().all(|byte| byte.is_ascii_digit()))
    /// };
    /// let policy = OriginPolicy::new().trust_if(is_preview);
    /// let fields = [("Origin", "https://preview-17.example.com")];
    /// assert!(policy.check("POST", "/", None, &fields).is_ok());
    /// ```
    #[must_use]
    pub fn trust_if(mut self, rule: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.trusted.push(Trusted::If(Arc::new(rule)));
        self
    }

    /// Lets pages of all origins call one path, for example the callback of a login provider. The
    /// handler of that path must protect itself.
    ///
    /// The path is compared exactly with the whole path of the request, such as `/auth/callback`. That holds
    /// inside of a router of axum that is nested at `/auth`, too (feature `axum`). Where another framework
    /// removes a prefix before the layer sees the request, write the rest. If there is a layer inside
    /// and outside, add the exception to both.
    ///
    /// # Errors
    ///
    /// *Misuse* if it is not a path, or has a query or a placeholder.
    pub fn except(mut self, path: impl Into<String>) -> Result<Self> {
        let path = path.into();
        if !path.starts_with('/') || path.contains(['?', '#', '*', '{', '}']) {
            return Err(Error::misuse(format!(
                "{path:?} is not the path of a request: write /callback, without a query and \
                 without placeholders"
            )));
        }
        self.exceptions.push(path.into());
        Ok(self)
    }

    /// Checks whether a request may use the cookies that it carries.
    ///
    /// Pass the authority of the request's URI if it has one, as in HTTP/2. Otherwise the `Host`
    /// field is the target; several `Host` fields count as none. Fields that a proxy may have added
    /// are not read. `path` is that of the URI, without its query.
    ///
    /// # Errors
    ///
    /// The request with its origin and its host, for your logs. Answer 403.
    pub fn check<H: Headers + ?Sized>(
        &self,
        method: &str,
        path: &str,
        authority: Option<&str>,
        headers: &H,
    ) -> Result<(), CrossOrigin> {
        if self.allows(method, path, authority, headers) {
            return Ok(());
        }
        Err(CrossOrigin::new(method, authority, headers))
    }

    fn allows<H: Headers + ?Sized>(
        &self,
        method: &str,
        path: &str,
        authority: Option<&str>,
        headers: &H,
    ) -> bool {
        if !is_unsafe(method, headers) || self.exceptions.iter().any(|other| **other == *path) {
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
        let Ok(origin) = std::str::from_utf8(origin) else {
            return false;
        };
        self.trusted.iter().any(|trusted| trusted.covers(origin))
    }
}

impl Trusted {
    fn covers(&self, origin: &str) -> bool {
        let text = || Some(Origin::parse(&origin.to_ascii_lowercase())?.text());
        match self {
            Self::One(trusted) => trusted.eq_ignore_ascii_case(origin),
            Self::Below { scheme, suffix } => text().is_some_and(|text| {
                let below = text.strip_prefix(&**scheme);
                let below = below.and_then(|rest| rest.strip_suffix(&**suffix));
                below.is_some_and(|below| !below.is_empty())
            }),
            Self::If(rule) => text().is_some_and(|text| rule(&text)),
        }
    }
}

impl fmt::Debug for Trusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(origin) => write!(f, "{origin}"),
            Self::Below { scheme, suffix } => write!(f, "{scheme}*{suffix}"),
            Self::If(_) => f.write_str("trust_if"),
        }
    }
}

/// Returns whether a page of plain HTTP on another machine sent the request: the browser ignores
/// `Secure` cookies in the response. Browsers send `Sec-Fetch-Site` over TLS only, and to the
/// machine itself.
pub(super) fn is_plain_http<H: Headers + ?Sized>(headers: &H) -> bool {
    let is_plain = |name| matches!(single(headers, name), Single::One(url) if is_remote_http(url));
    matches!(single(headers, "sec-fetch-site"), Single::Absent)
        && (is_plain("origin") || is_plain("referer"))
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
