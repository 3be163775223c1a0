//! The attributes of a cookie, and which of them go together.

use std::fmt::Write as _;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::web::headers::is_token_byte;

use super::{Cookie, MAX_LENGTH, SameSite};

/// Longest age in seconds: 400 days, to which a browser caps it (RFC 6265bis, section 4.1.2.2).
const MAX_AGE: u64 = 34_560_000;
/// Longest value of an attribute in bytes (RFC 6265bis, section 5.6).
const MAX_ATTRIBUTE: usize = 1024;
/// Longest domain in bytes (RFC 1035, section 2.3.4, without the length bytes).
const MAX_DOMAIN: usize = 253;
/// Longest label of a domain in bytes (RFC 1035, section 2.3.4).
const MAX_LABEL: usize = 63;
/// Length of a session's credential: a name beside which not even that has room is refused.
const SESSION_CREDENTIAL: usize = 64;

/// The attributes of a [`Cookie`]. What contradicts itself is refused by [`build`](Self::build), and
/// not when the first user logs in.
///
/// ```
/// use statewise::web::Cookie;
///
/// let shared = Cookie::builder().domain("example.com").build()?;
/// assert_eq!(shared.name(), "__Secure-id");
/// assert!(Cookie::builder().domain("example.com").name("__Host-id").build().is_err());
/// assert!(Cookie::builder().name("session").build().is_err());
/// # Ok::<(), statewise::Error>(())
/// ```
#[must_use = "a builder does nothing until it builds"]
#[derive(Clone, Debug)]
pub struct CookieBuilder {
    name: Option<String>,
    domain: Option<String>,
    path: String,
    same_site: SameSite,
    max_age: Option<Duration>,
    partitioned: bool,
    secure: bool,
    prefixed: bool,
}

impl Default for CookieBuilder {
    fn default() -> Self {
        Self {
            name: None,
            domain: None,
            path: "/".to_owned(),
            same_site: SameSite::Lax,
            max_age: None,
            partitioned: false,
            secure: true,
            prefixed: true,
        }
    }
}

impl CookieBuilder {
    /// The name, with its prefix (OWASP ASVS 3.3.1, 3.3.3): `__Host-` or `__Secure-`, or of the
    /// draft of layered cookies `__Http-` or `__Host-Http-`. By default `id`, behind the strictest
    /// prefix that the other attributes allow; a generic name tells nothing of what runs here.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sends the cookie to this domain and to all hosts below it, each of which can then read and
    /// replace it (RFC 6265bis, section 8.6). Not with `__Host-`. Which domains are public suffixes
    /// (`co.uk`) is a list that browsers have; here only single labels are refused.
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// Sends the cookie below this path only. Not with `__Host-`. It keeps requests small; it keeps
    /// no other path of the host from the cookie (RFC 6265bis, section 8.5).
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// With which requests of other sites the cookie is sent. By default [`SameSite::Lax`].
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = same_site;
        self
    }

    /// How long the browser keeps the cookie, in whole seconds and at most 400 days. By default until
    /// the browser's session ends. How long the credential is accepted is the server's to say: a
    /// cookie that stays longer is of no use to anybody.
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// Keeps one cookie per site that embeds this one (CHIPS).
    pub fn partitioned(mut self) -> Self {
        self.partitioned = true;
        self
    }

    /// No `Secure`, and no prefix: for development over plain HTTP. Whoever is on the way reads the
    /// credential.
    pub fn insecure(mut self) -> Self {
        self.secure = false;
        self
    }

    /// Allows a name without a prefix, and has none before the default one. Then a page of a sibling
    /// host, or somebody on the way of a plain HTTP request, can plant a cookie of this name.
    pub fn unprefixed(mut self) -> Self {
        self.prefixed = false;
        self
    }

    /// The cookie.
    ///
    /// # Errors
    ///
    /// Misuse, saying what to do, if an attribute is not what RFC 6265bis (section 4.1.1) allows, if
    /// two contradict each other (sections 4.1.3 and 5.7), or if the name leaves no room for a
    /// credential.
    pub fn build(mut self) -> Result<Cookie> {
        self.domain = self.domain.as_deref().map(checked_domain).transpose()?;
        check_path(&self.path)?;
        self.check_contradictions()?;
        let name = match self.name.take() {
            Some(name) => self.checked_name(name)?,
            None => format!("{}id", self.strictest_prefix()),
        };
        Ok(self.cookie(name))
    }

    fn check_contradictions(&self) -> Result<()> {
        if !self.secure && self.same_site == SameSite::None {
            return Err(Error::misuse(
                "browsers refuse SameSite=None without Secure: leave out insecure(), or take Lax",
            ));
        }
        if !self.secure && self.partitioned {
            return Err(Error::misuse(
                "browsers refuse Partitioned without Secure: leave out one of insecure() and \
                 partitioned()",
            ));
        }
        if self.max_age.is_some_and(|age| age.as_secs() == 0) {
            return Err(Error::misuse(
                "a max_age of less than a second removes the cookie: leave it out for one that ends \
                 with the browser's session",
            ));
        }
        Ok(())
    }

    /// Whether the attributes keep to what `__Host-` promises.
    fn is_host_only(&self) -> bool {
        self.secure && self.domain.is_none() && self.path == "/"
    }

    fn strictest_prefix(&self) -> &'static str {
        if !self.secure || !self.prefixed {
            ""
        } else if self.is_host_only() {
            "__Host-"
        } else {
            "__Secure-"
        }
    }

    fn checked_name(&self, name: String) -> Result<String> {
        if name.is_empty() || !name.as_bytes().iter().all(is_token_byte) {
            return Err(Error::misuse(
                "a cookie's name is one or more ASCII letters, digits or !#$%&'*+-.^_`|~",
            ));
        }
        if name.len() + SESSION_CREDENTIAL > MAX_LENGTH {
            return Err(Error::misuse(
                "browsers drop a cookie whose name and value exceed 4096 bytes: take a shorter name",
            ));
        }
        // Browsers compare prefixes without case (RFC 6265bis, section 5.4).
        let begins = |prefix: &str| {
            name.get(..prefix.len())
                .is_some_and(|begin| begin.eq_ignore_ascii_case(prefix))
        };
        if begins("__Host-") {
            // `__Host-Http-` promises HttpOnly on top, which is always there.
            if !self.is_host_only() {
                return Err(Error::misuse(
                    "browsers refuse __Host- with a domain, another path than / or without Secure: \
                     name it __Secure-, or leave the attribute out",
                ));
            }
        } else if begins("__Secure-") || begins("__Http-") {
            if !self.secure {
                return Err(Error::misuse(
                    "browsers refuse __Secure- and __Http- without Secure: leave out insecure(), or \
                     the prefix",
                ));
            }
        } else if self.secure && self.prefixed {
            return Err(Error::misuse(
                "a cookie's name without __Host- or __Secure- can be planted by others: add the \
                 prefix, or say unprefixed()",
            ));
        }
        Ok(name)
    }

    /// The cookie of this name, with attributes that have been checked.
    pub(super) fn cookie(self, name: String) -> Cookie {
        let age = self.max_age.map(|age| age.as_secs().min(MAX_AGE));
        Cookie {
            attributes: self.attributes(age),
            removal: format!("{name}={}", self.attributes(Some(0))),
            path: self.path,
            name,
        }
    }

    fn attributes(&self, age: Option<u64>) -> String {
        let mut text = String::new();
        if let Some(domain) = &self.domain {
            let _ = write!(text, "; Domain={domain}");
        }
        let _ = write!(text, "; Path={}", self.path);
        if let Some(age) = age {
            let _ = write!(text, "; Max-Age={age}");
        }
        if self.secure {
            text.push_str("; Secure");
        }
        text.push_str(match self.same_site {
            SameSite::Strict => "; HttpOnly; SameSite=Strict",
            SameSite::Lax => "; HttpOnly; SameSite=Lax",
            SameSite::None => "; HttpOnly; SameSite=None",
        });
        if self.partitioned {
            text.push_str("; Partitioned");
        }
        text
    }
}

/// The domain in lower case, if it is one that a browser takes (RFC 6265bis, sections 4.1.2.3 and
/// 5.7).
fn checked_domain(domain: &str) -> Result<String> {
    if domain.starts_with('.') {
        return Err(Error::misuse(
            "a cookie's domain begins with no dot: write example.com, which includes all hosts below",
        ));
    }
    if domain.ends_with('.') {
        return Err(Error::misuse(
            "a cookie's domain ends with no dot: write example.com",
        ));
    }
    let is_label = |label: &str| {
        (1..=MAX_LABEL).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if domain.len() > MAX_DOMAIN || !domain.split('.').all(is_label) {
        return Err(Error::misuse(
            "a cookie's domain is a host name of letters, digits and hyphens, at most 63 bytes per \
             label and 253 in all, and others in Punycode: write example.com",
        ));
    }
    match domain.rsplit_once('.') {
        None => Err(Error::misuse(
            "browsers refuse a top-level domain: write example.com, or leave the domain out",
        )),
        Some((_, last)) if is_number(last) => Err(Error::misuse(
            "browsers refuse an IP address as domain: leave it out, the cookie goes back to the \
             host that set it",
        )),
        Some(_) => Ok(domain.to_ascii_lowercase()),
    }
}

/// Whether a host that ends in this label is an IPv4 address (WHATWG URL, section 3.5).
fn is_number(label: &str) -> bool {
    let hexadecimal = label.strip_prefix("0x").or(label.strip_prefix("0X"));
    match hexadecimal {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => label.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

fn check_path(path: &str) -> Result<()> {
    let is_allowed = |byte: u8| byte.is_ascii_graphic() && byte != b';';
    if path.starts_with('/') && path.len() <= MAX_ATTRIBUTE && path.bytes().all(is_allowed) {
        return Ok(());
    }
    Err(Error::misuse(
        "a cookie's path begins with /, has at most 1024 bytes of printable ASCII, and no space or \
         semicolon: write them as %20 and %3B",
    ))
}
