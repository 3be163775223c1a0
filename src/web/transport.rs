//! Where a request carries its credential, and how it is told that it should.

use std::fmt;

use crate::error::{Error, Result};
use crate::web::bearer::bearer;
use crate::web::cookie::Cookie;
use crate::web::denial::Denial;
use crate::web::found::Found;
use crate::web::headers::Headers;

/// Where requests carry their credential: in a cookie, as a bearer token, or in either.
///
/// ```
/// use statewise::web::{Cookie, Denial, Transport};
///
/// let transport = Transport::both(Cookie::default());
/// let known = |_: &str| true;
///
/// let request = [("authorization", "Bearer abc")];
/// let carried = transport.read(&request, known)?;
/// assert!(carried.is_bearer());
/// assert_eq!(carried.credential(), "abc");
///
/// // Two at once could be two users: neither is believed (RFC 6750, section 2).
/// let request = [("authorization", "Bearer abc"), ("cookie", "__Host-id=def")];
/// assert!(matches!(transport.read(&request, known), Err(Denial::Ambiguous)));
///
/// let request = [("cookie", "theme=dark")];
/// assert!(matches!(transport.read(&request, known), Err(Denial::Absent)));
/// # Ok::<(), Denial>(())
/// ```
#[derive(Clone, Debug)]
pub struct Transport {
    cookie: Option<Cookie>,
    refresh: Option<Cookie>,
    bearer: bool,
    prefers_bearer: bool,
    realm: Box<str>,
}

/// The credential that a request carries.
#[derive(Clone, Copy)]
pub struct Carried<'a> {
    credential: &'a str,
    is_bearer: bool,
}

impl<'a> Carried<'a> {
    /// The credential. A secret.
    #[must_use]
    pub fn credential(&self) -> &'a str {
        self.credential
    }

    /// Whether it came as a bearer token, and not in a cookie.
    #[must_use]
    pub fn is_bearer(&self) -> bool {
        self.is_bearer
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
    /// In a cookie: for browsers.
    #[must_use]
    pub fn cookie(cookie: Cookie) -> Self {
        Self {
            cookie: Some(cookie),
            bearer: false,
            ..Self::bearer()
        }
    }

    /// In `Authorization: Bearer` (RFC 6750, section 2.1): for programs. Bodies and query
    /// strings are never looked at (RFC 9700, section 4.3.2; OWASP ASVS 14.2.1).
    #[must_use]
    pub fn bearer() -> Self {
        Self {
            cookie: None,
            refresh: None,
            bearer: true,
            prefers_bearer: false,
            realm: "api".into(),
        }
    }

    /// In either. A request that carries both is denied, as they may be of two users (RFC 6750,
    /// section 2), unless told otherwise by [`prefer_bearer`](Self::prefer_bearer).
    #[must_use]
    pub fn both(cookie: Cookie) -> Self {
        Self {
            cookie: Some(cookie),
            ..Self::bearer()
        }
    }

    /// Passes over the cookie of a request that carries a bearer token too: for pages whose
    /// script calls, with a token, the host that has set them a cookie. A bearer token is never
    /// sent by a browser on its own.
    #[must_use]
    pub fn prefer_bearer(mut self) -> Self {
        self.prefers_bearer = true;
        self
    }

    /// Carries the refresh credential of a [hybrid](crate::compose::hybrid) in a cookie of its own, which
    /// the browser sends to one path only: below it belong refreshing, logging in and logging
    /// out.
    ///
    /// A cookie with a path cannot be `__Host-`, so that whoever controls a sibling host can plant
    /// one, of a login of their own: where hosts of one domain do not trust each other, let clients
    /// keep the refresh credential.
    ///
    /// # Errors
    ///
    /// *Misuse* where credentials travel in no cookie, if the two have one name, or if this one
    /// is sent everywhere.
    pub fn refresh_cookie(mut self, refresh: Cookie) -> Result<Self> {
        let Some(cookie) = &self.cookie else {
            return Err(Error::misuse(
                "a refresh credential in a cookie, and access tokens in none: give both a cookie, \
                 or let clients keep both",
            ));
        };
        if cookie.name() == refresh.name() {
            return Err(Error::misuse(
                "the cookies of access and refresh credential have one name: give them two",
            ));
        }
        if refresh.path() == "/" {
            return Err(Error::misuse(
                "the cookie of the refresh credential would be sent with every request: give it \
                 the path below which credentials are refreshed",
            ));
        }
        self.refresh = Some(refresh);
        Ok(self)
    }

    /// Names the protected space in challenges (RFC 9110, section 11.5). Default `api`.
    ///
    /// # Errors
    ///
    /// *Misuse* if it is empty, longer than 128 characters, or holds anything but printable ASCII
    /// without quotes and backslashes.
    pub fn realm(mut self, realm: impl Into<String>) -> Result<Self> {
        let realm = realm.into();
        let is_plain = |c: u8| matches!(c, b' '..=b'~') && c != b'"' && c != b'\\';
        if realm.is_empty() || realm.len() > 128 || !realm.bytes().all(is_plain) {
            return Err(Error::misuse(
                "a realm is 1 to 128 printable ASCII characters without quotes and backslashes",
            ));
        }
        self.realm = realm.into();
        Ok(self)
    }

    /// Finds the credential that a request carries. `is_ours` tells by its shape whether a value
    /// may be one: [`Authenticator::is_well_formed`](crate::Authenticator::is_well_formed). A cookie of another
    /// shape is somebody else's, and counts as absent; so does one under a bearer token that is
    /// [preferred](Self::prefer_bearer).
    ///
    /// # Errors
    ///
    /// [`Denial::Absent`], [`Denial::Ambiguous`] or [`Denial::Malformed`].
    pub fn read<'h, H: Headers + ?Sized>(
        &self,
        headers: &'h H,
        is_ours: impl Fn(&str) -> bool,
    ) -> Result<Carried<'h>, Denial> {
        let token = match self.bearer {
            true => bearer(headers),
            false => Found::Absent,
        };
        let token = match token {
            Found::Malformed | Found::Ambiguous(..) => return Err(Denial::Malformed),
            Found::One(token) => Some(Carried {
                credential: token,
                is_bearer: true,
            }),
            Found::Absent => None,
        };
        if let (Some(token), true) = (token, self.prefers_bearer) {
            return Ok(token);
        }
        let cookie = match &self.cookie {
            Some(cookie) => cookie.find(headers, is_ours),
            None => Found::Absent,
        };
        match (token, cookie) {
            (Some(token), Found::Absent) => Ok(token),
            (None, Found::One(credential)) => Ok(Carried {
                credential,
                is_bearer: false,
            }),
            (None, Found::Absent) => Err(Denial::Absent),
            _ => Err(Denial::Ambiguous),
        }
    }

    /// Finds all that could be a credential, in whichever cookies and field: what a login and a
    /// logout end, so that nothing lives on that somebody has planted (OWASP ASVS 7.2.4).
    /// `is_ours` is as in [`read`](Self::read).
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
    /// [`Denial::Ambiguous`] if one cookie has more than eight different values: an honest browser
    /// sends one, and each is a way to the store.
    pub fn read_all<'h, H: Headers + ?Sized>(
        &self,
        headers: &'h H,
        is_ours: impl Fn(&str) -> bool,
    ) -> Result<Vec<&'h str>, Denial> {
        let mut all = Vec::new();
        for cookie in self.refresh.iter().chain(&self.cookie) {
            all.extend(
                cookie
                    .find_all(headers, &is_ours)
                    .ok_or(Denial::Ambiguous)?,
            );
        }
        if self.bearer
            && let Found::One(token) = bearer(headers)
        {
            all.push(token);
        }
        Ok(all)
    }

    /// The fields of a request that its credential is read from: the value of `Vary` in whatever
    /// depends on it, beside `Cache-Control: no-store` (RFC 9111, sections 4.1 and 5.2.2.5).
    #[must_use]
    pub fn vary(&self) -> &'static str {
        match (self.cookie.is_some(), self.bearer) {
            (true, true) => "Cookie, Authorization",
            (true, false) => "Cookie",
            (false, _) => "Authorization",
        }
    }

    /// The cookie of what is presented with each request.
    #[cfg(feature = "tower")]
    pub(crate) fn access(&self) -> Option<&Cookie> {
        self.cookie.as_ref()
    }

    /// The cookie of what is presented to refresh.
    #[cfg(feature = "tower")]
    pub(crate) fn refresh(&self) -> Option<&Cookie> {
        self.refresh.as_ref()
    }

    /// All cookies that carry a credential.
    #[cfg(feature = "tower")]
    pub(crate) fn cookies(&self) -> impl Iterator<Item = &Cookie> {
        self.refresh.iter().chain(&self.cookie)
    }

    /// Whether bearer tokens are read.
    #[cfg(feature = "tower")]
    pub(crate) fn reads_bearer(&self) -> bool {
        self.bearer
    }

    /// The start of a challenge: scheme and realm.
    ///
    /// A response 401 has one (RFC 9110, section 15.5.2), and no scheme is registered for cookies:
    /// theirs is called by what it is, and browsers pass it over.
    pub(crate) fn challenge(&self) -> String {
        let scheme = if self.bearer { "Bearer" } else { "Cookie" };
        format!("{scheme} realm=\"{}\"", self.realm)
    }
}
