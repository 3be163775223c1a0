//! The cookie that carries a credential.

mod builder;

use crate::error::{Error, Refusal, Result};
use crate::login::issued::Credential;
use crate::web::found::Found;
use crate::web::headers::{Headers, trim};

pub use builder::CookieBuilder;

/// Most bytes of name and value together: user agents ignore a cookie with more (RFC 6265bis,
/// section 5.7; OWASP ASVS 3.3.5).
const MAX_LENGTH: usize = 4096;

/// Most values of one cookie that a request may ask to have ended: each costs a way to the store.
/// An honest browser sends one, and a second one where a sibling host has planted it.
const MAX_VALUES: usize = 8;

/// The cookie that carries a credential: the template from which it is set and removed, and the name
/// under which it is found again.
///
/// By default `__Host-id=<credential>; Path=/; Secure; HttpOnly; SameSite=Lax`: it goes to the host
/// that set it only, over TLS only, no script reads it, no other site's form sends it, and it ends
/// with the browser's session (OWASP ASVS 3.3.1 to 3.3.4; NIST SP 800-63B-4, section 5.1.1).
/// [`builder`](Self::builder) makes another one.
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
    /// What follows the value.
    attributes: String,
    removal: String,
}

/// With which requests of other sites a cookie is sent (RFC 6265bis, section 4.1.2.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SameSite {
    /// With none: a link from another site arrives without the login.
    Strict,
    /// With links that lead here, but with no form or script of another site.
    #[default]
    Lax,
    /// With all: only cross-origin protection stands between a foreign page and an act.
    None,
}

impl Cookie {
    /// Begins with the attributes of the default.
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

    /// The value of this cookie in a request. `is_ours` is the shape test, of
    /// [`Authenticator::is_well_formed`](crate::Authenticator::is_well_formed); what it does not take counts as
    /// absent, before anybody hashes it or asks a store.
    ///
    /// - A request may have several `Cookie` lines (RFC 9113, section 8.2.3).
    /// - Only `;` separates, spaces and tabs around a pair are dropped, and nothing is unquoted or
    ///   unescaped (RFC 6265bis, section 4.2.1). A neighbour may hold whatever it likes.
    /// - Names are compared exactly (section 5.4), and a pair without a name is not ours, whatever
    ///   its value looks like.
    /// - The same name with the same value again is harmless. With two different values, whatever
    ///   they are, it is [`Ambiguous`](Found::Ambiguous): somebody may have planted one, and their
    ///   order says nothing (section 4.2.2).
    ///
    /// Never [`Malformed`](Found::Malformed): what is no cookie of ours is somebody else's. Allocates
    /// nothing, in a time that grows with the length of the lines.
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
        let mut first: Option<&[u8]> = None;
        let mut ambiguous = false;
        let mut ours = ["", ""];
        self.each(headers, &mut |value| {
            match first {
                Some(first) if first == value => return,
                Some(_) => ambiguous = true,
                None => first = Some(value),
            }
            let Some(value) = text(value).filter(|value| is_ours(value)) else {
                return;
            };
            match ours {
                ["", _] => ours[0] = value,
                [one, ""] if one != value => ours[1] = value,
                _ => {}
            }
        });
        match ours {
            [one, other] if ambiguous => Found::Ambiguous(one, other),
            ["", _] => Found::Absent,
            [one, _] => Found::One(one),
        }
    }

    /// All different values of this cookie in a request that could be ours: what a login or a
    /// logout ends. `None` if they are more than [`MAX_VALUES`].
    pub(crate) fn find_all<'h, H: Headers + ?Sized>(
        &self,
        headers: &'h H,
        is_ours: impl Fn(&str) -> bool,
    ) -> Option<Vec<&'h str>> {
        let mut ours: Vec<&str> = Vec::new();
        let mut too_many = false;
        self.each(headers, &mut |value| {
            let Some(value) = text(value).filter(|value| is_ours(value)) else {
                return;
            };
            if too_many || ours.contains(&value) {
                return;
            }
            match ours.len() < MAX_VALUES {
                true => ours.push(value),
                false => too_many = true,
            }
        });
        (!too_many).then_some(ours)
    }

    /// Calls `each` with every value of this cookie in a request.
    fn each<'h, H: Headers + ?Sized>(&self, headers: &'h H, each: &mut dyn FnMut(&'h [u8])) {
        headers.each("cookie", &mut |line| {
            let pairs = line.split(|&byte| byte == b';');
            pairs
                .filter_map(|pair| self.value(pair))
                .for_each(&mut *each);
        });
    }

    /// The value of the pair, if it is one of this cookie.
    fn value<'a>(&self, pair: &'a [u8]) -> Option<&'a [u8]> {
        trim(pair)
            .strip_prefix(self.name.as_bytes())?
            .strip_prefix(b"=")
    }

    /// The value of `Set-Cookie` that hands the credential to the browser. Whoever answers with it
    /// answers with `Cache-Control: no-store` too.
    ///
    /// # Errors
    ///
    /// Refused as [`TooLarge`](Refusal::TooLarge) if name and value together exceed 4096 bytes, which
    /// a browser would drop (RFC 6265bis, section 5.7). Misuse if the credential is empty or holds a
    /// byte that no cookie may (section 4.1.1): no strategy of this crate issues such.
    pub fn set(&self, credential: &Credential) -> Result<String> {
        let value = credential.reveal();
        if text(value.as_bytes()).is_none() {
            return Err(Error::misuse(
                "the credential is empty or holds a byte that no cookie may: encode it as base64url",
            ));
        }
        if self.name.len() + value.len() > MAX_LENGTH {
            return Err(Refusal::TooLarge.into());
        }
        Ok([&*self.name, "=", value, &*self.attributes].concat())
    }

    /// The value of `Set-Cookie` that removes the cookie: of the same name, domain and path, without
    /// which a browser keeps it (RFC 6265bis, section 5.7), empty and past its age.
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
}

impl Default for Cookie {
    fn default() -> Self {
        CookieBuilder::default().cookie("__Host-id".to_owned())
    }
}

/// The value as text, if it is one that [`Cookie::set`] writes: `1*cookie-octet` (RFC 6265bis,
/// section 4.1.1), printable ASCII without space, quote, comma, semicolon and backslash.
fn text(value: &[u8]) -> Option<&str> {
    let is_octet = |byte: u8| byte.is_ascii_graphic() & !matches!(byte, b'"' | b',' | b';' | b'\\');
    // Without an early end, several bytes are looked at at once.
    let is_plain = value
        .iter()
        .fold(true, |plain, &byte| plain & is_octet(byte));
    if value.is_empty() || !is_plain {
        return None;
    }
    std::str::from_utf8(value).ok()
}
