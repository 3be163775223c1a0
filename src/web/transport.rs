//! Place of the credential in requests and responses.

use std::fmt;
use std::time::Duration;

use crate::authenticator::Presented;
use crate::error::{Error, Result};
use crate::login::issued::{Credential, Issued};
use crate::login::place::Place;
use crate::web::bearer::{BEARER, token_under};
use crate::web::cookie::{Cookie, CookieVersions};
use crate::web::denial::Denial;
use crate::web::found::Found;
use crate::web::headers::{Headers, is_token_byte};
use crate::web::origin::is_plain_http;

/// Place of the credential in requests: a cookie, a bearer token, or either.
///
/// | your clients | use |
/// |---|---|
/// | browsers | [`Transport::cookie`] |
/// | programs | [`Transport::bearer`] |
/// | both, on the same routes | [`Transport::both`] |
/// | browsers with a hybrid | [`Transport::cookie`] with [`refresh_cookie`](Self::refresh_cookie) |
///
/// # Defaults
///
/// | setting | default | source |
/// |---|---|---|
/// | a request with cookie and bearer token | denied as [`Ambiguous`](Denial::Ambiguous), see [`prefer_bearer`](Self::prefer_bearer) | RFC 6750, section 2 |
/// | [`refresh_cookie`](Self::refresh_cookie) | none | |
/// | [`formerly`](Self::formerly), [`refresh_formerly`](Self::refresh_formerly) | no former cookies | |
/// | [`realm`](Self::realm) | `api` | RFC 9110, section 11.5 |
/// | [`scheme`](Self::scheme) | `Bearer` | RFC 6750, section 2.1 |
///
/// # Example
///
/// ```
/// use statewise::web::{Cookie, Denial, Transport};
///
/// let transport = Transport::both(Cookie::default());
/// let is_ours = |_: &str| true;
///
/// let request = [("authorization", "Bearer abc")];
/// let carried = transport.read(&request, is_ours)?;
/// assert!(carried.is_bearer());
/// assert_eq!(carried.credential(), "abc");
///
/// // Two credentials may belong to two users: the request is denied (RFC 6750, section 2).
/// let request = [("authorization", "Bearer abc"), ("cookie", "__Host-id=def")];
/// assert!(matches!(transport.read(&request, is_ours), Err(Denial::Ambiguous)));
///
/// let request = [("cookie", "theme=dark")];
/// assert!(matches!(transport.read(&request, is_ours), Err(Denial::Absent)));
/// # Ok::<(), Denial>(())
/// ```
#[derive(Clone, Debug)]
pub struct Transport {
    cookie: Option<CookieVersions>,
    refresh: Option<CookieVersions>,
    bearer: bool,
    prefers_bearer: bool,
    realm: Box<str>,
    scheme: Box<str>,
}

/// Credential that a request carries.
#[derive(Clone, Copy)]
pub struct Carried<'a> {
    credential: &'a str,
    is_bearer: bool,
}

impl<'a> Carried<'a> {
    pub(crate) fn in_cookie(credential: &'a str) -> Self {
        Self {
            credential,
            is_bearer: false,
        }
    }

    /// The credential. It is a secret.
    #[must_use]
    pub fn credential(&self) -> &'a str {
        self.credential
    }

    /// Returns `true` for a bearer token and `false` for a cookie.
    #[must_use]
    pub fn is_bearer(&self) -> bool {
        self.is_bearer
    }
}

impl<'a> From<Carried<'a>> for Presented<'a> {
    fn from(carried: Carried<'a>) -> Self {
        Self::new(carried.credential).with_place(if carried.is_bearer {
            Place::Bearer
        } else {
            Place::Cookie
        })
    }
}

impl fmt::Debug for Carried<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Carried")
            .field("is_bearer", &self.is_bearer)
            .finish_non_exhaustive()
    }
}

impl Transport {
    /// Carries the credential in a cookie. Use it for browsers.
    #[must_use]
    pub fn cookie(cookie: Cookie) -> Self {
        Self {
            cookie: Some(CookieVersions::new(cookie)),
            bearer: false,
            ..Self::bearer()
        }
    }

    /// Carries the credential in `Authorization: Bearer` (RFC 6750, section 2.1). Use it for
    /// programs. Bodies and query strings are never read (RFC 9700, section 4.3.2; OWASP ASVS
    /// 14.2.1).
    #[must_use]
    pub fn bearer() -> Self {
        Self {
            cookie: None,
            refresh: None,
            bearer: true,
            prefers_bearer: false,
            realm: "api".into(),
            scheme: BEARER.into(),
        }
    }

    /// Accepts a cookie or a bearer token. A request that carries both is denied, because they may
    /// belong to two users (RFC 6750, section 2); see [`prefer_bearer`](Self::prefer_bearer).
    ///
    /// Both carry credentials of one authenticator. For sessions in the cookie and tokens in the
    /// header, use [`Either`](crate::either::Either).
    #[must_use]
    pub fn both(cookie: Cookie) -> Self {
        Self {
            cookie: Some(CookieVersions::new(cookie)),
            ..Self::bearer()
        }
    }

    /// Ignores the cookie of a request that also carries a bearer token. Use it if scripts call
    /// with a token the same host that has set them a cookie. A browser never sends a bearer token
    /// without a script.
    ///
    /// ```
    /// use statewise::web::{Cookie, Denial, Transport};
    ///
    /// let transport = Transport::both(Cookie::default()).prefer_bearer();
    /// let request = [("authorization", "Bearer abc"), ("cookie", "__Host-id=def")];
    /// assert_eq!(transport.read(&request, |_| true)?.credential(), "abc");
    /// # Ok::<(), Denial>(())
    /// ```
    #[must_use]
    pub fn prefer_bearer(mut self) -> Self {
        self.prefers_bearer = true;
        self
    }

    /// Carries the refresh credential of a [hybrid](crate::compose::hybrid) in a cookie of its own.
    /// The browser sends it to one path only: put refresh, login and logout below that path.
    ///
    /// When the access token has expired, a script gets 401: it calls your refresh route, and repeats
    /// its request. A navigation cannot do that. Set
    /// [`AuthLayer::refresh_page`](crate::web::AuthLayer::refresh_page), and the layer refreshes for
    /// it; without that, the page is answered as if the user were logged out. For a site of plain
    /// pages sessions are simpler.
    ///
    /// ```
    /// use statewise::web::{Cookie, Transport};
    ///
    /// let refresh = Cookie::builder().name("__Secure-refresh").path("/auth").build()?;
    /// let transport = Transport::cookie(Cookie::default()).refresh_cookie(refresh)?;
    /// # let _ = transport;
    /// # Ok::<(), statewise::Error>(())
    /// ```
    ///
    /// # Security
    ///
    /// A cookie with a path cannot have the prefix `__Host-`, so an attacker on a sibling host can
    /// plant the refresh credential of their own login. If the hosts of your domain do not trust
    /// each other, let clients keep the refresh credential and send it in the body.
    ///
    /// # Errors
    ///
    /// *Misuse* if this transport has no cookie, if both cookies have the same name, or if the path
    /// of this one is `/`.
    pub fn refresh_cookie(mut self, refresh: Cookie) -> Result<Self> {
        let Some(cookie) = &self.cookie else {
            return Err(Error::misuse(
                "a cookie for the refresh credential, but none for access tokens: give both a \
                 cookie, or let clients keep both",
            ));
        };
        if cookie.present.name() == refresh.name() {
            return Err(Error::misuse(
                "the cookies of access token and refresh credential have the same name: give them \
                 different names",
            ));
        }
        if refresh.path() == "/" {
            return Err(Error::misuse(
                "the browser would send the refresh credential with every request: set the path \
                 of its cookie to that of your refresh route",
            ));
        }
        self.refresh = Some(CookieVersions::new(refresh));
        Ok(self)
    }

    /// Adds a cookie that carried the credential before a deployment: with another name, domain or
    /// path, or with or without a partition. Users stay logged in. Call it again for further
    /// cookies, newest first.
    ///
    /// A request without the present cookie is read from the former ones. Each login, logout, renewal
    /// and rejection removes them. If only `SameSite` or `Max-Age` changes, leave it out: browsers
    /// replace the cookie.
    ///
    /// ```
    /// use statewise::web::{Cookie, Transport};
    ///
    /// // Until last week: Transport::cookie(Cookie::default())
    /// let shared = Cookie::builder().name("__Secure-sid").domain("example.com").build()?;
    /// let transport = Transport::cookie(shared).formerly(Cookie::default())?;
    ///
    /// let request = [("cookie", "__Host-id=abc")];
    /// assert_eq!(transport.read(&request, |_| true).unwrap().credential(), "abc");
    /// # Ok::<(), statewise::Error>(())
    /// ```
    ///
    /// # Deployment
    ///
    /// - Give the new cookie a new name. If the browser sends two cookies under one name, the
    ///   layer verifies both, and with two valid ones the request is
    ///   [`Ambiguous`](Denial::Ambiguous).
    /// - While nodes of the old version still run, they do not know the new cookie. For a rolling
    ///   deployment, first deploy the reverse, `Transport::cookie(old).formerly(new)`, to all nodes.
    /// - Remove the former cookie from the configuration after the absolute timeout of the logins.
    ///   Until then, an attacker who can plant the former cookie can plant their own login.
    ///
    /// # Errors
    ///
    /// *Misuse* if this transport has no cookie, or if browsers take both for one cookie.
    pub fn formerly(mut self, former: Cookie) -> Result<Self> {
        let cookie = self.cookie.as_mut().ok_or_else(|| {
            Error::misuse("a former cookie, but no present one: use `Transport::cookie`")
        })?;
        cookie.add_former(former)?;
        Ok(self)
    }

    /// Adds a cookie that carried the refresh credential before a deployment; see
    /// [`formerly`](Self::formerly). Two refresh credentials in one request are
    /// [`Ambiguous`](Denial::Ambiguous), because a refresh would replace both: with the refresh cookie,
    /// never change domain, path or partition without adding the former one here.
    ///
    /// # Errors
    ///
    /// *Misuse* if this transport has no refresh cookie, or if browsers take both for one cookie.
    pub fn refresh_formerly(mut self, former: Cookie) -> Result<Self> {
        let refresh = self.refresh.as_mut().ok_or_else(|| {
            Error::misuse(
                "a former refresh cookie, but no present one: call `refresh_cookie` before",
            )
        })?;
        refresh.add_former(former)?;
        Ok(self)
    }

    /// Names the protected space in challenges (RFC 9110, section 11.5). Default: `api`.
    ///
    /// # Errors
    ///
    /// *Misuse* if it is empty, longer than 128 characters, or has characters other than printable
    /// ASCII without quotes and backslashes.
    pub fn realm(mut self, realm: impl Into<String>) -> Result<Self> {
        let realm = realm.into();
        let is_plain = |c: u8| matches!(c, b' '..=b'~') && c != b'"' && c != b'\\';
        if realm.is_empty() || realm.len() > 128 || !realm.bytes().all(is_plain) {
            return Err(Error::misuse(
                "a realm has 1 to 128 printable ASCII characters, and no quotes or backslashes: \
                 choose such a name",
            ));
        }
        self.realm = realm.into();
        Ok(self)
    }

    /// Reads tokens under another scheme than `Bearer`, where clients insist on it. Tokens under
    /// `Bearer` then count as absent, and challenges name the scheme.
    ///
    /// ```
    /// use statewise::web::{Denial, Transport};
    ///
    /// let transport = Transport::bearer().scheme("Token")?;
    /// let request = [("authorization", "Token abc")];
    /// assert_eq!(transport.read(&request, |_| true).unwrap().credential(), "abc");
    /// # Ok::<(), statewise::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// *Misuse* if this transport reads no tokens, if the scheme is no token of RFC 9110, section
    /// 5.6.2, or if it is `Basic` or `Digest`, whose credentials are no tokens.
    pub fn scheme(mut self, scheme: impl Into<String>) -> Result<Self> {
        let scheme = scheme.into();
        let is = |other: &str| scheme.eq_ignore_ascii_case(other);
        if !self.bearer || scheme.is_empty() || !scheme.as_bytes().iter().all(is_token_byte) {
            return Err(Error::misuse(
                "a scheme is one word such as `Token`, of a transport that reads tokens: use \
                 `Transport::bearer` or `Transport::both`",
            ));
        }
        if is("Basic") || is("Digest") {
            return Err(Error::misuse(
                "the schemes `Basic` and `Digest` carry no tokens: name the scheme under which \
                 clients send a token",
            ));
        }
        self.scheme = scheme.into();
        Ok(self)
    }

    /// Returns the credential that a request carries.
    ///
    /// Pass [`Authenticator::is_well_formed`](crate::Authenticator::is_well_formed) as `is_ours`. A
    /// cookie that fails it belongs to another application and counts as absent. A cookie beside a
    /// [preferred](Self::prefer_bearer) bearer token counts as absent too.
    ///
    /// # Errors
    ///
    /// [`Denial::Absent`], [`Denial::Ambiguous`] or [`Denial::Malformed`]. Where the layer gets
    /// *ambiguous* because of several cookies of one name, at most eight, it verifies them all: if
    /// the credential of exactly one login is valid, that one counts.
    pub fn read<'h, H: Headers + ?Sized>(
        &self,
        headers: &'h H,
        is_ours: impl Fn(&str) -> bool,
    ) -> Result<Carried<'h>, Denial> {
        let carried = |credential, is_bearer| Carried {
            credential,
            is_bearer,
        };
        let token = match self.find_bearer(headers) {
            Found::Malformed | Found::Ambiguous(..) => return Err(Denial::Malformed),
            Found::One(token) if self.prefers_bearer => return Ok(carried(token, true)),
            found => found,
        };
        let cookie = self.cookie.as_ref();
        let cookie = cookie.map_or(Found::Absent, |cookie| cookie.find(headers, is_ours));
        match (token, cookie) {
            (Found::One(token), Found::Absent) => Ok(carried(token, true)),
            (Found::Absent, Found::One(credential)) => Ok(carried(credential, false)),
            (Found::Absent, Found::Absent) => Err(Denial::Absent),
            _ => Err(Denial::Ambiguous),
        }
    }

    /// Returns every value of a request that may be a credential, from all cookies and fields.
    /// A login and a logout revoke them all, so that no planted session stays alive (OWASP ASVS
    /// 7.2.4). `is_ours` is as for [`read`](Self::read).
    ///
    /// ```
    /// use statewise::web::{Cookie, Transport};
    ///
    /// let transport = Transport::cookie(Cookie::default());
    /// let request = [("cookie", "__Host-id=abc; theme=dark; __Host-id=def")];
    /// assert_eq!(transport.read_all(&request, |_| true)?, ["abc", "def"]);
    /// # Ok::<(), statewise::web::Denial>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Denial::Ambiguous`] if one cookie has more than eight different values. An honest browser
    /// sends one, and each value costs a call of the store.
    pub fn read_all<'h, H: Headers + ?Sized>(
        &self,
        headers: &'h H,
        is_ours: impl Fn(&str) -> bool,
    ) -> Result<Vec<&'h str>, Denial> {
        let mut all = Vec::new();
        for cookie in self.cookies() {
            let values = cookie.find_all(headers, &is_ours);
            all.extend(values.ok_or(Denial::Ambiguous)?.into_iter().flatten());
        }
        if let Found::One(token) = self.find_bearer(headers) {
            all.push(token);
        }
        Ok(all)
    }

    /// Returns the request fields that carry credentials: the value of `Vary` for every response
    /// that depends on them. Send `Cache-Control: no-store` too (RFC 9111, sections 4.1 and
    /// 5.2.2.5).
    #[must_use]
    pub fn vary(&self) -> &'static str {
        match (self.cookie.is_some(), self.bearer) {
            (true, true) => "Cookie, Authorization",
            (true, false) => "Cookie",
            (false, _) => "Authorization",
        }
    }

    /// Returns scheme and realm, the start of a challenge.
    ///
    /// A response 401 needs a challenge (RFC 9110, section 15.5.2), but no scheme for cookies is
    /// registered. `Cookie` describes it, and browsers ignore it.
    pub(crate) fn challenge(&self) -> String {
        let scheme = if self.bearer { &self.scheme } else { "Cookie" };
        format!("{scheme} realm=\"{}\"", self.realm)
    }

    /// Returns whether a browser ignores the cookies in the response to a request, because they are
    /// `Secure` and a page sent it that is served over plain HTTP by another machine (RFC 6265bis,
    /// section 5.7). A login then succeeds, and the next request carries no credential.
    ///
    /// Use it to warn in the log of your service. It decides by `Origin`, `Referer` and
    /// `Sec-Fetch-Site`, so it stays right behind a proxy that ends TLS.
    ///
    /// ```
    /// use statewise::web::{Cookie, Transport};
    ///
    /// let transport = Transport::cookie(Cookie::default());
    /// assert!(transport.loses_cookies(&[("Origin", "http://box.lan")]));
    /// assert!(!transport.loses_cookies(&[("Origin", "https://box.lan")]));
    /// assert!(!transport.loses_cookies(&[("Origin", "http://localhost:3000")]));
    /// ```
    #[must_use]
    pub fn loses_cookies<H: Headers + ?Sized>(&self, headers: &H) -> bool {
        let mut cookies = self.cookies().map(|cookie| &cookie.present);
        cookies.any(Cookie::is_secure) && is_plain_http(headers)
    }

    /// Returns all cookies that carry a credential.
    pub(crate) fn cookies(&self) -> impl Iterator<Item = &CookieVersions> {
        self.refresh.iter().chain(&self.cookie)
    }

    fn find_bearer<'h, H: Headers + ?Sized>(&self, headers: &'h H) -> Found<'h> {
        let found = self.bearer.then(|| token_under(&self.scheme, headers));
        found.unwrap_or(Found::Absent)
    }
}

impl Transport {
    /// The cookie that is sent with every request.
    pub(crate) fn access(&self) -> Option<&CookieVersions> {
        self.cookie.as_ref()
    }

    /// The cookie of the refresh credential.
    pub(crate) fn refresh(&self) -> Option<&CookieVersions> {
        self.refresh.as_ref()
    }

    /// Returns whether a request carries one token that this transport reads. No browser sends one
    /// without a script.
    pub(crate) fn has_token<H: Headers + ?Sized>(&self, headers: &H) -> bool {
        matches!(self.find_bearer(headers), Found::One(_))
    }

    /// Returns all values of the access cookie, in groups by cookie. The authenticator decides which
    /// one counts.
    pub(crate) fn read_cookies<'h, H: Headers + ?Sized>(
        &self,
        headers: &'h H,
        is_ours: impl Fn(&str) -> bool,
    ) -> Result<Vec<Vec<&'h str>>, Denial> {
        let cookie = match self.find_bearer(headers) {
            Found::Absent => self.cookie.as_ref(),
            // Cookie and bearer token may belong to two users.
            _ => None,
        };
        let groups = cookie.and_then(|cookie| cookie.find_all(headers, is_ours));
        groups.ok_or(Denial::Ambiguous)
    }

    /// Returns the value of `Authorization` that presents a credential.
    #[cfg(all(feature = "tower", any(test, feature = "testkit")))]
    pub(crate) fn authorization(&self, credential: &Credential) -> String {
        format!("{} {}", self.scheme, credential.reveal())
    }

    pub(crate) fn reads_bearer(&self) -> bool {
        self.bearer
    }

    /// Returns the lines of `Set-Cookie` that hand out a new credential of the same login, and leave
    /// the refresh cookie. `remembered` is as in [`set`](Self::set).
    pub(crate) fn set_access(
        &self,
        credential: &Credential,
        remembered: Option<Duration>,
    ) -> Result<Vec<String>> {
        let cookie = self.cookie.as_ref();
        cookie.map_or_else(
            || Ok(Vec::new()),
            |access| access.set(credential, remembered),
        )
    }

    /// Returns the lines of `Set-Cookie` that hand out new credentials. `remembered` is the time until
    /// the deadline of a remembered login.
    pub(crate) fn set<D>(
        &self,
        issued: &Issued<D>,
        remembered: Option<Duration>,
    ) -> Result<Vec<String>> {
        let Some(access) = &self.cookie else {
            return Err(Error::misuse(
                "a login in a cookie, but the transport has no cookie: issue a token, or use \
                 `Transport::cookie` or `Transport::both`",
            ));
        };
        let mut lines = access.set(issued.credential(), remembered)?;
        match (&self.refresh, issued.refresh_credential()) {
            (Some(refresh), Some(credential)) => {
                lines.extend(refresh.set(credential, remembered)?);
            }
            // From a strategy used before a migration: it would be refreshed first, and rejected.
            (Some(refresh), None) => lines.extend(refresh.remove()),
            (None, Some(_)) => {
                return Err(Error::misuse(
                    "a login with a refresh credential, but no cookie for it: add one with \
                     `Transport::refresh_cookie`",
                ));
            }
            (None, None) => {}
        }
        Ok(lines)
    }

    /// Returns the lines of `Set-Cookie` that remove the access cookie and, if `with_refresh`, the
    /// refresh cookie.
    pub(crate) fn remove(&self, with_refresh: bool) -> Vec<String> {
        let refresh = self.refresh.iter().filter(|_| with_refresh);
        let cookies = self.cookie.iter().chain(refresh);
        cookies.flat_map(CookieVersions::remove).collect()
    }
}
