//! Cookie that carries a credential.

mod builder;
mod key;
mod versions;

use std::time::Duration;

use crate::error::{Error, Refusal, Result};
use crate::login::issued::Credential;
use crate::web::found::Found;
use crate::web::headers::{Headers, trim};

pub use builder::CookieBuilder;
pub(crate) use key::CookieKey;
pub(crate) use versions::CookieVersions;

/// Maximum age: 400 days, to which browsers cap it (RFC 6265bis, section 4.1.2.2).
const MAX_AGE_SECS: u64 = 34_560_000;
/// Maximum length of name and value together. Browsers ignore a longer cookie (RFC 6265bis, section
/// 5.7; OWASP ASVS 3.3.5).
const MAX_PAIR_BYTES: usize = 4096;
/// Default limit of name and value together. By default nginx answers 502 if the whole head of a
/// response exceeds 4096 bytes.
const DEFAULT_PAIR_BYTES: usize = 3584;

/// Maximum number of different values of one cookie that are verified, and that a login or logout
/// revokes: each costs a call of the store. An honest browser sends one, or two if a sibling host has
/// planted another.
const MAX_VALUES: usize = 8;

/// Cookie that carries a credential: its name and attributes, from which it is set, found and
/// removed.
///
/// The default is `__Host-id=<credential>; Path=/; Secure; HttpOnly; SameSite=Lax`. The browser
/// sends it only to the host that set it and only over TLS, hides it from scripts, does not send it
/// with forms of other sites, and drops it at the end of its session (OWASP ASVS 3.3.1 to 3.3.4;
/// NIST SP 800-63B-4, section 5.1.1). Use [`builder`](Self::builder) for other attributes.
///
/// If a login is answered with 200 and the next request with 401, the page is probably served over
/// plain HTTP: the browser has dropped the `Secure` cookie. Use HTTPS, or
/// [`insecure`](CookieBuilder::insecure) for development. Chromium and Firefox accept `Secure`
/// cookies from `http://localhost`; Safari does not.
///
/// To change attributes of a cookie that browsers have already, see
/// [`Transport::formerly`](crate::web::Transport::formerly).
///
/// ```
/// use statewise::Credential;
/// use statewise::web::{Cookie, Found};
///
/// let cookie = Cookie::default();
/// let credential = Credential::new("abc".to_owned());
/// assert_eq!(
///     cookie.set(&credential)?,
///     "__Host-id=abc; Path=/; Secure; HttpOnly; SameSite=Lax",
/// );
///
/// let request = [("Cookie", "theme=dark; __Host-id=abc")];
/// assert_eq!(cookie.find(&request, |value| value.len() == 3), Found::One("abc"));
/// assert_eq!(cookie.find(&request, |value| value.len() == 64), Found::Absent);
/// # Ok::<(), statewise::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookie {
    name: String,
    path: String,
    /// Attributes before `Max-Age`.
    scope: String,
    /// Seconds for which browsers keep it, if it is not for a remembered login.
    max_age: Option<u64>,
    /// Attributes after `Max-Age`.
    flags: String,
    /// Line of `Set-Cookie` that removes the cookie.
    removal: String,
    /// Maximum length of name and value together.
    max_bytes: usize,
}

/// Requests from other sites that carry the cookie (RFC 6265bis, section 4.1.2.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SameSite {
    /// None. After a link from another site, the visitor is logged out on the first page. So is a
    /// user who comes back from a login provider: the login succeeds, but the page after its redirect
    /// is requested without the cookie, until the next click. Use `Lax` with login providers.
    Strict,
    /// Links to this site. Forms and scripts of other sites do not carry the cookie.
    #[default]
    Lax,
    /// All. Then only the [`OriginPolicy`](crate::web::OriginPolicy) prevents pages of other sites
    /// from acting as the visitor.
    None,
}

impl Cookie {
    /// Returns a builder that starts with the default attributes.
    pub fn builder() -> CookieBuilder {
        CookieBuilder::default()
    }

    /// The name, with its prefix.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The path below which the cookie is sent.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns true if a browser sends the cookie with a request to this path (RFC 6265bis, section 5.1.4).
    pub(crate) fn is_sent_to(&self, path: &str) -> bool {
        path.strip_prefix(&*self.path).is_some_and(|rest| {
            self.path.ends_with('/') || rest.is_empty() || rest.starts_with('/')
        })
    }

    /// Returns the value of this cookie in a request.
    ///
    /// Pass [`Authenticator::is_well_formed`](crate::Authenticator::is_well_formed) as `is_ours`. A
    /// value that fails it counts as absent: it is not hashed, and no store is asked.
    ///
    /// - A request may have several `Cookie` lines (RFC 9113, section 8.2.3).
    /// - Only `;` separates pairs, spaces and tabs around a pair are ignored, and values are not
    ///   unquoted or unescaped (RFC 6265bis, section 4.2.1). Other cookies may have any content.
    /// - Names are compared exactly (section 5.4). A pair without a name is never this cookie, even
    ///   if its value looks like it.
    /// - The same value may occur several times. Two different values that satisfy `is_ours` are
    ///   [`Ambiguous`](Found::Ambiguous): the browser has one cookie of this name for each domain,
    ///   path and partition, an attacker may have planted one, and the order of cookies has no
    ///   meaning (section 4.2.2). Values that fail `is_ours` are ignored.
    ///
    /// Never returns [`Malformed`](Found::Malformed). Does not allocate, and takes time linear in
    /// the length of the lines.
    ///
    /// ```
    /// use statewise::web::{Cookie, Found};
    ///
    /// let cookie = Cookie::default();
    /// let again = [("cookie", "__Host-id=a;__Host-id=a")];
    /// assert_eq!(cookie.find(&again, |_| true), Found::One("a"));
    ///
    /// let tossed = [("cookie", "__Host-id=a; __Host-id=b")];
    /// assert_eq!(cookie.find(&tossed, |_| true), Found::Ambiguous("a", "b"));
    ///
    /// let imitated = [("cookie", "=__Host-id=a; __host-id=b; __Host-id=\"c\"")];
    /// assert_eq!(cookie.find(&imitated, |_| true), Found::Absent);
    /// ```
    pub fn find<'h, H: Headers + ?Sized>(
        &self,
        headers: &'h H,
        is_ours: impl Fn(&str) -> bool,
    ) -> Found<'h> {
        let mut found = Found::Absent;
        self.each(headers, &mut |value| {
            found = match (found, text(value)) {
                (Found::Absent, Some(value)) if is_ours(value) => Found::One(value),
                (Found::One(one), Some(value)) if one != value && is_ours(value) => {
                    Found::Ambiguous(one, value)
                }
                (found, _) => found,
            };
        });
        found
    }

    /// Returns all different values of this cookie that satisfy `is_ours`, or `None` if there are
    /// more than [`MAX_VALUES`].
    pub(crate) fn find_all<'h, H: Headers + ?Sized>(
        &self,
        headers: &'h H,
        is_ours: impl Fn(&str) -> bool,
    ) -> Option<Vec<&'h str>> {
        let mut ours: Vec<&str> = Vec::new();
        self.each(headers, &mut |value| {
            let value = text(value).filter(|value| is_ours(value) && !ours.contains(value));
            // One value above the maximum proves that there are too many.
            if ours.len() <= MAX_VALUES {
                ours.extend(value);
            }
        });
        (ours.len() <= MAX_VALUES).then_some(ours)
    }

    /// Calls `each` with every value of this cookie in a request.
    fn each<'h, H: Headers + ?Sized>(&self, headers: &'h H, each: &mut dyn FnMut(&'h [u8])) {
        headers.each("cookie", &mut |line| {
            let mut pair = |pair: &'h [u8]| self.value(pair).into_iter().for_each(&mut *each);
            // A line may be long with the cookies of others. In text, the standard library finds
            // separators a word at a time.
            match std::str::from_utf8(line) {
                Ok(line) => line.split(';').map(str::as_bytes).for_each(&mut pair),
                Err(_) => line.split(|&byte| byte == b';').for_each(&mut pair),
            }
        });
    }

    /// Returns the value of a pair, if its name is that of this cookie.
    fn value<'a>(&self, pair: &'a [u8]) -> Option<&'a [u8]> {
        trim(pair)
            .strip_prefix(self.name.as_bytes())?
            .strip_prefix(b"=")
    }

    /// Returns the value of `Set-Cookie` that hands the credential to the browser. Send
    /// `Cache-Control: no-store` with it.
    ///
    /// # Errors
    ///
    /// *Refused* as [`TooLarge`](Refusal::TooLarge) if name and value together exceed
    /// [`max_bytes`](CookieBuilder::max_bytes). *Misuse* if the credential is
    /// empty or has a byte that cookies cannot hold (section 4.1.1); no strategy of this crate
    /// issues such a credential.
    pub fn set(&self, credential: &Credential) -> Result<String> {
        self.line(credential, self.max_age)
    }

    /// As [`set`](Self::set), for a [remembered](crate::Login::remember) login: the browser keeps the
    /// cookie for `max_age`, in whole seconds and at most 400 days, whatever the attributes say. Pass
    /// the time until the [deadline](crate::Identity::deadline), because a use that extends the login
    /// does not set the cookie again. The layer does that.
    ///
    /// ```
    /// use std::time::Duration;
    /// use statewise::Credential;
    /// use statewise::web::Cookie;
    ///
    /// let credential = Credential::new("abc".to_owned());
    /// assert_eq!(
    ///     Cookie::default().set_for(&credential, Duration::from_secs(3600))?,
    ///     "__Host-id=abc; Path=/; Max-Age=3600; Secure; HttpOnly; SameSite=Lax",
    /// );
    /// # Ok::<(), statewise::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`set`](Self::set).
    pub fn set_for(&self, credential: &Credential, max_age: Duration) -> Result<String> {
        self.line(credential, Some(max_age.as_secs().min(MAX_AGE_SECS)))
    }

    fn line(&self, credential: &Credential, max_age: Option<u64>) -> Result<String> {
        let value = credential.reveal();
        if text(value.as_bytes()).is_none() {
            return Err(Error::misuse(
                "the credential is empty or has a byte that cookies cannot hold: encode it as \
                 base64url",
            ));
        }
        if self.name.len() + value.len() > self.max_bytes {
            return Err(Refusal::TooLarge.into());
        }
        let age = max_age.map_or(String::new(), |seconds| format!("; Max-Age={seconds}"));
        Ok([&*self.name, "=", value, &*self.scope, &*age, &*self.flags].concat())
    }

    /// Returns the value of `Set-Cookie` that removes the cookie. It has the same name, domain and
    /// path, because a browser would otherwise keep the cookie (RFC 6265bis, section 5.7).
    ///
    /// ```
    /// use statewise::web::Cookie;
    ///
    /// assert_eq!(
    ///     Cookie::default().remove(),
    ///     "__Host-id=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax",
    /// );
    /// ```
    #[must_use]
    pub fn remove(&self) -> &str {
        &self.removal
    }

    fn key(&self) -> CookieKey<'_> {
        CookieKey::of(self.removal.as_bytes())
    }

    /// Returns whether the browser stores and sends the cookie over TLS only.
    pub(crate) fn is_secure(&self) -> bool {
        self.flags.contains("; Secure;")
    }
}

impl Default for Cookie {
    fn default() -> Self {
        CookieBuilder::default().cookie("__Host-id".to_owned())
    }
}

/// Returns the value as text if it is `1*cookie-octet` (RFC 6265bis, section 4.1.1): printable
/// ASCII without space, quote, comma, semicolon and backslash.
fn text(value: &[u8]) -> Option<&str> {
    let is_octet = |byte: u8| byte.is_ascii_graphic() & !matches!(byte, b'"' | b',' | b';' | b'\\');
    // Without an early exit, the compiler checks several bytes at once.
    let is_plain = value
        .iter()
        .fold(true, |plain, &byte| plain & is_octet(byte));
    if value.is_empty() || !is_plain {
        return None;
    }
    std::str::from_utf8(value).ok()
}
